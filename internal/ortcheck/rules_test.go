package ortcheck_test

import (
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
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
