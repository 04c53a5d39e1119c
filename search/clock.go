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
	"github.com/dms-go/dms/topk"
	"github.com/dms-go/dms/train"
)

// clock tells how long a structure takes on this machine. It is a sum over kinds of work: what multiply-accumulates, bytes written and layers
// take, with prices fitted to structures that were cut out and timed: random ones before the first step, then those the search passes, which
// count more the later they come. The sum is wrong in the single case, for kernels work in steps of whole vectors; so the final structure is
// timed itself, and the target corrected until it is met (solveTimed).
type clock struct {
	measure func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error)
	kinds   []kind
	price   []float64 // nanoseconds per unit, by kind
	full    time.Duration
	divisor int // of widths, where the clock chose one
	seen    []timing
	scratch [][]float64
}

// timing is what a structure took.
type timing struct {
	Work   []float64 `json:"work"`   // units, by kind
	Ratio  float64   `json:"ratio"`  // of the whole network's time
	Weight float64   `json:"weight"` // in the fit
}

// kind is a sort of work with a price of its own.
type kind struct {
	model  *cost.Model
	metric cost.Metric
	lanes  int // of the vectors it is done in; 0 where that makes no difference
}

// vectors are the widths a machine may have, in output channels. Which one explains the times best is found with the prices.
var vectors = []int{1, 4, 8, 16, 32}

const (
	timedStructures = 48               // before the first step at most,
	timedAtLeast    = 16               // and at least,
	timedFor        = 20 * time.Second // if those take longer than this
	timedOnTheWay   = 16               // parts of the search, between which its structure is timed as well
	timedWhole      = 6                // weight of the whole network in the fit, where a random structure has 1
)

// newClock fits a clock to g, or takes the prices of the checkpoint; nil where no budget is a latency.
func newClock(ctx context.Context, g *ir.Graph, s *space.Space, src *data.Source, cfg Config, opt Options) (*clock, error) {
	if !cfg.Limits(cost.Latency) {
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
		if err := c.choose(ctx, g, s, cfg.Train.Seed); err != nil {
			return nil, err
		}
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
	c.price, c.full, c.seen, c.divisor = saved.Clock.Price, saved.Clock.Full, saved.Clock.Seen, saved.Clock.Divisor
	c.divide(s)
	return c, nil
}

// priceless is a clock that knows the kinds of work of g, but no price.
func priceless(g *ir.Graph, s *space.Space) (*clock, error) {
	c := &clock{scratch: make([][]float64, len(s.Groups))}
	for i, group := range s.Groups {
		c.scratch[i] = make([]float64, group.N)
	}
	for _, belongs := range []func(*ir.Node) bool{pointwise, dense, grouped, product} {
		m, err := cost.NewModelOf(g, s, belongs)
		if err != nil {
			return nil, err
		}
		for _, lanes := range vectors {
			c.kinds = append(c.kinds, kind{m.InVectors(lanes), cost.MACs, lanes})
		}
	}
	for _, belongs := range []func(*ir.Node) bool{func(n *ir.Node) bool { return n.Op == "Conv" }, func(n *ir.Node) bool { return n.Op != "Conv" }} {
		m, err := cost.NewModelOf(g, s, belongs)
		if err != nil {
			return nil, err
		}
		c.kinds = append(c.kinds, kind{m, cost.Bytes, 0})
	}
	// Starting a layer takes time however narrow it is, a fifth of ResNet-20's half a millisecond. Without a price of its own that would be laid on
	// bytes, and channels be cut for a time that stays (decision 12).
	m, err := cost.NewTally(g, s, func(n *ir.Node) bool { return n.Op == "Conv" || product(n) })
	if err != nil {
		return nil, err
	}
	c.kinds = append(c.kinds, kind{m, cost.Bytes, 0})
	return c, nil
}

func product(n *ir.Node) bool { return n.Op == "MatMul" || n.Op == "Gemm" || n.Op == "Attention" }

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
	start := time.Now()
	for i := range timedStructures {
		if i >= timedAtLeast && time.Since(start) > timedFor {
			break
		}
		whole, err := c.time(ctx, g, s, randomStructure(rng, s), 1)
		if err != nil {
			return err
		}
		fulls = append(fulls, whole)
	}
	slices.Sort(fulls)
	c.full = fulls[len(fulls)/2]
	c.seen = append(c.seen, timing{c.work(s, wholeOf(s)), 1, timedWhole})
	c.refit()
	if at := c.eval(onesLike(s), nil); at > 0 { // the whole network costs exactly what it was timed at
		for i := range c.price {
			c.price[i] *= float64(c.full) / at
		}
		return nil
	}
	return fmt.Errorf("search: budget latency: the time of this network does not follow its work; use macs or bytes")
}

// time cuts a structure out and remembers what it takes; it returns what the whole network took beside it.
func (c *clock) time(ctx context.Context, g *ir.Graph, s *space.Space, sel space.Selection, weight float64) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	cut, err := prune.Apply(g, s, sel)
	if err != nil {
		return 0, err
	}
	times, err := c.measure(ctx, g, cut)
	if err != nil {
		return 0, err
	}
	c.seen = append(c.seen, timing{c.work(s, sel), float64(times[1]) / float64(times[0]), weight})
	return times[0], nil
}

