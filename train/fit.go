package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/optim"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/ir"
)

// Metrics is one line of a run's metrics: averages over the steps since the line before. It holds no wall-clock time, so that an
// interrupted and resumed run writes the same bytes as an uninterrupted one.
type Metrics struct {
	Step     int                `json:"step"`
	Steps    int                `json:"steps"`
	Loss     float64            `json:"loss"`
	Accuracy float64            `json:"accuracy"` // share of the training samples classified rightly, as augmented
	Rate     float64            `json:"rate"`
	Spent    map[string]float64 `json:"spent,omitempty"`  // cost by metric, of the structure at this step
	Target   map[string]float64 `json:"target,omitempty"` // what the schedule allows at this step
	Ratios   map[string]float64 `json:"a,omitempty"`      // prune ratio by group
	Kept     map[string]int     `json:"kept,omitempty"`   // elements kept by group

	// Masks are the masks of the next step by group, one byte an element, 255 for 1. Only some lines have them.
	Masks map[string][]byte `json:"masks,omitempty"`
}

// NotFiniteError means that the loss of a step, or a weight after it, is NaN or infinite. The run stops; its last checkpoint is from
// before.
type NotFiniteError struct {
	Step   int
	Tensor string // "the loss", or a kind and a name: `weight "conv1.weight"`
}

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("train: step %d: %s is not finite; the last checkpoint is from before this step; a smaller rate or clip_norm helps", e.Step, e.Tensor)
}

// Journal keeps what must survive the process; a run directory is one.
type Journal interface {
	AppendMetrics(v any) error
	Save(c *rundir.Checkpoint) error
}

// Hook takes part in every step of Fit; a search is one.
type Hook interface {
	// Before sets what the step reads beside the batch, such as masks.
	Before(m *engine.Machine[float32]) error
	// After reads what the step wrote, such as gradients of masks, and the loss of its batch.
	After(m *engine.Machine[float32], loss float64) error
	// Describe adds to a line of metrics.
	Describe(v *Metrics)
	// State and Restore carry the hook over a checkpoint.
	State() (json.RawMessage, error)
	Restore(state json.RawMessage) error
}

// Options are the parts of a run that are not settings.
type Options struct {
	Teacher  *ir.Graph          // its outputs guide the training; nil for none
	Hook     Hook               // nil for plain training
	Inputs   []string           // further graph inputs to differentiate: masks, which are never below zero
	Frozen   bool               // weights stay as they are
	Journal  Journal            // nil keeps nothing
	Resume   *rundir.Checkpoint // where to go on; nil starts anew
	Progress func(Metrics)      // called for every line of metrics; may be nil
}

// fit is one run of the step loop.
type fit struct {
	cfg     Config
	opt     Options
	steps   int
	graph   *ir.Graph // with loss
	logits  string
	params  *engine.Params[float32]
	machine *engine.Machine[float32]
	pool    *parallel.Pool
	teacher *teacher

	names   []string // trainable weights
	groups  []optim.Param
	descent optim.Optimizer
	rate    optim.Schedule
	ema     *optim.EMA

	loader *data.Loader
	batch  data.Batch
	step   int
	sum    window
}

// window is what has been added up since the last line of metrics.
type window struct {
	Loss    float64 `json:"loss"`
	Steps   int     `json:"steps"`
	Correct int     `json:"correct"`
	Seen    int     `json:"seen"`
}

// progressState is the JSON part of a checkpoint.
type progressState struct {
	Window window          `json:"window"`
	Hook   json.RawMessage `json:"hook,omitempty"`
}

// HookState is the hook's part of a checkpoint, for a hook that needs some of it before it is restored.
func HookState(c *rundir.Checkpoint) (json.RawMessage, error) {
	var s progressState
	if err := json.Unmarshal(c.State, &s); err != nil {
		return nil, fmt.Errorf("train: checkpoint: %w", err)
	}
	return s.Hook, nil
}

