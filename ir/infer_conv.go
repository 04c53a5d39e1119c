package ir

import "fmt"

// Rows of operators with sliding windows, and of normalisations over channels.

var convOps = map[string]operator{
	"Conv": {inputs: span{2, 3}, outputs: one, infer: inferConv, attrs: kinds{
		"auto_pad": AttrString, "dilations": AttrInts, "group": AttrInt, "kernel_shape": AttrInts, "pads": AttrInts, "strides": AttrInts,
	}},
	"ConvTranspose": {inputs: span{2, 3}, outputs: one, infer: inferConvTranspose, attrs: kinds{
		"auto_pad": AttrString, "dilations": AttrInts, "group": AttrInt, "kernel_shape": AttrInts, "output_padding": AttrInts,
		"output_shape": AttrInts, "pads": AttrInts, "strides": AttrInts,
	}},
	"MaxPool":           {inputs: one, outputs: span{1, 2}, infer: inferPool, attrs: poolAttrs},
	"AveragePool":       {inputs: one, outputs: one, infer: inferPool, attrs: poolAttrs},
	"GlobalAveragePool": {inputs: one, outputs: one, infer: inferGlobalPool},
	"GlobalMaxPool":     {inputs: one, outputs: one, infer: inferGlobalPool},
	"BatchNormalization": {inputs: span{5, 5}, outputs: span{1, 5}, infer: inferBatchNorm, attrs: kinds{
		"epsilon": AttrFloat, "momentum": AttrFloat, "training_mode": AttrInt, "spatial": AttrInt,
	}},
	"LRN": {inputs: one, outputs: one, infer: inferSame, attrs: kinds{
		"alpha": AttrFloat, "beta": AttrFloat, "bias": AttrFloat, "size": AttrInt,
	}},
}

var poolAttrs = kinds{
	"auto_pad": AttrString, "ceil_mode": AttrInt, "count_include_pad": AttrInt, "dilations": AttrInts, "kernel_shape": AttrInts,
	"pads": AttrInts, "storage_order": AttrInt, "strides": AttrInts,
}

func inferConv(c *call) error {
	x, w := c.shape(0), c.shape(1)
	if w == nil {
		return nil
	}
	a, exact, err := convOf(c.Node, x, w)
	if err != nil {
		return err
	}
	if b := c.shape(2); b != nil {
		if len(b) != 1 {
			return fault(c.Node, "bias %v, want one value per output channel of weight %v", b, w)
		}
		if _, err := merge(b[0], w[0]); err != nil {
			return fault(c.Node, "bias %v and weight %v: %w", b, w, err)
		}
	}
	out := make(Shape, len(w))
	out[0], out[1] = unknown, w[0]
	if x != nil {
		out[0] = x[0]
	}
	win := window{a.Kernel, a.Strides, a.Dilations, a.Begin, a.End}
	if err := win.slide(c.Node, out, x, exact, false); err != nil {
		return err
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

func inferPool(c *call) error {
	x := c.shape(0)
	if x == nil {
		return nil
	}
	a, exact, err := poolOf(c.Node, x)
	if err != nil {
		return err
	}
	out := make(Shape, len(x))
	copy(out, x[:2])
	win := window{a.Kernel, a.Strides, a.Dilations, a.Begin, a.End}
	if err := win.slide(c.Node, out, x, exact, a.Ceil); err != nil {
		return err
	}
	c.set(0, c.in(0).DType, out)
	c.set(1, Int64, out)
	return nil
}

// slide fills the spatial sizes of out.
func (w window) slide(n *Node, out, x Shape, exact, ceil bool) error {
	for i := range w.kernel {
		out[i+2] = unknown
		if x == nil || !exact && !x[i+2].Known() && w.strides[i] > 1 {
			continue
		}
		d, err := w.size(i, x[i+2], ceil)
		if err != nil {
			return fault(n, "axis %d of input %v: %w", i+2, x, err)
		}
		out[i+2] = d
	}
	return nil
}

// size is the number of places of the window on spatial axis i of size in.
func (w window) size(i int, in Dim, ceil bool) (Dim, error) {
	eff, ok := mulInt(w.kernel[i]-1, w.dilations[i])
	if !ok || eff > maxDim {
		return unknown, fmt.Errorf("kernel %v with dilations %v is too wide", w.kernel, w.dilations)
	}
	pads, stride := w.begin[i]+w.end[i], w.strides[i]
	if !in.Known() {
		if stride == 1 && pads == eff {
			return in, nil
		}
		return unknown, nil
	}
	free := in.Size + pads - eff - 1
	if free < 0 {
		return unknown, fmt.Errorf("kernel %v with dilations %v is wider than %d elements and pads of %d", w.kernel, w.dilations, in.Size, pads)
	}
	out := free/stride + 1
	if ceil && free%stride != 0 && out*stride < in.Size+w.begin[i] {
		// A last window may reach over the end, but it must start inside the input or its leading pad.
		out++
	}
	return num(out), nil
}

func inferGlobalPool(c *call) error {
	x := c.shape(0)
	if x == nil {
		return nil
	}
	if len(x) < 3 {
		return fault(c.Node, "input %v has no spatial axes", x)
	}
	out := append(Shape{}, x[:2]...)
	for range x[2:] {
		out = append(out, num(1))
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

func inferBatchNorm(c *call) error {
	x := c.shape(0)
	d := c.in(0).DType
	c.set(0, d, x)
	if x == nil {
		return nil
	}
	if len(x) < 2 {
		return fault(c.Node, "input %v has no channels", x)
	}
	for i, what := range []string{"scale", "bias", "mean", "variance"} {
		s := c.shape(i + 1)
		if s == nil {
			continue
		}
		if len(s) != 1 {
			return fault(c.Node, "%s %v, want one value per channel of input %v", what, s, x)
		}
		if _, err := merge(s[0], x[1]); err != nil {
			return fault(c.Node, "%s %v and input %v: %w", what, s, x, err)
		}
	}
	for i := 1; i < 5; i++ {
		c.set(i, d, Shape{x[1]})
	}
	return nil
}

func inferConvTranspose(c *call) error {
	x, w := c.shape(0), c.shape(1)
	if w == nil || x == nil {
		return nil
	}
	a, err := ConvTransposeOf(c.Node, x, w)
	if err != nil {
		return err
	}
	channels := monomialOf(w[1]).times(num(a.Group)).dim()
	if b := c.shape(2); b != nil {
		if len(b) != 1 {
			return fault(c.Node, "bias %v, want one value per output channel", b)
		}
		if _, err := merge(b[0], channels); err != nil {
			return fault(c.Node, "bias %v and weight %v: %w", b, w, err)
		}
	}
	out := append(Shape{x[0], channels}, unknowns(len(w)-2)...)
	for i := range a.Kernel {
		if d := x[i+2]; d.Known() {
			size := a.Strides[i]*(d.Size-1) + a.More[i] + (a.Kernel[i]-1)*a.Dilations[i] + 1 - a.Begin[i] - a.End[i]
			if size < 0 {
				return fault(c.Node, "pads %v and %v cut more of axis %d than input %v makes", a.Begin, a.End, i+2, x)
			}
			out[i+2] = num(size)
		} else if a.More[i]+(a.Kernel[i]-1)*a.Dilations[i]+1-a.Begin[i]-a.End[i] == a.Strides[i] {
			out[i+2] = monomialOf(d).times(num(a.Strides[i])).dim()
		}
	}
	c.set(0, c.in(0).DType, out)
	return nil
}
