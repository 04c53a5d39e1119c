package ortcheck_test

import (
	"os"
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/zoo"
)

// TestPrunedFilesKeepTheirWeightsBesideThem writes a pruned network whose weights stood in a file beside the model.
func TestPrunedFilesKeepTheirWeightsBesideThem(t *testing.T) {
	g, err := zoo.Build("resnet20")
	if err != nil {
		t.Fatal(err)
	}
	g.External = true
	path := ortcheck.Write(t, g)
	if g, err = onnx.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	small := pruned(t, g, 1)
	path = ortcheck.Write(t, small)
	if _, err := os.Stat(path + ".data"); err != nil {
		t.Error(err)
	}
	inputs := ortcheck.RandomInputs(t, small, 1)
	got, err := ortcheck.Engine(small, inputs)
	if err != nil {
		t.Fatal(err)
	}
	ortcheck.Same(t, got, ortcheck.Run(t, path, inputs), ortcheck.Tolerance)
	checked(t, path)
}

// TestHalfPrecisionStaysAndRuns narrows a network to float16 between its input and its output.
func TestHalfPrecisionStaysAndRuns(t *testing.T) {
	for _, half := range []ir.DType{ir.Float16, ir.BFloat16} {
		t.Run(half.String(), func(t *testing.T) {
			g, err := zoo.Build("resnet20")
			if err != nil {
				t.Fatal(err)
			}
			for name, w := range g.Weights {
				if w.DType == ir.Float32 {
					v := w.F32
					narrow := &ir.Tensor{DType: half, Shape: w.Shape}
					narrow.SetFloats(v)
					g.Weights[name] = narrow
				}
			}
			in, out := g.Inputs[0].Name, g.Outputs[0].Name
			for _, n := range g.Nodes {
				for i, v := range n.Inputs {
					if v == in {
						n.Inputs[i] = "narrow"
					}
				}
				for i, v := range n.Outputs {
					if v == out {
						n.Outputs[i] = "last"
					}
				}
			}
			cast := func(from, to string, d ir.DType) *ir.Node {
				return &ir.Node{Op: "Cast", Inputs: []string{from}, Outputs: []string{to}, Attrs: ir.Attrs{"to": ir.IntAttr(int64(d))}}
			}
			g.Nodes = append(append([]*ir.Node{cast(in, "narrow", half)}, g.Nodes...), cast("last", out, ir.Float32))
			g.Info = nil
			small := pruned(t, g, 3)
			for name, w := range small.Weights {
				if w.DType == ir.Float32 {
					t.Errorf("weight %q became float32", name)
				}
			}
			inputs := ortcheck.RandomInputs(t, small, 1)
			got, err := ortcheck.Engine(small, inputs)
			if err != nil {
				t.Fatal(err)
			}
			if half == ir.BFloat16 {
				return // ONNX Runtime has no kernels for it on processors
			}
			// Between operators ONNX Runtime rounds to eleven bits, the engine does not.
			ortcheck.Same(t, got, ortcheck.Run(t, ortcheck.Write(t, small), inputs), 1e-3)
		})
	}
}
