package conv

import (
	"sync"
	"unsafe"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

const (
	// maxChunks is into how many sums the pixels of a batch are cut at most.
	maxChunks = 8
	// maxPartial bounds the elements of all partial sums together.
	maxPartial = 1 << 18
	// minTasks is how many independent pieces of work there should be; where large weights leave few chunks, the
	// weights are cut too.
	minTasks = 8
	// pairLen is about how many elements of x and dy one stripe covers: 32 KiB of float32, so they stay in a first-level cache. Sums of
	// more than manySums elements do not, and are read and written for every stripe: then stripes are as long as a second-level cache allows.
	pairLen  = 8 << 10
	manySums = 32 << 10
	longPair = 96 << 10
	// blockRows is the most weight rows of one task's block.
	blockRows = 96
)

// weightPlan is how WeightGrad divides its work. It follows from the shape alone, since it decides the order of the sums.
type weightPlan struct {
	grid
	group  int
	in     int // input channels of a group
	out    int // output channels of a group
	outs   int // out rounded up to whole vectors: a row of a partial sum
	taps   int // runs of x that meet one pixel of dy
	run    int // their length
	chunks int
	parts  int // pieces of the weights
	blocks int // of at most blockRows rows of one tap of one group
}

func planWeights(s Shape) weightPlan {
	p := weightPlan{
		grid: forwardGrid(s), group: s.Group, in: s.C / s.Group, out: s.O / s.Group,
		taps: s.KH * s.KW,
	}
	p.padded, p.apart = true, false // always copied: Outer reads past the last pixel
	p.run = p.in
	if s.DilW == 1 && s.Group == 1 {
		p.taps, p.run = s.KH, s.KW*p.in
	}
	p.outs = roundUp(p.out)
	row := p.width()*p.c*p.stepH + p.cols*s.O
	pair := pairLen
	if p.partial() > manySums {
		pair = longPair
	}
	p.stripe = p.even(pair / row)
	p.blocks = p.group * p.taps * ((p.run + blockRows - 1) / blockRows)
	p.chunks = max(1, min(maxChunks, maxPartial/p.partial(), p.units()))
	p.parts = min((minTasks+p.chunks-1)/p.chunks, p.blocks)
	return p
}

// partial is the size of one chunk's sums: run rows of outs columns for each tap of each group.
func (p *weightPlan) partial() int { return p.group * p.taps * p.run * p.outs }

// ScratchWeightGrad returns the elements of scratch memory WeightGrad needs on a pool of so many workers.
func ScratchWeightGrad(s Shape, workers int) int {
	if s.pointwise() {
		p := pointPlanOf(s)
		return p.scratch(workers)
	}
	if s.Depthwise() {
		return depthSumsScratch(s)
	}
	p := planWeights(s.flat())
	n := p.chunks*p.partial() + kernel.Lanes + p.scratch(workers)
	if s.winograd() {
		n = max(n, scratchSums(s, workers))
	}
	return n
}

// weightJob is one WeightGrad, kept between calls for its memory and its functions.
type weightJob[T kernel.Float] struct {
	weightPlan
	shape           Shape
	offsets         []int // of the taps in x
	dw, x, dy       []T
	partials        []T
	copied          []T
	chunkFn, sumsFn func(worker, lo, hi int)
}

var weightJobs [2]sync.Pool

func weightGrad[T kernel.Float](p *parallel.Pool, s Shape, dw, x, dy, scratch []T) {
	pool := &weightJobs[unsafe.Sizeof(*new(T))/8]
	j, ok := pool.Get().(*weightJob[T])
	if !ok {
		j = new(weightJob[T])
		j.chunkFn, j.sumsFn = j.tasks, j.sums
	}
	j.shape, j.weightPlan = s, planWeights(s)
	j.dw, j.x, j.dy = dw, x, dy
	size := j.chunks*j.partial() + kernel.Lanes
	j.partials, j.copied = kernel.Align(scratch[:size]), scratch[size:]
	j.offsets = j.offsets[:0]
	for i := range s.KH {
		if j.taps == s.KH {
			j.offsets = append(j.offsets, i*s.DilH*j.pitch())
			continue
		}
		for k := range s.KW {
			j.offsets = append(j.offsets, i*s.DilH*j.pitch()+k*s.DilW*j.c)
		}
	}
	p.ForWorker(j.chunks*j.parts, 1, j.chunkFn)
	p.ForWorker(j.group*j.out, kernel.Lanes, j.sumsFn)
	j.dw, j.x, j.dy, j.partials, j.copied = nil, nil, nil, nil, nil
	pool.Put(j)
}

// tasks does pieces lo to hi: each one part of the weights over the pixels of one chunk.
func (j *weightJob[T]) tasks(worker, lo, hi int) {
	stripe := kernel.Align(j.copied)[worker*j.stripeBuffer():][:j.stripeBuffer()]
	clear(stripe[len(stripe)-kernel.Slack:])
	for task := lo; task < hi; task++ {
		chunk, part := task/j.parts, task%j.parts
		first, last := chunk*j.units()/j.chunks, (chunk+1)*j.units()/j.chunks
		partial := j.partials[chunk*j.partial():][:j.partial()]
		for u := first; u < last; u++ {
			image, row, rows := j.unit(u)
			load(&j.grid, stripe, j.x, image, row, rows)
			dy := j.dy[(image*j.rows+row)*j.cols*j.shape.O:]
			for b := part * j.blocks / j.parts; b < (part+1)*j.blocks/j.parts; b++ {
				j.block(partial, b, stripe, dy, rows, u > first)
			}
		}
		if first == last {
			clear(partial)
		}
	}
}

// block adds one stripe of pixels to one block of the weights.
func (j *weightJob[T]) block(partial []T, b int, stripe, dy []T, rows int, add bool) {
	per := (j.run + blockRows - 1) / blockRows
	tap, m := b/per, b%per*blockRows
	group, tap := tap/j.taps, tap%j.taps
	size := min(blockRows, j.run-m)
	a := stripe[j.offsets[tap]+group*j.in+m:]
	aStep, aSeg, bStep, bSeg, segs, n := j.stepW*j.c, j.stepH*j.pitch(), j.shape.O, j.cols*j.shape.O, rows, j.cols
	if aSeg == n*aStep { // rows follow each other like pixels
		segs, n = 1, segs*n
	}
	c := partial[((group*j.taps+tap)*j.run+m)*j.outs:]
	for col := 0; col < j.out; {
		nr := kernel.PanelWidth[T](j.out - col)
		kernel.Outer(c[col:], j.outs, a, aStep, aSeg, dy[group*j.out+col:], bStep, bSeg, segs, n, size, nr, min(nr, j.out-col), add)
		col += nr
	}
}

// sums adds the chunks in order for output channels lo to hi, turning the rows of the partial sums into columns.
func (j *weightJob[T]) sums(_, lo, hi int) {
	k := j.taps * j.run // weights of one output channel
	for o := lo; o < hi; {
		group, at := o/j.out, o%j.out
		n := min(hi-o, j.out-at)
		for i := range k {
			sum := j.partials[(group*k+i)*j.outs+at:][:n]
			for chunk := 1; chunk < j.chunks; chunk++ {
				kernel.Add(sum, sum, j.partials[chunk*j.partial()+(group*k+i)*j.outs+at:])
			}
		}
		kernel.Transpose(j.dw[o*k:], k, j.partials[group*k*j.outs+at:], j.outs, k, n)
		o += n
	}
}
