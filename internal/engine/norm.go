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
	givenMean, givenSquares := m.slice(in.In[5]), m.slice(in.In[6])
	add, mask := m.slice(in.In[7]), m.mask(in.In[8])
	scale, shift := make([]T, c), make([]T, c)
	apply := func(lo, hi int) {
		lo, hi = lo*c, hi*c
		var more []T
		if add != nil {
			more = add[lo:hi]
		}
		kernel.ScaleShiftAct(y[lo:hi], x[lo:hi], scale, shift, more, a.Act)
	}
	finish := func() {
		scaleAndShift(scale, shift, gamma, beta, mean, inv, mask)
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
	n := float64(a.Rows)
	moments := func() (first, second []float64) { return nil, nil }
	if givenMean == nil {
		sums := newChannelSums[T](a.Rows, c)
		// Differences from the first row keep their digits where the mean is large.
		pass := sums.bind(m, func(first, second []T, lo, hi int) { kernel.Moments(first, second, x[lo*c:hi*c], x[:c]) })
		moments = func() (first, second []float64) {
			pass()
			for j, d := range sums.first {
				d /= n
				squares := sums.second[j] - n*d*d
				if squares < 0 { // a rounding error; a NaN stays
					squares = 0
				}
				sums.first[j], sums.second[j] = float64(x[j])+d, squares
			}
			return sums.first, sums.second
		}
	}
	return func() {
		first, second := moments()
		keep := a.Momentum
		if m.momentum >= 0 {
			keep = m.momentum
		}
		for j := range mean {
			var mu, variance float64
			if first != nil {
				mu, variance = first[j], second[j]/n
			} else {
				mu, variance = float64(givenMean[j]), float64(givenSquares[j])/n
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

// mask is the memory of a mask: one number, or one per channel.
func (m *Machine[T]) mask(id program.ID) []T {
	if id == program.None {
		return nil
	}
	return m.slice(id)[:m.p.Values[id].Len()]
}

// masking is the mask of channel j.
func masking[T kernel.Float](mask []T, j int) float64 {
	switch len(mask) {
	case 0:
		return 1
	case 1:
		return float64(mask[0])
	}
	return float64(mask[j])
}

// scaleAndShift turns a normalisation into one product and one sum: mask·(γ·(x − mean)·inv + β) = scale·x + shift.
func scaleAndShift[T kernel.Float](scale, shift, gamma, beta, mean, inv, mask []T) {
	for j := range scale {
		s, m := float64(gamma[j])*float64(inv[j]), masking(mask, j)
		scale[j] = T(m * s)
		shift[j] = T(m * (float64(beta[j]) - s*float64(mean[j])))
	}
}

// bindBatchNormGrad: with x̂ = (x − mean)/σ, the mask m (or one) and dz = dy·act'(m·(γ·x̂ + β) + addend),
//
//	dβ = m·Σ dz    dγ = m·Σ dz·x̂    daddend = dz    dm = γ·Σ dz·x̂ + β·Σ dz
//	dx = γ/σ·(m·dz − (dβ + x̂·dγ)/rows) in training, γ/σ·m·dz otherwise.
//
// Without an addend act' is computed from x again, which costs less than to store what it was taken from. Where the mask comes last, dz is
// dy·act'(γ·x̂ + β), and the rest is the same: m·relu(z) is relu'(z)·m·z.
func bindBatchNormGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.BatchNormAttr)
	c := a.Channels
	dx, dgamma, dbeta, dz := m.slice(in.Out[0]), m.slice(in.Out[1]), m.slice(in.Out[2]), m.slice(in.Out[3])
	dy, x, gamma := m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	mean, inv := m.slice(in.In[3])[:c], m.slice(in.In[4])[:c]
	beta, y, mask, dmask := m.slice(in.In[5]), m.slice(in.In[6]), m.mask(in.In[7]), m.mask(in.Out[4])
	inner := mask // as far as act sees it
	if a.MaskLast {
		inner = nil
	}
	scale, shift := make([]T, c), make([]T, c)
	again := a.Act.Kind != kernel.Identity && y == nil // act' is computed from x
	if again && a.Act.Costly() && dx != nil && &dx[0] != &x[0] {
		dz = dx // stored between the passes: that costs less than to compute it twice
	}
	sums := newChannelSums[T](a.Rows, c)
	pass := sums.bind(m, func(first, second []T, lo, hi int) {
		lo, hi = lo*c, hi*c
		switch {
		case again && dz != nil:
			kernel.ActSums(first, second, dz[lo:hi], dy[lo:hi], x[lo:hi], nil, mean, scale, shift, a.Act)
		case again:
			kernel.ActSums(first, second, nil, dy[lo:hi], x[lo:hi], nil, mean, scale, shift, a.Act)
		case y != nil:
			kernel.ActSums(first, second, dz[lo:hi], dy[lo:hi], x[lo:hi], y[lo:hi], mean, nil, nil, a.Act)
		default:
			kernel.ProductSums(first, second, dy[lo:hi], x[lo:hi], mean)
		}
	})
	// dx = k1·dz + k2·x + k3 per channel
	k1, k2, k3 := make([]T, c), make([]T, c), make([]T, c)
	from := dy
	if dz != nil {
		from = dz
	}
	apply := func(lo, hi int) {
		lo, hi = lo*c, hi*c
		if again && dz == nil {
			kernel.ScaleTwoAct(dx[lo:hi], dy[lo:hi], x[lo:hi], scale, shift, a.Act, k1, k2, k3)
			return
		}
		kernel.ScaleTwo(dx[lo:hi], from[lo:hi], x[lo:hi], k1, k2, k3)
	}
	needSums := a.Train || dgamma != nil || dbeta != nil || dz != nil || dmask != nil
	n := float64(a.Rows)
	return func() {
		if again {
			scaleAndShift(scale, shift, gamma, beta, mean, inv, inner)
		}
		if needSums {
			pass()
		}
		whole := 0.0 // the gradient of a mask of one number
		for j := range c {
			r, by := float64(inv[j]), masking(mask, j)
			s := float64(gamma[j]) * r
			total, products := sums.first[j], sums.second[j]*r // Σ dz and Σ dz·x̂
			if dmask != nil {
				d := float64(gamma[j])*products + float64(beta[j])*total
				if whole += d; len(dmask) > 1 {
					dmask[j] = T(d)
				}
			}
			total, products = by*total, by*products
			k1[j] = T(by * s)
			if a.Train {
				slope := -s * r * products / n
				k2[j] = T(slope)
				k3[j] = T(-s*total/n - slope*float64(mean[j]))
			}
			if dgamma != nil {
				dgamma[j] = T(products)
			}
			if dbeta != nil {
				dbeta[j] = T(total)
			}
		}
		if len(dmask) == 1 {
			dmask[0] = T(whole)
		}
		if dx != nil {
			m.pool.For(a.Rows, max(1, grain/c), apply)
		}
	}
}

// bindFold multiplies a normalisation by running statistics into the weights before it: w' = w·γ/σ, bias' = β + (bias − mean)·γ/σ.
func bindFold[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.FoldAttr)
	c := a.Channels
	folded, shift := m.slice(in.Out[0]), m.slice(in.Out[1])[:c]
	w, bias := m.slice(in.In[0]), m.slice(in.In[1])
	gamma, beta, mean, variance := m.slice(in.In[2]), m.slice(in.In[3]), m.slice(in.In[4]), m.slice(in.In[5])
	per := m.p.Values[in.In[0]].Len() / c
	body := func(lo, hi int) {
		for j := lo; j < hi; j++ {
			s := float64(gamma[j]) / math.Sqrt(float64(variance[j])+a.Epsilon)
			at := -float64(mean[j])
			if bias != nil {
				at += float64(bias[j])
			}
			shift[j] = T(float64(beta[j]) + s*at)
			kernel.Scale(folded[j*per:(j+1)*per], T(s), w[j*per:(j+1)*per])
		}
	}
	return func() { m.pool.For(c, max(1, grain/per), body) }
}
