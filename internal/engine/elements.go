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

// unaryLoop is y = f(x) over slices of equal length.
func unaryLoop[T kernel.Float](a program.UnaryAttr) func(y, x []T) {
	if f, ok := a.Activation(); ok {
		return func(y, x []T) { kernel.Activate(y, x, f) }
	}
	if a.Function == "scale" {
		return func(y, x []T) { kernel.Scale(y, T(a.A), x) }
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
		return kernel.ReluGrad[T]
	case "clip":
		return func(dx, dy, v []T) {
			dy, v = dy[:len(dx)], v[:len(dx)]
			for i, y := range v {
				dx[i] = dy[i] * T(one(y > pa)&one(y < pb))
			}
		}
	case "leaky":
		return func(dx, dy, v []T) {
			dy, v = dy[:len(dx)], v[:len(dx)]
			for i, x := range v {
				on := T(one(x > 0))
				dx[i] = dy[i] * (on + pa*(1-on))
			}
		}
	case "hardsigmoid":
		return func(dx, dy, v []T) {
			dy, v = dy[:len(dx)], v[:len(dx)]
			for i, y := range v {
				dx[i] = dy[i] * pa * T(one(y > 0)&one(y < 1))
			}
		}
	case "hardswish":
		return func(dx, dy, v []T) {
			dy, v = dy[:len(dx)], v[:len(dx)]
			for i, x := range v {
				dx[i] = dy[i] * ((x*(1.0/3)+0.5)*T(one(x > -3)&one(x < 3)) + T(one(x >= 3)))
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
		return func(dx, dy, _ []T) { kernel.Scale(dx, pa, dy) }
	}
	f := program.Functions[a.Function].D
	return func(dx, dy, v []T) {
		dy, v = dy[:len(dx)], v[:len(dx)]
		for i, x := range v {
			dx[i] = dy[i] * T(f(float64(x), a.A, a.B))
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
				gx, gs := d, T(0)
				if !(v > 0) {
					gx, gs = d*slope[ps+i*inner.b], d*v
				}
				if dx != nil {
					dx[k] = gx
				}
				if ds != nil {
					ds[k] = gs
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

// one is 1 where the condition holds, without a branch.
func one(on bool) int32 {
	if on {
		return 1
	}
	return 0
}
