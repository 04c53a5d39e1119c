package ortcheck_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

var (
	cutEach  = flag.Bool("cut.each", false, "say for each file how many of its groups TestCutFiles… can say something of")
	cutSeeds = flag.Int("cut.seeds", 0, "random halves for each file in TestCutFiles…, 0 for two of those that take no longer than a second")
)

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

// cut is a network with its space.
type cut struct {
	graph *ir.Graph
	space *space.Space
	heads []ir.ValueInfo // what is compared; nil for the outputs
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
	wake(g)
	return cut{graph: g, space: s, heads: heads(t, g)}
}

// wake draws weights that are all of one value or next to nothing, such as a head of zeros, a layer scale of 1e-6, or all of a file that was made
// small: they would hide whatever is wrong before them.
func wake(g *ir.Graph) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, name := range slices.Sorted(maps.Keys(g.Weights)) {
		w := g.Weights[name]
		if w.DType != ir.Float32 || len(w.Shape) < 2 || w.Len() < 16 {
			continue
		}
		first := w.F32[0]
		if slices.ContainsFunc(w.F32, func(v float32) bool { return v != first && max(v, -v) > 1e-4 }) {
			continue
		}
		spread := math.Sqrt(2 * float64(w.Shape[0]) / float64(w.Len())) // as He et al. draw them
		for i := range w.F32 {
			w.F32[i] = float32(spread * rng.NormFloat64())
		}
	}
}

// sorting are operators that make of numbers which differ in their last bits lists that differ altogether, and of lists that the inputs decide the
// length of.
var sorting = []string{"TopK", "NonMaxSuppression", "NonZero"}

// heads lists the numbers that go into the last part of a detector, which sorts and filters what was found and which the engine does not run; nil
// for a network that it runs to its end.
func heads(t *testing.T, g *ir.Graph) []ir.ValueInfo {
	t.Helper()
	_, err := ortcheck.NewMachine[float32](g, ortcheck.RandomInputs(t, g, 0))
	unsupported := new(program.UnsupportedError)
	if !errors.As(err, &unsupported) {
		return nil
	}
	last := map[string]bool{}  // values made in the last part
	moves := map[string]bool{} // values that depend on an input
	for _, in := range g.Inputs {
		moves[in.Name] = true
	}
	var names []string
	for _, n := range g.Nodes {
		part := slices.Contains(sorting, n.Op) || slices.Contains(unsupported.Nodes, n.Label()) || slices.ContainsFunc(n.Inputs, func(v string) bool { return last[v] })
		for _, v := range n.Outputs {
			last[v] = part
			moves[v] = slices.ContainsFunc(n.Inputs, func(v string) bool { return moves[v] })
		}
		for _, v := range n.Inputs {
			if part && !last[v] && moves[v] && !slices.Contains(names, v) {
				names = append(names, v)
			}
		}
	}
	values, err := ir.InferShapes(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []ir.ValueInfo
	for _, v := range names {
		if info := values[v]; info.DType == ir.Float32 {
			list = append(list, ir.ValueInfo{Name: v, DType: info.DType, Shape: info.Shape})
		}
	}
	if list == nil {
		t.Fatalf("nothing goes into the last part: %v", unsupported)
	}
	t.Logf("compared before %q sort and filter", sorting)
	return list
}

// alone is g with other outputs and without the nodes that they do not need.
func alone(g *ir.Graph, outputs []ir.ValueInfo) *ir.Graph {
	if outputs == nil {
		return g
	}
	g = g.Clone()
	g.Outputs = outputs
	testkit.DropDead(g)
	return g
}

// taps lists values on the way, evenly spread: random weights let what happens early die away before the output, where a fault would not show.
func (c cut) taps() []ir.ValueInfo {
	const most, largest = 24, 4 << 20
	moves := map[string]bool{}
	for _, in := range c.graph.Inputs {
		moves[in.Name] = true
	}
	values, err := ir.InferShapes(c.graph, nil)
	if err != nil {
		return nil
	}
	g := alone(c.graph, c.outputs())
	var all []ir.ValueInfo
	for _, n := range g.Nodes {
		if !slices.ContainsFunc(n.Inputs, func(v string) bool { return moves[v] }) {
			continue
		}
		for _, v := range n.Outputs {
			moves[v] = true
		}
		v := n.Outputs[0]
		x, out := values[v], slices.ContainsFunc(c.outputs(), func(out ir.ValueInfo) bool { return out.Name == v })
		size := 1
		for _, d := range x.Shape {
			size *= max(d.Size, 1)
		}
		if x.DType == ir.Float32 && len(x.Shape) > 1 && size <= largest && !out && len(c.space.Axes[v]) == len(x.Shape) {
			all = append(all, ir.ValueInfo{Name: v, DType: x.DType, Shape: x.Shape})
		}
	}
	if len(all) <= most {
		return all
	}
	list := make([]ir.ValueInfo, most)
	for i := range list {
		list[i] = all[i*len(all)/most]
	}
	return list
}

// outputs are what is compared of the end of the network.
func (c cut) outputs() []ir.ValueInfo {
	if c.heads != nil {
		return c.heads
	}
	return c.graph.Outputs
}

// kept cuts a value of the whole graph to the positions that masks leave.
func (c cut) kept(name string, x *ir.Tensor, masks [][]bool) *ir.Tensor {
	axes := c.space.Axes[name]
	positions := make([][]int, len(x.Shape))
	shape := make([]int, len(x.Shape))
	for i, size := range x.Shape {
		for p := range size {
			stays := true
			if i < len(axes) && axes[i] != nil {
				for _, layer := range axes[i] {
					r := layer[p%len(layer)]
					stays = stays && (r.Fixed() || masks[r.Group][r.Elem])
				}
			}
			if stays {
				positions[i] = append(positions[i], p)
			}
		}
		shape[i] = len(positions[i])
	}
	offsets := []int{0}
	for i, list := range positions {
		next := make([]int, 0, len(offsets)*len(list))
		for _, o := range offsets {
			for _, p := range list {
				next = append(next, o*x.Shape[i]+p)
			}
		}
		offsets = next
	}
	out := ir.Floats32(make([]float32, len(offsets)), shape...)
	for i, o := range offsets {
		out.F32[i] = x.F32[o]
	}
	return out
}

// hold compares every second seed from the first on, and returns the worst difference and, for the first seed, how much the removal changes the
// output: where that is as little, the comparison says nothing.
func (c cut) hold(t *testing.T, on masked.On, first, seeds int) (worst, moved float64) {
	t.Helper()
	m, err := masked.Insert(c.graph, c.space, on)
	if err != nil {
		t.Fatal(err)
	}
	taps := c.taps()
	m = alone(m, slices.Concat(c.outputs(), taps))
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
		compared := c.ends(t, small, taps)
		inputs := ortcheck.RandomInputs(t, c.graph, uint64(seed))
		path := ortcheck.Write(t, compared.all)
		want := ortcheck.Run(t, path, inputs)
		for name := range want {
			if !compared.names[name] {
				delete(want, name)
			}
		}
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
			if moved, err = ortcheck.Off(run(space.Selection{}), only(want, c.outputs())); err != nil {
				moved = math.Inf(1)
			}
			if *cutEach {
				c.each(t, sel, taps, run)
			}
		}
		got := c.cutTo(run(sel), taps, sel)
		off, err := ortcheck.Off(got, want)
		worst = max(worst, off)
		if err == nil && off > ortcheck.Tolerance {
			err = fmt.Errorf("off by %.2g of the largest magnitude", off)
		}
		if err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, c.exactly(t, m, compared.small, taps, sel, inputs, want))
		}
	}
	return worst, moved
}

