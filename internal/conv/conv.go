// Package conv computes two-dimensional convolutions and their two gradients over channels-last images.
//
// In go a Shape, flat slices and scratch memory; out comes a filled slice. x is (N, H, W, C), w is (O, KH, KW, C/Group) and y is
// (N, OH, OW, O), all row-major. One-dimensional convolutions have H and KH one.
//
// A convolution is a sum of matrix products, one for each tap of the window, whose rows are pixels. No matrix of patches is built:
// each worker copies a stripe of the image, with its padding, to memory that stays in its cache, and the tile kernels
// read the rows of the product from there. The data gradient is the same computation over dy, once for each residue of the
// pixel's position modulo the stride. The weight gradient sums outer products over the pixels of a fixed number of chunks,
// which are then added in order. A depthwise convolution, whose products would have one column, has a way of its own: it reads
// images in place, with several outputs of a row in registers.
//
// Nothing depends on the number of workers but the time and the scratch memory.
package conv

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// Shape describes a convolution. All sizes, strides, dilations and the group count are at least one, the pads at least zero.
type Shape struct {
	N, H, W, C                           int // the input
	O, KH, KW                            int // output channels and window
	OH, OW                               int // the output's height and width
	StrideH, StrideW, DilH, DilW         int
	PadTop, PadLeft, PadBottom, PadRight int
	Group                                int  // divides C and O
	Direct                               bool // no Winograd, whose last digits are less exact
}

// Out returns the output height and width that the other fields imply.
func (s Shape) Out() (oh, ow int) {
	oh = (s.H+s.PadTop+s.PadBottom-(s.KH-1)*s.DilH-1)/s.StrideH + 1
	ow = (s.W+s.PadLeft+s.PadRight-(s.KW-1)*s.DilW-1)/s.StrideW + 1
	return oh, ow
}

// Depthwise reports whether every channel is convolved by itself into one output channel.
func (s Shape) Depthwise() bool { return s.Group == s.C && s.C == s.O && s.C > 1 }

// check panics when s is not a convolution or a slice is too short.
func (s Shape) check(op string, y, x, w, scratch, need int) {
	oh, ow := s.Out()
	switch {
	case min(s.H, s.W, s.C, s.O, s.KH, s.KW, s.StrideH, s.StrideW, s.DilH, s.DilW, s.Group) < 1,
		min(s.PadTop, s.PadLeft, s.PadBottom, s.PadRight) < 0, s.C%s.Group != 0, s.O%s.Group != 0,
		s.OH != oh, s.OW != ow, oh < 1, ow < 1:
		panic(fmt.Sprintf("conv: %s: impossible shape %+v", op, s))
	case x < s.N*s.H*s.W*s.C, w < s.O*s.KH*s.KW*(s.C/s.Group), y < s.N*s.OH*s.OW*s.O, scratch < need:
		panic(fmt.Sprintf("conv: %s: slices of %d (y), %d (x), %d (w) and %d (scratch, of %d) elements are too short for %+v",
			op, y, x, w, scratch, need, s))
	}
}

// flat returns the same convolution with the images of a batch stacked into one, when it looks at one pixel at a time and keeps
// every pixel; then stripes may cross images.
func (s Shape) flat() Shape {
	if s.KH == 1 && s.KW == 1 && s.StrideH == 1 && s.StrideW == 1 && s.PadTop+s.PadLeft+s.PadBottom+s.PadRight == 0 {
		s.H *= s.N
		s.N, s.OH = 1, s.H
	}
	return s
}

// Forward computes y from x and w and finishes it as the epilogue says:
//
//	sum[n,i,j,o] = Σ_{p,q,c} w[o,p,q,c] · x[n, i·StrideH+p·DilH−PadTop, j·StrideW+q·DilW−PadLeft, g·C/Group+c]
//
// where g is the group of o and x counts as 0 outside the image. y overlaps neither x nor w. scratch has ScratchForward elements. A
// shape or slice that does not fit is a panic, here and below.
func Forward[T kernel.Float](p *parallel.Pool, s Shape, y, x []T, w Filter[T], e Epilogue[T], scratch []T) {
	weights := len(w.Raw)
	if w.Packed != nil {
		if len(w.Packed) < PackedLen(s) {
			panic(fmt.Sprintf("conv: forward: %d packed weights of %d", len(w.Packed), PackedLen(s)))
		}
		weights = s.O * s.KH * s.KW * (s.C / s.Group)
	}
	s.check("forward", len(y), len(x), weights, len(scratch), ScratchForward(s, p.Workers()))
	if e.Bias != nil && len(e.Bias) < s.O || e.Add != nil && len(e.Add) < s.N*s.OH*s.OW*s.O {
		panic(fmt.Sprintf("conv: forward: bias of %d and addend of %d elements for %d channels", len(e.Bias), len(e.Add), s.O))
	}
	if e.Moments != nil && (e.Add != nil || e.Act.Kind != kernel.Identity) {
		panic("conv: forward: moments are of the sum alone")
	}
	if s.Depthwise() {
		depthForward(p, s, y, x, w, e, scratch)
		return
	}
	if usesWinograd[T](s) {
		j := getTiles[T](s, false, p.Workers())
		j.run(p, y, x, w, e, scratch)
		j.put()
		return
	}
	j := get[T]()
	j.forward(s.flat())
	j.epilogue = e
	slots := 0
	if e.Moments != nil {
		slots = j.units() * gatherLen(s.O)
		j.gather.channels, j.gather.slots = s.O, scratch[:slots]
	}
	j.run(p, y, x, w, e.Bias, scratch[slots:])
	if e.Moments != nil {
		j.gather.combine(p, j.units(), e.Moments)
		if j.apart && e.Bias != nil { // which came after the moments were taken
			for c, b := range e.Bias[:s.O] {
				e.Moments.Mean[c] += float64(b)
			}
		}
	}
	put(j)
}

