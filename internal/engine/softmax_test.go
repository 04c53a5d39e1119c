package engine_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/program"
)

// TestLogitsMayBeLarge adds a constant to every logit, which must not change one bit of any loss, probability or gradient, even where
// the logarithm of the sum is far below the last digit of a logit.
func TestLogitsMayBeLarge(t *testing.T) {
	const huge = 1 << 63
	base := []float64{0, 0, -1 << 45, 0, -1 << 45, 0, 0, 0, 0, 0, 0, 0}
	for _, c := range []operatorCase{
		{name: "softmax", graph: "input x float32 (3, 4)\ny = Softmax(x)"},
		{name: "softmax over rows", graph: "input x float32 (3, 4)\ny = Softmax(x) {axis=0}"},
		{name: "log-softmax", graph: "input x float32 (3, 4)\ny = LogSoftmax(x)"},
		{name: "cross-entropy", graph: "input x float32 (3, 4)\ninput target float32 (3, 4)\ny = CrossEntropy@dms(x, target)"},
		{name: "distillation", graph: "input x float32 (3, 4)\ninput target float32 (3, 4)\ny = DIST@dms(x, target) {temperature=3.0}"},
		{name: "softened cross-entropy", graph: "input x float32 (3, 4)\ninput target float32 (3, 4)\ny = CrossEntropy@dms(x, target) {temperature=3.0}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 1))
			g := operatorGraph(t, c, rng)
			weigh(t, g, rng)
			p, err := program.Build(g, program.Config{Loss: "loss", Wrt: []string{"x"}})
			if err != nil {
				t.Fatal(err)
			}
			params, err := engine.NewParams[float32](g)
			if err != nil {
				t.Fatal(err)
			}
			m, err := engine.New(p, params, nil)
			if err != nil {
				t.Fatal(err)
			}
			in := feed(g, rng)
			for i, v := range base {
				if target, ok := in["target"]; ok && v < 0 {
					target.data[i] = 0 // else it alone would be the loss
				}
			}
			run := func(shift float64) []float32 {
				for i, v := range base {
					in["x"].data[i] = v + shift
				}
				setInputs(t, m, in)
				m.Run()
				return slices.Concat(m.Output("y"), m.Grad("x"))
			}
			want := run(0)
			if err := sameBits(run(huge), want); err != nil {
				t.Errorf("logits moved by %g: %v", float64(huge), err)
			}
		})
	}
}
