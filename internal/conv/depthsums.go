package conv

import (
	"sync"
	"unsafe"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

const (
	// depthRows is about how many elements of x and dy one unit covers: 256 KiB of float32, a fraction of a second-level cache.
	depthRows = 64 << 10
	// depthTasks is into how many pieces a weight gradient is cut if its shape allows it: chunks of the pixels, then blocks of the channels.
	depthTasks = 8
	// depthChunk is the fewest pixels of a chunk: adding up the chunks costs as much as some hundred pixels.
	depthChunk = 128
	// depthBlock is the fewest channels of a block.
	depthBlock = 64
)

// depthSumsPlan is how the weight gradient of a depthwise convolution divides its work. It follows from the shape alone, since it
// decides the order of the sums.
type depthSumsPlan struct {
	rows    int // of dy in a unit
	stripes int // units of an image
	chunks  int // of consecutive units, each with sums of its own
	blocks  int // of channels
	partial int // elements of the sums of a chunk
}

func planDepthSums(s Shape) depthSumsPlan {
	var p depthSumsPlan
	p.rows = max(1, min(s.OH, (depthRows-(s.KH-1)*s.DilH*s.W*s.C)/(s.StrideH*s.W*s.C+s.OW*s.C)))
	p.stripes = (s.OH + p.rows - 1) / p.rows
	p.chunks = max(1, min(maxChunks, s.N*p.stripes, s.N*s.OH*s.OW/depthChunk))
	p.blocks = max(1, min((depthTasks+p.chunks-1)/p.chunks, s.C/depthBlock))
	p.partial = s.KH * s.KW * roundUp(s.C)
	return p
}

// depthSumsJob is one WeightGrad of a depthwise convolution, kept between calls for its memory.
type depthSumsJob[T kernel.Float] struct {
	depthSumsPlan
	shape          Shape
	slide          kernel.Slide
	dw, x, dy      []T
	partials       []T
	lists          [][]kernel.WindowRow // of each worker
	taskFn, joinFn func(worker, lo, hi int)
}

var depthSumsJobs [2]sync.Pool

// depthWeightGrad is WeightGrad of a depthwise convolution.
func depthWeightGrad[T kernel.Float](p *parallel.Pool, s Shape, dw, x, dy, scratch []T) {
	pool := &depthSumsJobs[unsafe.Sizeof(*new(T))/8]
	j, ok := pool.Get().(*depthSumsJob[T])
	if !ok {
		j = new(depthSumsJob[T])
		j.taskFn, j.joinFn = j.tasks, j.join
	}
	j.depthSumsPlan, j.shape = planDepthSums(s), s
	j.slide = kernel.Slide{
		N: s.OW, Width: s.W, KW: s.KW, Stride: s.StrideW, YStep: s.C, XStep: s.C, WStep: roundUp(s.C),
	}
	if s.DilW > 1 {
		j.slide.KW = 1
	}
	j.dw, j.x, j.dy, j.partials = dw, x, dy, kernel.Align(scratch)
	for len(j.lists) < p.Workers() {
		j.lists = append(j.lists, nil)
	}
	p.ForWorker(j.chunks*j.blocks, 1, j.taskFn)
	p.ForWorker(s.C, depthBlock, j.joinFn)
	j.dw, j.x, j.dy, j.partials = nil, nil, nil, nil
	pool.Put(j)
}

// depthSumsScratch is the scratch memory of depthWeightGrad.
func depthSumsScratch(s Shape) int {
	p := planDepthSums(s)
	return p.chunks*p.partial + kernel.Lanes
}

// tasks does tasks lo to hi: each some channels over the pixels of one chunk.
func (j *depthSumsJob[T]) tasks(worker, lo, hi int) {
	s := &j.shape
	taps, pitch, units := s.KH*s.KW, roundUp(s.C), s.N*j.stripes
	for t := lo; t < hi; t++ {
		chunk, at, end := t/j.blocks, j.channel(t%j.blocks), j.channel(t%j.blocks+1)
		g := j.slide
		g.Channels = end - at
		partial := j.partials[chunk*j.partial:][:j.partial]
		for tap := range taps {
			clear(partial[tap*pitch+at:][:g.Channels])
		}
		for u := chunk * units / j.chunks; u < (chunk+1)*units/j.chunks; u++ {
			image, row := u/j.stripes, u%j.stripes*j.rows
			last := min(row+j.rows, s.OH)
			for row < last { // rows that meet the same rows of the window go together
				first, end := j.meets(row)
				segs := 1
				for row+segs < last {
					if f, e := j.meets(row + segs); f != first || e != end {
						break
					}
					segs++
				}
				rows := j.lists[worker][:0]
				for k := first; k < end; k++ {
					r := kernel.WindowRow{X: (image*s.H+row*s.StrideH+k*s.DilH-s.PadTop)*s.W*s.C + at, W: k*s.KW*pitch + at, Left: s.PadLeft}
					if g.KW == s.KW {
						rows = append(rows, r)
						continue
					}
					for range s.KW {
						rows = append(rows, r)
						r.W += pitch
						r.Left -= s.DilW
					}
				}
				j.lists[worker] = rows
				kernel.DepthSums(&g, partial, j.x, j.dy[(image*s.OH+row)*s.OW*s.C+at:], rows, s.StrideH*s.W*s.C, s.OW*s.C, segs)
				row += segs
			}
		}
	}
}

// channel is the first channel of a block: blocks are whole vectors.
func (j *depthSumsJob[T]) channel(block int) int {
	return min(j.shape.C, roundUp(j.shape.C)/kernel.Lanes*block/j.blocks*kernel.Lanes)
}

// meets returns the rows of the window, from first to below end, that lie in the image at a row of dy.
func (j *depthSumsJob[T]) meets(row int) (first, end int) {
	s := &j.shape
	top := s.PadTop - row*s.StrideH // rows of the image before the window begins, if negative
	first = max(0, (top+s.DilH-1)/s.DilH)
	if top <= 0 {
		first = 0
	}
	if s.H+top <= 0 {
		return 0, 0
	}
	return first, max(first, min(s.KH, (s.H+top-1)/s.DilH+1))
}

// join adds the chunks in order for channels lo to hi, turning the rows of the sums into columns.
func (j *depthSumsJob[T]) join(_, lo, hi int) {
	taps, pitch := j.shape.KH*j.shape.KW, roundUp(j.shape.C)
	for c := lo; c < hi; c += kernel.Lanes {
		n := min(kernel.Lanes, hi-c)
		dw := j.dw[c*taps:][:n*taps]
		for t := range taps {
			sum := j.partials[t*pitch+c:][:n]
			for chunk := 1; chunk < j.chunks; chunk++ {
				for i, v := range j.partials[chunk*j.partial+t*pitch+c:][:len(sum)] {
					sum[i] += v
				}
			}
			for i, at := 0, t; i < len(sum) && at < len(dw); i, at = i+1, at+taps {
				dw[at] = sum[i]
			}
		}
	}
}