// Fit runs cfg's steps on the training samples of src and returns a copy of g with the weights it arrived at.
//
// g ends in class outputs (N, classes) and has a symbolic batch. With a Journal a checkpoint is saved every cfg.Checkpoint steps, at
// the end, and when ctx is cancelled; Resume then goes on with the same bits. A loss that is not finite ends the run with a
// NotFiniteError and saves nothing, and so do weights where they would be saved or returned.
func Fit(ctx context.Context, g *ir.Graph, src *data.Source, cfg Config, opt Options) (*ir.Graph, error) {
	f, err := newFit(ctx, g, src, cfg, opt)
	if err != nil {
		return nil, err
	}
	defer f.close()
	for f.step < f.steps {
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), f.save())
		}
		if err := f.advance(); err != nil {
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return nil, errors.Join(err, f.save())
			}
			return nil, err
		}
		if f.step%cfg.Interval == 0 || f.step == f.steps {
			if err := f.report(); err != nil {
				return nil, err
			}
		}
		if f.step%cfg.Checkpoint == 0 || f.step == f.steps {
			if err := f.save(); err != nil {
				return nil, err
			}
		}
	}
	return f.result(g)
}

func newFit(ctx context.Context, g *ir.Graph, src *data.Source, cfg Config, opt Options) (*fit, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	f := &fit{cfg: cfg, opt: opt, steps: cfg.StepsFor(src.Train.Len())}
	if err := f.prepare(ctx, g, src); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// prepare builds everything the steps need. What it has opened when it fails is closed by close.
func (f *fit) prepare(ctx context.Context, g *ir.Graph, src *data.Source) (err error) {
	cfg, opt := f.cfg, f.opt
	if f.graph, err = WithLoss(g, cfg, opt.Teacher != nil); err != nil {
		return err
	}
	if f.logits, err = Logits(g); err != nil {
		return err
	}
	if !opt.Frozen {
		f.names = Trainable(g)
		if len(f.names) == 0 {
			return fmt.Errorf("train: the network %q has no weights to train", g.Name)
		}
	}
	bind, err := bindImages(g, src.Train, cfg.Batch)
	if err != nil {
		return err
	}
	if err := checkClasses(g, f.logits, bind, src.Train); err != nil {
		return err
	}
	p, err := program.Build(f.graph, program.Config{
		Bind: bind, Training: true, Loss: lossName, Wrt: append(append([]string{}, f.names...), opt.Inputs...), Outputs: []string{f.logits},
		NonNegative: opt.Inputs,
	})
	if err != nil {
		return err
	}
	f.pool = parallel.New(cfg.Workers)
	if f.params, err = engine.NewParams[float32](f.graph); err != nil {
		return err
	}
	if f.machine, err = engine.New(p, f.params, f.pool); err != nil {
		return err
	}
	mean, std, err := data.Normalization(src, cfg.Normalize)
	if err != nil {
		return err
	}
	if opt.Teacher != nil {
		if f.teacher, err = newTeacher(opt.Teacher, src.Train, cfg, f.pool); err != nil {
			return err
		}
		if own, its := len(f.machine.Output(f.logits))/cfg.Batch, f.teacher.run.classes(); own != its {
			return fmt.Errorf("train: the teacher has %d outputs, the network %d; they must tell the same classes apart", its, own)
		}
	}
	if err := f.newDescent(g); err != nil {
		return err
	}
	if opt.Resume != nil {
		if err := f.restore(opt.Resume); err != nil {
			return err
		}
	}
	f.loader, err = data.NewLoader(ctx, src.Train, data.Config{
		Batch: cfg.Batch, Seed: cfg.Seed, Shuffle: true, DropLast: true, Augment: cfg.augment(), Mean: mean, Std: std,
		Start: f.step, LabelSmoothing: float32(cfg.LabelSmoothing),
	})
	return err
}

func (f *fit) close() {
	if f.loader != nil {
		f.loader.Close()
	}
	if f.pool != nil {
		f.pool.Close()
	}
}

// newDescent prepares the optimiser over the live buffers of the trainable weights.
func (f *fit) newDescent(g *ir.Graph) error {
	for _, name := range f.names {
		decay := f.cfg.WeightDecay
		if !f.cfg.DecayAll && !decayed(g.Weights[name]) {
			decay = 0
		}
		f.groups = append(f.groups, optim.Param{Name: name, Value: f.params.Get(name), Grad: f.machine.Grad(name), WeightDecay: decay})
	}
	var err error
	if f.descent, err = optim.New(f.cfg.Optimizer, optim.Config{Momentum: f.cfg.Momentum}, f.groups, f.pool); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if f.rate, err = optim.NewSchedule(f.cfg.Schedule, f.cfg.Rate, f.cfg.Warmup, f.steps); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if f.cfg.EMA > 0 && !f.opt.Frozen {
		f.ema = optim.NewEMA(f.cfg.EMA, f.values())
	}
	return nil
}

// values are the live buffers of every float weight, running statistics included, by name.
func (f *fit) values() map[string][]float32 {
	out := map[string][]float32{}
	for _, name := range f.params.Names() {
		out[name] = f.params.Get(name)
	}
	return out
}

// advance takes one step.
func (f *fit) advance() error {
	if err := f.loader.Next(&f.batch); err != nil {
		return err
	}
	if err := f.feed(); err != nil {
		return err
	}
	if f.opt.Hook != nil {
		if err := f.opt.Hook.Before(f.machine); err != nil {
			return err
		}
	}
	f.machine.SetSeed(f.cfg.Seed<<32 ^ uint64(f.step))
	f.machine.Run()
	loss := float64(f.machine.Output(lossName)[0])
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return &NotFiniteError{Step: f.step + 1, Tensor: "the loss"}
	}
	if f.opt.Hook != nil {
		if err := f.opt.Hook.After(f.machine, loss); err != nil {
			return err
		}
	}
	if !f.opt.Frozen {
		if f.cfg.ClipNorm > 0 {
			optim.ClipNorm(f.groups, f.cfg.ClipNorm)
		}
		f.descent.Step(f.rate(f.step))
		if f.ema != nil {
			f.ema.Update(f.values())
		}
		f.params.Changed()
	}
	f.step++
	f.sum.Loss += loss
	f.sum.Steps++
	f.sum.Seen += f.batch.N
	logits := f.machine.Output(f.logits)
	k := len(logits) / f.batch.N
	for i, label := range f.batch.Labels[:f.batch.N] {
		if argmax(logits[i*k:(i+1)*k]) == label {
			f.sum.Correct++
		}
	}
	return nil
}

