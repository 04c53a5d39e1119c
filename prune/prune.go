// Package prune cuts a graph: a network and a selection go in, a smaller network that computes the same as the hard-masked one comes out.
//
// Everything it removes it reads off space.Space: which positions of which axis of which weight stay. The only knowledge of operators is
// where they state sizes or positions as constants (the group count of a Conv, the target of a Reshape, the bounds of a Slice), which
// have to be restated (restate.go). The result is checked before it is handed out: it validates, and the shape of every value is the one
// that the space foretells.
package prune

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// Apply makes the graph that keeps only the selected elements. g is the graph that s was found in and stays as it is; the result shares no
// memory with it. Names of nodes, inputs, outputs and weights survive, and so do metadata and opsets; with a selection that keeps everything the
// result equals g, but for nodes and weights that no output depends on. A channel pad of which channels are cut becomes a Pad and a Gather.
//
// Errors: everything that is wrong with the selection (Selection.Check), or a space that belongs to another graph.
func Apply(g *ir.Graph, s *space.Space, sel space.Selection) (*ir.Graph, error) {
	if err := sel.Check(s); err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	shapes, err := ir.InferShapes(g, nil)
	if err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	weightless := *g
	weightless.Weights = map[string]*ir.Tensor{}
	c := &cutter{g: g, s: s, masks: sel.Masks(s), shapes: shapes, consumers: ir.Consumers(g), producers: ir.Producers(g), out: weightless.Clone()}
	if err := c.checkSpace(); err != nil {
		return nil, err
	}
	c.dropBlocks()
	if err := c.restateNodes(); err != nil {
		return nil, err
	}
	c.cutWeights(c.sweep())
	if err := c.checkResult(); err != nil {
		return nil, err
	}
	return c.out, nil
}

// cutter is the state of one Apply.
type cutter struct {
	g         *ir.Graph // as it was
	s         *space.Space
	masks     [][]bool
	shapes    map[string]ir.ValueInfo // of g
	consumers map[string][]ir.Use     // of g
	producers map[string]*ir.Node     // of g
	out       *ir.Graph               // first without weights but those that are restated; the others are copied once, when it is clear what stays
}

// checkSpace makes sure that every axis of the space has the size of the graph's.
func (c *cutter) checkSpace() error {
	for v, axes := range c.s.Axes {
		shape := c.shape(v)
		for i, axis := range axes {
			if axis != nil && (i >= len(shape) || !fits(shape[i], axis)) {
				return fmt.Errorf("prune: %q: the space has %d positions on axis %d, the graph has %v; find the space of this graph", v, axis.Len(), i, shape)
			}
		}
	}
	for _, group := range c.s.Groups {
		for _, b := range group.Blocks {
			if c.node(b.Add) == nil {
				return fmt.Errorf("prune: block %q: the graph has no node %q; find the space of this graph", b.Name, b.Add)
			}
		}
	}
	return nil
}

// fits tells whether an axis of size d may have this description: as many positions, or, where symbols multiply them, a period of so many.
func fits(d ir.Dim, axis space.Axis) bool {
	if d.Known() {
		return d.Size == axis.Len()
	}
	_, ok := d.Over(ir.Dim{Size: axis.Len()})
	return ok
}

func (c *cutter) shape(v string) ir.Shape {
	if w := c.g.Weights[v]; w != nil {
		return ir.Fixed(w.Shape...)
	}
	return c.shapes[v].Shape
}

// node finds a node of the uncut graph by its ID.
func (c *cutter) node(id string) *ir.Node {
	for _, n := range c.g.Nodes {
		if n.ID() == id {
			return n
		}
	}
	return nil
}

// kept lists the positions of an axis that stay, ascending; all is true when none goes.
func (c *cutter) kept(v string, axis int) (positions []int, all bool) {
	refs := c.s.Axis(v, axis)
	for p := range refs.Len() {
		if refs.Kept(p, c.masks) {
			positions = append(positions, p)
		}
	}
	return positions, len(positions) == refs.Len()
}

// size is how many positions of an axis stay.
func (c *cutter) size(v string, axis int) ir.Dim {
	d := c.shape(v)[axis]
	refs := c.s.Axis(v, axis)
	if refs == nil {
		return d
	}
	positions, _ := c.kept(v, axis)
	if d.Known() {
		return ir.Dim{Size: len(positions)}
	}
	period, _ := d.Over(ir.Dim{Size: refs.Len()})
	return period.Times(len(positions))
}

