package engine

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
)

// TestStepsReadNothingDead fills all memory that holds no live value with NaN before every instruction. Whatever reads what it should
// not, or relies on memory being clear, changes the results.
func TestStepsReadNothingDead(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		g, err := ir.Fold(testkit.RandomConvNet(rng))
		if err != nil {
			t.Fatal(err)
		}
		out := g.Outputs[0].Name
		g.Inputs = append(g.Inputs, ir.ValueInfo{Name: "target", DType: ir.Float32, Shape: g.Outputs[0].Shape})
		g.Nodes = append(g.Nodes, &ir.Node{Op: "CrossEntropy", Domain: ir.DomainDMS, Inputs: []string{out, "target"}, Outputs: []string{"loss"}})
		var wrt []string
		for name, w := range g.Weights {
			if w.DType.IsFloat() && w.Len() > 1 {
				wrt = append(wrt, name)
			}
		}
		slices.Sort(wrt)
		p, err := program.Build(g, program.Config{Bind: map[string]int{"N": 3}, Training: true, Loss: "loss", Wrt: wrt})
		if err != nil {
			t.Fatal(err)
		}
		run := func(poison bool) []float32 {
			params, err := NewParams[float32](g)
			if err != nil {
				t.Fatal(err)
			}
			m, err := New(p, params, nil)
			if err != nil {
				t.Fatal(err)
			}
			if poison {
				poisonDead(m, -1)
			}
			x := testkit.RandomInput(rand.New(rand.NewPCG(seed, 2)), g, 3)
			target := make([]float32, p.Values[p.Inputs["target"]].Len())
			for i := range target {
				target[i] = 0.5
			}
			if err := m.SetInput(g.Inputs[0].Name, x); err != nil {
				t.Fatal(err)
			}
			if err := m.SetInput("target", target); err != nil {
				t.Fatal(err)
			}
			var results []float32
			for range 2 {
				for i, step := range m.steps {
					step()
					if poison {
						poisonDead(m, i)
					}
				}
				results = append(results, m.Output("loss")...)
				results = append(results, m.Output(out)...)
				for _, name := range wrt {
					results = append(results, m.Grad(name)...)
				}
			}
			return results
		}
		want, got := run(false), run(true)
		for i := range want {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Fatalf("seed %d: result %d is %v with dead memory poisoned, else %v", seed, i, got[i], want[i])
			}
		}
	}
}

// poisonDead fills what holds no live value after instruction i; -1 stands for before the step.
func poisonDead(m *Machine[float32], i int) {
	p := m.p
	first, last := map[program.ID]int{}, map[program.ID]int{}
	for k, in := range p.Instrs {
		for _, ids := range [][]program.ID{in.In, in.Out} {
			for _, id := range ids {
				if id == program.None {
					continue
				}
				root := p.Root(id)
				if _, ok := first[root]; !ok {
					first[root] = k
				}
				last[root] = k
			}
		}
	}
	for _, ids := range []map[string]program.ID{p.Outputs, p.Grads} {
		for _, id := range ids {
			last[p.Root(id)] = len(p.Instrs)
		}
	}
	live := make([]bool, len(m.arena))
	for id := range p.Values {
		v := &p.Values[id]
		from, written := first[program.ID(id)]
		alive := v.Class == program.Input || v.Class == program.Temp && written && from <= i && last[program.ID(id)] > i
		if !alive {
			continue
		}
		for k := range v.Len() {
			live[v.Offset+k] = true
		}
	}
	nan := float32(math.NaN())
	for k := range m.arena {
		if !live[k] {
			m.arena[k] = nan
		}
	}
	for k := range m.scratch {
		m.scratch[k] = nan
	}
}
