package optim

import "math"

// ClipNorm scales all gradients by one factor so that the norm of them together is at most limit (Pascanu et al. 2013, arXiv
// 1211.5063), and returns the norm before. Squares are added in float64 in the order of params, so the result is the same bits
// everywhere. Where the norm is not finite the gradients stay as they are.
func ClipNorm(params []Param, limit float64) float64 {
	total := 0.0
	for _, p := range params {
		total += squares(p.Grad)
	}
	norm := math.Sqrt(total)
	if !(norm > limit) || math.IsInf(norm, 0) {
		return norm
	}
	scale := float32(limit / norm)
	for _, p := range params {
		for i := range p.Grad {
			p.Grad[i] *= scale
		}
	}
	return norm
}

// squares adds the squares of v in four fixed lanes, which a processor can overlap.
func squares(v []float32) float64 {
	var a, b, c, d float64
	for ; len(v) >= 4; v = v[4:] {
		a += float64(v[0]) * float64(v[0])
		b += float64(v[1]) * float64(v[1])
		c += float64(v[2]) * float64(v[2])
		d += float64(v[3]) * float64(v[3])
	}
	for _, x := range v {
		a += float64(x) * float64(x)
	}
	return (a + b) + (c + d)
}
