package search

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

func TestEveryMethodMeetsTheBudgetAndIsTheSameTwice(t *testing.T) {
	src := stripes(t, 96)
	for _, m := range Methods() {
		t.Run(m.Name, func(t *testing.T) {
			cfg := quick(PMinus, 20, "macs=50%")
			cfg.Method, cfg.Structures = m.Name, 10
			if m.sparse {
				cfg.Pipeline = P
			}
			var first *Result
			for range 2 {
				r, err := Run(context.Background(), network(t), src, cfg, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if 2*r.After.MACs > r.Before.MACs || 2*r.After.MACs < r.Before.MACs*9/10 {
					t.Errorf("%d of %d MACs", r.After.MACs, r.Before.MACs)
				}
				if first == nil {
					first = r
					continue
				}
				if err := ir.EqualGraphs(first.Graph, r.Graph); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestSampledMethodsResumeWithTheSameDraws(t *testing.T) {
	for _, method := range []string{"get", "mes", "sns"} {
		cfg := quick(PMinus, 25, "macs=60%")
		cfg.Method = method
		var whole, rest journal
		r, err := Run(context.Background(), network(t), stripes(t, 64), cfg, Options{Journal: &whole})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Run(context.Background(), network(t), stripes(t, 64), cfg, Options{Journal: &rest, Resume: whole.saved[0]})
		if err != nil {
			t.Fatal(err)
		}
		if err := ir.EqualGraphs(r.Graph, again.Graph); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// The soft masks of a learner, differentiated by central differences, against pull. What is hard has its gradient by definition: that of get is that the
// masks' sum falls by n for each unit of the ratio.
func TestPullIsTheDerivativeOfTheSoftMasks(t *testing.T) {
	for name, l := range map[string]learner{"dms": softTopK{}, "mes": elementLogits{}, "sns": countLogits{}} {
		for _, n := range []int{1, 2, 7, 16} {
			cfg := Default(PMinus)
			cfg.Temperature, cfg.Logit, cfg.Start = 0.7, 0.5, 0.3
			rng := rand.New(rand.NewPCG(uint64(n), 3))
			make := func(theta []float64) *group {
				g := &group{l: 1, theta: theta, c: make([]float64, n), rank: make([]float64, n), m: make([]float64, n), dm: make([]float64, n), keep: make([]float64, n)}
				for e := range g.c {
					g.c[e] = float64((e*5)%n) + 1
				}
				l.refresh(g, &cfg, rand.New(rand.NewPCG(1, 2)))
				return g
			}
			d := ones(n)
			for e := range d {
				d[e] = rng.NormFloat64()
			}
			theta := l.start(n, &cfg)
			for k := range theta {
				theta[k] += 0.1 * rng.NormFloat64()
			}
			got := ones(len(theta))
			clear(got)
			l.pull(got, make(theta), &cfg, d)
			for k := range theta {
				var side [2]float64
				for i, h := range []float64{-1e-5, 1e-5} {
					moved := slices.Clone(theta)
					moved[k] += h
					for e, m := range make(moved).m {
						side[i] += d[e] * m
					}
				}
				if want := (side[1] - side[0]) / 2e-5; math.Abs(want-got[k]) > 1e-6*(1+math.Abs(want)) {
					t.Errorf("%s, n = %d: derivative by parameter %d is %v, want %v", name, n, k, got[k], want)
				}
			}
		}
	}
}

func TestWeightScoresAreMeansOverWhatAnElementTakesPartIn(t *testing.T) {
	g, err := ir.Parse(`opset "" 17
		input x float32 (N, 1, 4, 4)
		weight w float32 (2, 1, 1, 1) = 1 -3
		weight v float32 (1, 2, 1, 1) = 5 7
		output y float32 (N, 1, 4, 4)
		h = Conv(x, w)
		y = Conv(h, v)`)
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Groups) != 1 {
		t.Fatalf("%d groups", len(s.Groups))
	}
	groups := []group{{c: make([]float64, 2)}}
	scored{g, s, groups, 1}.l1()
	// Means of the absolute weights: (1+5)/2 = 3 and (3+7)/2 = 5; over their mean.
	if c := groups[0].c; c[0] != 0.75 || c[1] != 1.25 {
		t.Errorf("l1 %v", c)
	}
	scored{g, s, groups, 1}.l2()
	if c := groups[0].c; math.Abs(c[0]-13/21.) > 1e-15 || math.Abs(c[1]-29/21.) > 1e-15 {
		t.Errorf("l2 %v", c)
	}
}

func TestGlobalRankingKeepsTheBestOfAllGroups(t *testing.T) {
	g := network(t)
	s, err := space.Find(g, space.Options{NoDepth: true})
	if err != nil {
		t.Fatal(err)
	}
	model, err := cost.NewModel(g, s)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := resolve([]Budget{{Metric: cost.MACs, Share: 0.5}}, model.Full(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Default(PMinus)
	cfg.Method = "magnitude"
	st := newStructure(s, model, targets, phase{end: 1}, cfg)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range st.groups {
		for e := range st.groups[i].c {
			st.groups[i].c[e] = rng.Float64()
		}
	}
	sel, err := st.solve(s)
	if err != nil {
		t.Fatal(err)
	}
	// But for the last one of each group and what fills the budget up, nothing that stays is worse than what goes.
	worst, best := 1.0, 0.0
	for i, group := range s.Groups {
		kept := sel.Keep[group.Name]
		for e, c := range st.groups[i].c {
			if slices.Contains(kept, e) {
				if len(kept) > 1 {
					worst = min(worst, c)
				}
			} else {
				best = max(best, c)
			}
		}
	}
	if best > worst+0.1 {
		t.Errorf("importance %v goes while %v stays", best, worst)
	}
}

func TestSlimmingPullsScalesToZero(t *testing.T) {
	sum := func(sparsity float64) (s float64) {
		cfg := quick(P, 20, "macs=50%")
		cfg.Method, cfg.Sparsity = "slimming", sparsity
		r, err := Run(context.Background(), network(t), stripes(t, 96), cfg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range scales(r.Masked) {
			for _, v := range r.Masked.Weights[name].F32 {
				s += math.Abs(float64(v))
			}
		}
		return s
	}
	if with, without := sum(0.5), sum(0); with > 0.9*without {
		t.Errorf("the scales add up to %.3f, without a pull to %.3f", with, without)
	}
	cfg := quick(PMinus, 20, "macs=50%")
	cfg.Method = "slimming"
	if _, err := Run(context.Background(), network(t), stripes(t, 96), cfg, Options{}); err == nil {
		t.Error("slimming of frozen weights ran")
	}
}

func TestEvolutionFindsBetterScoresThanItsFirstStructure(t *testing.T) {
	src, g := stripes(t, 96), network(t)
	// Half of the parameters: for multiply-accumulates, of which the layers here have about equal shares, the uniform structure is the best one.
	cfg := quick(NP, 20, "params=50%")
	cfg.Method = "zico"
	score := func(structures int) float64 {
		cfg.Structures = structures
		r, err := Run(context.Background(), g, src, cfg, Options{Space: space.Options{NoDepth: true}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := zico(context.Background(), r.Graph, src, cfg.Train)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first, best := score(1), score(60)
	if best <= first {
		t.Errorf("60 structures reach %.4f, the first alone %.4f", best, first)
	}
	cfg.Budgets = nil
	whole, err := zico(context.Background(), g, src, cfg.Train)
	if err != nil {
		t.Fatal(err)
	}
	if whole <= first {
		t.Errorf("the whole network scores %.4f, half of it %.4f; more should be better", whole, first)
	}
}
