package conv

import (
	"math"
	"sync"
	"unsafe"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// A depthwise convolution has no sums over channels, so memory is what it waits for. It reads each image where it lies, row by
// row, and knows padding only as the part of a window that is not there.

// depthJob is one Forward or DataGrad of a depthwise convolution, kept between calls for its memory. A row of the destination is cut
// into phases by the residue of the column modulo the stride, of which Forward has one.
type depthJob[T kernel.Float] struct {
	shape      Shape
	transposed bool // DataGrad: dst is dx and src is dy
	height     int  // of the destination
	rowLen     int
	srcHeight  int
	srcRow     int
	phases     []depthPhase
	rows       [][]kernel.WindowRow // of each worker

	dst, src, weights, packed []T
	epilogue                  Epilogue[T]
	gather                    gather[T]
	units                     int

	packFn, unitFn func(worker, lo, hi int)
}

// depthPhase is every StrideW-th column of a destination row.
type depthPhase struct {
	slide  kernel.Slide
	origin int // of its first column in the row
	runs   []depthRun
}

// depthRun is columns of a window that meet neighbouring pixels: the whole row of a window, or a single column where there are gaps.
type depthRun struct{ weights, left int }

var depthJobs [2]sync.Pool

func getDepth[T kernel.Float]() *depthJob[T] {
	if j, ok := depthJobs[unsafe.Sizeof(*new(T))/8].Get().(*depthJob[T]); ok {
		return j
	}
	j := new(depthJob[T])
	j.packFn, j.unitFn = j.pack, j.compute
	return j
}

func putDepth[T kernel.Float](j *depthJob[T]) {
	j.dst, j.src, j.weights, j.packed = nil, nil, nil, nil
	j.epilogue = Epilogue[T]{}
	depthJobs[unsafe.Sizeof(*new(T))/8].Put(j)
}

// depthForward is Forward of a depthwise convolution.
func depthForward[T kernel.Float](p *parallel.Pool, s Shape, y, x []T, w Filter[T], e Epilogue[T], scratch []T) {
	j := getDepth[T]()
	j.shape, j.transposed, j.epilogue = s, false, e
	j.height, j.rowLen, j.srcHeight, j.srcRow = s.OH, s.OW*s.O, s.H, s.W*s.C
	pitch := roundUp(s.C)
	f := j.reset(1)
	f.slide = kernel.Slide{
		N: s.OW, Width: s.W, KW: s.KW, Stride: s.StrideW, Channels: s.C, YStep: s.C, XStep: s.C, WStep: pitch,
	}
	if s.large() {
		f.slide.AheadX, f.slide.AheadY = j.srcRow, j.rowLen
	}
	if s.DilW == 1 {
		f.runs = append(f.runs, depthRun{left: s.PadLeft})
	} else {
		f.slide.KW = 1
		for q := range s.KW {
			f.runs = append(f.runs, depthRun{weights: q * pitch, left: s.PadLeft - q*s.DilW})
		}
	}
	scratch = j.run(p, y, x, w, scratch)
	if m := e.Moments; m != nil {
		j.gather.channels, j.gather.slots = s.O, scratch[:depthUnits(s)*gatherLen(s.O)]
		j.units = depthUnits(s)
	}
	p.ForWorker(j.units, 1, j.unitFn)
	if m := e.Moments; m != nil {
		j.gather.combine(p, j.units, m)
	}
	putDepth(j)
}

// depthDataGrad is DataGrad of a depthwise convolution.
func depthDataGrad[T kernel.Float](p *parallel.Pool, s Shape, dx, dy, w, scratch []T) {
	j := getDepth[T]()
	j.shape, j.transposed = s, true
	j.height, j.rowLen, j.srcHeight, j.srcRow = s.H, s.W*s.C, s.OH, s.OW*s.O
	pitch := roundUp(s.C)
	for r := range min(s.StrideW, s.W) {
		f := j.reset(r + 1)
		f.origin = r * s.C
		f.slide = kernel.Slide{
			N: (s.W - r + s.StrideW - 1) / s.StrideW, Width: s.OW, KW: 1, Stride: 1,
			Channels: s.C, YStep: s.StrideW * s.C, XStep: s.C, WStep: -s.StrideW * pitch,
		}
		if s.StrideW > 1 || s.large() {
			f.slide.AheadY = j.rowLen // outputs with gaps between them defeat the processor's own foresight
		}
		if s.StrideH == 1 && s.large() {
			f.slide.AheadX = j.srcRow
		}
		// Columns of the window from last to first meet columns of dy from left to right, neighbours if the window has no gaps.
		for q := s.KW - 1; q >= 0; q-- {
			d := r + s.PadLeft - q*s.DilW
			if d%s.StrideW != 0 {
				continue
			}
			if s.DilW == 1 && len(f.runs) > 0 {
				f.slide.KW++
				continue
			}
			f.runs = append(f.runs, depthRun{weights: q * pitch, left: -d / s.StrideW})
		}
	}
	j.run(p, dx, dy, Filter[T]{Raw: w}, scratch)
	p.ForWorker(j.units, 1, j.unitFn)
	putDepth(j)
}

// large tells whether x and y are more than a cache holds. Then rows are asked for while the ones before them are computed, which for
// data in a second-level cache would cost more than it gains.
func (s Shape) large() bool { return s.N*(s.H*s.W*s.C+s.OH*s.OW*s.O) > 1<<20 }

// reset makes n phases and returns the last, emptied.
func (j *depthJob[T]) reset(n int) *depthPhase {
	if n > cap(j.phases) {
		j.phases = append(j.phases[:cap(j.phases)], depthPhase{})
	}
	j.phases = j.phases[:n] // those behind keep the memory of their runs
	f := &j.phases[n-1]
	f.origin, f.runs = 0, f.runs[:0]
	return f
}

// run packs the weights, unless they are, and returns what is left of scratch.
func (j *depthJob[T]) run(p *parallel.Pool, dst, src []T, w Filter[T], scratch []T) []T {
	j.dst, j.src, j.weights = dst, src, w.Raw
	if w.Packed != nil {
		j.packed = kernel.Align(w.Packed)
	} else {
		size := PackedLen(j.shape)
		j.packed, scratch = kernel.Align(scratch[:size]), scratch[size:]
		p.ForWorker(j.shape.C, 64, j.packFn)
	}
	for len(j.rows) < p.Workers() {
		j.rows = append(j.rows, nil)
	}
	j.units = j.shape.N * j.height
	return scratch
}

// depthPack is Pack of a depthwise convolution: a row of channels for each tap.
func depthPack[T kernel.Float](p *parallel.Pool, s Shape, packed, w []T) {
	j := getDepth[T]()
	j.shape, j.weights, j.packed = s, w, kernel.Align(packed)
	p.ForWorker(s.C, 64, j.packFn)
	putDepth(j)
}

// pack does channels lo to hi.
func (j *depthJob[T]) pack(_, lo, hi int) {
	taps, pitch := j.shape.KH*j.shape.KW, roundUp(j.shape.C)
	for c := lo; c < hi; c += kernel.Lanes {
		n := min(kernel.Lanes, hi-c)
		w := j.weights[c*taps:][:n*taps]
		for t := range taps {
			row := j.packed[t*pitch+c:][:n]
			for i, at := 0, t; i < len(row) && at < len(w); i, at = i+1, at+taps {
				row[i] = w[at]
			}
		}
	}
}

// depthUnits is into how many units the rows of a batch are cut for their moments.
func depthUnits(s Shape) int { return max(1, min(32, s.N*s.OH*s.OW/48, s.N*s.OH)) }

// compute does units lo to hi of destination rows.
func (j *depthJob[T]) compute(worker, lo, hi int) {
	rows := j.shape.N * j.height
	e, plain := &j.epilogue, j.epilogue.plain()
	var finish kernel.Finish[T]
	if e.Add == nil && (e.Act.Kind == kernel.Rectify || e.Act.Kind == kernel.Clip) {
		finish.Bounded, finish.Low, finish.High = true, 0, T(math.Inf(1))
		if e.Act.Kind == kernel.Clip {
			finish.Low, finish.High = T(e.Act.A), T(e.Act.B)
		}
		plain = true
	}
	for u := lo; u < hi; u++ {
		first, last := u*rows/j.units, (u+1)*rows/j.units
		finish.Pivot = nil
		for r := first; r < last; r++ {
			image, row := r/j.height, r%j.height
			y := j.dst[r*j.rowLen:][:j.rowLen]
			for i := range j.phases {
				f := &j.phases[i]
				j.rows[worker] = j.window(j.rows[worker][:0], f, image, row)
				kernel.DepthRow(&f.slide, y[f.origin:], j.src, j.packed, e.Bias, j.rows[worker], finish)
			}
			switch {
			case e.Moments != nil && r == first: // the unit's pivot is in this row
				j.gather.clear(u)
				j.gather.add(u, y)
				var count *T
				count, finish.Pivot, finish.Sum, finish.Squares = j.gather.slot(u)
				*count = T((last - first) * j.shape.OW)
			case !plain && e.Add != nil:
				e.finish(y, e.Add[r*j.rowLen:][:j.rowLen])
			case !plain:
				e.finish(y, nil)
			}
		}
	}
}

// window lists the rows of the window that meet the image at a row of the destination.
func (j *depthJob[T]) window(rows []kernel.WindowRow, f *depthPhase, image, row int) []kernel.WindowRow {
	s := &j.shape
	for k := range s.KH {
		h := row*s.StrideH + k*s.DilH - s.PadTop
		if j.transposed {
			if h = row + s.PadTop - k*s.DilH; h%s.StrideH != 0 {
				continue
			}
			h /= s.StrideH
		}
		if h < 0 || h >= j.srcHeight {
			continue
		}
		for _, r := range f.runs {
			rows = append(rows, kernel.WindowRow{X: (image*j.srcHeight + h) * j.srcRow, W: k*s.KW*roundUp(s.C) + r.weights, Left: r.left})
		}
	}
	return rows
}
