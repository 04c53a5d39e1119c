package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
	"github.com/dms-go/dms/zoo"
)

// stripes is a small data set that a network can learn: the class is the direction and spacing of noisy stripes.
func stripes(t testing.TB, n int) *data.Source {
	t.Helper()
	const side, classes = 12, 4
	rng := rand.New(rand.NewPCG(3, 4))
	pixels := make([]uint8, 0, n*side*side*3)
	labels := make([]uint8, 0, n)
	for range n {
		label := rng.IntN(classes)
		labels = append(labels, uint8(label))
		phase := rng.IntN(6)
		for y := range side {
			for x := range side {
				at := x
				if label&1 == 1 {
					at = y
				}
				on := (at+phase)/(1+label/2)%2 == 0
				for range 3 {
					v := 90 + rng.IntN(60)
					if on {
						v += 60
					}
					pixels = append(pixels, uint8(v))
				}
			}
		}
	}
	m, err := data.NewMemory(side, side, 3, pixels, labels, []string{"v1", "h1", "v2", "h2"})
	if err != nil {
		t.Fatal(err)
	}
	return &data.Source{Name: "stripes", Train: m, Test: m, Mean: []float32{.5, .5, .5}, Std: []float32{.25, .25, .25}}
}

func network(t testing.TB) *ir.Graph {
	t.Helper()
	g, err := zoo.Build("resnet14:input=12,classes=4,width=0.5")
	if err != nil {
		t.Fatal(err)
	}
	if g, err = ir.Fold(g); err != nil {
		t.Fatal(err)
	}
	return g
}

func quick(p Pipeline, steps int, budget string) Config {
	cfg := Default(p)
	cfg.Train.Steps, cfg.Train.Batch, cfg.Train.Interval, cfg.Train.Checkpoint = steps, 16, 5, 10
	cfg.Train.Crop, cfg.Train.Flip = 0, false
	cfg.Recalibrate = 5
	cfg.Rate = 0.03
	b, err := ParseBudget(budget)
	if err != nil {
		panic(err)
	}
	cfg.Budgets = []Budget{b}
	return cfg
}

// journal is a run kept in memory. It copies what it is given, as a file would.
type journal struct {
	lines []string
	saved []*rundir.Checkpoint
}

func (j *journal) AppendMetrics(v any) error {
	raw, err := json.Marshal(v)
	j.lines = append(j.lines, string(raw))
	return err
}

func (j *journal) Save(c *rundir.Checkpoint) error {
	d := &rundir.Checkpoint{Step: c.Step, State: append(json.RawMessage{}, c.State...), Tensors: map[string]*ir.Tensor{}}
	for name, t := range c.Tensors {
		d.Tensors[name] = t.Clone()
	}
	j.saved = append(j.saved, d)
	return nil
}

