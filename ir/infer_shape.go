package ir

import (
	"math"
	"slices"
)

// Rows of operators that move elements, change the shape around them, or make constants.

var shapeOps = map[string]operator{
	"Reshape":   {inputs: span{2, 2}, outputs: one, infer: inferReshape, eval: evalRetype, attrs: kinds{"allowzero": AttrInt}},
	"Flatten":   {inputs: one, outputs: one, infer: inferFlatten, eval: evalRetype, attrs: kinds{"axis": AttrInt}},
	"Squeeze":   {inputs: span{1, 2}, outputs: one, infer: inferSqueeze, eval: evalRetype, attrs: kinds{"axes": AttrInts}},
	"Unsqueeze": {inputs: span{1, 2}, outputs: one, infer: inferUnsqueeze, eval: evalRetype, attrs: kinds{"axes": AttrInts}},
	"Transpose": {inputs: one, outputs: one, infer: inferTranspose, eval: evalTranspose, attrs: kinds{"perm": AttrInts}},
	"Concat":    {inputs: span{1, many}, outputs: one, infer: inferConcat, eval: evalConcat, attrs: kinds{"axis": AttrInt}},
	"Split": {inputs: span{1, 2}, outputs: span{1, many}, infer: inferSplit, eval: evalSplit, attrs: kinds{
		"axis": AttrInt, "split": AttrInts, "num_outputs": AttrInt,
	}},
	"Slice": {inputs: span{1, 5}, outputs: one, infer: inferSlice, eval: evalSlice, attrs: kinds{
		"axes": AttrInts, "ends": AttrInts, "starts": AttrInts,
	}},
	"Pad":    {inputs: span{1, 4}, outputs: one, infer: inferPad, attrs: kinds{"mode": AttrString, "pads": AttrInts, "value": AttrFloat}},
	"Gather": {inputs: span{2, 2}, outputs: one, infer: inferGather, eval: evalGather, attrs: kinds{"axis": AttrInt}},
	"Expand": {inputs: span{2, 2}, outputs: one, infer: inferExpand, eval: evalExpand},
	"Resize": {inputs: span{1, 4}, outputs: one, infer: inferResize, attrs: kinds{
		"antialias": AttrInt, "axes": AttrInts, "coordinate_transformation_mode": AttrString, "cubic_coeff_a": AttrFloat,
		"exclude_outside": AttrInt, "extrapolation_value": AttrFloat, "keep_aspect_ratio_policy": AttrString, "mode": AttrString,
		"nearest_mode": AttrString,
	}},
	"Upsample": {inputs: span{1, 2}, outputs: one, infer: inferResize, attrs: kinds{"mode": AttrString, "scales": AttrFloats}},
}

var constantOps = map[string]operator{
	"Constant": {inputs: span{0, 0}, outputs: one, infer: inferConstant, eval: evalConstant, attrs: kinds{
		"value": AttrTensor, "value_float": AttrFloat, "value_floats": AttrFloats, "value_int": AttrInt, "value_ints": AttrInts,
		"value_string": AttrString, "value_strings": AttrStrings,
	}},
	"ConstantOfShape": {inputs: one, outputs: one, infer: inferConstantOfShape, eval: evalConstantOfShape, attrs: kinds{"value": AttrTensor}},
	"Range":           {inputs: span{3, 3}, outputs: one, infer: inferRange, eval: evalRange},
	"Shape": {inputs: one, outputs: one, infer: inferShapeOp, eval: evalShape, shapesOnly: true, attrs: kinds{
		"start": AttrInt, "end": AttrInt,
	}},
	"Size": {inputs: one, outputs: one, infer: inferSize, eval: evalSize, shapesOnly: true},
}

var reduceOps = map[string]operator{
	"ReduceMean": reduceRow(nil),
	"ReduceSum":  reduceRow(evalReduceSum),
	"ReduceProd": reduceRow(evalReduceProd),
	"ReduceMax":  reduceRow(evalReduceMax),
	"ReduceMin":  reduceRow(evalReduceMin),
	"ReduceL1":   reduceRow(nil),
	"ReduceL2":   reduceRow(nil),

	"ReduceSumSquare": reduceRow(nil),
	"ReduceLogSum":    reduceRow(nil),
	"ReduceLogSumExp": reduceRow(nil),
}

