package masked_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
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
		hold(t, fmt.Sprintf("seed %d", seed), rng, g, s, func() []float32 { return testkit.RandomInput(rng, g, 2) }) // token ids where it takes those
	}
	if tied < 5 {
		t.Errorf("%d of 30 networks had something to tie", tied)
	}
}