// dropBlocks takes out the residual branches that were not selected: whoever read x + f(x) reads x. A sum that is an output of the graph keeps its
// name through an Identity.
func (c *cutter) dropBlocks() {
	same := map[string]string{}
	for i, group := range c.s.Groups {
		for k, b := range group.Blocks {
			if !c.masks[i][k] {
				same[b.Add] = c.node(b.Add).Inputs[1-b.Branch]
			}
		}
	}
	if len(same) == 0 {
		return
	}
	final := func(v string) string {
		for {
			x, ok := same[v]
			if !ok {
				return v
			}
			v = x
		}
	}
	outputs := map[string]bool{}
	for _, v := range c.out.Outputs {
		outputs[v.Name] = true
	}
	var nodes []*ir.Node
	for _, n := range c.out.Nodes {
		for i, v := range n.Inputs {
			n.Inputs[i] = final(v)
		}
		for i, v := range n.Captures {
			n.Captures[i] = final(v)
		}
		if _, gone := same[n.ID()]; !gone {
			nodes = append(nodes, n)
		} else if outputs[n.ID()] {
			nodes = append(nodes, &ir.Node{Name: n.Name, Op: "Identity", Inputs: []string{final(n.ID())}, Outputs: []string{n.ID()}, Doc: n.Doc})
		}
	}
	c.out.Nodes = nodes
}

// cutWeights copies the kept positions of every weight that is read.
func (c *cutter) cutWeights(read map[string]bool) {
	for name, w := range c.g.Weights {
		if !read[name] || c.out.Weights[name] != nil {
			continue
		}
		cut := w
		for axis := range w.Shape {
			if positions, all := c.kept(name, axis); !all {
				cut = take(cut, axis, positions)
			}
		}
		if cut == w {
			cut = w.Clone()
		}
		c.out.Weights[name] = cut
	}
}

// take copies the given positions of one axis of a tensor.
func take(t *ir.Tensor, axis int, positions []int) *ir.Tensor {
	outer, inner := 1, 1
	for i, n := range t.Shape {
		if i < axis {
			outer *= n
		} else if i > axis {
			inner *= n
		}
	}
	shape := append([]int(nil), t.Shape...)
	shape[axis] = len(positions)
	u := &ir.Tensor{DType: t.DType, Shape: shape}
	switch {
	case t.F32 != nil:
		u.F32 = takeRuns(t.F32, outer, t.Shape[axis], inner, positions)
	case t.I64 != nil:
		u.I64 = takeRuns(t.I64, outer, t.Shape[axis], inner, positions)
	case t.Strs != nil:
		u.Strs = takeRuns(t.Strs, outer, t.Shape[axis], inner, positions)
	case len(t.Raw) > 0:
		u.Raw = takeRuns(t.Raw, outer, t.Shape[axis], len(t.Raw)/(outer*t.Shape[axis]), positions)
	}
	return u
}

// takeRuns copies, for each of outer stretches of size runs of length inner, the runs at the given positions.
func takeRuns[E any](from []E, outer, size, inner int, positions []int) []E {
	to := make([]E, 0, outer*len(positions)*inner)
	for o := range outer {
		for _, p := range positions {
			at := (o*size + p) * inner
			to = append(to, from[at:at+inner]...)
		}
	}
	return to
}

// sweep drops nodes that no output depends on, and restates what the graph says about the shapes of values that are left. It returns the names
// that are read.
func (c *cutter) sweep() map[string]bool {
	g := c.out
	producers := ir.Producers(g)
	live, read := map[*ir.Node]bool{}, map[string]bool{}
	var pending []string
	for _, v := range g.Outputs {
		pending = append(pending, v.Name)
	}
	for len(pending) > 0 {
		v := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if read[v] {
			continue
		}
		read[v] = true
		if p := producers[v]; p != nil && !live[p] {
			live[p] = true
			pending = append(append(pending, p.Inputs...), p.Captures...)
		}
	}
	var nodes []*ir.Node
	written := map[string]bool{}
	for _, v := range g.Inputs {
		written[v.Name] = true
	}
	for _, n := range g.Nodes {
		if live[n] {
			nodes = append(nodes, n)
			for _, v := range n.Outputs {
				written[v] = true
			}
		}
	}
	g.Nodes = nodes
	for name := range g.Weights {
		if !read[name] {
			delete(g.Weights, name)
		}
	}
	for name, info := range g.Info {
		if !written[name] && !read[name] {
			delete(g.Info, name)
			continue
		}
		for axis := range info.Shape {
			if axes := c.s.Axes[name]; axis < len(axes) && axes[axis] != nil {
				info.Shape[axis] = c.size(name, axis)
			}
		}
		g.Info[name] = info
	}
	return read
}

// checkResult compares the cut graph with what the space foretells. A difference is a fault in a rule of package space or in restate.go, and
// must not reach a file.
func (c *cutter) checkResult() error {
	if err := ir.Validate(c.out); err != nil {
		return fmt.Errorf("prune: the cut graph is not valid: %w", err)
	}
	shapes, err := ir.InferShapes(c.out, nil)
	if err != nil {
		return fmt.Errorf("prune: the cut graph is not valid: %w", err)
	}
	var errs []error
	for _, n := range c.out.Nodes {
		for _, v := range n.Outputs {
			before, known := c.shapes[v]
			if v == "" || !known || before.Shape == nil {
				continue
			}
			want := append(ir.Shape(nil), before.Shape...)
			for axis := range want {
				want[axis] = c.size(v, axis)
			}
			if got := shapes[v].Shape; !slices.Equal(got, want) {
				errs = append(errs, fmt.Errorf("prune: %s: %q comes out as %v, expected %v", n.Label(), v, got, want))
			}
		}
	}
	return errors.Join(errs...)
}
