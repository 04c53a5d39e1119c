package search

import (
	"fmt"
	"math"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/topk"
	"github.com/dms-go/dms/train"
)

// structure is everything the search learns about the shape of the network: one prune ratio and n importances per group, moved by
// the gradient of the task loss and of the budget loss. It knows neither weights nor data.
type structure struct {
	cfg     Config
	model   *cost.Model
	targets []target
	decay   int // steps of the decay phase; afterwards depth groups are frozen
	groups  []group

	step     int     // steps taken
	taskNorm float64 // moving average of ‖∂L_task/∂a‖, bias not corrected
	spent    []float64

	hard, grad [][]float64 // scratch per group and element: hard masks, ∂cost/∂mask
}

// group is the state of one scalar.
type group struct {
	name string
	kind space.Kind
	l    float64 // sharpness L
	min  int

	a    float64   // prune ratio, in [0, 1]
	c    []float64 // importances ≥ 0
	rank []float64 // mid-ranks of c, in (0, 1)
	m    []float64 // soft mask, in (0, 1); all 1 while the group is not live
	dm   []float64 // ∂m/∂a
	keep []float64 // hard mask, 0 or 1
	live bool      // false while all importances are equal

	m1, m2 float64 // Adam's moments of ∂L/∂a
	count  int     // Adam's steps
	frozen bool
	sum    float64 // of a over the steps of the refine phase
	gone   float64 // depth: moving average of the number of blocks that the hard mask drops
	gTask  float64
}

// A block goes for good only where the search had settled on doing without it. The ratio of a block that is worth its cost swings
// about the border: with the hard mask forward the task loss pushes it back as soon as it is dropped. What such a block is at
// the moment of freezing is chance, and in frozen weights a wrong chance cannot be mended.
const (
	goneDecay = 0.98 // of the moving average: about the last fifty steps count
	settled   = 0.9  // share of them in which a block must have been dropped
)

// settledRatio is what the final structure is made of: the mean of a over the refine phase. The ratios never come to rest, because the
// budget's gradient comes and goes with every element that crosses the target; their last values are one draw of that noise.
func (st *structure) settledRatio(g *group) float64 {
	if n := st.step - st.decay; n > 0 && !g.frozen {
		return g.sum / float64(n)
	}
	return g.a
}

// freeze ends the learning of a depth group at the blocks it has settled on.
func (g *group) freeze() {
	g.frozen = true
	if g.live {
		g.a = math.Floor(g.gone+1-settled) / float64(len(g.c))
	}
}

func newStructure(s *space.Space, model *cost.Model, targets []target, decay int, cfg Config) *structure {
	st := &structure{cfg: cfg, model: model, targets: targets, decay: decay, spent: make([]float64, len(targets))}
	for _, g := range s.Groups {
		st.groups = append(st.groups, group{
			name: g.Name, kind: g.Kind, l: g.Sharpness * cfg.Sharpness, min: minKeep(g),
			c: make([]float64, g.N), rank: make([]float64, g.N), m: make([]float64, g.N), dm: make([]float64, g.N), keep: make([]float64, g.N),
		})
		st.hard = append(st.hard, make([]float64, g.N))
		st.grad = append(st.grad, make([]float64, g.N))
	}
	st.refresh()
	return st
}

// minKeep is the fewest elements of a group that the final network may have.
func minKeep(g space.Group) int {
	if g.Min > 0 {
		return min(g.Min, g.N)
	}
	if g.Kind == space.Width {
		return 1
	}
	return 0
}

// refresh recomputes ranks and masks from importances and ratios.
func (st *structure) refresh() {
	for i := range st.groups {
		g := &st.groups[i]
		topk.Rank(g.rank, g.c)
		g.live = topk.Mask(g.m, g.c, g.a, g.l)
		topk.MaskGrad(g.dm, g.m, g.l, g.live)
		for e := range g.keep {
			g.keep[e] = 0
		}
		if !g.live {
			for e := range g.keep {
				g.keep[e] = 1
			}
			continue
		}
		for _, e := range topk.Keep(g.c, g.a, g.min) {
			g.keep[e] = 1
		}
	}
}

// forward is the mask of group i that multiplies activations or weights in this step: the soft one for widths, the hard one for
// blocks, whose soft masks would settle at ½ and pay for half a block at almost no loss (method notes, section 5).
func (st *structure) forward(i int) []float64 {
	g := &st.groups[i]
	if g.kind == space.Depth && !st.cfg.SoftBlocks || g.kind == space.Width && st.cfg.HardWidths {
		return g.keep
	}
	return g.m
}

