// Package property holds the equalities of the project over random networks of all kinds, and over those that once broke one. It has tests alone.
package property

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

var (
	networks = flag.Int("networks", 0, "how many random networks to draw, 0 for as many as take a few seconds")
	first    = flag.Uint64("first", 0, "the seed of the first network; its kind is that of its parity")
	keep     = flag.Bool("keep", false, "write networks that fail, when they are shrunk, to testdata")
)

// The parts of the property, as a fault names them.
const (
	finding   = "finding the space"
	cutting   = "cutting"
	nothing   = "cutting nothing"
	costs     = "the cost"
	writing   = "writing and reading"
	computing = "what it computes"
	panicking = "a panic"
)

// fault is a part that does not hold.
type fault struct {
	part string
	err  error
}

func (f *fault) Error() string { return f.part + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// partOf names the part that does not hold, "" where all do.
func partOf(err error) string {
	var f *fault
	if errors.As(err, &f) {
		return f.part
	}
	return ""
}

// holds tells what of the property does not hold for a folded graph, its space and a selection. It returns what is left of the graph.
func holds(g *ir.Graph, s *space.Space, sel space.Selection, seed uint64) (small *ir.Graph, err error) {
	defer func() {
		if r := recover(); r != nil {
			small, err = nil, &fault{panicking, fmt.Errorf("%v\n%s", r, debug.Stack())}
		}
	}()
	whole, err := prune.Apply(g, s, space.Selection{})
	if err != nil {
		return nil, &fault{nothing, err}
	}
	if err := ir.EqualGraphs(whole, g); err != nil {
		return nil, &fault{nothing, err}
	}
	small, err = prune.Apply(g, s, sel)
	if err != nil {
		return nil, &fault{cutting, err}
	}
	if err := ir.Validate(small); err != nil {
		return nil, &fault{cutting, err}
	}
	m, err := cost.NewModel(g, s)
	if err != nil {
		return nil, &fault{costs, err}
	}
	if got, err := cost.Count(small); err != nil {
		return nil, &fault{costs, err}
	} else if want := m.At(sel); got != want {
		return nil, &fault{costs, fmt.Errorf("counted %+v, modelled %+v", got, want)}
	}
	var raw bytes.Buffer
	if err := onnx.Encode(&raw, small); err != nil {
		return nil, &fault{writing, err}
	}
	back, err := onnx.Decode(raw.Bytes(), onnx.Options{})
	if err != nil {
		return nil, &fault{writing, err}
	}
	if err := ir.EqualGraphs(back, small); err != nil {
		return nil, &fault{writing, err}
	}
	if err := computes(g, s, sel, small, seed); err != nil {
		return nil, &fault{computing, err}
	}
	return small, nil
}

const batch = 2

// computes compares the cut graph with the masked ones.
func computes(g *ir.Graph, s *space.Space, sel space.Selection, small *ir.Graph, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 43))
	inputs := map[string][]float64{}
	bind := map[string]int{}
	for _, v := range g.Inputs {
		one := &ir.Graph{Inputs: []ir.ValueInfo{v}}
		for _, x := range testkit.RandomInput(rng, one, batch) {
			inputs[v.Name] = append(inputs[v.Name], float64(x))
		}
		if d := v.Shape[0]; !d.Known() {
			bind[d.Sym] = batch
		}
	}
	for i, mask := range sel.Masks(s) {
		name := masked.Input(s.Groups[i].Name)
		inputs[name] = make([]float64, len(mask))
		for e, stays := range mask {
			if stays {
				inputs[name][e] = 1
			}
		}
	}
	want, err := run(small, bind, inputs)
	if err != nil {
		return fmt.Errorf("the cut graph: %w", err)
	}
	for _, place := range []struct {
		name string
		on   masked.On
	}{{"weights", masked.Weights}, {"activations", masked.Activations}} {
		m, err := masked.Insert(g, s, place.on)
		if err != nil {
			return err
		}
		got, err := run(m, bind, inputs)
		if err != nil {
			return fmt.Errorf("masks on %s: %w", place.name, err)
		}
		for name := range want {
			if err := near(got[name], want[name]); err != nil {
				return fmt.Errorf("masks on %s: %s: %w", place.name, name, err)
			}
		}
	}
	return nil
}

// near compares with the largest magnitude.
func near(got, want []float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d elements, want %d", len(got), len(want))
	}
	scale := 1e-3
	for _, w := range want {
		if math.IsNaN(w) || math.IsInf(w, 0) {
			return fmt.Errorf("%v is no number to compare with", w)
		}
		scale = max(scale, math.Abs(w))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-9*scale) {
			return fmt.Errorf("element %d of %d is %v masked, %v cut", i, len(want), got[i], want[i])
		}
	}
	return nil
}

// run is a forward pass of the engine in float64.
func run(g *ir.Graph, bind map[string]int, inputs map[string][]float64) (map[string][]float64, error) {
	p, err := program.Build(g, program.Config{Bind: bind})
	if err != nil {
		return nil, err
	}
	params, err := engine.NewParams[float64](g)
	if err != nil {
		return nil, err
	}
	pool := parallel.New(1)
	defer pool.Close()
	m, err := engine.New(p, params, pool)
	if err != nil {
		return nil, err
	}
	for _, v := range g.Inputs {
		if err := m.SetInput(v.Name, inputs[v.Name]); err != nil {
			return nil, err
		}
	}
	m.Run()
	out := map[string][]float64{}
	for _, v := range g.Outputs {
		out[v.Name] = append([]float64(nil), m.Output(v.Name)...)
	}
	return out, nil
}

