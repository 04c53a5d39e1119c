package engine

import (
	"math"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// channelSums adds up two quantities per channel over the rows of (rows, channels), in chunks that do not depend on the cores.
type channelSums[T kernel.Float] struct {
	rows, channels, chunks, per int
	parts                       []float64 // (chunks, 2, channels)
	block                       []T       // the same, within blockRows rows
	first, second               []float64 // totals by channel
}

func newChannelSums[T kernel.Float](rows, channels int) *channelSums[T] {
	s := &channelSums[T]{rows: rows, channels: channels, chunks: min(maxChunks, (rows+blockRows-1)/blockRows)}
	s.per = (rows + s.chunks - 1) / s.chunks
	s.parts = make([]float64, s.chunks*2*channels)
	s.block = make([]T, s.chunks*2*channels)
	s.first, s.second = make([]float64, channels), make([]float64, channels)
	return s
}

// bind returns the pass: add overwrites first and second with the sums of the rows from lo to hi.
func (s *channelSums[T]) bind(m *Machine[T], add func(first, second []T, lo, hi int)) func() {
	c := s.channels
	body := func(lo, hi int) {
		for t := lo; t < hi; t++ {
			part, block := s.parts[t*2*c:(t+1)*2*c], s.block[t*2*c:(t+1)*2*c]
			clear(part)
			last := min((t+1)*s.per, s.rows)
			for r := min(t*s.per, s.rows); r < last; r += blockRows {
				add(block[:c], block[c:], r, min(r+blockRows, last))
				for j, v := range block {
					part[j] += float64(v)
				}
			}
		}
	}
	return func() {
		m.pool.For(s.chunks, max(1, grain/(s.per*c)), body)
		for j := range c {
			a, b := 0.0, 0.0
			for t := range s.chunks {
				a += s.parts[t*2*c+j]
				b += s.parts[t*2*c+c+j]
			}
			s.first[j], s.second[j] = a, b
		}
	}
}

// bindBatchNorm normalises each channel. In training it uses the batch's mean and biased variance and moves the running statistics,
// the variance by its unbiased estimate, as PyTorch does (ONNX's own text would store the biased one).
func bindBatchNorm[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.BatchNormAttr)
	c := a.Channels
	y, mean, inv := m.slice(in.Out[0]), m.slice(in.Out[1])[:c], m.slice(in.Out[2])[:c]
	x, gamma, beta := m.slice(in.In[0]), m.slice(in.In[1])[:c], m.slice(in.In[2])[:c]
	runMean, runVar := m.slice(in.In[3])[:c], m.slice(in.In[4])[:c]
	scale := make([]T, c)
	apply := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, out := x[r*c:(r+1)*c], y[r*c:(r+1)*c]
			mean, scale, beta := mean[:len(row)], scale[:len(row)], beta[:len(row)]
			for j, v := range row {
				out[j] = (v-mean[j])*scale[j] + beta[j]
			}
		}
	}
	finish := func() {
		for j := range scale {
			scale[j] = gamma[j] * inv[j]
		}
		m.pool.For(a.Rows, max(1, grain/c), apply)
	}
	if !a.Train {
		return func() {
			for j := range mean {
				mean[j] = runMean[j]
				inv[j] = T(1 / math.Sqrt(float64(runVar[j])+a.Epsilon))
			}
			finish()
		}
	}
	sums := newChannelSums[T](a.Rows, c)
	pass := sums.bind(m, func(first, second []T, lo, hi int) {
		clear(first)
		clear(second)
		shift := x[:len(first)] // the first row: sums of differences keep their digits where the mean is large
		second = second[:len(first)]
		for r := lo; r < hi; r++ {
			row := x[r*c : (r+1)*c]
			row = row[:len(first)]
			for j := range first {
				d := row[j] - shift[j]
				first[j] += d
				second[j] += d * d
			}
		}
	})
	n := float64(a.Rows)
	return func() {
		pass()
		keep := a.Momentum
		if m.momentum >= 0 {
			keep = m.momentum
		}
		for j := range mean {
			d := sums.first[j] / n
			mu := float64(x[j]) + d
			variance := math.Max(0, sums.second[j]/n-d*d)
			if sums.second[j] != sums.second[j] {
				variance = math.NaN()
			}
			mean[j] = T(mu)
			inv[j] = T(1 / math.Sqrt(variance+a.Epsilon))
			unbiased := variance
			if a.Rows > 1 {
				unbiased *= n / (n - 1)
			}
			runMean[j] = T(keep*float64(runMean[j]) + (1-keep)*mu)
			runVar[j] = T(keep*float64(runVar[j]) + (1-keep)*unbiased)
		}
		finish()
	}
}

// bindBatchNormGrad: with x̂ = (x − mean)/σ,
//
//	dβ = Σ dy    dγ = Σ dy·x̂    dx = γ/σ·(dy − (dβ + x̂·dγ)/rows) in training, γ/σ·dy otherwise.
func bindBatchNormGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.BatchNormAttr)
	c := a.Channels
	dx, dgamma, dbeta := m.slice(in.Out[0]), m.slice(in.Out[1]), m.slice(in.Out[2])
	dy, x, gamma := m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	mean, inv := m.slice(in.In[3])[:c], m.slice(in.In[4])[:c]
	sums := newChannelSums[T](a.Rows, c)
	pass := sums.bind(m, func(first, second []T, lo, hi int) {
		clear(first)
		clear(second)
		second = second[:len(first)]
		mean, inv := mean[:len(first)], inv[:len(first)]
		for r := lo; r < hi; r++ {
			d, v := dy[r*c:(r+1)*c], x[r*c:(r+1)*c]
			d, v = d[:len(first)], v[:len(first)]
			for j := range first {
				first[j] += d[j]
				second[j] += d[j] * ((v[j] - mean[j]) * inv[j])
			}
		}
	})
	// dx = k1·dy + k2·x + k3 per channel, with x − mean kept together so that large means cost no digits
	k1, k2, k3 := make([]T, c), make([]T, c), make([]T, c)
	apply := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			d, v, out := dy[r*c:(r+1)*c], x[r*c:(r+1)*c], dx[r*c:(r+1)*c]
			v, out = v[:len(d)], out[:len(d)]
			k1, k2, k3, mean := k1[:len(d)], k2[:len(d)], k3[:len(d)], mean[:len(d)]
			for j := range d {
				out[j] = k1[j]*d[j] + k2[j]*(v[j]-mean[j]) + k3[j]
			}
		}
	}
	needSums := a.Train || dgamma != nil || dbeta != nil
	n := float64(a.Rows)
	return func() {
		if needSums {
			pass()
		}
		for j := range c {
			s := float64(gamma[j]) * float64(inv[j])
			k1[j] = T(s)
			if a.Train {
				k2[j] = T(-s * float64(inv[j]) * sums.second[j] / n)
				k3[j] = T(-s * sums.first[j] / n)
			}
			if dgamma != nil {
				dgamma[j] = T(sums.second[j])
			}
			if dbeta != nil {
				dbeta[j] = T(sums.first[j])
			}
		}
		if dx != nil {
			m.pool.For(a.Rows, max(1, grain/c), apply)
		}
	}
}
