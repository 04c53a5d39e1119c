package search

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

// choose finds out whether widths had better be multiples of 16 or 8. A runtime may have a fast way for whole vectors alone: in ONNX Runtime
// MobileNetV2 with odd widths takes as long as with five times the multiply-accumulates in multiples of 16. So structures in multiples of 16 are timed
// in turns with the same less one channel everywhere, and those in odd multiples of 8 too. One channel less is less to do; where it takes longer all the
// same, only multiples are let in.
func (c *clock) choose(ctx context.Context, g *ir.Graph, s *space.Space, seed uint64) error {
	const structures, clearly = 5, 1.1
	some := false
	for _, group := range s.Groups {
		if group.Divisor > 1 {
			return nil // the user has said
		}
		some = some || splits(group)
	}
	if !some {
		return nil
	}
	rng := rand.New(rand.NewPCG(seed, 0xd1f))
	var odd, half []float64
	for range structures {
		sel := wholeOf(s)
		for _, group := range s.Groups {
			if splits(group) {
				sel.Keep[group.Name] = sel.Keep[group.Name][:16*(1+rng.IntN(group.N/16))]
			}
		}
		ofOdd, err := c.oneLess(ctx, g, s, sel, 0)
		if err != nil {
			return err
		}
		ofHalf, err := c.oneLess(ctx, g, s, sel, 8)
		if err != nil {
			return err
		}
		odd, half = append(odd, ofOdd), append(half, ofHalf)
	}
	slices.Sort(odd)
	slices.Sort(half)
	switch {
	case odd[structures/2] < clearly:
	case half[structures/2] > clearly:
		c.divisor = 8
	default:
		c.divisor = 16
	}
	c.divide(s)
	return nil
}

// oneLess takes a number of channels from the groups of sel that split, and is the time of that with one more taken in relation to the time without.
func (c *clock) oneLess(ctx context.Context, g *ir.Graph, s *space.Space, sel space.Selection, less int) (float64, error) {
	var cuts [2]*ir.Graph
	for i := range cuts {
		narrow := space.Selection{Keep: map[string][]int{}}
		for _, group := range s.Groups {
			kept := sel.Keep[group.Name]
			if splits(group) {
				kept = kept[:max(minKeep(group), len(kept)-less-i)]
			}
			narrow.Keep[group.Name] = kept
		}
		var err error
		if cuts[i], err = prune.Apply(g, s, narrow); err != nil {
			return 0, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	times, err := c.measure(ctx, cuts[0], cuts[1])
	return float64(times[1]) / float64(times[0]), err
}

// splits tells whether a group's elements are channels that vectors hold: at least one vector full, each element one position of some consumer. A head
// of attention is many positions.
func splits(g space.Group) bool {
	if g.Kind != space.Width || g.N < 16 {
		return false
	}
	return slices.ContainsFunc(g.Uses, func(u space.Use) bool {
		positions := 0
		for _, e := range u.Elems {
			if e >= 0 {
				positions++
			}
		}
		return positions == g.N
	})
}

// divide makes the chosen divisor that of the groups.
func (c *clock) divide(s *space.Space) {
	for i := range s.Groups {
		if c.divisor > 1 && splits(s.Groups[i]) {
			s.Groups[i].Divisor = c.divisor
		}
	}
}
