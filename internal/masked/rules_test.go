package masked_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/space"
)

// The second and third equality around single operators: a random half of everything removed.
func TestRulesHardMasksComputeWhatTheCutGraphComputes(t *testing.T) {
	for _, r := range nets.Rules() {
		for seed := range uint64(8) {
			rng := rand.New(rand.NewPCG(seed, 32))
			g, err := r.Graph(seed)
			if err != nil {
				t.Fatal(err)
			}
			s, err := space.Find(g, space.Options{})
			if err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			sel, small := hold(t, r.Name, rng, g, s, nil)
			model, err := cost.NewModel(g, s)
			if err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			if got, err := cost.Count(small); err != nil || got != model.At(sel) {
				t.Errorf("%s, %v: counted %+v, modelled %+v, %v", r.Name, sel, got, model.At(sel), err)
			}
		}
	}
}
