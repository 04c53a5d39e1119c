package search

import (
	"math"
	"math/rand/v2"

	"github.com/dms-go/dms/topk"
)

// learner turns what a method has learned of a group into masks, and gradients by the masks into gradients by what it learns.
type learner interface {
	// start is what a group of n elements begins with.
	start(n int, cfg *Config) []float64

	// refresh recomputes the group's masks and ratio from its parameters and importances. noise is fixed by seed and step.
	refresh(g *group, cfg *Config, noise *rand.Rand)

	// pull adds to dst the gradient by the parameters of Σ d[e]·mask[e].
	pull(dst []float64, g *group, cfg *Config, d []float64)

	// observed is the mask that enters the importances. What a hard mask drops would have importance 0 and never come back, so it is not
	// always the mask of the forward pass.
	observed(g *group) []float64

	// fix makes the parameters stand for the ratio g.a, where they can.
	fix(g *group)

	// bounds are those of a parameter.
	bounds() (lo, hi float64)

	// hard tells whether the mask of the forward pass is 0 or 1 whatever the settings say.
	hard() bool
}

// softTopK is the method of arXiv 2405.07194: one parameter, the ratio a.
type softTopK struct{}

func (softTopK) start(n int, cfg *Config) []float64 { return []float64{cfg.Start} }

func (softTopK) refresh(g *group, cfg *Config, _ *rand.Rand) {
	g.a = g.theta[0]
	g.place(cfg)
	g.live = topk.Mask(g.m, g.c, g.a, g.l)
	if g.live && !cfg.Rank {
		topk.Soft(g.m, g.rank, g.a, g.l)
	}
	topk.MaskGrad(g.dm, g.m, g.l, g.live)
	g.cut()
}

func (softTopK) pull(dst []float64, g *group, _ *Config, d []float64) {
	for e, v := range d {
		dst[0] += v * g.dm[e]
	}
}

func (softTopK) observed(g *group) []float64 { return g.m }
func (softTopK) fix(g *group)                { g.theta[0] = g.a }
func (softTopK) bounds() (lo, hi float64)    { return 0, 1 }
func (softTopK) hard() bool                  { return false }

// hardTopK drops a·n elements and takes every mask's derivative by a to be −1, so that their sum has the right one, −n.
type hardTopK struct{}

func (hardTopK) start(n int, cfg *Config) []float64 { return []float64{cfg.Start} }

func (hardTopK) refresh(g *group, cfg *Config, _ *rand.Rand) {
	g.a = g.theta[0]
	g.place(cfg)
	g.live = topk.Mask(g.m, g.c, g.a, g.l)
	for e := range g.m {
		g.m[e] = 1
	}
	g.cut()
}

func (hardTopK) pull(dst []float64, g *group, _ *Config, d []float64) {
	for _, v := range d {
		dst[0] -= v
	}
}

func (hardTopK) observed(g *group) []float64 { return g.m }
func (hardTopK) fix(g *group)                { g.theta[0] = g.a }
func (hardTopK) bounds() (lo, hi float64)    { return 0, 1 }
func (hardTopK) hard() bool                  { return true }

// elementLogits has for each element the logit ℓ of keeping it, the difference of the two logits of a Gumbel softmax. An element is
// kept when s = σ((ℓ + noise)/τ) ≥ ½, with logistic noise (the difference of two Gumbel draws); the gradient is that of s.
type elementLogits struct{}

func (elementLogits) start(n int, cfg *Config) []float64 {
	theta := make([]float64, n)
	for e := range theta {
		theta[e] = cfg.Logit
	}
	return theta
}

func (elementLogits) refresh(g *group, cfg *Config, noise *rand.Rand) {
	copy(g.c, g.theta) // the logits are the ranking
	gone := 0
	g.live = true
	for e, v := range g.theta {
		u := noise.Float64()
		for u == 0 {
			u = noise.Float64()
		}
		x := (v + math.Log(u) - math.Log1p(-u)) / cfg.Temperature
		s := 1 / (1 + math.Exp(-x))
		g.m[e], g.dm[e], g.keep[e] = s, s*(1-s)/cfg.Temperature, 0
		if s >= 0.5 {
			g.keep[e] = 1
		}
		if v < 0 {
			gone++
		}
	}
	g.a = float64(gone) / float64(len(g.theta))
	if total(g.keep) < g.min {
		for _, e := range topk.Top(g.m, g.min) {
			g.keep[e] = 1
		}
	}
}

func (elementLogits) pull(dst []float64, g *group, _ *Config, d []float64) {
	for e, v := range d {
		dst[e] += v * g.dm[e]
	}
}

