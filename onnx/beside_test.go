package onnx

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dms-go/dms/ir"
)

func TestWriteFileKeepsWeightsBesideTheModel(t *testing.T) {
	large := make([]float32, 3000)
	for i := range large {
		large[i] = float32(i)
	}
	g := &ir.Graph{
		Name: "g", IRVersion: 8, Opsets: []ir.Opset{{Version: 17}}, External: true, Info: map[string]ir.ValueInfo{},
		Inputs: []ir.ValueInfo{{Name: "x", DType: ir.Float32, Shape: ir.Fixed(3000)}}, Outputs: []ir.ValueInfo{{Name: "y", DType: ir.Float32}},
		Weights: map[string]*ir.Tensor{
			"a": ir.Floats32(large, 3000), "b": ir.Floats32([]float32{1}, 1), "c": {DType: ir.Float16, Shape: []int{3000}, Raw: make([]byte, 6000)},
			"d": ir.Floats32(large[1000:], 2000),
		},
	}
	last := "x"
	for _, w := range []string{"a", "b", "d"} {
		g.Nodes = append(g.Nodes, &ir.Node{Op: "Concat", Inputs: []string{last, w}, Outputs: []string{last + w}, Attrs: ir.Attrs{"axis": ir.IntAttr(0)}})
		last += w
	}
	g.Nodes = append(g.Nodes, &ir.Node{Op: "Identity", Inputs: []string{last}, Outputs: []string{"y"}}, &ir.Node{Op: "Identity", Inputs: []string{"c"}, Outputs: []string{"z"}})
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := WriteFile(path, g); err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(path)
	if err != nil || len(model) > 2000 {
		t.Errorf("the model has %d bytes (%v); the weights stand in it", len(model), err)
	}
	data, err := os.Stat(path + ".data")
	if want := int64(3*besideAlign + 2*besideAlign + 8000); err != nil || data.Size() != want {
		t.Errorf("the file beside it: %v (%v), want %d bytes", data, err, want)
	}
	back, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.EqualGraphs(g, back); err != nil {
		t.Error(err)
	}
	if !back.External {
		t.Error("the graph does not know that its weights stood beside the model")
	}
	back.External = false
	if err := WriteFile(path, back); err != nil {
		t.Fatal(err)
	}
	if again, err := ReadFile(path); err != nil || again.External {
		t.Errorf("written as one file: external %v, %v", again != nil && again.External, err)
	}
}
