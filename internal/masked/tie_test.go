package masked_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

// What an option ties goes from several layers at once, here the hidden units, the heads or the dimensions of all blocks of an encoder.
func TestTiedHardMasksComputeWhatTheCutGraphComputes(t *testing.T) {
	tied := 0
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 33))
		g, err := ir.Fold(testkit.RandomEncoder(rng))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		plain, err := space.Find(g, space.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		s, err := space.Find(g, space.Options{Tie: []string{[]string{"*.mlp*", "*.heads*"}[seed%2]}})
		if err != nil {
			continue // they differ in size
		}
		if len(s.Groups) < len(plain.Groups) {
			tied++
		}
		sel, hard := halve(rng, s)
		small, err := prune.Apply(g, s, sel)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		inputs := feed(g, rng, s, func(group, elem int) float64 { return hard[group][elem] })
		for i, v := range testkit.RandomInput(rng, g, 2) { // token ids where it takes those
			inputs[g.Inputs[0].Name].data[i] = float64(v)
		}
		bind := map[string]int{g.Inputs[0].Shape[0].Sym: 2}
		want := run(t, small, bind, inputs)
		for place, on := range places {
			m, err := masked.Insert(g, s, on)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			compare(t, "on "+place, run(t, m, bind, inputs), want)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if tied < 5 {
		t.Errorf("%d of 30 networks had something to tie", tied)
	}
}