func reduceRow(eval func(*call) []*val) operator {
	return operator{inputs: span{1, 2}, outputs: one, infer: inferReduce, eval: eval, attrs: kinds{
		"axes": AttrInts, "keepdims": AttrInt, "noop_with_empty_axes": AttrInt,
	}}
}

// known tells whether a constant that steers a shape is known, or left out.
func (c *call) known(i int) bool {
	return c.Input(i) == "" || c.constant(c.Input(i)) != nil
}

func inferReduce(c *call) error {
	x := c.shape(0)
	d := c.in(0).DType
	c.set(0, d, nil)
	if x == nil {
		return nil
	}
	if !c.known(1) {
		if c.Attrs.Int("keepdims", 1) != 0 {
			c.set(0, d, unknowns(len(x)))
		}
		return nil
	}
	axes, keep, err := axesOf(c.constant, c.Node, len(x))
	if err != nil {
		return err
	}
	out := Shape{}
	for i, size := range x {
		switch {
		case !slices.Contains(axes, i):
			out = append(out, size)
		case keep:
			out = append(out, num(1))
		}
	}
	c.set(0, d, out)
	return nil
}

func unknowns(rank int) Shape {
	s := make(Shape, rank)
	for i := range s {
		s[i] = unknown
	}
	return s
}

func inferReshape(c *call) error {
	d := c.in(0).DType
	c.set(0, d, nil)
	if len(c.shape(1)) > 1 {
		return fault(c.Node, "target %q has shape %v, want a list", c.Input(1), c.shape(1))
	}
	target := c.value(c.Input(1))
	if target == nil {
		if s := c.shape(1); len(s) == 1 && s[0].Known() && s[0].Size <= maxRank {
			c.set(0, d, unknowns(s[0].Size))
		}
		return nil
	}
	dims := target.ints()
	if dims == nil && target.len() > 0 {
		return fault(c.Node, "target %q is of type %v, want whole numbers", c.Input(1), target.dtype)
	}
	out, err := reshape(c.Node, c.shape(0), dims)
	if err != nil {
		return err
	}
	c.set(0, d, out)
	return nil
}

func inferFlatten(c *call) error {
	x := c.shape(0)
	if x == nil {
		c.set(0, c.in(0).DType, unknowns(2))
		return nil
	}
	axis, err := AxisOf(c.Node, len(x), 1)
	if err != nil {
		return err
	}
	c.set(0, c.in(0).DType, Shape{x[:axis].Elements(), x[axis:].Elements()})
	return nil
}

