package train

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/zoo"
)

// patches is a data set that a network learns quickly: the class is the quarter of the image with a bright patch.
func patches(t testing.TB, n int) *data.Source {
	t.Helper()
	const side = 10
	rng := rand.New(rand.NewPCG(5, 6))
	var pixels, labels []uint8
	for range n {
		label := rng.IntN(4)
		labels = append(labels, uint8(label))
		for y := range side {
			for x := range side {
				v := rng.IntN(120)
				if y/5 == label/2 && x/5 == label%2 {
					v += 80
				}
				pixels = append(pixels, uint8(v), uint8(v/2), uint8(rng.IntN(200)))
			}
		}
	}
	m, err := data.NewMemory(side, side, 3, pixels, labels, []string{"nw", "ne", "sw", "se"})
	if err != nil {
		t.Fatal(err)
	}
	return &data.Source{Name: "patches", Train: m, Test: m, Mean: []float32{.3, .2, .4}, Std: []float32{.2, .1, .2}}
}

func network(t testing.TB, spec string) *ir.Graph {
	t.Helper()
	g, err := zoo.Build(spec)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = ir.Fold(g); err != nil {
		t.Fatal(err)
	}
	return g
}

const small = "resnet8:input=10,classes=4,width=0.5,shortcut=B"

func quick(steps int) Config {
	cfg := Default()
	cfg.Steps, cfg.Batch, cfg.Interval, cfg.Checkpoint = steps, 16, 5, 10
	cfg.Crop, cfg.Flip = 0, false
	return cfg
}

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

func TestFitLearnsAndEvaluateSeesIt(t *testing.T) {
	src := patches(t, 320)
	g := network(t, small)
	before, err := Evaluate(context.Background(), g, src, src.Test, quick(1))
	if err != nil {
		t.Fatal(err)
	}
	trained, err := Fit(context.Background(), g, src, quick(60), Options{})
	if err != nil {
		t.Fatal(err)
	}
	after, err := Evaluate(context.Background(), trained, src, src.Test, quick(1))
	if err != nil {
		t.Fatal(err)
	}
	if after.Top1 < 0.9 || after.Top1 < before.Top1 || after.Loss > before.Loss || after.Total != 320 || after.Top5 != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	odd := quick(1)
	odd.Batch = 7 // the last batch is not full
	again, err := Evaluate(context.Background(), trained, src, src.Test, odd)
	if err != nil || again.Correct != after.Correct || math.Abs(again.Loss-after.Loss) > 1e-5 {
		t.Errorf("in batches of 7: %+v, %v", again, err)
	}
}

func TestFitHasTheSameBitsForAnyNumberOfWorkersAndAfterAnyResume(t *testing.T) {
	src := patches(t, 128)
	g := network(t, small+",dropout=0.2")
	for _, name := range []string{"sgd", "adamw", "rmsprop"} {
		cfg := quick(30)
		cfg.Optimizer, cfg.Rate, cfg.EMA, cfg.Crop, cfg.Mixup, cfg.LabelSmoothing, cfg.ClipNorm = name, 0.01, 0.9, 1, 0.2, 0.1, 1
		var whole journal
		want, err := Fit(context.Background(), g, src, cfg, Options{Journal: &whole})
		if err != nil {
			t.Fatal(err)
		}
		for workers, c := range append([]*rundir.Checkpoint{nil}, whole.saved...) {
			var rest journal
			cfg.Workers = workers + 1
			got, err := Fit(context.Background(), g, src, cfg, Options{Journal: &rest, Resume: c})
			if err != nil {
				t.Fatal(err)
			}
			if err := ir.EqualGraphs(got, want); err != nil {
				t.Errorf("%s, %d workers, from %d: %v", name, cfg.Workers, whole.saved[0].Step*workers, err)
			}
			if tail := whole.lines[len(whole.lines)-len(rest.lines):]; !slices.Equal(rest.lines, tail) {
				t.Errorf("%s: metrics %v, want %v", name, rest.lines, tail)
			}
		}
	}
}

func TestCheckpointOfAnotherRunIsRefused(t *testing.T) {
	src := patches(t, 64)
	var j journal
	if _, err := Fit(context.Background(), network(t, small), src, quick(10), Options{Journal: &j}); err != nil {
		t.Fatal(err)
	}
	c := j.saved[0]
	if _, err := Fit(context.Background(), network(t, "resnet14:input=10,classes=4,width=0.5"), src, quick(10), Options{Resume: c}); err == nil {
		t.Error("a checkpoint of another network was taken")
	}
	if _, err := Fit(context.Background(), network(t, small), src, quick(5), Options{Resume: c}); err == nil {
		t.Error("a checkpoint beyond the last step was taken")
	}
}

