package kernel

import "fmt"

// DepthRow and DepthSums are products channel by channel, as in a depthwise convolution. Both slide a window along rows of pixels.

// Slide is how a window moves along a row of pixels: output j meets the columns j·Stride−Left to j·Stride−Left+KW−1 of an image row of
// Width pixels, where those exist.
type Slide struct {
	N, Width, KW, Stride int
	Channels             int
	YStep, XStep, WStep  int // elements from one output, pixel or column of the window to the next
	// Unless 0, how far behind the last image row, and behind the outputs, lie those that DepthRow will be called for next: it may ask memory
	// for them.
	AheadX, AheadY int
}

// WindowRow is one row of a window over one row of an image.
type WindowRow struct {
	X    int // offset of the first pixel of the image row
	W    int // offset of the first column of the window row
	Left int // columns of the window before the first pixel at output 0; may be negative
}

// Finish is what DepthRow does with a sum before and when it stores it as y.
type Finish[T Float] struct {
	Bounded   bool
	Low, High T // where Bounded: y = min(max(sum, Low), High); a NaN stays
	// Unless Pivot is nil, outputs are counted: Sum[c] += Σ (y − Pivot[c]) and Squares[c] += Σ (y − Pivot[c])², with order and error
	// as in Moments.
	Pivot, Sum, Squares []T
}

// DepthRow computes a row of outputs, channel by channel:
//
//	for j := range N {
//		for c := range Channels {
//			sum := 0, or bias[c]
//			for _, r := range rows {
//				for q := range KW {
//					if u := j*Stride + q - r.Left; 0 <= u && u < Width {
//						sum += x[r.X+u*XStep+c] * w[r.W+q*WStep+c]
//					}
//				}
//			}
//			y[j*YStep+c] = sum, finished as f says
//		}
//	}
//
// All variants add in this order. bias may be nil; WStep may be negative.
func DepthRow[T Float](g *Slide, y, x, w, bias []T, rows []WindowRow, f Finish[T]) {
	g.check("DepthRow", len(y), 0, 1, len(x), 0, len(w), rows)
	if bias != nil && len(bias) < g.Channels {
		panic("kernel: DepthRow: the bias is too short")
	}
	if f.Pivot != nil {
		f.Pivot, f.Sum, f.Squares = f.Pivot[:g.Channels], f.Sum[:g.Channels], f.Squares[:g.Channels]
	}
	if single[T]() && depthRowAsm(g, as32(y), as32(x), as32(w), as32(bias), rows, Finish[float32]{
		f.Bounded, float32(f.Low), float32(f.High), as32(f.Pivot), as32(f.Sum), as32(f.Squares),
	}) {
		return
	}
	depthRowGo(g, y, x, w, bias, rows, f)
}

// DepthSums adds to the gradient of the window what segs rows of outputs give, the first of which meets the image rows of rows, and
// the next ones those XSeg further on:
//
//	for _, r := range rows {
//		for q := range KW {
//			for c := range Channels {
//				sum := 0
//				for s := range segs {
//					for j := range N {
//						if u := j*Stride + q - r.Left; 0 <= u && u < Width {
//							sum += x[r.X+s*xSeg+u*XStep+c] * dy[s*ySeg+j*YStep+c]
//						}
//					}
//				}
//				dw[r.W+q*WStep+c] += sum
//			}
//		}
//	}
//
// The order of the sums depends on the variant and the shape. No two columns of the window are the same memory.
func DepthSums[T Float](g *Slide, dw, x, dy []T, rows []WindowRow, xSeg, ySeg, segs int) {
	g.check("DepthSums", len(dy), ySeg, segs, len(x), xSeg, len(dw), rows)
	if single[T]() && depthSumsAsm(g, as32(dw), as32(x), as32(dy), rows, xSeg, ySeg, segs) {
		return
	}
	depthSumsGo(g, dw, x, dy, rows, xSeg, ySeg, segs)
}

