package ir

import (
	"fmt"
	"slices"
)

// Views of the operators that move elements or change the shape around them.

// maxRank bounds the number of axes of a value.
const maxRank = 64

// PadAttrs are the elements a Pad adds (or, where negative, cuts) before and after each axis. Mode is constant, reflect, edge or
// wrap; Value fills in constant mode.
type PadAttrs struct {
	Begin, End []int
	Mode       string
	Value      float32
}

// PadOf reads a Pad of an input of the given rank.
func PadOf(g *Graph, n *Node, rank int) (PadAttrs, error) {
	constant := constantsOf(g)
	a, err := padOf(constant, n, rank)
	if err != nil {
		return a, err
	}
	if name := n.Input(2); name != "" {
		if a.Value, err = scalar(constant(name)); err != nil {
			return a, fault(n, "value %q: %w", name, err)
		}
	}
	return a, nil
}

// padOf reads all but the value of an input.
func padOf(constant constants, n *Node, rank int) (a PadAttrs, err error) {
	a.Mode = n.Attrs.Str("mode", "constant")
	if !slices.Contains([]string{"constant", "reflect", "edge", "wrap"}, a.Mode) {
		return a, fault(n, "mode %q is not one of constant, reflect, edge, wrap", a.Mode)
	}
	pads := n.Attrs.Ints("pads")
	a.Value = n.Attrs.Float("value", 0)
	if name := n.Input(1); name != "" {
		if pads, err = intsOf(constant, name); err != nil {
			return a, fault(n, "pads %q: %w", name, err)
		}
	}
	axes := make([]int, 0, rank)
	if name := n.Input(3); name != "" {
		list, err := intsOf(constant, name)
		if err != nil {
			return a, fault(n, "axes %q: %w", name, err)
		}
		for _, v := range list {
			axis, err := normalAxis(v, rank)
			if err != nil {
				return a, fault(n, "%w", err)
			}
			axes = append(axes, axis)
		}
	} else {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if len(pads) != 2*len(axes) {
		return a, fault(n, "pads %v have %d entries, want two for each of %d axes", pads, len(pads), len(axes))
	}
	a.Begin, a.End = make([]int, rank), make([]int, rank)
	for i, axis := range axes {
		b, e := pads[i], pads[i+len(axes)]
		if min(b, e) < -maxAttr || max(b, e) > maxAttr {
			return a, fault(n, "pads %v are too large", pads)
		}
		a.Begin[axis], a.End[axis] = int(b), int(e)
	}
	return a, nil
}

// SliceAttrs tell, for every axis of the input, which indices a Slice keeps: Start, Start+Step, ... before Stop. Stop is exclusive
// and −1 where a negative step runs to the first element. An axis of symbolic size is kept whole and has Start 0, Stop −1, Step 1.
type SliceAttrs struct{ Start, Stop, Step []int }

// Len is the number of indices kept of an axis of known size.
func (s SliceAttrs) Len(axis int) int {
	step := s.Step[axis]
	if step > 0 {
		return max(0, (s.Stop[axis]-s.Start[axis]+step-1)/step)
	}
	return max(0, (s.Start[axis]-s.Stop[axis]-step-1)/-step)
}

// SliceOf reads a Slice of an input of shape x. Cutting an axis whose size is not known is an error.
func SliceOf(g *Graph, n *Node, x Shape) (SliceAttrs, error) {
	a, cut, err := sliceOf(constantsOf(g), n, x)
	if err == nil && len(cut) > 0 {
		err = fault(n, "axis %d of input %v is cut and has no known size", cut[0], x)
	}
	return a, err
}

// sliceOf also lists the axes of unknown size that are cut.
func sliceOf(constant constants, n *Node, x Shape) (a SliceAttrs, cut []int, err error) {
	if x == nil {
		return a, nil, fault(n, "the rank of the input is not known")
	}
	rank := len(x)
	for _, d := range x {
		stop := -1
		if d.Known() {
			stop = d.Size
		}
		a.Start, a.Stop, a.Step = append(a.Start, 0), append(a.Stop, stop), append(a.Step, 1)
	}
	lists := [4][]int64{n.Attrs.Ints("starts"), n.Attrs.Ints("ends"), n.Attrs.Ints("axes"), nil}
	for i, what := range []string{"starts", "ends", "axes", "steps"} {
		if name := n.Input(i + 1); name != "" {
			if lists[i], err = intsOf(constant, name); err != nil {
				return a, nil, fault(n, "%s %q: %w", what, name, err)
			}
		}
	}
	starts, ends, axes, steps := lists[0], lists[1], lists[2], lists[3]
	if axes == nil {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	if len(starts) != len(ends) || len(starts) != len(axes) || steps != nil && len(steps) != len(starts) {
		return a, nil, fault(n, "starts %v, ends %v, axes %v, steps %v differ in length", starts, ends, axes, steps)
	}
	seen := make([]bool, rank)
	for i := range starts {
		axis, err := normalAxis(axes[i], rank)
		if err != nil {
			return a, nil, fault(n, "%w", err)
		}
		if seen[axis] {
			return a, nil, fault(n, "axes %v name axis %d twice", axes, axis)
		}
		seen[axis] = true
		step := int64(1)
		if steps != nil {
			step = steps[i]
		}
		if step == 0 {
			return a, nil, fault(n, "step 0 on axis %d", axis)
		}
		if !x[axis].Known() {
			if starts[i] != 0 || ends[i] < maxDim || step != 1 {
				cut = append(cut, axis)
			}
			continue
		}
		a.Start[axis], a.Stop[axis], a.Step[axis] = sliceBounds(starts[i], ends[i], step, x[axis].Size)
	}
	return a, cut, nil
}

// sliceBounds clamps one axis of a Slice as ONNX states: negative indices count from the end.
func sliceBounds(start, end, step int64, size int) (int, int, int) {
	n := int64(size)
	if start < 0 {
		start = max(start, -n) + n // a start or end below −n is clamped below
	}
	if step > 0 {
		if end < 0 {
			end = max(end, -n) + n
		}
		start, end = min(start, n), min(end, n)
		return int(start), int(max(start, end)), int(min(step, maxDim))
	}
	if end < 0 {
		end = max(end+n, -1)
	}
	start, end = min(start, n-1), min(end, n-1)
	return int(start), int(min(start, end)), int(max(step, -maxDim))
}

// ReshapeOf is the output shape of a Reshape of an input of shape x, whose target must be constant. 0 copies a size of x and −1
// stands for what remains; symbolic sizes stay symbols where the elements divide evenly, and else become "?".
func ReshapeOf(g *Graph, n *Node, x Shape) (Shape, error) {
	v, err := intsOf(constantsOf(g), n.Input(1))
	if err != nil {
		return nil, fault(n, "shape %q: %w", n.Input(1), err)
	}
	target := make([]Dim, len(v))
	for i, d := range v {
		if d > maxDim || d < -1 {
			return nil, fault(n, "target shape %v: size %d", v, d)
		}
		target[i] = num(int(d))
	}
	return reshape(n, x, target)
}

// reshape resolves a target that may hold symbols itself.
func reshape(n *Node, x Shape, target []Dim) (Shape, error) {
	if len(target) > maxRank {
		return nil, fault(n, "target shape has %d axes, the limit is %d", len(target), maxRank)
	}
	allowZero := n.Attrs.Int("allowzero", 0) != 0
	out := make(Shape, len(target))
	infer := -1
	for i, d := range target {
		out[i] = d
		switch {
		case !d.Known() || d.Size > 0:
		case d.Size == 0 && !allowZero:
			if x == nil {
				out[i] = unknown
			} else if i >= len(x) {
				return nil, fault(n, "target shape %v copies axis %d, input %v has none", Shape(target), i, x)
			} else {
				out[i] = x[i]
			}
		case d.Size == 0:
		case infer >= 0:
			return nil, fault(n, "target shape %v has two unknown sizes", Shape(target))
		case d.Size == -1:
			infer = i
		default:
			return nil, fault(n, "target shape %v has a negative size", Shape(target))
		}
	}
	if x == nil {
		if infer >= 0 {
			out[infer] = unknown
		}
		return out, nil
	}
	// An axis copied from x stands on both sides and cancels even where nobody knows its size.
	from, to := slices.Clone(x), slices.Clone(out)
	if infer >= 0 {
		to[infer] = num(1)
	}
	for i := range to {
		if i < len(target) && target[i].Known() && target[i].Size == 0 && !allowZero && i != infer {
			from[i], to[i] = num(1), num(1)
		}
	}
	all, rest := productOf(from), productOf(to)
	quotient, ok := all.divide(rest)
	if infer >= 0 {
		if rest.coef == 0 || !ok {
			return nil, fault(n, "input %v does not divide into target shape %v", x, Shape(target))
		}
		out[infer] = quotient
		return out, nil
	}
	if !ok || quotient.Known() && quotient.Size != 1 && !(all.coef == 0 && rest.coef == 0) {
		return nil, fault(n, "input %v and target shape %v differ in their number of elements", x, Shape(target))
	}
	return out, nil
}

// SplitOf reads a Split of an input of shape x: its axis and the size of each output along it.
func SplitOf(g *Graph, n *Node, x Shape) (axis int, sizes []int, err error) {
	axis, dims, err := splitOf(constantsOf(g), n, x)
	if err != nil {
		return 0, nil, err
	}
	sizes, ok := dims.Sizes()
	if !ok {
		return 0, nil, fault(n, "axis %d of input %v has no known size", axis, x)
	}
	return axis, sizes, nil
}

func splitOf(constant constants, n *Node, x Shape) (axis int, sizes Shape, err error) {
	if x == nil {
		return 0, nil, fault(n, "the rank of the input is not known")
	}
	if axis, err = AxisOf(n, len(x), 0); err != nil {
		return 0, nil, err
	}
	v := n.Attrs.Ints("split")
	if name := n.Input(1); name != "" {
		if v, err = intsOf(constant, name); err != nil {
			return 0, nil, fault(n, "split %q: %w", name, err)
		}
	}
	parts := len(n.Outputs)
	if v == nil {
		if m := n.Attrs.Int("num_outputs", int64(parts)); m != int64(parts) {
			return 0, nil, fault(n, "num_outputs %d, but %d outputs", m, parts)
		}
		return axis, evenSplit(x[axis], parts), nil
	}
	if len(v) != parts {
		return 0, nil, fault(n, "split %v has %d entries for %d outputs", v, len(v), parts)
	}
	var sum int64
	for _, s := range v {
		if s < 0 || s > maxDim {
			return 0, nil, fault(n, "split %v has size %d", v, s)
		}
		sizes = append(sizes, num(int(s)))
		sum += s
	}
	if d := x[axis]; d.Known() && int64(d.Size) != sum {
		return 0, nil, fault(n, "split %v adds up to %d, axis %d of input %v has %d", v, sum, axis, x, d.Size)
	}
	return axis, sizes, nil
}

// evenSplit divides an axis into parts; where they do not fit, all but the last have the size rounded up (opset 18).
func evenSplit(d Dim, parts int) Shape {
	out := make(Shape, parts)
	if !d.Known() {
		for i := range out {
			out[i] = unknown
		}
		return out
	}
	size := (d.Size + parts - 1) / parts
	for i := range out {
		out[i] = num(max(0, min(size, d.Size-i*size)))
	}
	return out
}

// constantOf is the tensor of a Constant node.
func constantOf(n *Node) (*Tensor, error) {
	for name, a := range n.Attrs {
		switch {
		case name == "value" && a.Kind == AttrTensor && a.Tensor != nil:
			return a.Tensor, a.Tensor.check()
		case name == "value_float" && a.Kind == AttrFloat:
			return Floats32([]float32{a.Float}), nil
		case name == "value_int" && a.Kind == AttrInt:
			return Ints64([]int64{a.Int}), nil
		case name == "value_floats" && a.Kind == AttrFloats:
			return Floats32(a.Floats, len(a.Floats)), nil
		case name == "value_ints" && a.Kind == AttrInts:
			return Vector64(a.Ints...), nil
		case name == "value_string" && a.Kind == AttrString:
			return &Tensor{DType: String, Strs: []string{a.String}}, nil
		case name == "value_strings" && a.Kind == AttrStrings:
			return &Tensor{DType: String, Shape: []int{len(a.Strings)}, Strs: a.Strings}, nil
		}
	}
	return nil, fmt.Errorf("has no value this package can read")
}
