package masked_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

// run is a forward pass of the engine in float64.
func run(t *testing.T, g *ir.Graph, bind map[string]int, inputs map[string]array) map[string]array {
	t.Helper()
	p, err := program.Build(g, program.Config{Bind: bind})
	if err != nil {
		t.Fatal(err)
	}
	params, err := engine.NewParams[float64](g)
	if err != nil {
		t.Fatal(err)
	}
	pool := parallel.New(1)
	defer pool.Close()
	m, err := engine.New(p, params, pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range g.Inputs {
		if err := m.SetInput(v.Name, inputs[v.Name].data); err != nil {
			t.Fatal(err)
		}
	}
	m.Run()
	out := map[string]array{}
	for _, v := range g.Outputs {
		out[v.Name] = array{data: append([]float64(nil), m.Output(v.Name)...)}
	}
	return out
}

// halve removes a random half of the elements of every group.
func halve(rng *rand.Rand, s *space.Space) (space.Selection, [][]float64) {
	sel := space.Selection{Keep: map[string][]int{}}
	hard := make([][]float64, len(s.Groups))
	for i, group := range s.Groups {
		hard[i] = make([]float64, group.N)
		for _, e := range rng.Perm(group.N)[:max(group.Min, (group.N+rng.IntN(2))/2)] {
			hard[i][e] = 1
		}
		list := []int{}
		for e, m := range hard[i] {
			if m == 1 {
				list = append(list, e)
			}
		}
		sel.Keep[group.Name] = list
	}
	return sel, hard
}

// hold cuts a random half of everything out of g and compares what is left with hard masks in every place, in the engine. draw, when not nil, gives
// the first input its values.
func hold(t *testing.T, name string, rng *rand.Rand, g *ir.Graph, s *space.Space, draw func() []float32) (space.Selection, *ir.Graph) {
	t.Helper()
	sel, hard := halve(rng, s)
	small, err := prune.Apply(g, s, sel)
	if err != nil {
		t.Fatalf("%s, %v: %v", name, sel, err)
	}
	inputs := feed(g, rng, s, func(group, elem int) float64 { return hard[group][elem] })
	if draw != nil {
		for i, v := range draw() {
			inputs[g.Inputs[0].Name].data[i] = float64(v)
		}
	}
	bind := map[string]int{g.Inputs[0].Shape[0].Sym: 2}
	want := run(t, small, bind, inputs)
	for place, on := range places {
		m, err := masked.Insert(g, s, on)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		compare(t, name+" on "+place, run(t, m, bind, inputs), want)
	}
	if t.Failed() {
		t.Fatal(name)
	}
	return sel, small
}

// The third equality in the engine: random networks, a random half of everything removed.
func TestRandomNetsHardMasksComputeWhatTheCutGraphComputes(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 31))
		g, err := ir.Fold(testkit.RandomConvNet(rng))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		s, err := space.Find(g, space.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		hold(t, fmt.Sprintf("seed %d", seed), rng, g, s, nil)
	}
}
