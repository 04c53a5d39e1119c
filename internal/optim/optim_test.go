package optim

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/parallel"
)

// TestTwoStepsByHand follows one weight, w = 1, through gradients 0.5 and −0.2 at rate 0.1 with decay 0.1 and momentum 0.9. For sgd:
// d = 0.5+0.1 = 0.6, v = 0.6, w = 1 − 0.1·(0.6+0.54) = 0.886; then d = −0.2+0.0886 = −0.1114, v = 0.54−0.1114 = 0.4286 and
// w = 0.886 − 0.1·(−0.1114+0.38574) = 0.858566. The others the same way from the formulas of their sources.
func TestTwoStepsByHand(t *testing.T) {
	for _, tc := range []struct {
		name  string
		c     Config
		decay float64
		want  [2]float64
	}{
		{"sgd", Config{Momentum: 0.9}, 0.1, [2]float64{0.886, 0.858566}},
		{"sgd", Config{}, 0.1, [2]float64{0.94, 0.9506}},
		{"sgd", Config{Momentum: 0.9}, 0, [2]float64{0.905, 0.9025}},
		{"adam", Config{}, 0, [2]float64{0.9, 0.8654394161}},
		{"adam", Config{}, 0.1, [2]float64{0.9, 0.8475190631}},
		{"adamw", Config{}, 0.1, [2]float64{0.89, 0.8465394161}},
		{"rmsprop", Config{Momentum: 0.9}, 0.1, [2]float64{0.9380157351, 0.8937859917}},
	} {
		w, g := []float32{1}, []float32{0.5}
		o, err := New(tc.name, tc.c, []Param{{"w", w, g, tc.decay}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, next := range []float32{0.5, -0.2} {
			g[0] = next
			o.Step(0.1)
			if got := float64(w[0]); math.Abs(got-tc.want[i]) > 2e-7 {
				t.Errorf("%s, decay %v, step %d: w = %v, want %v", tc.name, tc.decay, i+1, got, tc.want[i])
			}
		}
	}
}

// TestRulesEqualTheirFormulas follows random weights for many steps beside each source's formula in float64.
func TestRulesEqualTheirFormulas(t *testing.T) {
	type state struct{ w, a, b float64 }
	formulas := map[string]func(s *state, g, rate, decay, step float64){
		"sgd": func(s *state, g, rate, decay, _ float64) {
			g += decay * s.w
			s.a = 0.8*s.a + g
			s.w -= rate * (g + 0.8*s.a)
		},
		"adam": func(s *state, g, rate, decay, step float64) {
			g += decay * s.w
			s.a = 0.9*s.a + 0.1*g
			s.b = 0.99*s.b + 0.01*g*g
			s.w -= rate * s.a / (1 - math.Pow(0.9, step)) / (math.Sqrt(s.b/(1-math.Pow(0.99, step))) + 1e-8)
		},
		"adamw": func(s *state, g, rate, decay, step float64) {
			s.w *= 1 - rate*decay
			s.a = 0.9*s.a + 0.1*g
			s.b = 0.99*s.b + 0.01*g*g
			s.w -= rate * s.a / (1 - math.Pow(0.9, step)) / (math.Sqrt(s.b/(1-math.Pow(0.99, step))) + 1e-8)
		},
		"rmsprop": func(s *state, g, rate, decay, step float64) {
			if step == 1 {
				s.b = 1
			}
			g += decay * s.w
			s.b = 0.9*s.b + 0.1*g*g
			s.a = 0.8*s.a + rate*g/math.Sqrt(s.b+1e-3)
			s.w -= s.a
		},
	}
	if len(formulas) != len(rules) {
		t.Fatalf("%d formulas for %d rules", len(formulas), len(rules))
	}
	const seed, n, steps = 11, 37, 60
	for name, formula := range formulas {
		rng := rand.New(rand.NewPCG(seed, 0))
		params := randomParams(rng, n)
		params[1].WeightDecay = 0.05
		want := make([][]state, len(params))
		for i, p := range params {
			for _, v := range p.Value {
				want[i] = append(want[i], state{w: float64(v)})
			}
		}
		o, err := New(name, Config{Momentum: 0.8, Beta2: 0.99}, params, nil)
		if err != nil {
			t.Fatal(err)
		}
		rate := Cosine(0.05, 0, steps)
		for step := range steps {
			randomGradients(rng, params)
			o.Step(rate(step))
			for i, p := range params {
				for j := range p.Value {
					formula(&want[i][j], float64(p.Grad[j]), rate(step), p.WeightDecay, float64(step+1))
				}
			}
		}
		for i, p := range params {
			for j, got := range p.Value {
				if w := want[i][j].w; math.Abs(float64(got)-w) > 3e-6*max(1, math.Abs(w)) {
					t.Fatalf("%s, seed %d: weight %s[%d] = %v, formula %v", name, seed, p.Name, j, got, w)
				}
			}
		}
	}
}

// TestResumeGivesTheSameBits: state and weights copied into fresh buffers after k steps lead to the same weights.
func TestResumeGivesTheSameBits(t *testing.T) {
	const seed, n, steps = 13, 40_000, 9
	for name := range rules {
		run := func(interrupt int, pool *parallel.Pool) []Param {
			params := randomParams(rand.New(rand.NewPCG(seed, 0)), n)
			o, err := New(name, Config{Momentum: 0.9}, params, pool)
			if err != nil {
				t.Fatal(err)
			}
			average := NewEMA(0.9, values(params))
			for step := range steps {
				if step == interrupt {
					state, ema := o.State(), average.State()
					fresh := make([]Param, len(params))
					for i, p := range params {
						fresh[i] = Param{p.Name, slices.Clone(p.Value), make([]float32, n), p.WeightDecay}
					}
					params = fresh
					if o, err = New(name, Config{Momentum: 0.9}, params, pool); err != nil {
						t.Fatal(err)
					}
					average = NewEMA(0.9, values(params))
					restore(t, o.State(), state)
					restore(t, average.State(), ema)
				}
				randomGradients(rand.New(rand.NewPCG(seed, uint64(step))), params)
				ClipNorm(params, 50)
				o.Step(0.01)
				average.Update(values(params))
			}
			average.CopyTo(values(params))
			return params
		}
		want := run(-1, nil)
		pool := parallel.New(3)
		for what, got := range map[string][]Param{"resumed": run(4, nil), "on three workers": run(-1, pool)} {
			for i := range want {
				if !slices.Equal(got[i].Value, want[i].Value) {
					t.Errorf("%s, seed %d: %s, weight %s differs", name, seed, what, want[i].Name)
				}
			}
		}
		pool.Close()
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	params := randomParams(rand.New(rand.NewPCG(1, 0)), 100)
	o, err := New("adamw", Config{}, params, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() { o.Step(1e-3) }); n > 0 {
		t.Errorf("%v allocations per step", n)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	one := []float32{1}
	for _, tc := range []struct {
		name   string
		c      Config
		params []Param
		want   string
	}{
		{"adan", Config{}, nil, `unknown optimizer "adan"; known are adam, adamw, rmsprop, sgd`},
		{"sgd", Config{Momentum: 1}, nil, "momentum is 1"},
		{"adam", Config{Beta2: math.NaN()}, nil, "beta2 is NaN"},
		{"sgd", Config{}, []Param{{"w", one, nil, 0}}, `weight "w" has 1 values and 0 gradients`},
		{"sgd", Config{}, []Param{{"w", one, one, 0}, {"w", one, one, 0}}, "listed twice"},
	} {
		if _, err := New(tc.name, tc.c, tc.params, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v does not say %q", err, tc.want)
		}
	}
}

func TestClipNormScalesAllTogether(t *testing.T) {
	params := []Param{{Grad: []float32{3, 0, 0, 0, 0}}, {Grad: []float32{-4}}}
	if norm := ClipNorm(params, 5); norm != 5 || params[0].Grad[0] != 3 {
		t.Errorf("norm %v, gradient %v: a norm at the limit was scaled", norm, params[0].Grad[0])
	}
	if norm := ClipNorm(params, 2.5); norm != 5 || params[0].Grad[0] != 1.5 || params[1].Grad[0] != -2 {
		t.Errorf("norm %v, gradients %v and %v, want 5, 1.5 and −2", norm, params[0].Grad[0], params[1].Grad[0])
	}
	params[1].Grad[0] = float32(math.Inf(1))
	if norm := ClipNorm(params, 1); !math.IsInf(norm, 1) || params[0].Grad[0] != 1.5 {
		t.Errorf("norm %v, gradient %v: an infinite norm must leave gradients alone", norm, params[0].Grad[0])
	}
}

func TestEMAFollowsTheRisingDecay(t *testing.T) {
	w := map[string][]float32{"w": {0}}
	e := NewEMA(0.5, w)
	want := 0.0
	for i, decay := range []float64{0.1, 2.0 / 11, 3.0 / 12, 4.0 / 13, 5.0 / 14, 6.0 / 15, 7.0 / 16, 8.0 / 17, 0.5, 0.5} {
		w["w"][0] = float32(i + 1)
		want = decay*want + (1-decay)*float64(i+1)
		e.Update(w)
		if got := float64(e.State()["w"][0]); math.Abs(got-want) > 1e-5 {
			t.Errorf("update %d: average %v, want %v", i, got, want)
		}
	}
	e.CopyTo(w)
	if w["w"][0] != e.State()["w"][0] {
		t.Errorf("CopyTo wrote %v", w["w"][0])
	}
}

func values(params []Param) map[string][]float32 {
	out := map[string][]float32{}
	for _, p := range params {
		out[p.Name] = p.Value
	}
	return out
}

func restore(t *testing.T, to, from map[string][]float32) {
	t.Helper()
	if len(to) != len(from) {
		t.Fatalf("state has %d tensors, want %d", len(to), len(from))
	}
	for name, v := range to {
		if copy(v, from[name]) != len(v) {
			t.Fatalf("state %q has %d values, want %d", name, len(from[name]), len(v))
		}
	}
}

func randomParams(rng *rand.Rand, n int) []Param {
	params := []Param{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for i := range params {
		params[i].Value, params[i].Grad = make([]float32, n), make([]float32, n)
		for j := range params[i].Value {
			params[i].Value[j] = float32(rng.NormFloat64())
		}
	}
	params[2].WeightDecay = 0.01
	return params
}

func randomGradients(rng *rand.Rand, params []Param) {
	for _, p := range params {
		for j := range p.Grad {
			p.Grad[j] = float32(rng.NormFloat64())
		}
	}
}
