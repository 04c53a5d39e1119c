package engine

import (
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// steps are the distances in an operand between neighbours along each axis of a larger shape: none where it repeats.
func steps(shape, operand []int) []int {
	st := strides(operand)
	for i, n := range operand {
		if n == 1 && shape[i] != 1 {
			st[i] = 0
		}
	}
	return st
}

// bindWhere chooses between two operands by a third, all of which repeat along axes of size one.
func bindWhere[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	shape := m.p.Values[in.Out[0]].Shape
	y, c, a, b := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	var st [3][]int
	for k, id := range in.In {
		st[k] = steps(shape, m.p.Values[id].Shape)
	}
	inner, count := 1, size(shape)
	var by [3]int // steps of the innermost loop
	if k := len(shape) - 1; k >= 0 {
		inner = shape[k]
		by = [3]int{st[0][k], st[1][k], st[2][k]}
	}
	rows := count / inner
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			var p [3]int
			for i, rest := len(shape)-2, r; i >= 0; i-- {
				q := rest / shape[i]
				k := rest - q*shape[i]
				p[0], p[1], p[2] = p[0]+k*st[0][i], p[1]+k*st[1][i], p[2]+k*st[2][i]
				rest = q
			}
			for i := range inner {
				if c[p[0]+i*by[0]] != 0 {
					y[r*inner+i] = a[p[1]+i*by[1]]
				} else {
					y[r*inner+i] = b[p[2]+i*by[2]]
				}
			}
		}
	}
	return func() { m.pool.For(rows, max(1, grain/inner), body) }
}
