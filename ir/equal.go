package ir

import (
	"fmt"
	"math"
	"slices"
)

// EqualGraphs is nil where two graphs say the same: the same header, inputs, outputs, notes, nodes in the same order and weights
// with the same bits. Else the error names the first difference. A missing list or map equals an empty one.
func EqualGraphs(a, b *Graph) error {
	type pair struct {
		what string
		a, b any
	}
	for _, p := range []pair{
		{"name", a.Name, b.Name}, {"doc", a.Doc, b.Doc}, {"IR version", a.IRVersion, b.IRVersion},
		{"producer", a.Producer, b.Producer}, {"producer version", a.ProducerVersion, b.ProducerVersion},
		{"model domain", a.ModelDomain, b.ModelDomain}, {"model version", a.ModelVersion, b.ModelVersion}, {"model doc", a.ModelDoc, b.ModelDoc},
		{"number of nodes", len(a.Nodes), len(b.Nodes)},
	} {
		if p.a != p.b {
			return fmt.Errorf("ir: %s: %v and %v", p.what, p.a, p.b)
		}
	}
	if !slices.Equal(a.Opsets, b.Opsets) {
		return fmt.Errorf("ir: opsets: %v and %v", a.Opsets, b.Opsets)
	}
	if !slices.Equal(a.Metadata, b.Metadata) {
		return fmt.Errorf("ir: metadata: %v and %v", a.Metadata, b.Metadata)
	}
	for _, l := range []struct {
		what string
		a, b []ValueInfo
	}{{"inputs", a.Inputs, b.Inputs}, {"outputs", a.Outputs, b.Outputs}} {
		if !slices.EqualFunc(l.a, l.b, sameInfo) {
			return fmt.Errorf("ir: %s: %v and %v", l.what, l.a, l.b)
		}
	}
	for i, n := range a.Nodes {
		if err := equalNodes(n, b.Nodes[i]); err != nil {
			return fmt.Errorf("ir: node %d: %w", i, err)
		}
	}
	if err := equalMaps("note on value", a.Info, b.Info, sameInfo); err != nil {
		return err
	}
	return equalMaps("weight", a.Weights, b.Weights, (*Tensor).Equal)
}

func equalMaps[V any](what string, a, b map[string]V, same func(x, y V) bool) error {
	for _, name := range sortedKeys(a) {
		v, ok := b[name]
		if !ok {
			return fmt.Errorf("ir: %s %q: only in the first", what, name)
		}
		if !same(a[name], v) {
			return fmt.Errorf("ir: %s %q differs", what, name)
		}
	}
	for _, name := range sortedKeys(b) {
		if _, ok := a[name]; !ok {
			return fmt.Errorf("ir: %s %q: only in the second", what, name)
		}
	}
	return nil
}

func sameInfo(a, b ValueInfo) bool {
	return a.Name == b.Name && a.DType == b.DType && a.Doc == b.Doc && (a.Shape == nil) == (b.Shape == nil) &&
		slices.Equal(a.Shape, b.Shape)
}

func equalNodes(a, b *Node) error {
	if a.Name != b.Name || a.Op != b.Op || a.Domain != b.Domain || a.Doc != b.Doc {
		return fmt.Errorf("%s and %s", a.Label(), b.Label())
	}
	for _, l := range []struct {
		what string
		a, b []string
	}{{"inputs", a.Inputs, b.Inputs}, {"outputs", a.Outputs, b.Outputs}, {"captures", a.Captures, b.Captures}} {
		if !slices.Equal(l.a, l.b) {
			return fmt.Errorf("%s: %s %q and %q", a.Label(), l.what, l.a, l.b)
		}
	}
	if err := equalMaps("attribute", a.Attrs, b.Attrs, sameAttr); err != nil {
		return fmt.Errorf("%s: %w", a.Label(), err)
	}
	return nil
}

func sameAttr(a, b Attr) bool {
	sameBits := func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }
	return a.Kind == b.Kind && a.Int == b.Int && sameBits(a.Float, b.Float) && a.String == b.String && a.Tensor.Equal(b.Tensor) &&
		slices.Equal(a.Ints, b.Ints) && slices.EqualFunc(a.Floats, b.Floats, sameBits) && slices.Equal(a.Strings, b.Strings) &&
		slices.Equal(a.Raw, b.Raw)
}
