package program

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dms-go/dms/internal/conv"
	"github.com/dms-go/dms/ir"
)

// lowering appends the instructions of one node.
type lowering func(b *builder, n *ir.Node) error

// lowerings has one row per operator of the graph.
var lowerings = map[string]lowering{
	"Conv":               lowerConv,
	"Gemm":               lowerGemm,
	"MatMul":             lowerMatMul,
	"BatchNormalization": lowerBatchNorm,

	"Relu":        unary("relu"),
	"Sigmoid":     unary("sigmoid"),
	"Tanh":        unary("tanh"),
	"Exp":         unary("exp"),
	"Log":         unary("log"),
	"Sqrt":        unary("sqrt"),
	"Erf":         unary("erf"),
	"Abs":         unary("abs"),
	"Neg":         unary("neg"),
	"Reciprocal":  unary("reciprocal"),
	"Softplus":    unary("softplus"),
	"HardSwish":   unary("hardswish"),
	"LeakyRelu":   lowerLeaky,
	"Elu":         lowerElu,
	"HardSigmoid": lowerHardSigmoid,
	"Gelu":        lowerGelu,
	"Clip":        lowerClip,
	"PRelu":       lowerPrelu,

	"Selu":     lowerSelu,
	"Celu":     lowerCelu,
	"Softsign": unary("softsign"),
	"Mish":     unary("mish"),
	"Sin":      unary("sin"),
	"Cos":      unary("cos"),
	"Tan":      unary("tan"),
	"Atan":     unary("atan"),
	"Sinh":     unary("sinh"),
	"Cosh":     unary("cosh"),
	"Sign":     unary("sign"),
	"Floor":    unary("floor"),
	"Ceil":     unary("ceil"),
	"Round":    unary("round"),
	"Not":      unary("not"),
	"IsNaN":    unary("isnan"),

	"ThresholdedRelu": lowerThresholded,

	"Add":  binary("add"),
	"Sub":  binary("sub"),
	"Mul":  binary("mul"),
	"Div":  lowerQuotient,
	"Mod":  lowerMod,
	"Pow":  binary("pow"),
	"Mean": lowerMean,

	"And":   binary("mul"),
	"Or":    binary("max"),
	"Xor":   binary("differ"),
	"Equal": binary("equal"),
	"Less":  binary("less"),

	"LessOrEqual":    binary("notmore"),
	"Greater":        binary("greater"),
	"GreaterOrEqual": binary("notless"),
	"Where":          lowerWhere,

	"Max": binary("max"),
	"Min": binary("min"),
	"Sum": binary("add"),

	"MaxPool":           lowerPool(MaxPool),
	"AveragePool":       lowerPool(AvgPool),
	"GlobalAveragePool": lowerGlobalAverage,
	"GlobalMaxPool":     lowerGlobalMax,

	"ReduceMean":      lowerReduction(meanOf),
	"ReduceSum":       lowerReduction(sumOf),
	"ReduceMax":       lowerReduction(extreme("max")),
	"ReduceMin":       lowerReduction(extreme("min")),
	"ReduceProd":      lowerReduction(extreme("mul")),
	"ReduceL1":        lowerReduction(sumOfSizes),
	"ReduceL2":        lowerReduction(rootOfSquares),
	"ReduceSumSquare": lowerReduction(sumOfSquares),
	"ReduceLogSum":    lowerReduction(logOfSum),
	"ReduceLogSumExp": lowerReduction(logOfExponentials),
	"ArgMax":          lowerArg(false),
	"ArgMin":          lowerArg(true),
	"TopK":            lowerTopK,
	"CumSum":          lowerCumSum,
	"Hardmax":         lowerHardmax,

	"LayerNormalization":        lowerLayerNorm(false),
	"RMSNormalization":          lowerLayerNorm(true),
	"InstanceNormalization":     lowerInstanceNorm,
	"GroupNormalization":        lowerGroupNorm,
	"LpNormalization":           lowerLpNorm,
	"MeanVarianceNormalization": lowerMeanVariance,
	"LRN":                       lowerLRN,

	"Softmax":    lowerSoftmax(Softmax),
	"LogSoftmax": lowerSoftmax(LogSoftmax),
	"Dropout":    lowerDropout,

	"Identity":  lowerIdentity,
	"Cast":      lowerCast,
	"Reshape":   lowerReshape,
	"Flatten":   lowerReshape,
	"Squeeze":   lowerReshape,
	"Unsqueeze": lowerReshape,
	"Transpose": lowerTranspose,
	"Concat":    lowerConcat,
	"Slice":     lowerSlice,
	"Split":     lowerSplit,
	"Pad":       lowerPad,
	"Gather":    lowerGather,
	"Expand":    lowerExpand,
	"Resize":    lowerResize,
	"Upsample":  lowerResize,
	"Tile":      lowerTile,

	"DepthToSpace":    lowerDepthToSpace,
	"SpaceToDepth":    lowerSpaceToDepth,
	"GatherElements":  lowerGatherElements,
	"GatherND":        lowerGatherND,
	"ScatterElements": lowerScatterElements,
	"Scatter":         lowerScatterElements,
	"ScatterND":       lowerScatterND,
	"OneHot":          lowerOneHot,
	"Trilu":           lowerTrilu,

	"NonMaxSuppression": lowerSuppression,
	"NonZero":           lowerNonZero,

	"ConvTranspose":   lowerConvTranspose,
	"Einsum":          lowerEinsum,
	"Attention":       lowerAttention,
	"RotaryEmbedding": lowerRotary,
}

