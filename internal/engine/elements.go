package engine

import (
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

func bindUnary[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.UnaryAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	n := m.p.Values[in.Out[0]].Len()
	run := unaryLoop[T](a)
	body := func(lo, hi int) { run(y[lo:hi], x[lo:hi]) }
	return func() { m.pool.For(n, grain, body) }
}

// unaryLoop is y = f(x) over slices of equal length; the cheap functions have loops of their own.
func unaryLoop[T kernel.Float](a program.UnaryAttr) func(y, x []T) {
	pa, pb := T(a.A), T(a.B)
	switch a.Function {
	case "relu":
		return func(y, x []T) {
			x = x[:len(y)]
			for i, v := range x {
				if v > 0 || v != v {
					y[i] = v
				} else {
					y[i] = 0
				}
			}
		}
	case "clip":
		return func(y, x []T) {
			x = x[:len(y)]
			for i, v := range x {
				if v < pa {
					v = pa
				}
				if v > pb {
					v = pb
				}
				y[i] = v
			}
		}
	case "scale":
		return func(y, x []T) {
			x = x[:len(y)]
			for i, v := range x {
				y[i] = pa * v
			}
		}
	}
	f := program.Functions[a.Function].F
	return func(y, x []T) {
		x = x[:len(y)]
		for i, v := range x {
			y[i] = T(f(float64(v), a.A, a.B))
		}
	}
}

func bindUnaryGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.UnaryAttr)
	dx, dy, v := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	n := m.p.Values[in.Out[0]].Len()
	run := unaryGradLoop[T](a)
	body := func(lo, hi int) { run(dx[lo:hi], dy[lo:hi], v[lo:hi]) }
	return func() { m.pool.For(n, grain, body) }
}

// unaryGradLoop is dx = dy·f', v being x or y as the function's row says.
func unaryGradLoop[T kernel.Float](a program.UnaryAttr) func(dx, dy, v []T) {
	pa, pb := T(a.A), T(a.B)
	switch a.Function {
	case "relu":
		return func(dx, dy, v []T) {
			dy, v = dy[:len(dx)], v[:len(dx)]
			for i, y := range v {
				d := dy[i]
				if !(y > 0) {
					d = 0
				}
				dx[i] = d
			}
		}
	case "clip":
		return func(dx, dy, v []T) {
			dy, v = dy[:len(dx)], v[:len(dx)]
			for i, y := range v {
				d := dy[i]
				if !(y > pa && y < pb) {
					d = 0
				}
				dx[i] = d
			}
		}
	case "sigmoid":
		return func(dx, dy, v []T) {
			dy, v = dy[:len(dx)], v[:len(dx)]
			for i, y := range v {
				dx[i] = dy[i] * y * (1 - y)
			}
		}
	case "scale":
		return func(dx, dy, v []T) {
			dy = dy[:len(dx)]
			for i, d := range dy {
				dx[i] = pa * d
			}
		}
	}
	f := program.Functions[a.Function].D
	return func(dx, dy, v []T) {
		dy, v = dy[:len(dx)], v[:len(dx)]
		for i, x := range v {
			dx[i] = dy[i] * T(f(float64(x), a.A, a.B))
		}
	}
}

func bindBinary[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	shape := m.p.Values[in.Out[0]].Shape
	l := loops(shape, m.p.Values[in.In[0]].Shape, m.p.Values[in.In[1]].Shape)
	c, a, b := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	run := binaryLoop[T](in.Attr.(program.BinaryAttr).Function)
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

// binaryLoop is c[i] = f(a[i·sa], b[i·sb]). c may lie over a or b where their stride is one.
func binaryLoop[T kernel.Float](function string) func(c, a, b []T, sa, sb int) {
	switch function {
	case "add":
		return func(c, a, b []T, sa, sb int) {
			if sa == 1 && sb == 1 {
				a, b = a[:len(c)], b[:len(c)]
				for i := range c {
					c[i] = a[i] + b[i]
				}
				return
			}
			for i := range c {
				c[i] = a[i*sa] + b[i*sb]
			}
		}
	case "mul":
		return func(c, a, b []T, sa, sb int) {
			switch {
			case sa == 1 && sb == 1:
				a, b = a[:len(c)], b[:len(c)]
				for i := range c {
					c[i] = a[i] * b[i]
				}
			case sa == 1 && sb == 0:
				a, by := a[:len(c)], b[0]
				for i := range c {
					c[i] = a[i] * by
				}
			default:
				for i := range c {
					c[i] = a[i*sa] * b[i*sb]
				}
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

func bindPrelu[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	l := loops(m.p.Values[in.Out[0]].Shape, m.p.Values[in.In[0]].Shape, m.p.Values[in.In[1]].Shape)
	y, x, slope := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	outer, inner, count := rows(l)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			_, ps := at(outer, r)
			for i := range inner.n {
				v := x[r*inner.n+i]
				if !(v > 0) {
					v *= slope[ps+i*inner.b]
				}
				y[r*inner.n+i] = v
			}
		}
	}
	return func() { m.pool.For(count, max(1, grain/inner.n), body) }
}

func bindPreluGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	l := loops(m.p.Values[in.Out[0]].Shape, m.p.Values[in.In[1]].Shape, m.p.Values[in.In[2]].Shape)
	dx, ds := m.slice(in.Out[0]), m.slice(in.Out[1])
	dy, x, slope := m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	outer, inner, count := rows(l)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			_, ps := at(outer, r)
			for i := range inner.n {
				k := r*inner.n + i
				d, v := dy[k], x[k]
				if v > 0 {
					dx[k], ds[k] = d, 0
				} else {
					dx[k], ds[k] = d*slope[ps+i*inner.b], d*v
				}
			}
		}
	}
	return func() { m.pool.For(count, max(1, grain/inner.n), body) }
}

func bindDropout[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.DropoutAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	n := m.p.Values[in.Out[0]].Len()
	scale := T(1 / (1 - a.Ratio))
	limit := uint64(a.Ratio * (1 << 53))
	body := func(lo, hi int) {
		key := mix(m.seed ^ mix(uint64(a.Index)+1))
		for i := lo; i < hi; i++ {
			if mix(key+uint64(i)*0x9e3779b97f4a7c15)>>11 < limit {
				y[i] = 0
			} else {
				y[i] = x[i] * scale
			}
		}
	}
	return func() { m.pool.For(n, grain, body) }
}

// mix is the finaliser of SplitMix64 (Steele, Lea & Flood 2014): a random function of its argument, so that an element is dropped
// or kept whichever core asks, and again in the backward pass.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
