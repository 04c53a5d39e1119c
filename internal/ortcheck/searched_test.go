package ortcheck_test

import (
	"flag"
	"os"
	"testing"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/safetensors"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
	"github.com/dms-go/dms/zoo"
)

var (
	searchSteps   = flag.Int("search.steps", 40, "steps of the search in TestSearchedNetwork…")
	searchSamples = flag.Int("search.samples", 1000, "test samples in TestSearchedNetwork…")
	searchBudget  = flag.String("search.budget", "macs=60%", "budget in TestSearchedNetwork…")
	searchSeed    = flag.Uint64("search.seed", 1, "seed in TestSearchedNetwork…")
	searchDepth   = flag.Bool("search.depth", true, "whether blocks may go in TestSearchedNetwork…")
)

// TestSearchedNetworkKeepsItsAccuracy runs a search on real data and holds three things against each other on real images: the
// original with hard masks in the engine, the cut network in the engine, and the cut network's file in ONNX Runtime.
func TestSearchedNetworkKeepsItsAccuracy(t *testing.T) {
	src, err := data.Open("cifar10:"+testkit.Shared(t, "data/cifar-10"), data.Options{TestLen: *searchSamples})
	if err != nil {
		t.Fatal(err)
	}
	r := searched(t, src)
	pool := parallel.New(0)
	defer pool.Close()
	cut, err := train.NewEvaluation(r.Graph, src.Test, 100, pool)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := train.NewEvaluation(r.Masked, src.Test, 100, pool)
	if err != nil {
		t.Fatal(err)
	}
	for name, mask := range r.Masks {
		if err := whole.Set(name, mask); err != nil {
			t.Fatal(err)
		}
	}
	path := ortcheck.Write(t, r.Graph)
	mean, std, err := data.Normalization(src, "")
	if err != nil {
		t.Fatal(err)
	}
	loader, err := data.NewLoader(t.Context(), src.Test, data.Config{Batch: 100, Mean: mean, Std: std})
	if err != nil {
		t.Fatal(err)
	}
	defer loader.Close()
	var b data.Batch
	correct := map[string]int{}
	for seen := 0; seen < src.Test.Len(); seen += b.N {
		if err := loader.Next(&b); err != nil {
			t.Fatal(err)
		}
		x := planes(b.X, 100)
		theirs := ortcheck.Run(t, path, map[string]*ir.Tensor{r.Graph.Inputs[0].Name: x})[r.Graph.Outputs[0].Name]
		for name, logits := range map[string]func() ([]float32, error){
			"masked": func() ([]float32, error) { return whole.Run(b.X) },
			"cut":    func() ([]float32, error) { return cut.Run(b.X) },
			"ort":    theirs.Floats,
		} {
			z, err := logits()
			if err != nil {
				t.Fatal(err)
			}
			got := ir.Floats32(append([]float32{}, z...), 100, 10)
			ortcheck.Same(t, map[string]*ir.Tensor{name: got}, map[string]*ir.Tensor{name: theirs}, ortcheck.Tolerance)
			for i, label := range b.Labels[:b.N] {
				best := 0
				for k, v := range z[10*i : 10*i+10] {
					if v > z[10*i+best] {
						best = k
					}
				}
				if best == label {
					correct[name]++
				}
			}
		}
	}
	t.Logf("%s, %d steps, seed %d: correct of %d: %v; %d of %d MACs", *searchBudget, *searchSteps, *searchSeed, src.Test.Len(), correct, r.After.MACs, r.Before.MACs)
	// Two logits that are equal to the last bits may come out in either order; one sample in a thousand is more than was ever seen.
	if slack := src.Test.Len() / 1000; max(correct["masked"], correct["cut"], correct["ort"])-min(correct["masked"], correct["cut"], correct["ort"]) > slack {
		t.Errorf("correct answers differ: %v", correct)
	}
}

// searched is a pretrained network after a search over frozen weights.
func searched(t *testing.T, src *data.Source) *search.Result {
	t.Helper()
	g, err := zoo.Build("resnet20")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(testkit.Shared(t, "data/cifar-resnet/resnet20.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	tensors, _, err := safetensors.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := zoo.LoadWeights(g, tensors); err != nil {
		t.Fatal(err)
	}
	cfg := search.Default(search.PMinus)
	cfg.Train.Steps, cfg.Train.Seed = *searchSteps, *searchSeed
	cfg.Recalibrate = min(cfg.Recalibrate, *searchSteps)
	b, err := search.ParseBudget(*searchBudget)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Budgets = []search.Budget{b}
	cfg.Train.Crop, cfg.Train.Flip = src.Augment.Crop, src.Augment.Flip
	r, err := search.Run(t.Context(), g, src, cfg, search.Options{Space: space.Options{NoDepth: !*searchDepth}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// planes turns images (n, 32, 32, 3) into (n, 3, 32, 32).
func planes(x []float32, n int) *ir.Tensor {
	const side, channels = 32, 3
	out := make([]float32, len(x))
	for i := range n {
		for p := range side * side {
			for c := range channels {
				out[(i*channels+c)*side*side+p] = x[(i*side*side+p)*channels+c]
			}
		}
	}
	return ir.Floats32(out, n, channels, side, side)
}