// randomSelection keeps a random share of every group, all of some.
func randomSelection(rng *rand.Rand, s *space.Space) space.Selection {
	sel := space.Selection{Keep: map[string][]int{}}
	share := rng.Float64()
	for _, g := range s.Groups {
		if rng.IntN(6) == 0 {
			continue
		}
		list := []int{}
		for i, e := range rng.Perm(g.N) {
			if i < g.Min || rng.Float64() < share {
				list = append(list, e)
			}
		}
		slices.Sort(list)
		sel.Keep[g.Name] = list
	}
	return sel
}

// found counts what the spaces of encoders hold.
type found struct {
	networks, groups, frozen               int
	heads, dims, hidden, embedding, blocks int // networks that have such a group
}

func (n *found) add(s *space.Space) {
	n.networks++
	n.groups += len(s.Groups)
	n.frozen += len(s.Frozen)
	var heads, dims, hidden, embedding, blocks bool
	for _, g := range s.Groups {
		in := func(part string) bool {
			return slices.ContainsFunc(g.Members, func(m space.Member) bool {
				return strings.Contains(m.Node, part) || strings.Contains(m.Weight, part)
			})
		}
		switch {
		case g.Kind == space.Depth:
			blocks = true
		case in("embed"):
			embedding = true
		case in(".mlp"):
			hidden = true
		case in(".attn") && (strings.HasSuffix(g.Name, ".heads") || strings.Contains(g.Name, ".heads#") || strings.Contains(g.Name, ".heads+")):
			heads = true
		case in(".attn"):
			dims = true
		}
	}
	for _, c := range []struct {
		has bool
		n   *int
	}{{heads, &n.heads}, {dims, &n.dims}, {hidden, &n.hidden}, {embedding, &n.embedding}, {blocks, &n.blocks}} {
		if c.has {
			*c.n++
		}
	}
}

// kinds are what is drawn, in turn.
var kinds = []struct {
	name   string
	random func(*rand.Rand) *ir.Graph
}{{"encoder", testkit.RandomEncoder}, {"convnet", testkit.RandomConvNet}}

// The property that holds the project together: a random network, cut at random, is what was foretold of it, computes what masks of zeros and
// ones compute, and survives being written. What was cut can be cut again.
func TestRandomNetworksOfAllKindsAreCutAsForetold(t *testing.T) {
	count := *networks
	switch {
	case count > 0:
	case testing.Short():
		count = 60
	default:
		count = 600
	}
	var all [2]found
	failures := 0
	for i := range count {
		seed := *first + uint64(i)
		kind := kinds[seed%2]
		rng := rand.New(rand.NewPCG(seed, 41))
		g, err := ir.Fold(kind.random(rng))
		if err != nil {
			t.Fatalf("%s of seed %d: %v", kind.name, seed, err)
		}
		for round := range 2 {
			s, err := find(g)
			if err != nil {
				t.Errorf("%s of seed %d, round %d: %v", kind.name, seed, round, err)
				failures++
				break
			}
			if round == 0 {
				all[seed%2].add(s)
			}
			sel := randomSelection(rng, s)
			small, err := holds(g, s, sel, seed)
			if err != nil {
				failures++
				t.Errorf("%s of seed %d, round %d: %v", kind.name, seed, round, err)
				if failures <= 3 || *keep {
					c := shrink(counterexample{g, sel}, partOf(err))
					t.Errorf("shrunk:\n%s", c.text())
					if *keep {
						c.write(t, fmt.Sprintf("%s-%d-%d", kind.name, seed, round))
					}
				}
				break
			}
			g = small
		}
		if failures > 200 {
			t.Fatal("too many failures")
		}
	}
	for i, n := range all {
		t.Logf("%d networks of kind %s: %d groups, %d frozen; with heads %d, dims of heads %d, hidden of MLPs %d, embedding %d, blocks %d",
			n.networks, kinds[i].name, n.groups, n.frozen, n.heads, n.dims, n.hidden, n.embedding, n.blocks)
	}
	t.Logf("%d failures", failures)
	if *networks == 0 {
		e := all[0]
		for _, c := range []struct {
			what     string
			n, least int
		}{
			{"groups of heads", e.heads, 40}, {"dims of heads", e.dims, 60}, {"hidden widths of MLPs", e.hidden, 60},
			{"embeddings", e.embedding, 60}, {"blocks", e.blocks, 60},
		} {
			if 100*c.n < c.least*e.networks {
				t.Errorf("%d of %d encoders have %s that can be removed, want %d%%", c.n, e.networks, c.what, c.least)
			}
		}
		if n := all[1]; n.groups < 3*n.networks {
			t.Errorf("%d groups in %d convnets", n.groups, n.networks)
		}
	}
}

// find is space.Find with panics as faults.
func find(g *ir.Graph) (s *space.Space, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &fault{panicking, fmt.Errorf("%v\n%s", r, debug.Stack())}
		}
	}()
	if s, err = space.Find(g, space.Options{}); err != nil {
		return nil, &fault{finding, err}
	}
	return s, nil
}
