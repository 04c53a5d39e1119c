//go:build amd64 && !purego

package kernel

// depthRows is how many rows of a window one call of the assembly takes; more take more calls, each adding to what the one before stored.
const depthRows = 8

// depthRowAsm does DepthRow in tiles of outputs. Where there is no code for a window, its columns become windows of one column.
func depthRowAsm(g *Slide, y, x, w, bias []float32, rows []WindowRow, f Finish[float32]) bool {
	if active == goTwin {
		return false
	}
	if g.N == 0 || g.Channels == 0 {
		return true
	}
	one, add := *g, false
	if k := g.KW; k != 1 && !(g.Stride == 1 && (k < 6 || k == 7) || g.Stride == 2 && (k == 3 || k == 5 || k == 7)) {
		one.KW = 1
	}
	var room [depthRows]WindowRow
	var later Finish[float32]
	n, columns := 0, g.KW/max(1, one.KW)
	for _, r := range rows {
		for q := range columns {
			if n == depthRows {
				depthRowTiles(&one, y, x, w, bias, room[:], &later, add)
				n, add = 0, true
			}
			room[n] = WindowRow{X: r.X, W: r.W + q*g.WStep, Left: r.Left - q}
			n++
		}
	}
	depthRowTiles(&one, y, x, w, bias, room[:n], &f, add)
	return true
}

// depthRowTiles cuts the outputs into tiles: at an edge one by one, between the edges many at once.
func depthRowTiles(g *Slide, y, x, w, bias []float32, rows []WindowRow, f *Finish[float32], add bool) {
	tile := 8
	if active == avx2 {
		tile = min(tile, 14-g.KW)
	}
	var first *float32
	if bias != nil {
		first = &bias[0]
	}
	var pivot, sum, squares *float32
	if f.Pivot != nil {
		pivot, sum, squares = &f.Pivot[0], &f.Sum[0], &f.Squares[0]
	}
	mask := &keep[Lanes-g.Channels%lanes()]
	// With one column a tile steps from output to output, else from pixel to pixel.
	step, pixels := 1, (tile-1)*g.Stride+g.KW
	if g.KW == 1 {
		step, pixels = g.Stride, tile
	}
	least, most := 0, 0
	for i, r := range rows {
		if i == 0 {
			least, most = r.Left, r.Left
		}
		least, most = min(least, r.Left), max(most, r.Left)
	}
	// Outputs before inner start at pixels of all rows and those before outer end at such.
	inner, outer := ceilDiv(most, g.Stride), floorDiv(g.Width+least-g.KW, g.Stride)+1
	limit := max(1, stretch/(tile*g.Channels)) // tiles of a call
	px, pw := &y[0], &y[0]
	if len(rows) > 0 {
		px, pw = &x[0], &w[0]
	}
	var table [4 * depthRows]int
	for j := 0; j < g.N; {
		at := j * g.Stride
		outs, tiles := min(tile, g.N-j), 1
		edge := outs < tile || j < inner || j+tile > outer
		n := len(rows)
		if edge {
			n = 0
			for _, r := range rows {
				begin, end := r.Left-at, g.Width+r.Left-at
				if step > 1 {
					begin, end = ceilDiv(begin, step), ceilDiv(end, step)
				}
				begin, end = max(0, begin), min(end, pixels-(tile-outs)*g.Stride/step)
				if begin < end {
					table[4*n], table[4*n+1], table[4*n+2], table[4*n+3] = 4*(r.X+(begin*step+at-r.Left)*g.XStep), 4*r.W, begin, end
					n++
				}
			}
		} else {
			tiles = min(limit, (min(outer, g.N)-j)/tile)
			for i, r := range rows {
				table[4*i], table[4*i+1] = 4*(r.X+(at-r.Left)*g.XStep), 4*r.W
			}
		}
		depthRowCall(g.KW, g.Stride, &y[j*g.YStep], 4*g.YStep, px, 4*step*g.XStep, &table[0], n, pw, 4*g.WStep, first, g.Channels, mask,
			tiles, outs, 4*g.AheadX, 4*g.AheadY, f.Low, f.High, pivot, sum, squares, f.Bounded, edge, add)
		j += tiles * outs
	}
}

func lanes() int {
	if active == avx2 {
		return 8
	}
	return Lanes
}

// depthSumsAsm does DepthSums, some rows of the window at a time.
func depthSumsAsm(g *Slide, dw, x, dy []float32, rows []WindowRow, xSeg, ySeg, segs int) bool {
	if active == goTwin {
		return false
	}
	if g.N == 0 || g.Channels == 0 || segs == 0 || g.Width == 0 {
		return true
	}
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Left == rows[0].Left {
			n++
		}
		depthSumsRows(g, dw, x, dy, rows[:n], xSeg, ySeg, segs)
		rows = rows[n:]
	}
	return true
}

// depthSumsRows does rows of the window that start at the same column. Each output sees a range of columns of the window; from
// left to right its start falls to 0 and then its end falls. Where an output is cut on both sides, or where there is no code for the
// window, its columns are done one by one.
func depthSumsRows(g *Slide, dw, x, dy []float32, rows []WindowRow, xSeg, ySeg, segs int) {
	left, k := rows[0].Left, g.KW
	if k == 3 || k == 5 || k == 7 {
		first, last := max(0, ceilDiv(left-k+1, g.Stride)), min(g.N, ceilDiv(g.Width+left, g.Stride)) // the outputs that see anything
		if first >= last {
			return
		}
		lefts := min(last, max(first, ceilDiv(left, g.Stride))) // the first output that sees column 0
		rights := min(last, max(first, floorDiv(g.Width+left-k, g.Stride)+1))
		if lefts <= rights {
			depthSumsGroups(g, dw, x, dy, rows, xSeg, ySeg, segs, first, lefts, rights, last)
			return
		}
	}
	one := *g
	one.KW = 1
	var column [1]WindowRow
	for _, r := range rows {
		for q := range k {
			column[0] = WindowRow{X: r.X, W: r.W + q*g.WStep, Left: r.Left - q}
			if first, last := one.outputs(0, r.Left-q); first < last {
				depthSumsGroups(&one, dw, x, dy, column[:], xSeg, ySeg, segs, first, first, last, last)
			}
		}
	}
}