// cutTo is out with the taps cut to what a selection keeps.
func (c cut) cutTo(out map[string]*ir.Tensor, taps []ir.ValueInfo, sel space.Selection) map[string]*ir.Tensor {
	masks := sel.Masks(c.space)
	out = maps.Clone(out)
	for _, v := range taps {
		if x := out[v.Name]; x != nil {
			out[v.Name] = c.kept(v.Name, x, masks)
		}
	}
	return out
}

func only(out map[string]*ir.Tensor, list []ir.ValueInfo) map[string]*ir.Tensor {
	few := map[string]*ir.Tensor{}
	for _, v := range list {
		few[v.Name] = out[v.Name]
	}
	return few
}

// ends are the outputs of a cut graph that are compared.
type ends struct {
	all   *ir.Graph // the cut graph with these outputs besides its own
	small *ir.Graph // with these alone
	names map[string]bool
}

// ends leaves out taps that went with their block.
func (c cut) ends(t *testing.T, small *ir.Graph, taps []ir.ValueInfo) ends {
	t.Helper()
	values, err := ir.InferShapes(small, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := ends{names: map[string]bool{}}
	own := map[string]bool{}
	for _, out := range small.Outputs {
		own[out.Name] = true
	}
	var list, more []ir.ValueInfo
	for _, v := range slices.Concat(c.outputs(), taps) {
		x, ok := values[v.Name]
		if !ok {
			continue
		}
		e.names[v.Name] = true
		v.Shape = x.Shape
		list = append(list, v)
		if !own[v.Name] {
			more = append(more, v)
		}
	}
	e.all = small.Clone()
	e.all.Outputs = append(e.all.Outputs, more...)
	e.small = alone(small, list)
	return e
}

// each tells how many groups a fault would show in: where the mask of one says that all of it stays, the output must differ. Widths are tried with
// all blocks there, for what is in a removed block shows nowhere.
func (c cut) each(t *testing.T, sel space.Selection, taps []ir.ValueInfo, run func(space.Selection) map[string]*ir.Tensor) {
	t.Helper()
	least, hidden := math.Inf(1), []string{}
	for _, kind := range []space.Kind{space.Depth, space.Width} {
		base := space.Selection{Keep: maps.Clone(sel.Keep)}
		for _, g := range c.space.Groups {
			if g.Kind == space.Depth && kind == space.Width {
				delete(base.Keep, g.Name)
			}
		}
		want := c.cutTo(run(base), taps, base)
		for _, g := range c.space.Groups {
			if g.Kind != kind || len(base.Keep[g.Name]) == g.N {
				continue
			}
			whole := space.Selection{Keep: maps.Clone(base.Keep)}
			delete(whole.Keep, g.Name)
			off, err := ortcheck.Off(c.cutTo(run(whole), taps, base), want)
			if err != nil {
				off = math.Inf(1)
			}
			least = min(least, off)
			if off < 10*ortcheck.Tolerance {
				hidden = append(hidden, g.Name)
			}
		}
	}
	t.Logf("one group more would show by %.1e at least; hidden are %d: %q", least, len(hidden), hidden)
}

// exactly tells in float64 whether it is the removal or the sums that differ.
func (c cut) exactly(t *testing.T, m, small *ir.Graph, taps []ir.ValueInfo, sel space.Selection, inputs, theirs map[string]*ir.Tensor) string {
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
	removal, err1 := ortcheck.Off(c.cutTo(out[0], taps, sel), out[1])
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
