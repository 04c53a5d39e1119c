package prune_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
)

func find(t *testing.T, g *ir.Graph) *space.Space {
	t.Helper()
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// randomSelection keeps each element of some of the groups with the given probability, at least Group.Min of them.
func randomSelection(rng *rand.Rand, s *space.Space, keep float64) space.Selection {
	sel := space.Selection{Keep: map[string][]int{}}
	for _, g := range s.Groups {
		if rng.IntN(6) == 0 {
			continue
		}
		order := rng.Perm(g.N)
		in := make([]bool, g.N)
		for i, e := range order {
			in[e] = i < g.Min || rng.Float64() < keep
		}
		list := []int{}
		for e, ok := range in {
			if ok {
				list = append(list, e)
			}
		}
		sel.Keep[g.Name] = list
	}
	return sel
}

func TestApplyOfAFullSelectionChangesNothing(t *testing.T) {
	for _, c := range nets.Cases() {
		g := c.Graph(1)
		s := find(t, g)
		full := space.Selection{Keep: map[string][]int{}}
		for _, group := range s.Groups {
			for e := range group.N {
				full.Keep[group.Name] = append(full.Keep[group.Name], e)
			}
		}
		for _, sel := range []space.Selection{{}, full} {
			got, err := prune.Apply(g, s, sel)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			if err := ir.EqualGraphs(got, g); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
}

func TestCountOfTheCutGraphIsTheModelAtTheSelection(t *testing.T) {
	for _, c := range nets.Cases() {
		g := c.Graph(1)
		s := find(t, g)
		m, err := cost.NewModel(g, s)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 1))
			sel := randomSelection(rng, s, rng.Float64())
			small, err := prune.Apply(g, s, sel)
			if err != nil {
				t.Fatalf("%s, seed %d, %v: %v", c.Name, seed, sel, err)
			}
			got, err := cost.Count(small)
			if err != nil {
				t.Fatalf("%s, seed %d: %v", c.Name, seed, err)
			}
			if want := m.At(sel); got != want {
				t.Errorf("%s, seed %d, %v: counted %+v, modelled %+v", c.Name, seed, sel, got, want)
			}
			if len(s.Groups) > 0 && small.Outputs[0].Name != g.Outputs[0].Name {
				t.Errorf("%s: output is called %q", c.Name, small.Outputs[0].Name)
			}
		}
	}
}

// A graph that was cut can be cut again, and the costs still agree.
func TestApplyTwice(t *testing.T) {
	for _, c := range nets.Cases() {
		for seed := range uint64(10) {
			rng := rand.New(rand.NewPCG(seed, 2))
			g := c.Graph(1)
			for round := range 2 {
				s := find(t, g)
				sel := randomSelection(rng, s, 0.7)
				m, err := cost.NewModel(g, s)
				if err != nil {
					t.Fatalf("%s, seed %d, round %d: %v", c.Name, seed, round, err)
				}
				if g, err = prune.Apply(g, s, sel); err != nil {
					t.Fatalf("%s, seed %d, round %d, %v: %v", c.Name, seed, round, sel, err)
				}
				got, err := cost.Count(g)
				if err != nil || got != m.At(sel) {
					t.Errorf("%s, seed %d, round %d: counted %+v, modelled %+v, %v", c.Name, seed, round, got, m.At(sel), err)
				}
			}
		}
	}
}

func TestApplyRefusesWhatDoesNotFit(t *testing.T) {
	g := nets.Cases()[0].Graph(1)
	s := find(t, g)
	_, err := prune.Apply(g, s, space.Selection{Keep: map[string][]int{"c1": {7, 8}, "nobody": {}}})
	for _, want := range []string{`"nobody"`, "8 is outside of 8"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %s", err, want)
		}
	}
	other := find(t, nets.Cases()[1].Graph(1))
	if _, err := prune.Apply(g, other, space.Selection{}); err == nil {
		t.Error("the space of another graph was accepted")
	}
}

// TestResizeStatesTheChannelsThatAreLeft: sizes name every axis, or since opset 18 those that are listed.
func TestResizeStatesTheChannelsThatAreLeft(t *testing.T) {
	for _, c := range []struct {
		node string
		want []int64
	}{
		{"r = Resize(c, _, _, all)", []int64{2, 3, 8, 9}},
		{"r = Resize(c, _, _, listed) {axes=[-1 1]}", []int64{9, 3}},
		{"r = Resize(c, _, _, plane) {axes=[2 3]}", []int64{8, 9}},
		{"r = Resize(c, _, up)", nil},
	} {
		g, err := ir.Parse(`opset "" 18
input x float32 (2, 3, 4, 4)
output y float32 (2, 5, ?, ?)
weight w float32 (8, 3, 1, 1) = 1*24
weight v float32 (5, 8, 1, 1) = 1*40
weight up float32 (4) = 1 1 2 2
weight all int64 (4) = 2 8 8 9
weight listed int64 (2) = 9 8
weight plane int64 (2) = 8 9
c = Conv(x, w) name c
` + c.node + "\ny = Conv(r, v)")
		if err != nil {
			t.Fatal(err)
		}
		small, err := prune.Apply(g, find(t, g), space.Selection{Keep: map[string][]int{"c": {1, 4, 6}}})
		if err != nil {
			t.Errorf("%s: %v", c.node, err)
			continue
		}
		var got []int64
		if sizes := small.Weights[small.Nodes[1].Input(3)]; sizes != nil {
			got = sizes.I64
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: sizes %v, want %v", c.node, got, c.want)
		}
	}
}

// TestAttentionStatesTheHeadsThatAreLeft: and the scale of whole heads once they shrink, which ONNX would take from what is left of them.
func TestAttentionStatesTheHeadsThatAreLeft(t *testing.T) {
	g, err := ir.Parse(`opset "" 23
input x float32 (2, 5, 3)
output y float32 (2, 5, 7)
weight wq float32 (3, 12) = 1*36
weight wk float32 (3, 6) = 1*18
weight wv float32 (3, 4) = 1*12
weight wo float32 (8, 7) = 1*56
q = MatMul(x, wq) name q
k = MatMul(x, wk) name k
v = MatMul(x, wv) name v
a = Attention(q, k, v) {q_num_heads=4, kv_num_heads=2}
y = MatMul(a, wo) name o`)
	if err != nil {
		t.Fatal(err)
	}
	s := find(t, g)
	for _, c := range []struct {
		keep          map[string][]int
		queries, keys int64
		scale         float32
	}{
		{map[string][]int{"v": {1}}, 4, 2, 0},
		{map[string][]int{"q+1": {0, 2}}, 4, 2, float32(1 / math.Sqrt(3))},
		{map[string][]int{"q.heads+2": {1}}, 2, 1, 0},
		{map[string][]int{"q.heads": {0}}, 2, 2, 0},
		{map[string][]int{"q.heads": {1}, "q.heads+2": {0}, "q+1": {1}}, 1, 1, float32(1 / math.Sqrt(3))},
	} {
		small, err := prune.Apply(g, s, space.Selection{Keep: c.keep})
		if err != nil {
			t.Errorf("%v: %v", c.keep, err)
			continue
		}
		attrs := small.Nodes[3].Attrs
		if q, k, scale := attrs.Int("q_num_heads", 0), attrs.Int("kv_num_heads", 0), attrs.Float("scale", 0); q != c.queries || k != c.keys || scale != c.scale {
			t.Errorf("%v: %d heads of queries and %d of keys, scale %v, want %d, %d, %v", c.keep, q, k, scale, c.queries, c.keys, c.scale)
		}
	}
}
