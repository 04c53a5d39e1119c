package engine

import (
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// bindScaleGrad is both gradients of y = x·s, where s has one number per column, or per column of each sample. A block of rows is summed
// and then scaled while it is in the cache.
func bindScaleGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	shape, small := m.p.Values[in.In[1]].Shape, m.p.Values[in.In[2]].Shape
	dx, ds := m.slice(in.Out[0]), m.slice(in.Out[1])
	dy, x, s := m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	cols := shape[len(shape)-1]
	outer := small[0]
	rows := m.p.Values[in.In[1]].Len() / cols / outer
	chunks := 1
	if outer < maxChunks {
		chunks = min(maxChunks/outer+1, (rows+blockRows-1)/blockRows)
	}
	per := (rows + chunks - 1) / chunks
	block := max(1, min(blockRows, (1<<14)/cols)) // rows: 64 KiB of each operand
	parts := make([]float64, outer*chunks*cols)
	sums := make([]T, 2*outer*chunks*cols) // of one block, and what the kernel computes beside it
	zero := make([]T, cols)
	body := func(lo, hi int) {
		for t := lo; t < hi; t++ {
			o, c := t/chunks, t%chunks
			part, acc, spare := parts[t*cols:(t+1)*cols], sums[2*t*cols:(2*t+1)*cols], sums[(2*t+1)*cols:(2*t+2)*cols]
			clear(part)
			last := min((c+1)*per, rows)
			for r := min(c*per, rows); r < last; r += block {
				from, to := (o*rows+r)*cols, (o*rows+min(r+block, last))*cols
				clear(acc)
				clear(spare)
				kernel.ProductSums(spare, acc, dy[from:to], x[from:to], zero)
				for j, v := range acc {
					part[j] += float64(v)
				}
				kernel.ScaleShift(dx[from:to], dy[from:to], s[o*cols:(o+1)*cols], zero, false)
			}
		}
	}
	join := func(lo, hi int) {
		for t := lo; t < hi; t++ {
			o, j := t/cols, t%cols
			sum := 0.0
			for c := range chunks {
				sum += parts[(o*chunks+c)*cols+j]
			}
			ds[t] = T(sum)
		}
	}
	return func() {
		m.pool.For(outer*chunks, max(1, grain/(per*cols)), body)
		m.pool.For(outer*cols, grain, join)
	}
}
