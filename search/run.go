// Package search finds the widths and depths of a network by gradient (arXiv 2405.07194).
//
// In: a network, data and budgets. Out: a Selection that meets every budget exactly, and the smaller network it describes. One scalar
// per group, the prune ratio, moves with the task loss and the logarithm of the overspent budget; a differentiable top-k turns it and
// the elements' importances into masks. The step loop is train's; this package takes part in it as a hook.
package search

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/topk"
	"github.com/dms-go/dms/train"
)

// Options are the parts of a search that are not settings.
type Options struct {
	Space    space.Options
	Teacher  *ir.Graph
	Journal  train.Journal
	Resume   *rundir.Checkpoint
	Progress func(train.Metrics)

	// Clock times two networks, a whole and a cut one, for latency budgets: one inference of one sample each, taken in turns. Nil is this engine.
	Clock func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error)
}

// Result is what a search found.
type Result struct {
	Space     *space.Space
	Selection space.Selection
	Graph     *ir.Graph // the smaller network, with the weights the search left
	Before    cost.Cost
	After     cost.Cost
	Latency   *Latency // where a budget asked for it

	// Masked is the original network with the selection as hard masks: it computes what Graph computes. Masks are its mask inputs.
	Masked *ir.Graph
	Masks  map[string][]float32
}

// Run searches g on the training samples of src.
//
// g is folded, ends in class outputs and has a symbolic batch. Errors: ErrBudgetTooSmall before any step when no structure meets the
// budgets; otherwise those of train.Fit, whose promises on checkpoints hold here too.
func Run(ctx context.Context, g *ir.Graph, src *data.Source, cfg Config, opt Options) (*Result, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	s, err := space.Find(g, opt.Space)
	if err != nil {
		return nil, err
	}
	if len(s.Groups) == 0 {
		return nil, fmt.Errorf("search: nothing in %q can be removed; `dms inspect` tells why for every axis", g.Name)
	}
	model, err := cost.NewModel(g, s)
	if err != nil {
		return nil, err
	}
	if cfg.Pipeline == NP {
		g = train.Reinit(g, cfg.Train.Seed)
	}
	c, err := newClock(ctx, g, s, src, cfg, opt)
	if err != nil {
		return nil, err
	}
	targets, err := resolve(cfg.Budgets, model.Full(), c)
	if err != nil {
		return nil, err
	}
	steps := cfg.Train.StepsFor(src.Train.Len())
	st := newStructure(s, model, targets, fall(cfg, steps), cfg)
	if _, err := st.solve(s); err != nil {
		return nil, err
	}
	on := masked.Weights
	if cfg.Pipeline == PMinus {
		on = masked.Activations // a frozen weight needs no gradient at all, and the mask's comes with the activations'
	}
	mg, err := masked.Insert(g, s, on)
	if err != nil {
		return nil, err
	}
	h := &hook{structure: st, follow: func() error { return st.follow(ctx, g, s, steps) }}
	if st.method.sparse {
		if h.sparse = scales(g); len(h.sparse) == 0 {
			return nil, fmt.Errorf("search: method %s: %q has no batch norm whose scale could be pulled to zero", cfg.Method, g.Name)
		}
	}
	if k, err := topk.Lookup(st.criterion()); err != nil {
		return nil, err
	} else if k.Signal == topk.Weight {
		h.weights = scoredCopy(g, s, st.groups)
	}
	for _, group := range s.Groups {
		h.inputs = append(h.inputs, masked.Input(group.Name))
		h.buffers = append(h.buffers, make([]float32, group.N))
		h.grads = append(h.grads, make([]float64, group.N))
	}
	if m := st.method; m.stepless() {
		if m.evolves {
			e := &evolution{graph: g, space: s, src: src, st: st, rng: rand.New(rand.NewPCG(cfg.Train.Seed, 0x21c0)), seen: map[string]bool{}}
			if err := e.evolve(ctx, opt.Progress); err != nil {
				return nil, err
			}
		} else {
			m.score(scored{g, s, st.groups, cfg.Train.Seed})
		}
		return finish(ctx, g, mg, src, cfg, h, s)
	}
	trained, err := train.Fit(ctx, mg, src, cfg.Train, train.Options{
		Teacher: opt.Teacher, Hook: h, Inputs: h.inputs, Frozen: cfg.Pipeline == PMinus,
		Journal: opt.Journal, Resume: opt.Resume, Progress: opt.Progress,
	})
	if err != nil {
		return nil, err
	}
	if st.method.sparse {
		st.method.score(scored{trained, s, st.groups, cfg.Train.Seed})
	}
	return finish(ctx, g, trained, src, cfg, h, s)
}

