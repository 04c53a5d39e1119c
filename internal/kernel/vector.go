package kernel

// The kernels of this file work element by element. All variants give the same bits. dst may be one of the operands, but may not
// overlap one otherwise. All slices are as long as dst, or longer.

// Add sets dst[i] = a[i] + b[i].
func Add[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	if single[T]() && vectorAsm(opAdd, as32(dst), as32(a), as32(b), 0) {
		return
	}
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Sub sets dst[i] = a[i] − b[i].
func Sub[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	if single[T]() && vectorAsm(opSub, as32(dst), as32(a), as32(b), 0) {
		return
	}
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

// Mul sets dst[i] = a[i]·b[i].
func Mul[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	if single[T]() && vectorAsm(opMul, as32(dst), as32(a), as32(b), 0) {
		return
	}
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

// AddScaled sets dst[i] = a[i] + alpha·b[i], rounding the product.
func AddScaled[T Float](dst, a []T, alpha T, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	if single[T]() && vectorAsm(opAddScaled, as32(dst), as32(a), as32(b), float32(alpha)) {
		return
	}
	for i := range dst {
		dst[i] = a[i] + T(alpha*b[i])
	}
}

// Scale sets dst[i] = alpha·a[i].
func Scale[T Float](dst []T, alpha T, a []T) {
	a = a[:len(dst)]
	if single[T]() && vectorAsm(opScale, as32(dst), as32(a), as32(a), float32(alpha)) {
		return
	}
	for i := range dst {
		dst[i] = alpha * a[i]
	}
}

// Relu sets dst[i] = a[i], or 0 if that is negative. A NaN and a negative zero stay what they are.
func Relu[T Float](dst, a []T) {
	a = a[:len(dst)]
	if single[T]() && vectorAsm(opRelu, as32(dst), as32(a), as32(a), 0) {
		return
	}
	for i := range dst {
		dst[i] = relu(a[i])
	}
}

func relu[T Float](x T) T {
	if x < 0 {
		return 0
	}
	return x
}

// ReluGrad sets dst[i] = dy[i] where y[i] > 0, else 0.
func ReluGrad[T Float](dst, dy, y []T) {
	dy, y = dy[:len(dst)], y[:len(dst)]
	if single[T]() && vectorAsm(opReluGrad, as32(dst), as32(dy), as32(y), 0) {
		return
	}
	for i := range dst {
		if y[i] > 0 {
			dst[i] = dy[i]
		} else {
			dst[i] = 0
		}
	}
}

// vectorOp tells vectorAsm what to do.
type vectorOp uint8

const (
	opAdd vectorOp = iota
	opSub
	opMul
	opAddScaled
	opScale
	opRelu
	opReluGrad
)
