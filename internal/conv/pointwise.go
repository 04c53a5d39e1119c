package conv

import (
	"sync"
	"unsafe"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// The weight gradient of a convolution of 1×1 is one matrix product, dw = dyᵀ·x, whose sums run over the pixels. Pixels are taken in blocks: those
// of the operand with fewer channels are copied, some channels at a time, and meet all channels of the other one as it lies.

const (
	pixelBlock = 128 // pixels of one block
	rowBlock   = 128 // channels of one task
)

// pointwise tells whether a convolution looks at one pixel at a time and has no pad.
func (s Shape) pointwise() bool {
	return s.KH == 1 && s.KW == 1 && s.Group == 1 && s.PadTop+s.PadLeft+s.PadBottom+s.PadRight == 0
}

// pointPlan is how the weight gradient of a pointwise convolution is divided. It follows from the shape alone.
type pointPlan struct {
	s              Shape
	turned         bool // rows of the sums are input channels, not output channels
	rows, cols     int  // channels of the operand that is copied and of the other one
	pixels, width  int  // of the batch; elements of a row of sums
	blocks, chunks int  // of rows; of pixels, with sums of their own
	inPlace        bool // the first chunk's sums are dw
	packed         bool // the other operand is copied too: where it has many channels, panels of it are far from each other in memory
}

func pointPlanOf(s Shape) pointPlan {
	p := pointPlan{s: s, pixels: s.N * s.OH * s.OW, turned: s.C < s.O, rows: min(s.C, s.O), cols: max(s.C, s.O)}
	p.width, p.packed = roundUp(p.cols), p.cols >= 192
	p.blocks = (p.rows + rowBlock - 1) / rowBlock
	p.chunks = max(1, min((minTasks+p.blocks-1)/p.blocks, 4*maxPartial/(p.rows*p.width), p.pixels/(2*pixelBlock)))
	p.inPlace = !p.turned && p.cols == p.width
	return p
}

// partials is the memory of the chunks' sums.
func (p *pointPlan) partials() int { return p.chunks * p.rows * p.width }

// workerLen is the memory of one worker: a block of dy and one of x.
func (p *pointPlan) workerLen() int {
	n := roundUp(pixelBlock*(rowBlock+kernel.Lanes) + kernel.Slack)
	if p.packed {
		n += pixelBlock * p.otherPitch()
	}
	return n
}

// otherPitch is the distance of copied pixels of the other operand.
func (p *pointPlan) otherPitch() int { return p.width + kernel.Lanes }

func (p *pointPlan) scratch(workers int) int {
	return p.partials() + workers*p.workerLen() + 2*kernel.Lanes
}

// pointJob is one such gradient, kept between calls for its memory and functions.
type pointJob[T kernel.Float] struct {
	pointPlan
	dw, x, dy       []T
	sums, memory    []T
	taskFn, totalFn func(worker, lo, hi int)
}

var pointJobs [2]sync.Pool

func pointWeightGrad[T kernel.Float](p *parallel.Pool, s Shape, dw, x, dy, scratch []T) {
	pool := &pointJobs[unsafe.Sizeof(*new(T))/8]
	j, ok := pool.Get().(*pointJob[T])
	if !ok {
		j = new(pointJob[T])
		j.taskFn, j.totalFn = j.tasks, j.total
	}
	j.pointPlan = pointPlanOf(s)
	j.dw, j.x, j.dy = dw, x, dy
	j.sums, j.memory = kernel.Align(scratch)[:j.partials()], scratch[j.partials()+kernel.Lanes:]
	p.ForWorker(j.chunks*j.blocks, 1, j.taskFn)
	if j.chunks > 1 || !j.inPlace {
		p.ForWorker(j.rows, max(kernel.Lanes, serialSums/(j.width*j.chunks)), j.totalFn)
	}
	j.dw, j.x, j.dy, j.sums, j.memory = nil, nil, nil, nil, nil
	pool.Put(j)
}

// serialSums is how many additions are not worth a second core.
const serialSums = 1 << 13

// row is where a chunk's sums of a row lie.
func (j *pointJob[T]) row(chunk, r int) []T {
	if chunk == 0 && j.inPlace {
		return j.dw[r*j.width:]
	}
	return j.sums[(chunk*j.rows+r)*j.width:]
}

// tasks does pieces lo to hi: each some output channels over the pixels of one chunk.
func (j *pointJob[T]) tasks(worker, lo, hi int) {
	memory := kernel.Align(j.memory)[worker*j.workerLen():][:j.workerLen()]
	size := roundUp(pixelBlock*(rowBlock+kernel.Lanes) + kernel.Slack)
	left, right := memory[:size], memory[size:]
	clear(left[len(left)-kernel.Slack:])
	copied, other := j.dy, j.x
	if j.turned {
		copied, other = j.x, j.dy
	}
	for task := lo; task < hi; task++ {
		chunk, block := task/j.blocks, task%j.blocks
		r0, r1 := block*j.rows/j.blocks, (block+1)*j.rows/j.blocks
		first, last := chunk*j.pixels/j.chunks, (chunk+1)*j.pixels/j.chunks
		pitch := roundUp(r1-r0) + kernel.Lanes
		to := j.row(chunk, r0)
		for pixel := first; pixel < last; {
			from, step, seg, segs, each := j.place(pixel, min(pixelBlock, last-pixel))
			n := segs * each
			leftAt, leftStep, leftSeg := pixel*j.s.O, j.s.O, each*j.s.O
			rightAt, rightStep, rightSeg := from, step, seg
			if j.turned {
				leftAt, leftStep, leftSeg, rightAt, rightStep, rightSeg = rightAt, rightStep, rightSeg, leftAt, leftStep, leftSeg
			}
			for i := range n {
				copy(left[i*pitch:][:r1-r0], copied[leftAt+i/each*leftSeg+i%each*leftStep+r0:])
			}
			b, bStep, bSeg := other[rightAt:], rightStep, rightSeg
			if j.packed {
				for i := range n {
					copy(right[i*j.otherPitch():][:j.cols], b[i/each*bSeg+i%each*bStep:])
				}
				b, bStep, bSeg = right, j.otherPitch(), each*j.otherPitch()
			}
			for col := 0; col < j.cols; {
				nr := kernel.PanelWidth[T](j.cols - col)
				kernel.Outer(to[col:], j.width, left, pitch, each*pitch, b[col:], bStep, bSeg, segs, each, r1-r0, nr, min(nr, j.cols-col), pixel > first)
				col += nr
			}
			pixel += n
		}
	}
}

// place is where in x the pixels from pixel on lie, at most n of them: segs stretches of each pixels, at distances of step and seg.
func (j *pointJob[T]) place(pixel, n int) (from, step, seg, segs, each int) {
	s := &j.s
	if s.StrideH == 1 && s.StrideW == 1 {
		return pixel * s.C, s.C, 0, 1, n
	}
	image, row, col := pixel/(s.OH*s.OW), pixel/s.OW%s.OH, pixel%s.OW
	from = ((image*s.H+row*s.StrideH)*s.W + col*s.StrideW) * s.C
	step, seg = s.StrideW*s.C, s.StrideH*s.W*s.C
	if col != 0 || n < s.OW {
		return from, step, seg, 1, min(n, s.OW-col)
	}
	return from, step, seg, min(n/s.OW, s.OH-row), s.OW
}

// total adds the chunks in order for rows lo to hi.
func (j *pointJob[T]) total(_, lo, hi int) {
	for r := lo; r < hi; r++ {
		sum := j.row(0, r)[:j.cols]
		for chunk := 1; chunk < j.chunks; chunk++ {
			kernel.Add(sum, sum, j.row(chunk, r))
		}
		if !j.inPlace && !j.turned {
			copy(j.dw[r*j.cols:], sum)
		}
	}
	if j.turned {
		kernel.Transpose(j.dw[lo:], j.rows, j.row(0, lo), j.width, hi-lo, j.cols)
	}
}
