package cost_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/zoo"
)

var metrics = []cost.Metric{cost.MACs, cost.Params, cost.Bytes}

func modelOf(t *testing.T, c nets.Case) (*space.Space, *cost.Model) {
	t.Helper()
	g := c.Graph(1)
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := cost.NewModel(g, s)
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

func masksLike(s *space.Space, value func() float64) [][]float64 {
	masks := make([][]float64, len(s.Groups))
	for i, g := range s.Groups {
		masks[i] = make([]float64, g.N)
		for e := range masks[i] {
			masks[i][e] = value()
		}
	}
	return masks
}

func TestEvalAtHardMasksIsAt(t *testing.T) {
	for _, c := range nets.Cases() {
		s, m := modelOf(t, c)
		for seed := range uint64(10) {
			rng := rand.New(rand.NewPCG(seed, 3))
			masks := masksLike(s, func() float64 { return float64(rng.IntN(2)) })
			sel := space.Selection{Keep: map[string][]int{}}
			for i, g := range s.Groups {
				sel.Keep[g.Name] = []int{}
				for e, v := range masks[i] {
					if v == 1 {
						sel.Keep[g.Name] = append(sel.Keep[g.Name], e)
					}
				}
			}
			at := m.At(sel)
			for _, k := range metrics {
				if got, want := m.Eval(k, masks, nil), float64(at.Of(k)); got != want {
					t.Errorf("%s, seed %d, %s: soft %v, exact %v", c.Name, seed, k, got, want)
				}
			}
		}
		if full := m.At(space.Selection{}); full != m.Full() {
			t.Errorf("%s: at the full selection %+v, full %+v", c.Name, full, m.Full())
		}
	}
}

func TestVectorsAreTakenWhole(t *testing.T) {
	g, err := zoo.Build("resnet20")
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Find(g, space.Options{NoDepth: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := cost.NewModelOf(g, s, func(n *ir.Node) bool { return n.Label() == "layer2.1.conv1" })
	if err != nil {
		t.Fatal(err)
	}
	inner, v := -1, m.InVectors(16)
	for i, group := range s.Groups {
		if group.Name == "layer2.1.conv1" {
			inner = i
		}
	}
	masks := masksLike(s, func() float64 { return 1 })
	whole := float64(m.Full().MACs)
	for k := 32; k >= 1; k-- { // of 32 channels
		for e := range masks[inner] {
			masks[inner][e] = 0
			if e < k {
				masks[inner][e] = 1
			}
		}
		grad := masksLike(s, func() float64 { return 0 })
		want, slope := whole, whole/32
		if k <= 16 {
			want, slope = whole/2, 0
		}
		if got := v.Eval(cost.MACs, masks, grad); got != want || math.Abs(grad[inner][0]-slope) > 1e-6*whole {
			t.Errorf("%d channels cost %v with derivative %v, want %v and %v", k, got, grad[inner][0], want, slope)
		}
		if got, want := m.Eval(cost.MACs, masks, nil), whole*float64(k)/32; got != want {
			t.Errorf("%d channels cost %v without vectors, want %v", k, got, want)
		}
	}
	if v.Full() != m.Full() {
		t.Error("the full cost is another in vectors")
	}
}

// A block of a ResNet has two convolutions, and a third where it changes the size of the image.
func TestTallyCountsTheNodesOfLivingBlocks(t *testing.T) {
	g, err := zoo.Build("resnet20")
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := cost.NewTally(g, s, func(n *ir.Node) bool { return n.Op == "Conv" })
	if err != nil {
		t.Fatal(err)
	}
	convolutions := int64(0)
	for _, n := range g.Nodes {
		if n.Op == "Conv" {
			convolutions++
		}
	}
	if got := m.Full().Bytes; got != convolutions {
		t.Errorf("%d convolutions, counted %d", convolutions, got)
	}
	narrow := space.Selection{Keep: map[string][]int{}}
	blocks := int64(0)
	for _, group := range s.Groups {
		switch group.Kind {
		case space.Depth:
			narrow.Keep[group.Name] = []int{}
			blocks += int64(group.N)
		case space.Width:
			narrow.Keep[group.Name] = []int{0}
		}
	}
	if got, want := m.At(narrow).Bytes, convolutions-2*blocks; got != want || blocks == 0 {
		t.Errorf("without %d blocks and with one channel everywhere %d convolutions are left, want %d", blocks, got, want)
	}
}

// The cost is a polynomial of low degree in each mask, so central differences with a wide step are nearly exact.
func TestEvalGradientIsTheDifferenceQuotient(t *testing.T) {
	const h = 1e-3
	for _, c := range nets.Cases() {
		s, m := modelOf(t, c)
		rng := rand.New(rand.NewPCG(7, 4))
		masks := masksLike(s, rng.Float64)
		for _, k := range metrics {
			grad := masksLike(s, func() float64 { return 1 }) // Eval adds to what is there
			value := m.Eval(k, masks, grad)
			for i := range masks {
				for e := range masks[i] {
					was := masks[i][e]
					masks[i][e] = was + h
					up := m.Eval(k, masks, nil)
					masks[i][e] = was - h
					down := m.Eval(k, masks, nil)
					masks[i][e] = was
					if got, want := grad[i][e]-1, (up-down)/(2*h); math.Abs(got-want) > 1e-5*(math.Abs(want)+value/100) {
						t.Errorf("%s, %s: derivative by %s[%d] is %v, difference quotient %v", c.Name, k, s.Groups[i].Name, e, got, want)
					}
				}
			}
		}
	}
}

func TestCostGrowsWithEveryElement(t *testing.T) {
	for _, c := range nets.Cases() {
		s, m := modelOf(t, c)
		rng := rand.New(rand.NewPCG(8, 5))
		masks := masksLike(s, rng.Float64)
		for _, k := range metrics {
			grad := masksLike(s, func() float64 { return 0 })
			m.Eval(k, masks, grad)
			for i := range grad {
				for e, d := range grad[i] {
					if d < 0 {
						t.Errorf("%s, %s: %s[%d] makes the network cheaper: %v", c.Name, k, s.Groups[i].Name, e, d)
					}
				}
			}
		}
	}
}
