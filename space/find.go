package space

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// maxAtoms bounds the positions that are produced in all, about a hundred times those of the largest network known here, and maxAxis those of one axis
// that is put together: a hundred times the flattened features of a VGG. A detector's anchors and their channels in one axis are more, and stay.
const (
	maxAtoms = 1 << 24
	maxAxis  = 1 << 22
)

// Find describes what can be removed from g, which has been folded (ir.Fold). g is not changed.
//
// It walks the nodes once in order, each by the rule of its operator (rules.go), and then collects what the rules tied. An operator
// without a rule freezes all it touches. The error is g's own: shapes that do not fit, weights that are missing.
func Find(g *ir.Graph, o Options) (*Space, error) {
	shapes, err := ir.InferShapes(g, nil)
	if err != nil {
		return nil, fmt.Errorf("space: %w", err)
	}
	f := &finder{
		g: g, o: o, shapes: shapes,
		axes: map[string][]label{}, given: map[string][]bool{},
		consumers: ir.Consumers(g), producers: ir.Producers(g),
		outputs: map[string]bool{}, order: map[*ir.Node]int{}, stated: map[entry]label{},
	}
	for _, v := range g.Outputs {
		f.outputs[v.Name] = true
	}
	for i, n := range g.Nodes {
		f.order[n] = i
		f.visit(n)
	}
	for _, v := range g.Outputs {
		c := &cause{reason: fmt.Sprintf("it is the network's output %q", v.Name)}
		for _, l := range f.axes[v.Name] {
			for _, a := range l {
				if a != atomFixed {
					f.sets.freeze(a, c)
				}
			}
		}
	}
	return f.collect()
}

// finder is the state of one Find.
type finder struct {
	iced      map[*int32]int // labels that are frozen from their beginning, by how far: anchors of detectors are hundreds of thousands, and many nodes hold them
	g         *ir.Graph
	o         Options
	shapes    map[string]ir.ValueInfo
	consumers map[string][]ir.Use
	producers map[string]*ir.Node
	outputs   map[string]bool
	order     map[*ir.Node]int

	sets sets

	// axes describes what has been visited. given tells which axes of a weight are described: a weight takes the description of its first reader
	// and ties later ones to it.
	axes  map[string][]label
	given map[string][]bool

	// parts are coordinates of axes: elements along one are no elements along the other, even where no axis holds one of them alone.
	parts []label

	origins []origin
	ties    []knot
	former  []formerName
	uses    []place
	roles   []role
	stated  map[entry]label
}

// role says what the positions of an axis are for, which names their group.
type role struct {
	at   label
	what string
}

// origin is an axis whose positions were made: a layer's output.
type origin struct {
	value string // the weight, or the value where no weight makes it
	axis  int
	node  *ir.Node
	at    label
	rank  rank
}

// rank orders origins by who names a group: the layers that write to it, or else a pad, or else an operand that no layer made.
type rank uint8

const (
	layer rank = iota
	padded
	operand
)

// place is a Use before groups exist.
type place struct {
	node        *ir.Node
	input, axis int
	elems       label
	weight      string
	weightAxis  int
	weightElems label
	mean        bool
}

// visit runs the rule of n's operator. Outputs without a description afterwards stay whole.
func (f *finder) visit(n *ir.Node) {
	rule, ok := rules[n.Op]
	if !ok || !ir.Standard(n.Domain) {
		f.hold(n, "no rule tells how "+n.Op+" moves or mixes positions")
		return
	}
	if len(n.Captures) > 0 {
		f.hold(n, "it holds subgraphs")
		return
	}
	for _, v := range n.Inputs {
		if v != "" && f.shape(v) == nil {
			reason := fmt.Sprintf("the shape of its input %q is not known", v)
			if p := f.producers[v]; p != nil {
				reason += ", which " + p.Label() + " makes"
			}
			f.hold(n, reason)
			return
		}
	}
	if n.Outputs[0] == "" || f.shape(n.Outputs[0]) == nil {
		f.hold(n, "the shape of its output is not known")
		return
	}
	rule(f, n)
}

