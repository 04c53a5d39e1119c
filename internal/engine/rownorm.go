package engine

import (
	"math"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// bindRowNorm normalises every row: y = (x − mean)/√(variance + ε)·γ + β, or, with Root, x/√(mean of x² + ε)·γ + β. Sums are in float64.
func bindRowNorm[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.RowNormAttr)
	y, mean, inv := m.slice(in.Out[0]), m.slice(in.Out[1]), m.slice(in.Out[2])
	x, gamma, beta := m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	n := float64(a.N)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, dst := x[r*a.N:(r+1)*a.N], y[r*a.N:(r+1)*a.N]
			mu, squares := 0.0, 0.0
			if !a.Root {
				for _, v := range row {
					mu += float64(v)
				}
				mu /= n
			}
			for _, v := range row {
				d := float64(v) - mu
				squares += d * d
			}
			s := 1 / math.Sqrt(squares/n+a.Epsilon)
			mean[r], inv[r] = T(mu), T(s)
			for j, v := range row {
				dst[j] = T((float64(v) - mu) * s)
			}
			if gamma != nil {
				for j, g := range gamma[:a.N] {
					dst[j] *= g
				}
			}
			if beta != nil {
				for j, b := range beta[:a.N] {
					dst[j] += b
				}
			}
		}
	}
	return func() { m.pool.For(a.Rows, max(1, grain/(4*a.N)), body) }
}

// normRows is how many rows one partial sum of the gradients of γ and β covers, whatever the number of cores.
const normRows = 64

// bindRowNormGrad: with x̂ = (x − mean)/σ and g = dy·γ, over each row of N elements,
//
//	dx = (g − Σg/N − x̂·Σ(g·x̂)/N)/σ    dγ = Σ dy·x̂    dβ = Σ dy over the rows
//
// where Σg is left out if the mean was not subtracted.
func bindRowNormGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.RowNormAttr)
	dx, dgamma, dbeta := m.slice(in.Out[0]), m.slice(in.Out[1]), m.slice(in.Out[2])
	dy, x, gamma := m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	mean, inv := m.slice(in.In[3]), m.slice(in.In[4])
	n := float64(a.N)
	data := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			d, row, dst := dy[r*a.N:(r+1)*a.N], x[r*a.N:(r+1)*a.N], dx[r*a.N:(r+1)*a.N]
			mu, s := float64(mean[r]), float64(inv[r])
			sum, products := 0.0, 0.0
			for j, v := range d {
				g := float64(v)
				if gamma != nil {
					g *= float64(gamma[j])
				}
				sum += g
				products += g * (float64(row[j]) - mu) * s
			}
			if a.Root {
				sum = 0
			}
			for j, v := range d {
				g := float64(v)
				if gamma != nil {
					g *= float64(gamma[j])
				}
				dst[j] = T(s * (g - sum/n - (float64(row[j])-mu)*s*products/n))
			}
		}
	}
	chunks := (a.Rows + normRows - 1) / normRows
	var parts []float64 // (chunks, 2, N)
	if dgamma != nil || dbeta != nil {
		parts = make([]float64, chunks*2*a.N)
	}
	partial := func(lo, hi int) {
		for c := lo; c < hi; c++ {
			first, second := parts[2*c*a.N:(2*c+1)*a.N], parts[(2*c+1)*a.N:(2*c+2)*a.N]
			clear(first)
			clear(second)
			for r := c * normRows; r < min((c+1)*normRows, a.Rows); r++ {
				mu, s := float64(mean[r]), float64(inv[r])
				row := x[r*a.N : (r+1)*a.N]
				for j, v := range dy[r*a.N : (r+1)*a.N] {
					first[j] += float64(v) * (float64(row[j]) - mu) * s
					second[j] += float64(v)
				}
			}
		}
	}
	join := func(lo, hi int) {
		for j := lo; j < hi; j++ {
			g, b := 0.0, 0.0
			for c := range chunks {
				g += parts[2*c*a.N+j]
				b += parts[(2*c+1)*a.N+j]
			}
			if dgamma != nil {
				dgamma[j] = T(g)
			}
			if dbeta != nil {
				dbeta[j] = T(b)
			}
		}
	}
	return func() {
		if dx != nil {
			m.pool.For(a.Rows, max(1, grain/(4*a.N)), data)
		}
		if parts != nil {
			m.pool.For(chunks, max(1, grain/(normRows*a.N)), partial)
			m.pool.For(a.N, grain, join)
		}
	}
}