func inferSqueeze(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, nil)
	if x == nil || !c.known(1) {
		return nil
	}
	axes, _, err := axesOf(c.constant, c.Node, len(x))
	if err != nil {
		return err
	}
	all := axes == nil
	out := Shape{}
	for i, d := range x {
		switch {
		case all && !d.Known():
			return nil // whether the axis goes is not known, so the rank is not
		case all && d.Size != 1, !all && !slices.Contains(axes, i):
			out = append(out, d)
		case d.Known() && d.Size != 1:
			return fault(c.Node, "axis %d of input %v has size %d, not 1", i, x, d.Size)
		}
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

func inferUnsqueeze(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, nil)
	if x == nil || !c.known(1) {
		return nil
	}
	axes, _, err := axesOf(c.constant, c.Node, len(x))
	if err != nil {
		return err
	}
	out := slices.Clone(x)
	for _, axis := range axes {
		out = slices.Insert(out, axis, num(1))
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

func inferTranspose(c *call) error {
	x := c.shape(0)
	if x == nil {
		c.set(0, c.in(0).DType, nil)
		return nil
	}
	perm, err := PermOf(c.Node, len(x))
	if err != nil {
		return err
	}
	out := make(Shape, len(x))
	for i, p := range perm {
		out[i] = x[p]
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

func inferConcat(c *call) error {
	d := c.in(0).DType
	c.set(0, d, nil)
	var out Shape
	complete := true
	for i := range c.Inputs {
		x := c.shape(i)
		switch {
		case x == nil:
			complete = false
			continue
		case out == nil:
			out = slices.Clone(x)
			continue
		case len(x) != len(out):
			return fault(c.Node, "inputs %v and %v differ in rank", out, x)
		}
		axis, err := AxisOf(c.Node, len(x), 1)
		if err != nil {
			return err
		}
		for j := range x {
			if j == axis {
				out[j] = addDims(out[j], x[j])
			} else if out[j], err = merge(out[j], x[j]); err != nil {
				return fault(c.Node, "inputs disagree at axis %d: %w", j, err)
			}
		}
	}
	if out == nil {
		return nil
	}
	axis, err := AxisOf(c.Node, len(out), 1)
	if err != nil {
		return err
	}
	if !complete {
		out[axis] = unknown
	}
	c.set(0, d, out)
	return nil
}

func inferSplit(c *call) error {
	x := c.shape(0)
	d := c.in(0).DType
	for i := range c.Outputs {
		c.set(i, d, nil)
	}
	if x == nil {
		return nil
	}
	axis, err := AxisOf(c.Node, len(x), 0)
	if err != nil {
		return err
	}
	sizes := unknowns(len(c.Outputs))
	if c.known(1) {
		if axis, sizes, err = splitOf(c.constant, c.Node, x); err != nil {
			return err
		}
	}
	for i, size := range sizes {
		out := slices.Clone(x)
		out[axis] = size
		c.set(i, d, out)
	}
	return nil
}

func inferSlice(c *call) error {
	x := c.shape(0)
	d := c.in(0).DType
	c.set(0, d, nil)
	if x == nil {
		return nil
	}
	for i := 1; i < 5; i++ {
		if !c.known(i) {
			c.set(0, d, unknowns(len(x)))
			return nil
		}
	}
	a, cut, err := sliceOf(c.constant, c.Node, x)
	if err != nil {
		return err
	}
	out := slices.Clone(x)
	for i := range out {
		if slices.Contains(cut, i) {
			out[i] = unknown
		} else if x[i].Known() {
			out[i] = num(a.Len(i))
		}
	}
	c.set(0, d, out)
	return nil
}

func inferPad(c *call) error {
	x := c.shape(0)
	d := c.in(0).DType
	c.set(0, d, nil)
	if x == nil {
		return nil
	}
	if !c.known(1) || !c.known(3) {
		c.set(0, d, unknowns(len(x)))
		return nil
	}
	a, err := padOf(c.constant, c.Node, len(x))
	if err != nil {
		return err
	}
	out := slices.Clone(x)
	for i, size := range x {
		added := a.Begin[i] + a.End[i]
		switch {
		case size.Known() && size.Size+added < 0:
			return fault(c.Node, "pads %d and %d cut more than axis %d of input %v has", a.Begin[i], a.End[i], i, x)
		case size.Known() && a.Mode == "reflect" && max(a.Begin[i], a.End[i]) >= size.Size && added != 0:
			return fault(c.Node, "axis %d of input %v is too short to reflect pads %d and %d", i, x, a.Begin[i], a.End[i])
		case size.Known() && size.Size == 0 && a.Mode != "constant" && added > 0:
			return fault(c.Node, "axis %d of input %v is empty, mode %s has nothing to repeat", i, x, a.Mode)
		}
		out[i] = addDims(size, num(added))
	}
	c.set(0, d, out)
	return nil
}

func inferGather(c *call) error {
	x, indices := c.shape(0), c.shape(1)
	c.set(0, c.in(0).DType, nil)
	if x == nil || indices == nil {
		return nil
	}
	axis, err := AxisOf(c.Node, len(x), 0)
	if err != nil {
		return err
	}
	if t := c.constant(c.Input(1)); t != nil && x[axis].Known() {
		v, err := t.Ints()
		if err != nil {
			return fault(c.Node, "indices %q: %w", c.Input(1), err)
		}
		for _, i := range v {
			if _, err := normalAxis(i, x[axis].Size); err != nil {
				return fault(c.Node, "index %d is outside axis %d of input %v", i, axis, x)
			}
		}
	}
	c.set(0, c.in(0).DType, append(append(append(Shape{}, x[:axis]...), indices...), x[axis+1:]...))
	return nil
}

// sizesOf reads input i as a list of sizes, which may be symbolic. It is not ok where the list is not known.
func (c *call) sizesOf(i int) (s Shape, ok bool, err error) {
	if len(c.shape(i)) > 1 {
		return nil, false, fault(c.Node, "shape %q is itself of shape %v, want a list", c.Input(i), c.shape(i))
	}
	v := c.value(c.Input(i))
	if v == nil {
		if s := c.shape(i); len(s) == 1 && s[0].Known() && s[0].Size <= maxRank {
			return unknowns(s[0].Size), true, nil
		}
		return nil, false, nil
	}
	dims := v.ints()
	if dims == nil && v.len() > 0 {
		return nil, false, fault(c.Node, "shape %q is of type %v, want whole numbers", c.Input(i), v.dtype)
	}
	s = append(Shape{}, dims...)
	if err := checkShape(s); err != nil {
		return nil, false, fault(c.Node, "%w", err)
	}
	return s, true, nil
}

func inferExpand(c *call) error {
	c.set(0, c.in(0).DType, nil)
	target, ok, err := c.sizesOf(1)
	if err != nil || !ok {
		return err
	}
	out, err := broadcast(c.shape(0), target)
	if err != nil {
		return fault(c.Node, "%w", err)
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

func inferConstant(c *call) error {
	t, err := constantOf(c.Node)
	if err != nil {
		return fault(c.Node, "%w", err)
	}
	c.set(0, t.DType, Fixed(t.Shape...))
	return nil
}

// fillOf is the one element of a ConstantOfShape, float 0 where it is left out.
func fillOf(n *Node) (*Tensor, error) {
	a, ok := n.Attrs["value"]
	if !ok || a.Tensor == nil {
		return Floats32([]float32{0}, 1), nil
	}
	if err := a.Tensor.check(); err != nil {
		return nil, fault(n, "value: %w", err)
	}
	if a.Tensor.Len() != 1 {
		return nil, fault(n, "value of shape %v, want one element", a.Tensor.Shape)
	}
	return a.Tensor, nil
}

func inferConstantOfShape(c *call) error {
	fill, err := fillOf(c.Node)
	if err != nil {
		return err
	}
	s, ok, err := c.sizesOf(0)
	if err != nil {
		return err
	}
	if !ok {
		s = nil
	}
	c.set(0, fill.DType, s)
	return nil
}

// inferRange counts ⌈(limit − start)/step⌉ elements where all three are known.
func inferRange(c *call) error {
	c.set(0, c.in(0).DType, Shape{unknown})
	var v [3]float64
	for i := range v {
		t := c.constant(c.Input(i))
		if t == nil {
			return nil
		}
		f := asFloats(t)
		if len(f) != 1 {
			return fault(c.Node, "%q of type %v and shape %v, want a number", c.Input(i), t.DType, t.Shape)
		}
		v[i] = f[0]
	}
	if v[2] == 0 {
		return fault(c.Node, "step is 0")
	}
	n := math.Max(0, math.Ceil((v[1]-v[0])/v[2]))
	if !(n <= maxDim) {
		return fault(c.Node, "from %v to %v by %v is too long", v[0], v[1], v[2])
	}
	c.set(0, c.in(0).DType, Shape{num(int(n))})
	return nil
}

// shapeRange is the part of the input's shape that a Shape gives (opset 15 added start and end).
func shapeRange(n *Node, rank int) (lo, hi int) {
	clamp := func(v int64) int {
		if v < 0 {
			v = max(v, int64(-rank)) + int64(rank)
		}
		return int(min(v, int64(rank)))
	}
	lo, hi = clamp(n.Attrs.Int("start", 0)), clamp(n.Attrs.Int("end", math.MaxInt64))
	return lo, max(lo, hi)
}

func inferShapeOp(c *call) error {
	x := c.shape(0)
	if x == nil {
		c.set(0, Int64, Shape{unknown})
		return nil
	}
	lo, hi := shapeRange(c.Node, len(x))
	c.set(0, Int64, Fixed(hi-lo))
	return nil
}

func inferSize(c *call) error {
	c.set(0, Int64, Shape{})
	return nil
}
