package ortcheck_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/internal/testkit/operators"
	"github.com/dms-go/dms/ir"
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
