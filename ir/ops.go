package ir

import (
	"fmt"
	"math"
	"slices"
)

// The operator table: one row per operator that this package understands. Rows stand in the files of their families.

// operator is one row.
type operator struct {
	inputs, outputs span
	attrs           kinds

	// infer sets types and shapes of the outputs. It is called with as many inputs and outputs as the row allows, of any shape.
	infer func(*call) error

	// eval computes the outputs of a node whose inputs are constants, or integers that may be symbolic sizes. It is called after
	// infer has succeeded and gives nil where it cannot tell. Rows without it are never folded.
	eval func(*call) []*val

	// shapesOnly marks an operator whose outputs follow from the shapes of its inputs.
	shapesOnly bool
}

// span is how many inputs or outputs a node may have.
type span struct{ min, max int }

var one = span{1, 1}

const many = math.MaxInt

// kinds are the attributes of an operator in every opset this package reads, with the kind of each.
type kinds map[string]AttrKind

var families = []map[string]operator{
	convOps, mathOps, reduceOps, shapeOps, constantOps, normOps, indexOps, blockOps, attentionOps, lossOps,
}

// row finds the operator of a node.
func row(op, domain string) (operator, bool) {
	switch {
	case Standard(domain):
	case domain == DomainDMS:
		op = DomainDMS + "." + op
	default:
		return operator{}, false
	}
	for _, family := range families {
		if r, ok := family[op]; ok {
			return r, true
		}
	}
	return operator{}, false
}

// Known tells whether the operator has a row in the table: whether its shapes are inferred.
func Known(op, domain string) bool {
	_, ok := row(op, domain)
	return ok
}

// Operators lists the operators with a row, sorted; those of DomainDMS are written "dms.Name".
func Operators() []string {
	var names []string
	for _, family := range families {
		for op := range family {
			names = append(names, op)
		}
	}
	slices.Sort(names)
	return names
}

// check holds a node against its row: numbers of inputs and outputs, required inputs, kinds of attributes.
func (r operator) check(n *Node) []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fault(n, format, args...)) }
	if len(n.Inputs) < r.inputs.min || len(n.Inputs) > r.inputs.max {
		add("%d inputs, want %v", len(n.Inputs), r.inputs)
	}
	for i, name := range n.Inputs[:min(len(n.Inputs), r.inputs.min)] {
		if name == "" {
			add("input %d is left out", i)
		}
	}
	if len(n.Outputs) < r.outputs.min || len(n.Outputs) > r.outputs.max {
		add("%d outputs, want %v", len(n.Outputs), r.outputs)
	}
	for _, name := range sortedKeys(n.Attrs) {
		if want, ok := r.attrs[name]; ok && n.Attrs[name].Kind != want {
			add("attribute %s is a %v, want a %v", name, n.Attrs[name].Kind, want)
		}
	}
	return faults
}

func (s span) String() string {
	switch {
	case s.min == s.max:
		return fmt.Sprint(s.min)
	case s.max == many:
		return fmt.Sprintf("%d or more", s.min)
	}
	return fmt.Sprintf("%d to %d", s.min, s.max)
}

var kindNames = map[AttrKind]string{
	AttrFloat: "float", AttrInt: "int", AttrString: "string", AttrTensor: "tensor", AttrFloats: "floats", AttrInts: "ints",
	AttrStrings: "strings", AttrRaw: "raw",
}

func (k AttrKind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}
