package train

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/dms-go/dms/ir"
)

// Reinit returns a copy of g with fresh random weights: kernels of convolutions normal with variance 2 / fan-out (He et al. 2015,
// arXiv 1502.01852), linear layers uniform within ±1/√fan-in, biases of convolutions 0, normalisations at identity.
//
// A weight's values depend on seed and its name alone, so cutting one layer leaves the others' values as they were.
func Reinit(g *ir.Graph, seed uint64) *ir.Graph {
	out := g.Clone()
	for _, n := range out.Nodes {
		if !ir.Standard(n.Domain) {
			continue
		}
		switch n.Op {
		case "Conv":
			if w := floats(out, n, 1); w != nil && len(w.Shape) >= 3 {
				taps := 1
				for _, k := range w.Shape[2:] {
					taps *= k
				}
				fanOut := float64(w.Shape[0]*taps) / float64(max(1, n.Attrs.Int("group", 1)))
				normal(w, math.Sqrt(2/max(1, fanOut)), source(seed, n.Input(1)))
			}
			fill(floats(out, n, 2), 0)
		case "Gemm", "MatMul":
			fanIn := 1
			for _, i := range []int{0, 1} {
				w := floats(out, n, i)
				if w == nil || len(w.Shape) != 2 {
					continue
				}
				fanIn = w.Shape[1-i]
				if i == 1 && n.Op == "Gemm" && n.Attrs.Int("transB", 0) == 0 || i == 1 && n.Op == "MatMul" {
					fanIn = w.Shape[0]
				} else if i == 1 {
					fanIn = w.Shape[1]
				}
				uniform(w, 1/math.Sqrt(float64(max(1, fanIn))), source(seed, n.Input(i)))
			}
			if n.Op == "Gemm" {
				if b := floats(out, n, 2); b != nil {
					uniform(b, 1/math.Sqrt(float64(max(1, fanIn))), source(seed, n.Input(2)))
				}
			}
		case "BatchNormalization":
			fill(floats(out, n, 1), 1)
			fill(floats(out, n, 2), 0)
			fill(floats(out, n, 3), 0)
			fill(floats(out, n, 4), 1)
		}
	}
	return out
}

// floats is the float weight that node n reads as input i, or nil.
func floats(g *ir.Graph, n *ir.Node, i int) *ir.Tensor {
	t := g.Weights[n.Input(i)]
	if t == nil || t.DType != ir.Float32 {
		return nil
	}
	return t
}

// source is a random source that belongs to one weight.
func source(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

func normal(t *ir.Tensor, std float64, r *rand.Rand) {
	for i := range t.F32 {
		t.F32[i] = float32(r.NormFloat64() * std)
	}
}

func uniform(t *ir.Tensor, bound float64, r *rand.Rand) {
	for i := range t.F32 {
		t.F32[i] = float32((2*r.Float64() - 1) * bound)
	}
}

func fill(t *ir.Tensor, v float32) {
	if t == nil {
		return
	}
	for i := range t.F32 {
		t.F32[i] = v
	}
}
