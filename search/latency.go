package search

import (
	"context"
	"math"
	"time"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

// Latency is what a latency budget came to: medians of inferences of one sample, taken in turns: in this engine on this machine, or by
// Options.Clock.
type Latency struct {
	Before time.Duration `json:"before"`
	After  time.Duration `json:"after"`
	Target time.Duration `json:"target"`
	// Again is the whole network's time beside the final measurement. Where it is far from Before, the machine was busy at one of the two.
	Again time.Duration `json:"again,omitempty"`

	// Divisor is what widths are multiples of because the clock found others to be slower; 0 where it did not, or where the space names divisors.
	Divisor int `json:"divisor,omitempty"`
}

// Quiet tells whether the whole network took about the same time, within a quarter, before and after the search.
func (l *Latency) Quiet() bool { return 4*l.Again <= 5*l.Before && 5*l.Again >= 4*l.Before }

// clock is that of the latency budget, nil where there is none.
func (st *structure) clock() *clock {
	for _, t := range st.targets {
		if t.clock != nil {
			return t.clock
		}
	}
	return nil
}

// solveTimed solves, and where a latency is asked for, times the cut network and corrects the clock's target until the time lies within the budget and
// above 97% of it, or eight times. Of what it saw it takes the slowest structure within the budget, or else the fastest.
func (st *structure) solveTimed(ctx context.Context, g *ir.Graph, s *space.Space) (space.Selection, *Latency, error) {
	at := -1
	for i, t := range st.targets {
		if t.clock != nil {
			at = i
		}
	}
	if at < 0 {
		sel, err := st.solve(s)
		return sel, nil, err
	}
	t := &st.targets[at]
	asked := *t
	defer func() { *t = asked }()
	var best space.Selection
	var bestTime *Latency
	share := float64(t.final) / float64(t.full)
	for range 8 {
		if err := ctx.Err(); err != nil {
			return best, nil, err
		}
		sel, err := st.solve(s)
		if err != nil {
			if bestTime != nil {
				break
			}
			return best, nil, err
		}
		cut, err := prune.Apply(g, s, sel)
		if err != nil {
			return best, nil, err
		}
		times, err := t.clock.measure(ctx, g, cut)
		if err != nil {
			return best, nil, err
		}
		// What counts is the time in relation to the whole network's, taken in turns; the clock's own is from before the search.
		ratio := float64(times[1]) / float64(times[0])
		l := &Latency{Before: t.clock.full, After: time.Duration(ratio * float64(t.clock.full)), Target: time.Duration(asked.final), Again: times[0], Divisor: t.clock.divisor}
		if bestTime == nil || better(l, bestTime) {
			best, bestTime = sel, l
		}
		if ratio <= share && ratio > 0.97*share {
			break
		}
		t.final = int64(float64(t.final) * math.Pow(0.985*share/ratio, 0.9))
		t.final = max(1, min(t.final, max(t.full, int64(t.clock.eval(onesLike(s), nil)))))
	}
	return best, bestTime, nil
}

// better prefers what is within its target, then what uses more of it; beyond it, what is faster.
func better(a, b *Latency) bool {
	if (a.After <= a.Target) != (b.After <= b.Target) {
		return a.After <= a.Target
	}
	return (a.After > b.After) == (a.After <= a.Target)
}
