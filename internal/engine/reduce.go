package engine

import (
	"slices"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// Sums. Every output is one sum, split into parts by position only, so the bits do not depend on the cores: a part is added up in the
// element type over at most blockRows rows, and parts in float64.

const (
	blockRows = 64
	maxChunks = 64
)

// bindSum sums x, or x·y, over the axes in which the output has size one.
func bindSum[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	scale := in.Attr.(program.ScaleAttr).Scale
	shape, small := m.p.Values[in.In[0]].Shape, m.p.Values[in.Out[0]].Shape
	out, x := m.slice(in.Out[0]), m.slice(in.In[0])
	var y []T
	if in.Op == program.SumProduct {
		y = m.slice(in.In[1])
	}
	l := kept(shape, small)
	switch {
	case len(l) == 1 && !l[0].keep: // everything
		return m.bindColumns(out, x, y, 1, l[0].n, 1, scale)
	case len(l) == 2 && l[1].keep:
		return m.bindColumns(out, x, y, 1, l[0].n, l[1].n, scale)
	case len(l) == 3 && l[0].keep && l[2].keep:
		return m.bindColumns(out, x, y, l[0].n, l[1].n, l[2].n, scale)
	case len(l) == 2 && l[0].keep:
		return m.bindColumns(out, x, y, l[0].n, l[1].n, 1, scale)
	}
	return m.bindScattered(out, x, y, shape, small, scale)
}

// run is a stretch of axes that are all kept or all summed.
type run struct {
	n    int
	keep bool
}

func kept(shape, small []int) []run {
	var out []run
	for i, n := range shape {
		if n == 1 {
			continue
		}
		keep := small[i] == n
		if k := len(out) - 1; k >= 0 && out[k].keep == keep {
			out[k].n *= n
			continue
		}
		out = append(out, run{n, keep})
	}
	if len(out) == 0 {
		out = []run{{1, false}}
	}
	return out
}

// bindColumns sums x, seen as (outer, rows, cols), over rows.
func (m *Machine[T]) bindColumns(out, x, y []T, outer, rows, cols int, scale float64) func() {
	chunks := 1
	if outer < maxChunks {
		chunks = min(maxChunks/outer+1, (rows+blockRows-1)/blockRows)
	}
	per := (rows + chunks - 1) / chunks
	parts := make([]float64, outer*chunks*cols)
	block := make([]T, 2*outer*chunks*cols) // the sum within blockRows rows, and what the kernels compute beside it
	zero := make([]T, cols)
	sum := func(lo, hi int) {
		for t := lo; t < hi; t++ {
			o, c := t/chunks, t%chunks
			first, last := min(c*per, rows), min((c+1)*per, rows)
			part, acc, spare := parts[t*cols:(t+1)*cols], block[2*t*cols:(2*t+1)*cols], block[(2*t+1)*cols:(2*t+2)*cols]
			clear(part)
			for r := first; r < last; r += blockRows {
				end := min(r+blockRows, last)
				from, to := (o*rows+r)*cols, (o*rows+end)*cols
				switch {
				case cols == 1 && y == nil:
					acc[0] = total(x[from:to])
				case cols == 1:
					acc[0] = totalProduct(x[from:to], y[from:to])
				case y == nil:
					clear(acc)
					clear(spare)
					kernel.Moments(acc, spare, x[from:to], zero)
				default:
					clear(acc)
					clear(spare)
					kernel.ProductSums(spare, acc, x[from:to], y[from:to], zero)
				}
				for j, v := range acc {
					part[j] += float64(v)
				}
			}
		}
	}
	join := func(lo, hi int) {
		for t := lo; t < hi; t++ {
			o, j := t/cols, t%cols
			s := 0.0
			for c := range chunks {
				s += parts[(o*chunks+c)*cols+j]
			}
			out[t] = T(s * scale)
		}
	}
	return func() {
		m.pool.For(outer*chunks, max(1, grain/(per*cols)), sum)
		m.pool.For(outer*cols, grain, join)
	}
}

// total is the sum of x.
func total[T kernel.Float](x []T) T {
	var s0, s1, s2, s3 T
	for len(x) >= 4 {
		s0 += x[0]
		s1 += x[1]
		s2 += x[2]
		s3 += x[3]
		x = x[4:]
	}
	for _, v := range x {
		s0 += v
	}
	return (s0 + s1) + (s2 + s3)
}

// totalProduct is the sum of x·y.
func totalProduct[T kernel.Float](x, y []T) T {
	var s0, s1, s2, s3 T
	y = y[:len(x)]
	for len(x) >= 4 && len(y) >= 4 {
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		s0 += v * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// bindScattered sums whatever pattern of axes, one output at a time.
func (m *Machine[T]) bindScattered(out, x, y []T, shape, small []int, scale float64) func() {
	st := strides(shape)
	var keep, drop []axis
	n := 1
	for i := range shape {
		if small[i] == shape[i] {
			keep = append(keep, axis{n: shape[i], a: st[i]})
			n *= shape[i]
		} else {
			drop = append(drop, axis{n: shape[i], a: st[i]})
		}
	}
	keep, drop = merge(keep), merge(drop)
	terms := 1
	for _, d := range drop {
		terms *= d.n
	}
	outer, inner, count := rows(drop)
	body := func(lo, hi int) {
		for o := lo; o < hi; o++ {
			base, _ := at(keep, o)
			s := 0.0
			for r := range count {
				from, _ := at(outer, r)
				from += base
				for i := range inner.n {
					v := x[from+i*inner.a]
					if y != nil {
						v *= y[from+i*inner.a]
					}
					s += float64(v)
				}
			}
			out[o] = T(s * scale)
		}
	}
	return func() { m.pool.For(n, max(1, grain/terms), body) }
}

// bindExpand repeats x over the axes in which it has size one.
func bindExpand[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	shape := m.p.Values[in.Out[0]].Shape
	l := loops(shape, m.p.Values[in.In[0]].Shape, nil)
	return m.bindStrided(m.slice(in.Out[0]), m.slice(in.In[0]), l, T(in.Attr.(program.ScaleAttr).Scale))
}

// bindTranspose copies x with its axes in another order.
func bindTranspose[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	shape := m.p.Values[in.Out[0]].Shape
	st := strides(m.p.Values[in.In[0]].Shape)
	var l []axis
	for i, from := range in.Attr.(program.TransposeAttr).Perm {
		if shape[i] != 1 {
			l = append(l, axis{n: shape[i], a: st[from]})
		}
	}
	return m.bindStrided(m.slice(in.Out[0]), m.slice(in.In[0]), merge(l), 1)
}

// bindStrided writes y row by row from places in x that the loops tell.
func (m *Machine[T]) bindStrided(y, x []T, l []axis, scale T) func() {
	l = slices.Clone(l)
	if len(l) == 1 { // one long row has nothing to share out: make two loops of it
		l = append([]axis{{n: 1}}, l...)
	}
	outer, inner, count := rows(l)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			from, _ := at(outer, r)
			dst := y[r*inner.n : (r+1)*inner.n]
			if inner.a == 0 {
				v := x[from] * scale
				for i := range dst {
					dst[i] = v
				}
				continue
			}
			for i := range dst {
				dst[i] = x[from] * scale
				from += inner.a
			}
		}
	}
	return func() { m.pool.For(count, max(1, grain/inner.n), body) }
}
