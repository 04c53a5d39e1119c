package ortcheck_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/zoo"
)

// families are small forms of every kind of network in the zoo.
var families = []string{
	"resnet20", "resnet14:shortcut=B", "resnet18:input=64,width=0.5", "resnet50:input=64,width=0.25",
	"vgg16-bn:input=32,width=0.25", "mobilenetv2:input=64,width=0.5", "efficientnet-b0:input=64,width=0.5",
}

func TestZooComputesWhatONNXRuntimeDoes(t *testing.T) {
	for i, spec := range families {
		t.Run(spec, func(t *testing.T) {
			g, err := zoo.Build(spec)
			if err != nil {
				t.Fatal(err)
			}
			ortcheck.Compare(t, g, uint64(i))
		})
	}
}

// halve keeps a random half of the elements of every group, where it can a multiple of Group.Divisor, and at least Group.Min. Of odd counts the
// larger half is as likely as the smaller one, so that a lone block goes every other time.
func halve(rng *rand.Rand, s *space.Space) space.Selection {
	sel := space.Selection{Keep: map[string][]int{}}
	for _, g := range s.Groups {
		n := (g.N + rng.IntN(2)) / 2
		if g.Divisor > 1 {
			n = max(n-n%g.Divisor, min(g.Divisor, g.N))
		}
		keep := rng.Perm(g.N)[:max(n, g.Min)]
		slices.Sort(keep)
		sel.Keep[g.Name] = keep
	}
	return sel
}

func pruned(t *testing.T, g *ir.Graph, seed uint64) *ir.Graph {
	t.Helper()
	folded, err := ir.Fold(g)
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Find(folded, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	small, err := prune.Apply(folded, s, halve(rand.New(rand.NewPCG(seed, 1)), s))
	if err != nil {
		t.Fatal(err)
	}
	return small
}

func TestPrunedNetworksComputeWhatONNXRuntimeDoes(t *testing.T) {
	for i, spec := range families {
		t.Run(spec, func(t *testing.T) {
			g, err := zoo.Build(spec)
			if err != nil {
				t.Fatal(err)
			}
			ortcheck.Compare(t, pruned(t, g, uint64(i)), uint64(i))
		})
	}
}

func TestRandomNetworksComputeWhatONNXRuntimeDoes(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 5
	}
	compareRandom(t, testkit.RandomConvNet, seeds)
}

func TestRandomEncodersComputeWhatONNXRuntimeDoes(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 3
	}
	compareRandom(t, testkit.RandomEncoder, seeds)
}

