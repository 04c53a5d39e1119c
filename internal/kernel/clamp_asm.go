//go:build amd64 && !purego

package kernel

import "math"

// ends gives the activations that only cut, or not even that, as y = min(max(z, lo), hi). But for the identity y' = 1 for z in (lo, last].
func (a Activation) ends() (lo, hi, last float32, ok bool) {
	inf := float32(math.Inf(1))
	switch a.Kind {
	case Identity:
		return -inf, inf, inf, true
	case Rectify:
		return 0, inf, inf, true
	case Clip:
		return float32(a.A), float32(a.B), math.Nextafter32(float32(a.B), float32(math.Inf(-1))), true
	}
	return 0, 0, 0, false
}

// clampOp tells clampAsm what to do.
type clampOp uint8

const (
	opClampForward clampOp = iota
	opClampForwardAdd
	opClampSums
	opClampSumsOf
	opClampGrad
)

// clampAsm does one kernel over rows of n channels as columnsAsm does; the rows are part of a result of total elements. What an operation does not
// have is nil.
func clampAsm(op clampOp, n, whole int, y, x, dy, add []float32, p [5][]float32, s0, s1 []float32, lo, hi float32) bool {
	if active == goTwin || n == 0 || len(x) == 0 {
		return false
	}
	total := len(x) / n
	block := max(1, columnsBlock/n)
	lanes := Lanes
	if active == avx2 {
		lanes = 8
	}
	stream := y != nil && streams(y, n, whole, x, dy, add)
	if stream {
		defer fence()
	}
	step := lanes
	if stream && op != opClampSumsOf { // whole rows
		step = n
	}
	for r := 0; r < total; r += block {
		rows, at := min(block, total-r), r*n
		for c := 0; c < n; c += step {
			mask := &keep[Lanes-min(lanes, n-c)]
			var q [5]*float32
			for i, v := range p {
				q[i] = from(v, c)
			}
			py, px, pd, pa, q0, q1 := from(y, at+c), &x[at+c], from(dy, at+c), from(add, at+c), from(s0, c), from(s1, c)
			if active == avx2 {
				clampAVX2(op, stream, py, px, pd, pa, &q, q0, q1, lo, hi, 4*n, rows, 4*n*block, mask)
			} else {
				clampAVX512(op, stream, py, px, pd, pa, &q, q0, q1, lo, hi, 4*n, rows, 4*n*block, mask)
			}
		}
	}
	return true
}

// from is the address of an element, nil without any.
func from(s []float32, i int) *float32 {
	if s == nil {
		return nil
	}
	return &s[i]
}

func clampAVX2(op clampOp, stream bool, y, x, dy, add *float32, q *[5]*float32, s0, s1 *float32, lo, hi float32, stride, rows, ahead int, mask *int32) {
	switch op {
	case opClampForward:
		if stream {
			clampForwardStreamAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], lo, hi, stride, rows)
		} else {
			clampForwardAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		}
	case opClampForwardAdd:
		if stream {
			clampForwardAddStreamAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], lo, hi, stride, rows)
		} else {
			clampForwardAddAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		}
	case opClampSums:
		clampSumsAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
	case opClampSumsOf:
		if stream {
			clampSumsOfStreamAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		} else {
			clampSumsOfAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		}
	case opClampGrad:
		if stream {
			clampGradStreamAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], lo, hi, stride, rows)
		} else {
			clampGradAVX2(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		}
	}
}

func clampAVX512(op clampOp, stream bool, y, x, dy, add *float32, q *[5]*float32, s0, s1 *float32, lo, hi float32, stride, rows, ahead int, mask *int32) {
	switch op {
	case opClampForward:
		if stream {
			clampForwardStreamAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], lo, hi, stride, rows)
		} else {
			clampForwardAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		}
	case opClampForwardAdd:
		if stream {
			clampForwardAddStreamAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], lo, hi, stride, rows)
		} else {
			clampForwardAddAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		}
	case opClampSums:
		clampSumsAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
	case opClampSumsOf:
		if stream {
			clampSumsOfStreamAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		} else {
			clampSumsOfAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		}
	case opClampGrad:
		if stream {
			clampGradStreamAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], lo, hi, stride, rows)
		} else {
			clampGradAVX512(y, x, dy, add, q[0], q[1], q[2], q[3], q[4], s0, s1, lo, hi, stride, rows, ahead, mask)
		}
	}
}

// scaleShiftClampAsm is ScaleShiftAct for the functions that only cut.
func scaleShiftClampAsm(whole int, y, x, scale, shift, add []float32, act Activation) bool {
	lo, hi, _, ok := act.ends()
	op := opClampForward
	if add != nil {
		op = opClampForwardAdd
	}
	return ok && clampAsm(op, len(scale), whole, y, x, nil, add, [5][]float32{scale, shift}, nil, nil, lo, hi)
}

// sumsClampAsm is ActSums for the functions that only cut, but for a dz that is wanted without a y.
func sumsClampAsm(sum, products, dz, dy, x, y, pivot, scale, shift []float32, act Activation) bool {
	lo, _, last, ok := act.ends()
	ok = ok && act.Kind != Identity
	if y != nil {
		return ok && dz != nil && clampAsm(opClampSumsOf, len(pivot), len(x), dz, x, dy, y, [5][]float32{pivot, pivot, pivot}, sum, products, lo, last)
	}
	return ok && dz == nil && clampAsm(opClampSums, len(pivot), len(x), nil, x, dy, nil, [5][]float32{scale, shift, pivot}, sum, products, lo, last)
}

// gradClampAsm is ScaleTwoAct for the functions that only cut.
func gradClampAsm(dx, dy, x, scale, shift []float32, act Activation, a, b, d []float32) bool {
	lo, _, last, ok := act.ends()
	return ok && act.Kind != Identity && clampAsm(opClampGrad, len(a), len(x), dx, x, dy, nil, [5][]float32{scale, shift, a, b, d}, nil, nil, lo, last)
}
