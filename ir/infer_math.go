package ir

// Rows of element-wise operators, products and losses.

var mathOps = map[string]operator{
	"Relu":        unaryRow(evalUnary(foldable["Relu"])),
	"LeakyRelu":   unaryRow(nil, "alpha"),
	"Elu":         unaryRow(nil, "alpha"),
	"Selu":        unaryRow(nil, "alpha", "gamma"),
	"Celu":        unaryRow(nil, "alpha"),
	"Sigmoid":     unaryRow(evalUnary(foldable["Sigmoid"])),
	"HardSigmoid": unaryRow(nil, "alpha", "beta"),
	"HardSwish":   unaryRow(nil),
	"Softplus":    unaryRow(evalUnary(foldable["Softplus"])),
	"Softsign":    unaryRow(nil),
	"Mish":        unaryRow(nil),
	"Tanh":        unaryRow(evalUnary(foldable["Tanh"])),
	"Exp":         unaryRow(evalUnary(foldable["Exp"])),
	"Log":         unaryRow(evalUnary(foldable["Log"])),
	"Sqrt":        unaryRow(evalSqrt),
	"Reciprocal":  unaryRow(evalUnary(foldable["Reciprocal"])),
	"Erf":         unaryRow(evalUnary(foldable["Erf"])),
	"Sin":         unaryRow(evalUnary(foldable["Sin"])),
	"Cos":         unaryRow(evalUnary(foldable["Cos"])),
	"Abs":         unaryRow(evalAbs),
	"Neg":         unaryRow(evalNeg),
	"Sign":        unaryRow(evalUnary(foldable["Sign"])),
	"Floor":       unaryRow(evalFloor),
	"Ceil":        unaryRow(evalCeil),
	"Round":       unaryRow(evalRound),
	"Not":         compareRow1(evalNot),
	"IsNaN":       compareRow1(nil),
	"Tan":         unaryRow(evalUnary(foldable["Tan"])),
	"Atan":        unaryRow(evalUnary(foldable["Atan"])),
	"Sinh":        unaryRow(evalUnary(foldable["Sinh"])),
	"Cosh":        unaryRow(evalUnary(foldable["Cosh"])),

	"ThresholdedRelu": unaryRow(nil, "alpha"),

	"Gelu":           {inputs: one, outputs: one, infer: inferSame, attrs: kinds{"approximate": AttrString}},
	"Clip":           {inputs: span{1, 3}, outputs: one, infer: inferSame, attrs: kinds{"min": AttrFloat, "max": AttrFloat}},
	"PRelu":          {inputs: span{2, 2}, outputs: one, infer: inferPRelu},
	"Softmax":        {inputs: one, outputs: one, infer: inferSoftmax, attrs: kinds{"axis": AttrInt}},
	"LogSoftmax":     {inputs: one, outputs: one, infer: inferSoftmax, attrs: kinds{"axis": AttrInt}},
	"Dropout":        {inputs: span{1, 3}, outputs: span{1, 2}, infer: inferDropout, attrs: kinds{"ratio": AttrFloat, "seed": AttrInt}},
	"Identity":       {inputs: one, outputs: one, infer: inferSame, eval: evalIdentity},
	"Add":            binaryRow(evalAdd),
	"Sub":            binaryRow(evalSub),
	"Mul":            binaryRow(evalMul),
	"Div":            binaryRow(evalDiv),
	"Mod":            {inputs: span{2, 2}, outputs: one, infer: inferBroadcast, eval: evalMod, attrs: kinds{"fmod": AttrInt}},
	"Pow":            binaryRow(evalPow),
	"Sum":            variadicRow(evalSum),
	"Mean":           variadicRow(nil),
	"Min":            variadicRow(evalMin),
	"Max":            variadicRow(evalMax),
	"And":            compareRow(evalAnd),
	"Or":             compareRow(evalOr),
	"Xor":            compareRow(evalXor),
	"Equal":          compareRow(evalEqual),
	"Less":           compareRow(evalLess),
	"LessOrEqual":    compareRow(evalLessOrEqual),
	"Greater":        compareRow(evalGreater),
	"GreaterOrEqual": compareRow(evalGreaterOrEqual),
	"Where":          {inputs: span{3, 3}, outputs: one, infer: inferWhere, eval: evalWhere},
	"Cast":           {inputs: one, outputs: one, infer: inferCast, eval: evalCast, attrs: kinds{"to": AttrInt, "saturate": AttrInt}},

	"MatMul": {inputs: span{2, 2}, outputs: one, infer: inferMatMul},
	"Gemm": {inputs: span{2, 3}, outputs: one, infer: inferGemm, attrs: kinds{
		"alpha": AttrFloat, "beta": AttrFloat, "transA": AttrInt, "transB": AttrInt,
	}},
}

// lossOps are the training operators of DomainDMS.
var lossOps = map[string]operator{
	"dms.CrossEntropy": {inputs: span{2, 2}, outputs: one, infer: inferLoss, attrs: kinds{"temperature": AttrFloat}},
	"dms.DIST": {inputs: span{2, 2}, outputs: one, infer: inferLoss, attrs: kinds{
		"beta": AttrFloat, "gamma": AttrFloat, "temperature": AttrFloat,
	}},
}

func unaryRow(eval func(*call) []*val, floats ...string) operator {
	attrs := kinds{}
	for _, name := range floats {
		attrs[name] = AttrFloat
	}
	return operator{inputs: one, outputs: one, infer: inferSame, eval: eval, attrs: attrs}
}

func binaryRow(eval func(*call) []*val) operator {
	return operator{inputs: span{2, 2}, outputs: one, infer: inferBroadcast, eval: eval}
}

