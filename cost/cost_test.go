package cost_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/ir"
)

// By hand: the input is 3×4×4, kernels are 3×3 with bias, activations are float32.
func TestCountByHand(t *testing.T) {
	cases := map[string]cost.Cost{
		"a chain": {
			MACs:   16*(3*8*9) + 16*(8*16*9) + 16*10,
			Params: (3*8*9 + 8) + 2*8 + (8*16*9 + 16) + 16*10 + 10,
			Bytes:  4 * (3*8*16 + 16*16 + 16 + 10), // c1, norm, relu; c2; pool; fc
		},
		"depthwise passes channels on": {
			MACs:   16*(3*8*9) + 16*(8*9) + 16*(8*6*9) + 6*10,
			Params: (3*8*9 + 8) + (8*9 + 8) + (8*6*9 + 6) + 6*10 + 10,
			Bytes:  4 * (8*16 + 8*16 + 6*16 + 6 + 10),
		},
		"few wide groups have a pattern within the group": {
			MACs:   16*(3*16*9) + 16*(8*12*9) + 12*10,
			Params: (3*16*9 + 16) + (8*12*9 + 12) + 12*10 + 10,
			Bytes:  4 * (16*16 + 12*16 + 12 + 10),
		},
		"one weight in two blocks": {
			MACs:   16*(3*8*9) + 2*16*(8*8*9) + 8*10,
			Params: (3*8*9 + 8) + 8*8*9 + 8*10 + 10,
			Bytes:  4 * (8*16 + 2*3*8*16 + 8 + 10),
		},
		"a channel pad that has been cut": {
			MACs:   16*(3*8*9) + 16*(8*6*9) + 6*10,
			Params: (3*8*9 + 8) + (8*6*9 + 6) + 6*10 + 10,
			Bytes:  4 * (8*16 + 6*16 + 6*16 + 6*16 + 6 + 10), // c1; gather, without the pad; c2; sum; pool; fc
		},
	}
	for _, c := range nets.Cases() {
		want, ok := cases[c.Name]
		if !ok {
			continue
		}
		g := c.Graph(1)
		got, err := cost.Count(g)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", c.Name, got, err, want)
		}
		layers, err := cost.Layers(g)
		if err != nil {
			t.Fatal(err)
		}
		var sum cost.Cost
		for _, l := range layers {
			sum.MACs += l.MACs
			sum.Params += l.Params
			sum.Bytes += l.Bytes
		}
		if sum != want {
			t.Errorf("%s: layers add up to %+v, want %+v", c.Name, sum, want)
		}
	}
}

func TestCountNamesTheInputWhoseSizeIsOpen(t *testing.T) {
	g := nets.Cases()[0].Graph(1)
	g.Inputs[0].Shape[2] = ir.Dim{Sym: "H"}
	_, err := cost.Count(g)
	if !errors.Is(err, cost.ErrOpen) || !strings.Contains(err.Error(), `input "x" (N, 3, H, 4)`) || !strings.Contains(err.Error(), `node "c1" (Conv)`) {
		t.Errorf("error %v does not name the input and the first convolution", err)
	}
}

func TestCountRefusesToOverflow(t *testing.T) {
	g := nets.Cases()[0].Graph(1)
	g.Inputs[0].Shape[2], g.Inputs[0].Shape[3] = ir.Dim{Size: 1 << 30}, ir.Dim{Size: 1 << 30}
	if c, err := cost.Count(g); err == nil {
		t.Errorf("counted %+v", c)
	}
}

func TestCountKnowsBothNamesOfTheDomain(t *testing.T) {
	for _, c := range nets.Cases() {
		if c.Unknown {
			continue
		}
		g := c.Graph(1)
		want, err := cost.Count(g)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range g.Nodes {
			n.Domain = "ai.onnx"
		}
		if got, err := cost.Count(g); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", c.Name, got, err, want)
		}
	}
}