func (f *fit) feed() error {
	if err := f.machine.SetInputNHWC(f.graph.Inputs[0].Name, f.batch.X); err != nil {
		return err
	}
	if err := f.machine.SetInput(targetName, f.batch.Y); err != nil {
		return err
	}
	if f.teacher == nil {
		return nil
	}
	guide, err := f.teacher.guide(&f.batch)
	if err != nil {
		return err
	}
	return f.machine.SetInput(teacherName, guide)
}

// report writes a line of metrics and starts the next window.
func (f *fit) report() error {
	if f.sum.Steps == 0 {
		return nil
	}
	v := Metrics{
		Step: f.step, Steps: f.steps, Loss: f.sum.Loss / float64(f.sum.Steps), Accuracy: float64(f.sum.Correct) / float64(f.sum.Seen),
	}
	if !f.opt.Frozen {
		v.Rate = f.rate(f.step - 1)
	}
	if f.opt.Hook != nil {
		f.opt.Hook.Describe(&v)
	}
	f.sum = window{}
	if f.opt.Journal != nil {
		if err := f.opt.Journal.AppendMetrics(v); err != nil {
			return err
		}
	}
	if f.opt.Progress != nil {
		f.opt.Progress(v)
	}
	return nil
}

// Prefixes of tensor names in a checkpoint.
const (
	weightPrefix  = "weight/"
	descentPrefix = "descent/"
	emaPrefix     = "ema/"
)

