package ir

import (
	"math"
	"slices"
)

// ResizeAttrs say how the operator samples along each axis of its input.
type ResizeAttrs struct {
	Mode        string // nearest, linear or cubic
	Coordinates string // ONNX's coordinate_transformation_mode
	Nearest     string // ONNX's nearest_mode; before opset 11 "simple": down, but up where the axis shrinks

	// Scale is the size of the output by that of the input. It is 0 where the node states sizes and one of them is not known.
	Scale []float32

	// Kept are the axes whose positions come out as they are.
	Kept []bool

	Antialias, ExcludeOutside bool
}

var (
	resizeModes       = []string{"nearest", "linear", "cubic"}
	resizeCoordinates = []string{
		"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize",
	}
	resizeNearest = []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}
)

// ResizeOf reads a Resize of an input of shape x whose output InferShapes gave the shape y. Where it states scales these must be
// constant.
func ResizeOf(g *Graph, n *Node, x, y Shape) (ResizeAttrs, error) {
	a := ResizeAttrs{
		Mode: n.Attrs.Str("mode", "nearest"), Coordinates: "asymmetric", Nearest: "simple",
		Antialias: n.Attrs.Int("antialias", 0) != 0, ExcludeOutside: n.Attrs.Int("exclude_outside", 0) != 0,
	}
	if n.Op == "Upsample" && a.Mode == "bilinear" {
		a.Mode = "linear"
	}
	if g.Opset("") >= 11 {
		a.Coordinates = n.Attrs.Str("coordinate_transformation_mode", "half_pixel")
		a.Nearest = n.Attrs.Str("nearest_mode", "round_prefer_floor")
		if !slices.Contains(resizeNearest, a.Nearest) {
			return a, fault(n, "nearest_mode %s is not one of %v", quote(a.Nearest), resizeNearest)
		}
	}
	switch {
	case !slices.Contains(resizeModes, a.Mode):
		return a, fault(n, "mode %s is not one of %v", quote(a.Mode), resizeModes)
	case !slices.Contains(resizeCoordinates, a.Coordinates):
		return a, fault(n, "coordinate_transformation_mode %s is not one of %v", quote(a.Coordinates), resizeCoordinates)
	case x == nil || len(x) != len(y):
		return a, fault(n, "input %v and output %v: both ranks must be known and equal", x, y)
	}
	axes, err := resizeAxes(n, len(x))
	if err != nil {
		return a, err
	}
	constant := constantsOf(g)
	var scales []float32
	if list, ok := upsampleScales(n); ok {
		if scales, err = scalesOf(n, Floats32(list, len(list)), len(axes)); err != nil {
			return a, err
		}
	} else if name := n.Input(resizeScales(g.Opset(""))); name != "" {
		t := constant(name)
		if t == nil {
			return a, fault(n, "scales %s are not constant", quote(name))
		}
		if scales, err = scalesOf(n, t, len(axes)); err != nil {
			return a, err
		}
	}
	a.Scale, a.Kept = make([]float32, len(x)), make([]bool, len(x))
	for axis := range x {
		i := slices.Index(axes, axis)
		switch {
		case i < 0:
			a.Scale[axis] = 1
		case scales != nil:
			a.Scale[axis] = scales[i]
		case x[axis].Same(y[axis]):
			a.Scale[axis] = 1
		case x[axis].Known() && y[axis].Known() && x[axis].Size > 0:
			a.Scale[axis] = float32(y[axis].Size) / float32(x[axis].Size)
		}
		// A crop is not seen from its sizes.
		a.Kept[axis] = a.Scale[axis] == 1 && (i < 0 || a.Coordinates != "tf_crop_and_resize")
	}
	return a, nil
}

// upsampleScales are the scales that an Upsample before opset 9 has as an attribute.
func upsampleScales(n *Node) ([]float32, bool) {
	a, ok := n.Attrs["scales"]
	return a.Floats, ok && n.Op == "Upsample" && a.Kind == AttrFloats
}

// resizeScales is the input that holds the scales.
func resizeScales(opset int64) int {
	if opset < 11 {
		return 1
	}
	return 2 // behind the region of interest
}

// resizeSizes is the input that holds the sizes. Before opset 11 there was none.
const resizeSizes = 3

