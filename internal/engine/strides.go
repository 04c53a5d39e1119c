package engine

// axis is one loop of an elementwise operation: its length and how far each operand moves.
type axis struct{ n, a, b int }

// loops describes a result of the given shape whose operands a and b repeat along axes of size one. Axes that can be walked as one
// are merged, so that most operations come down to one or two loops. b may be nil.
func loops(shape, a, b []int) []axis {
	sa, sb := strides(a), strides(b)
	var out []axis
	for i, n := range shape {
		if n == 1 {
			continue
		}
		x := axis{n: n}
		if a[i] != 1 {
			x.a = sa[i]
		}
		if b != nil && b[i] != 1 {
			x.b = sb[i]
		}
		out = append(out, x)
	}
	return merge(out)
}

// merge joins neighbouring loops that walk every operand evenly.
func merge(in []axis) []axis {
	var out []axis
	for _, x := range in {
		if k := len(out) - 1; k >= 0 && out[k].a == x.a*x.n && out[k].b == x.b*x.n {
			out[k] = axis{n: out[k].n * x.n, a: x.a, b: x.b}
			continue
		}
		out = append(out, x)
	}
	if len(out) == 0 {
		out = []axis{{n: 1}}
	}
	return out
}

// strides of a row-major shape.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	at := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = at
		at *= shape[i]
	}
	return s
}

// rows splits loops into the innermost one and the others, whose number of turns it returns.
func rows(l []axis) (outer []axis, inner axis, count int) {
	outer, inner = l[:len(l)-1], l[len(l)-1]
	count = 1
	for _, x := range outer {
		count *= x.n
	}
	return outer, inner, count
}

// at is where the operands stand at the start of row r.
func at(outer []axis, r int) (a, b int) {
	for i := len(outer) - 1; i >= 0; i-- {
		x := &outer[i]
		q := r / x.n
		k := r - q*x.n
		a += k * x.a
		b += k * x.b
		r = q
	}
	return a, b
}
