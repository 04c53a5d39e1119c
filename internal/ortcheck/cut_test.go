package ortcheck_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

var cutSeeds = flag.Int("cut.seeds", 0, "random halves for each file in TestCutFiles…, 0 for two of those that take no longer than a second")

// TestCutFilesComputeWhatMasksDo removes a random half of every group from the shared files and those of -files, and holds the cut file in ONNX
// Runtime against the whole graph with hard masks in the engine: two implementations of both the operators and the removal. Half of the seeds
// mask weights, the others activations.
func TestCutFilesComputeWhatMasksDo(t *testing.T) {
	paths := realFiles(t)
	if *files != "" {
		found, err := filepath.Glob(filepath.Join(*files, "*.onnx"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no models in %s: %v", *files, err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		t.Run(name, func(t *testing.T) {
			seeds := *cutSeeds
			if seeds == 0 {
				if strings.HasPrefix(name, "light_") {
					t.Skip("takes seconds for each seed: -cut.seeds N")
				}
				seeds = 2
			}
			start := time.Now()
			c := readCut(t, path)
			worst, least := 0.0, math.Inf(1)
			for half, on := range []masked.On{masked.Weights, masked.Activations} {
				if half < seeds {
					off, moved := c.hold(t, on, half, seeds)
					worst, least = max(worst, off), min(least, moved)
				}
			}
			if least < 100*ortcheck.Tolerance {
				t.Errorf("removing a half moves the output by %.2g: nothing can be told from that", least)
			}
			t.Logf("%d seeds, %d groups: off by %.1e of the largest magnitude at most, where removal moves %.1e at least; %.0fs",
				seeds, len(c.space.Groups), worst, least, time.Since(start).Seconds())
		})
	}
}

// cut is a file with its space.
type cut struct {
	graph *ir.Graph
	space *space.Space
}

func readCut(t *testing.T, path string) cut {
	t.Helper()
	g, err := onnx.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = ir.Fold(g); err != nil {
		t.Fatal(err)
	}
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cut{g, s}
}

// hold compares every second seed from the first on, and returns the worst difference and, for the first seed, how much the removal changes the
// output: where that is as little, the comparison says nothing.
func (c cut) hold(t *testing.T, on masked.On, first, seeds int) (worst, moved float64) {
	t.Helper()
	m, err := masked.Insert(c.graph, c.space, on)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := ortcheck.NewMachine[float32](m, ortcheck.RandomInputs(t, c.graph, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	for seed := first; seed < seeds; seed += 2 {
		sel := halve(rand.New(rand.NewPCG(uint64(seed), 1)), c.space)
		small, err := prune.Apply(c.graph, c.space, sel)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		inputs := ortcheck.RandomInputs(t, c.graph, uint64(seed))
		path := ortcheck.Write(t, small)
		want := ortcheck.Run(t, path, inputs)
		if err := os.Remove(path); err != nil { // some hold hundreds of megabytes
			t.Fatal(err)
		}
		run := func(sel space.Selection) map[string]*ir.Tensor {
			for i, mask := range sel.Masks(c.space) {
				inputs[masked.Input(c.space.Groups[i].Name)] = hard(mask)
			}
			out, err := whole.Run(inputs)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			return out
		}
		if seed == first {
			if moved, err = ortcheck.Off(run(space.Selection{}), want); err != nil {
				moved = math.Inf(1)
			}
		}
		got := run(sel)
		off, err := ortcheck.Off(got, want)
		worst = max(worst, off)
		if err == nil && off > ortcheck.Tolerance {
			err = fmt.Errorf("off by %.2g of the largest magnitude", off)
		}
		if err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, c.exactly(t, m, small, inputs, want))
		}
	}
	return worst, moved
}

// exactly tells in float64 whether it is the removal or the sums that differ.
func (c cut) exactly(t *testing.T, m, small *ir.Graph, inputs, theirs map[string]*ir.Tensor) string {
	t.Helper()
	var out [2]map[string]*ir.Tensor
	for i, g := range []*ir.Graph{m, small} {
		machine, err := ortcheck.NewMachine[float64](g, inputs)
		if err != nil {
			return fmt.Sprint("in float64: ", err)
		}
		fed := map[string]*ir.Tensor{}
		for _, in := range g.Inputs {
			fed[in.Name] = inputs[in.Name]
		}
		out[i], err = machine.Run(fed)
		machine.Close()
		if err != nil {
			return fmt.Sprint("in float64: ", err)
		}
	}
	removal, err1 := ortcheck.Off(out[0], out[1])
	sums, err2 := ortcheck.Off(theirs, out[1])
	return fmt.Sprintf("in float64: masks and cut differ by %.2g (%v); ONNX Runtime is off by %.2g (%v)", removal, err1, sums, err2)
}

func hard(mask []bool) *ir.Tensor {
	x := ir.Floats32(make([]float32, len(mask)), len(mask))
	for i, stays := range mask {
		if stays {
			x.F32[i] = 1
		}
	}
	return x
}
