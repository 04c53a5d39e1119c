package engine_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
)

// randomClassifier is a folded random network with a cross-entropy loss, and a batch for it.
func randomClassifier(tb testing.TB, seed uint64, batch int) (*ir.Graph, map[string]tensor) {
	tb.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	g, err := ir.Fold(testkit.RandomConvNet(rng))
	if err != nil {
		tb.Fatalf("seed %d: %v", seed, err)
	}
	in := map[string]tensor{}
	sizes := []int{batch}
	for _, d := range g.Inputs[0].Shape[1:] {
		sizes = append(sizes, d.Size)
	}
	x := newTensor(sizes...)
	for i, v := range testkit.RandomInput(rng, g, batch) {
		x.data[i] = float64(v)
	}
	in[g.Inputs[0].Name] = x
	classes := g.Outputs[0].Shape[1].Size
	target := newTensor(batch, classes)
	for r := range batch {
		target.data[r*classes+rng.IntN(classes)] = 1
	}
	in["target"] = target
	return withLoss(g), in
}

func TestGradientsOfRandomNetworksMatchFiniteDifferences(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	pool := parallel.New(1)
	defer pool.Close()
	const batch = 3
	for seed := range seeds {
		for _, training := range []bool{false, true} {
			rng := rand.New(rand.NewPCG(seed, 2))
			g, in := randomClassifier(t, seed, batch)
			wrt := append(trainable(g), g.Inputs[0].Name)
			p, err := program.Build(g, program.Config{Bind: map[string]int{"N": batch}, Training: training, Loss: "loss", Wrt: wrt})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
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
			m.SetMomentum(1) // the running statistics stay while the loss is probed
			checkGradients(t, m, params, in, wrt, 2, rng)
			if t.Failed() {
				t.Fatalf("seed %d, training %v", seed, training)
			}
		}
	}
}

// TestRandomNetworksComputeWhatTheirDefinitionSays compares whole networks, where layouts meet, with the interpreter.
func TestRandomNetworksComputeWhatTheirDefinitionSays(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	pool := parallel.New(2)
	defer pool.Close()
	const batch = 2
	bind := map[string]int{"N": batch}
	for seed := range seeds {
		g, in := randomClassifier(t, seed, batch)
		p, err := program.Build(g, program.Config{Bind: bind, Outputs: []string{"loss"}})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		want, err := interpret(g, bind, in, false)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		compareOutputs[float64](t, g, p, pool, in, want, 1e-9)
		compareOutputs[float32](t, g, p, pool, in, want, 1e-4)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