// trainingLowerings are the rows of ir.DomainDMS.
var trainingLowerings = map[string]lowering{
	"CrossEntropy": lowerCrossEntropy,
	"DIST":         lowerDist,
}

// Lowers tells whether the engine can run an operator.
func Lowers(op, domain string) bool { return rowOf(op, domain) != nil }

// Operators lists the graph's operators that the engine can run, sorted; those of ir.DomainDMS are written "dms.Name".
func Operators() []string {
	names := slices.Collect(maps.Keys(lowerings))
	for op := range trainingLowerings {
		names = append(names, ir.DomainDMS+"."+op)
	}
	slices.Sort(names)
	return names
}

func rowOf(op, domain string) lowering {
	switch {
	case ir.Standard(domain):
		return lowerings[op]
	case domain == ir.DomainDMS:
		return trainingLowerings[op]
	}
	return nil
}

func (b *builder) lowerAll() error {
	var unsupported []string
	for _, n := range b.g.Nodes {
		if rowOf(n.Op, n.Domain) == nil {
			unsupported = append(unsupported, n.Label())
		}
	}
	if unsupported != nil {
		return &UnsupportedError{Nodes: unsupported}
	}
	var faults []error
	lost := map[string]bool{} // values that a fault leaves undefined: one fault is reported once
	for _, n := range b.g.Nodes {
		b.node = n.ID()
		if slices.ContainsFunc(n.Inputs, func(v string) bool { return lost[v] }) {
			for _, v := range n.Outputs {
				lost[v] = v != ""
			}
			continue
		}
		if !slices.ContainsFunc(n.Outputs, func(v string) bool { return v != "" && !b.empty(v) }) {
			continue // nothing to compute
		}
		if err := rowOf(n.Op, n.Domain)(b, n); err != nil {
			faults = append(faults, fmt.Errorf("program: %s: %w", n.Label(), err))
			for _, v := range n.Outputs {
				lost[v] = v != ""
			}
		}
	}
	if faults != nil {
		return errors.Join(faults...)
	}
	b.node = ""
	b.p.Forward = len(b.p.Instrs)
	return b.outputs()
}

// outputs collects what the caller wants to read.
func (b *builder) outputs() error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(b.keep)) {
		id, err := b.get(name)
		if err != nil {
			faults = append(faults, fmt.Errorf("program: output %q: %w", name, err))
			continue
		}
		b.p.Outputs[name] = id
	}
	return errors.Join(faults...)
}

// get is the program value of a graph value.
func (b *builder) get(name string) (ID, error) {
	if id, ok := b.value[name]; ok {
		return id, nil
	}
	t := b.g.Weights[name]
	if t == nil && b.empty(name) {
		return None, fmt.Errorf("value %q of shape %v is empty", name, b.info[name].Shape)
	}
	if t == nil {
		return None, fmt.Errorf("value %q is not computed in this program", name)
	}
	if t.Len() == 0 {
		return None, fmt.Errorf("constant %q of shape %v is empty", name, t.Shape)
	}
	if t.DType.IsInt() {
		return b.wholeConstant(name, t)
	}
	if !t.DType.IsFloat() {
		return None, fmt.Errorf("constant %q is %v; the engine computes with numbers only", name, t.DType)
	}
	if b.bound[name] {
		data, err := t.Floats()
		if err != nil {
			return None, fmt.Errorf("constant %q: %w", name, err)
		}
		id := b.constant(data, t.Shape...)
		b.value[name] = id
		return id, nil
	}
	layout := WeightLayout(t)
	id := b.add(Value{Name: name, Shape: permute(t.Shape, layout), Layout: layout, Class: Param})
	b.value[name], b.p.Params[name] = id, id
	return id, nil
}