func variadicRow(eval func(*call) []*val) operator {
	return operator{inputs: span{1, many}, outputs: one, infer: inferBroadcast, eval: eval}
}

func compareRow(eval func(*call) []*val) operator {
	return operator{inputs: span{2, 2}, outputs: one, infer: inferCompare, eval: eval}
}

// compareRow1 is for one operand.
func compareRow1(eval func(*call) []*val) operator {
	return operator{inputs: one, outputs: one, infer: inferTruth, eval: eval}
}

func inferTruth(c *call) error {
	c.set(0, Bool, c.shape(0))
	return nil
}

func inferSame(c *call) error {
	c.set(0, c.in(0).DType, c.shape(0))
	return nil
}

func inferBroadcast(c *call) error { return inferBroadcastAs(c, c.in(0).DType, 0) }

func inferCompare(c *call) error { return inferBroadcastAs(c, Bool, 0) }

func inferWhere(c *call) error { return inferBroadcastAs(c, c.in(1).DType, 0) }

// inferBroadcastAs broadcasts the inputs from the given one on.
func inferBroadcastAs(c *call, d DType, from int) error {
	out := c.shape(from)
	for i := from + 1; i < len(c.Inputs); i++ {
		var err error
		if out, err = broadcast(out, c.shape(i)); err != nil {
			return fault(c.Node, "%w", err)
		}
	}
	c.set(0, d, out)
	return nil
}

func inferPRelu(c *call) error {
	x, slope := c.shape(0), c.shape(1)
	if x != nil && (len(slope) > len(x) || !fits(slope, x)) {
		return fault(c.Node, "slope %v does not broadcast to input %v", slope, x)
	}
	c.set(0, c.in(0).DType, x)
	return nil
}

func inferSoftmax(c *call) error {
	x := c.shape(0)
	if x != nil {
		if _, _, err := SoftmaxOf(c.g, c.Node, len(x)); err != nil {
			return err
		}
	}
	return inferSame(c)
}

func inferDropout(c *call) error {
	c.set(0, c.in(0).DType, c.shape(0))
	c.set(1, Bool, c.shape(0))
	return nil
}

func inferCast(c *call) error {
	to := DType(c.Attrs.Int("to", 0))
	if int64(to) != c.Attrs.Int("to", 0) || to.Size() == 0 && to != String {
		return fault(c.Node, "type %d is not supported", c.Attrs.Int("to", 0))
	}
	c.set(0, to, c.shape(0))
	return nil
}

// inferMatMul follows numpy: a vector counts as a row at the left and as a column at the right; axes before the last two broadcast.
func inferMatMul(c *call) error {
	a, b := c.shape(0), c.shape(1)
	d := c.in(0).DType
	c.set(0, d, nil)
	if a == nil || b == nil {
		return nil
	}
	if len(a) == 0 || len(b) == 0 {
		return fault(c.Node, "%v by %v: a scalar has no matrix product", a, b)
	}
	row, col := a, b
	if len(a) == 1 {
		row = Shape{num(1), a[0]}
	}
	if len(b) == 1 {
		col = Shape{b[0], num(1)}
	}
	if _, err := merge(row[len(row)-1], col[len(col)-2]); err != nil {
		return fault(c.Node, "%v by %v: %w", a, b, err)
	}
	out, err := broadcast(row[:len(row)-2], col[:len(col)-2])
	if err != nil {
		return fault(c.Node, "%v by %v: %w", a, b, err)
	}
	out = append(Shape{}, out...)
	if len(a) > 1 {
		out = append(out, row[len(row)-2])
	}
	if len(b) > 1 {
		out = append(out, col[len(col)-1])
	}
	c.set(0, d, out)
	return nil
}

func inferGemm(c *call) error {
	a, b := c.shape(0), c.shape(1)
	attrs := GemmOf(c.Node)
	if a != nil && len(a) != 2 || b != nil && len(b) != 2 {
		return fault(c.Node, "%v by %v: want two matrices", a, b)
	}
	out := Shape{unknown, unknown}
	k := [2]Dim{unknown, unknown}
	if a != nil {
		out[0], k[0] = a[0], a[1]
		if attrs.TransA {
			out[0], k[0] = a[1], a[0]
		}
	}
	if b != nil {
		k[1], out[1] = b[0], b[1]
		if attrs.TransB {
			k[1], out[1] = b[1], b[0]
		}
	}
	if _, err := merge(k[0], k[1]); err != nil {
		return fault(c.Node, "%v by %v with transA %v, transB %v: %w", a, b, attrs.TransA, attrs.TransB, err)
	}
	if bias := c.shape(2); bias != nil {
		if s, err := broadcast(out, bias); err != nil || len(s) > 2 || !fits(bias, out) {
			return fault(c.Node, "bias %v does not broadcast to product %v", bias, out)
		}
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

// fits tells whether s may broadcast to the shape out without changing it.
func fits(s, out Shape) bool {
	for i, d := range s {
		e := out[len(out)-len(s)+i]
		if d.Known() && e.Known() && d.Size != 1 && d.Size != e.Size {
			return false
		}
	}
	return true
}

// inferLoss checks logits and targets of one shape (N, K); a loss is a scalar.
func inferLoss(c *call) error {
	x, t := c.shape(0), c.shape(1)
	if x != nil && len(x) != 2 || t != nil && len(t) != 2 {
		return fault(c.Node, "logits %v and target %v: want (N, K) both", x, t)
	}
	if x != nil && t != nil {
		for i := range x {
			if _, err := merge(x[i], t[i]); err != nil {
				return fault(c.Node, "logits %v and target %v: %w", x, t, err)
			}
		}
	}
	c.set(0, c.in(0).DType, Shape{})
	return nil
}
