package engine

import (
	"slices"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

func bindConcat[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	at := in.Attr.(program.AxisAttr).Axis
	shape := m.p.Values[in.Out[0]].Shape
	outer, whole := size(shape[:at]), size(shape[at:])
	y := m.slice(in.Out[0])
	var bodies []func(lo, hi int)
	offset := 0
	for _, id := range in.In {
		x, from := m.slice(id), offset
		n := size(m.p.Values[id].Shape[at:])
		bodies = append(bodies, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				copy(y[r*whole+from:r*whole+from+n], x[r*n:(r+1)*n])
			}
		})
		offset += n
	}
	return func() {
		for _, body := range bodies {
			m.pool.For(outer, max(1, grain/whole), body)
		}
	}
}

func size(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}

// box is a strided box of a large tensor, as rows of a small one: row r of n elements starts at place(r), step apart.
type box struct {
	outer       []axis
	n, step     int
	count, base int
}

func newBox(small, large []int, a program.BoxAttr) box {
	st := strides(large)
	b := box{}
	var l []axis
	for i, n := range small {
		b.base += a.Start[i] * st[i]
		if n != 1 {
			l = append(l, axis{n: n, a: a.Step[i] * st[i]})
		}
	}
	l = merge(l)
	if len(l) == 1 {
		l = append([]axis{{n: 1}}, l...)
	}
	var inner axis
	b.outer, inner, b.count = rows(l)
	b.n, b.step = inner.n, inner.a
	return b
}

func (b *box) place(r int) int {
	from, _ := at(b.outer, r)
	return b.base + from
}

// bindCut copies a strided box out of x.
func bindCut[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	b := newBox(m.p.Values[in.Out[0]].Shape, m.p.Values[in.In[0]].Shape, in.Attr.(program.BoxAttr))
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			from := b.place(r)
			dst := y[r*b.n : (r+1)*b.n]
			if b.step == 1 {
				copy(dst, x[from:from+b.n])
				continue
			}
			for i := range dst {
				dst[i] = x[from]
				from += b.step
			}
		}
	}
	return func() { m.pool.For(b.count, max(1, grain/b.n), body) }
}

// bindPlace fills y with a constant and copies x into a strided box of it.
func bindPlace[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.BoxAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	n := m.p.Values[in.Out[0]].Len()
	b := newBox(m.p.Values[in.In[0]].Shape, m.p.Values[in.Out[0]].Shape, a)
	value := T(a.Value)
	fill := func(lo, hi int) {
		dst := y[lo:hi]
		for i := range dst {
			dst[i] = value
		}
	}
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			to := b.place(r)
			src := x[r*b.n : (r+1)*b.n]
			if b.step == 1 {
				copy(y[to:to+b.n], src)
				continue
			}
			for _, v := range src {
				y[to] = v
				to += b.step
			}
		}
	}
	return func() {
		m.pool.For(n, grain, fill)
		m.pool.For(b.count, max(1, grain/b.n), body)
	}
}

// bindPadReflect fills the border with the mirror image or the nearest element.
func bindPadReflect[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.BoxAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	large, small := m.p.Values[in.Out[0]].Shape, m.p.Values[in.In[0]].Shape
	st := strides(small)
	from := make([][]int, len(large)) // per axis: where in x a position of y comes from
	for i, n := range large {
		for p := range n {
			q := p - a.Start[i]
			last := small[i] - 1
			if a.Mode == "reflect" && last > 0 {
				q = ((q % (2 * last)) + 2*last) % (2 * last)
				if q > last {
					q = 2*last - q
				}
			}
			from[i] = append(from[i], min(max(q, 0), last)*st[i])
		}
	}
	inner := large[len(large)-1]
	count := size(large) / inner
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			base, rest := 0, r
			for i := len(large) - 2; i >= 0; i-- {
				base += from[i][rest%large[i]]
				rest /= large[i]
			}
			for i, f := range from[len(large)-1] {
				y[r*inner+i] = x[base+f]
			}
		}
	}
	return func() { m.pool.For(count, max(1, grain/inner), body) }
}

// bindGather copies chosen positions of an axis.
func bindGather[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.GatherAttr)
	shape := m.p.Values[in.In[0]].Shape
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	outer, n, inner := size(shape[:a.Axis]), shape[a.Axis], size(shape[a.Axis+1:])
	k := len(a.Indices)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			if inner == 1 {
				src, dst := x[r*n:(r+1)*n], y[r*k:(r+1)*k]
				for i, p := range a.Indices {
					dst[i] = src[p]
				}
				continue
			}
			for i, p := range a.Indices {
				copy(y[(r*k+i)*inner:(r*k+i+1)*inner], x[(r*n+p)*inner:(r*n+p+1)*inner])
			}
		}
	}
	return func() { m.pool.For(outer, max(1, grain/(k*inner)), body) }
}

// bindGatherGrad adds dy back to where it was gathered from, in the order of the indices.
func bindGatherGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.GatherAttr)
	shape := m.p.Values[in.Out[0]].Shape
	dx, dy := m.slice(in.Out[0]), m.slice(in.In[0])
	outer, n, inner := size(shape[:a.Axis]), shape[a.Axis], size(shape[a.Axis+1:])
	indices := slices.Clone(a.Indices)
	k := len(indices)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			clear(dx[r*n*inner : (r+1)*n*inner])
			for i, p := range indices {
				src := dy[(r*k+i)*inner : (r*k+i+1)*inner]
				dst := dx[(r*n+p)*inner:][:len(src)]
				for j, v := range src {
					dst[j] += v
				}
			}
		}
	}
	return func() { m.pool.For(outer, max(1, grain/((k+n)*inner)), body) }
}
