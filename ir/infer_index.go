package ir

import "slices"

// Rows of operators that find positions, or take elements where a value says.

var indexOps = map[string]operator{
	"GatherElements": {inputs: span{2, 2}, outputs: one, infer: inferGatherElements, attrs: kinds{"axis": AttrInt}},
	"GatherND":       {inputs: span{2, 2}, outputs: one, infer: inferGatherND, attrs: kinds{"batch_dims": AttrInt}},
	"ScatterElements": {inputs: span{3, 3}, outputs: one, infer: inferScatter, attrs: kinds{
		"axis": AttrInt, "reduction": AttrString,
	}},
	"Scatter":   {inputs: span{3, 3}, outputs: one, infer: inferScatter, attrs: kinds{"axis": AttrInt}},
	"ScatterND": {inputs: span{3, 3}, outputs: one, infer: inferScatterND, attrs: kinds{"reduction": AttrString}},
	"ArgMax":    {inputs: one, outputs: one, infer: inferArg, attrs: argAttrs},
	"ArgMin":    {inputs: one, outputs: one, infer: inferArg, attrs: argAttrs},
	"TopK": {inputs: span{1, 2}, outputs: span{1, 2}, infer: inferTopK, attrs: kinds{
		"axis": AttrInt, "k": AttrInt, "largest": AttrInt, "sorted": AttrInt,
	}},
	"OneHot":  {inputs: span{3, 3}, outputs: one, infer: inferOneHot, attrs: kinds{"axis": AttrInt}},
	"NonZero": {inputs: one, outputs: one, infer: inferNonZero, eval: evalNonZero},
	"NonMaxSuppression": {inputs: span{2, 5}, outputs: one, infer: inferSuppression, attrs: kinds{
		"center_point_box": AttrInt,
	}},
	"CumSum":  {inputs: span{2, 2}, outputs: one, infer: inferCumSum, attrs: kinds{"exclusive": AttrInt, "reverse": AttrInt}},
	"Trilu":   {inputs: span{1, 2}, outputs: one, infer: inferTrilu, attrs: kinds{"upper": AttrInt}},
	"Hardmax": {inputs: one, outputs: one, infer: inferSoftmax, attrs: kinds{"axis": AttrInt}},
}

var argAttrs = kinds{"axis": AttrInt, "keepdims": AttrInt, "select_last_index": AttrInt}

func inferGatherElements(c *call) error {
	x, indices := c.shape(0), c.shape(1)
	c.set(0, c.in(0).DType, indices)
	if x == nil || indices == nil {
		return nil
	}
	if len(x) != len(indices) {
		return fault(c.Node, "input %v and indices %v differ in rank", x, indices)
	}
	_, err := AxisOf(c.Node, len(x), 0)
	return err
}

// GatherNDOf reads a GatherND of an input of shape x by indices of shape s: the first batch axes of both are the same, and the last
// axis of the indices counts through depth axes of the input behind those.
func GatherNDOf(n *Node, x, s Shape) (batch, depth int, err error) {
	b := n.Attrs.Int("batch_dims", 0)
	if len(s) < 1 || len(x) < 1 || b < 0 || b >= int64(min(len(x), len(s))) {
		return 0, 0, fault(n, "batch_dims %d of input %v and indices %v", b, x, s)
	}
	d := s[len(s)-1]
	if !d.Known() || d.Size < 1 || int64(d.Size) > int64(len(x))-b {
		return 0, 0, fault(n, "indices %v count through %v axes of input %v behind %d", s, d, x, b)
	}
	return int(b), d.Size, nil
}

func inferGatherND(c *call) error {
	x, s := c.shape(0), c.shape(1)
	c.set(0, c.in(0).DType, nil)
	if x == nil || s == nil || len(s) > 0 && !s[len(s)-1].Known() {
		return nil
	}
	batch, depth, err := GatherNDOf(c.Node, x, s)
	if err != nil {
		return err
	}
	out := append(Shape{}, s[:len(s)-1]...)
	c.set(0, c.in(0).DType, append(out, x[batch+depth:]...))
	return nil
}

