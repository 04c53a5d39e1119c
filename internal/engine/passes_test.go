package engine_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
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
		image := g.Inputs[0].Name
		onWeights, masks := withMasks(t, g, in, masked.Weights, seed)
		onActivations, _ := withMasks(t, g, in, masked.Activations, seed)
		for _, c := range []struct {
			g   *ir.Graph
			cfg program.Config
		}{
			{g, program.Config{}},
			{g, program.Config{Training: true}},
			{g, program.Config{Training: true, Loss: "loss", Wrt: append(trainable(g), image)}},
			{g, program.Config{Training: true, Loss: "loss", Wrt: []string{image}}},
			{g, program.Config{Loss: "loss", Wrt: append(trainable(g), image)}},
			{onWeights, program.Config{Training: true, Loss: "loss", Wrt: append(trainable(g), masks...), NonNegative: masks}},
			{onActivations, program.Config{Training: true, Loss: "loss", Wrt: masks, NonNegative: masks}},
		} {
			g, cfg := c.g, c.cfg
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

// withMasks adds masks to a network, and values for them, some of them 0 or 1, to its inputs.
func withMasks(t *testing.T, g *ir.Graph, in map[string]tensor, on masked.On, seed uint64) (*ir.Graph, []string) {
	t.Helper()
	plain := g.Clone()
	plain.Nodes = slices.DeleteFunc(plain.Nodes, func(n *ir.Node) bool { return n.Domain == ir.DomainDMS })
	plain.Inputs = slices.DeleteFunc(plain.Inputs, func(v ir.ValueInfo) bool { return v.Name == "target" })
	s, err := space.Find(plain, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := masked.Insert(plain, s, on)
	if err != nil {
		t.Fatal(err)
	}
	out = withLoss(out)
	rng := rand.New(rand.NewPCG(seed, 3))
	var names []string
	for _, group := range s.Groups {
		name := masked.Input(group.Name)
		i := slices.IndexFunc(out.Inputs, func(v ir.ValueInfo) bool { return v.Name == name })
		m := newTensor(out.Inputs[i].Shape[0].Size)
		for k := range m.data {
			m.data[k] = min(1, max(0, 1.5*rng.Float64()-0.25))
		}
		in[name] = m
		names = append(names, name)
	}
	return out, names
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
	setInputs(t, m, fed(p, in))
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

// fed is the part of the inputs that a program has.
func fed(p *program.Program, in map[string]tensor) map[string]tensor {
	out := map[string]tensor{}
	for name := range p.Inputs {
		out[name] = in[name]
	}
	return out
}