// update takes one step: dm[i] is ∂L_task/∂mask of group i, summed over every place where the mask acts. The importances learn from
// the task loss alone; the ratios from the task loss and the overspent budgets.
func (st *structure) update(dm [][]float64) error {
	norm := 0.0
	for i := range st.groups {
		g := &st.groups[i]
		g.gTask = 0
		if g.live {
			for e, d := range dm[i] {
				g.gTask += d * g.dm[e]
			}
		}
		if math.IsNaN(g.gTask) || math.IsInf(g.gTask, 0) {
			return &train.NotFiniteError{Step: st.step, Tensor: fmt.Sprintf("the gradient of group %q", g.name)}
		}
		if !g.frozen {
			norm += g.gTask * g.gTask
		}
	}
	st.taskNorm += (1 - st.cfg.BalanceDecay) * (math.Sqrt(norm) - st.taskNorm)
	gBudget, err := st.budgetGradient()
	if err != nil {
		return err
	}
	scale := st.budgetScale(gBudget)
	for i := range st.groups {
		g := &st.groups[i]
		// The soft mask, also where the hard one acts: a dropped block would otherwise have importance 0 and never come back.
		if err := topk.Update(g.c, g.m, dm[i], st.cfg.Importance, st.cfg.ImportanceDecay); err != nil {
			return err
		}
		if g.frozen || !g.live {
			continue
		}
		st.adam(g, g.gTask+scale*gBudget[i])
	}
	st.step++
	st.refresh()
	if st.settle() {
		st.refresh()
	}
	return nil
}

// settle follows how many blocks the depth groups do without, and freezes them when the decay phase ends; it tells whether it did.
func (st *structure) settle() (froze bool) {
	for i := range st.groups {
		g := &st.groups[i]
		if st.step > st.decay {
			g.sum += g.a
		}
		if g.kind != space.Depth || g.frozen {
			continue
		}
		gone := float64(len(g.keep))
		for _, k := range g.keep {
			gone -= k
		}
		g.gone = goneDecay*g.gone + (1-goneDecay)*gone
		if st.step >= st.decay {
			g.freeze()
			froze = true
		}
	}
	return froze
}

// budgetGradient is ∂/∂a of Σ log(r_c/r_t) over the budgets that are overspent, with hard counts in value and soft ones in gradient
// (straight-through). It also records what every budget spends now.
func (st *structure) budgetGradient() ([]float64, error) {
	out := make([]float64, len(st.groups))
	for i := range st.groups {
		copy(st.hard[i], st.groups[i].keep)
	}
	for b, t := range st.targets {
		for i := range st.grad {
			clear(st.grad[i])
		}
		spent := st.model.Eval(t.metric, st.hard, st.grad)
		st.spent[b] = spent
		if spent <= t.at(st.step, st.decay) {
			continue
		}
		for i := range st.groups {
			g := &st.groups[i]
			if !g.live || g.frozen {
				continue
			}
			for e, d := range st.grad[i] {
				out[i] += d * g.dm[e] / spent
			}
		}
	}
	return out, nil
}

// budgetScale weighs the budget's gradient: by Mu, or, with the gradient balance, so that its norm is Balance times the usual norm of
// the task's gradient.
func (st *structure) budgetScale(g []float64) float64 {
	if st.cfg.Balance == 0 {
		return st.cfg.Mu
	}
	norm := 0.0
	for _, v := range g {
		norm += v * v
	}
	if norm == 0 {
		return 0
	}
	corrected := st.taskNorm / (1 - math.Pow(st.cfg.BalanceDecay, float64(st.step+1)))
	return st.cfg.Balance * corrected / math.Sqrt(norm)
}

// adam moves one ratio (Kingma & Ba 2015; no weight decay) and clamps it to [0, 1].
func (st *structure) adam(g *group, grad float64) {
	const beta1, beta2, epsilon = 0.9, 0.99, 1e-12
	g.count++
	g.m1 = beta1*g.m1 + (1-beta1)*grad
	g.m2 = beta2*g.m2 + (1-beta2)*grad*grad
	m := g.m1 / (1 - math.Pow(beta1, float64(g.count)))
	v := g.m2 / (1 - math.Pow(beta2, float64(g.count)))
	g.a = min(1, max(0, g.a-st.cfg.Rate*m/(math.Sqrt(v)+epsilon)))
}
