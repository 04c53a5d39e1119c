package ortcheck_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
)

// TestFoundPositionsAreThoseOfONNXRuntime compares outputs that have as many rows as were found; the engine fills up with −1.
func TestFoundPositionsAreThoseOfONNXRuntime(t *testing.T) {
	for name, node := range map[string]string{
		"corners":   "y = NonMaxSuppression(b, s, most, iou, least)",
		"centers":   "y = NonMaxSuppression(b, s, most, iou, least) {center_point_box=1}",
		"all":       "y = NonMaxSuppression(b, s, many, iou)",
		"threshold": "y = NonMaxSuppression(b, s, many, _, least)",
		"nonzero":   "p = Relu(s)\ny = NonZero(p)",
	} {
		t.Run(name, func(t *testing.T) {
			g, err := ir.Parse(`opset "" 17
				input b float32 (2, 40, 4)
				input s float32 (2, 3, 40)
				weight most int64 (1) = 6
				weight many int64 (1) = 1000
				weight iou float32 (1) = 0.3
				weight least float32 (1) = 0.2
				output y int64 (?, ?)
				` + node)
			if err != nil {
				t.Fatal(err)
			}
			g.IRVersion = 8
			rng := rand.New(rand.NewPCG(1, 9))
			inputs := map[string]*ir.Tensor{"b": {DType: ir.Float32, Shape: []int{2, 40, 4}}, "s": {DType: ir.Float32, Shape: []int{2, 3, 40}}}
			for _, in := range inputs {
				for range in.Len() {
					in.F32 = append(in.F32, rng.Float32()*2-float32(len(in.Shape)-2)*0.5)
				}
			}
			want := ortcheck.Run(t, ortcheck.Write(t, g), inputs)["y"]

			p, err := program.Build(g, program.Config{})
			if err != nil {
				t.Fatal(err)
			}
			params, err := engine.NewParams[float32](g)
			if err != nil {
				t.Fatal(err)
			}
			pool := parallel.New(1)
			defer pool.Close()
			m, err := engine.New(p, params, pool)
			if err != nil {
				t.Fatal(err)
			}
			for name, in := range inputs {
				if err := m.SetInput(name, in.F32); err != nil {
					t.Fatal(err)
				}
			}
			m.Run()
			var got []int64
			for _, v := range m.Output("y") {
				if v >= 0 {
					got = append(got, int64(v))
				}
			}
			if len(got) == 0 || !(&ir.Tensor{DType: ir.Int64, Shape: want.Shape, I64: got}).Equal(want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
