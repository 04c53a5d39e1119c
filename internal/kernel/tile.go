package kernel

// The two tile kernels below carry every matrix product and convolution.
//
// Dot reads rows of a that lie anywhere, each a few runs of consecutive elements, against a packed panel of b. Outer reads
// columns of a that are consecutive and b as it lies. So the first one serves products and convolutions over an unpacked
// image, the second one their weight gradients.

// Slack is how many elements past its last column Outer may read in a.
const Slack = 32

// PanelWidth returns the width of the panel to pack when cols columns remain: a multiple of the variant's vector, at most
// 48 and cols rounded up to a multiple of Lanes.
func PanelWidth[T Float](cols int) int {
	if single[T]() {
		return panelWidth(cols)
	}
	return goPanel
}

// goPanel is the panel width of the Go twins.
const goPanel = 4

// Dot multiplies scattered rows with a panel:
//
//	for r := range aRow {
//		for j := range cols {
//			sum := 0, or c[cRow[r]+j] if add
//			for t := range taps {
//				for k := range kc {
//					sum += a[aRow[r]+taps[t]+k] * b[(t*kc+k)*nr+j]
//				}
//			}
//			c[cRow[r]+j] = sum
//		}
//	}
//
// The twin adds in this order. nr is a width that PanelWidth returned, 1 ≤ cols ≤ nr; the panel b has len(taps)·kc·nr elements, with
// any finite value in the columns from cols on. cRow and aRow are equally long. c overlaps neither a nor b.
func Dot[T Float](c []T, cRow []int, a []T, aRow, taps []int, kc int, b []T, nr, cols int, add bool) {
	if len(cRow) != len(aRow) || cols < 1 || cols > nr || len(b) < len(taps)*kc*nr {
		panic("kernel: Dot: lengths do not fit")
	}
	if len(aRow) == 0 {
		return
	}
	if single[T]() && dotAsm(as32(c), cRow, nil, as32(a), aRow, taps, kc, as32(b), nr, cols, add) {
		return
	}
	dotGo(c, cRow, a, aRow, taps, kc, b, nr, cols, add)
}

// DotFrom is Dot with add, where all rows start at row, which has cols elements, and not at c.
func DotFrom[T Float](c []T, cRow []int, row, a []T, aRow, taps []int, kc int, b []T, nr, cols int) {
	if len(cRow) != len(aRow) || cols < 1 || cols > nr || len(b) < len(taps)*kc*nr || len(row) < cols {
		panic("kernel: DotFrom: lengths do not fit")
	}
	if len(aRow) == 0 {
		return
	}
	if single[T]() && dotAsm(as32(c), cRow, as32(row), as32(a), aRow, taps, kc, as32(b), nr, cols, true) {
		return
	}
	for _, r := range cRow {
		copy(c[r:][:cols], row)
	}
	dotGo(c, cRow, a, aRow, taps, kc, b, nr, cols, true)
}

// Outer sums outer products of pixels:
//
//	for r := range rows {
//		for j := range nr {
//			sum := 0, or c[r*ldc+j] if add
//			for s := range segs {
//				for i := range n {
//					sum += a[s*aSeg+i*aStep+r] * b[s*bSeg+i*bStep+j]   (0 for j ≥ cols)
//				}
//			}
//			c[r*ldc+j] = sum
//		}
//	}
//
// The twin adds in this order. nr is a width that PanelWidth returned, 1 ≤ cols ≤ nr. a may be read up to Slack elements past column
// rows-1 of each pixel, so it must be that much longer; what lies there does not matter. Nothing else is read past its end.
// c overlaps neither a nor b.
func Outer[T Float](c []T, ldc int, a []T, aStep, aSeg int, b []T, bStep, bSeg, segs, n, rows, nr, cols int, add bool) {
	if cols < 1 || cols > nr || rows < 0 || segs < 0 || n < 0 {
		panic("kernel: Outer: negative length")
	}
	if rows == 0 {
		return
	}
	if segs == 0 || n == 0 {
		segs, n = 0, 0
	} else if last := (segs-1)*aSeg + (n-1)*aStep + rows + Slack; last > len(a) {
		panic("kernel: Outer: a is too short")
	}
	if single[T]() && outerAsm(as32(c), ldc, as32(a), aStep, aSeg, as32(b), bStep, bSeg, segs, n, rows, nr, cols, add) {
		return
	}
	outerGo(c, ldc, a, aStep, aSeg, b, bStep, bSeg, segs, n, rows, nr, cols, add)
}

// dotGo is the twin of Dot, in tiles of 4×4 and, at the lower and right edge, of single elements.
func dotGo[T Float](c []T, cRow []int, a []T, aRow, taps []int, kc int, b []T, nr, cols int, add bool) {
	for r := 0; r < len(aRow); r += 4 {
		rows := min(4, len(aRow)-r)
		for j := 0; j < cols; j += 4 {
			if rows == 4 && j+4 <= nr {
				dotTile(c, (*[4]int)(cRow[r:]), a, (*[4]int)(aRow[r:]), taps, kc, b, nr, j, min(4, cols-j), add)
				continue
			}
			for i := r; i < r+rows; i++ {
				dotRow(c[cRow[i]:], a, aRow[i], taps, kc, b, nr, j, min(4, cols-j), add)
			}
		}
	}
}