var reductions = []string{"none", "add", "mul", "max", "min"}

// ScatterReduction is how a scatter combines what it writes with what is there: none (it replaces), add, mul, max or min.
func ScatterReduction(n *Node) (string, error) {
	r := n.Attrs.Str("reduction", "none")
	if !slices.Contains(reductions, r) {
		return "", fault(n, "reduction %s is not one of %v", quote(r), reductions)
	}
	return r, nil
}

func inferScatter(c *call) error {
	x, indices, updates := c.shape(0), c.shape(1), c.shape(2)
	c.set(0, c.in(0).DType, x)
	if _, err := ScatterReduction(c.Node); err != nil || x == nil {
		return err
	}
	if _, err := AxisOf(c.Node, len(x), 0); err != nil {
		return err
	}
	if indices != nil && len(indices) != len(x) || updates != nil && len(updates) != len(x) {
		return fault(c.Node, "input %v, indices %v and updates %v differ in rank", x, indices, updates)
	}
	return nil
}

func inferScatterND(c *call) error {
	x, s, updates := c.shape(0), c.shape(1), c.shape(2)
	c.set(0, c.in(0).DType, x)
	if _, err := ScatterReduction(c.Node); err != nil || x == nil || s == nil || len(s) > 0 && !s[len(s)-1].Known() {
		return err
	}
	_, depth, err := GatherNDOf(c.Node, x, s)
	if err != nil {
		return err
	}
	if want := len(s) - 1 + len(x) - depth; updates != nil && len(updates) != want {
		return fault(c.Node, "updates %v for indices %v into %v, want %d axes", updates, s, x, want)
	}
	return nil
}

func inferArg(c *call) error {
	x := c.shape(0)
	c.set(0, Int64, nil)
	if x == nil {
		return nil
	}
	axis, err := AxisOf(c.Node, len(x), 0)
	if err != nil {
		return err
	}
	out := slices.Clone(x)
	if c.Attrs.Int("keepdims", 1) != 0 {
		out[axis] = num(1)
	} else {
		out = slices.Delete(out, axis, axis+1)
	}
	c.set(0, Int64, out)
	return nil
}

// TopKAttrs: the K largest, or smallest, elements along Axis, in order where Sorted.
type TopKAttrs struct {
	Axis, K         int
	Largest, Sorted bool
}

// TopKOf reads a TopK of an input of shape x whose k is constant.
func TopKOf(g *Graph, n *Node, x Shape) (TopKAttrs, error) {
	a, known, err := topKOf(constantsOf(g), n, x)
	if err == nil && !known {
		err = fault(n, "k %s is not constant", quote(n.Input(1)))
	}
	return a, err
}

func topKOf(constant constants, n *Node, x Shape) (a TopKAttrs, known bool, err error) {
	a.Largest, a.Sorted = n.Attrs.Int("largest", 1) != 0, n.Attrs.Int("sorted", 1) != 0
	if a.Axis, err = AxisOf(n, len(x), -1); err != nil {
		return a, false, err
	}
	k := n.Attrs.Int("k", -1)
	if name := n.Input(1); name != "" {
		t := constant(name)
		if t == nil {
			return a, false, nil
		}
		list, err := t.Ints()
		if err != nil || len(list) != 1 {
			return a, false, fault(n, "k of type %v and shape %v, want a whole number", t.DType, t.Shape)
		}
		k = list[0]
	}
	if d := x[a.Axis]; k < 0 || k > maxDim || d.Known() && k > int64(d.Size) {
		return a, false, fault(n, "k %d of axis %d of input %v", k, a.Axis, x)
	}
	a.K = int(k)
	return a, true, nil
}

func inferTopK(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, nil)
	c.set(1, Int64, nil)
	if x == nil {
		return nil
	}
	a, known, err := topKOf(c.constant, c.Node, x)
	if err != nil {
		return err
	}
	out := slices.Clone(x)
	out[a.Axis] = unknown
	if known {
		out[a.Axis] = num(a.K)
	}
	c.set(0, c.in(0).DType, out)
	c.set(1, Int64, out)
	return nil
}

