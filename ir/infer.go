package ir

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// InferShapes computes type and shape of every value: inputs, weights and what nodes write. bind gives symbols numbers, such as
// {"N": 64}; symbols left out stay. Integer values that steer shapes (the target of a Reshape, say) are followed through the graph
// with symbolic sizes, so a graph that Fold has not seen works too. Outputs of operators without a row in the table, and what
// depends on them alone, have a nil shape; that is not an error. The error joins every contradiction found, each naming its node.
func InferShapes(g *Graph, bind map[string]int) (map[string]ValueInfo, error) {
	a := newAnalysis(g, limits{each: maxFollowed})
	if err := a.run(bind); err != nil {
		return nil, err
	}
	for name, v := range a.info {
		for i, d := range v.Shape {
			if strings.Contains(d.Sym, "?") {
				v.Shape[i] = unknown
			}
		}
		a.info[name] = v
	}
	return a.info, nil
}

// maxFollowed is the size of the largest tensor whose elements inference computes; shapes and indices are far below it.
const maxFollowed = 1 << 12

// maxIntegers is the size of the largest tensor of integers that is computed with, be the limit on floats higher: integers may be
// symbolic and take more room meanwhile.
const maxIntegers = 1 << 20

// analysis walks a graph once, in order. Every size that nobody knows gets a symbol of its own, "?1", "?2" and so on, so that what
// is computed from it (the target of a later Reshape) still matches it.
type analysis struct {
	g     *Graph
	opset int64
	info  map[string]ValueInfo
	vals  map[string]*val
	limit limits

	// held tells which values a node is not to be computed from; nil for none.
	held func(n *Node, name string) bool

	unknowns int
}

// limits bound the elements of what is computed: of each value, and of all together where total is not 0.
type limits struct{ each, total int }

func newAnalysis(g *Graph, limit limits) *analysis {
	return &analysis{g: g, opset: g.Opset(""), info: map[string]ValueInfo{}, vals: map[string]*val{}, limit: limit}
}

