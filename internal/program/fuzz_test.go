package program

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/internal/testkit/operators"
	"github.com/dms-go/dms/ir"
)

// FuzzBuild: whatever parses as a graph, building its program does not panic.
func FuzzBuild(f *testing.F) {
	f.Add("opset \"\" 17\n" + chain + "\noutput y float32 (...)")
	for seed := range uint64(4) {
		f.Add(ir.Format(testkit.RandomConvNet(rand.New(rand.NewPCG(seed, 9)))))
	}
	for _, c := range operators.All() {
		f.Add("opset \"\" 17\n" + c.Graph)
	}
	f.Fuzz(func(t *testing.T, text string) { buildAny(text) })
}

// buildAny builds a program of a text as callers do, for inference and for training.
func buildAny(text string) (built bool) {
	g, err := ir.Parse(text)
	if err != nil || ir.Validate(g) != nil {
		return false
	}
	for _, training := range []bool{false, true} {
		cfg := Config{Bind: map[string]int{"N": 2}, Training: training}
		if training && len(g.Nodes) > 0 {
			cfg.Loss = g.Nodes[len(g.Nodes)-1].ID()
			for name := range g.Weights {
				cfg.Wrt = append(cfg.Wrt, name)
			}
		}
		if _, err := Build(g, cfg); err == nil {
			built = true
		}
	}
	return built
}

// TestBuildSurvivesMutatedGraphs changes a few numbers and names of valid graphs.
func TestBuildSurvivesMutatedGraphs(t *testing.T) {
	built := 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 8))
		text := []byte(ir.Format(testkit.RandomConvNet(rng)))
		for range 1 + rng.IntN(4) {
			i := rng.IntN(len(text))
			if rng.IntN(2) == 0 {
				for k := 0; k < len(text) && (text[i] < '0' || text[i] > '9'); k++ {
					i = (i + 1) % len(text)
				}
			}
			text[i] = "0123456789-xyw"[rng.IntN(14)]
		}
		if buildAny(string(text)) {
			built++
		}
	}
	for k, c := range operators.All() {
		lines := strings.Split(c.Graph, "\n")
		outputs := 0
		for seed := range uint64(200) {
			rng := rand.New(rand.NewPCG(seed, uint64(k)))
			text := []byte(c.Graph)
			if !strings.Contains(c.Graph, "opset") {
				text = append([]byte("opset \"\" 17\n"), text...)
			}
			for _, line := range lines { // outputs, or nothing is built
				if name, _, ok := strings.Cut(strings.TrimSpace(line), " = "); ok && strings.HasPrefix(name, "y") {
					text = append(text, "\noutput "+strings.Split(name, ",")[0]+" float32 (...)"...)
					outputs++
				}
			}
			for range 1 + rng.IntN(3) {
				i := rng.IntN(len(text))
				for k := 0; k < len(text) && (text[i] < '0' || text[i] > '9'); k++ {
					i = (i + 1) % len(text)
				}
				text[i] = "0123456789-"[rng.IntN(11)]
			}
			if buildAny(string(text)) {
				built++
			}
		}
		if outputs == 0 {
			t.Errorf("%s: no outputs", c.Name)
		}
	}
	if built == 0 {
		t.Error("no mutated graph was built: the mutations are too harsh to test anything")
	}
}
