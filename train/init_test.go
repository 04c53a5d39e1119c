package train

import (
	"slices"
	"testing"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/zoo"
)

func TestTrainingKnowsBothNamesOfTheDomain(t *testing.T) {
	plain, err := zoo.Build("resnet8:width=0.25")
	if err != nil {
		t.Fatal(err)
	}
	stated := plain.Clone()
	for _, n := range stated.Nodes {
		n.Domain = "ai.onnx"
	}
	if got, want := Trainable(stated), Trainable(plain); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("trainable %q, want %q", got, want)
	}
	if got, want := hasBatchNorm(stated), hasBatchNorm(plain); got != want {
		t.Errorf("batch norm: %v, want %v", got, want)
	}
	fresh := Reinit(plain, 1)
	for name, w := range Reinit(stated, 1).Weights {
		if !slices.Equal(w.F32, fresh.Weights[name].F32) {
			t.Errorf("weight %q starts from other values", name)
		}
	}
	for _, domain := range []string{"", "ai.onnx"} {
		g := &ir.Graph{Outputs: []ir.ValueInfo{{Name: "p"}}, Nodes: []*ir.Node{{Op: "Softmax", Domain: domain, Inputs: []string{"z"}, Outputs: []string{"p"}}}}
		if got, err := Logits(g); err != nil || got != "z" {
			t.Errorf("domain %q: logits %q, %v", domain, got, err)
		}
	}
}
