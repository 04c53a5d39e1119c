package conv

import (
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// Epilogue is what happens to the outputs of Forward once their sums are complete: y = Act(sum + Bias + Add).
type Epilogue[T kernel.Float] struct {
	Bias    []T               // one per output channel, or nil
	Add     []T               // as long as y, or nil
	Act     kernel.Activation // the zero value leaves the sum as it is
	Moments *Moments          // or nil; it wants sum + Bias, so Add is nil and Act the identity with it
}

// Filter is the weights of a convolution: as the shape has them, or as Pack has laid them out.
type Filter[T kernel.Float] struct{ Raw, Packed []T }

// Moments receives, per output channel, the mean over all pixels of a batch and the sum of squared differences from it.
type Moments struct{ Mean, Squares []float64 }

// PackedLen returns the elements Pack needs for a shape.
func PackedLen(s Shape) int {
	n := packedLen(s, s.C, s.O)
	if s.winograd() {
		t := tilingOf(s)
		n = max(n, t.packedLen())
	}
	return n
}

// Pack lays weights out for Forward, which does so itself in every call that gets none. packed has PackedLen elements; it fits
// one kernel variant only, and Forward must be given the same memory.
func Pack[T kernel.Float](p *parallel.Pool, s Shape, packed, w []T) {
	if s.Depthwise() {
		depthPack(p, s, packed, w)
		return
	}
	if usesWinograd[T](s) {
		j := getTiles[T](s, false, p.Workers())
		j.pack(p, packed, w)
		j.put()
		return
	}
	j := get[T]()
	j.forward(s.flat())
	j.weights, j.packed = w, kernel.Align(packed)
	p.ForWorker(j.groups*len(j.blocks)*j.panelCount(), 1, j.packFn)
	put(j)
}

// finishLen is how many outputs are finished at once: their addend and they stay in a first-level cache.
const finishLen = 4 << 10

// finish applies e to outputs that lie side by side, with the same part of Add.
func (e *Epilogue[T]) finish(y, add []T) {
	if e.plain() {
		return
	}
	for lo := 0; lo < len(y); lo += finishLen {
		part := y[lo:min(lo+finishLen, len(y))]
		if e.Add != nil {
			kernel.Add(part, part, add[lo:])
		}
		kernel.Activate(part, part, e.Act)
	}
}

// plain tells whether finish has nothing to do.
func (e *Epilogue[T]) plain() bool { return e.Add == nil && e.Act.Kind == kernel.Identity }

// finishUnit applies the epilogue to outputs lo to hi, which are those of unit u; from is what has been computed of them, dst itself or memory
// that is still in a cache.
func (j *job[T]) finishUnit(u, lo, hi int, from []T) {
	e, channels := &j.epilogue, j.groups*j.dstC
	if e.Moments != nil {
		j.gather.clear(u)
		j.gather.add(u, from)
	}
	var add []T
	if e.Add != nil {
		add = e.Add[lo:hi]
	}
	if j.apart {
		kernel.ScaleShiftActPart(len(j.dst), j.dst[lo:hi], from, j.ones[:channels], j.shift[:channels], add, e.Act)
		return
	}
	e.finish(from, add)
}

// gather collects the moments of channels unit by unit: each unit has a slot that one worker fills, and the slots are combined in
// their order, so that the result does not depend on who filled them. A unit measures from a pivot of its own, the first pixel it
// meets, so that large means cost no digits.
type gather[T kernel.Float] struct {
	channels int
	slots    []T // per unit: the number of pixels, then pivots, sums and squares
	units    int
	to       *Moments
	rangeFn  func(lo, hi int)
}

// gatherLen is the size of one unit's slot.
func gatherLen(channels int) int { return 1 + 3*channels }

func (g *gather[T]) slot(u int) (count *T, pivot, sum, squares []T) {
	c := g.channels
	s := g.slots[u*gatherLen(c):][:gatherLen(c)]
	return &s[0], s[1:][:c], s[1+c:][:c], s[1+2*c:][:c]
}

// clear empties a unit.
func (g *gather[T]) clear(u int) { clear(g.slots[u*gatherLen(g.channels):][:gatherLen(g.channels)]) }

// add counts rows of channels in for a unit. A unit should not see more than some thousand rows: their sums are in T.
func (g *gather[T]) add(u int, y []T) {
	if len(y) == 0 {
		return
	}
	count, pivot, sum, squares := g.slot(u)
	if *count == 0 {
		copy(pivot, y)
	}
	*count += T(len(y) / g.channels)
	kernel.Moments(sum, squares, y, pivot)
}

// combine adds the units up in their order (Chan, Golub and LeVeque 1979, the pairwise update).
func (g *gather[T]) combine(p *parallel.Pool, units int, to *Moments) {
	g.units, g.to = units, to
	if g.rangeFn == nil {
		g.rangeFn = g.combineRange
	}
	p.For(g.channels, max(1, 1<<11/units), g.rangeFn)
	g.slots, g.to = nil, nil
}

// combineRange does channels lo to hi.
func (g *gather[T]) combineRange(lo, hi int) {
	mean, squares := g.to.Mean[:g.channels], g.to.Squares[:g.channels]
	clear(mean[lo:hi])
	clear(squares[lo:hi])
	var n float64
	for u := range g.units {
		count, pivots, sums, parts := g.slot(u)
		k := float64(*count)
		if k == 0 {
			continue
		}
		share := k / (n + k)
		for c := lo; c < hi; c++ {
			d := float64(sums[c]) / k
			m2 := float64(parts[c]) - float64(sums[c])*d
			if m2 < 0 { // a rounding error; a NaN stays
				m2 = 0
			}
			delta := float64(pivots[c]) + d - mean[c]
			mean[c] += delta * share
			squares[c] += m2 + delta*delta*n*share
		}
		n += k
	}
}