// WeightLayout is the storage order of a weight in every program: kernels of images are channels-last.
func WeightLayout(t *ir.Tensor) []int {
	if len(t.Shape) == 4 {
		return channelsLast(4)
	}
	return nil
}

// in is the i-th input of the node.
func (b *builder) in(n *ir.Node, i int) (ID, error) {
	if n.Input(i) == "" {
		return None, fmt.Errorf("input %d is missing", i)
	}
	return b.get(n.Input(i))
}

// result makes the value of the node's output o, with the given graph shape's storage order.
func (b *builder) result(n *ir.Node, o int, layout []int) (ID, error) {
	sizes, err := b.sizes(n.Outputs[o])
	if err != nil {
		return None, err
	}
	layout = normal(layout)
	id := b.temp(n.Outputs[o], permute(sizes, layout), layout)
	b.value[n.Outputs[o]] = id
	return id, nil
}

// image gives v as (N, H, W, C): a signal (N, C, L) has height one.
func (b *builder) image(v ID) (ID, [4]int, error) {
	v = b.arrange(v, channelsLast(len(b.val(v).Shape)))
	s := b.val(v).Shape
	switch len(s) {
	case 4:
		return v, [4]int(s), nil
	case 3:
		flat := [4]int{s[0], 1, s[1], s[2]}
		return b.view(v, flat[:], nil), flat, nil
	}
	return None, [4]int{}, fmt.Errorf("input of shape %v: the engine has one- and two-dimensional images only", b.val(v).logical())
}

// pair reads a spatial attribute as height and width.
func pair(v []int, missing int) (h, w int) {
	if len(v) == 1 {
		return missing, v[0]
	}
	return v[0], v[1]
}

// shapes of two inputs as the graph has them.
func (b *builder) shape(name string) ir.Shape { return b.info[name].Shape }

func lowerConv(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	w, err := b.in(n, 1)
	if err != nil {
		return err
	}
	a, err := ir.ConvOf(b.g, n, b.shape(n.Input(0)), b.shape(n.Input(1)))
	if err != nil {
		return err
	}
	x, xs, err := b.image(x)
	if err != nil {
		return err
	}
	w, ws, err := b.image(w)
	if err != nil {
		return err
	}
	s := conv.Shape{N: xs[0], H: xs[1], W: xs[2], C: xs[3], O: ws[0], KH: ws[1], KW: ws[2], Group: a.Group, Direct: b.cfg.Direct}
	s.StrideH, s.StrideW = pair(a.Strides, 1)
	s.DilH, s.DilW = pair(a.Dilations, 1)
	s.PadTop, s.PadLeft = pair(a.Begin, 0)
	s.PadBottom, s.PadRight = pair(a.End, 0)
	s.OH, s.OW = s.Out()
	if s.C != ws[3]*s.Group || s.O%s.Group != 0 {
		return fmt.Errorf("%d channels, a kernel of %d by %d and %d groups do not fit", s.C, s.O, ws[3], s.Group)
	}
	out, err := b.result(n, 0, channelsLast(len(b.shape(n.Input(0)))))
	if err != nil {
		return err
	}
	if b.val(out).Len() != s.N*s.OH*s.OW*s.O {
		return fmt.Errorf("output %v does not follow from input %v and kernel %v", b.val(out).logical(), xs, ws)
	}
	in := []ID{x, w}
	if n.Input(2) != "" {
		bias, err := b.in(n, 2)
		if err != nil {
			return err
		}
		in = append(in, bias)
	}
	b.emit(Conv, ConvAttr{Shape: s}, []ID{out}, in)
	return nil
}