// hold freezes everything n reads; what it writes stays whole.
func (f *finder) hold(n *ir.Node, reason string) {
	for _, v := range append(append([]string(nil), n.Inputs...), n.Captures...) {
		if v == "" {
			continue
		}
		if f.isWeight(v) {
			for axis := range f.g.Weights[v].Shape {
				f.give(v, axis, nil, n, reason)
			}
			continue
		}
		f.freezeFrom(f.axes[v], 0, n, reason)
	}
}

func (f *finder) isWeight(v string) bool {
	_, ok := f.g.Weights[v]
	return ok
}

// shape is the shape of a value or weight, nil where it is not known.
func (f *finder) shape(v string) ir.Shape {
	if w, ok := f.g.Weights[v]; ok {
		return ir.Fixed(w.Shape...)
	}
	return f.shapes[v].Shape
}

// in describes input i of n, one label per axis.
func (f *finder) in(n *ir.Node, i int) []label {
	v := n.Input(i)
	axes := make([]label, len(f.shape(v)))
	for axis := range axes {
		axes[axis] = f.label(v, axis)
	}
	return axes
}

// label is one axis of a weight or of a value that has been visited. A weight that nobody has described yet gets positions of its own.
func (f *finder) label(v string, axis int) label {
	if w, ok := f.g.Weights[v]; ok {
		f.describe(v)
		if axis >= len(w.Shape) {
			return nil
		}
		if !f.given[v][axis] {
			f.given[v][axis] = true
			if w.Shape[axis] > 1 && w.DType.IsFloat() {
				f.axes[v][axis] = f.fresh(nil, v, axis, w.Shape[axis], operand)
			}
		}
	}
	if axes := f.axes[v]; axis < len(axes) {
		return axes[axis]
	}
	return nil
}

// out describes output 0 of n.
func (f *finder) out(n *ir.Node, axes []label) { f.axes[n.Outputs[0]] = axes }

// give describes one axis of a weight: the first reader decides, the others are tied to it.
func (f *finder) give(w string, axis int, l label, n *ir.Node, why string) {
	f.describe(w)
	if !f.given[w][axis] {
		f.given[w][axis] = true
		f.axes[w][axis] = l
		return
	}
	f.tie(f.axes[w][axis], l, n, why)
}

func (f *finder) describe(w string) {
	if _, ok := f.given[w]; !ok {
		rank := len(f.g.Weights[w].Shape)
		f.given[w] = make([]bool, rank)
		f.axes[w] = make([]label, rank)
	}
}

// produce describes the output axis of a layer: positions of their own, unless another reader of the same weight has described it.
func (f *finder) produce(n *ir.Node, w string, axis int) label {
	f.describe(w)
	if !f.given[w][axis] {
		f.given[w][axis] = true
		f.axes[w][axis] = f.fresh(n, w, axis, f.g.Weights[w].Shape[axis], layer)
	}
	return f.axes[w][axis]
}

// fresh makes the positions of a new axis; nil, positions that stay, when there would be too many to follow.
func (f *finder) fresh(n *ir.Node, value string, axis, size int, r rank) label {
	l := f.atoms(size)
	if l != nil {
		f.origins = append(f.origins, origin{value, axis, n, l, r})
	}
	return l
}

// atoms makes leaves for an axis that no layer makes.
func (f *finder) atoms(size int) label {
	if size == 0 || len(f.sets.parent)+size > maxAtoms {
		return nil
	}
	l := make(label, size)
	first := f.sets.add(size)
	for i := range l {
		l[i] = first + int32(i)
	}
	return l
}

// use notes that n is a consumer of the positions l at its input: it sums over them with weight w, or ("") without one.
func (f *finder) use(n *ir.Node, input, axis int, l label, w string, weightAxis int, wl label) {
	if l == nil {
		return
	}
	f.uses = append(f.uses, place{n, input, axis, l, w, weightAxis, wl, false})
}

// average notes that n takes the mean over the positions l of its input 0.
func (f *finder) average(n *ir.Node, axis int, l label) {
	switch {
	case l == nil:
	case !f.shape(n.Input(0))[axis].Known():
		f.freeze(l, n, "takes the mean over them and over what has no known size")
	default:
		f.uses = append(f.uses, place{node: n, axis: axis, elems: l, mean: true})
	}
}
