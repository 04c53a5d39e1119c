package engine

import (
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// bindBlend interpolates along an axis: y is (outer, len(Low), inner), x (outer, n, inner).
func bindBlend[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.BlendAttr)
	shape := m.p.Values[in.In[0]].Shape
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	outer, n, inner, k := size(shape[:a.Axis]), shape[a.Axis], size(shape[a.Axis+1:]), len(a.Low)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			o, i := r/k*n, r%k
			dst := y[r*inner : (r+1)*inner]
			low := x[(o+a.Low[i])*inner:][:len(dst)]
			high := x[(o+a.High[i])*inner:][:len(dst)]
			p, q := T(1-a.Share[i]), T(a.Share[i])
			for j := range dst {
				dst[j] = p*low[j] + q*high[j]
			}
		}
	}
	return func() { m.pool.For(outer*k, max(1, grain/inner), body) }
}

// tap is one position of the output that a position of the input has a share in.
type tap[T kernel.Float] struct {
	at    int
	share T
}

// bindBlendGrad collects for every position of x what it gave, in the order of the positions of y.
func bindBlendGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.BlendAttr)
	shape := m.p.Values[in.Out[0]].Shape
	dx, dy := m.slice(in.Out[0]), m.slice(in.In[0])
	outer, n, inner, k := size(shape[:a.Axis]), shape[a.Axis], size(shape[a.Axis+1:]), len(a.Low)
	taps := make([][]tap[T], n)
	for i, share := range a.Share {
		taps[a.Low[i]] = append(taps[a.Low[i]], tap[T]{i, T(1 - share)})
		if share != 0 {
			taps[a.High[i]] = append(taps[a.High[i]], tap[T]{i, T(share)})
		}
	}
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			dst := dx[r*inner : (r+1)*inner]
			clear(dst)
			for _, t := range taps[r%n] {
				src := dy[(r/n*k+t.at)*inner:][:len(dst)]
				for j, v := range src {
					dst[j] += t.share * v
				}
			}
		}
	}
	return func() { m.pool.For(outer*n, max(1, grain/((1+k/n)*inner)), body) }
}
