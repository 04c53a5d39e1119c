// Package operators holds small graphs around single operators. Tests of the engine run them beside an interpreter and finite differences,
// and internal/ortcheck runs them in ONNX Runtime.
package operators

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

// Case is a graph in the text form of package ir. What its nodes write to names that begin with y are its outputs. Inputs and all-zero
// float weights get random values: positive ones where the name begins with p, whole numbers below 7 for an input i7, from −7 up for
// n7, truth values for those of type bool. The opset is 17 unless the text states another.
type Case struct {
	Name    string
	Graph   string
	Forward bool   // it has no gradient
	NoORT   string // why ONNX Runtime does not run it
}

// All lists the cases of this package.
func All() []Case { return slices.Concat(Cases, Attention, Opsets) }

// Build parses a case and fills its weights.
func (c Case) Build(t testing.TB, rng *rand.Rand) *ir.Graph {
	t.Helper()
	text := c.Graph
	if !strings.Contains(text, "opset") {
		text = "opset \"\" 17\n" + text
	}
	g, err := ir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	g.IRVersion = 10
	info, err := ir.InferShapes(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(g.Weights))
	for name := range g.Weights {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w := g.Weights[name]
		if w.DType == ir.Float32 && w.Len() > 1 && !slices.ContainsFunc(w.F32, func(v float32) bool { return v != 0 }) {
			for i := range w.F32 {
				w.F32[i] = float32(Draw(rng, ir.ValueInfo{Name: name}))
			}
		}
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			if strings.HasPrefix(o, "y") {
				g.Outputs = append(g.Outputs, info[o])
			}
		}
	}
	return g
}

// Draw is a random number for an element of an input.
func Draw(rng *rand.Rand, v ir.ValueInfo) float64 {
	switch {
	case v.DType == ir.Bool:
		return float64(rng.IntN(2))
	case v.DType.IsInt():
		k, _ := strconv.Atoi(strings.TrimLeft(v.Name, "in"))
		if strings.HasPrefix(v.Name, "n") {
			return float64(rng.IntN(2*k) - k)
		}
		return float64(rng.IntN(k))
	case strings.HasPrefix(v.Name, "p"):
		return 0.5 + rng.Float64()
	}
	return rng.NormFloat64()
}

// Feed draws a tensor for an input whose sizes are numbers.
func Feed(rng *rand.Rand, v ir.ValueInfo) *ir.Tensor {
	sizes, _ := v.Shape.Sizes()
	t := &ir.Tensor{DType: v.DType, Shape: sizes}
	for range t.Len() {
		switch x := Draw(rng, v); v.DType {
		case ir.Int64:
			t.I64 = append(t.I64, int64(x))
		case ir.Bool:
			t.Raw = append(t.Raw, byte(x))
		default:
			t.F32 = append(t.F32, float32(x))
		}
	}
	return t
}
