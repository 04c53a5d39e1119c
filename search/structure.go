package search

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/topk"
	"github.com/dms-go/dms/train"
)

// structure is everything the search learns about the shape of the network: one prune ratio and n importances per group, moved by
// the gradient of the task loss and of the budget loss. It knows neither weights nor data.
type structure struct {
	cfg     Config
	method  Method
	model   *cost.Model
	targets []target
	fall    phase // of the targets; afterwards depth groups are frozen
	groups  []group

	step     int // steps taken
	learning learning
	taskNorm float64 // moving average of ‖∂L_task/∂a‖, bias not corrected
	spent    []float64

	norms [][]float64 // of the elements' weights, where these rank them

	hard, grad [][]float64 // scratch per group and element: hard masks, ∂cost/∂mask
}

// group is the state of one scalar.
type group struct {
	name string
	kind space.Kind
	l    float64 // sharpness L
	min  int

	theta []float64 // what the method learns; for dms the prune ratio alone
	a     float64   // the prune ratio that theta stands for, in [0, 1]
	c     []float64 // importances ≥ 0
	rank  []float64 // mid-ranks of c, in (0, 1)
	order []int     // by falling importance, where the method needs it
	m     []float64 // soft mask, in (0, 1); all 1 while the group is not live
	dm    []float64 // the method's own: ∂m/∂a for dms
	keep  []float64 // hard mask, 0 or 1
	live  bool      // false while all importances are equal

	m1, m2 []float64 // Adam's moments of ∂L/∂theta
	count  int       // Adam's steps
	frozen bool
	sum    float64   // of a over the steps of the refine phase
	gone   float64   // depth: moving average of the number of blocks that the hard mask drops
	gTask  []float64 // ∂L_task/∂theta
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
	if n := st.step - st.fall.end; n > 0 && !g.frozen {
		return g.sum / float64(n)
	}
	return g.a
}

// freeze ends the learning of a depth group at the blocks it has settled on.
func (st *structure) freeze(g *group) {
	g.frozen = true
	if g.live {
		g.a = math.Floor(g.gone+1-settled) / float64(len(g.c))
		st.method.learner.fix(g)
	}
}

