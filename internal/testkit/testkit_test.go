package testkit

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/ir"
)

func TestRandomConvNetHasTheShapesItStates(t *testing.T) {
	ops := map[string]int{}
	for seed := range uint64(400) {
		g := RandomConvNet(rand.New(rand.NewPCG(seed, 1)))
		info, err := ir.InferShapes(g, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		out := g.Outputs[0]
		got := info[out.Name].Shape
		if len(got) != 2 || got[0].Sym != "N" || !got[1].Same(out.Shape[1]) {
			t.Fatalf("seed %d: logits have shape %v, want %v", seed, got, out.Shape)
		}
		for _, n := range g.Nodes {
			ops[n.Op]++
		}
	}
	for _, op := range []string{"Conv", "BatchNormalization", "Add", "Concat", "Mul", "Slice", "Pad", "Split", "PRelu", "Gemm", "MatMul", "Transpose", "Gather",
		"Softmax", "Max", "Erf", "Dropout", "InstanceNormalization", "Resize", "Upsample"} {
		if ops[op] == 0 {
			t.Errorf("no %s in 400 networks", op)
		}
	}
}

func TestRandomEncoderHasTheShapesItStates(t *testing.T) {
	ops := map[string]int{}
	for seed := range uint64(400) {
		g := RandomEncoder(rand.New(rand.NewPCG(seed, 1)))
		info, err := ir.InferShapes(g, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		out := g.Outputs[0]
		got := info[out.Name].Shape
		if len(got) != 2 || got[0].Sym != "N" || !got[1].Same(out.Shape[1]) {
			t.Fatalf("seed %d: logits have shape %v, want %v", seed, got, out.Shape)
		}
		for _, n := range g.Nodes {
			ops[n.Op]++
		}
		if len(g.Inputs[0].Shape) == 2 {
			for _, v := range RandomInput(rand.New(rand.NewPCG(seed, 2)), g, 2) {
				if v != float32(int(v)) || v < 0 || v >= Vocabulary {
					t.Fatalf("seed %d: token %v", seed, v)
				}
			}
		}
	}
	for _, op := range []string{"Conv", "Gather", "Expand", "Concat", "Shape", "LayerNormalization", "ReduceMean", "Sub", "Pow", "Sqrt", "Div", "Reciprocal", "MatMul",
		"Gemm", "Split", "Slice", "Softmax", "Erf", "Gelu", "Tanh", "Relu", "Sigmoid", "Neg", "Unsqueeze", "Squeeze", "Where", "Attention", "RotaryEmbedding"} {
		if ops[op] == 0 {
			t.Errorf("no %s in 400 networks", op)
		}
	}
}

func TestRandomNetworksFollowTheSeed(t *testing.T) {
	for name, random := range map[string]func(*rand.Rand) *ir.Graph{"RandomConvNet": RandomConvNet, "RandomEncoder": RandomEncoder} {
		a, b := random(rand.New(rand.NewPCG(7, 1))), random(rand.New(rand.NewPCG(7, 1)))
		if err := ir.EqualGraphs(a, b); err != nil {
			t.Errorf("%s: two networks of one seed: %v", name, err)
		}
	}
}

func TestCloseComparesWithTheLargestMagnitude(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name      string
		got, want []float32
		ok        bool
	}{
		{"equal", []float32{1, 2}, []float32{1, 2}, true},
		{"small beside large", []float32{1e-4, 100}, []float32{0, 100}, true},
		{"too far", []float32{1.1, 100}, []float32{0, 100}, false},
		{"all zero, exact", []float32{0}, []float32{0}, true},
		{"all zero, off", []float32{1e-20}, []float32{0}, false},
		{"lengths", []float32{1}, []float32{1, 1}, false},
		{"NaN where a number should be", []float32{nan}, []float32{1}, false},
		{"a number where NaN should be", []float32{1, 1}, []float32{nan, 1}, false},
		{"NaN twice", []float32{nan, 1}, []float32{nan, 1}, true},
		{"infinite", []float32{inf, 1}, []float32{inf, 1}, true},
		{"infinite, other sign", []float32{-inf, 1}, []float32{inf, 1}, false},
	} {
		if err := Close(c.got, c.want, 1e-3); (err == nil) != c.ok {
			t.Errorf("%s: Close = %v", c.name, err)
		}
	}
}
