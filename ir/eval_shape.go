package ir

import "slices"

// How operators that move elements act on constants and on symbolic sizes.

// result is the shape of output i in numbers, if it has as few elements as may be computed.
func (c *call) result(i int) (shape []int, ok bool) {
	shape, ok = c.outs[i].Shape.Sizes()
	if !ok {
		return nil, false
	}
	n, ok := product(shape)
	return shape, ok && c.room(n) && (n <= maxIntegers || c.outs[i].DType.IsFloat())
}

func (c *call) operand(i int) *val { return c.value(c.Input(i)) }

func evalIdentity(c *call) []*val {
	shape, ok := c.result(0)
	if !ok {
		return nil
	}
	return []*val{c.operand(0).retype(shape)}
}

// evalRetype serves every operator that keeps the order of the elements.
func evalRetype(c *call) []*val { return evalIdentity(c) }

func evalTranspose(c *call) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	perm, err := PermOf(c.Node, len(v.shape))
	if !ok || err != nil {
		return nil
	}
	from := strides(v.shape)
	step := make([]int, len(perm))
	for i, p := range perm {
		step[i] = from[p]
	}
	return []*val{v.pick(shape, walk(shape, step, 0))}
}

func evalSlice(c *call) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	a, cut, err := sliceOf(c.constant, c.Node, Fixed(v.shape...))
	if !ok || err != nil || len(cut) > 0 {
		return nil
	}
	from := strides(v.shape)
	base := 0
	step := make([]int, len(shape))
	for i := range shape {
		base += a.Start[i] * from[i]
		step[i] = a.Step[i] * from[i]
	}
	return []*val{v.pick(shape, walk(shape, step, base))}
}

func evalSplit(c *call) []*val {
	v := c.operand(0)
	axis, _, err := splitOf(c.constant, c.Node, Fixed(v.shape...))
	if err != nil {
		return nil
	}
	from := strides(v.shape)
	base := 0
	out := make([]*val, len(c.Outputs))
	for i := range out {
		shape, ok := c.result(i)
		if !ok {
			return nil
		}
		out[i] = v.pick(shape, walk(shape, from, base))
		base += shape[axis] * from[axis]
	}
	return out
}

func evalExpand(c *call) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	if !ok {
		return nil
	}
	return []*val{v.pick(shape, broadcastIndex(v.shape, shape))}
}

func evalGather(c *call) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	indices := c.constant(c.Input(1))
	axis, err := AxisOf(c.Node, len(v.shape), 0)
	if !ok || indices == nil || err != nil {
		return nil
	}
	list, err := indices.Ints()
	if err != nil {
		return nil
	}
	outer, _ := product(v.shape[:axis])
	inner, _ := product(v.shape[axis+1:])
	n, _ := product(shape)
	index := make([]int, 0, n)
	if n == 0 {
		outer = 0 // the other factors may be huge
	}
	for o := range outer {
		for _, i := range list {
			at, err := normalAxis(i, v.shape[axis])
			if err != nil {
				return nil
			}
			for k := range inner {
				index = append(index, (o*v.shape[axis]+at)*inner+k)
			}
		}
	}
	return []*val{v.pick(shape, index)}
}

func evalConcat(c *call) []*val {
	shape, ok := c.result(0)
	axis, err := AxisOf(c.Node, len(shape), 1)
	if !ok || err != nil {
		return nil
	}
	// All parts one after another, then the order that interleaves them.
	all := &val{dtype: c.operand(0).dtype}
	starts := make([]int, len(c.Inputs))
	dims := false
	for i := range c.Inputs {
		dims = dims || c.operand(i).t == nil
	}
	n := 0
	for i := range c.Inputs {
		v := c.operand(i)
		if v.dtype != all.dtype {
			return nil
		}
		starts[i] = n
		n += v.len()
		if dims {
			all.dims = append(all.dims, v.ints()...)
			continue
		}
		if all.t == nil {
			all.t = &Tensor{DType: v.dtype}
		}
		all.t.F32 = append(all.t.F32, v.t.F32...)
		all.t.I64 = append(all.t.I64, v.t.I64...)
		all.t.Raw = append(all.t.Raw, v.t.Raw...)
		all.t.Strs = append(all.t.Strs, v.t.Strs...)
	}
	outer, _ := product(shape[:axis])
	if n == 0 {
		outer = 0 // the other factors may be huge
	}
	index := make([]int, 0, n)
	for o := range outer {
		for i := range c.Inputs {
			row, _ := product(c.operand(i).shape[axis:])
			for k := range row {
				index = append(index, starts[i]+o*row+k)
			}
		}
	}
	return []*val{all.pick(shape, index)}
}

func evalConstant(c *call) []*val {
	t, err := constantOf(c.Node)
	if err != nil || !c.room(t.Len()) {
		return nil
	}
	return []*val{ofTensor(t)}
}

func evalConstantOfShape(c *call) []*val {
	fill, err := fillOf(c.Node)
	shape, ok := c.result(0)
	if err != nil || !ok {
		return nil
	}
	n, _ := product(shape)
	return []*val{ofTensor(&Tensor{
		DType: fill.DType, Shape: shape,
		F32: slices.Repeat(fill.F32, n), I64: slices.Repeat(fill.I64, n), Raw: slices.Repeat(fill.Raw, n), Strs: slices.Repeat(fill.Strs, n),
	})}
}

func evalRange(c *call) []*val {
	shape, ok := c.result(0)
	start, step := c.operand(0), c.operand(2)
	if !ok || start.t == nil || step.t == nil {
		return nil
	}
	if start.dtype.IsInt() && step.dtype.IsInt() {
		from, by := start.ints()[0], step.ints()[0]
		out := make([]Dim, shape[0])
		for i := range out {
			out[i] = num(from.Size + i*by.Size)
		}
		return []*val{ofInts(start.dtype, out, shape)}
	}
	from, by := asFloats(start.t), asFloats(step.t)
	out := make([]float64, shape[0])
	for i := range out {
		out[i] = from[0] + float64(i)*by[0]
	}
	t := fromFloats(start.dtype, out, shape)
	if t == nil {
		return nil
	}
	return []*val{ofTensor(t)}
}

func evalShape(c *call) []*val {
	x := c.shape(0)
	if x == nil {
		return nil
	}
	lo, hi := shapeRange(c.Node, len(x))
	return []*val{ofInts(Int64, slices.Clone(x[lo:hi]), []int{hi - lo})}
}

func evalSize(c *call) []*val {
	if c.shape(0) == nil {
		return nil
	}
	return []*val{ofInts(Int64, []Dim{c.shape(0).Elements()}, []int{})}
}