// depthSumsGroups calls the assembly for outputs first to last, of which those from lefts to rights see the whole window.
func depthSumsGroups(g *Slide, dw, x, dy []float32, rows []WindowRow, xSeg, ySeg, segs, first, lefts, rights, last int) {
	const most = 5
	group := 1
	switch {
	case g.KW == 3:
		group = 3
	case g.KW == 5 && active == avx512:
		group = 5
	case g.KW == 7 && active == avx512:
		group = 4
	case g.KW == 5:
		group = 2
	}
	left := rows[0].Left
	q0, q1 := left-first*g.Stride, g.Width+left-rights*g.Stride
	mask := &keep[Lanes-g.Channels%lanes()]
	block := max(1, stretch/(max(1, last-first)*g.Channels)) // segments of one call
	var table [2 * most]int
	for len(rows) > 0 {
		n := min(group, len(rows))
		for i := range group {
			r := rows[min(i, n-1)]
			table[2*i], table[2*i+1] = 4*(r.X+(first*g.Stride-left)*g.XStep), 4*r.W
		}
		for s := 0; s < segs; s += block {
			depthSumsCall(g.KW, &dw[0], 4*g.WStep, &x[s*xSeg], 4*g.XStep, 4*xSeg, 4*g.Stride*g.XStep, &table[0], n, &dy[s*ySeg+first*g.YStep],
				4*g.YStep, 4*ySeg, min(block, segs-s), lefts-first, q0, rights-lefts, last-rights, q1, g.Stride, g.Channels, mask)
		}
		rows = rows[n:]
	}
}

// floorDiv is a/b rounded down, for b > 0.
func floorDiv(a, b int) int { return -ceilDiv(-a, b) }

// depthRowCall calls the code of a window. A window of one column has one, for all strides.
func depthRowCall(k, stride int, y *float32, yStep int, x *float32, xStep int, rows *int, nrows int, w *float32, wStep int, bias *float32, channels int, mask *int32, tiles, outs, aheadX, aheadY int, low, high float32, pivot, sum, squares *float32, bounded, edge, add bool) {
	if k == 1 {
		stride = 1
	}
	switch {
	case active == avx2 && k == 1 && stride == 1:
		depthRowAVX2_1s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx2 && k == 2 && stride == 1:
		depthRowAVX2_2s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx2 && k == 3 && stride == 1:
		depthRowAVX2_3s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx2 && k == 4 && stride == 1:
		depthRowAVX2_4s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx2 && k == 5 && stride == 1:
		depthRowAVX2_5s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx2 && k == 7 && stride == 1:
		depthRowAVX2_7s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx2 && k == 3 && stride == 2:
		depthRowAVX2_3s2(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx2 && k == 5 && stride == 2:
		depthRowAVX2_5s2(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx2 && k == 7 && stride == 2:
		depthRowAVX2_7s2(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 1 && stride == 1:
		depthRowAVX512_1s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 2 && stride == 1:
		depthRowAVX512_2s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 3 && stride == 1:
		depthRowAVX512_3s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 4 && stride == 1:
		depthRowAVX512_4s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 5 && stride == 1:
		depthRowAVX512_5s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 7 && stride == 1:
		depthRowAVX512_7s1(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 3 && stride == 2:
		depthRowAVX512_3s2(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 5 && stride == 2:
		depthRowAVX512_5s2(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	case active == avx512 && k == 7 && stride == 2:
		depthRowAVX512_7s2(y, yStep, x, xStep, rows, nrows, w, wStep, bias, channels, mask, tiles, outs, aheadX, aheadY, low, high, pivot, sum, squares, bounded, edge, add)
	}
}

// depthSumsCall calls the code of a window.
func depthSumsCall(k int, dw *float32, dwStep int, x *float32, xStep, xSeg, advance int, rows *int, count int, dy *float32, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels int, mask *int32) {
	switch {
	case active == avx2 && k == 1:
		depthSumsAVX2_1(dw, dwStep, x, xStep, xSeg, advance, rows, count, dy, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels, mask)
	case active == avx2 && k == 3:
		depthSumsAVX2_3(dw, dwStep, x, xStep, xSeg, advance, rows, count, dy, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels, mask)
	case active == avx2 && k == 5:
		depthSumsAVX2_5(dw, dwStep, x, xStep, xSeg, advance, rows, count, dy, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels, mask)
	case active == avx2 && k == 7:
		depthSumsAVX2_7(dw, dwStep, x, xStep, xSeg, advance, rows, count, dy, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels, mask)
	case active == avx512 && k == 1:
		depthSumsAVX512_1(dw, dwStep, x, xStep, xSeg, advance, rows, count, dy, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels, mask)
	case active == avx512 && k == 3:
		depthSumsAVX512_3(dw, dwStep, x, xStep, xSeg, advance, rows, count, dy, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels, mask)
	case active == avx512 && k == 5:
		depthSumsAVX512_5(dw, dwStep, x, xStep, xSeg, advance, rows, count, dy, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels, mask)
	case active == avx512 && k == 7:
		depthSumsAVX512_7(dw, dwStep, x, xStep, xSeg, advance, rows, count, dy, dyStep, dySeg, segs, lefts, q0, mids, rights, q1, stride, channels, mask)
	}
}