func TestTeachersTeachWithoutLabels(t *testing.T) {
	src := patches(t, 320)
	teacher, err := Fit(context.Background(), network(t, small), src, quick(60), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"kl", "dist"} {
		cfg := quick(60)
		cfg.Distill, cfg.TeacherLoss, cfg.LabelSmoothing = how, 1, 0.999 // nearly nothing is to be had from the labels
		if how == "dist" {
			cfg.TeacherLoss = 20
		}
		student, err := Fit(context.Background(), network(t, small+",seed=9"), src, cfg, Options{Teacher: teacher})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Evaluate(context.Background(), student, src, src.Test, cfg)
		if err != nil || s.Top1 < 0.85 {
			t.Errorf("%s: student reaches %+v, %v", how, s, err)
		}
	}
}

func TestRecalibrateGivesTheStatisticsOfTheTrainingSamples(t *testing.T) {
	src := patches(t, 320)
	cfg := quick(60)
	trained, err := Fit(context.Background(), network(t, small), src, cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	broken := trained.Clone()
	for _, n := range broken.Nodes {
		if n.Op == "BatchNormalization" {
			mean, variance := broken.Weights[n.Input(3)].F32, broken.Weights[n.Input(4)].F32
			for i := range mean {
				mean[i], variance[i] = 3, 40
			}
		}
	}
	lost, err := Evaluate(context.Background(), broken, src, src.Test, cfg)
	if err != nil {
		t.Fatal(err)
	}
	mended, err := Recalibrate(context.Background(), broken, src, cfg, 20, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Evaluate(context.Background(), mended, src, src.Test, cfg)
	if err != nil || s.Top1 < 0.85 || s.Top1 < lost.Top1+0.2 {
		t.Errorf("broken %.3f, recalibrated %.3f, %v", lost.Top1, s.Top1, err)
	}
	for _, name := range Trainable(trained) {
		if !trained.Weights[name].Equal(mended.Weights[name]) {
			t.Errorf("weight %q changed", name)
		}
	}
}

func TestReinitDrawsEveryWeightByItsNameAlone(t *testing.T) {
	g := network(t, small)
	a, b, c := Reinit(g, 1), Reinit(g, 1), Reinit(g, 2)
	if err := ir.EqualGraphs(a, b); err != nil {
		t.Errorf("one seed, two results: %v", err)
	}
	if ir.EqualGraphs(a, c) == nil {
		t.Error("two seeds gave one result")
	}
	w := a.Weights["conv1.weight"]
	sum := 0.0
	for _, v := range w.F32 {
		sum += float64(v) * float64(v)
	}
	want := 2 / float64(w.Shape[0]*9) // variance: 2 / fan-out
	if got := sum / float64(w.Len()); got < want/1.6 || got > want*1.6 {
		t.Errorf("variance of the first kernel %g, want about %g", got, want)
	}
}

func TestSettingsThatNoRunCanMeanAreRefused(t *testing.T) {
	src := patches(t, 64)
	for name, change := range map[string]func(*Config){
		"batch":       func(c *Config) { c.Batch = 0 },
		"optimizer":   func(c *Config) { c.Optimizer = "sdg" },
		"schedule":    func(c *Config) { c.Schedule = "cosinus" },
		"rate":        func(c *Config) { c.Rate = math.NaN() },
		"normalize":   func(c *Config) { c.Normalize = "imagenett" },
		"too large":   func(c *Config) { c.Batch = 100 },
		"temperature": func(c *Config) { c.Temperature = 0 },
		"interval":    func(c *Config) { c.Interval = 0 },
	} {
		cfg := quick(3)
		change(&cfg)
		if _, err := Fit(context.Background(), network(t, small), src, cfg, Options{}); err == nil {
			t.Errorf("%s: the settings were taken", name)
		}
	}
	if _, err := Fit(context.Background(), network(t, "resnet8:input=10,classes=3"), src, quick(3), Options{}); err == nil {
		t.Error("a network of 3 classes was trained on 4")
	}
	if _, err := Fit(context.Background(), network(t, "resnet8:input=16,classes=4,channels=1"), src, quick(3), Options{}); err == nil {
		t.Error("a grey network was trained on colour")
	}
}

func TestLatencyIsMeasured(t *testing.T) {
	src := patches(t, 8)
	d, err := Latency(network(t, small), src.Test, 1, 5, 1)
	if err != nil || d <= 0 {
		t.Errorf("Latency = %v, %v", d, err)
	}
}

func TestNetworksThatDoNotFitTheClassesAreRefused(t *testing.T) {
	src, few := patches(t, 32), network(t, "resnet8:input=10,classes=3,width=0.5")
	ctx := context.Background()
	for _, c := range []struct {
		want string
		run  func() error
	}{
		{"has 3 classes, the data set 4", func() error { // even where no sample of the missing class is among those asked for
			_, err := Evaluate(ctx, few, src, data.Subset(src.Test, 1), quick(1))
			return err
		}},
		{"has 3 classes, the data set 4", func() error {
			_, err := Fit(ctx, few, src, quick(1), Options{})
			return err
		}},
		{"the teacher has 3 outputs, the network 4", func() error {
			_, err := Fit(ctx, network(t, small), src, quick(1), Options{Teacher: few})
			return err
		}},
	} {
		if err := c.run(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
