package ortcheck_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/internal/testkit/operators"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// TestOperatorsComputeWhatONNXRuntimeDoes runs every case of the operators in the engine and in ONNX Runtime.
func TestOperatorsComputeWhatONNXRuntimeDoes(t *testing.T) {
	for k, c := range operators.All() {
		t.Run(c.Name, func(t *testing.T) {
			if c.NoORT != "" {
				t.Skip(c.NoORT)
			}
			rng := rand.New(rand.NewPCG(uint64(k), 5))
			g := c.Build(t, rng)
			inputs := map[string]*ir.Tensor{}
			for _, in := range g.Inputs {
				inputs[in.Name] = operators.Feed(rng, in)
			}
			got, err := ortcheck.Engine(g, inputs)
			if err != nil {
				t.Fatal(err)
			}
			ortcheck.Same(t, got, ortcheck.Run(t, ortcheck.Write(t, g), inputs), ortcheck.Tolerance)
		})
	}
}

// TestCutOperatorsComputeWhatMasksDo removes a random half of the groups that pass through single operators, and holds what is left in ONNX Runtime
// against itself and against hard masks in the engine.
func TestCutOperatorsComputeWhatMasksDo(t *testing.T) {
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for _, r := range nets.Rules() {
		t.Run(r.Name, func(t *testing.T) {
			g, err := r.Graph(1)
			if err != nil {
				t.Fatal(err)
			}
			ortcheck.Compare(t, pruned(t, g, 1), 1)
			if len(r.Groups) == 0 { // nothing may go there
				return
			}
			for seed := range seeds {
				g, err := r.Graph(seed)
				if err != nil {
					t.Fatal(err)
				}
				g.IRVersion = 10
				s, err := space.Find(g, space.Options{})
				if err != nil {
					t.Fatal(err)
				}
				on := []masked.On{masked.Weights, masked.Activations}[seed]
				off, moved := cut{graph: g, space: s}.hold(t, on, int(seed), int(seed)+1)
				t.Logf("seed %d: %d groups, off by %.1e where removal moves %.1e", seed, len(s.Groups), off, moved)
				if moved < 100*ortcheck.Tolerance {
					t.Errorf("seed %d: removing a half moves the output by %.2g: nothing can be told from that", seed, moved)
				}
			}
		})
	}
}