// resizeAxes are the axes that scales and sizes speak of: all, or since opset 18 those that are listed.
func resizeAxes(n *Node, rank int) ([]int, error) {
	var axes []int
	if _, listed := n.Attrs["axes"]; !listed {
		for axis := range rank {
			axes = append(axes, axis)
		}
		return axes, nil
	}
	for _, v := range n.Attrs.Ints("axes") {
		axis, err := normalAxis(v, rank)
		if err != nil {
			return nil, fault(n, "%w", err)
		}
		if slices.Contains(axes, axis) {
			return nil, fault(n, "axes %v name axis %d twice", n.Attrs.Ints("axes"), axis)
		}
		axes = append(axes, axis)
	}
	return axes, nil
}

// scalesOf reads a constant list of want scales; nil where it is empty, which stands for left out.
func scalesOf(n *Node, t *Tensor, want int) ([]float32, error) {
	if t.Len() == 0 {
		return nil, nil
	}
	if !t.DType.IsFloat() {
		return nil, fault(n, "scales of type %v, want floats", t.DType)
	}
	scales, err := t.Floats()
	if err != nil {
		return nil, fault(n, "scales: %w", err)
	}
	if len(scales) != want {
		return nil, fault(n, "%d scales, want one for each of %d axes", len(scales), want)
	}
	for _, s := range scales {
		if !(s > 0 && s < math.MaxInt32) {
			return nil, fault(n, "scales %v, want positive numbers", scales)
		}
	}
	return scales, nil
}

func inferResize(c *call) error {
	x, d := c.shape(0), c.in(0).DType
	c.set(0, d, nil)
	if x == nil {
		return nil
	}
	axes, err := resizeAxes(c.Node, len(x))
	if err != nil {
		return err
	}
	out := slices.Clone(x)
	for _, axis := range axes {
		out[axis] = unknown
	}
	c.set(0, d, out)
	if list, ok := upsampleScales(c.Node); ok {
		return c.resizeScaled(Floats32(list, len(list)), x, out, axes)
	}
	at := resizeScales(c.opset)
	given := func(i int) bool { return c.Input(i) != "" && !slices.Equal(c.shape(i), Fixed(0)) }
	crop := c.Attrs.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize"
	switch scaled, sized := given(at), given(resizeSizes); {
	case scaled == sized && (!scaled || c.shape(at).Elements().Known() && c.shape(resizeSizes).Elements().Known()):
		return fault(c.Node, "it must state either scales or sizes")
	case scaled && sized:
		return nil // which of the two is empty is not known
	case sized:
		if c.Attrs.Str("keep_aspect_ratio_policy", "stretch") == "stretch" {
			return c.resizeTo(out, axes)
		}
	case !crop:
		return c.resizeBy(at, x, out, axes)
	}
	return nil
}

// resizeTo writes the sizes that the node states.
func (c *call) resizeTo(out Shape, axes []int) error {
	sizes, ok, err := c.sizesOf(resizeSizes)
	if err != nil || !ok {
		return err
	}
	if len(sizes) != len(axes) {
		return fault(c.Node, "%d sizes, want one for each of %d axes", len(sizes), len(axes))
	}
	for i, axis := range axes {
		out[axis] = sizes[i]
	}
	return nil
}

// resizeBy multiplies sizes by constant scales and rounds down.
func (c *call) resizeBy(at int, x, out Shape, axes []int) error {
	t := c.constant(c.Input(at))
	if t == nil {
		return nil
	}
	return c.resizeScaled(t, x, out, axes)
}

func (c *call) resizeScaled(t *Tensor, x, out Shape, axes []int) error {
	scales, err := scalesOf(c.Node, t, len(axes))
	if err != nil {
		return err
	}
	if scales == nil {
		return fault(c.Node, "it must state either scales or sizes")
	}
	for i, axis := range axes {
		switch size, s := x[axis], scales[i]; {
		case size.Known():
			scaled := math.Floor(float64(float32(size.Size) * s)) // in single precision, as runtimes do
			if scaled > maxDim {
				return fault(c.Node, "axis %d of input %v times %v is too large", axis, x, s)
			}
			out[axis] = num(int(scaled))
		case s == float32(int(s)):
			out[axis] = productOf(Shape{size, num(int(s))}).dim()
		}
	}
	return nil
}
