package engine_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/zoo"
)

// steps runs a float32 training program for a few steps of gradient descent and returns every bit of what came out.
func steps(t *testing.T, g *ir.Graph, in map[string]tensor, workers, n int) []float32 {
	t.Helper()
	wrt := trainable(g)
	batch := in[g.Inputs[0].Name].shape[0]
	p, err := program.Build(g, program.Config{Bind: map[string]int{"N": batch}, Training: true, Loss: "loss", Wrt: wrt})
	if err != nil {
		t.Fatal(err)
	}
	params, err := engine.NewParams[float32](g)
	if err != nil {
		t.Fatal(err)
	}
	pool := parallel.New(workers)
	defer pool.Close()
	m, err := engine.New(p, params, pool)
	if err != nil {
		t.Fatal(err)
	}
	setInputs(t, m, in)
	var out []float32
	for k := range n {
		m.SetSeed(uint64(k))
		m.Run()
		out = append(out, m.Output("loss")...)
		out = append(out, m.Output(g.Outputs[0].Name)...)
		for _, name := range wrt {
			w := params.Get(name)
			for i, d := range m.Grad(name) {
				out = append(out, d)
				w[i] -= 0.01 * d
			}
		}
	}
	for _, name := range params.Names() {
		out = append(out, params.Get(name)...)
	}
	return out
}

func sameBits(a, b []float32) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d values and %d", len(a), len(b))
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return fmt.Errorf("value %d is %v and %v", i, a[i], b[i])
		}
	}
	return nil
}

func TestStepsHaveTheSameBitsForAnyNumberOfWorkers(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		g, in := randomClassifier(t, seed, 5)
		want := steps(t, g, in, 1, 2)
		for _, workers := range []int{2, 3, 8} {
			if err := sameBits(steps(t, g, in, workers, 2), want); err != nil {
				t.Fatalf("seed %d: %d workers against one: %v", seed, workers, err)
			}
		}
	}
	// large enough that every loop is really cut
	g, err := zoo.Build("resnet8:width=2")
	if err != nil {
		t.Fatal(err)
	}
	g = withLoss(g)
	rng := rand.New(rand.NewPCG(1, 1))
	x, target := newTensor(16, 3, 32, 32), newTensor(16, 10)
	for i := range x.data {
		x.data[i] = rng.NormFloat64()
	}
	for r := range 16 {
		target.data[r*10+rng.IntN(10)] = 1
	}
	in := map[string]tensor{"input": x, "target": target}
	want := steps(t, g, in, 1, 2)
	for _, workers := range []int{2, 3, 8} {
		if err := sameBits(steps(t, g, in, workers, 2), want); err != nil {
			t.Fatalf("resnet8: %d workers against one: %v", workers, err)
		}
	}
}

func TestStepsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool, which the kernels keep scratch in, forgets at random under the race detector")
	}
	for seed := range uint64(6) {
		g, in := randomClassifier(t, seed, 4)
		wrt := trainable(g)
		m := machine[float32](t, g, program.Config{Bind: map[string]int{"N": 4}, Training: true, Loss: "loss", Wrt: wrt}, 2)
		setInputs(t, m, in)
		m.Run()
		m.Run()
		step := func() {
			m.Run()
			_ = m.Output("loss")
			_ = m.Grad(wrt[0])
		}
		if n := testing.AllocsPerRun(20, step); n > 0 {
			t.Errorf("seed %d: %v allocations a step", seed, n)
		}
	}
}