// DataGrad computes dx, the gradient of a scalar by x, from dy, its gradient by y. scratch has ScratchDataGrad elements.
func DataGrad[T kernel.Float](p *parallel.Pool, s Shape, dx, dy, w []T, scratch []T) {
	s.check("data gradient", len(dy), len(dx), len(w), len(scratch), ScratchDataGrad(s, p.Workers()))
	if s.Depthwise() {
		depthDataGrad(p, s, dx, dy, w, scratch)
		return
	}
	if usesWinograd[T](s) {
		j := getTiles[T](s, true, p.Workers())
		j.run(p, dx, dy, Filter[T]{Raw: w}, Epilogue[T]{}, scratch)
		j.put()
		return
	}
	j := get[T]()
	j.dataGrad(s.flat())
	j.run(p, dx, dy, Filter[T]{Raw: w}, nil, scratch)
	put(j)
}

// WeightGrad computes dw, the gradient of a scalar by w, from x and dy. scratch has ScratchWeightGrad elements.
func WeightGrad[T kernel.Float](p *parallel.Pool, s Shape, dw, x, dy []T, scratch []T) {
	s.check("weight gradient", len(dy), len(x), len(dw), len(scratch), ScratchWeightGrad(s, p.Workers()))
	if s.Depthwise() {
		depthWeightGrad(p, s, dw, x, dy, scratch)
		return
	}
	if usesWinograd[T](s) {
		weightGradByTiles(p, s, dw, x, dy, scratch)
		return
	}
	if s.pointwise() {
		pointWeightGrad(p, s, dw, x, dy, scratch)
		return
	}
	weightGrad(p, s.flat(), dw, x, dy, scratch)
}

// ScratchForward returns the elements of scratch memory Forward needs on a pool of so many workers.
func ScratchForward(s Shape, workers int) int {
	if s.Depthwise() {
		return PackedLen(s) + depthUnits(s)*gatherLen(s.O)
	}
	g := forwardGrid(s.flat())
	n := g.units()*gatherLen(s.O) + packedLen(s, s.C, s.O) + g.scratch(workers)
	if s.winograd() {
		t := tilingOf(s)
		n = max(n, t.packedLen()+t.scratchLen(workers))
	}
	return n
}

// ScratchDataGrad returns the elements of scratch memory DataGrad needs on a pool of so many workers.
func ScratchDataGrad(s Shape, workers int) int {
	if s.Depthwise() {
		return PackedLen(s)
	}
	g := dataGrid(s.flat())
	n := packedLen(s, s.O, s.C) + g.scratch(workers)
	if s.winograd() {
		t := tilingOf(s.adjoint())
		n = max(n, t.packedLen()+t.scratchLen(workers))
	}
	return n
}

// packedLen is the size of packed weights from in to out channels: for each group a row for each tap and input channel, of the
// output channels rounded up to whole vectors. A depthwise convolution has one row of channels for each tap.
func packedLen(s Shape, in, out int) int {
	if s.Depthwise() {
		return s.KH*s.KW*roundUp(s.C) + kernel.Lanes
	}
	return s.KH*s.KW*in*roundUp(out/s.Group) + kernel.Lanes
}

func roundUp(n int) int { return (n + kernel.Lanes - 1) / kernel.Lanes * kernel.Lanes }

// jobs keeps idle jobs of both directions, by the size of their element, so that a call does not allocate.
var jobs [2]sync.Pool

func get[T kernel.Float]() *job[T] {
	var t T
	if j, ok := jobs[unsafe.Sizeof(t)/8].Get().(*job[T]); ok {
		return j
	}
	j := new(job[T])
	j.packFn, j.unitFn, j.finishFn = j.pack, j.compute, j.finish
	return j
}

func put[T kernel.Float](j *job[T]) {
	var t T
	j.dst, j.src, j.weights, j.bias, j.packed, j.copied = nil, nil, nil, nil, nil, nil
	j.epilogue = Epilogue[T]{}
	jobs[unsafe.Sizeof(t)/8].Put(j)
}
