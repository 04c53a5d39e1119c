package ir

// Rows of normalisations within a sample.

var normOps = map[string]operator{
	"LayerNormalization": {inputs: span{2, 3}, outputs: span{1, 3}, infer: inferLayerNorm, attrs: kinds{
		"axis": AttrInt, "epsilon": AttrFloat, "stash_type": AttrInt,
	}},
	"RMSNormalization": {inputs: span{2, 2}, outputs: one, infer: inferLayerNorm, attrs: kinds{
		"axis": AttrInt, "epsilon": AttrFloat, "stash_type": AttrInt,
	}},
	"InstanceNormalization": {inputs: span{3, 3}, outputs: one, infer: inferInstanceNorm, attrs: kinds{"epsilon": AttrFloat}},
	"GroupNormalization": {inputs: span{3, 3}, outputs: one, infer: inferGroupNorm, attrs: kinds{
		"epsilon": AttrFloat, "num_groups": AttrInt, "stash_type": AttrInt,
	}},
	"LpNormalization":           {inputs: one, outputs: one, infer: inferLpNorm, attrs: kinds{"axis": AttrInt, "p": AttrInt}},
	"MeanVarianceNormalization": {inputs: one, outputs: one, infer: inferMeanVariance, attrs: kinds{"axes": AttrInts}},
}

// LayerNormOf reads a LayerNormalization or RMSNormalization of a value of the given rank: it takes its statistics over all axes from
// axis on.
func LayerNormOf(n *Node, rank int) (axis int, epsilon float32, err error) {
	axis, err = AxisOf(n, rank, -1)
	return axis, n.Attrs.Float("epsilon", 1e-5), err
}

func inferLayerNorm(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, x)
	if x == nil {
		return nil
	}
	axis, _, err := LayerNormOf(c.Node, len(x))
	if err != nil {
		return err
	}
	for i := 1; i < len(c.Inputs); i++ {
		if s := c.shape(i); len(s) > len(x) || !fits(s, x) {
			return fault(c.Node, "input %d of shape %v does not broadcast to %v", i, s, x)
		}
	}
	stat := append(Shape{}, x[:axis]...)
	for range x[axis:] {
		stat = append(stat, num(1))
	}
	c.set(1, Float32, stat)
	c.set(2, Float32, stat)
	return nil
}

// perChannel checks that inputs 1 and 2 have one value for each of size things.
func (c *call) perChannel(size Dim) error {
	for i := 1; i < 3; i++ {
		s := c.shape(i)
		if s == nil {
			continue
		}
		if len(s) != 1 {
			return fault(c.Node, "input %d has shape %v, want a list", i, s)
		}
		if _, err := merge(s[0], size); err != nil {
			return fault(c.Node, "input %d of shape %v: %w", i, s, err)
		}
	}
	return nil
}

func inferInstanceNorm(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, x)
	if x == nil {
		return nil
	}
	if len(x) < 3 {
		return fault(c.Node, "input %v has no spatial axes", x)
	}
	return c.perChannel(x[1])
}

// GroupNormAttrs are the attributes of GroupNormalization. PerGroup tells that scale and bias have one value for each group, as in
// opset 18; since opset 21 they have one for each channel.
type GroupNormAttrs struct {
	Groups   int
	Epsilon  float32
	PerGroup bool
}

// GroupNormOf reads a GroupNormalization of an input of shape x (N, C, spatial...).
func GroupNormOf(g *Graph, n *Node, x Shape) (GroupNormAttrs, error) {
	a := GroupNormAttrs{Epsilon: n.Attrs.Float("epsilon", 1e-5), PerGroup: g.Opset("") < 21}
	groups := n.Attrs.Int("num_groups", 0)
	switch {
	case groups < 1 || groups > maxAttr:
		return a, fault(n, "num_groups %d is not positive", groups)
	case len(x) < 2:
		return a, fault(n, "input %v has no channels", x)
	case x[1].Known() && x[1].Size%int(groups) != 0:
		return a, fault(n, "num_groups %d does not divide %d channels", groups, x[1].Size)
	}
	a.Groups = int(groups)
	return a, nil
}

func inferGroupNorm(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, x)
	if x == nil {
		return nil
	}
	a, err := GroupNormOf(c.g, c.Node, x)
	if err != nil {
		return err
	}
	if a.PerGroup {
		return c.perChannel(num(a.Groups))
	}
	return c.perChannel(x[1])
}

func inferLpNorm(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, x)
	if x == nil {
		return nil
	}
	if p := c.Attrs.Int("p", 2); p != 1 && p != 2 {
		return fault(c.Node, "p %d is neither 1 nor 2", p)
	}
	_, err := AxisOf(c.Node, len(x), -1)
	return err
}

// MeanVarianceOf lists the axes that a MeanVarianceNormalization takes its statistics over.
func MeanVarianceOf(n *Node, rank int) ([]int, error) {
	list := n.Attrs.Ints("axes")
	if len(list) == 0 {
		list = []int64{0, 2, 3}
	}
	var axes []int
	for _, v := range list {
		axis, err := normalAxis(v, rank)
		if err != nil {
			return nil, fault(n, "%w", err)
		}
		axes = append(axes, axis)
	}
	return axes, nil
}

func inferMeanVariance(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, x)
	if x == nil {
		return nil
	}
	_, err := MeanVarianceOf(c.Node, len(x))
	return err
}
