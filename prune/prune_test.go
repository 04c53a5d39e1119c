package prune_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

func find(t *testing.T, g *ir.Graph) *space.Space {
	t.Helper()
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// randomSelection keeps each element of some of the groups with the given probability, at least Group.Min of them.
func randomSelection(rng *rand.Rand, s *space.Space, keep float64) space.Selection {
	sel := space.Selection{Keep: map[string][]int{}}
	for _, g := range s.Groups {
		if rng.IntN(6) == 0 {
			continue
		}
		order := rng.Perm(g.N)
		in := make([]bool, g.N)
		for i, e := range order {
			in[e] = i < g.Min || rng.Float64() < keep
		}
		list := []int{}
		for e, ok := range in {
			if ok {
				list = append(list, e)
			}
		}
		sel.Keep[g.Name] = list
	}
	return sel
}

func TestApplyOfAFullSelectionChangesNothing(t *testing.T) {
	for _, c := range nets.Cases() {
		g := c.Graph(1)
		s := find(t, g)
		full := space.Selection{Keep: map[string][]int{}}
		for _, group := range s.Groups {
			for e := range group.N {
				full.Keep[group.Name] = append(full.Keep[group.Name], e)
			}
		}
		for _, sel := range []space.Selection{{}, full} {
			got, err := prune.Apply(g, s, sel)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			if err := ir.EqualGraphs(got, g); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
}

func TestCountOfTheCutGraphIsTheModelAtTheSelection(t *testing.T) {
	for _, c := range nets.Cases() {
		g := c.Graph(1)
		s := find(t, g)
		m, err := cost.NewModel(g, s)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 1))
			sel := randomSelection(rng, s, rng.Float64())
			small, err := prune.Apply(g, s, sel)
			if err != nil {
				t.Fatalf("%s, seed %d, %v: %v", c.Name, seed, sel, err)
			}
			got, err := cost.Count(small)
			if err != nil {
				t.Fatalf("%s, seed %d: %v", c.Name, seed, err)
			}
			if want := m.At(sel); got != want {
				t.Errorf("%s, seed %d, %v: counted %+v, modelled %+v", c.Name, seed, sel, got, want)
			}
			if len(s.Groups) > 0 && small.Outputs[0].Name != g.Outputs[0].Name {
				t.Errorf("%s: output is called %q", c.Name, small.Outputs[0].Name)
			}
		}
	}
}

// A graph that was cut can be cut again, and the costs still agree.
func TestApplyTwice(t *testing.T) {
	for _, c := range nets.Cases() {
		for seed := range uint64(10) {
			rng := rand.New(rand.NewPCG(seed, 2))
			g := c.Graph(1)
			for round := range 2 {
				s := find(t, g)
				sel := randomSelection(rng, s, 0.7)
				m, err := cost.NewModel(g, s)
				if err != nil {
					t.Fatalf("%s, seed %d, round %d: %v", c.Name, seed, round, err)
				}
				if g, err = prune.Apply(g, s, sel); err != nil {
					t.Fatalf("%s, seed %d, round %d, %v: %v", c.Name, seed, round, sel, err)
				}
				got, err := cost.Count(g)
				if err != nil || got != m.At(sel) {
					t.Errorf("%s, seed %d, round %d: counted %+v, modelled %+v, %v", c.Name, seed, round, got, m.At(sel), err)
				}
			}
		}
	}
}

func TestApplyRefusesWhatDoesNotFit(t *testing.T) {
	g := nets.Cases()[0].Graph(1)
	s := find(t, g)
	_, err := prune.Apply(g, s, space.Selection{Keep: map[string][]int{"c1": {7, 8}, "nobody": {}}})
	for _, want := range []string{`"nobody"`, "8 is outside of 8"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %s", err, want)
		}
	}
	other := find(t, nets.Cases()[1].Graph(1))
	if _, err := prune.Apply(g, other, space.Selection{}); err == nil {
		t.Error("the space of another graph was accepted")
	}
}
