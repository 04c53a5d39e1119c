package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
)

// Latency is what a latency budget came to: medians of inferences of one sample, taken in turns: in this engine on this machine, or by
// Options.Clock.
type Latency struct {
	Before time.Duration `json:"before"`
	After  time.Duration `json:"after"`
	Target time.Duration `json:"target"`
}

// clock tells how long a structure takes on this machine. It is a sum over kinds of nodes: what their multiply-accumulates and the bytes they
// write take, with prices fitted to random structures that were cut out and timed. The sum is wrong in the single case, for kernels work in
// steps of whole vectors; so the final structure is timed itself, and the target corrected until it is met (solveTimed).
type clock struct {
	measure func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error)
	kinds   []kind
	price   []float64 // nanoseconds per unit, by kind
	full    time.Duration
	scratch [][]float64
}

// kind is a sort of work with a price of its own.
type kind struct {
	model  *cost.Model
	metric cost.Metric
}

const (
	timedStructures = 24
	timedRounds     = 15
)

// newClock fits a clock to g, or takes the prices of the checkpoint; nil where no budget is a latency.
func newClock(ctx context.Context, g *ir.Graph, s *space.Space, src *data.Source, cfg Config, opt Options) (*clock, error) {
	asked := false
	for _, b := range cfg.Budgets {
		asked = asked || b.Metric == cost.Latency
	}
	if !asked {
		return nil, nil
	}
	c, err := priceless(g, s)
	if err != nil {
		return nil, err
	}
	if c.measure = opt.Clock; c.measure == nil {
		c.measure = stopwatch(src, cfg.Train.Workers)
	}
	if opt.Resume == nil {
		return c, c.fit(ctx, g, s, cfg.Train.Seed)
	}
	state, err := train.HookState(opt.Resume)
	if err != nil {
		return nil, err
	}
	var saved savedStructure
	if err := json.Unmarshal(state, &saved); err != nil || !saved.Clock.fits(c) {
		return nil, errors.New("search: checkpoint: it holds no clock that fits; resume with the settings it was started with")
	}
	c.price, c.full = saved.Clock.Price, saved.Clock.Full
	return c, nil
}

// priceless is a clock that knows the kinds of work of g, but no price.
func priceless(g *ir.Graph, s *space.Space) (*clock, error) {
	c := &clock{scratch: make([][]float64, len(s.Groups))}
	for i, group := range s.Groups {
		c.scratch[i] = make([]float64, group.N)
	}
	for _, belongs := range []func(*ir.Node) bool{pointwise, dense, grouped, func(n *ir.Node) bool { return n.Op == "MatMul" || n.Op == "Gemm" || n.Op == "Attention" }} {
		m, err := cost.NewModelOf(g, s, belongs)
		if err != nil {
			return nil, err
		}
		c.kinds = append(c.kinds, kind{m, cost.MACs})
	}
	for _, belongs := range []func(*ir.Node) bool{func(n *ir.Node) bool { return n.Op == "Conv" }, func(n *ir.Node) bool { return n.Op != "Conv" }} {
		m, err := cost.NewModelOf(g, s, belongs)
		if err != nil {
			return nil, err
		}
		c.kinds = append(c.kinds, kind{m, cost.Bytes})
	}
	return c, nil
}

func pointwise(n *ir.Node) bool {
	return n.Op == "Conv" && n.Attrs.Int("group", 1) == 1 && area(n) == 1
}
func dense(n *ir.Node) bool   { return n.Op == "Conv" && n.Attrs.Int("group", 1) == 1 && area(n) != 1 }
func grouped(n *ir.Node) bool { return n.Op == "Conv" && n.Attrs.Int("group", 1) != 1 }

// area is the number of taps of a kernel, 0 where the node does not say.
func area(n *ir.Node) int64 {
	k := n.Attrs.Ints("kernel_shape")
	if len(k) == 0 {
		return 0
	}
	a := int64(1)
	for _, v := range k {
		a *= v
	}
	return a
}

// eval is the time in nanoseconds at soft masks.
func (c *clock) eval(masks, grad [][]float64) float64 {
	ns := 0.0
	for i, k := range c.kinds {
		if c.price[i] == 0 {
			continue
		}
		if grad == nil {
			ns += c.price[i] * k.model.Eval(k.metric, masks, nil)
			continue
		}
		for g := range c.scratch {
			clear(c.scratch[g])
		}
		ns += c.price[i] * k.model.Eval(k.metric, masks, c.scratch)
		for g, row := range c.scratch {
			for e, v := range row {
				grad[g][e] += c.price[i] * v
			}
		}
	}
	return ns
}

