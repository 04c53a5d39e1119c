package ortcheck_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/internal/testkit/nets"
)

// TestRulesCutWhatONNXRuntimeRuns cuts the networks around single operators and runs what is left in the engine and in ONNX Runtime.
func TestRulesCutWhatONNXRuntimeRuns(t *testing.T) {
	for _, r := range nets.Rules() {
		t.Run(r.Name, func(t *testing.T) {
			g, err := r.Graph(1)
			if err != nil {
				t.Fatal(err)
			}
			if r.NoORT != "" {
				t.Skip(r.NoORT)
			}
			ortcheck.Compare(t, pruned(t, g, 1), 1)
		})
	}
}

// TestRandomEncodersComputeWhatONNXRuntimeDoes does so with random transformers, whole and cut.
func TestRandomEncodersComputeWhatONNXRuntimeDoes(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		g := testkit.RandomEncoder(rand.New(rand.NewPCG(seed, 3)))
		ortcheck.Compare(t, g, seed)
		ortcheck.Compare(t, pruned(t, g, seed), seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
