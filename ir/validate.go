package ir

import (
	"errors"
	"fmt"
	"slices"
)

// Validate checks what every stage relies on: each value is written once, before it is read; no value is both a weight and
// computed; operators of the table have as many inputs and outputs and such attributes as their row allows; weights hold as many
// elements as their shapes state; outputs exist. The error joins all faults, each naming its place. Shapes are InferShapes' matter.
func Validate(g *Graph) error {
	if g == nil {
		return errors.New("ir: graph is nil")
	}
	if i := slices.Index(g.Nodes, nil); i >= 0 {
		return fmt.Errorf("ir: node %d is nil", i)
	}
	var faults []error
	add := func(err error) { faults = append(faults, err) }

	writer := map[string]string{} // value → what writes it, in words
	write := func(name, what string) {
		if before, ok := writer[name]; ok {
			add(fmt.Errorf("ir: value %q is written by %s and by %s", name, before, what))
			return
		}
		writer[name] = what
	}
	for _, name := range sortedKeys(g.Weights) {
		if name == "" {
			add(errors.New("ir: a weight has no name"))
			continue
		}
		if err := checkWeight(name, g.Weights[name]); err != nil {
			add(err)
		}
		write(name, "a weight")
	}
	for _, in := range g.Inputs {
		if in.Name == "" {
			add(errors.New("ir: a graph input has no name"))
			continue
		}
		if err := checkShape(in.Shape); err != nil {
			add(fmt.Errorf("ir: input %q: %w", in.Name, err))
		}
		write(in.Name, "a graph input")
	}
	later := Producers(g)
	for _, n := range g.Nodes {
		faults = append(faults, checkNode(n)...)
		for _, name := range append(n.Inputs[:len(n.Inputs):len(n.Inputs)], n.Captures...) {
			if name == "" || writer[name] != "" {
				continue
			}
			if p := later[name]; p != nil {
				add(fault(n, "reads %q, which %s writes at or after it: nodes must stand in topological order", name, p.Label()))
			} else {
				add(fault(n, "reads %q, which no input, weight or node provides", name))
			}
		}
		for _, name := range n.Outputs {
			if name != "" {
				write(name, n.Label())
			}
		}
	}
	seen := map[string]bool{}
	for _, out := range g.Outputs {
		switch {
		case seen[out.Name]:
			add(fmt.Errorf("ir: output %q is listed twice", out.Name))
		case writer[out.Name] == "":
			add(fmt.Errorf("ir: output %q: no input, weight or node provides it", out.Name))
		}
		seen[out.Name] = true
	}
	return errors.Join(faults...)
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
		if a.Tensor == nil {
			faults = append(faults, fault(n, "attribute %s is a tensor without a value", name))
		} else if err := a.Tensor.check(); err != nil {
			faults = append(faults, fault(n, "attribute %s: %w", name, err))
		}
	}
	if r, ok := row(n.Op, n.Domain); ok {
		faults = append(faults, r.check(n)...)
	}
	return faults
}
