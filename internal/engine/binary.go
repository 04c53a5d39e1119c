package engine

import (
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// bindBinary is c = a ∘ b with broadcasting.
//
// The loops left after merging decide how: one loop is a run over whole slices; rows that all meet the same vector, as when
// channels are scaled, are one call per stretch of rows; anything else goes row by row.
func bindBinary[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	l := loops(m.p.Values[in.Out[0]].Shape, m.p.Values[in.In[0]].Shape, m.p.Values[in.In[1]].Shape)
	c, a, b := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	function := in.Attr.(program.BinaryAttr).Function
	if step := bindChannels(m, function, l, c, a, b); step != nil {
		return step
	}
	run := binaryLoop[T](function)
	outer, inner, count := rows(l)
	if count == 1 {
		body := func(lo, hi int) { run(c[lo:hi], a[lo*inner.a:], b[lo*inner.b:], inner.a, inner.b) }
		return func() { m.pool.For(inner.n, grain, body) }
	}
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			pa, pb := at(outer, r)
			run(c[r*inner.n:(r+1)*inner.n], a[pa:], b[pb:], inner.a, inner.b)
		}
	}
	return func() { m.pool.For(count, max(1, grain/inner.n), body) }
}

// bindChannels adds a vector to many rows or multiplies them by it: channels of a batch, input channels of a kernel, or, with a vector
// for each sample, squeeze-and-excite. It returns nil for everything else.
func bindChannels[T kernel.Float](m *Machine[T], function string, l []axis, c, a, b []T) func() {
	if len(l) < 2 || function != "add" && function != "mul" {
		return nil
	}
	outer, row, col := l[:len(l)-2], l[len(l)-2], l[len(l)-1]
	if col.a != 1 || col.b != 1 || row.a != 0 && row.b != 0 {
		return nil
	}
	x, vector, swapped := a, b, row.a == 0
	if swapped { // both functions are commutative
		x, vector = b, a
	}
	// y = x·scale + shift with one of the two fixed
	fixed := make([]T, col.n)
	if function == "add" {
		for i := range fixed {
			fixed[i] = 1
		}
	}
	count := row.n
	for _, o := range outer {
		count *= o.n
	}
	body := func(lo, hi int) {
		for lo < hi {
			o := lo / row.n
			n := min(hi, (o+1)*row.n) - lo
			px, pv := at(outer, o)
			if swapped {
				px, pv = pv, px
			}
			px += lo % row.n * col.n
			from, v := x[px:px+n*col.n], vector[pv:pv+col.n]
			if function == "mul" {
				kernel.ScaleShift(c[lo*col.n:], from, v, fixed, false)
			} else {
				kernel.ScaleShift(c[lo*col.n:], from, fixed, v, false)
			}
			lo += n
		}
	}
	return func() { m.pool.For(count, max(1, grain/col.n), body) }
}

// binaryLoop is c[i] = f(a[i·sa], b[i·sb]). c may lie over a or b where their stride is one.
func binaryLoop[T kernel.Float](function string) func(c, a, b []T, sa, sb int) {
	switch function {
	case "add":
		return func(c, a, b []T, sa, sb int) {
			if sa == 1 && sb == 1 {
				kernel.Add(c, a, b)
				return
			}
			for i := range c {
				c[i] = a[i*sa] + b[i*sb]
			}
		}
	case "sub":
		return func(c, a, b []T, sa, sb int) {
			if sa == 1 && sb == 1 {
				kernel.Sub(c, a, b)
				return
			}
			for i := range c {
				c[i] = a[i*sa] - b[i*sb]
			}
		}
	case "mul":
		return func(c, a, b []T, sa, sb int) {
			switch {
			case sa == 1 && sb == 1:
				kernel.Mul(c, a, b)
			case sa == 1 && sb == 0:
				kernel.Scale(c, b[0], a)
			case sa == 0 && sb == 1:
				kernel.Scale(c, a[0], b)
			default:
				for i := range c {
					c[i] = a[i*sa] * b[i*sb]
				}
			}
		}
	case "div":
		return func(c, a, b []T, sa, sb int) {
			for i := range c {
				c[i] = a[i*sa] / b[i*sb]
			}
		}
	}
	f := program.Functions2[function]
	return func(c, a, b []T, sa, sb int) {
		for i := range c {
			c[i] = T(f(float64(a[i*sa]), float64(b[i*sb])))
		}
	}
}
