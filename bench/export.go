package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/dms-go/dms/ir"
)

// feed is what a graph's inputs are given, by name, in the graph's order.
type feed map[string][]float32

// feedFor draws inputs: normal images, one-hot targets, importances between 0 and 1 for masks. The same graph gets the same.
func feedFor(g *ir.Graph, batch int) (feed, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	out := feed{}
	for _, in := range g.Inputs {
		shape, err := sizes(in, batch)
		if err != nil {
			return nil, err
		}
		n := 1
		for _, s := range shape {
			n *= s
		}
		v := make([]float32, n)
		switch len(shape) {
		case 1:
			for i := range v {
				v[i] = rng.Float32()
			}
		case 2:
			for i := range shape[0] {
				v[i*shape[1]+(7*i+3)%shape[1]] = 1
			}
		default:
			for i := range v {
				v[i] = float32(rng.NormFloat64())
			}
		}
		out[in.Name] = v
	}
	return out, nil
}

// sizes is the shape of an input, whose one symbol is the batch.
func sizes(in ir.ValueInfo, batch int) ([]int, error) {
	var shape []int
	for _, d := range in.Shape {
		switch {
		case d.Known():
			shape = append(shape, d.Size)
		case d.Sym == "N":
			shape = append(shape, batch)
		default:
			return nil, fmt.Errorf("input %q has shape %v", in.Name, in.Shape)
		}
	}
	return shape, nil
}

// Description of a network for torch_worker.py. At counts elements in the file of floats beside it.
type (
	description struct {
		Nodes     []node            `json:"nodes"`
		Weights   map[string]tensor `json:"weights"`
		Inputs    []input           `json:"inputs"`
		Result    string            `json:"result"`
		Trainable []string          `json:"trainable"`
		Masks     []mask            `json:"masks"`
		Rate      float64           `json:"rate"`
		Floats    int               `json:"floats"`
	}
	node struct {
		Op    string         `json:"op"`
		In    []string       `json:"in"`
		Out   []string       `json:"out"`
		Attrs map[string]any `json:"attrs"`
	}
	tensor struct {
		Shape []int   `json:"shape"`
		At    int     `json:"at"`
		Ints  []int64 `json:"ints,omitempty"`
	}
	input struct {
		Name  string `json:"name"`
		Shape []int  `json:"shape"`
		At    int    `json:"at"`
	}
	mask struct {
		Name      string  `json:"name"`
		Sharpness float64 `json:"sharpness"`
		Ratio     float64 `json:"ratio"`
	}
)

// export writes a model with its inputs as base.json and base.f32.
func export(base string, m model, batch int) error {
	d := description{Weights: map[string]tensor{}, Inputs: []input{}, Result: m.result, Trainable: m.trainable, Masks: []mask{}, Rate: rate}
	var floats []float32
	for name, w := range m.graph.Weights {
		t := tensor{Shape: slices.Clone(w.Shape), At: len(floats)}
		if t.Shape == nil {
			t.Shape = []int{}
		}
		if !w.DType.IsFloat() {
			ints, err := w.Ints()
			if err != nil {
				return fmt.Errorf("weight %q: %w", name, err)
			}
			t.Ints = ints
		} else {
			v, err := w.Floats()
			if err != nil {
				return fmt.Errorf("weight %q: %w", name, err)
			}
			floats = append(floats, v...)
		}
		d.Weights[name] = t
	}
	for _, in := range m.graph.Inputs {
		shape, err := sizes(in, batch)
		if err != nil {
			return err
		}
		d.Inputs = append(d.Inputs, input{in.Name, shape, len(floats)})
		floats = append(floats, m.feed[in.Name]...)
	}
	for _, g := range m.groups {
		d.Masks = append(d.Masks, mask{g.input, g.sharpness, g.ratio})
	}
	for _, n := range m.graph.Nodes {
		attrs := map[string]any{}
		for k, a := range n.Attrs {
			switch a.Kind {
			case ir.AttrInt:
				attrs[k] = a.Int
			case ir.AttrFloat:
				attrs[k] = a.Float
			case ir.AttrInts:
				attrs[k] = a.Ints
			case ir.AttrString:
				attrs[k] = a.String
			default:
				return fmt.Errorf("%s: attribute %s cannot be described", n.Label(), k)
			}
		}
		d.Nodes = append(d.Nodes, node{n.Op, n.Inputs, n.Outputs, attrs})
	}
	d.Floats = len(floats)
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := os.WriteFile(base+".json", raw, 0o666); err != nil {
		return err
	}
	return writeFloats(base+".f32", floats)
}

func writeFloats(path string, v []float32) error {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return os.WriteFile(filepath.Clean(path), raw, 0o666)
}
