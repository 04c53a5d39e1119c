package prune

import (
	"fmt"
	"math"
	"slices"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// restatements has a row for each operator that states sizes or positions of axes as constants. A row gets the node of the cut graph, whose inputs
// and outputs have the names they had, but for inputs that read across a dropped block; was is the node as it stood in the whole graph.
// What it returns stands after n.
var restatements = map[string]func(c *cutter, n, was *ir.Node) ([]*ir.Node, error){
	"Conv":               (*cutter).restateConv,
	"ConvTranspose":      (*cutter).restateConvTranspose,
	"GroupNormalization": (*cutter).restateGroupNorm,
	"Attention":          (*cutter).restateAttention,
	"RotaryEmbedding":    (*cutter).restateRotary,
	"Reshape":            (*cutter).restateTarget,
	"Expand":             (*cutter).restateTarget,
	"Resize":             (*cutter).restateSizes,

	"ConstantOfShape": (*cutter).restateFilled,

	"Slice":  (*cutter).restateSlice,
	"Split":  (*cutter).restateSplit,
	"Gather": (*cutter).restateGather,
	"Pad":    (*cutter).restatePad,
}

func (c *cutter) restateNodes() error {
	was := map[string]*ir.Node{}
	for _, n := range c.g.Nodes {
		was[n.ID()] = n
	}
	var nodes []*ir.Node
	for _, n := range c.out.Nodes {
		nodes = append(nodes, n)
		restate, ok := restatements[n.Op]
		if !ok || !ir.Standard(n.Domain) || !c.touched(was[n.ID()]) {
			continue
		}
		more, err := restate(c, n, was[n.ID()])
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		nodes = append(nodes, more...)
	}
	c.out.Nodes = nodes
	return nil
}

// touched tells whether a value that n reads or writes loses positions.
func (c *cutter) touched(n *ir.Node) bool {
	for _, v := range append(append([]string(nil), n.Inputs...), n.Outputs...) {
		for axis := range c.s.Axes[v] {
			if _, all := c.kept(v, axis); !all {
				return true
			}
		}
	}
	return false
}

// constant makes input i of n the tensor t: under the old name where n alone reads it, else under a new one.
func (c *cutter) constant(n *ir.Node, i int, t *ir.Tensor) {
	for len(n.Inputs) <= i {
		n.Inputs = append(n.Inputs, "")
	}
	name := n.Inputs[i]
	if name == "" || c.g.Weights[name] != nil && len(c.consumers[name]) != 1 {
		if name == "" {
			name = n.ID()
		}
		name = c.unused(fmt.Sprintf("%s/%s.%d", name, n.ID(), i))
	}
	n.Inputs[i] = name
	c.out.Weights[name] = t
}

// unused makes a value name that the graph does not have yet.
func (c *cutter) unused(name string) string {
	taken := func(v string) bool {
		if _, ok := c.shapes[v]; ok || c.out.Weights[v] != nil || c.g.Weights[v] != nil {
			return true
		}
		return slices.ContainsFunc(c.out.Nodes, func(n *ir.Node) bool { return slices.Contains(n.Outputs, v) })
	}
	free := name
	for k := 2; taken(free); k++ {
		free = fmt.Sprintf("%s.%d", name, k)
	}
	return free
}

// restateConv: the groups that are left are the channels that are left by the channels of each group.
func (c *cutter) restateConv(n, was *ir.Node) ([]*ir.Node, error) {
	if was.Attrs.Int("group", 1) != 1 {
		channels, each := c.size(was.Input(0), 1), c.size(was.Input(1), 1)
		n.Attrs["group"] = ir.IntAttr(int64(channels.Size / each.Size))
	}
	return nil, nil
}

// restateConvTranspose: the groups that are left are the channels that come out by those of each group.
func (c *cutter) restateConvTranspose(n, was *ir.Node) ([]*ir.Node, error) {
	if was.Attrs.Int("group", 1) != 1 {
		channels, each := c.size(was.Outputs[0], 1), c.size(was.Input(1), 1)
		n.Attrs["group"] = ir.IntAttr(int64(channels.Size / each.Size))
	}
	return nil, nil
}

// restateGroupNorm counts the groups of which channels are left.
func (c *cutter) restateGroupNorm(n, was *ir.Node) ([]*ir.Node, error) {
	x := was.Input(0)
	attrs, err := ir.GroupNormOf(c.g, was, c.shape(x))
	if err != nil {
		return nil, err
	}
	n.Attrs["num_groups"] = ir.IntAttr(int64(c.outerLeft(x, 1, attrs.Groups)))
	return nil, nil
}

// restateAttention counts the heads that are left, and states the scale that came of the size of a head where that size changes.
func (c *cutter) restateAttention(n, was *ir.Node) ([]*ir.Node, error) {
	q, k := was.Input(0), was.Input(1)
	shape := c.shape(q)
	attrs, err := ir.AttentionOf(was, shape)
	if err != nil {
		return nil, err
	}
	size := shape[len(shape)-1].Size
	left := c.size(q, len(shape)-1).Size
	if attrs.Packed {
		heads := c.outerLeft(q, 2, attrs.Heads)
		state(n, "q_num_heads", ir.IntAttr(int64(heads)))
		state(n, "kv_num_heads", ir.IntAttr(int64(c.outerLeft(k, 2, attrs.KVHeads))))
		size, left = size/attrs.Heads, left/max(1, heads)
	} else {
		// For operands of four axes they may stand there all the same.
		for name, v := range map[string]string{"q_num_heads": q, "kv_num_heads": k} {
			if was.Attrs.Int(name, 0) != 0 {
				state(n, name, ir.IntAttr(int64(c.size(v, 1).Size)))
			}
		}
	}
	if attrs.Scale == 0 && left != size {
		state(n, "scale", ir.FloatAttr(float32(1/math.Sqrt(float64(size)))))
	}
	return nil, nil
}

// restateRotary counts the heads and the turned places that are left.
func (c *cutter) restateRotary(n, was *ir.Node) ([]*ir.Node, error) {
	x := was.Input(0)
	shape := c.shape(x)
	attrs, err := ir.RotaryOf(was, shape)
	if err != nil {
		return nil, err
	}
	last := len(shape) - 1
	heads := c.size(x, 1).Size
	if last == 2 {
		heads = c.outerLeft(x, last, attrs.Heads)
	}
	if attrs.Heads != 0 {
		state(n, "num_heads", ir.IntAttr(int64(heads)))
	}
	if attrs.Dim != 0 {
		table := was.Input(1)
		state(n, "rotary_embedding_dim", ir.IntAttr(int64(2*c.size(table, len(c.shape(table))-1).Size)))
	}
	return nil, nil
}

// state sets an attribute, also of a node that has none.
func state(n *ir.Node, name string, a ir.Attr) {
	if n.Attrs == nil {
		n.Attrs = ir.Attrs{}
	}
	n.Attrs[name] = a
}

// outerLeft counts the outer coordinates of which positions are left, along an axis that has so many of them.
func (c *cutter) outerLeft(v string, axis, outer int) int {
	positions, all := c.kept(v, axis)
	if all {
		return outer
	}
	each := c.shape(v)[axis].Size / outer
	left := map[int]bool{}
	for _, p := range positions {
		left[p/each] = true
	}
	return len(left)
}

// restateTarget writes the sizes that are left over the numbers of a target shape; 0, −1 and (Expand) 1 mean the same as before.
func (c *cutter) restateTarget(n, was *ir.Node) ([]*ir.Node, error) {
	rank := len(c.shape(was.Outputs[0]))
	return nil, c.restateList(n, was, 1, func(i, size int) int { return rank - size + i }) // Expand aligns its target at the end
}

// restateSizes does the same for a Resize that states sizes: of all axes, or of those listed.
func (c *cutter) restateSizes(n, was *ir.Node) ([]*ir.Node, error) {
	rank, axes := len(c.shape(was.Outputs[0])), was.Attrs.Ints("axes")
	return nil, c.restateList(n, was, 3, func(i, _ int) int {
		if axes == nil {
			return i
		}
		return (int(axes[i]) + rank) % rank
	})
}

// restateFilled does the same for the shape of a constant.
func (c *cutter) restateFilled(n, was *ir.Node) ([]*ir.Node, error) {
	return nil, c.restateList(n, was, 0, func(i, _ int) int { return i })
}

// restateList writes the sizes that are left over those in the constants that make up the given input, where there is one. axis is the axis
// of the output that element i of so many speaks of.
func (c *cutter) restateList(n, was *ir.Node, input int, axis func(i, size int) int) error {
	out := was.Outputs[0]
	size := c.listSize(was.Input(input))
	if was.Input(input) == "" || size < 0 {
		return nil // no axis that loses positions is stated there (package space)
	}
	shape := c.shape(out)
	for i := range size {
		a := axis(i, size)
		if a < 0 || c.s.Axis(out, a) == nil {
			continue
		}
		at, in, index, ok := space.Stated(c.g, c.producers, c.listSize, was, input, i)
		if !ok {
			continue // computed from a value that loses the same positions
		}
		name := at.Inputs[in]
		list, err := c.g.Weights[name].Ints()
		if err != nil {
			return fmt.Errorf("%s: target shape: %w", n.Label(), err)
		}
		// 0 copies a size, which may be that of an axis with other positions; −1 and (Expand) 1 mean the same as before.
		stated := list[index] > 0 && shape[a] == ir.Dim{Size: int(list[index])} ||
			list[index] == 0 && was.Is("Reshape") && shape[a].Known() && was.Attrs.Int("allowzero", 0) == 0 && c.size(was.Input(0), a) != c.size(out, a)
		if left := c.size(out, a); stated && left != shape[a] || stated && list[index] == 0 {
			c.restateEntry(n, was, at, in, index, int64(left.Size))
		}
	}
	return nil
}

// restateEntry writes one number into a constant that node at reads, under a name of its own where others read it.
func (c *cutter) restateEntry(n, was, at *ir.Node, in, index int, to int64) {
	if at != was {
		if n = c.outNode(at.ID()); n == nil {
			return
		}
	}
	t := c.g.Weights[at.Inputs[in]]
	if done := c.out.Weights[n.Inputs[in]]; done != nil {
		t = done // an entry before this one
	}
	list, _ := t.Ints()
	fresh := append([]int64(nil), list...)
	fresh[index] = to
	c.constant(n, in, ir.Ints64(fresh, t.Shape...))
}

func (c *cutter) outNode(id string) *ir.Node {
	for _, n := range c.out.Nodes {
		if n.ID() == id {
			return n
		}
	}
	return nil
}

// listSize is the length of a list of whole numbers, −1 where it is not known.
func (c *cutter) listSize(v string) int {
	if s := c.shape(v); len(s) == 1 && s[0].Known() {
		return s[0].Size
	}
	return -1
}

// restateSlice: what is kept of a range of positions is a range again. What is kept of every so many may not be: that slice, which cuts nothing
// else, becomes a gather.
func (c *cutter) restateSlice(n, was *ir.Node) ([]*ir.Node, error) {
	x := was.Input(0)
	attrs, err := ir.SliceOf(c.g, was, c.shape(x))
	if err != nil {
		return nil, err
	}
	var starts, ends, axes, steps []int64
	moved := false
	for axis, d := range c.shape(x) {
		if !d.Known() {
			continue // kept whole
		}
		start, stop, step := attrs.Start[axis], attrs.Stop[axis], attrs.Step[axis]
		if start == 0 && stop == d.Size && step == 1 {
			continue
		}
		if c.s.Axis(x, axis) != nil {
			positions, all := c.kept(x, axis)
			if step != 1 && !all {
				var from []int64
				for i := range attrs.Len(axis) {
					if at, there := slices.BinarySearch(positions, start+i*step); there {
						from = append(from, int64(at))
					}
				}
				n.Op, n.Inputs, n.Attrs = "Gather", []string{n.Inputs[0], ""}, ir.Attrs{"axis": ir.IntAttr(int64(axis))}
				c.constant(n, 1, ir.Vector64(from...))
				return nil, nil
			}
			moved = moved || !all
			if step == 1 {
				start, _ = slices.BinarySearch(positions, start)
				stop, _ = slices.BinarySearch(positions, stop)
			}
		}
		if stop < 0 { // a negative step that runs to the first position
			stop = -d.Size - 1
		}
		starts, ends, axes, steps = append(starts, int64(start)), append(ends, int64(stop)), append(axes, int64(axis)), append(steps, int64(step))
	}
	if !moved {
		return nil, nil
	}
	if c.g.Opset("") < 10 {
		n.Attrs["starts"], n.Attrs["ends"], n.Attrs["axes"] = ir.IntsAttr(starts...), ir.IntsAttr(ends...), ir.IntsAttr(axes...)
		return nil, nil
	}
	for i, list := range [][]int64{starts, ends, axes, steps} {
		c.constant(n, i+1, ir.Vector64(list...))
	}
	return nil, nil
}

func (c *cutter) restateSplit(n, was *ir.Node) ([]*ir.Node, error) {
	x := was.Input(0)
	axis, _, err := ir.SplitOf(c.g, was, c.shape(x))
	if err != nil {
		return nil, err
	}
	if _, all := c.kept(x, axis); all {
		return nil, nil
	}
	sizes := make([]int64, len(was.Outputs))
	at := 0
	positions, _ := c.kept(x, axis)
	for i, v := range was.Outputs {
		end := len(positions)
		if v != "" {
			end = at + c.size(v, axis).Size
		} else if i+1 < len(was.Outputs) {
			return nil, fmt.Errorf("%s: an output in the middle is left out; its size is not known", n.Label())
		}
		sizes[i] = int64(end - at)
		at = end
	}
	if c.g.Opset("") < 13 {
		n.Attrs["split"] = ir.IntsAttr(sizes...)
		return nil, nil
	}
	delete(n.Attrs, "num_outputs")
	c.constant(n, 1, ir.Vector64(sizes...))
	return nil, nil
}

// restateGather points the indices at the places to which the positions have moved. Behind a channel pad an index of a position that is gone points
// at the pad's zeros.
func (c *cutter) restateGather(n, was *ir.Node) ([]*ir.Node, error) {
	x := was.Input(0)
	axis, err := ir.AxisOf(was, len(c.shape(x)), 0)
	if err != nil {
		return nil, err
	}
	data, table := c.s.Axis(x, axis), c.g.Weights[was.Input(1)]
	if table == nil || data == nil && c.s.Axis(was.Outputs[0], axis) == nil {
		return nil, nil
	}
	at, err := space.Indices(table, c.shape(x)[axis].Size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Label(), err)
	}
	positions, _ := c.kept(x, axis)
	if data == nil {
		positions = upTo(c.shape(x)[axis].Size)
	}
	moved := make([]int64, 0, len(at))
	for i, p := range at {
		if refs := c.s.Axis(was.Outputs[0], axis); refs != nil && len(table.Shape) == 1 {
			if !refs.Kept(i, c.masks) {
				continue
			}
		}
		q, there := slices.BinarySearch(positions, p)
		if !there {
			q = len(positions) - 1 // the zeros stand last; a gather without them never asks for what is gone
		}
		moved = append(moved, int64(q))
	}
	shape := table.Shape
	if len(shape) == 1 {
		shape = []int{len(moved)}
	}
	c.constant(n, 1, ir.Ints64(moved, shape...))
	return nil, nil
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// restatePad handles channel pads, whose two sides lose positions independently: each position that is left on the outside comes from one that is
// left inside or from a zero. Where that is still zeros around everything, it remains a pad; else a pad by one zero and a gather.
func (c *cutter) restatePad(n, was *ir.Node) ([]*ir.Node, error) {
	x, y := was.Input(0), was.Outputs[0]
	rank := len(c.shape(x))
	attrs, err := ir.PadOf(c.g, was, rank)
	if err != nil {
		return nil, err
	}
	if space.GatheredPad(c.g, was, rank, c.consumers) != nil {
		return nil, nil
	}
	axis := -1
	for a := range rank {
		if (attrs.Begin[a] != 0 || attrs.End[a] != 0) && (c.s.Axis(x, a) != nil || c.s.Axis(y, a) != nil) {
			axis = a
		}
	}
	if axis < 0 {
		return nil, nil
	}
	size := c.shape(x)[axis].Size
	inside, outside := upTo(size), upTo(c.shape(y)[axis].Size)
	if c.s.Axis(x, axis) != nil {
		inside, _ = c.kept(x, axis)
	}
	if c.s.Axis(y, axis) != nil {
		outside, _ = c.kept(y, axis)
	}
	from := make([]int64, len(outside))
	for i, p := range outside {
		q, there := slices.BinarySearch(inside, p-attrs.Begin[axis])
		if !there {
			q = len(inside)
		}
		from[i] = int64(q)
	}
	begin := slices.Index(from, 0)
	plain := begin >= 0 && begin+len(inside) <= len(from)
	for i, q := range from {
		if plain && i >= begin && i < begin+len(inside) {
			plain = q == int64(i-begin)
		} else {
			plain = plain && q == int64(len(inside))
		}
	}
	if plain {
		attrs.Begin[axis], attrs.End[axis] = begin, len(from)-begin-len(inside)
		c.statePads(n, attrs)
		return nil, nil
	}
	attrs.Begin[axis], attrs.End[axis] = 0, 1
	c.statePads(n, attrs)
	n.Outputs[0] = c.unused(y + "/padded")
	next := &ir.Node{Op: "Gather", Inputs: []string{n.Outputs[0], ""}, Outputs: []string{y}, Attrs: ir.Attrs{"axis": ir.IntAttr(int64(axis))}}
	if n.Name != "" {
		next.Name = n.Name + "/take"
	}
	c.constant(next, 1, ir.Vector64(from...))
	return []*ir.Node{next}, nil
}

// statePads writes the pads of all axes.
func (c *cutter) statePads(n *ir.Node, attrs ir.PadAttrs) {
	var pads []int64
	for _, list := range [][]int{attrs.Begin, attrs.End} {
		for _, p := range list {
			pads = append(pads, int64(p))
		}
	}
	if c.g.Opset("") < 11 {
		n.Attrs["pads"] = ir.IntsAttr(pads...)
		return
	}
	if len(n.Inputs) > 3 {
		n.Inputs = n.Inputs[:3] // the axes that the pads were stated for
	}
	c.constant(n, 1, ir.Vector64(pads...))
}
