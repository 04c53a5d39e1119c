package engine_test

import (
	"math"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
)

// TestEachPassLeavesWhatAProgramComputes runs programs without any pass, with each one alone and with all, in float64, where rounding
// hides nothing: losses, outputs, gradients and running statistics agree.
func TestEachPassLeavesWhatAProgramComputes(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	pool := parallel.New(2)
	defer pool.Close()
	const batch = 3
	all := program.Passes()
	done := map[string]int{}
	for seed := range seeds {
		g, in := randomClassifier(t, seed, batch)
		for _, cfg := range []program.Config{
			{},
			{Training: true},
			{Training: true, Loss: "loss", Wrt: append(trainable(g), g.Inputs[0].Name)},
			{Training: true, Loss: "loss", Wrt: []string{g.Inputs[0].Name}},
			{Loss: "loss", Wrt: append(trainable(g), g.Inputs[0].Name)},
		} {
			cfg.Bind = map[string]int{"N": batch}
			cfg.Outputs = []string{"loss"}
			cfg.Skip = all
			plain, before := runProgram(t, g, cfg, in, pool)
			for i := range len(all) + 1 {
				cfg.Skip = nil
				name := "all"
				if i < len(all) {
					name = all[i]
					cfg.Skip = slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == name })
				}
				got, after := runProgram(t, g, cfg, in, pool)
				if after.String() != before.String() {
					done[name]++
				}
				for what, want := range plain {
					for k, v := range want {
						if w := got[what][k]; math.Abs(v-w) > 1e-8*(1+math.Abs(v)) {
							t.Fatalf("seed %d, %+v, pass %s: %s[%d] = %v, want %v\n%v\n%v", seed, cfg, name, what, k, w, v, before, after)
						}
					}
				}
			}
		}
	}
	for _, name := range all {
		if done[name] == 0 && !testing.Short() {
			t.Errorf("pass %s changed no program", name)
		}
	}
}

// runProgram takes two steps, the second after the weights have moved, and returns every result.
func runProgram(t *testing.T, g *ir.Graph, cfg program.Config, in map[string]tensor, pool *parallel.Pool) (map[string][]float64, *program.Program) {
	t.Helper()
	p, err := program.Build(g, cfg)
	if err != nil {
		t.Fatal(err)
	}
	params, err := engine.NewParams[float64](g)
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine.New(p, params, pool)
	if err != nil {
		t.Fatal(err)
	}
	setInputs(t, m, in)
	m.Run()
	for _, name := range params.Names() {
		for i, v := range params.Get(name) {
			params.Get(name)[i] = v * 1.125
		}
	}
	params.Changed()
	m.Run()
	out := map[string][]float64{}
	for name := range p.Outputs {
		out["output "+name] = slices.Clone(m.Output(name))
	}
	for name := range p.Grads {
		out["gradient of "+name] = slices.Clone(m.Grad(name))
	}
	for _, name := range params.Names() {
		out["weight "+name] = slices.Clone(params.Get(name))
	}
	return out, p
}