func lowerGemm(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	w, err := b.in(n, 1)
	if err != nil {
		return err
	}
	v := ir.GemmOf(n)
	xs, ws := b.val(x).Shape, b.val(w).Shape
	if len(xs) != 2 || len(ws) != 2 {
		return fmt.Errorf("operands of shapes %v and %v; both need two axes", xs, ws)
	}
	x, w = b.rowMajor(x), b.rowMajor(w)
	a := GemmAttr{Batch: 1, M: xs[0], K: xs[1], N: ws[1], TransA: v.TransA, TransB: v.TransB, Alpha: float64(v.Alpha)}
	if v.TransA {
		a.M, a.K = xs[1], xs[0]
	}
	kw := ws[0]
	if v.TransB {
		a.N, kw = ws[0], ws[1]
	}
	if kw != a.K {
		return fmt.Errorf("operands of shapes %v and %v do not fit", xs, ws)
	}
	out, err := b.result(n, 0, nil)
	if err != nil {
		return err
	}
	if n.Input(2) == "" || v.Beta == 0 {
		b.emit(Gemm, a, []ID{out}, []ID{x, w})
		return nil
	}
	c, err := b.in(n, 2)
	if err != nil {
		return err
	}
	product := b.temp(n.Outputs[0], b.val(out).Shape, nil)
	b.emit(Gemm, a, []ID{product}, []ID{x, w})
	if v.Beta != 1 {
		scaled := b.temp("beta", b.val(c).Shape, b.val(c).Layout)
		b.emit(Unary, UnaryAttr{Function: "scale", A: float64(v.Beta)}, []ID{scaled}, []ID{c})
		c = scaled
	}
	b.emit(Binary, BinaryAttr{"add"}, []ID{out}, []ID{product, b.broadcastTo(c, 2, nil)})
	return nil
}

// lowerMatMul multiplies stacks of matrices, which broadcast. A vector counts as a row at the left and as a column at the right.
func lowerMatMul(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	w, err := b.in(n, 1)
	if err != nil {
		return err
	}
	x, w = b.rowMajor(x), b.rowMajor(w)
	if s := b.val(x).Shape; len(s) == 1 {
		x = b.view(x, []int{1, s[0]}, nil)
	}
	if s := b.val(w).Shape; len(s) == 1 {
		w = b.view(w, []int{s[0], 1}, nil)
	}
	if xs, ws := b.val(x).Shape, b.val(w).Shape; len(xs) < 2 || len(ws) < 2 || ws[len(ws)-2] != xs[len(xs)-1] {
		return fmt.Errorf("operands of shapes %v and %v do not fit", xs, ws)
	}
	return b.done(n, 0, b.matmul(x, w, false, 1))
}

func lowerBatchNorm(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	x = b.arrange(x, channelsLast(len(b.val(x).Shape)))
	in := []ID{x}
	for i := 1; i < 5; i++ {
		v, err := b.in(n, i)
		if err != nil {
			return err
		}
		in = append(in, v)
	}
	s := b.val(x).Shape
	a := BatchNormAttr{Channels: s[len(s)-1], Train: b.cfg.Training}
	a.Rows = product(s) / a.Channels
	v := ir.BatchNormOf(n)
	a.Epsilon, a.Momentum = float64(v.Epsilon), float64(v.Momentum)
	for _, p := range in[1:] {
		if b.val(p).Len() != a.Channels {
			return fmt.Errorf("%d channels, but parameters of shape %v", a.Channels, b.val(p).Shape)
		}
	}
	if a.Train && (b.val(in[3]).Class != Param || b.val(in[4]).Class != Param) {
		return errors.New("its running statistics are not weights, so they cannot be updated")
	}
	out, err := b.result(n, 0, b.val(x).Layout)
	if err != nil {
		return err
	}
	mean := b.temp("mean", []int{a.Channels}, nil)
	inv := b.temp("inv", []int{a.Channels}, nil)
	b.emit(BatchNorm, a, []ID{out, mean, inv}, append(in, None, None, None, None))
	return nil
}

func lowerPool(op Op) lowering {
	return func(b *builder, n *ir.Node) error {
		x, err := b.in(n, 0)
		if err != nil {
			return err
		}
		v, err := ir.PoolOf(b.g, n, b.shape(n.Input(0)))
		if err != nil {
			return err
		}
		if len(n.Outputs) > 1 && n.Outputs[1] != "" {
			return errors.New("the positions of the maxima are not supported as an output")
		}
		x, s, err := b.image(x)
		if err != nil {
			return err
		}
		out, err := b.result(n, 0, channelsLast(len(b.shape(n.Input(0)))))
		if err != nil {
			return err
		}
		a := PoolAttr{N: s[0], H: s[1], W: s[2], C: s[3], CountPad: v.CountPad}
		a.KH, a.KW = pair(v.Kernel, 1)
		a.StrideH, a.StrideW = pair(v.Strides, 1)
		a.DilH, a.DilW = pair(v.Dilations, 1)
		a.Top, a.Left = pair(v.Begin, 0)
		a.PadBottom, a.PadRight = pair(v.End, 0)
		o := b.val(out).Shape
		a.OH, a.OW = 1, o[1]
		if len(o) == 4 {
			a.OH, a.OW = o[1], o[2]
		}
		b.emit(op, a, []ID{out}, []ID{x})
		return nil
	}
}

