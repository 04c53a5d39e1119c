//go:build amd64 && !purego

package kernel

import "golang.org/x/sys/cpu"

//go:generate sh -c "cd _gen && go run . -out ../tile_amd64.s -stubs ../tile_amd64.go -pkg kernel"

func fastest() variant {
	switch {
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL:
		return avx512
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return avx2
	}
	return goTwin
}

// keep holds the masks of the last vectors of a row: &keep[16-n] is 16 lanes of which the first n are set.
var keep = [32]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

// panelWidth avoids a narrow last panel: 64 columns are two panels of 32.
func panelWidth(cols int) int {
	vecs := (cols + Lanes - 1) / Lanes
	switch {
	case active == goTwin:
		return goPanel
	case active == avx2:
		return Lanes
	case vecs == 4:
		return 2 * Lanes
	}
	return min(max(vecs, 1), 3) * Lanes
}

// dotAsm does Dot by tiles of rows; row is where the sums of DotFrom start, or nil. It leaves empty sums to the twin.
func dotAsm(c []float32, cRow []int, row, a []float32, aRow, taps []int, kc int, b []float32, nr, cols int, add bool) bool {
	if active == goTwin || len(taps) == 0 || kc == 0 {
		return false
	}
	tile := 8
	if active == avx2 {
		tile = 6
	}
	mask := &keep[nr-cols]
	var lastC, lastA, same [8]int
	for len(aRow) > 0 {
		pc, pa := &cRow[0], &aRow[0]
		n := min(tile, len(aRow))
		if n < tile { // repeat the last row
			for i := range tile {
				lastC[i], lastA[i] = cRow[min(i, n-1)], aRow[min(i, n-1)]
			}
			pc, pa = &lastC[0], &lastA[0]
		}
		var start *float32
		from := pc
		switch {
		case row != nil:
			start, from = &row[0], &same[0]
		case add:
			start = &c[0]
		}
		switch {
		case active == avx2:
			dotAVX2_6x16(&c[0], pc, start, from, &a[0], pa, &taps[0], len(taps), kc, &b[0], mask)
		case nr == 16:
			dotAVX512_8x16(&c[0], pc, start, from, &a[0], pa, &taps[0], len(taps), kc, &b[0], mask)
		case nr == 32:
			dotAVX512_8x32(&c[0], pc, start, from, &a[0], pa, &taps[0], len(taps), kc, &b[0], mask)
		default:
			dotAVX512_8x48(&c[0], pc, start, from, &a[0], pa, &taps[0], len(taps), kc, &b[0], mask)
		}
		cRow, aRow = cRow[n:], aRow[n:]
	}
	return true
}

// outerAsm does Outer by tiles of rows, the largest first.
func outerAsm(c []float32, ldc int, a []float32, aStep, aSeg int, b []float32, bStep, bSeg, segs, n, rows, nr, cols int, add bool) bool {
	if active == goTwin || segs == 0 {
		return false
	}
	mask := &keep[nr-cols]
	ldc4, aStep, aSeg, bStep, bSeg := 4*ldc, 4*aStep, 4*aSeg, 4*bStep, 4*bSeg
	for r := 0; r < rows; {
		pc, pa, left, tile := &c[r*ldc], &a[r], rows-r, 0
		switch {
		case active == avx2 && cols == nr && left > 4:
			tile = 6
			outerAVX2_6x16(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		case active == avx2:
			tile = 4
			outerAVX2_4x16(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		case nr == 16 && left > 16:
			tile = 24
			outerAVX512_24x16(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		case nr == 16 && left > 8:
			tile = 16
			outerAVX512_16x16(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		case nr == 16:
			tile = 8
			outerAVX512_8x16(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		case nr == 32 && left > 4:
			tile = 12
			outerAVX512_12x32(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		case nr == 32:
			tile = 4
			outerAVX512_4x32(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		case left > 4:
			tile = 8
			outerAVX512_8x48(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		default:
			tile = 4
			outerAVX512_4x48(pc, ldc4, pa, aStep, aSeg, &b[0], bStep, bSeg, segs, n, min(tile, left), mask, add)
		}
		r += tile
	}
	return true
}
