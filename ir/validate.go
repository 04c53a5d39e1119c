package ir

import (
	"errors"
	"fmt"
	"slices"
)

// maxFaults bounds the faults that Validate lists: a hostile graph may have one in every name.
const maxFaults = 32

// Validate checks what every stage relies on: each value is written once, before it is read; no value is both a weight and
// computed; operators of the table have as many inputs and outputs and such attributes as their row allows; weights hold as many
// elements as their shapes state; outputs exist. The error joins the faults, each naming its place, up to maxFaults of them; a last
// line says where more were left out. Shapes are InferShapes' matter.
func Validate(g *Graph) error {
	if g == nil {
		return errors.New("ir: graph is nil")
	}
	if i := slices.Index(g.Nodes, nil); i >= 0 {
		return fmt.Errorf("ir: node %d is nil", i)
	}
	c := &checker{g: g, writer: make(map[string]*Node, len(g.Weights)+len(g.Inputs)+len(g.Nodes))}
	for _, check := range []func(){c.weights, c.inputs, c.nodes, c.outputs} {
		if check(); c.full() {
			c.faults = append(c.faults, fmt.Errorf("ir: stopped after %d faults", maxFaults))
			break
		}
	}
	return errors.Join(c.faults...)
}

// checker is one Validate. Its steps end where it is full.
type checker struct {
	g      *Graph
	faults []error
	writer map[string]*Node // what writes a value: a node, aWeight or anInput
	later  map[string]*Node // Producers of the graph, once a fault asks for them
}

var aWeight, anInput = &Node{}, &Node{}

func (c *checker) full() bool { return len(c.faults) >= maxFaults }

func (c *checker) add(list ...error) {
	c.faults = append(c.faults, list[:min(len(list), maxFaults-len(c.faults))]...)
}

func (c *checker) weights() {
	for _, name := range sortedKeys(c.g.Weights) {
		if name == "" {
			c.add(errors.New("ir: a weight has no name"))
		} else if err := checkWeight(name, c.g.Weights[name]); err != nil {
			c.add(err)
		}
		if c.write(name, aWeight); c.full() {
			return
		}
	}
}

func (c *checker) inputs() {
	for _, in := range c.g.Inputs {
		if in.Name == "" {
			c.add(errors.New("ir: a graph input has no name"))
		} else if err := checkShape(in.Shape); err != nil {
			c.add(fmt.Errorf("ir: input %s: %w", quote(in.Name), err))
		}
		if c.write(in.Name, anInput); c.full() {
			return
		}
	}
}

func (c *checker) nodes() {
	for _, n := range c.g.Nodes {
		c.add(checkNode(n)...)
		for _, list := range [][]string{n.Inputs, n.Captures} {
			for _, name := range list {
				if c.read(n, name); c.full() {
					return
				}
			}
		}
		for _, name := range n.Outputs {
			if c.write(name, n); c.full() {
				return
			}
		}
	}
}

func (c *checker) outputs() {
	seen := map[string]bool{}
	for _, out := range c.g.Outputs {
		switch {
		case seen[out.Name]:
			c.add(fmt.Errorf("ir: output %s is listed twice", quote(out.Name)))
		case c.writer[out.Name] == nil:
			c.add(fmt.Errorf("ir: output %s: no input, weight or node provides it", quote(out.Name)))
		}
		if seen[out.Name] = true; c.full() {
			return
		}
	}
}

func (c *checker) read(n *Node, name string) {
	if name == "" || c.writer[name] != nil {
		return
	}
	if c.later == nil {
		c.later = Producers(c.g)
	}
	if p := c.later[name]; p != nil {
		c.add(fault(n, "reads %s, which %s writes at or after it: nodes must stand in topological order", quote(name), p.Label()))
	} else {
		c.add(fault(n, "reads %s, which no input, weight or node provides", quote(name)))
	}
}

func (c *checker) write(name string, by *Node) {
	switch before := c.writer[name]; {
	case name == "":
	case before != nil:
		c.add(fmt.Errorf("ir: value %s is written by %s and by %s", quote(name), words(before), words(by)))
	default:
		c.writer[name] = by
	}
}

// words name a writer.
func words(by *Node) string {
	switch by {
	case aWeight:
		return "a weight"
	case anInput:
		return "a graph input"
	}
	return by.Label()
}

func checkNode(n *Node) []error {
	var faults []error
	if n.ID() == "" {
		faults = append(faults, fault(n, "writes no value and has no name"))
	}
	if n.Op == "" {
		faults = append(faults, fault(n, "has no operator"))
	}
	for _, name := range sortedKeys(n.Attrs) {
		a := n.Attrs[name]
		if a.Kind != AttrTensor {
			continue
		}
		if len(faults) >= maxFaults {
			return faults
		}
		if a.Tensor == nil {
			faults = append(faults, fault(n, "attribute %s is a tensor without a value", clip(name)))
		} else if err := a.Tensor.check(); err != nil {
			faults = append(faults, fault(n, "attribute %s: %w", clip(name), err))
		}
	}
	if r, ok := row(n.Op, n.Domain); ok {
		faults = append(faults, r.check(n)...)
	}
	return faults
}
