package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/parallel"
)

func TestSpreadIsTheMedianWithQuartiles(t *testing.T) {
	if got, want := spreadOf([]float64{5, 1, 3, 2, 4}), (spread{3, 2, 4}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := ratios([]float64{2, 9, 8}, []float64{1, 3, 2}), (spread{3, 2.5, 3.5}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEveryModeOfANetworkIsDescribedAndRuns(t *testing.T) {
	for _, c := range []struct {
		how mode
		on  masked.On
	}{{infer, 0}, {training, 0}, {search, masked.Weights}, {frozen, masked.Activations}} {
		m, err := build(networks[0], c.how, c.on, 2)
		if err != nil {
			t.Fatal(err)
		}
		o, err := newOwn(m, c.how, 2, (*parallel.Pool)(nil))
		if err != nil {
			t.Fatalf("%s: %v", c.how, err)
		}
		if len(o.value) == 0 || o.value[0]-o.value[0] != 0 {
			t.Errorf("%s: the first results are %v", c.how, o.value)
		}
		base := filepath.Join(t.TempDir(), "net")
		if err := export(base, m, 2); err != nil {
			t.Fatalf("%s: %v", c.how, err)
		}
		raw, err := os.ReadFile(base + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var d description
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(base + ".f32"); err != nil || info.Size() != int64(4*d.Floats) {
			t.Errorf("%s: the file of floats: %v %v, want %d floats", c.how, info, err, d.Floats)
		}
		if len(d.Nodes) != len(m.graph.Nodes) || len(d.Inputs) != len(m.graph.Inputs) {
			t.Errorf("%s: %d nodes and %d inputs described, want %d and %d", c.how, len(d.Nodes), len(d.Inputs), len(m.graph.Nodes), len(m.graph.Inputs))
		}
	}
}