// lowerGlobalMax is a maximum over one window as large as the image.
func lowerGlobalMax(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	x, s, err := b.image(x)
	if err != nil {
		return err
	}
	out, err := b.result(n, 0, channelsLast(len(b.shape(n.Input(0)))))
	if err != nil {
		return err
	}
	b.emit(MaxPool, PoolAttr{N: s[0], H: s[1], W: s[2], C: s[3], OH: 1, OW: 1, KH: s[1], KW: s[2], StrideH: 1, StrideW: 1, DilH: 1, DilW: 1}, []ID{out}, []ID{x})
	return nil
}

func lowerGlobalAverage(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	x = b.arrange(x, channelsLast(len(b.val(x).Shape)))
	out, err := b.result(n, 0, b.val(x).Layout)
	if err != nil {
		return err
	}
	b.emit(Sum, ScaleAttr{float64(b.val(out).Len()) / float64(b.val(x).Len())}, []ID{out}, []ID{x})
	return nil
}

// dropAxes is v without the given axes of size one, stored as it is.
func (b *builder) dropAxes(v ID, axes []int) ID {
	x := *b.val(v)
	rename := make([]int, len(x.Shape))
	next := 0
	for axis := range rename {
		rename[axis] = next
		if !slices.Contains(axes, axis) {
			next++
		}
	}
	var shape, layout []int
	for i, axis := range full(x.Layout, len(x.Shape)) {
		if slices.Contains(axes, axis) {
			continue
		}
		shape = append(shape, x.Shape[i])
		layout = append(layout, rename[axis])
	}
	return b.view(v, shape, normal(layout))
}

func lowerSoftmax(op Op) lowering {
	return func(b *builder, n *ir.Node) error {
		x, err := b.in(n, 0)
		if err != nil {
			return err
		}
		axis, rest, err := ir.SoftmaxOf(b.g, n, len(b.val(x).Shape))
		if err != nil {
			return err
		}
		if rest {
			x = b.rowMajor(x)
		}
		v := *b.val(x)
		out, err := b.result(n, 0, v.Layout)
		if err != nil {
			return err
		}
		p := v.physical(axis)
		a := SoftmaxAttr{Outer: product(v.Shape[:p]), N: v.Shape[p], Inner: product(v.Shape[p+1:])}
		if rest { // before opset 13 everything from axis on is one axis
			a = SoftmaxAttr{Outer: product(v.Shape[:p]), N: product(v.Shape[p:]), Inner: 1}
		}
		b.emit(op, a, []ID{out}, []ID{x})
		return nil
	}
}

func lowerCrossEntropy(b *builder, n *ir.Node) error {
	return b.lowerLoss(n, CrossEntropy, LossAttr{Temperature: float64(n.Attrs.Float("temperature", 1))})
}

func lowerDist(b *builder, n *ir.Node) error {
	return b.lowerLoss(n, Dist, LossAttr{
		Temperature: float64(n.Attrs.Float("temperature", 1)), Beta: float64(n.Attrs.Float("beta", 1)), Gamma: float64(n.Attrs.Float("gamma", 1)),
	})
}

func (b *builder) lowerLoss(n *ir.Node, op Op, a LossAttr) error {
	logits, err := b.in(n, 0)
	if err != nil {
		return err
	}
	target, err := b.in(n, 1)
	if err != nil {
		return err
	}
	logits, target = b.rowMajor(logits), b.rowMajor(target)
	s := b.val(logits).Shape
	if len(s) != 2 || !slices.Equal(s, b.val(target).Shape) {
		return fmt.Errorf("logits of shape %v and targets of shape %v", s, b.val(target).Shape)
	}
	a.Rows, a.Classes = s[0], s[1]
	out := b.temp(n.Outputs[0], nil, nil)
	b.value[n.Outputs[0]] = out
	b.emit(op, a, []ID{out}, []ID{logits, target})
	return nil
}