// finish turns the learned ratios into the final structure and cuts it out.
func finish(ctx context.Context, g, trained *ir.Graph, src *data.Source, cfg Config, h *hook, s *space.Space) (*Result, error) {
	sel, timed, err := h.structure.solveTimed(ctx, g, s)
	if err != nil {
		return nil, err
	}
	r := &Result{Latency: timed, Space: s, Selection: sel, Before: h.structure.model.Full(), After: h.structure.model.At(sel), Masked: trained, Masks: map[string][]float32{}}
	for i, group := range s.Groups {
		m := make([]float32, group.N)
		for _, e := range sel.Keep[group.Name] {
			m[e] = 1
		}
		r.Masks[h.inputs[i]] = m
	}
	if r.Masked, err = train.Recalibrate(ctx, trained, src, cfg.Train, cfg.Recalibrate, r.Masks); err != nil {
		return nil, err
	}
	whole := g.Clone()
	for name := range whole.Weights {
		whole.Weights[name] = r.Masked.Weights[name].Clone()
	}
	r.Graph, err = prune.Apply(whole, s, sel)
	return r, err
}

// hook lets a structure take part in the step loop.
type hook struct {
	structure *structure
	inputs    []string // mask inputs, by group
	buffers   [][]float32
	grads     [][]float64
	sparse    []string     // batch-norm scales that are pulled to zero
	weights   *scored      // weighs elements, where they are ranked by their weights
	follow    func() error // times the structure now and then, for a latency budget
}

func (h *hook) Before(m *engine.Machine[float32]) error {
	for i, name := range h.inputs {
		for e, v := range h.structure.forward(i) {
			h.buffers[i][e] = float32(v)
		}
		if err := m.SetInput(name, h.buffers[i]); err != nil {
			return err
		}
	}
	return nil
}

func (h *hook) After(m *engine.Machine[float32], loss float64) error {
	for i, name := range h.inputs {
		for e, v := range m.Grad(name) {
			h.grads[i][e] = float64(v)
		}
	}
	pull := float32(h.structure.cfg.Sparsity)
	for _, name := range h.sparse {
		grad := m.Grad(name)
		for e, v := range m.Param(name) {
			switch {
			case v > 0:
				grad[e] += pull
			case v < 0:
				grad[e] -= pull
			}
		}
	}
	if st := h.structure; h.weights != nil && (st.norms == nil || st.cfg.Pipeline != PMinus) { // where weights stay, once will do
		var err error
		if st.norms, err = h.weights.weigh(m); err != nil {
			return err
		}
	}
	h.structure.heed(loss)
	if err := h.structure.update(h.grads); err != nil {
		return err
	}
	return h.follow()
}

func (h *hook) Describe(v *train.Metrics) {
	st := h.structure
	v.Spent, v.Target, v.Ratios, v.Kept = map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]int{}
	for i, t := range st.targets {
		v.Spent[MetricName(t.metric)] = st.spent[i]
		v.Target[MetricName(t.metric)] = t.at(st.step-1, st.fall)
	}
	for i := range st.groups {
		g := &st.groups[i]
		v.Ratios[g.name] = g.a
		for _, k := range g.keep {
			v.Kept[g.name] += int(k)
		}
	}
	if st.pictured(v.Step, v.Steps) {
		v.Masks = h.masks()
	}
}

// pictures is how many lines of metrics hold masks, spread over the search. A network of 25,000 elements then adds 1.6 MB to its
// metrics, however long it is searched.
const pictures = 48

