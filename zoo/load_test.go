package zoo_test

import (
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/zoo"
)

func TestLoadWeightsListsEveryFault(t *testing.T) {
	g := build(t, "resnet8")
	before := g.Clone()
	tensors := map[string]*ir.Tensor{"bn1.num_batches_tracked": ir.Ints64([]int64{3})}
	for name, w := range build(t, "resnet8:seed=9").Weights {
		if w.DType == ir.Float32 {
			tensors[name] = w
		}
	}
	if err := zoo.LoadWeights(g.Clone(), tensors); err != nil {
		t.Fatalf("a whole state_dict: %v", err)
	}
	delete(tensors, "conv1.weight")
	tensors["linear.bias"] = ir.Floats32(make([]float32, 11), 11)
	tensors["bn1.bias"] = ir.Ints64(make([]int64, 16), 16)
	tensors["module.conv1.weight"] = ir.Floats32(nil, 0)
	err := zoo.LoadWeights(g, tensors)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"4 faults", `"conv1.weight" is missing`, `"linear.bias" has shape [11] where the network has [10]`,
		`"bn1.bias" is of type int64`, `"module.conv1.weight" is not a weight`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	for name, w := range before.Weights {
		if !g.Weights[name].Equal(w) {
			t.Errorf("%s changed although loading failed", name)
		}
	}
}
