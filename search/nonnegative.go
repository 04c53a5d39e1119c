package search

import "math"

// nonNegative solves min Σ weight·((work·p − ratio)/ratio)² for p ≥ 0, with 0 for kinds that are not used, by coordinate descent, which ends at the
// one minimum of a convex function. It returns that too.
func nonNegative(seen []timing, used func(kind int) bool) (p []float64, off float64) {
	n := len(seen[0].Work)
	scale := make([]float64, n) // columns are of very different size
	rest := make([]float64, len(seen))
	for i, t := range seen {
		rest[i] = t.Ratio
		for k, v := range t.Work {
			if used(k) {
				scale[k] = math.Max(scale[k], v)
			}
		}
	}
	p = make([]float64, n)
	for range 2000 {
		for k := range n {
			if scale[k] == 0 {
				continue
			}
			num, den := 0.0, 0.0
			for i, t := range seen {
				v := t.Work[k] / scale[k]
				w := t.Weight / (t.Ratio * t.Ratio)
				num += w * v * (rest[i] + v*p[k])
				den += w * v * v
			}
			next := math.Max(0, num/den)
			for i, t := range seen {
				rest[i] -= t.Work[k] / scale[k] * (next - p[k])
			}
			p[k] = next
		}
	}
	for k := range p {
		if scale[k] > 0 {
			p[k] /= scale[k]
		}
	}
	for i, t := range seen {
		off += t.Weight * rest[i] * rest[i] / (t.Ratio * t.Ratio)
	}
	return p, off
}