func (a *analysis) run(bind map[string]int) error {
	var faults []error
	for _, sym := range sortedKeys(bind) {
		if n := bind[sym]; n < 0 || n > maxDim {
			return fmt.Errorf("ir: symbol %q is bound to %d, want 0 … %d", sym, n, maxDim)
		}
	}
	for _, name := range sortedKeys(a.g.Weights) {
		t := a.g.Weights[name]
		if err := checkWeight(name, t); err != nil {
			faults = append(faults, err)
			continue
		}
		a.info[name] = ValueInfo{Name: name, DType: t.DType, Shape: Fixed(t.Shape...)}
	}
	for _, in := range a.g.Inputs {
		shape, err := a.inputShape(in, bind)
		if err != nil {
			faults = append(faults, err)
		}
		a.info[in.Name] = ValueInfo{Name: in.Name, DType: in.DType, Shape: shape, Doc: in.Doc}
	}
	for i, n := range a.g.Nodes {
		if n == nil {
			return fmt.Errorf("ir: node %d is nil", i)
		}
		if err := a.node(n); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func (a *analysis) inputShape(in ValueInfo, bind map[string]int) (Shape, error) {
	if len(in.Shape) > maxRank {
		return nil, fmt.Errorf("ir: input %s: %d axes, the limit is %d", quote(in.Name), len(in.Shape), maxRank)
	}
	shape := slices.Clone(in.Shape)
	for i, d := range shape {
		if strings.Contains(d.Sym, "?") {
			shape[i] = unknown
		} else {
			shape[i] = bindDim(d, bind)
		}
	}
	if err := checkShape(shape); err != nil {
		return nil, fmt.Errorf("ir: input %s: %w", quote(in.Name), err)
	}
	a.number(shape)
	return shape, nil
}

// number gives every "?" of a shape a symbol of its own.
func (a *analysis) number(shape Shape) {
	for i, d := range shape {
		if d.Sym == "?" {
			a.unknowns++
			shape[i].Sym = "?" + strconv.Itoa(a.unknowns)
		}
	}
}

// checkShape holds every known size against the limits.
func checkShape(s Shape) error {
	if len(s) > maxRank {
		return fmt.Errorf("%d axes, the limit is %d", len(s), maxRank)
	}
	for _, d := range s {
		if d.Known() && (d.Size < 0 || d.Size > maxDim) {
			return fmt.Errorf("shape %v has a size outside 0 … %d", s, maxDim)
		}
	}
	return nil
}

func checkWeight(name string, t *Tensor) error {
	if t == nil {
		return fmt.Errorf("ir: weight %s: is nil", quote(name))
	}
	if err := t.check(); err != nil {
		return fmt.Errorf("ir: weight %s: %w", quote(name), err)
	}
	if err := checkShape(Fixed(t.Shape...)); err != nil {
		return fmt.Errorf("ir: weight %s: %w", quote(name), err)
	}
	return nil
}

// call is one node while its row runs.
type call struct {
	*analysis
	*Node
	outs []ValueInfo
}

// node infers and follows one node. After an error its outputs are unknown, so that one fault is reported once.
func (a *analysis) node(n *Node) error {
	for _, name := range n.Outputs {
		if name != "" {
			a.info[name] = ValueInfo{Name: name}
		}
	}
	for _, name := range n.Inputs {
		if _, ok := a.info[name]; !ok && name != "" {
			return fault(n, "reads %s, which no input, weight or earlier node provides", quote(name))
		}
	}
	r, ok := row(n.Op, n.Domain)
	if !ok {
		return nil
	}
	if faults := r.check(n); len(faults) > 0 {
		return errors.Join(faults...)
	}
	c := &call{analysis: a, Node: n, outs: make([]ValueInfo, len(n.Outputs))}
	if err := r.infer(c); err != nil {
		return err
	}
	for i, name := range n.Outputs {
		if err := checkShape(c.outs[i].Shape); err != nil {
			return fault(n, "output %d: %w", i, err)
		}
		if name == "" {
			continue
		}
		// Rules may hand on the shape of an input as it is; a copy keeps values apart.
		shape := slices.Clone(c.outs[i].Shape)
		a.number(shape)
		a.info[name] = ValueInfo{Name: name, DType: c.outs[i].DType, Shape: shape}
	}
	if r.eval == nil || !r.shapesOnly && !c.allFollowed() {
		return nil
	}
	for i, v := range r.eval(c) {
		if i < len(n.Outputs) && n.Outputs[i] != "" && v != nil && a.admit(v) {
			a.vals[n.Outputs[i]] = v
			a.info[n.Outputs[i]] = ValueInfo{Name: n.Outputs[i], DType: v.dtype, Shape: Fixed(v.shape...)}
		}
	}
	return nil
}

func (c *call) allFollowed() bool {
	for _, name := range c.Inputs {
		if name == "" {
			continue
		}
		v := c.value(name)
		if v == nil || c.held != nil && c.held(c.Node, name) || !v.dtype.IsFloat() && v.len() > maxIntegers {
			return false
		}
	}
	return true
}

// room tells whether a value of n elements may be computed.
func (a *analysis) room(n int) bool {
	return n <= a.limit.each && (a.limit.total == 0 || n <= a.limit.total)
}

// admit takes the elements of v from the limit.
func (a *analysis) admit(v *val) bool {
	n := v.len()
	if !a.room(n) {
		return false
	}
	if a.limit.total > 0 {
		a.limit.total -= n
	}
	return true
}

// value is what is known of a value's elements, nil where nothing is.
func (a *analysis) value(name string) *val {
	if v := a.vals[name]; v != nil {
		return v
	}
	t := a.g.Weights[name]
	if t == nil || t.Len() > a.limit.each {
		return nil
	}
	return &val{dtype: t.DType, shape: t.Shape, t: t}
}

// constant is a value as a constant, nil where some element is not known. It serves the views.
func (a *analysis) constant(name string) *Tensor {
	if v := a.value(name); v != nil {
		return v.t
	}
	return nil
}

// in is the type of input i, the zero ValueInfo where it is left out.
func (c *call) in(i int) ValueInfo { return c.info[c.Input(i)] }

// shape is the shape of input i, nil where it is left out or not known.
func (c *call) shape(i int) Shape { return c.in(i).Shape }

// set states the type of output i, if the node has one.
func (c *call) set(i int, d DType, s Shape) {
	if i < len(c.outs) {
		c.outs[i] = ValueInfo{DType: d, Shape: s}
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
