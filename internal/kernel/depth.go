package kernel

// Depth and DepthOuter are Dot and Outer for a product channel by channel, as in a depthwise convolution.

// depthTaps is how many taps DepthOuter handles at once: as many offsets as the processor has registers for.
const depthTaps = 9

// Depth multiplies scattered rows of channels with weights, channel by channel:
//
//	for r := range aRow {
//		for i := range n {
//			sum := 0, or c[cRow[r]+i] if add
//			for t := range taps {
//				sum += a[aRow[r]+taps[t]+i] * w[t*ldw+i]
//			}
//			c[cRow[r]+i] = sum
//		}
//	}
//
// All variants add in this order. cRow and aRow are equally long; w has len(taps) rows of n at a distance of ldw.
func Depth[T Float](c []T, cRow []int, a []T, aRow, taps []int, w []T, ldw, n int, add bool) {
	if len(cRow) != len(aRow) || n < 0 || len(taps) > 0 && len(w) < (len(taps)-1)*ldw+n {
		panic("kernel: Depth: lengths do not fit")
	}
	if single[T]() && depthAsm(as32(c), cRow, as32(a), aRow, taps, as32(w), ldw, n, add) {
		return
	}
	depthGo(c, cRow, a, aRow, taps, w, ldw, n, add)
}

// DepthOuter sums products of pixels, channel by channel:
//
//	for t := range taps {
//		for r := range channels {
//			sum := 0, or c[t*ldc+r] if add
//			for s := range segs {
//				for i := range n {
//					sum += a[taps[t]+s*aSeg+i*aStep+r] * b[s*bSeg+i*bStep+r]
//				}
//			}
//			c[t*ldc+r] = sum
//		}
//	}
//
// All variants add in this order.
func DepthOuter[T Float](c []T, ldc int, a []T, aStep, aSeg int, taps []int, b []T, bStep, bSeg, segs, n, channels int, add bool) {
	if segs < 0 || n < 0 || channels < 0 {
		panic("kernel: DepthOuter: negative length")
	}
	for len(taps) > 0 {
		t := min(depthTaps, len(taps))
		if !single[T]() || !depthOuterAsm(as32(c), ldc, as32(a), aStep, aSeg, taps[:t], as32(b), bStep, bSeg, segs, n, channels, add) {
			depthOuterGo(c, ldc, a, aStep, aSeg, taps[:t], b, bStep, bSeg, segs, n, channels, add)
		}
		taps = taps[t:]
		c = c[min(t*ldc, len(c)):]
	}
}

// depthGo is the twin of Depth: tap by tap, over the channels of a row.
func depthGo[T Float](c []T, cRow []int, a []T, aRow, taps []int, w []T, ldw, n int, add bool) {
	for r, row := range aRow {
		dst := c[cRow[r]:][:n]
		if !add {
			clear(dst)
		}
		t := 0
		for ; t+3 <= len(taps); t += 3 { // three taps for one read and write of dst
			a0, a1, a2 := a[row+taps[t]:][:len(dst)], a[row+taps[t+1]:][:len(dst)], a[row+taps[t+2]:][:len(dst)]
			w0, w1, w2 := w[t*ldw:][:len(dst)], w[(t+1)*ldw:][:len(dst)], w[(t+2)*ldw:][:len(dst)]
			for i, sum := range dst {
				sum += a0[i] * w0[i]
				sum += a1[i] * w1[i]
				sum += a2[i] * w2[i]
				dst[i] = sum
			}
		}
		for ; t < len(taps); t++ {
			a0, w0 := a[row+taps[t]:][:len(dst)], w[t*ldw:][:len(dst)]
			for i := range dst {
				dst[i] += a0[i] * w0[i]
			}
		}
	}
}

// depthOuterGo is the twin of DepthOuter: pixel by pixel, over the channels.
func depthOuterGo[T Float](c []T, ldc int, a []T, aStep, aSeg int, taps []int, b []T, bStep, bSeg, segs, n, channels int, add bool) {
	for t, tap := range taps {
		dst := c[t*ldc:][:channels]
		if !add {
			clear(dst)
		}
		for s := range segs {
			i := 0
			for ; i+2 <= n; i += 2 {
				p, q := tap+s*aSeg+i*aStep, s*bSeg+i*bStep
				a0, a1 := a[p:][:len(dst)], a[p+aStep:][:len(dst)]
				b0, b1 := b[q:][:len(dst)], b[q+bStep:][:len(dst)]
				for r, sum := range dst {
					sum += a0[r] * b0[r]
					sum += a1[r] * b1[r]
					dst[r] = sum
				}
			}
			for ; i < n; i++ {
				a0, b0 := a[tap+s*aSeg+i*aStep:][:len(dst)], b[s*bSeg+i*bStep:][:len(dst)]
				for r := range dst {
					dst[r] += a0[r] * b0[r]
				}
			}
		}
	}
}