// compareRandom compares random networks, whole and cut.
func compareRandom(t *testing.T, draw func(*rand.Rand) *ir.Graph, seeds uint64) {
	t.Helper()
	for seed := range seeds {
		g := draw(rand.New(rand.NewPCG(seed, 3)))
		if dilatedSame(g) {
			continue
		}
		ortcheck.Compare(t, g, seed)
		ortcheck.Compare(t, pruned(t, g, seed), seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// dilatedSame tells of a graph whether some convolution leaves the padding of a dilated kernel to the runtime. ONNX defines that;
// ONNX Runtime refuses it.
func dilatedSame(g *ir.Graph) bool {
	for _, n := range g.Nodes {
		if !strings.HasPrefix(n.Attrs.Str("auto_pad", ""), "SAME") {
			continue
		}
		for _, d := range n.Attrs.Ints("dilations") {
			if d > 1 {
				return true
			}
		}
	}
	return false
}

// realFiles are the models among the shared test data.
func realFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{"onnx", "cifar-resnet", "mobilenet"} {
		found, err := filepath.Glob(filepath.Join(testkit.Shared(t, "data/"+dir), "*.onnx"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no models in %s: %v", dir, err)
		}
		files = append(files, found...)
	}
	return files
}

// reference is what an independent interpreter of the models gave: the first values of every output and some sums.
type reference struct {
	Inputs  map[string][]int
	Outputs map[string]struct {
		Shape              []int
		First              []float32
		Min, Max, Mean, L2 float64
	}
}

func references(t *testing.T) map[string]reference {
	t.Helper()
	text, err := os.ReadFile(testkit.Shared(t, "data/onnx/reference_outputs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	refs := map[string]reference{}
	for name, raw := range all {
		if strings.HasPrefix(name, "_") {
			continue // a note on how the input is made
		}
		var ref reference
		if err := json.Unmarshal(raw, &ref); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		refs[name] = ref
	}
	return refs
}

// inputs are the values that the reference was computed on: a hash of the index, as a number in [0, 1).
func (r reference) inputs() map[string]*ir.Tensor {
	inputs := map[string]*ir.Tensor{}
	for name, shape := range r.Inputs {
		x := &ir.Tensor{DType: ir.Float32, Shape: shape}
		x.F32 = make([]float32, x.Len())
		for i := range x.F32 {
			x.F32[i] = float32(uint32(i)*2654435761>>8) / (1 << 24)
		}
		inputs[name] = x
	}
	return inputs
}

// check holds outputs against the reference. Its sums are over whole outputs, so they need not be known in full.
func (r reference) check(t *testing.T, who string, outputs map[string]*ir.Tensor) {
	t.Helper()
	for name, want := range r.Outputs {
		got := outputs[name]
		if got == nil {
			t.Errorf("%s: no output %q", who, name)
			continue
		}
		if !slices.Equal(got.Shape, want.Shape) {
			t.Errorf("%s: output %q has shape %v, want %v", who, name, got.Shape, want.Shape)
			continue
		}
		largest := max(math.Abs(want.Min), math.Abs(want.Max))
		for i, w := range want.First {
			if d := math.Abs(float64(got.F32[i] - w)); d > ortcheck.Tolerance*largest {
				t.Errorf("%s: output %q: value %d is %v, want %v", who, name, i, got.F32[i], w)
			}
		}
		lo, hi, sum, squares := math.Inf(1), math.Inf(-1), 0.0, 0.0
		for _, v := range got.F32 {
			x := float64(v)
			lo, hi, sum, squares = min(lo, x), max(hi, x), sum+x, squares+x*x
		}
		for _, c := range []struct {
			what      string
			got, want float64
		}{
			{"least value", lo, want.Min}, {"largest value", hi, want.Max}, {"mean", sum / float64(len(got.F32)), want.Mean},
		} {
			if math.Abs(c.got-c.want) > ortcheck.Tolerance*largest {
				t.Errorf("%s: output %q: %s is %v, want %v", who, name, c.what, c.got, c.want)
			}
		}
		if got := math.Sqrt(squares); math.Abs(got-want.L2) > ortcheck.Tolerance*want.L2 {
			t.Errorf("%s: output %q: norm is %v, want %v", who, name, got, want.L2)
		}
	}
}

// TestRealFilesAgreeWithTheReference needs no ONNX Runtime.
func TestRealFilesAgreeWithTheReference(t *testing.T) {
	refs := references(t)
	for _, path := range realFiles(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		t.Run(name, func(t *testing.T) {
			ref, ok := refs[name]
			if !ok {
				t.Fatal("no reference")
			}
			g, err := onnx.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ortcheck.Engine(g, ref.inputs())
			if err != nil {
				t.Fatal(err)
			}
			ref.check(t, "engine", got)
		})
	}
}

// TestRealFilesComputeWhatONNXRuntimeDoes runs every file as it is and as this project writes it, which must not change a bit, then
// in the engine, whole and pruned.
func TestRealFilesComputeWhatONNXRuntimeDoes(t *testing.T) {
	refs := references(t)
	for i, path := range realFiles(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		t.Run(name, func(t *testing.T) {
			g, err := onnx.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			inputs := refs[name].inputs()
			want := ortcheck.Run(t, path, inputs)
			ortcheck.Same(t, ortcheck.Run(t, ortcheck.Write(t, g), inputs), want, 0)
			refs[name].check(t, "ONNX Runtime", want)

			folded, err := ir.Fold(g)
			if err != nil {
				t.Fatal(err)
			}
			ortcheck.Same(t, ortcheck.Run(t, ortcheck.Write(t, folded), inputs), want, ortcheck.Tolerance)

			small := pruned(t, g, uint64(i))
			wantSmall := ortcheck.Run(t, ortcheck.Write(t, small), inputs)
			for out, w := range want {
				if s := wantSmall[out].Shape; !slices.Equal(s, w.Shape) {
					t.Errorf("pruned: output %q has shape %v, want %v", out, s, w.Shape)
				}
			}
			for _, c := range []struct {
				what string
				g    *ir.Graph
				want map[string]*ir.Tensor
			}{{"whole", g, want}, {"pruned", small, wantSmall}} {
				got, err := ortcheck.Engine(c.g, inputs)
				if err != nil {
					t.Errorf("%s: %v", c.what, err)
					continue
				}
				ortcheck.Same(t, got, c.want, ortcheck.Tolerance)
			}
		})
	}
}
