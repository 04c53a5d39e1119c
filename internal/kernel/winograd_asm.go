//go:build amd64 && !purego

package kernel

// winogradTable is the constants of the transforms with each number in every lane of a vector.
var winogradTable = func() (t [winoConstants * Lanes]float32) {
	for i, v := range winogradNumbers[float32]() {
		for l := range Lanes {
			t[i*Lanes+l] = v
		}
	}
	return t
}()

// winogradAsm does one transform. Both squares lie within their data.
func winogradAsm(op winogradOp, dst, src Squares[float32], count, n int, room *WinogradRoom[float32]) bool {
	if active == goTwin || n == 0 || count == 0 {
		return false
	}
	d, s, dr, dc, sr, sc := &dst.Data[dst.At], &src.Data[src.At], 4*dst.Row, 4*dst.Col, 4*src.Row, 4*src.Col
	dt, st := 4*dst.Step, 4*src.Step
	tmp, t := &room[0], &winogradTable[0]
	if active == avx2 {
		mask := &keep[Lanes-n%8]
		switch op {
		case opWinogradInput:
			winogradInputAVX2(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
		case opWinogradOutput:
			winogradOutputAVX2(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
		case opWinogradSpread:
			winogradSpreadAVX2(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
		case opWinogradFilter:
			winogradFilterAVX2(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
		case opWinogradFilterGrad:
			winogradFilterGradAVX2(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
		}
		return true
	}
	mask := &keep[Lanes-n%Lanes]
	switch op {
	case opWinogradInput:
		winogradInputAVX512(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
	case opWinogradOutput:
		winogradOutputAVX512(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
	case opWinogradSpread:
		winogradSpreadAVX512(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
	case opWinogradFilter:
		winogradFilterAVX512(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
	case opWinogradFilterGrad:
		winogradFilterGradAVX512(d, dr, dc, dt, s, sr, sc, st, count, n, tmp, t, mask)
	}
	return true
}

func room32[T Float](r *WinogradRoom[T]) *WinogradRoom[float32] {
	return (*WinogradRoom[float32])(as32(r[:]))
}