// save writes everything a later process needs to go on with the same bits. A loss may be finite in the very step whose gradient is
// not, so it first makes sure that nothing is lost yet; without a journal it does only that.
func (f *fit) save() error {
	if err := f.checkFinite(); err != nil {
		return err
	}
	if f.opt.Journal == nil {
		return nil
	}
	state := progressState{Window: f.sum}
	if f.opt.Hook != nil {
		var err error
		if state.Hook, err = f.opt.Hook.State(); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	c := &rundir.Checkpoint{Step: f.step, Tensors: map[string]*ir.Tensor{}, State: raw}
	for prefix, values := range f.state() {
		for name, v := range values {
			c.Tensors[prefix+name] = ir.Floats32(v, len(v))
		}
	}
	return f.opt.Journal.Save(c)
}

// checkFinite names the first weight that is not finite, or else what the optimiser or the moving average remembers of one.
func (f *fit) checkFinite() error {
	state := f.state()
	for _, prefix := range []string{weightPrefix, descentPrefix, emaPrefix} {
		values := state[prefix]
		for _, name := range slices.Sorted(maps.Keys(values)) {
			for _, x := range values[name] {
				if x-x != 0 {
					return &NotFiniteError{Step: f.step, Tensor: fmt.Sprintf("%s %q", strings.TrimSuffix(prefix, "/"), name)}
				}
			}
		}
	}
	return nil
}

// state is every buffer that a checkpoint holds, by prefix and name.
func (f *fit) state() map[string]map[string][]float32 {
	s := map[string]map[string][]float32{weightPrefix: f.values()}
	if !f.opt.Frozen {
		s[descentPrefix] = f.descent.State()
	}
	if f.ema != nil {
		s[emaPrefix] = f.ema.State()
	}
	return s
}

// restore fills the live buffers from a checkpoint of the same run.
func (f *fit) restore(c *rundir.Checkpoint) error {
	if c.Step < 0 || c.Step > f.steps {
		return fmt.Errorf("train: checkpoint: step %d lies outside the run's %d steps; resume with the settings it was started with", c.Step, f.steps)
	}
	var state progressState
	if err := json.Unmarshal(c.State, &state); err != nil {
		return fmt.Errorf("train: checkpoint of step %d: state: %w", c.Step, err)
	}
	var faults []error
	used := 0
	for prefix, values := range f.state() {
		for name, v := range values {
			t := c.Tensors[prefix+name]
			if t == nil || t.DType != ir.Float32 || len(t.F32) != len(v) {
				faults = append(faults, fmt.Errorf("tensor %q is missing or has another size", prefix+name))
				continue
			}
			copy(v, t.F32)
			used++
		}
	}
	f.params.Changed()
	if used != len(c.Tensors) && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("it holds %d tensors, this run %d", len(c.Tensors), used))
	}
	if len(faults) > 0 {
		sort.Slice(faults, func(i, j int) bool { return faults[i].Error() < faults[j].Error() })
		return fmt.Errorf("train: checkpoint of step %d belongs to another network or other settings: %w", c.Step, errors.Join(faults[:min(len(faults), 8)]...))
	}
	if f.opt.Hook != nil {
		if err := f.opt.Hook.Restore(state.Hook); err != nil {
			return err
		}
	}
	f.step, f.sum = c.Step, state.Window
	return nil
}

// result is a copy of g with the weights as they are now, or their moving average.
func (f *fit) result(g *ir.Graph) (*ir.Graph, error) {
	if f.ema != nil {
		f.ema.CopyTo(f.values())
		f.params.Changed()
	}
	out := g.Clone()
	if err := f.params.WriteTo(out); err != nil {
		return nil, err
	}
	return out, nil
}

// argmax is the index of the largest value, the first of equal ones.
func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
