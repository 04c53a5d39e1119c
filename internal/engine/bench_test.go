package engine_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/zoo"
)

func resnet20(tb testing.TB) *ir.Graph {
	tb.Helper()
	g, err := zoo.Build("resnet20")
	if err != nil {
		tb.Fatal(err)
	}
	if g, err = ir.Fold(g); err != nil {
		tb.Fatal(err)
	}
	return g
}

// withLoss appends the cross-entropy of the first output as "loss".
func withLoss(g *ir.Graph) *ir.Graph {
	g = g.Clone()
	logits := g.Outputs[0]
	g.Inputs = append(g.Inputs, ir.ValueInfo{Name: "target", DType: ir.Float32, Shape: logits.Shape})
	g.Nodes = append(g.Nodes, &ir.Node{Op: "CrossEntropy", Domain: ir.DomainDMS, Inputs: []string{logits.Name, "target"}, Outputs: []string{"loss"}})
	return g
}

// trainable lists the weights that a training step moves: all but scalars and running statistics.
func trainable(g *ir.Graph) []string {
	fixed := map[string]bool{}
	for _, n := range g.Nodes {
		if n.Op == "BatchNormalization" {
			fixed[n.Input(3)], fixed[n.Input(4)] = true, true
		}
	}
	var names []string
	for _, name := range sortedNames(g.Weights) {
		if w := g.Weights[name]; w.DType.IsFloat() && w.Len() > 1 && !fixed[name] {
			names = append(names, name)
		}
	}
	return names
}

func machine[T float32 | float64](tb testing.TB, g *ir.Graph, cfg program.Config, workers int) *engine.Machine[T] {
	tb.Helper()
	p, err := program.Build(g, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	params, err := engine.NewParams[T](g)
	if err != nil {
		tb.Fatal(err)
	}
	pool := parallel.New(workers)
	tb.Cleanup(pool.Close)
	m, err := engine.New(p, params, pool)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// BenchmarkResNet20 times one step of batch 64: inference, training of the weights, the search of structure and weights (np, p), and
// of the structure alone (p-).
func BenchmarkResNet20(b *testing.B) {
	plain := resnet20(b)
	s, err := space.Find(plain, space.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var masks []string
	for _, group := range s.Groups {
		masks = append(masks, masked.Input(group.Name))
	}
	insert := func(on masked.On) *ir.Graph {
		g, err := masked.Insert(plain, s, on)
		if err != nil {
			b.Fatal(err)
		}
		return withLoss(g)
	}
	weights := trainable(plain)
	bind := map[string]int{"N": 64}
	for _, c := range []struct {
		name string
		g    *ir.Graph
		cfg  program.Config
	}{
		{"inference", plain, program.Config{Bind: bind}},
		{"train", withLoss(plain), program.Config{Bind: bind, Training: true, Loss: "loss", Wrt: weights}},
		{"search", insert(masked.Weights), program.Config{Bind: bind, Training: true, Loss: "loss", Wrt: append(masks, weights...)}},
		{"searchFrozen", insert(masked.Activations), program.Config{Bind: bind, Training: true, Loss: "loss", Wrt: masks}},
	} {
		for _, workers := range []int{1, 2} {
			b.Run(c.name+map[int]string{1: "/1", 2: "/2"}[workers], func(b *testing.B) {
				m := machine[float32](b, c.g, c.cfg, workers)
				rng := rand.New(rand.NewPCG(1, 2))
				for _, in := range c.g.Inputs {
					n := in.Shape.Elements()
					size := n.Size
					if !n.Known() {
						size = 64
						for _, d := range in.Shape[1:] {
							size *= d.Size
						}
					}
					v := make([]float32, size)
					for i := range v {
						v[i] = float32(rng.NormFloat64())
						switch {
						case in.Name == "target":
							v[i] = 0.1
						case len(in.Shape) == 1:
							v[i] = 1
						}
					}
					if err := m.SetInput(in.Name, v); err != nil {
						b.Fatal(err)
					}
				}
				m.Run()
				m.Profile()
				b.ReportAllocs()
				b.ResetTimer()
				for b.Loop() {
					m.Run()
				}
				b.StopTimer()
				b.ReportMetric(float64(m.Memory())/(1<<20), "MiB")
				b.Logf("\n%s", m.ProfileTable())
			})
		}
	}
}