// OneHotOf reads where the new axis of a OneHot stands in its output of the given rank.
func OneHotOf(n *Node, rank int) (axis int, err error) {
	axis, err = normalAxis(n.Attrs.Int("axis", -1), rank)
	if err != nil {
		return 0, fault(n, "%w", err)
	}
	return axis, nil
}

func inferOneHot(c *call) error {
	s := c.shape(0)
	d := c.in(2).DType
	c.set(0, d, nil)
	if s == nil {
		return nil
	}
	axis, err := OneHotOf(c.Node, len(s)+1)
	if err != nil {
		return err
	}
	depth := unknown
	if v := c.value(c.Input(1)); v != nil && v.len() == 1 {
		if ints := v.ints(); ints != nil {
			depth = ints[0]
		} else if f := asFloats(v.t); len(f) == 1 && f[0] >= 0 && f[0] <= maxDim {
			depth = num(int(f[0]))
		}
	}
	c.set(0, d, slices.Insert(slices.Clone(s), axis, depth))
	return nil
}

func inferNonZero(c *call) error {
	c.set(0, Int64, Shape{unknown, unknown})
	if x := c.shape(0); x != nil {
		c.set(0, Int64, Shape{num(len(x)), unknown})
	}
	return nil
}

func evalNonZero(c *call) []*val {
	v := c.operand(0)
	if v.t == nil {
		return nil
	}
	list := asFloats(v.t)
	if list == nil {
		return nil
	}
	rank := len(v.shape)
	step := strides(v.shape)
	columns := make([][]int64, rank)
	count := 0
	for i, x := range list {
		if x == 0 {
			continue
		}
		count++
		for axis := range rank {
			columns[axis] = append(columns[axis], int64(i/step[axis]%v.shape[axis]))
		}
	}
	return []*val{ofTensor(fromInts(Int64, slices.Concat(columns...), []int{rank, count}))}
}

// inferSuppression: how many boxes are left depends on their values.
func inferSuppression(c *call) error {
	boxes, scores := c.shape(0), c.shape(1)
	if boxes != nil && (len(boxes) != 3 || boxes[2].Known() && boxes[2].Size != 4) || scores != nil && len(scores) != 3 {
		return fault(c.Node, "boxes %v and scores %v, want (batch, boxes, 4) and (batch, classes, boxes)", boxes, scores)
	}
	c.set(0, Int64, Shape{unknown, num(3)})
	return nil
}

// CumSumOf reads the axis of a CumSum, which must be constant.
func CumSumOf(g *Graph, n *Node, rank int) (axis int, err error) {
	v, err := scalar(constantsOf(g)(n.Input(1)))
	if err != nil {
		return 0, fault(n, "axis %s: %w", quote(n.Input(1)), err)
	}
	if axis, err = normalAxis(int64(v), rank); err != nil {
		return 0, fault(n, "%w", err)
	}
	return axis, nil
}

func inferCumSum(c *call) error { return inferSame(c) }

func inferTrilu(c *call) error {
	x := c.shape(0)
	if x != nil && len(x) < 2 {
		return fault(c.Node, "input %v is no matrix", x)
	}
	return inferSame(c)
}

// TriluOf reads a Trilu: the diagonal from which it keeps what lies above, or up to which it keeps what lies below.
func TriluOf(g *Graph, n *Node) (diagonal int64, upper bool, err error) {
	upper = n.Attrs.Int("upper", 1) != 0
	name := n.Input(1)
	if name == "" {
		return 0, upper, nil
	}
	t := constantsOf(g)(name)
	if t == nil {
		return 0, upper, fault(n, "diagonal %s is not constant", quote(name))
	}
	v, err := t.Ints()
	if err != nil || len(v) != 1 {
		return 0, upper, fault(n, "diagonal of type %v and shape %v, want a whole number", t.DType, t.Shape)
	}
	return v[0], upper, nil
}
