package kernel

// Transpose sets dst[c·ldd + r] = src[r·lds + c] for all r < rows and c < cols. ldd is at least rows and lds at least cols. The two do not
// overlap.
func Transpose[T Float](dst []T, ldd int, src []T, lds, rows, cols int) {
	if rows == 0 || cols == 0 {
		return
	}
	_, _ = dst[(cols-1)*ldd+rows-1], src[(rows-1)*lds+cols-1]
	const side = 8
	for r := 0; r < rows; r += side {
		n, c := min(side, rows-r), 0
		if n == side && single[T]() {
			c = transposeAsm(as32(dst[r:]), ldd, as32(src[r*lds:]), lds, cols/side) * side
		}
		for ; c < cols; c += side { // by squares, so that both sides stay in the cache
			for i := range n {
				for j, v := range src[(r+i)*lds+c:][:min(side, cols-c)] {
					dst[(c+j)*ldd+r+i] = v
				}
			}
		}
	}
}
