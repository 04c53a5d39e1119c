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

// bind returns the pass: add adds the sums of the rows from lo to hi to first and second.
func (s *channelSums[T]) bind(m *Machine[T], add func(first, second []T, lo, hi int)) func() {
	c := s.channels
	body := func(lo, hi int) {
		for t := lo; t < hi; t++ {
			part, block := s.parts[t*2*c:(t+1)*2*c], s.block[t*2*c:(t+1)*2*c]
			clear(part)
			last := min((t+1)*s.per, s.rows)
			for r := min(t*s.per, s.rows); r < last; r += blockRows {
				clear(block)
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
	scale, shift := make([]T, c), make([]T, c)
	apply := func(lo, hi int) { kernel.ScaleShift(y[lo*c:hi*c], x[lo*c:hi*c], scale, shift, a.Relu) }
	finish := func() {
		for j := range scale {
			s := float64(gamma[j]) * float64(inv[j])
			scale[j] = T(s)
			shift[j] = T(float64(beta[j]) - s*float64(mean[j]))
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
	// Differences from the first row keep their digits where the mean is large.
	pass := sums.bind(m, func(first, second []T, lo, hi int) { kernel.Moments(first, second, x[lo*c:hi*c], x[:c]) })
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
		kernel.ProductSums(first, second, dy[lo*c:hi*c], x[lo*c:hi*c], mean)
	})
	// dx = k1·dy + k2·x + k3 per channel
	k1, k2, k3 := make([]T, c), make([]T, c), make([]T, c)
	apply := func(lo, hi int) { kernel.ScaleTwo(dx[lo*c:hi*c], dy[lo*c:hi*c], x[lo*c:hi*c], k1, k2, k3) }
	needSums := a.Train || dgamma != nil || dbeta != nil
	n := float64(a.Rows)
	return func() {
		if needSums {
			pass()
		}
		for j := range c {
			r := float64(inv[j])
			s := float64(gamma[j]) * r
			products := sums.second[j] * r // Σ dy·x̂
			k1[j] = T(s)
			if a.Train {
				slope := -s * r * products / n
				k2[j] = T(slope)
				k3[j] = T(-s*sums.first[j]/n - slope*float64(mean[j]))
			}
			if dgamma != nil {
				dgamma[j] = T(products)
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
