// Package cost counts what a network costs, and what it would cost with parts of it removed.
//
// In goes an ir.Graph, for the soft cost with its space.Space; out come multiply-accumulates, parameters and activation bytes for one
// sample. A cost is a sum of terms, each a constant times the sizes of axes times the presence of blocks. Count evaluates them with every size
// as it stands, Model.At with the sizes that a selection leaves, Model.Eval with soft masks. All three read the same terms, so
// they cannot drift apart: Count(prune.Apply(g, s, sel)) equals NewModel(g, s).At(sel), to the last unit, in all three metrics.
//
// What is counted:
//   - MACs: convolutions, also transposed ones, Gemm, MatMul, Einsum of several operands and Attention, without bias; nothing for norms, activations, pooling and element-wise operators.
//   - Params: the elements of floating-point weights that the forward pass reads: kernels, matrices, biases, scales and shifts of
//     norms. Not counted are running statistics, scalars (rank 0) and settings such as the bounds of a Clip. A weight read in several
//     places counts once.
//   - Bytes: four for each element of each floating-point value that a node writes. Views of a value write nothing: Identity, Dropout,
//     Reshape, Flatten, Squeeze, Unsqueeze. A Pad of one channel that only a Gather reads, which is what a channel pad becomes when its
//     channels are cut (space.GatheredPad), writes nothing either: the pair writes what the Gather writes.
//
// Nodes that no output depends on count nothing.
package cost

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// Cost is what one sample costs.
type Cost struct {
	MACs   int64 `json:"macs"`   // multiply-accumulates
	Params int64 `json:"params"` // weights
	Bytes  int64 `json:"bytes"`  // activations written, as float32
}

// Of is one metric of the cost.
func (c Cost) Of(k Metric) int64 { return *c.at(k) }

func (c *Cost) at(k Metric) *int64 {
	switch k {
	case Params:
		return &c.Params
	case Bytes:
		return &c.Bytes
	}
	return &c.MACs
}

// Metric is one kind of cost.
type Metric uint8

const (
	MACs Metric = iota
	Params
	Bytes

	metrics = 3

	// Latency is a time on some machine. It is measured and not counted: no Cost and no Model holds it.
	Latency Metric = metrics
)

func (k Metric) String() string {
	return [...]string{"macs", "params", "bytes", "latency"}[k%(metrics+1)]
}

// ParseMetric reads the name of a metric: macs, params or bytes.
func ParseMetric(s string) (Metric, error) {
	for k := range Metric(metrics) {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, fmt.Errorf("cost: %q is no metric; there are macs, params and bytes", s)
}

// Layer is the cost of one node. A weight that several nodes read counts at the first.
type Layer struct {
	Node string // label of the node
	Op   string
	Cost
}

// Count is the cost of g for one sample. A symbolic first axis of the inputs is the batch and counts as 1; a batch size written in the file
// counts as it stands. Sizes of layers must be known otherwise; the error names every layer for which they are not.
func Count(g *ir.Graph) (Cost, error) {
	m, err := NewModel(g, nil)
	if err != nil {
		return Cost{}, err
	}
	return m.full, nil
}

// Layers is the cost of each node that costs anything, in graph order.
func Layers(g *ir.Graph) ([]Layer, error) {
	entries, err := account(g, nil)
	if err != nil {
		return nil, err
	}
	byNode := map[*ir.Node]*Cost{}
	for _, e := range entries {
		c := byNode[e.node]
		if c == nil {
			c = &Cost{}
			byNode[e.node] = c
		}
		*c.at(e.metric) += e.coef
	}
	var layers []Layer
	for _, n := range g.Nodes {
		if c := byNode[n]; c != nil && *c != (Cost{}) {
			layers = append(layers, Layer{n.Label(), n.Op, *c})
		}
	}
	return layers, nil
}
