package conv

import (
	"slices"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// job is one Forward or DataGrad. Both sum, at each position of a grid, products of source pixels with weights; DataGrad has several
// phases, one for each residue of the position modulo the stride. A job is kept between calls for its memory.
type job[T kernel.Float] struct {
	grid
	groups     int
	srcC, dstC int // channels of one group
	shape      Shape
	transposed bool // DataGrad: the weights are read with input and output exchanged

	phases []phase
	blocks []weightBlock // what pack copies
	imageC int           // elements of one destination image
	rowC   int           // destination elements from one row of positions to the next

	dst, src, weights, bias []T
	ones, shift             []T // of the outputs' channels, for finishUnit
	packed, copied          []T
	workers                 int

	epilogue Epilogue[T]
	gather   gather[T]

	packFn, unitFn, finishFn func(worker, lo, hi int)
}

// phase is one set of output positions that share their taps.
type phase struct {
	rows, cols int   // positions; the rest of the grid has no output
	origin     int   // first destination element
	taps       []int // source offsets, each the start of run consecutive elements
	run        int
	k          int   // length of the sums
	packed     int   // start of its packed weights within a group, in rows
	dstRow     []int // destination and source offsets of the positions of a stripe, row by row
	srcRow     []int
}

// weightBlock is one tap of the window: where its rows go in the packed weights of a group.
type weightBlock struct {
	tap    int // kh·KW + kw
	phase  int
	offset int // row within the phase
}

// forward prepares the one phase of Forward.
func (j *job[T]) forward(s Shape) {
	j.shape, j.transposed = s, false
	j.grid = forwardGrid(s)
	j.groups, j.srcC, j.dstC = s.Group, s.C/s.Group, s.O/s.Group
	j.imageC, j.rowC = s.OH*s.OW*s.O, s.OW*s.O
	j.reset(1)
	f := &j.phases[0]
	f.rows, f.cols, f.origin = s.OH, s.OW, 0
	f.k = s.KH * s.KW * j.srcC
	if s.DilW == 1 && s.Group == 1 { // the taps of a row are consecutive
		f.run = s.KW * j.srcC
		for p := range s.KH {
			f.taps = append(f.taps, p*s.DilH*j.pitch())
		}
	} else {
		f.run = j.srcC
		for p := range s.KH {
			for q := range s.KW {
				f.taps = append(f.taps, p*s.DilH*j.pitch()+q*s.DilW*j.c)
			}
		}
	}
	for t := range s.KH * s.KW {
		j.blocks = append(j.blocks, weightBlock{tap: t, offset: t * j.srcC})
	}
	j.positions(f, s.OW*s.O, s.O, s.StrideH*j.pitch(), s.StrideW*j.c)
}

// dataGrad prepares the StrideH·StrideW phases of DataGrad.
func (j *job[T]) dataGrad(s Shape) {
	j.shape, j.transposed = s, true
	j.grid = dataGrid(s)
	j.groups, j.srcC, j.dstC = s.Group, s.O/s.Group, s.C/s.Group
	j.imageC, j.rowC = s.H*s.W*s.C, s.StrideH*s.W*s.C
	j.reset(s.StrideH * s.StrideW)
	packed := 0
	for i := range j.phases {
		f := &j.phases[i]
		r, q := i/s.StrideW, i%s.StrideW
		f.rows, f.cols = (s.H-r+s.StrideH-1)/s.StrideH, (s.W-q+s.StrideW-1)/s.StrideW
		f.origin = (r*s.W + q) * s.C
		f.packed = packed
		// Columns of the window from last to first meet columns of dy from left to right; where those are
		// neighbours, and there is one group, the taps of a row are one run.
		first, last, count, consecutive := 0, 0, 0, s.Group == 1
		for kw := s.KW - 1; kw >= 0; kw-- {
			d := q + s.PadLeft - kw*s.DilW
			if d%s.StrideW != 0 {
				continue
			}
			if d /= s.StrideW; count == 0 {
				first = d
			} else if d != last+1 {
				consecutive = false
			}
			last = d
			count++
		}
		f.run = j.srcC
		if consecutive {
			f.run = max(1, count) * j.srcC
		}
		rows := 0
		for kh := s.KH - 1; kh >= 0; kh-- {
			dh := r + s.PadTop - kh*s.DilH
			if dh%s.StrideH != 0 {
				continue
			}
			base := (dh/s.StrideH - j.top) * j.pitch()
			if consecutive && count > 0 {
				f.taps = append(f.taps, base+(first-j.left)*j.c)
			}
			for kw := s.KW - 1; kw >= 0; kw-- {
				dw := q + s.PadLeft - kw*s.DilW
				if dw%s.StrideW != 0 {
					continue
				}
				if !consecutive {
					f.taps = append(f.taps, base+(dw/s.StrideW-j.left)*j.c)
				}
				j.blocks = append(j.blocks, weightBlock{tap: kh*s.KW + kw, phase: i, offset: rows})
				rows += j.srcC
			}
		}
		f.k = rows
		packed += rows
		j.positions(f, s.StrideH*s.W*s.C, s.StrideW*s.C, j.pitch(), j.c)
	}
}

// reset empties the phases, keeping their memory.
func (j *job[T]) reset(phases int) {
	j.phases = slices.Grow(j.phases[:0], phases)[:phases]
	for i := range j.phases {
		f := &j.phases[i]
		*f = phase{taps: f.taps[:0], dstRow: f.dstRow[:0], srcRow: f.srcRow[:0]}
	}
	j.blocks = j.blocks[:0]
}

// positions lists the offsets of a phase's positions within one stripe.
func (j *job[T]) positions(f *phase, dstH, dstW, srcH, srcW int) {
	for r := range min(j.stripe, f.rows) {
		for q := range f.cols {
			f.dstRow = append(f.dstRow, r*dstH+q*dstW)
			f.srcRow = append(f.srcRow, r*srcH+q*srcW)
		}
	}
}

// run packs the weights, unless they are, and does all units.
func (j *job[T]) run(p *parallel.Pool, dst, src []T, w Filter[T], bias, scratch []T) {
	j.dst, j.src, j.weights, j.bias, j.workers = dst, src, w.Raw, bias, p.Workers()
	if j.apart {
		j.prepareFinish()
	}
	if w.Packed != nil {
		j.packed, j.copied = kernel.Align(w.Packed), scratch
	} else {
		size := j.groups*j.groupLen() + kernel.Lanes
		j.packed, j.copied = kernel.Align(scratch[:size]), scratch[size:]
		p.ForWorker(j.groups*len(j.blocks)*j.panelCount(), 1, j.packFn)
	}
	p.ForWorker(j.units()*j.parts, 1, j.unitFn)
	if !j.transposed && j.parts > 1 { // whose units are not complete before
		p.ForWorker(j.units(), 1, j.finishFn)
	}
}

// prepareFinish sets the parameters of the loop that stores results: times one, plus the bias.
func (j *job[T]) prepareFinish() {
	n := j.groups * j.dstC
	for len(j.ones) < n {
		j.ones = append(j.ones, 1)
	}
	j.shift = slices.Grow(j.shift[:0], n)[:n]
	clear(j.shift)
	copy(j.shift, j.bias)
}

// groupLen is the size of one group's packed weights.
func (j *job[T]) groupLen() int { return j.shape.KH * j.shape.KW * j.srcC * roundUp(j.dstC) }

// panels returns the packed weights of a phase of a group: panels of f.k rows side by side.
func (j *job[T]) panels(group int, f *phase) []T {
	return j.packed[group*j.groupLen()+f.packed*roundUp(j.dstC):]
}

// panelCount is how many panels the output channels of a group make.
func (j *job[T]) panelCount() int {
	n := 0
	for col := 0; col < j.dstC; n++ {
		col += kernel.PanelWidth[T](j.dstC - col)
	}
	return n
}

// pack copies weights into panels: items lo to hi, each one panel of one tap of one group.
func (j *job[T]) pack(_, lo, hi int) {
	taps, count := j.shape.KH*j.shape.KW, j.panelCount()
	for i := lo; i < hi; i++ {
		group, b, panel := i/count/len(j.blocks), j.blocks[i/count%len(j.blocks)], i%count
		f := &j.phases[b.phase]
		panels := j.panels(group, f)
		col := 0
		for range panel {
			col += kernel.PanelWidth[T](j.dstC - col)
		}
		nr := kernel.PanelWidth[T](j.dstC - col)
		cols := min(nr, j.dstC-col)
		dst := panels[col*f.k+b.offset*nr:]
		if !j.transposed {
			kernel.Transpose(dst, nr, j.weights[((group*j.dstC+col)*taps+b.tap)*j.srcC:], taps*j.srcC, cols, j.srcC)
		}
		for k := range j.srcC {
			row := dst[k*nr:][:nr]
			if j.transposed {
				copy(row[:cols], j.weights[((group*j.srcC+k)*taps+b.tap)*j.dstC+col:])
			}
			clear(row[cols:])
		}
	}
}

// compute does units lo to hi.
func (j *job[T]) compute(worker, lo, hi int) {
	memory, size := kernel.Align(j.copied), 0
	if j.padded {
		size += j.stripeBuffer()
	}
	if j.apart {
		size += roundUp(j.unitC)
	}
	memory = memory[worker*size:][:size]
	var stripe []T
	if j.padded {
		stripe, memory = memory[:j.stripeBuffer()], memory[j.stripeBuffer():]
	}
	loaded := -1
	for i := lo; i < hi; i++ {
		u, part := i/j.parts, i%j.parts
		image, row, rows := j.unit(u)
		src := stripe
		if j.padded && u != loaded {
			loaded = u
			load(&j.grid, stripe, j.src, image, row, rows)
		}
		if !j.padded {
			src = j.src[((image*j.h+row*j.stepH+j.top)*j.w+j.left)*j.c:]
		}
		at := image*j.imageC + row*j.rowC
		dst := j.dst[at:]
		if j.apart {
			dst = memory
		}
		for i := range j.phases {
			f := &j.phases[i]
			if n := min(rows, f.rows-row); n > 0 && f.cols > 0 {
				j.phase(f, dst[f.origin:], src, n*f.cols, part)
			}
		}
		if j.parts == 1 && (j.apart || !j.transposed) {
			j.finishUnit(u, at, at+rows*j.rowC, dst[:rows*j.rowC])
		}
	}
}

// finish applies the epilogue to units lo to hi.
func (j *job[T]) finish(_, lo, hi int) {
	for u := lo; u < hi; u++ {
		image, row, rows := j.unit(u)
		at := image*j.imageC + row*j.rowC
		j.finishUnit(u, at, at+rows*j.rowC, j.dst[at:at+rows*j.rowC])
	}
}

// panelLen is about how many weights are used for all positions of a stripe before the next are read: half a first-level cache.
const panelLen = 6 << 10

// phase computes n positions of one phase for all groups, and of their panels those of one part. The sums are cut into blocks by the taps, or within a tap if that is long,
// from the shape alone.
func (j *job[T]) phase(f *phase, dst, src []T, n, part int) {
	count := j.panelCount()
	first, last := part*count/j.parts, (part+1)*count/j.parts
	dstRow, srcRow := f.dstRow[:n], f.srcRow[:n]
	bias := j.bias != nil && !j.apart
	for group := range j.groups {
		panels := j.panels(group, f)
		for col, i := 0, 0; i < last; i++ {
			nr := kernel.PanelWidth[T](j.dstC - col)
			cols := min(nr, j.dstC-col)
			if i < first {
				col += nr
				continue
			}
			if f.k == 0 {
				j.fill(dst, dstRow, group*j.dstC+col, cols)
				col += nr
				continue
			}
			panel := panels[col*f.k:]
			c, a := dst[group*j.dstC+col:], src[group*j.srcC:]
			fresh := true
			dot := func(k int, taps []int, kc int, panel []T) {
				if fresh && bias {
					kernel.DotFrom(c, dstRow, j.bias[group*j.dstC+col:][:cols], a[k:], srcRow, taps, kc, panel, nr, cols)
				} else {
					kernel.Dot(c, dstRow, a[k:], srcRow, taps, kc, panel, nr, cols, !fresh)
				}
				fresh = false
			}
			if taps := panelLen / (f.run * nr); taps > 0 {
				for t := 0; t < len(f.taps); t += taps {
					dot(0, f.taps[t:min(t+taps, len(f.taps))], f.run, panel[t*f.run*nr:])
				}
			} else {
				runs := panelLen / nr
				for t := range f.taps {
					for k := 0; k < f.run; k += runs {
						dot(k, f.taps[t:t+1], min(runs, f.run-k), panel[(t*f.run+k)*nr:])
					}
				}
			}
			col += nr
		}
	}
}

// fill sets some channels of positions to their bias, or to zero.
func (j *job[T]) fill(dst []T, rows []int, channel, n int) {
	for _, r := range rows {
		line := dst[r+channel:][:n]
		if j.bias == nil || j.apart {
			clear(line)
		} else {
			copy(line, j.bias[channel:])
		}
	}
}
