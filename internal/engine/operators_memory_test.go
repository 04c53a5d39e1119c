package engine_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
)

// TestOperatorsRunWithoutAllocating: a step takes no memory, whatever it computes.
func TestOperatorsRunWithoutAllocating(t *testing.T) {
	pool := parallel.New(1)
	defer pool.Close()
	for k, c := range allCases() {
		rng := rand.New(rand.NewPCG(uint64(k), 7))
		g := operatorGraph(t, c, rng)
		cfg := program.Config{Training: c.training}
		if !c.forward {
			cfg.Wrt = differentiable(g)
			weigh(t, g, rng)
			cfg.Loss = "loss"
		}
		p, err := program.Build(g, cfg)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		params, err := engine.NewParams[float32](g)
		if err != nil {
			t.Fatal(err)
		}
		m, err := engine.New(p, params, pool)
		if err != nil {
			t.Fatal(err)
		}
		setInputs(t, m, feed(g, rng))
		if n := testing.AllocsPerRun(5, m.Run); n > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations a step", c.name, n)
		}
	}
}

// TestOperatorsHaveTheSameBitsForAnyNumberOfWorkers takes operands large enough to be shared out.
func TestOperatorsHaveTheSameBitsForAnyNumberOfWorkers(t *testing.T) {
	c := operatorCase{name: "large", graph: `
		opset "" 21
		input x float32 (40, 30, 150)
		input v float32 (4, 12, 40, 36)
		input i50 int64 (60, 70)
		input u float32 (60, 70, 130)
		weight g float32 (150) = 0*150
		weight b float32 (150) = 0*150
		weight g2 float32 (12) = 0*12
		weight b2 float32 (12) = 0*12
		weight e float32 (50, 130) = 0*6500
		weight k int64 (1) = 7
		weight one int64 () = 1
		weight down float32 (4) = 1 1 0.6 0.4
		weight zero float32 () = 0
		y0 = LayerNormalization(x, g, b)
		y1 = GroupNormalization(v, g2, b2) {num_groups=3}
		y2 = Gather(e, i50)
		y3, p3 = TopK(x, k)
		y4 = CumSum(x, one)
		y5 = Resize(v, _, down) {mode="cubic", antialias=1}
		c = Greater(v, zero)
		y6 = Where(c, v, zero)
		weight ax int64 (1) = 1
		y7 = ReduceMax(x, ax)
		y8 = ReduceLogSumExp(v, ax)
		y9 = DepthToSpace(v) {blocksize=2}
		y10 = Mul(u, y2)`}
	var first []float32
	for _, workers := range []int{1, 2, 5} {
		rng := rand.New(rand.NewPCG(1, 7))
		g := operatorGraph(t, c, rng)
		wrt := differentiable(g)
		weigh(t, g, rng)
		p, err := program.Build(g, program.Config{Loss: "loss", Wrt: wrt})
		if err != nil {
			t.Fatal(err)
		}
		params, err := engine.NewParams[float32](g)
		if err != nil {
			t.Fatal(err)
		}
		pool := parallel.New(workers)
		m, err := engine.New(p, params, pool)
		if err != nil {
			t.Fatal(err)
		}
		setInputs(t, m, feed(g, rng))
		m.Run()
		var all []float32
		for _, o := range g.Outputs {
			all = append(all, m.Output(o.Name)...)
		}
		for _, name := range wrt {
			all = append(all, m.Grad(name)...)
		}
		pool.Close()
		if first == nil {
			first = all
		}
		for i, v := range all {
			if math.Float32bits(v) != math.Float32bits(first[i]) {
				t.Fatalf("%d workers: number %d is %v, with one worker %v", workers, i, v, first[i])
			}
		}
	}
}
