package train

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/ir"
)

// poison is a hook that makes one number of one gradient NaN, once. The loss of that step is finite.
type poison struct{ step, at int }

func (h *poison) Before(*engine.Machine[float32]) error { return nil }
func (h *poison) After(m *engine.Machine[float32], _ float64) error {
	if h.step++; h.step == h.at {
		m.Grad("layer2.0.conv1.weight")[5] = float32(math.NaN())
	}
	return nil
}
func (h *poison) Describe(*Metrics)               {}
func (h *poison) State() (json.RawMessage, error) { return json.RawMessage("0"), nil }
func (h *poison) Restore(json.RawMessage) error   { return nil }

func broken(t *ir.Tensor) bool {
	return slices.ContainsFunc(t.F32, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) })
}

// exploding makes weights grow a ten thousandfold in every step. Normalisations keep the loss finite for longer than what they average.
func exploding() Config {
	cfg := quick(40)
	cfg.Optimizer, cfg.Rate, cfg.Schedule, cfg.WeightDecay = "adamw", 1000, "constant", 10
	return cfg
}

func TestWeightsThatAreNotFiniteAreNeverSaved(t *testing.T) {
	src := patches(t, 64)
	poisoned := func(optimizer string, ema float64) Config {
		cfg := quick(40)
		cfg.Optimizer, cfg.Rate, cfg.EMA = optimizer, 0.001, ema
		return cfg
	}
	for _, c := range []struct {
		what   string
		cfg    Config
		hook   Hook
		step   int    // in which it is lost; 0: any
		tensor string // "": any but the loss
	}{
		{"an exploding rate", exploding(), nil, 0, ""},
		{"sgd", poisoned("sgd", 0), &poison{at: 7}, 7, `weight "layer2.0.conv1.weight"`},
		{"adamw", poisoned("adamw", 0), &poison{at: 7}, 7, `weight "layer2.0.conv1.weight"`},
		{"rmsprop", poisoned("rmsprop", 0.9), &poison{at: 7}, 7, `weight "layer2.0.conv1.weight"`},
	} {
		c.cfg.Checkpoint = 1
		dir, err := rundir.Create(t.TempDir()+"/run", c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		var lost *NotFiniteError
		if _, err := Fit(context.Background(), network(t, small), src, c.cfg, Options{Journal: dir, Hook: c.hook}); !errors.As(err, &lost) {
			t.Fatalf("%s: %v, want a NotFiniteError", c.what, err)
		}
		if c.step > 0 && lost.Step != c.step || c.tensor != "" && lost.Tensor != c.tensor || lost.Tensor == "the loss" {
			t.Errorf("%s: %v, want %s lost in step %d", c.what, lost, c.tensor, c.step)
		}
		saved, _, err := dir.Resume()
		if err != nil {
			t.Fatal(err)
		}
		if saved.Step != lost.Step-1 {
			t.Errorf("%s: step %d was saved last, %s was lost in step %d", c.what, saved.Step, lost.Tensor, lost.Step)
		}
		for name, v := range saved.Tensors {
			if broken(v) {
				t.Errorf("%s: tensor %q of step %d is not finite", c.what, name, saved.Step)
			}
		}
		t.Log(lost)
	}
}

// TestFitReturnsNoWeightsThatAreNotFinite: without a journal the fault must show as well.
func TestFitReturnsNoWeightsThatAreNotFinite(t *testing.T) {
	cfg := exploding()
	for cfg.Steps = 1; cfg.Steps < 20; cfg.Steps++ {
		g, err := Fit(context.Background(), network(t, small), patches(t, 64), cfg, Options{})
		var lost *NotFiniteError
		if errors.As(err, &lost) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for name, w := range g.Weights {
			if broken(w) {
				t.Fatalf("weight %q of the result after %d steps is not finite", name, cfg.Steps)
			}
		}
	}
	t.Error("the weights did not explode")
}