// dotTile does four rows and the columns j to j+cols, cols ≤ 4, as two halves of two rows, whose eight sums fit the registers.
func dotTile[T Float](c []T, cRow *[4]int, a []T, aRow *[4]int, taps []int, kc int, b []T, nr, j, cols int, add bool) {
	for h := 0; h < 4; h += 2 {
		var s00, s01, s02, s03, s10, s11, s12, s13 T
		if add {
			var t [2][4]T
			copy(t[0][:cols], c[cRow[h]+j:])
			copy(t[1][:cols], c[cRow[h+1]+j:])
			s00, s01, s02, s03 = t[0][0], t[0][1], t[0][2], t[0][3]
			s10, s11, s12, s13 = t[1][0], t[1][1], t[1][2], t[1][3]
		}
		panel := b[j:]
		for _, tap := range taps {
			a0 := a[aRow[h]+tap:][:kc]
			a1 := a[aRow[h+1]+tap:][:kc]
			for k, x0 := range a0 {
				x1 := a1[k]
				q := (*[4]T)(panel[k*nr:])
				s00 += x0 * q[0]
				s01 += x0 * q[1]
				s02 += x0 * q[2]
				s03 += x0 * q[3]
				s10 += x1 * q[0]
				s11 += x1 * q[1]
				s12 += x1 * q[2]
				s13 += x1 * q[3]
			}
			panel = panel[min(kc*nr, len(panel)):]
		}
		t := [2][4]T{{s00, s01, s02, s03}, {s10, s11, s12, s13}}
		copy(c[cRow[h]+j:], t[0][:cols])
		copy(c[cRow[h+1]+j:], t[1][:cols])
	}
}

// dotRow does one row and the columns j to j+cols.
func dotRow[T Float](c, a []T, row int, taps []int, kc int, b []T, nr, j, cols int, add bool) {
	for ; cols > 0; j, cols = j+1, cols-1 {
		var sum T
		if add {
			sum = c[j]
		}
		for t, tap := range taps {
			p := t*kc*nr + j
			for _, x := range a[row+tap:][:kc] {
				sum += x * b[p]
				p += nr
			}
		}
		c[j] = sum
	}
}

// outerGo is the twin of Outer, in tiles of 4×4 and, at the edges, of single elements.
func outerGo[T Float](c []T, ldc int, a []T, aStep, aSeg int, b []T, bStep, bSeg, segs, n, rows, nr, cols int, add bool) {
	for r := 0; r < rows; r += 4 {
		for j := 0; j < nr; j += 4 {
			if r+4 <= rows && j+4 <= cols {
				outerTile(c[r*ldc+j:], ldc, a[r:], aStep, aSeg, b[j:], bStep, bSeg, segs, n, add)
				continue
			}
			for i := r; i < min(r+4, rows); i++ {
				for l := j; l < min(j+4, nr); l++ {
					var sum T
					if add {
						sum = c[i*ldc+l]
					}
					for s := 0; s < segs && l < cols; s++ {
						p, q := s*aSeg+i, s*bSeg+l
						for range n {
							sum += a[p] * b[q]
							p, q = p+aStep, q+bStep
						}
					}
					c[i*ldc+l] = sum
				}
			}
		}
	}
}

// outerTile does four rows and four columns, as two halves of two rows.
func outerTile[T Float](c []T, ldc int, a []T, aStep, aSeg int, b []T, bStep, bSeg, segs, n int, add bool) {
	for h := 0; h < 4; h += 2 {
		c0, c1 := (*[4]T)(c[h*ldc:]), (*[4]T)(c[(h+1)*ldc:])
		var s00, s01, s02, s03, s10, s11, s12, s13 T
		if add {
			s00, s01, s02, s03 = c0[0], c0[1], c0[2], c0[3]
			s10, s11, s12, s13 = c1[0], c1[1], c1[2], c1[3]
		}
		for s := range segs {
			p, q := s*aSeg+h, s*bSeg
			for range n {
				x, y := (*[2]T)(a[p:]), (*[4]T)(b[q:])
				s00 += x[0] * y[0]
				s01 += x[0] * y[1]
				s02 += x[0] * y[2]
				s03 += x[0] * y[3]
				s10 += x[1] * y[0]
				s11 += x[1] * y[1]
				s12 += x[1] * y[2]
				s13 += x[1] * y[3]
				p, q = p+aStep, q+bStep
			}
		}
		*c0 = [4]T{s00, s01, s02, s03}
		*c1 = [4]T{s10, s11, s12, s13}
	}
}