// fit times random structures in turns with the whole network, so that a machine that is busy for a while is busy for both.
func (c *clock) fit(ctx context.Context, g *ir.Graph, s *space.Space, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 0xc10c))
	var fulls []time.Duration
	var ratios []float64
	var work [][]float64
	for i := range timedStructures {
		if err := ctx.Err(); err != nil {
			return err
		}
		sel := randomStructure(rng, s, float64(i%8)/8)
		cut, err := prune.Apply(g, s, sel)
		if err != nil {
			return err
		}
		times, err := c.measure(ctx, g, cut)
		if err != nil {
			return err
		}
		fulls = append(fulls, times[0])
		ratios = append(ratios, float64(times[1])/float64(times[0]))
		work = append(work, c.work(s, sel))
	}
	slices.Sort(fulls)
	c.full = fulls[len(fulls)/2]
	// Relative errors count, and the whole network, whose time is known best, as much as all others.
	work = append(work, c.work(s, wholeOf(s)))
	ratios = append(ratios, 1)
	c.price = nonNegative(work, ratios, func(i int) float64 {
		if i == timedStructures {
			return timedStructures
		}
		return 1
	})
	for i := range c.price {
		c.price[i] *= float64(c.full)
	}
	if at := c.eval(onesLike(s), nil); at > 0 { // the whole network costs exactly what it was timed at
		for i := range c.price {
			c.price[i] *= float64(c.full) / at
		}
		return nil
	}
	return fmt.Errorf("search: budget latency: the time of this network does not follow its work; use macs or bytes")
}

// work is the amount of each kind in a structure.
func (c *clock) work(s *space.Space, sel space.Selection) []float64 {
	masks := make([][]float64, len(s.Groups))
	for i, row := range sel.Masks(s) {
		masks[i] = make([]float64, len(row))
		for e, keep := range row {
			if keep {
				masks[i][e] = 1
			}
		}
	}
	out := make([]float64, len(c.kinds))
	for i, k := range c.kinds {
		out[i] = k.model.Eval(k.metric, masks, nil)
	}
	return out
}

// stopwatch gives the median times of two networks for one sample, which run in turns.
func stopwatch(src *data.Source, workers int) func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
	return func(_ context.Context, whole, cut *ir.Graph) (out [2]time.Duration, err error) {
		times, err := train.Latencies([]*ir.Graph{whole, cut}, src.Test, 1, timedRounds, workers)
		if err == nil {
			copy(out[:], times)
		}
		return out, err
	}
}

// nonNegative solves min Σ weight·((x·p − y)/y)² for p ≥ 0 by coordinate descent, which ends at the one minimum of a convex function.
func nonNegative(x [][]float64, y []float64, weight func(int) float64) []float64 {
	n := len(x[0])
	scale := make([]float64, n) // columns are of very different size
	for k := range n {
		for i := range x {
			scale[k] = math.Max(scale[k], x[i][k])
		}
	}
	p, rest := make([]float64, n), make([]float64, len(x))
	copy(rest, y)
	for range 5000 {
		for k := range n {
			if scale[k] == 0 {
				continue
			}
			num, den := 0.0, 0.0
			for i := range x {
				v := x[i][k] / scale[k]
				w := weight(i) / (y[i] * y[i])
				num += w * v * (rest[i] + v*p[k])
				den += w * v * v
			}
			next := math.Max(0, num/den)
			for i := range x {
				rest[i] -= x[i][k] / scale[k] * (next - p[k])
			}
			p[k] = next
		}
	}
	for k := range p {
		if scale[k] > 0 {
			p[k] /= scale[k]
		}
	}
	return p
}

// randomStructure keeps about 1 − level of every width, each group a different share, and drops blocks now and then.
func randomStructure(rng *rand.Rand, s *space.Space, level float64) space.Selection {
	sel := wholeOf(s)
	for _, g := range s.Groups {
		k := g.N
		if g.Kind == space.Depth {
			for range g.N {
				if rng.Float64() < level/2 {
					k--
				}
			}
		} else {
			k = int(float64(g.N) * (1 - level*(0.5+rng.Float64())))
		}
		k = min(g.N, max(minKeep(g), k))
		sel.Keep[g.Name] = sel.Keep[g.Name][:k]
	}
	return sel
}

// wholeOf keeps everything.
func wholeOf(s *space.Space) space.Selection {
	sel := space.Selection{Keep: map[string][]int{}}
	for _, g := range s.Groups {
		all := make([]int, g.N)
		for e := range all {
			all[e] = e
		}
		sel.Keep[g.Name] = all
	}
	return sel
}

func onesLike(s *space.Space) [][]float64 {
	masks := make([][]float64, len(s.Groups))
	for i, g := range s.Groups {
		masks[i] = ones(g.N)
	}
	return masks
}

// savedClock is a clock's part of a checkpoint.
type savedClock struct {
	Price []float64     `json:"price"`
	Full  time.Duration `json:"full"`
}

func (c *clock) saved() *savedClock {
	if c == nil {
		return nil
	}
	return &savedClock{c.price, c.full}
}

func (s *savedClock) fits(c *clock) bool {
	if s == nil || len(s.Price) != len(c.kinds) || s.Full <= 0 {
		return false
	}
	for _, p := range s.Price {
		if !(p >= 0 && p < 1e18) {
			return false
		}
	}
	return true
}

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
// above 95% of it, or eight times. Of what it saw it takes the slowest structure within the budget, or else the fastest.
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
		l := &Latency{Before: t.clock.full, After: time.Duration(ratio * float64(t.clock.full)), Target: time.Duration(asked.final)}
		if bestTime == nil || better(l, bestTime) {
			best, bestTime = sel, l
		}
		if ratio <= share && ratio > 0.97*share {
			break
		}
		t.final = int64(float64(t.final) * math.Pow(0.985*share/ratio, 0.9))
		t.final = max(1, min(t.final, t.full))
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