// pictured tells whether the line of metrics at a step holds masks: the first line does that passes another 48th of the steps. It
// depends on settings alone, so a resumed search writes the same lines.
func (st *structure) pictured(step, steps int) bool {
	interval := st.cfg.Train.Interval
	before := (step - 1) / interval * interval
	return step*pictures/steps > before*pictures/steps || before == 0
}

// masks are the masks of the next step, rounded to bytes.
func (h *hook) masks() map[string][]byte {
	out := map[string][]byte{}
	for i := range h.structure.groups {
		m := h.structure.forward(i)
		b := make([]byte, len(m))
		for e, v := range m {
			b[e] = byte(math.Round(255 * v))
		}
		out[h.structure.groups[i].name] = b
	}
	return out
}

// savedStructure is the hook's part of a checkpoint. JSON carries every float64 exactly.
type savedStructure struct {
	Step     int                   `json:"step"`
	TaskNorm float64               `json:"task_norm"`
	Spent    []float64             `json:"spent"`
	Clock    *savedClock           `json:"clock,omitempty"`
	Begin    int                   `json:"begin"` // of the fall
	Learning learning              `json:"learning"`
	Groups   map[string]savedGroup `json:"groups"`
}

type savedGroup struct {
	A      float64   `json:"a"`
	Theta  []float64 `json:"theta"`
	C      []float64 `json:"c"`
	M1     []float64 `json:"m1"`
	M2     []float64 `json:"m2"`
	Count  int       `json:"count"`
	Frozen bool      `json:"frozen,omitempty"`
	Gone   float64   `json:"gone,omitempty"`
	Sum    float64   `json:"sum,omitempty"`
}

func (h *hook) State() (json.RawMessage, error) {
	st := h.structure
	s := savedStructure{Step: st.step, TaskNorm: st.taskNorm, Spent: st.spent, Clock: st.clock().saved(), Begin: st.fall.begin, Learning: st.learning, Groups: map[string]savedGroup{}}
	for i := range st.groups {
		g := &st.groups[i]
		s.Groups[g.name] = savedGroup{A: g.a, Theta: g.theta, C: g.c, M1: g.m1, M2: g.m2, Count: g.count, Frozen: g.frozen, Gone: g.gone, Sum: g.sum}
	}
	return json.Marshal(s)
}

func (h *hook) Restore(state json.RawMessage) error {
	var s savedStructure
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("search: checkpoint: structure: %w", err)
	}
	st := h.structure
	if len(s.Groups) != len(st.groups) || len(s.Spent) != len(st.spent) {
		return fmt.Errorf("search: checkpoint: it holds %d groups and %d budgets, this search %d and %d; resume with the settings it was started with",
			len(s.Groups), len(s.Spent), len(st.groups), len(st.spent))
	}
	for i := range st.groups {
		g := &st.groups[i]
		v, ok := s.Groups[g.name]
		if !ok || len(v.C) != len(g.c) || len(v.Theta) != len(g.theta) || len(v.M1) != len(g.m1) || len(v.M2) != len(g.m2) || !(v.A >= 0 && v.A <= 1) {
			return fmt.Errorf("search: checkpoint: group %q is missing or does not fit; resume with the settings it was started with", g.name)
		}
		g.a, g.count, g.frozen, g.gone, g.sum = v.A, v.Count, v.Frozen, v.Gone, v.Sum
		copy(g.theta, v.Theta)
		copy(g.m1, v.M1)
		copy(g.m2, v.M2)
		copy(g.c, v.C)
	}
	if s.Begin < 0 || s.Begin > st.fall.begin {
		return fmt.Errorf("search: checkpoint: a structure that waits until step %d, where %d is the most; resume with the settings it was started with", s.Begin, st.fall.begin)
	}
	st.step, st.taskNorm, st.fall.begin, st.learning = s.Step, s.TaskNorm, s.Begin, s.Learning
	copy(st.spent, s.Spent)
	st.refresh()
	return nil
}
