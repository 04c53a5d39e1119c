package ortcheck_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/ir"
)

// TestResizeComputesWhatONNXRuntimeDoes resizes one image in every way that the engine knows, up and down, by scales whose rounding
// decides which neighbour is nearest.
func TestResizeComputesWhatONNXRuntimeDoes(t *testing.T) {
	for _, opset := range []int64{10, 11, 13, 18} {
		t.Run(fmt.Sprint("operator set ", opset), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(opset), 8))
			g := &ir.Graph{
				IRVersion: 8, Opsets: []ir.Opset{{Version: opset}}, Weights: map[string]*ir.Tensor{"none": ir.Floats32(nil, 0)},
				Inputs: []ir.ValueInfo{{Name: "x", DType: ir.Float32, Shape: ir.Fixed(2, 3, 10, 7)}},
			}
			add := func(attrs ir.Attrs, inputs ...string) {
				name := fmt.Sprint("y", len(g.Nodes))
				g.Nodes = append(g.Nodes, &ir.Node{Op: "Resize", Inputs: inputs, Outputs: []string{name}, Attrs: attrs})
				g.Outputs = append(g.Outputs, ir.ValueInfo{Name: name, DType: ir.Float32, Shape: ir.Shape{{Sym: "?"}, {Sym: "?"}, {Sym: "?"}, {Sym: "?"}}})
			}
			constant := func(t *ir.Tensor) string {
				name := fmt.Sprint("c", len(g.Weights))
				g.Weights[name] = t
				return name
			}
			scale := func() float32 { return []float32{0.3, 0.5, 0.7, 1, 1.4, 2, 2.4, 3, 3.3}[rng.IntN(9)] }
			sizes := func() string { return constant(ir.Vector64(2, 3, 1+rng.Int64N(30), 1+rng.Int64N(20))) }
			scales := func() string { return constant(ir.Floats32([]float32{1, 1, scale(), scale()}, 4)) }
			if opset == 10 {
				for range 12 {
					add(nil, "x", scales())
					add(ir.Attrs{"mode": ir.StringAttr("linear")}, "x", scales())
				}
			}
			roi := "none"
			if opset >= 13 {
				roi = ""
			}
			for _, where := range []string{"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"} {
				if opset == 10 {
					break
				}
				attrs := func(mode, nearest string) ir.Attrs {
					a := ir.Attrs{"coordinate_transformation_mode": ir.StringAttr(where), "mode": ir.StringAttr(mode)}
					if nearest != "" {
						a["nearest_mode"] = ir.StringAttr(nearest)
					}
					return a
				}
				for range 4 {
					for _, nearest := range []string{"", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"} {
						add(attrs("nearest", nearest), "x", roi, scales())
						add(attrs("nearest", nearest), "x", roi, roi, sizes())
					}
					add(attrs("linear", ""), "x", roi, scales())
					add(attrs("linear", ""), "x", roi, roi, sizes())
				}
				if opset >= 18 {
					listed := attrs("linear", "")
					listed["axes"] = ir.IntsAttr(3, 2)
					add(listed, "x", "", "", constant(ir.Vector64(1+rng.Int64N(20), 1+rng.Int64N(30))))
				}
			}
			ortcheck.Compare(t, g, uint64(opset))
		})
	}
}
