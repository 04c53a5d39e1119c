//go:build amd64 && !purego

package kernel

// transposeAsm turns squares of 8×8 side by side and tells how many.
func transposeAsm(dst []float32, ldd int, src []float32, lds, squares int) int {
	if active == goTwin || squares == 0 {
		return 0
	}
	for i := 0; i < squares; i += stretch / 64 {
		transposeAVX2(&dst[8*i*ldd], 4*ldd, &src[8*i], 4*lds, min(stretch/64, squares-i))
	}
	return squares
}