// refit finds the prices that explain what was seen, and the width of vectors. Relative errors count.
func (c *clock) refit() {
	least := math.Inf(1)
	for _, lanes := range vectors {
		price, off := nonNegative(c.seen, func(k int) bool { return c.kinds[k].lanes == 0 || c.kinds[k].lanes == lanes })
		if off < least {
			c.price, least = price, off
		}
	}
	for i := range c.price {
		c.price[i] *= float64(c.full)
	}
}

// follow times the structure that the search stands at, after each timedOnTheWay-th part of the steps but the last, and fits the prices anew: they are right near random
// structures at first, and are wanted near the one that will be cut out.
func (st *structure) follow(ctx context.Context, g *ir.Graph, s *space.Space, steps int) error {
	c := st.clock()
	before, now := (st.step-1)*timedOnTheWay/steps, st.step*timedOnTheWay/steps
	if c == nil || now == before || now == timedOnTheWay {
		return nil
	}
	if _, err := c.time(ctx, g, s, st.present(s), float64(1+now)); err != nil {
		return err
	}
	c.refit()
	return nil
}

// present is the structure of the hard masks as they are, in whole multiples of divisors.
func (st *structure) present(s *space.Space) space.Selection {
	sel := space.Selection{Keep: map[string][]int{}}
	for i, g := range s.Groups {
		learned, kept := &st.groups[i], 0.0
		for _, k := range learned.keep {
			kept += k
		}
		k := allowed(kept, g.N, minKeep(g), g.Divisor)
		elems := append([]int{}, topk.Order(learned.c)[:k]...)
		slices.Sort(elems)
		sel.Keep[g.Name] = elems
	}
	return sel
}

// work is the amount of each kind in a structure.
func (c *clock) work(s *space.Space, sel space.Selection) []float64 {
	masks := masksOf(s, sel)
	out := make([]float64, len(c.kinds))
	for i, k := range c.kinds {
		out[i] = k.model.Eval(k.metric, masks, nil)
	}
	return out
}

// stopwatch gives the median times of two networks for one sample, which run in turns.
// A network that is quick runs more often: what disturbs the machine lasts as long for it as for a slow one.
func stopwatch(src *data.Source, workers int) func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
	const least, most, atMost = 15, 101, 100 * time.Millisecond
	rounds := 0
	return func(_ context.Context, whole, cut *ir.Graph) (out [2]time.Duration, err error) {
		if rounds == 0 {
			once, err := train.Latency(whole, src.Test, 1, 5, workers)
			if err != nil {
				return out, err
			}
			rounds = max(least, min(most, int(atMost/max(1, once))))
		}
		times, err := train.Latencies([]*ir.Graph{whole, cut}, src.Test, 1, rounds, workers)
		if err == nil {
			copy(out[:], times)
		}
		return out, err
	}
}

// randomStructure leaves a third of the widths whole and keeps any number of the others' elements, and drops a block now and then. The groups must
// vary one without the other: where all shrink together, bytes and multiply-accumulates, inputs and outputs do as well, and prices cannot be told
// apart that a search would then trade for each other.
func randomStructure(rng *rand.Rand, s *space.Space) space.Selection {
	sel := wholeOf(s)
	for _, g := range s.Groups {
		k := g.N
		if g.Kind == space.Depth {
			for range g.N {
				if rng.IntN(4) == 0 {
					k--
				}
			}
		} else if rng.IntN(3) > 0 {
			unit := max(1, g.Divisor)
			k = (1 + rng.IntN((g.N+unit-1)/unit)) * unit
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

// masksOf is a selection as masks of 0 and 1.
func masksOf(s *space.Space, sel space.Selection) [][]float64 {
	masks := make([][]float64, len(s.Groups))
	for i, row := range sel.Masks(s) {
		masks[i] = make([]float64, len(row))
		for e, keep := range row {
			if keep {
				masks[i][e] = 1
			}
		}
	}
	return masks
}

func onesLike(s *space.Space) [][]float64 { return masksOf(s, wholeOf(s)) }

// savedClock is a clock's part of a checkpoint.
type savedClock struct {
	Price []float64     `json:"price"`
	Full  time.Duration `json:"full"`
	Seen  []timing      `json:"seen"`

	Divisor int `json:"divisor,omitempty"`
}

func (c *clock) saved() *savedClock {
	if c == nil {
		return nil
	}
	return &savedClock{c.price, c.full, c.seen, c.divisor}
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
	if s.Divisor < 0 || s.Divisor > 16 {
		return false
	}
	if n := len(s.Seen); n == 0 || n > timedStructures+timedOnTheWay+1 {
		return false
	}
	for _, t := range s.Seen {
		ok := len(t.Work) == len(c.kinds) && t.Ratio > 1e-6 && t.Ratio < 1e6 && t.Weight > 0 && t.Weight < 1e6
		for _, v := range t.Work {
			ok = ok && v >= 0 && v < 1e18
		}
		if !ok {
			return false
		}
	}
	return true
}
