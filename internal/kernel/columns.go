package kernel

// The kernels of this file work on rows of channels, (rows, C) row-major, with one value of each parameter per channel. C is the length
// of the parameters; the rows are as many as fit the data, which is a multiple of C.

// ScaleShift sets y[r,c] = x[r,c]·scale[c] + shift[c], rounding the product, and then, if rectify is set, negative ones to 0 as Relu
// does. All variants give the same bits. y may be x.
func ScaleShift[T Float](y, x, scale, shift []T, rectify bool) {
	n := len(scale)
	y, shift = y[:len(x)], shift[:n]
	op := opScaleShift
	if rectify {
		op = opScaleShiftRelu
	}
	if single[T]() && columnsAsm(op, n, as32(y), as32(x), as32(x), as32(scale), as32(shift), as32(shift)) {
		return
	}
	for len(x) > 0 && n > 0 {
		for c, v := range x[:n] {
			v = T(v*scale[c]) + shift[c]
			if rectify {
				v = relu(v)
			}
			y[c] = v
		}
		x, y = x[n:], y[n:]
	}
}

// ScaleTwo sets dx[r,c] = dy[r,c]·a[c] + x[r,c]·b[c] + d[c], rounding after each operation from left to right: the data gradient of a
// batch normalisation. All variants give the same bits. dx may be dy or x.
func ScaleTwo[T Float](dx, dy, x, a, b, d []T) {
	n := len(a)
	dx, dy, b, d = dx[:len(x)], dy[:len(x)], b[:n], d[:n]
	if single[T]() && columnsAsm(opScaleTwo, n, as32(dx), as32(x), as32(dy), as32(a), as32(b), as32(d)) {
		return
	}
	for len(x) > 0 && n > 0 {
		for c, v := range x[:n] {
			dx[c] = T(T(dy[c]*a[c])+T(v*b[c])) + d[c]
		}
		x, dx, dy = x[n:], dx[n:], dy[n:]
	}
}

// Moments adds to the sums of each channel
//
//	sum[c] += Σᵣ (x[r,c] − pivot[c])        squares[c] += Σᵣ (x[r,c] − pivot[c])²
//
// in an order that depends on the variant and the shape; the error is at most (rows + 1)·ε times the sum of the magnitudes of the terms. A
// pivot near the mean keeps the squares from cancelling later. For long columns call it on blocks of rows and add those in
// float64. sum, squares and pivot do not overlap.
func Moments[T Float](sum, squares, x, pivot []T) {
	n := len(pivot)
	sum, squares = sum[:n], squares[:n]
	if single[T]() && columnsAsm(opMoments, n, as32(sum), as32(x), as32(x), as32(pivot), as32(squares), as32(squares)) {
		return
	}
	for len(x) > 0 && n > 0 {
		for c, v := range x[:n] {
			v -= pivot[c]
			sum[c] += v
			squares[c] += v * v
		}
		x = x[n:]
	}
}

// ProductSums adds to the sums of each channel
//
//	sum[c] += Σᵣ dy[r,c]        products[c] += Σᵣ dy[r,c]·(x[r,c] − pivot[c])
//
// with order and error as in Moments: the parameter gradients of a batch normalisation.
func ProductSums[T Float](sum, products, dy, x, pivot []T) {
	n := len(pivot)
	sum, products, dy = sum[:n], products[:n], dy[:len(x)]
	if single[T]() && columnsAsm(opProductSums, n, as32(sum), as32(x), as32(dy), as32(pivot), as32(products), as32(products)) {
		return
	}
	for len(x) > 0 && n > 0 {
		for c, v := range x[:n] {
			sum[c] += dy[c]
			products[c] += dy[c] * (v - pivot[c])
		}
		x, dy = x[n:], dy[n:]
	}
}

// columnsOp tells columnsAsm what to do.
type columnsOp uint8

const (
	opScaleShift columnsOp = iota
	opScaleShiftRelu
	opScaleTwo
	opMoments
	opProductSums
)

// columnsBlock is about how many elements of rows are visited for all channels before the next rows: a fraction of a first-level cache.
const columnsBlock = 4 << 10