func newStructure(s *space.Space, model *cost.Model, targets []target, fall phase, cfg Config) *structure {
	method, _ := lookupMethod(cfg.Method) // Check has found it
	if method.learner == nil {
		method.learner = untouched{}
	}
	st := &structure{cfg: cfg, method: method, model: model, targets: targets, fall: fall, spent: make([]float64, len(targets))}
	for _, g := range s.Groups {
		st.groups = append(st.groups, group{
			name: g.Name, kind: g.Kind, l: g.Sharpness * cfg.Sharpness, min: minKeep(g),
			theta: method.learner.start(g.N, &cfg),
			c:     make([]float64, g.N), rank: make([]float64, g.N), m: make([]float64, g.N), dm: make([]float64, g.N), keep: make([]float64, g.N),
		})
		at := &st.groups[len(st.groups)-1]
		at.m1, at.m2, at.gTask = make([]float64, len(at.theta)), make([]float64, len(at.theta)), make([]float64, len(at.theta))
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

// refresh recomputes ranks and masks from importances and parameters. Noise depends on seed, step and order of the groups alone, so that a
// resumed search draws the same.
func (st *structure) refresh() {
	noise := rand.New(rand.NewPCG(st.cfg.Train.Seed, uint64(st.step)))
	for i := range st.groups {
		g := &st.groups[i]
		a := g.a
		st.method.learner.refresh(g, &st.cfg, noise)
		if g.frozen {
			g.a = a
			g.settleBlocks()
		}
	}
}

// settleBlocks is the hard mask of a depth group that has ended learning, whatever its method draws.
func (g *group) settleBlocks() {
	if !g.live {
		return
	}
	clear(g.keep)
	for _, e := range topk.Top(g.c, max(g.min, len(g.c)-int(math.Round(g.a*float64(len(g.c)))))) {
		g.keep[e] = 1
	}
}

// forward is the mask of group i that multiplies activations or weights in this step: the soft one for widths, the hard one for
// blocks, whose soft masks would settle at ½ and pay for half a block at almost no loss (method notes, section 5).
func (st *structure) forward(i int) []float64 {
	g := &st.groups[i]
	if g.kind == space.Depth && !st.cfg.SoftBlocks || g.kind == space.Width && (st.cfg.HardWidths || st.method.learner.hard()) {
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
		clear(g.gTask)
		if g.live {
			st.method.learner.pull(g.gTask, g, &st.cfg, dm[i])
		}
		for _, v := range g.gTask {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return &train.NotFiniteError{Step: st.step, Tensor: fmt.Sprintf("the gradient of group %q", g.name)}
			}
			if !g.frozen {
				norm += v * v
			}
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
		criterion, signal := st.criterion(), dm[i]
		switch {
		case st.norms == nil:
		case g.kind == space.Depth:
			criterion = defaultImportance // a block as a whole has no axis of a weight
		default:
			signal = st.norms[i]
		}
		if err := topk.Update(g.c, st.method.learner.observed(g), signal, criterion, st.cfg.ImportanceDecay); err != nil {
			return err
		}
		if g.frozen || !g.live || st.step < st.fall.begin {
			continue
		}
		for k := range gBudget[i] {
			gBudget[i][k] = g.gTask[k] + scale*gBudget[i][k]
		}
		st.adam(g, gBudget[i])
	}
	st.step++
	st.refresh()
	if st.settle() {
		st.refresh()
	}
	return nil
}

// criterion is the measure of importance by name.
func (st *structure) criterion() string { return cmp.Or(st.method.ranking, st.cfg.Importance) }

// settle follows how many blocks the depth groups do without, and freezes them when the decay phase ends; it tells whether it did.
func (st *structure) settle() (froze bool) {
	for i := range st.groups {
		g := &st.groups[i]
		if st.step > st.fall.end {
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
		if st.step >= st.fall.end && !st.cfg.FreeBlocks {
			st.freeze(g)
			froze = true
		}
	}
	return froze
}

// budgetGradient is ∂/∂a of Σ log(r_c/r_t) over the budgets that are overspent, with hard counts in value and soft ones in gradient
// (straight-through). It also records what every budget spends now.
func (st *structure) budgetGradient() ([][]float64, error) {
	out := make([][]float64, len(st.groups))
	for i := range st.groups {
		g := &st.groups[i]
		out[i] = make([]float64, len(g.theta))
		copy(st.hard[i], g.keep)
		if st.cfg.SoftCount {
			copy(st.hard[i], g.m)
		}
	}
	for b, t := range st.targets {
		for i := range st.grad {
			clear(st.grad[i])
		}
		spent := t.eval(st.model, st.hard, st.grad)
		st.spent[b] = spent
		if spent <= t.at(st.step, st.fall) {
			continue
		}
		for i := range st.groups {
			g := &st.groups[i]
			if !g.live || g.frozen {
				continue
			}
			for e := range st.grad[i] {
				st.grad[i][e] /= spent
			}
			st.method.learner.pull(out[i], g, &st.cfg, st.grad[i])
		}
	}
	return out, nil
}

// budgetScale weighs the budget's gradient: by Mu, or, with the gradient balance, so that its norm is Balance times the usual norm of
// the task's gradient.
func (st *structure) budgetScale(g [][]float64) float64 {
	if st.cfg.Balance == 0 {
		return st.cfg.Mu
	}
	norm := 0.0
	for _, group := range g {
		for _, v := range group {
			norm += v * v
		}
	}
	if norm == 0 {
		return 0
	}
	corrected := st.taskNorm / (1 - math.Pow(st.cfg.BalanceDecay, float64(st.step+1)))
	return st.cfg.Balance * corrected / math.Sqrt(norm)
}

// adam moves the parameters of one group (Kingma & Ba 2015; no weight decay) and clamps them.
func (st *structure) adam(g *group, grad []float64) {
	const beta1, beta2, epsilon = 0.9, 0.99, 1e-12
	g.count++
	lo, hi := st.method.learner.bounds()
	for k, d := range grad {
		g.m1[k] = beta1*g.m1[k] + (1-beta1)*d
		g.m2[k] = beta2*g.m2[k] + (1-beta2)*d*d
		m := g.m1[k] / (1 - math.Pow(beta1, float64(g.count)))
		v := g.m2[k] / (1 - math.Pow(beta2, float64(g.count)))
		g.theta[k] = min(hi, max(lo, g.theta[k]-st.cfg.Rate*m/(math.Sqrt(v)+epsilon)))
	}
}
