package ir

import "slices"

// Rows of operators that repeat elements or move them between channels and positions, and of layers that are kept as they are.

var blockOps = map[string]operator{
	"Tile":         {inputs: span{2, 2}, outputs: one, infer: inferTile, eval: evalTile},
	"DepthToSpace": {inputs: one, outputs: one, infer: inferDepthToSpace, attrs: kinds{"blocksize": AttrInt, "mode": AttrString}},
	"SpaceToDepth": {inputs: one, outputs: one, infer: inferSpaceToDepth, attrs: kinds{"blocksize": AttrInt}},

	"LSTM": {inputs: span{3, 8}, outputs: span{1, 3}, infer: inferRecurrent, attrs: recurrentAttrs},
	"GRU":  {inputs: span{3, 6}, outputs: span{1, 2}, infer: inferRecurrent, attrs: recurrentAttrs},
	"RNN":  {inputs: span{3, 6}, outputs: span{1, 2}, infer: inferRecurrent, attrs: recurrentAttrs},

	"QuantizeLinear": {inputs: span{2, 3}, outputs: one, infer: inferQuantize, attrs: kinds{
		"axis": AttrInt, "block_size": AttrInt, "output_dtype": AttrInt, "precision": AttrInt, "saturate": AttrInt,
	}},
	"DequantizeLinear": {inputs: span{2, 3}, outputs: one, infer: inferDequantize, attrs: kinds{
		"axis": AttrInt, "block_size": AttrInt, "output_dtype": AttrInt,
	}},
}

var recurrentAttrs = kinds{
	"activation_alpha": AttrFloats, "activation_beta": AttrFloats, "activations": AttrStrings, "clip": AttrFloat,
	"direction": AttrString, "hidden_size": AttrInt, "input_forget": AttrInt, "layout": AttrInt, "linear_before_reset": AttrInt,
}

// TileOf reads how often a Tile repeats each axis of an input of the given rank.
func TileOf(g *Graph, n *Node, rank int) ([]int, error) { return tileOf(constantsOf(g), n, rank) }

func tileOf(constant constants, n *Node, rank int) ([]int, error) {
	v, err := intsOf(constant, n.Input(1))
	if err != nil {
		return nil, fault(n, "repeats %s: %w", quote(n.Input(1)), err)
	}
	if len(v) != rank {
		return nil, fault(n, "repeats %v, want one for each of %d axes", v, rank)
	}
	out := make([]int, rank)
	for i, r := range v {
		if r < 0 || r > maxDim {
			return nil, fault(n, "repeats %v, want whole numbers that are not negative", v)
		}
		out[i] = int(r)
	}
	return out, nil
}

func inferTile(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, nil)
	if x == nil {
		return nil
	}
	if c.constant(c.Input(1)) == nil {
		out := unknowns(len(x))
		if v := c.value(c.Input(1)); v != nil && len(v.dims) == len(x) { // symbolic sizes
			for i, d := range v.dims {
				out[i] = monomialOf(x[i]).times(d).dim()
			}
		}
		c.set(0, c.in(0).DType, out)
		return nil
	}
	repeats, err := tileOf(c.constant, c.Node, len(x))
	if err != nil {
		return err
	}
	out := make(Shape, len(x))
	for i, r := range repeats {
		out[i] = monomialOf(x[i]).times(num(r)).dim()
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

func evalTile(c *call) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	if !ok || v.len() == 0 {
		return nil
	}
	from := strides(v.shape)
	index := walk(shape, make([]int, len(shape)), 0)
	at := make([]int, len(shape))
	for k := range index {
		rest := k
		index[k] = 0
		for a := len(shape) - 1; a >= 0; a-- {
			at[a] = rest % shape[a]
			rest /= shape[a]
			index[k] += at[a] % v.shape[a] * from[a]
		}
	}
	return []*val{v.pick(shape, index)}
}

// BlockSize reads the side of the blocks of a DepthToSpace or SpaceToDepth.
func BlockSize(n *Node) (int, error) {
	b := n.Attrs.Int("blocksize", 0)
	if b < 1 || b > 1<<12 {
		return 0, fault(n, "blocksize %d, want 1 to %d", b, 1<<12)
	}
	return int(b), nil
}

// blockShape checks an input (N, C, H, W) and multiplies its channels and sides; a negative factor divides.
func (c *call) blockShape(channels, side int) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, nil)
	if x == nil {
		return nil
	}
	if len(x) != 4 {
		return fault(c.Node, "input %v, want (N, C, H, W)", x)
	}
	out := slices.Clone(x)
	for axis, by := range []int{1, channels, side, side} {
		if by > 0 {
			out[axis] = monomialOf(x[axis]).times(num(by)).dim()
			continue
		}
		d, ok := monomialOf(x[axis]).divide(monomial{coef: -by})
		if !ok {
			return fault(c.Node, "axis %d of input %v does not divide by %d", axis, x, -by)
		}
		out[axis] = d
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

func inferDepthToSpace(c *call) error {
	b, err := BlockSize(c.Node)
	if err != nil {
		return err
	}
	if mode := c.Attrs.Str("mode", "DCR"); mode != "DCR" && mode != "CRD" {
		return fault(c.Node, "mode %s is neither DCR nor CRD", quote(mode))
	}
	return c.blockShape(-b*b, b)
}

func inferSpaceToDepth(c *call) error {
	b, err := BlockSize(c.Node)
	if err != nil {
		return err
	}
	return c.blockShape(b*b, -b)
}

// inferRecurrent gives Y (length, directions, batch, hidden) and the last states (directions, batch, hidden); with layout 1 the batch
// stands first.
func inferRecurrent(c *call) error {
	x, d := c.shape(0), c.in(0).DType
	for i := range c.Outputs {
		c.set(i, d, nil)
	}
	if x == nil {
		return nil
	}
	if len(x) != 3 {
		return fault(c.Node, "input %v, want (length, batch, size)", x)
	}
	hidden, directions := unknown, num(1)
	if h := c.Attrs.Int("hidden_size", 0); h > 0 && h <= maxDim {
		hidden = num(int(h))
	} else if r := c.shape(2); len(r) == 3 {
		hidden = r[2]
	}
	if c.Attrs.Str("direction", "forward") == "bidirectional" {
		directions = num(2)
	}
	if c.Attrs.Int("layout", 0) != 0 {
		c.set(0, d, Shape{x[0], x[1], directions, hidden})
	} else {
		c.set(0, d, Shape{x[0], directions, x[1], hidden})
	}
	for i := 1; i < len(c.Outputs); i++ {
		if c.Attrs.Int("layout", 0) != 0 {
			c.set(i, d, Shape{x[0], directions, hidden})
		} else {
			c.set(i, d, Shape{directions, x[1], hidden})
		}
	}
	return nil
}

func inferQuantize(c *call) error {
	d := Uint8
	if c.Input(2) != "" {
		d = c.in(2).DType
	} else if v := c.Attrs.Int("output_dtype", 0); v > 0 && v <= 255 {
		d = DType(v)
	}
	c.set(0, d, c.shape(0))
	return nil
}

func inferDequantize(c *call) error {
	c.set(0, c.in(1).DType, c.shape(0))
	return nil
}
