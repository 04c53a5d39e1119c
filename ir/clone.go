package ir

import (
	"maps"
	"slices"
)

// Clone is a deep copy: nothing in it is shared with g.
func (g *Graph) Clone() *Graph {
	c := *g
	c.Opsets = slices.Clone(g.Opsets)
	c.Metadata = slices.Clone(g.Metadata)
	c.Inputs = cloneInfos(g.Inputs)
	c.Outputs = cloneInfos(g.Outputs)
	c.Info = maps.Clone(g.Info)
	for name, v := range c.Info {
		v.Shape = slices.Clone(v.Shape)
		c.Info[name] = v
	}
	c.Nodes = slices.Clone(g.Nodes)
	for i, n := range c.Nodes {
		c.Nodes[i] = n.Clone()
	}
	c.Weights = maps.Clone(g.Weights)
	for name, t := range c.Weights {
		c.Weights[name] = t.Clone()
	}
	return &c
}

// Clone is a deep copy.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Inputs = slices.Clone(n.Inputs)
	c.Outputs = slices.Clone(n.Outputs)
	c.Captures = slices.Clone(n.Captures)
	c.Attrs = maps.Clone(n.Attrs)
	for name, a := range c.Attrs {
		a.Tensor = a.Tensor.Clone()
		a.Ints = slices.Clone(a.Ints)
		a.Floats = slices.Clone(a.Floats)
		a.Strings = slices.Clone(a.Strings)
		a.Raw = slices.Clone(a.Raw)
		c.Attrs[name] = a
	}
	return &c
}

func cloneInfos(in []ValueInfo) []ValueInfo {
	out := slices.Clone(in)
	for i := range out {
		out[i].Shape = slices.Clone(out[i].Shape)
	}
	return out
}