// structure is that of the last checkpoint.
func (j *journal) structure(t *testing.T) (s savedStructure) {
	t.Helper()
	state, err := train.HookState(j.saved[len(j.saved)-1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(state, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryPipelineMeetsItsBudgetFromBelowWithinOnePercent(t *testing.T) {
	src := stripes(t, 160)
	for _, p := range []Pipeline{NP, P, PMinus} {
		for _, budget := range []string{"macs=50%", "params=60%"} {
			r, err := Run(context.Background(), network(t), src, quick(p, 30, budget), Options{})
			if err != nil {
				t.Fatalf("%s, %s: %v", p, budget, err)
			}
			b, _ := ParseBudget(budget)
			got, full := amount(r.After, b.Metric), amount(r.Before, b.Metric)
			share := float64(got) / (b.Share * float64(full))
			if share > 1 || share < 0.95 { // a net of 8 to 32 channels cannot come closer than one channel
				t.Errorf("%s: %s: cost %d of %d is %.3f of the budget", p, budget, got, full, share)
			}
			count, err := cost.Count(r.Graph)
			if err != nil || count != r.After {
				t.Errorf("%s: the network costs %+v, the search said %+v, %v", p, count, r.After, err)
			}
		}
	}
}

func TestAFewLinesOfMetricsHoldMasks(t *testing.T) {
	cfg := quick(PMinus, 130, "macs=60%")
	cfg.Train.Interval = 2
	var lines, pictured int
	var last train.Metrics
	r, err := Run(context.Background(), network(t), stripes(t, 64), cfg, Options{Progress: func(m train.Metrics) {
		lines++
		if m.Masks != nil {
			pictured++
		} else if lines == 1 {
			t.Error("the first line has no masks")
		}
		last = m
	}})
	if err != nil {
		t.Fatal(err)
	}
	if lines != 65 || pictured < pictures/2 || pictured > pictures+1 {
		t.Errorf("%d of %d lines hold masks, want about %d", pictured, lines, pictures)
	}
	if len(last.Masks) != len(r.Space.Groups) {
		t.Errorf("the last line has masks of %d groups, there are %d", len(last.Masks), len(r.Space.Groups))
	}
	for _, g := range r.Space.Groups {
		strong := 0
		for _, v := range last.Masks[g.Name] {
			if v >= 128 {
				strong++
			}
		}
		// A mask of ½ stands where the border lies; the hard count may round to the other side of it.
		if len(last.Masks[g.Name]) != g.N || strong < last.Kept[g.Name]-1 || strong > last.Kept[g.Name]+1 {
			t.Errorf("%s: %d of %d masks are above a half, %d elements are kept", g.Name, strong, len(last.Masks[g.Name]), last.Kept[g.Name])
		}
	}
}

func TestPrunedNetworkComputesWhatTheHardMaskedOneDoes(t *testing.T) {
	src := stripes(t, 96)
	r, err := Run(context.Background(), network(t), src, quick(PMinus, 20, "macs=60%"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 16*12*12*3)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	run := func(g *ir.Graph, masks map[string][]float32) []float32 {
		e, err := train.NewEvaluation(g, src.Train, 16, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, m := range masks {
			if err := e.Set(name, m); err != nil {
				t.Fatal(err)
			}
		}
		out, err := e.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		return append([]float32{}, out...)
	}
	whole, small := run(r.Masked, r.Masks), run(r.Graph, nil)
	most := 0.0
	for _, v := range whole {
		most = math.Max(most, math.Abs(float64(v)))
	}
	for i := range whole {
		if math.Abs(float64(whole[i]-small[i])) > 1e-4*most {
			t.Fatalf("output %d: hard-masked %g, pruned %g", i, whole[i], small[i])
		}
	}
}

func TestResumedSearchHasTheBitsOfAnUninterruptedOne(t *testing.T) {
	src := stripes(t, 96)
	for _, p := range []Pipeline{NP, PMinus} {
		cfg := quick(p, 30, "macs=60%")
		if p == NP {
			cfg.HoldShare = 0.5 // over the first checkpoint
		}
		var whole journal
		want, err := Run(context.Background(), network(t), src, cfg, Options{Journal: &whole})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range whole.saved[:2] {
			var rest journal
			cfg.Train.Workers = 1 + c.Step%3
			got, err := Run(context.Background(), network(t), src, cfg, Options{Journal: &rest, Resume: c})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Selection, want.Selection) {
				t.Errorf("%s resumed at step %d: another selection", p, c.Step)
			}
			if err := ir.EqualGraphs(got.Graph, want.Graph); err != nil {
				t.Errorf("%s resumed at step %d: %v", p, c.Step, err)
			}
			if tail := whole.lines[len(whole.lines)-len(rest.lines):]; !slices.Equal(rest.lines, tail) {
				t.Errorf("%s resumed at step %d: metrics\n%v\nwant\n%v", p, c.Step, rest.lines, tail)
			}
		}
	}
}

func TestCancelledSearchSavesWhereItStands(t *testing.T) {
	src := stripes(t, 96)
	cfg := quick(PMinus, 30, "macs=60%")
	want, err := Run(context.Background(), network(t), src, cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var j journal
	_, err = Run(ctx, network(t), src, cfg, Options{Journal: &j, Progress: func(m train.Metrics) {
		if m.Step == 15 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || len(j.saved) == 0 {
		t.Fatalf("cancelled search returned %v after %d checkpoints", err, len(j.saved))
	}
	got, err := Run(context.Background(), network(t), src, cfg, Options{Journal: &j, Resume: j.saved[len(j.saved)-1]})
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.EqualGraphs(got.Graph, want.Graph); err != nil {
		t.Error(err)
	}
}

func TestImpossibleBudgetIsRefusedBeforeAnyStep(t *testing.T) {
	src := stripes(t, 96)
	steps := 0
	_, err := Run(context.Background(), network(t), src, quick(NP, 10, "macs=0.01%"), Options{Progress: func(train.Metrics) { steps++ }})
	if !errors.Is(err, ErrBudgetTooSmall) || steps != 0 {
		t.Errorf("got %v after %d lines of metrics", err, steps)
	}
}

func TestLossThatIsNotFiniteEndsTheRunBeforeItIsSaved(t *testing.T) {
	src := stripes(t, 96)
	cfg := quick(NP, 40, "macs=60%")
	cfg.Train.Rate = 1000
	cfg.Train.Schedule = "constant"
	cfg.Train.Checkpoint = 1
	g := network(t)
	for _, n := range g.Nodes { // without normalisation a large rate diverges
		if n.Op == "BatchNormalization" {
			n.Op, n.Inputs = "Identity", n.Inputs[:1]
			n.Attrs = nil
		}
	}
	g, err := ir.Fold(g)
	if err != nil {
		t.Fatal(err)
	}
	var j journal
	_, err = Run(context.Background(), g, src, cfg, Options{Journal: &j})
	var diverged *train.NotFiniteError
	if !errors.As(err, &diverged) {
		t.Fatalf("got %v", err)
	}
	for _, c := range j.saved {
		if c.Step >= diverged.Step {
			t.Errorf("step %d was saved, the loss was lost in step %d", c.Step, diverged.Step)
		}
	}
}

// TestSolverRespectsMinimaAndDivisors asks for random ratios and checks what must hold of every answer.
func TestSolverRespectsMinimaAndDivisors(t *testing.T) {
	g := network(t)
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 9))
		o := space.Options{Divisor: 1 + rng.IntN(4)}
		s, err := space.Find(g, o)
		if err != nil {
			t.Fatal(err)
		}
		model, err := cost.NewModel(g, s)
		if err != nil {
			t.Fatal(err)
		}
		budgets := []Budget{{Metric: cost.MACs, Share: 0.3 + 0.6*rng.Float64()}, {Metric: cost.Params, Share: 0.3 + 0.6*rng.Float64()}}
		targets, err := resolve(budgets, model.Full(), nil)
		if err != nil {
			t.Fatal(err)
		}
		st := newStructure(s, model, targets, phase{end: 10}, Default(NP))
		for i := range st.groups {
			st.groups[i].theta[0] = rng.Float64()
			for e := range st.groups[i].c {
				st.groups[i].c[e] = float64(rng.IntN(5))
			}
		}
		st.refresh()
		sel, err := st.solve(s)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := sel.Check(s); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		at := model.At(sel)
		for _, v := range targets {
			if amount(at, v.metric) > v.final {
				t.Errorf("seed %d: %s %d over the budget %d", seed, MetricName(v.metric), amount(at, v.metric), v.final)
			}
		}
		for i, group := range s.Groups {
			kept := sel.Keep[group.Name]
			if group.Kind == space.Width && len(kept) < max(1, group.Min) {
				t.Errorf("seed %d: group %q keeps %d", seed, group.Name, len(kept))
			}
			if d := max(1, group.Divisor); group.Kind == space.Width && len(kept)%d != 0 && len(kept) != group.N {
				t.Errorf("seed %d: group %q keeps %d, no multiple of %d", seed, group.Name, len(kept), d)
			}
			// no element that goes is more important than one that stays
			c := st.groups[i].c
			in := make([]bool, len(c))
			least := math.Inf(1)
			for _, e := range kept {
				in[e] = true
				least = math.Min(least, c[e])
			}
			for e := range c {
				if !in[e] && c[e] > least {
					t.Errorf("seed %d: group %q drops element %d of importance %v and keeps one of %v", seed, group.Name, e, c[e], least)
				}
			}
		}
	}
}

func TestBudgetGradientFallsWithEveryRatio(t *testing.T) {
	g := network(t)
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	targets, _ := resolve([]Budget{{Metric: cost.MACs, Share: 0.1}}, model(t, g, s).Full(), nil)
	st := newStructure(s, model(t, g, s), targets, phase{end: 1}, Default(NP))
	st.step = 1
	for i := range st.groups {
		for e := range st.groups[i].c {
			st.groups[i].c[e] = float64(e)
		}
		if st.groups[i].kind == space.Width { // a group inside a dropped block costs nothing anyway
			st.groups[i].theta[0] = 0.3
		}
	}
	st.refresh()
	grad, err := st.budgetGradient()
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range grad {
		if !(v[0] < 0) {
			t.Errorf("group %q: ∂budget/∂a = %v; removing more must cost less", st.groups[i].name, v)
		}
	}
}

func TestHeldStructureLearnsImportancesAlone(t *testing.T) {
	g := network(t)
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	targets, _ := resolve([]Budget{{Metric: cost.MACs, Share: 0.5}}, model(t, g, s).Full(), nil)
	for _, m := range methods {
		if m.learner == nil || m.learner == (untouched{}) {
			continue
		}
		cfg := Default(NP)
		cfg.Method = m.Name
		st := newStructure(s, model(t, g, s), targets, phase{begin: 4, end: 10}, cfg)
		rng := rand.New(rand.NewPCG(1, 2))
		dm := make([][]float64, len(st.groups))
		for i := range dm {
			dm[i] = make([]float64, len(st.groups[i].c))
		}
		learned := func() (all []float64) {
			for i := range st.groups {
				all = append(all, st.groups[i].theta...)
			}
			return all
		}
		before := learned()
		for step := range 6 {
			for i := range dm {
				for e := range dm[i] {
					dm[i][e] = rng.NormFloat64()
				}
			}
			if err := st.update(dm); err != nil {
				t.Fatal(err)
			}
			if held := slices.Equal(learned(), before); held != (step < 4) {
				t.Errorf("%s, step %d of a hold of 4: structure unmoved %t", m.Name, step, held)
			}
		}
		for i := range st.groups {
			if slices.Max(st.groups[i].c) == 0 {
				t.Errorf("%s: group %q has learned no importance", m.Name, st.groups[i].name)
			}
		}
	}
}

func TestWaitEndsWhenTheLossBeginsToFall(t *testing.T) {
	for _, c := range []struct {
		name  string
		loss  func(step int) float64
		began int
	}{
		{"a guess to the end", func(int) float64 { return 3.6 }, 40},
		{"random weights calm down", func(step int) float64 { return 3.8 - 0.2*min(1, float64(step)/10) }, 40},
		{"learned at once", func(step int) float64 { return 2.3 * math.Exp(-float64(step)/10) }, 14},
		{"learned later", func(step int) float64 { return 3.6 - 2*max(0, min(1, float64(step-20)/5)) }, 27},
		{"not to be ended", func(step int) float64 { return 2.3 * math.Exp(-float64(step)/10) }, 40},
		{"one lucky batch", func(step int) float64 {
			if step == 15 {
				return 1
			}
			return 3.6
		}, 40},
	} {
		st := &structure{cfg: Default(NP), fall: phase{begin: 40, end: 80}}
		if c.name == "not to be ended" {
			st.cfg.HoldLoss = 0
		}
		for st.step = range 60 {
			st.heed(c.loss(st.step))
			if want := st.step < c.began; (st.step < st.fall.begin) != want {
				t.Fatalf("%s: at step %d the structure waits %t", c.name, st.step, !want)
			}
		}
	}
}

func TestMagnitudeIsThatOfTheWeightsAtEveryStep(t *testing.T) {
	src, g := stripes(t, 96), network(t)
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	of := func(weights map[string]*ir.Tensor) (all []float64) {
		groups := make([]group, len(s.Groups))
		for i := range groups {
			groups[i].c = make([]float64, s.Groups[i].N)
		}
		scored{&ir.Graph{Weights: weights}, s, groups, 1}.l1()
		for i, g := range groups {
			if s.Groups[i].Kind == space.Width {
				all = append(all, g.c...)
			}
		}
		return all
	}
	for _, p := range []Pipeline{P, PMinus} {
		cfg := quick(p, 10, "macs=60%")
		cfg.Importance = "magnitude"
		cfg.Train.Rate, cfg.Train.Warmup = 0.1, 0
		var kept journal
		r, err := Run(context.Background(), g, src, cfg, Options{Journal: &kept})
		if err != nil {
			t.Fatal(err)
		}
		saved := kept.structure(t)
		var got []float64
		for _, g := range s.Groups {
			c := saved.Groups[g.Name].C
			if g.Kind == space.Width {
				got = append(got, c...)
			} else if p == P && slices.Max(c) == 0 { // random weights that stay need not gain by a block
				t.Errorf("%s: the blocks of %q have no importance", p, g.Name)
			}
		}
		start := of(g.Weights)
		if p == PMinus {
			if !slices.Equal(got, start) {
				t.Error("p-: the importances are not the mean absolute weights")
			}
			continue
		}
		apart := func(a, b []float64) (sum float64) {
			for i := range a {
				sum += math.Abs(a[i] - b[i])
			}
			return sum
		}
		// The last update of the weights came after the last look at them.
		if toNow, toStart := apart(got, of(r.Masked.Weights)), apart(got, start); toStart < 0.1 || toNow > 0.3*toStart {
			t.Errorf("p: importances are %.3g from the weights as they are and %.3g from those at the start", toNow, toStart)
		}
	}
}

func TestBlocksThatAreFreeLearnToTheEnd(t *testing.T) {
	for _, free := range []bool{false, true} {
		cfg := quick(P, 20, "macs=50%")
		cfg.FreeBlocks = free
		var kept journal
		if _, err := Run(context.Background(), network(t), stripes(t, 96), cfg, Options{Journal: &kept}); err != nil {
			t.Fatal(err)
		}
		saved := kept.structure(t)
		blocks := 0
		for name, g := range saved.Groups {
			if strings.HasPrefix(name, "depth.") {
				blocks++
				if g.Frozen == free {
					t.Errorf("free_blocks %t: group %q frozen %t at the end", free, name, g.Frozen)
				}
			}
		}
		if blocks == 0 {
			t.Errorf("no group of blocks among %v", slices.Sorted(maps.Keys(saved.Groups)))
		}
	}
}

func ExampleParseBudget() {
	b, err := ParseBudget("macs=300M")
	fmt.Println(b, err)
	// Output: macs=300000000 <nil>
}
