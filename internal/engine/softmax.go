package engine

import (
	"math"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// overLines runs f on every line of N elements of (Outer, N, Inner): the first element of each and the step between elements.
func overLines[T kernel.Float](m *Machine[T], a program.SoftmaxAttr, f func(first, step int)) func() {
	body := func(lo, hi int) {
		for l := lo; l < hi; l++ {
			f(l/a.Inner*a.N*a.Inner+l%a.Inner, a.Inner)
		}
	}
	return func() { m.pool.For(a.Outer*a.Inner, max(1, grain/(8*a.N)), body) }
}

// sumExp is the largest element of a line and Σ exp(x − most). Logits may be so large that log Σ is lost when it is added to most, so
// both stay apart.
func sumExp[T kernel.Float](x []T, first, step, n int) (most, sum float64) {
	most = math.Inf(-1)
	for i := range n {
		most = math.Max(most, float64(x[first+i*step]))
	}
	for i := range n {
		sum += math.Exp(float64(x[first+i*step]) - most)
	}
	return most, sum
}

func bindSoftmax[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.SoftmaxAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	return overLines(m, a, func(first, step int) {
		most, sum := sumExp(x, first, step, a.N)
		for i := range a.N {
			y[first+i*step] = T(math.Exp(float64(x[first+i*step])-most) / sum)
		}
	})
}

func bindLogSoftmax[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.SoftmaxAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	return overLines(m, a, func(first, step int) {
		most, sum := sumExp(x, first, step, a.N)
		log := math.Log(sum)
		for i := range a.N {
			y[first+i*step] = T(float64(x[first+i*step]) - most - log)
		}
	})
}

// bindSoftmaxGrad: dx = y·(dy − Σ dy·y).
func bindSoftmaxGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.SoftmaxAttr)
	dx, dy, y := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	return overLines(m, a, func(first, step int) {
		s := 0.0
		for i := range a.N {
			k := first + i*step
			s += float64(dy[k]) * float64(y[k])
		}
		for i := range a.N {
			k := first + i*step
			dx[k] = T(float64(y[k]) * (float64(dy[k]) - s))
		}
	})
}

// bindLogSoftmaxGrad: dx = dy − eʸ·Σ dy.
func bindLogSoftmaxGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.SoftmaxAttr)
	dx, dy, y := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	return overLines(m, a, func(first, step int) {
		s := 0.0
		for i := range a.N {
			s += float64(dy[first+i*step])
		}
		for i := range a.N {
			k := first + i*step
			dx[k] = T(float64(dy[k]) - math.Exp(float64(y[k]))*s)
		}
	})
}
