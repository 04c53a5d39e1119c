package masked_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

var places = map[string]masked.On{"weights": masked.Weights, "activations": masked.Activations}

// feed makes the inputs of a masked graph: random values, and masks by group.
func feed(g *ir.Graph, rng *rand.Rand, s *space.Space, mask func(group, elem int) float64) map[string]array {
	const batch = 2
	inputs := map[string]array{}
	for _, v := range g.Inputs {
		sizes := []int{batch}
		for _, d := range v.Shape[1:] {
			sizes = append(sizes, d.Size)
		}
		x := zeros(sizes...)
		for i := range x.data {
			x.data[i] = rng.NormFloat64()
		}
		inputs[v.Name] = x
	}
	for i, group := range s.Groups {
		m := zeros(group.N)
		for e := range m.data {
			m.data[e] = mask(i, e)
		}
		inputs[masked.Input(group.Name)] = m
	}
	return inputs
}

func compare(t *testing.T, what string, got, want map[string]array) {
	t.Helper()
	for name, w := range want {
		g := got[name]
		if len(g.data) != len(w.data) {
			t.Errorf("%s: %s has %d elements, want %d", what, name, len(g.data), len(w.data))
			continue
		}
		scale := 1e-9
		for _, v := range w.data {
			scale = max(scale, math.Abs(v))
		}
		for i := range w.data {
			if math.Abs(g.data[i]-w.data[i]) > 1e-10*scale {
				t.Errorf("%s: %s[%d] is %v, want %v", what, name, i, g.data[i], w.data[i])
				break
			}
		}
	}
}

// The third of the equalities that hold the project together.
func TestHardMasksComputeWhatTheCutGraphComputes(t *testing.T) {
	for _, c := range nets.Cases() {
		if c.Unknown {
			continue
		}
		for seed := range uint64(6) {
			rng := rand.New(rand.NewPCG(seed, 11))
			g := c.Graph(seed)
			s, err := space.Find(g, space.Options{})
			if err != nil {
				t.Fatal(err)
			}
			sel := space.Selection{Keep: map[string][]int{}}
			hard := make([][]float64, len(s.Groups))
			for i, group := range s.Groups {
				hard[i] = make([]float64, group.N)
				list := []int{}
				for e := range group.N {
					if rng.IntN(2) == 0 || group.N-e <= group.Min-len(list) {
						hard[i][e] = 1
						list = append(list, e)
					}
				}
				sel.Keep[group.Name] = list
			}
			small, err := prune.Apply(g, s, sel)
			if err != nil {
				t.Fatalf("%s, seed %d: %v", c.Name, seed, err)
			}
			inputs := feed(g, rng, s, func(group, elem int) float64 { return hard[group][elem] })
			want, err := evaluate(small, inputs)
			if err != nil {
				t.Fatalf("%s, seed %d: %v", c.Name, seed, err)
			}
			for place, on := range places {
				m, err := masked.Insert(g, s, on)
				if err != nil {
					t.Fatalf("%s, seed %d: %v", c.Name, seed, err)
				}
				if err := ir.Validate(m); err != nil {
					t.Fatalf("%s, seed %d: %v", c.Name, seed, err)
				}
				got, err := evaluate(m, inputs)
				if err != nil {
					t.Fatalf("%s, seed %d: %v", c.Name, seed, err)
				}
				compare(t, c.Name+" on "+place, got, want)
			}
		}
	}
}

// Soft masks mean the same on weights and on activations, and masks of one mean nothing.
func TestMasksOnWeightsAndOnActivationsAgree(t *testing.T) {
	for _, c := range nets.Cases() {
		if c.Unknown {
			continue
		}
		rng := rand.New(rand.NewPCG(3, 12))
		g := c.Graph(3)
		s, err := space.Find(g, space.Options{})
		if err != nil {
			t.Fatal(err)
		}
		run := func(g *ir.Graph, inputs map[string]array) map[string]array {
			out, err := evaluate(g, inputs)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			return out
		}
		onWeights, err := masked.Insert(g, s, masked.Weights)
		if err != nil {
			t.Fatal(err)
		}
		onActivations, err := masked.Insert(g, s, masked.Activations)
		if err != nil {
			t.Fatal(err)
		}
		soft := feed(g, rng, s, func(int, int) float64 { return rng.Float64() })
		compare(t, c.Name+", soft", run(onWeights, soft), run(onActivations, soft))
		ones := feed(g, rng, s, func(int, int) float64 { return 1 })
		compare(t, c.Name+", ones", run(onWeights, ones), run(g, ones))
		if len(s.Groups) > 0 {
			a, b := run(onWeights, soft), run(g, soft)
			same := true
			for name := range a {
				for i := range a[name].data {
					same = same && a[name].data[i] == b[name].data[i]
				}
			}
			if same {
				t.Errorf("%s: soft masks do nothing", c.Name)
			}
		}
	}
}

func TestInsertAddsOneInputForEachGroup(t *testing.T) {
	for _, c := range nets.Cases() {
		g := c.Graph(1)
		s, err := space.Find(g, space.Options{})
		if err != nil {
			t.Fatal(err)
		}
		before := g.Clone()
		m, err := masked.Insert(g, s, masked.Weights)
		if err != nil {
			t.Fatal(err)
		}
		if err := ir.EqualGraphs(g, before); err != nil {
			t.Errorf("%s: Insert changed its argument: %v", c.Name, err)
		}
		if got, want := len(m.Inputs), len(g.Inputs)+len(s.Groups); got != want {
			t.Errorf("%s: %d inputs, want %d", c.Name, got, want)
		}
		for i, group := range s.Groups {
			in := m.Inputs[len(g.Inputs)+i]
			if in.Name != "mask/"+group.Name || len(in.Shape) != 1 || in.Shape[0].Size != group.N {
				t.Errorf("%s: input %+v for group %s of %d", c.Name, in, group.Name, group.N)
			}
		}
	}
}
