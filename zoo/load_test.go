package zoo_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/safetensors"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/zoo"
)

// TestPublishedWeightsGivePublishedLogits runs the first 64 test images of CIFAR-10 through the networks with their authors' weights and
// compares with what PyTorch computed from the same files, which states agreement of its own exports within 2e-5.
func TestPublishedWeightsGivePublishedLogits(t *testing.T) {
	const images, classes, tolerance = 64, 10, 5e-5
	input := readTensors(t, "golden/golden.safetensors")["input"]
	for _, name := range []string{"resnet20", "resnet32"} {
		tensors := readTensors(t, "data/cifar-resnet/"+name+".safetensors")
		g := build(t, name)
		if err := zoo.LoadWeights(g, tensors); err != nil {
			t.Fatal(err)
		}
		for n, want := range tensors {
			if !g.Weights[n].Equal(want) {
				t.Errorf("%s: %s differs from the file", name, n)
			}
		}
		got, want := forward(t, g, input.F32, images), readLogits(t, name, images*classes)
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > tolerance {
				t.Fatalf("%s: logit %d of image %d is %v, want %v", name, i%classes, i/classes, got[i], want[i])
			}
		}
		if err := zoo.LoadWeights(build(t, "resnet8"), tensors); err == nil || !strings.Contains(err.Error(), `"layer1.1.conv1.weight" is not a weight`) {
			t.Errorf("%s into resnet8: %v", name, err)
		}
	}
}

// forward is the logits of n images in inference mode.
func forward(t *testing.T, g *ir.Graph, x []float32, n int) []float32 {
	t.Helper()
	g, err := ir.Fold(g)
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Build(g, program.Config{Bind: map[string]int{"N": n}})
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
	if err := m.SetInput("input", x); err != nil {
		t.Fatal(err)
	}
	m.Run()
	return m.Output("logits")
}

func readTensors(t *testing.T, path string) map[string]*ir.Tensor {
	t.Helper()
	raw, err := os.ReadFile(testkit.Shared(t, path))
	if err != nil {
		t.Fatal(err)
	}
	tensors, _, err := safetensors.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tensors
}

// readLogits reads n float32 values of a NumPy file, which follow one line of header.
func readLogits(t *testing.T, name string, n int) []float32 {
	t.Helper()
	raw, err := os.ReadFile(testkit.Shared(t, "data/cifar-resnet/"+name+".logits_first64.npy"))
	if err != nil {
		t.Fatal(err)
	}
	_, data, _ := bytes.Cut(raw, []byte("\n"))
	out := make([]float32, n)
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, out); err != nil {
		t.Fatal(err)
	}
	return out
}

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
