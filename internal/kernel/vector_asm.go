//go:build amd64 && !purego

package kernel

// stretch is the most elements one call of the assembly visits: the scheduler cannot interrupt it.
const stretch = 1 << 15

// vectorAsm does one elementwise kernel.
func vectorAsm(op vectorOp, dst, a, b []float32, alpha float32) bool {
	if active == goTwin {
		return false
	}
	for i := 0; i < len(dst); i += stretch {
		vectorCall(op, &dst[i], &a[i], &b[i], min(stretch, len(dst)-i), alpha)
	}
	return true
}

func vectorCall(op vectorOp, d, x, y *float32, n int, alpha float32) {
	if active == avx2 {
		mask := &keep[Lanes-n%8]
		switch op {
		case opAdd:
			addAVX2(d, x, y, n, alpha, mask)
		case opSub:
			subAVX2(d, x, y, n, alpha, mask)
		case opMul:
			mulAVX2(d, x, y, n, alpha, mask)
		case opAddScaled:
			addScaledAVX2(d, x, y, n, alpha, mask)
		case opScale:
			scaleAVX2(d, x, y, n, alpha, mask)
		case opRelu:
			reluAVX2(d, x, y, n, alpha, mask)
		case opReluGrad:
			reluGradAVX2(d, x, y, n, alpha, mask)
		}
		return
	}
	mask := &keep[Lanes-n%Lanes]
	switch op {
	case opAdd:
		addAVX512(d, x, y, n, alpha, mask)
	case opSub:
		subAVX512(d, x, y, n, alpha, mask)
	case opMul:
		mulAVX512(d, x, y, n, alpha, mask)
	case opAddScaled:
		addScaledAVX512(d, x, y, n, alpha, mask)
	case opScale:
		scaleAVX512(d, x, y, n, alpha, mask)
	case opRelu:
		reluAVX512(d, x, y, n, alpha, mask)
	case opReluGrad:
		reluGradAVX512(d, x, y, n, alpha, mask)
	}
}

// columnsAsm does one kernel over rows of n channels, block of rows by block, vector of channels by vector. y is either rows too or, for
// the sums, one value per channel.
func columnsAsm(op columnsOp, n int, y, x, dy, p0, p1, p2 []float32) bool {
	if active == goTwin || n == 0 || len(x) == 0 {
		return false
	}
	total := len(x) / n
	block := max(1, columnsBlock/n)
	lanes := Lanes
	if active == avx2 {
		lanes = 8
	}
	step := lanes
	stream := op <= opScaleTwo && streams(y, n, len(x), x, dy)
	if stream { // whole rows
		step = n
		defer fence()
	}
	for r := 0; r < total; r += block {
		rows, at := min(block, total-r), r*n
		to := at
		if op == opMoments || op == opProductSums {
			to = 0
		}
		for c := 0; c < n; c += step {
			mask := &keep[Lanes-min(lanes, n-c)]
			py, px, pd, q0, q1, q2 := &y[to+c], &x[at+c], &dy[at+c], &p0[c], &p1[c], &p2[c]
			if active == avx2 {
				columnsAVX2(op, stream, py, px, pd, q0, q1, q2, 4*n, rows, mask)
			} else {
				columnsAVX512(op, stream, py, px, pd, q0, q1, q2, 4*n, rows, mask)
			}
		}
	}
	return true
}

func columnsAVX2(op columnsOp, stream bool, y, x, dy, p0, p1, p2 *float32, stride, rows int, mask *int32) {
	switch op {
	case opScaleShift:
		if stream {
			scaleShiftStreamAVX2(y, x, dy, p0, p1, p2, stride, rows)
		} else {
			scaleShiftAVX2(y, x, dy, p0, p1, p2, stride, rows, mask)
		}
	case opScaleShiftRelu:
		if stream {
			scaleShiftReluStreamAVX2(y, x, dy, p0, p1, p2, stride, rows)
		} else {
			scaleShiftReluAVX2(y, x, dy, p0, p1, p2, stride, rows, mask)
		}
	case opScaleTwo:
		if stream {
			scaleTwoStreamAVX2(y, x, dy, p0, p1, p2, stride, rows)
		} else {
			scaleTwoAVX2(y, x, dy, p0, p1, p2, stride, rows, mask)
		}
	case opMoments:
		momentsAVX2(y, x, dy, p0, p1, p2, stride, rows, mask)
	case opProductSums:
		productSumsAVX2(y, x, dy, p0, p1, p2, stride, rows, mask)
	}
}

func columnsAVX512(op columnsOp, stream bool, y, x, dy, p0, p1, p2 *float32, stride, rows int, mask *int32) {
	switch op {
	case opScaleShift:
		if stream {
			scaleShiftStreamAVX512(y, x, dy, p0, p1, p2, stride, rows)
		} else {
			scaleShiftAVX512(y, x, dy, p0, p1, p2, stride, rows, mask)
		}
	case opScaleShiftRelu:
		if stream {
			scaleShiftReluStreamAVX512(y, x, dy, p0, p1, p2, stride, rows)
		} else {
			scaleShiftReluAVX512(y, x, dy, p0, p1, p2, stride, rows, mask)
		}
	case opScaleTwo:
		if stream {
			scaleTwoStreamAVX512(y, x, dy, p0, p1, p2, stride, rows)
		} else {
			scaleTwoAVX512(y, x, dy, p0, p1, p2, stride, rows, mask)
		}
	case opMoments:
		momentsAVX512(y, x, dy, p0, p1, p2, stride, rows, mask)
	case opProductSums:
		productSumsAVX512(y, x, dy, p0, p1, p2, stride, rows, mask)
	}
}
