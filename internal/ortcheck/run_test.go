package ortcheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

// copies is a graph that hands every input on.
func copies(types ...ir.DType) *ir.Graph {
	g := &ir.Graph{Name: "copies", IRVersion: 8, Opsets: []ir.Opset{{Version: 17}}}
	for _, dtype := range types {
		in, out := dtype.String(), dtype.String()+"'"
		g.Inputs = append(g.Inputs, ir.ValueInfo{Name: in, DType: dtype, Shape: ir.Fixed(2, 1)})
		g.Outputs = append(g.Outputs, ir.ValueInfo{Name: out, DType: dtype, Shape: ir.Fixed(2, 1)})
		g.Nodes = append(g.Nodes, &ir.Node{Op: "Identity", Inputs: []string{in}, Outputs: []string{out}})
	}
	return g
}

func TestRunHandsOnEveryType(t *testing.T) {
	var all []ir.DType
	inputs := map[string]*ir.Tensor{}
	for dtype := range types {
		all = append(all, dtype)
		in := &ir.Tensor{DType: dtype, Shape: []int{2, 1}}
		switch dtype {
		case ir.Float32:
			in.F32 = []float32{1.5, -2}
		case ir.Int64:
			in.I64 = []int64{-1 << 60, 7}
		default:
			in.Raw = make([]byte, 2*dtype.Size())
			for i := range in.Raw {
				in.Raw[i] = byte(i % 2)
			}
		}
		inputs[dtype.String()] = in
	}
	out := Run(t, Write(t, copies(all...)), inputs)
	for name, in := range inputs {
		if got := out[name+"'"]; !got.Equal(in) {
			t.Errorf("%s: got %+v, want %+v", name, got, in)
		}
	}
}

func TestRunReportsWhatONNXRuntimeSays(t *testing.T) {
	modules := installed(t)
	broken := filepath.Join(t.TempDir(), "broken.onnx")
	if err := os.WriteFile(broken, []byte("no model"), 0o666); err != nil {
		t.Fatal(err)
	}
	one := map[string]*ir.Tensor{"float32": ir.Floats32([]float32{1, 2}, 2, 1)}
	for _, c := range []struct {
		what, model string
		inputs      map[string]*ir.Tensor
		want        string
	}{
		{"no file", "no.onnx", one, "no.onnx"},
		{"no model", broken, one, "broken.onnx"},
		{"no input", Write(t, copies(ir.Float32)), nil, "float32"},
		{"another shape", Write(t, copies(ir.Float32)), map[string]*ir.Tensor{"float32": ir.Floats32([]float32{1, 2}, 1, 2)}, "float32"},
		{"a type that cannot be fed", Write(t, copies(ir.Float32)), map[string]*ir.Tensor{"float32": {DType: ir.String, Shape: []int{}, Strs: []string{""}}}, "cannot be fed"},
	} {
		out, err := run(t.TempDir(), modules, c.model, c.inputs)
		if err == nil || out != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v and %v, want an error with %q", c.what, out, err, c.want)
		}
	}
}

func TestRunSkipsWhereThereIsNoONNXRuntime(t *testing.T) {
	for what, set := range map[string]func(t *testing.T){
		"no package": func(t *testing.T) { t.Setenv("DMS_ORT", t.TempDir()) },
		"no node":    func(t *testing.T) { t.Setenv("PATH", t.TempDir()) },
	} {
		t.Run(what, func(t *testing.T) {
			set(t)
			installed(t)
			t.Error("did not skip")
		})
	}
}
