package search

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
)

// evolution looks for ratios without training: structures within the budget breed by mutation, and live by the score of ZiCo (Li et al., ICLR 2023,
// arXiv 2301.11300), which is taken with random weights on a few batches.
type evolution struct {
	graph *ir.Graph
	space *space.Space
	src   *data.Source
	st    *structure
	rng   *rand.Rand
	seen  map[string]bool // by the counts of all groups
}

const (
	population  = 24  // structures that live
	zicoBatches = 4   // over which a gradient's mean and deviation are taken
	mutated     = 0.3 // share of the ratios that a child changes
	spread      = 0.5 // largest ratio of the first structures, before the common shift
	mutation    = 0.1 // standard deviation of the change
)

// creature is one structure and its score.
type creature struct {
	ratio []float64
	score float64
}

// evolve scores cfg.Structures structures and leaves the best one's ratios in st.
func (e *evolution) evolve(ctx context.Context, progress func(train.Metrics)) error {
	cfg := &e.st.cfg
	var alive []creature
	for i := range cfg.Structures {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := e.breed(ctx, alive)
		if err != nil {
			return err
		}
		at, _ := slices.BinarySearchFunc(alive, c, func(a, b creature) int {
			if a.score >= b.score {
				return -1
			}
			return 1
		})
		alive = slices.Insert(alive, at, c)
		alive = alive[:min(len(alive), population)]
		if progress != nil && ((i+1)%cfg.Train.Interval == 0 || i+1 == cfg.Structures) {
			progress(train.Metrics{Step: i + 1, Steps: cfg.Structures})
		}
	}
	for i := range e.st.groups {
		e.st.groups[i].a = alive[0].ratio[i]
	}
	return nil
}

// breed makes a structure that was not there before, if a few tries find one: the whole network's share everywhere at first, random ones until the population
// is full, then children of the better of two.
func (e *evolution) breed(ctx context.Context, alive []creature) (creature, error) {
	var c creature
	var sel space.Selection
	for range 20 {
		c.ratio = make([]float64, len(e.st.groups))
		switch {
		case len(alive) == 0: // uniform
		case len(alive) < population:
			for i := range c.ratio {
				c.ratio[i] = spread * e.rng.Float64()
			}
		default:
			parent := alive[min(e.rng.IntN(len(alive)), e.rng.IntN(len(alive)))]
			for i := range c.ratio {
				if c.ratio[i] = parent.ratio[i]; e.rng.Float64() < mutated {
					c.ratio[i] = min(1, max(0, c.ratio[i]+mutation*e.rng.NormFloat64()))
				}
			}
		}
		for i := range e.st.groups {
			e.st.groups[i].a = c.ratio[i]
		}
		var err error
		if sel, err = e.st.solve(e.space); err != nil {
			return c, err
		}
		key := ""
		for _, g := range e.space.Groups {
			key += fmt.Sprint(len(sel.Keep[g.Name]), " ")
		}
		if !e.seen[key] {
			e.seen[key] = true
			break
		}
	}
	cut, err := prune.Apply(e.graph, e.space, sel)
	if err != nil {
		return c, err
	}
	c.score, err = zico(ctx, cut, e.src, e.st.cfg.Train)
	return c, err
}

// zico is Σ over layers of log Σ over weights of E|g|/√Var|g|, mean and variance over batches, with random weights. A weight whose gradient
// never changes says nothing.
func zico(ctx context.Context, g *ir.Graph, src *data.Source, cfg train.Config) (float64, error) {
	g = train.Reinit(g, cfg.Seed)
	cfg.Epochs, cfg.Steps, cfg.Rate, cfg.ClipNorm, cfg.EMA = 0, zicoBatches, 0, 0, 0
	cfg.Optimizer, cfg.Warmup, cfg.Interval, cfg.Checkpoint = "sgd", 0, zicoBatches, zicoBatches
	h := &gradients{sum: map[string][]float64{}, squares: map[string][]float64{}}
	for _, name := range train.Trainable(g) {
		if w := g.Weights[name]; len(w.Shape) > 1 {
			h.names = append(h.names, name)
			h.sum[name], h.squares[name] = make([]float64, w.Len()), make([]float64, w.Len())
		}
	}
	if _, err := train.Fit(ctx, g, src, cfg, train.Options{Hook: h}); err != nil {
		return 0, err
	}
	score := 0.0
	for _, name := range h.names {
		layer := 0.0
		for i, s := range h.sum[name] {
			mean := s / zicoBatches
			if variance := h.squares[name][i]/zicoBatches - mean*mean; variance > 1e-12*mean*mean {
				layer += mean / math.Sqrt(variance)
			}
		}
		if layer > 0 {
			score += math.Log(layer)
		}
	}
	return score, nil
}

// gradients adds up what every weight's gradient is in magnitude.
type gradients struct {
	names        []string
	sum, squares map[string][]float64
}

func (h *gradients) Before(*engine.Machine[float32]) error { return nil }

func (h *gradients) After(m *engine.Machine[float32], _ float64) error {
	for _, name := range h.names {
		sum, squares := h.sum[name], h.squares[name]
		for i, v := range m.Grad(name) {
			sum[i] += math.Abs(float64(v))
			squares[i] += float64(v) * float64(v)
		}
	}
	return nil
}

func (h *gradients) Describe(*train.Metrics)         {}
func (h *gradients) State() (json.RawMessage, error) { return json.RawMessage("{}"), nil }
func (h *gradients) Restore(json.RawMessage) error   { return nil }