func (elementLogits) fix(*group)                  {}
func (elementLogits) observed(g *group) []float64 { return g.m }
func (elementLogits) bounds() (lo, hi float64)    { return -20, 20 }
func (elementLogits) hard() bool                  { return true }

// countLogits has a logit for each count k of kept elements; w is a draw of their Gumbel softmax, and the mask is the mixture Σ w[k]·top(k)
// of the top-k masks of the importances.
type countLogits struct{}

// start gives the full count the probability σ(Logit), and the others what is left.
func (countLogits) start(n int, cfg *Config) []float64 {
	theta := make([]float64, n)
	theta[n-1] = cfg.Logit + math.Log(float64(max(1, n-1)))
	return theta
}

func (countLogits) refresh(g *group, cfg *Config, noise *rand.Rand) {
	n := len(g.theta)
	g.place(cfg)
	g.live = topk.Mask(g.m, g.c, 0, 1)
	// g.dm holds w until pull: one number per count.
	most := math.Inf(-1)
	for k, v := range g.theta {
		u := noise.Float64()
		for u == 0 {
			u = noise.Float64()
		}
		g.dm[k] = (v - math.Log(-math.Log(u))) / cfg.Temperature
		most = math.Max(most, g.dm[k])
	}
	sum := 0.0
	for k, v := range g.dm {
		g.dm[k] = math.Exp(v - most)
		sum += g.dm[k]
	}
	mode := 0
	for k := range g.dm {
		g.dm[k] /= sum
		if g.theta[k] >= g.theta[mode] {
			mode = k
		}
	}
	g.a = 1 - float64(mode+1)/float64(n)
	if !g.live {
		for e := range g.m {
			g.m[e], g.keep[e] = 1, 1
		}
		return
	}
	g.order = topk.Order(g.c)
	tail := 1.0 // Σ w over counts above the position
	for at, e := range g.order {
		g.m[e], g.keep[e] = tail, 0
		if tail >= 0.5 || at < g.min {
			g.keep[e] = 1
		}
		tail = math.Max(0, tail-g.dm[at])
	}
}

func (countLogits) pull(dst []float64, g *group, cfg *Config, d []float64) {
	if g.order == nil {
		return
	}
	// ∂/∂w[k] of Σ d·mask is the sum of d over the top k; then the Jacobian of the softmax.
	mean, upTo := 0.0, 0.0
	for k, e := range g.order {
		upTo += d[e]
		mean += g.dm[k] * upTo
	}
	upTo = 0
	for k, e := range g.order {
		upTo += d[e]
		dst[k] += g.dm[k] * (upTo - mean) / cfg.Temperature
	}
}

func (countLogits) fix(*group)                  {}
func (countLogits) observed(g *group) []float64 { return ones(len(g.c)) }
func (countLogits) bounds() (lo, hi float64)    { return -20, 40 }
func (countLogits) hard() bool                  { return false }

// untouched learns nothing but the importances of the network as it is.
type untouched struct{}

func (untouched) start(int, *Config) []float64 { return nil }

func (untouched) refresh(g *group, _ *Config, _ *rand.Rand) {
	g.live = false
	for e := range g.m {
		g.m[e], g.keep[e], g.dm[e] = 1, 1, 0
	}
}

func (untouched) pull([]float64, *group, *Config, []float64) {}
func (untouched) fix(*group)                                 {}
func (untouched) observed(g *group) []float64                { return g.m }
func (untouched) bounds() (lo, hi float64)                   { return 0, 1 }
func (untouched) hard() bool                                 { return false }

// place writes where the elements stand on the scale of the ratio: their mid-ranks, or with Rank off their importances relative to the largest.
func (g *group) place(cfg *Config) {
	if cfg.Rank {
		topk.Rank(g.rank, g.c)
		return
	}
	most := 0.0
	for _, v := range g.c {
		most = math.Max(most, v)
	}
	for e, v := range g.c {
		if g.rank[e] = 0; most > 0 {
			g.rank[e] = v / most
		}
	}
}

// cut is the hard rule on the places of the elements.
func (g *group) cut() {
	kept := 0
	for e := range g.keep {
		if g.keep[e] = 0; !g.live || g.rank[e] >= g.a {
			g.keep[e] = 1
			kept++
		}
	}
	if kept < g.min {
		clear(g.keep)
		for _, e := range topk.Top(g.c, g.min) {
			g.keep[e] = 1
		}
	}
}

func ones(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// total counts the ones of a hard mask.
func total(keep []float64) int {
	n := 0
	for _, k := range keep {
		n += int(k)
	}
	return n
}
