package prune_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
)

// The second of the equalities that hold the project together, over random networks: a cut graph costs what the model says, a cut of nothing
// changes nothing, and what was cut can be cut again.
func TestRandomNetsCostWhatTheModelSays(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 30
	}
	groups, frozen := 0, 0
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 21))
		g, err := ir.Fold(testkit.RandomConvNet(rng))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for round := range 2 {
			s := find(t, g)
			groups += len(s.Groups)
			frozen += len(s.Frozen)
			m, err := cost.NewModel(g, s)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			sel := randomSelection(rng, s, rng.Float64())
			if round == 0 {
				whole, err := prune.Apply(g, s, randomSelection(rng, s, 2))
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if err := ir.EqualGraphs(whole, g); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
			if g, err = prune.Apply(g, s, sel); err != nil {
				t.Fatalf("seed %d, round %d, %v: %v", seed, round, sel, err)
			}
			got, err := cost.Count(g)
			if err != nil || got != m.At(sel) {
				t.Errorf("seed %d, round %d, %v: counted %+v, modelled %+v, %v", seed, round, sel, got, m.At(sel), err)
			}
		}
	}
	t.Logf("%d networks: %d groups, %d frozen", seeds, groups, frozen)
}
