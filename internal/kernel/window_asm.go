//go:build amd64 && !purego

package kernel

func windowMaxAsm(y, x []float32, taps []int) bool {
	switch mask := &keep[Lanes-len(y)%lanes()]; active {
	case avx512:
		windowMaxAVX512(&y[0], &x[0], &taps[0], len(taps), len(y), mask)
	case avx2:
		windowMaxAVX2(&y[0], &x[0], &taps[0], len(taps), len(y), mask)
	default:
		return false
	}
	return true
}

func windowMaxGradAsm(dx, dy, x []float32, taps []int) bool {
	switch mask := &keep[Lanes-len(dy)%lanes()]; active {
	case avx512:
		windowMaxGradAVX512(&dx[0], &dy[0], &x[0], &taps[0], len(taps), len(dy), mask)
	case avx2:
		windowMaxGradAVX2(&dx[0], &dy[0], &x[0], &taps[0], len(taps), len(dy), mask)
	default:
		return false
	}
	return true
}