func TestTrainingAndEvaluationShareWeights(t *testing.T) {
	g, in := randomClassifier(t, 3, 4)
	params, err := engine.NewParams[float32](g)
	if err != nil {
		t.Fatal(err)
	}
	bind := map[string]int{"N": 4}
	wrt := trainable(g)
	train, err := program.Build(g, program.Config{Bind: bind, Training: true, Loss: "loss", Wrt: wrt})
	if err != nil {
		t.Fatal(err)
	}
	eval, err := program.Build(g, program.Config{Bind: bind})
	if err != nil {
		t.Fatal(err)
	}
	a, err := engine.New(train, params, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := engine.New(eval, params, nil)
	if err != nil {
		t.Fatal(err)
	}
	setInputs(t, a, in)
	setInputs(t, b, in)
	logits := g.Outputs[0].Name
	b.Run()
	before := slices.Clone(b.Output(logits))
	for range 3 {
		a.Run()
		for _, name := range wrt {
			w := params.Get(name)
			for i, d := range a.Grad(name) {
				w[i] -= 0.05 * d
			}
		}
	}
	b.Run()
	after := slices.Clone(b.Output(logits))
	if sameBits(before, after) == nil {
		t.Error("training left the evaluation as it was")
	}
	// what is written back and read again computes the same
	out := g.Clone()
	if err := params.WriteTo(out); err != nil {
		t.Fatal(err)
	}
	again := machine[float32](t, out, program.Config{Bind: bind}, 1)
	setInputs(t, again, in)
	again.Run()
	if err := sameBits(again.Output(logits), after); err != nil {
		t.Errorf("after writing the weights back: %v", err)
	}
}

func TestBatchNormMovesItsRunningStatistics(t *testing.T) {
	g, err := ir.Parse(`opset "" 17
		input x float32 (4, 2, 3, 3)
		output y float32 (4, 2, 3, 3)
		weight g float32 (2) = 1 1
		weight b float32 (2) = 0 0
		weight m float32 (2) = 0.5 -1
		weight v float32 (2) = 2 3
		y = BatchNormalization(x, g, b, m, v) {momentum=0.75}`)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	in := feed(g, rng)
	mean, variance := [2]float64{}, [2]float64{}
	x := in["x"]
	each(x.shape, func(at []int) { mean[at[1]] += x.at(at...) / 36 })
	each(x.shape, func(at []int) { variance[at[1]] += math.Pow(x.at(at...)-mean[at[1]], 2) / 35 }) // unbiased
	for _, c := range []struct {
		name             string
		momentum, expect float64
	}{{"the node's momentum", -1, 0.75}, {"a momentum set by the caller", 0.5, 0.5}, {"a plain average, first batch", 0, 0}} {
		params, err := engine.NewParams[float64](g)
		if err != nil {
			t.Fatal(err)
		}
		p, err := program.Build(g, program.Config{Training: true})
		if err != nil {
			t.Fatal(err)
		}
		m, err := engine.New(p, params, nil)
		if err != nil {
			t.Fatal(err)
		}
		setInputs(t, m, in)
		m.SetMomentum(c.momentum)
		m.Run()
		for j := range 2 {
			wantMean := c.expect*[]float64{0.5, -1}[j] + (1-c.expect)*mean[j]
			wantVar := c.expect*[]float64{2, 3}[j] + (1-c.expect)*variance[j]
			if gotMean, gotVar := params.Get("m")[j], params.Get("v")[j]; math.Abs(gotMean-wantMean) > 1e-12 || math.Abs(gotVar-wantVar) > 1e-12 {
				t.Errorf("%s: channel %d has mean %v and variance %v, want %v and %v", c.name, j, gotMean, gotVar, wantMean, wantVar)
			}
		}
	}
}

func TestBatchNormKeepsDigitsOfLargeMeans(t *testing.T) {
	g, err := ir.Parse(`opset "" 17
		input x float32 (64, 3, 16, 16)
		output y float32 (64, 3, 16, 16)
		weight g float32 (3) = 1*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight v float32 (3) = 1*3
		y = BatchNormalization(x, g, b, m, v)`)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(6, 6))
	in := feed(g, rng)
	for i := range in["x"].data {
		in["x"].data[i] = float64(float32(in["x"].data[i] + 1000))
	}
	params, err := engine.NewParams[float32](g)
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Build(g, program.Config{Training: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine.New(p, params, nil)
	if err != nil {
		t.Fatal(err)
	}
	setInputs(t, m, in)
	m.SetMomentum(0)
	m.Run()
	mean, variance := make([]float64, 3), make([]float64, 3)
	x := in["x"]
	count := float64(64 * 16 * 16)
	each(x.shape, func(at []int) { mean[at[1]] += x.at(at...) / count })
	each(x.shape, func(at []int) { variance[at[1]] += math.Pow(x.at(at...)-mean[at[1]], 2) / (count - 1) })
	for j := range 3 {
		if got := float64(params.Get("v")[j]); math.Abs(got-variance[j]) > 1e-4*variance[j] {
			t.Errorf("channel %d: variance %v beside a mean of 1000, want %v", j, got, variance[j])
		}
	}
}

func TestDropoutKeepsTheShareAndItsMaskInTheGradient(t *testing.T) {
	g, err := ir.Parse(`opset "" 17
		input x float32 (100, 100)
		weight r float32 () = 0.3
		d = Dropout(x, r)
		loss = ReduceSum(d) {keepdims=0}`)
	if err != nil {
		t.Fatal(err)
	}
	run := func(seed uint64, training bool, workers int) (d, grad []float64) {
		m := machine[float64](t, g, program.Config{Training: training, Loss: "loss", Wrt: []string{"x"}, Outputs: []string{"d"}}, workers)
		x := newTensor(100, 100)
		for i := range x.data {
			x.data[i] = 1
		}
		setInputs(t, m, map[string]tensor{"x": x})
		m.SetSeed(seed)
		m.Run()
		return slices.Clone(m.Output("d")), slices.Clone(m.Grad("x"))
	}
	d, grad := run(7, true, 1)
	if !slices.Equal(d, grad) {
		t.Error("forward and backward pass drop different elements")
	}
	kept := 0
	for _, v := range d {
		switch {
		case v == 0:
		case math.Abs(v-1/(1-float64(float32(0.3)))) < 1e-12:
			kept++
		default:
			t.Fatalf("an element became %v", v)
		}
	}
	if kept < 6800 || kept > 7200 { // ± 4.4 standard deviations
		t.Errorf("%d of 10000 elements kept at a ratio of 0.3", kept)
	}
	if again, _ := run(7, true, 8); !slices.Equal(again, d) {
		t.Error("the same seed drops other elements on eight workers")
	}
	if other, _ := run(8, true, 1); slices.Equal(other, d) {
		t.Error("another seed drops the same elements")
	}
	if plain, _ := run(7, false, 1); slices.Contains(plain, 0) {
		t.Error("inference drops elements")
	}
}

func TestImagesMayBeGivenChannelsLast(t *testing.T) {
	for _, c := range []struct {
		name, input, turn string
		shape             []int
	}{
		{"a graph with channels first", "(2, 3, 4, 5)", "t = Identity(x)", []int{2, 3, 4, 5}},
		{"a graph with channels last", "(2, 4, 5, 3)", "t = Transpose(x) {perm=[0 3 1 2]}", []int{2, 4, 5, 3}},
		{"channels last behind arithmetic", "(2, 4, 5, 3)", "s = Neg(x)\nt = Transpose(s) {perm=[0 3 1 2]}", []int{2, 4, 5, 3}},
	} {
		g, err := ir.Parse("opset \"\" 17\ninput x float32 " + c.input + "\noutput y float32 (...)\n" +
			"weight w float32 (2, 3, 1, 1) = 1 2 3 4 5 6\n" + c.turn + "\ny = Conv(t, w)")
		if err != nil {
			t.Fatal(err)
		}
		m := machine[float64](t, g, program.Config{}, 1)
		nhwc := make([]float64, 2*4*5*3)
		for i := range nhwc {
			nhwc[i] = float64(i * i % 37)
		}
		if err := m.SetInputNHWC("x", nhwc); err != nil {
			t.Fatal(err)
		}
		m.Run()
		got := slices.Clone(m.Output("y"))
		own := build(c.shape, func(at []int) float64 {
			n, h, w, k := at[0], at[1], at[2], at[3]
			if c.shape[1] == 3 {
				n, k, h, w = at[0], at[1], at[2], at[3]
			}
			return nhwc[((n*4+h)*5+w)*3+k]
		})
		setInputs(t, m, map[string]tensor{"x": own})
		m.Run()
		if !slices.Equal(got, m.Output("y")) {
			t.Errorf("%s: the two orders give different results", c.name)
		}
	}
}

func TestMachineNamesWrongInputs(t *testing.T) {
	g, in := randomClassifier(t, 1, 2)
	m := machine[float64](t, g, program.Config{Bind: map[string]int{"N": 2}}, 1)
	if err := m.SetInput("nothing", nil); err == nil {
		t.Error("an unknown input was accepted")
	}
	if err := m.SetInput(g.Inputs[0].Name, in["target"].data[:1]); err == nil {
		t.Error("a value of the wrong length was accepted")
	}
	if err := m.SetInputNHWC("target", in["target"].data); err == nil {
		t.Error("a matrix was accepted as images")
	}
	if m.Output("nothing") != nil || m.Grad("nothing") != nil {
		t.Error("an unknown name has a value")
	}
	if m.Memory() <= 0 {
		t.Error("a machine without memory")
	}
	other, _ := randomClassifier(t, 2, 2)
	params, err := engine.NewParams[float64](other)
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Build(g, program.Config{Bind: map[string]int{"N": 2}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := engine.New(p, params, nil); err == nil {
		t.Error("parameters of another network were accepted")
	}
	if err := params.Load("nothing", nil); err == nil {
		t.Error("an unknown weight was loaded")
	}
}
