package search

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/zoo"
)

// slow is a machine of the test's own: a network takes a time that follows from its work, with steps as of vectors, which no price can fit.
func slow(t *testing.T) func(_ context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
	one := func(g *ir.Graph) time.Duration {
		c, err := cost.Count(g)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(3*(c.MACs+4095)/4096*4096 + 11*c.Bytes)
	}
	return func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
		return [2]time.Duration{one(whole), one(cut)}, nil
	}
}

// fitted is the space of g and a clock that has timed structures on a machine.
func fitted(t *testing.T, g *ir.Graph, o space.Options, machine func(context.Context, *ir.Graph, *ir.Graph) ([2]time.Duration, error)) (*space.Space, *clock) {
	t.Helper()
	s, err := space.Find(g, o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := priceless(g, s)
	if err != nil {
		t.Fatal(err)
	}
	c.measure = machine
	if err := c.fit(context.Background(), g, s, 1); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestClockFollowsTheMachine(t *testing.T) {
	g := network(t)
	s, c := fitted(t, g, space.Options{}, slow(t))
	if at := c.eval(onesLike(s), nil); math.Abs(at/float64(c.full)-1) > 1e-9 {
		t.Errorf("the whole network takes %v, the clock says %v", c.full, time.Duration(at))
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for range 20 {
		sel := randomStructure(rng, s)
		masks := masksOf(s, sel)
		grad := masksOf(s, wholeOf(s))
		for i := range grad {
			clear(grad[i])
		}
		at := model(t, g, s).At(sel)
		want := float64(3*at.MACs + 11*at.Bytes)
		got := c.eval(masks, grad)
		if math.Abs(got/want-1) > 0.07 { // a vector's step is up to 7% of the smallest
			t.Errorf("%v takes %v, the clock says %v", sel, want, got)
		}
		// The derivative, at one mask of each group.
		for i := range masks {
			e := rng.IntN(len(masks[i]))
			old := masks[i][e]
			masks[i][e] = old + 1e-4
			up := c.eval(masks, nil)
			masks[i][e] = old - 1e-4
			down := c.eval(masks, nil)
			masks[i][e] = old
			if d := (up - down) / 2e-4; math.Abs(d-grad[i][e]) > 1e-4*(1+math.Abs(d)) {
				t.Errorf("derivative by mask %d of group %d: %v, want %v", e, i, grad[i][e], d)
			}
		}
	}
}

// A machine with a fast way for whole vectors alone is found out before the search, and the search keeps to them.
func TestClockChoosesADivisor(t *testing.T) {
	for want, vector := range map[int]int{16: 16, 8: 8, 0: 1} {
		machine := slow(t)
		clock := func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
			times, err := machine(ctx, whole, cut)
			for i, g := range []*ir.Graph{whole, cut} {
				for _, n := range g.Nodes {
					if n.Op == "Conv" && g.Weights[n.Input(1)].Shape[0]%vector != 0 {
						times[i] += times[i]
						break
					}
				}
			}
			return times, err
		}
		g, err := zoo.Build("resnet14:input=12,classes=4")
		if err != nil {
			t.Fatal(err)
		}
		cfg := quick(PMinus, 12, "latency=90%")
		var j journal
		r, err := Run(context.Background(), g, stripes(t, 64), cfg, Options{Clock: clock, Journal: &j, Space: space.Options{NoDepth: true}})
		if err != nil {
			t.Fatal(err)
		}
		if r.Latency.Divisor != want {
			t.Errorf("vectors of %d: widths in multiples of %d", vector, r.Latency.Divisor)
		}
		for _, group := range r.Space.Groups {
			if kept := len(r.Selection.Keep[group.Name]); want > 0 && kept%want != 0 {
				t.Errorf("vectors of %d: %s keeps %d", vector, group.Name, kept)
			}
		}
		again, err := Run(context.Background(), g, stripes(t, 64), cfg, Options{Clock: clock, Resume: j.saved[0], Space: space.Options{NoDepth: true}})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.Selection, r.Selection) {
			t.Errorf("vectors of %d: resumed, the search finds another structure", vector)
		}
	}
}

// A machine that does output channels in vectors of eight: the clock finds that out, and tells the time of networks it has not seen.
func TestClockFindsTheVectors(t *testing.T) {
	g := network(t)
	one := func(g *ir.Graph) time.Duration {
		layers, err := cost.Layers(g)
		if err != nil {
			t.Fatal(err)
		}
		channels := map[string]int{}
		for _, n := range g.Nodes {
			if n.Op == "Conv" {
				channels[n.Label()] = g.Weights[n.Input(1)].Shape[0]
			}
		}
		ns := int64(0)
		for _, l := range layers {
			if o := int64(channels[l.Node]); o > 0 {
				ns += 1000 + l.MACs/o*((o+7)/8*8)
			} else {
				ns += l.MACs
			}
		}
		return time.Duration(ns)
	}
	s, c := fitted(t, g, space.Options{}, func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
		return [2]time.Duration{one(whole), one(cut)}, nil
	})
	for i, k := range c.kinds {
		if c.price[i] != 0 && k.lanes != 0 && k.lanes != 8 {
			t.Errorf("kind %d, in vectors of %d, has a price of %v", i, k.lanes, c.price[i])
		}
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for range 20 {
		sel := randomStructure(rng, s)
		cut, err := prune.Apply(g, s, sel)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.eval(masksOf(s, sel), nil), float64(one(cut)); math.Abs(got/want-1) > 0.03 {
			t.Errorf("%v takes %v, the clock says %v", sel, want, got)
		}
	}
}

func model(t *testing.T, g *ir.Graph, s *space.Space) *cost.Model {
	t.Helper()
	m, err := cost.NewModel(g, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSolutionMeetsTheMeasuredLatencyAndNotTheModelled(t *testing.T) {
	g := network(t)
	honest := slow(t)
	s, c := fitted(t, g, space.Options{NoDepth: true}, honest)
	// What is cut turns out a fifth slower than the clock believes.
	c.measure = func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
		times, err := honest(ctx, whole, cut)
		times[1] += times[1] / 5
		return times, err
	}
	targets, err := resolve([]Budget{{Metric: cost.Latency, Share: 0.6}}, model(t, g, s).Full(), c)
	if err != nil {
		t.Fatal(err)
	}
	st := newStructure(s, model(t, g, s), targets, phase{end: 1}, Default(PMinus))
	_, timed, err := st.solveTimed(context.Background(), g, s)
	if err != nil {
		t.Fatal(err)
	}
	if ratio := float64(timed.After) / float64(timed.Target); ratio > 1 || ratio < 0.95 {
		t.Errorf("%+v: %.3f of the target", timed, ratio)
	}
	if st.targets[0].final != targets[0].final {
		t.Error("the correction outlived the solution")
	}
}

func TestLatencyBudgetInASearchThatIsResumed(t *testing.T) {
	src := stripes(t, 64)
	cfg := quick(PMinus, 25, "latency=70%")
	var j journal
	timed := 0
	machine := slow(t)
	clock := func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
		timed++
		return machine(ctx, whole, cut)
	}
	r, err := Run(context.Background(), network(t), src, cfg, Options{Journal: &j, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if timed < timedStructures+timedOnTheWay {
		t.Errorf("%d structures were timed", timed)
	}
	if r.Latency == nil || r.Latency.Before <= 0 || r.Latency.After <= 0 || r.Latency.Target <= 0 {
		t.Errorf("latency %+v", r.Latency)
	}
	var again journal
	if _, err := Run(context.Background(), network(t), src, cfg, Options{Journal: &again, Resume: j.saved[0], Clock: clock}); err != nil {
		t.Fatal(err)
	}
	// The steps are the same to the bit on a machine whose times are, for what was timed is in the checkpoint.
	if a, b := j.lines[len(j.lines)-1], again.lines[len(again.lines)-1]; a != b {
		t.Errorf("last lines differ:\n%s\n%s", a, b)
	}
	if !bytes.Contains(j.saved[0].State, []byte(`"price":[`)) {
		t.Fatalf("no prices in %s", j.saved[0].State)
	}
	j.saved[0].State = bytes.Replace(j.saved[0].State, []byte(`"price":[`), []byte(`"price":[1,`), 1)
	if _, err := Run(context.Background(), network(t), src, cfg, Options{Resume: j.saved[0], Clock: clock}); err == nil {
		t.Error("a checkpoint with other prices was taken")
	}
}

func TestClockOfTheEngineInASearch(t *testing.T) {
	r, err := Run(context.Background(), network(t), stripes(t, 64), quick(PMinus, 20, "latency=70%"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Latency == nil || r.Latency.Before <= 0 || r.Latency.After <= 0 || r.Latency.Target <= 0 {
		t.Errorf("latency %+v", r.Latency)
	}
}

func TestClockFollowsTheSearch(t *testing.T) {
	g := network(t)
	s, c := fitted(t, g, space.Options{}, slow(t))
	// What is cut turns out a quarter slower than random structures said.
	honest := c.measure
	last := 0.0
	c.measure = func(ctx context.Context, whole, cut *ir.Graph) ([2]time.Duration, error) {
		times, err := honest(ctx, whole, cut)
		times[1] += times[1] / 4
		last = float64(times[1]) / float64(times[0])
		return times, err
	}
	targets, err := resolve([]Budget{{Metric: cost.Latency, Share: 0.6}}, model(t, g, s).Full(), c)
	if err != nil {
		t.Fatal(err)
	}
	st := newStructure(s, model(t, g, s), targets, phase{end: 1}, Default(PMinus))
	rng := rand.New(rand.NewPCG(8, 8))
	told := func() float64 { return c.eval(st.hard, nil) / float64(c.full) }
	const steps = 4 * timedOnTheWay
	for st.step = 1; st.step < steps; st.step++ {
		for i := range st.groups { // a structure that narrows as the search goes on
			for e := range st.groups[i].keep {
				st.groups[i].keep[e] = 1
				if rng.Float64() < 0.4*float64(st.step)/steps {
					st.groups[i].keep[e] = 0
				}
			}
			copy(st.hard[i], st.groups[i].keep)
		}
		before := len(c.seen)
		if err := st.follow(context.Background(), g, s, steps); err != nil {
			t.Fatal(err)
		}
		if timed := len(c.seen) - before; timed != 0 && st.step%4 != 0 {
			t.Errorf("step %d: %d structures timed", st.step, timed)
		}
	}
	if n := len(c.seen); n != timedStructures+1+timedOnTheWay-1 {
		t.Errorf("%d structures timed", n)
	}
	sel := st.present(s)
	st.hard = masksOf(s, sel)
	if _, err := c.time(context.Background(), g, s, sel, 1); err != nil {
		t.Fatal(err)
	}
	if off := told()/last - 1; math.Abs(off) > 0.08 {
		t.Errorf("the structure takes %.3f of the whole network's time, the clock says %.3f", last, told())
	}
	if !c.saved().fits(c) {
		t.Error("what the clock saves does not fit it")
	}
}

func TestNonNegativeFindsPrices(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	want := []float64{3e-3, 0, 50}
	var seen []timing
	for range 30 {
		row := []float64{1e6 * rng.Float64(), 1e6 * rng.Float64(), 10 + rng.Float64()}
		seen = append(seen, timing{Work: row, Ratio: row[0]*want[0] + row[1]*want[1] + row[2]*want[2], Weight: 1})
	}
	got, off := nonNegative(seen, func(int) bool { return true })
	if off > 1e-9 {
		t.Errorf("squared errors of %v", off)
	}
	for k := range want {
		if math.Abs(got[k]-want[k]) > 1e-3*(1e-4+want[k]) && math.Abs(got[k]-want[k]) > 1e-6 {
			t.Errorf("prices %v, want %v", got, want)
		}
	}
}