// check panics unless all that g and rows reach lies in slices of y, x and w elements.
func (g *Slide) check(op string, y, ySeg, segs, x, xSeg, w int, rows []WindowRow) {
	if min(g.N, g.Width, g.KW, g.Channels, segs) < 0 || min(g.Stride, g.YStep, g.XStep, ySeg+1, xSeg+1) < 1 {
		panic(fmt.Sprintf("kernel: %s: impossible geometry %+v", op, *g))
	}
	if min(g.N, g.Channels, segs, g.KW, g.Width) == 0 {
		return
	}
	first, last := min(0, (g.KW-1)*g.WStep), max(0, (g.KW-1)*g.WStep)
	row := (segs-1)*xSeg + (g.Width-1)*g.XStep + g.Channels
	bad := y < (segs-1)*ySeg+(g.N-1)*g.YStep+g.Channels
	for _, r := range rows {
		bad = bad || r.X < 0 || r.X+row > x || r.W+first < 0 || r.W+last+g.Channels > w
	}
	if bad {
		panic(fmt.Sprintf("kernel: %s: slices of %d (y), %d (x) and %d (w) elements are too short for %+v", op, y, x, w, *g))
	}
}

// meets returns the columns of the window, from lo to below hi, that lie in the image at output j.
func (g *Slide) meets(j, left int) (lo, hi int) {
	return max(0, left-j*g.Stride), min(g.KW, g.Width+left-j*g.Stride)
}

// depthRowGo is the twin of DepthRow: tap by tap, over the channels of an output.
func depthRowGo[T Float](g *Slide, y, x, w, bias []T, rows []WindowRow, f Finish[T]) {
	for j := range g.N {
		dst := y[j*g.YStep:][:g.Channels]
		if bias == nil {
			clear(dst)
		} else {
			copy(dst, bias)
		}
		for _, r := range rows {
			q, hi := g.meets(j, r.Left)
			a, b := r.X+(j*g.Stride+q-r.Left)*g.XStep, r.W+q*g.WStep
			for ; q+3 <= hi; q += 3 { // three taps for one read and write of dst
				a0, a1, a2 := x[a:][:len(dst)], x[a+g.XStep:][:len(dst)], x[a+2*g.XStep:][:len(dst)]
				w0, w1, w2 := w[b:][:len(dst)], w[b+g.WStep:][:len(dst)], w[b+2*g.WStep:][:len(dst)]
				for i, sum := range dst {
					sum += a0[i] * w0[i]
					sum += a1[i] * w1[i]
					sum += a2[i] * w2[i]
					dst[i] = sum
				}
				a, b = a+3*g.XStep, b+3*g.WStep
			}
			for ; q < hi; q++ {
				a0, w0 := x[a:][:len(dst)], w[b:][:len(dst)]
				for i := range dst {
					dst[i] += a0[i] * w0[i]
				}
				a, b = a+g.XStep, b+g.WStep
			}
		}
		if f.Bounded {
			for i, v := range dst {
				dst[i] = under(over(v, f.Low), f.High)
			}
		}
		if f.Pivot != nil {
			for i, v := range dst {
				v -= f.Pivot[i]
				f.Sum[i] += v
				f.Squares[i] += v * v
			}
		}
	}
}

// depthSumsGo is the twin of DepthSums: for some channels at a time, tap by tap along the outputs.
func depthSumsGo[T Float](g *Slide, dw, x, dy []T, rows []WindowRow, xSeg, ySeg, segs int) {
	var room [64]T
	for c := 0; c < g.Channels; c += len(room) {
		sum := room[:min(len(room), g.Channels-c)]
		for _, r := range rows {
			for q := range g.KW {
				clear(sum)
				lo, hi := g.outputs(q, r.Left)
				for s := range segs {
					a, b := r.X+s*xSeg+(lo*g.Stride+q-r.Left)*g.XStep+c, s*ySeg+lo*g.YStep+c
					for range hi - lo {
						p, d := x[a:][:len(sum)], dy[b:][:len(sum)]
						for i := range sum {
							sum[i] += p[i] * d[i]
						}
						a, b = a+g.Stride*g.XStep, b+g.YStep
					}
				}
				for i, v := range sum {
					dw[r.W+q*g.WStep+c+i] += v
				}
			}
		}
	}
}

// outputs returns the outputs, from lo to below hi, at which column q of the window lies in the image.
func (g *Slide) outputs(q, left int) (lo, hi int) {
	lo = max(0, ceilDiv(left-q, g.Stride))
	hi = min(g.N, ceilDiv(g.Width+left-q, g.Stride))
	return lo, max(lo, hi)
}

// ceilDiv is a/b rounded up, for b > 0.
func ceilDiv(a, b int) int {
	if a <= 0 {
		return -(-a / b)
	}
	return (a + b - 1) / b
}
