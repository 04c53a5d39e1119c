package ir

import (
	"math"
	"slices"
)

// How arithmetic acts on constants (Float32, and whole numbers) and on symbolic sizes. Sizes of axes are never negative, which
// decides comparisons with negative numbers.

func evalAdd(c *call) []*val {
	return c.arithmetic(addDims, func(a, b float32) float32 { return a + b })
}

func evalSub(c *call) []*val {
	return c.arithmetic(func(a, b Dim) Dim { return addDims(a, negDim(b)) }, func(a, b float32) float32 { return a - b })
}

func evalMul(c *call) []*val {
	return c.arithmetic(func(a, b Dim) Dim { return monomialOf(a).times(b).dim() }, func(a, b float32) float32 { return a * b })
}

func evalDiv(c *call) []*val {
	return c.arithmetic(divDims, func(a, b float32) float32 { return a / b })
}

func evalPow(c *call) []*val {
	return c.arithmetic(nil, func(a, b float32) float32 { return float32(math.Pow(float64(a), float64(b))) })
}

func evalMod(c *call) []*val {
	floor := c.Attrs.Int("fmod", 0) == 0
	return c.arithmetic(func(a, b Dim) Dim {
		if !a.Known() || !b.Known() || b.Size == 0 {
			if m := monomialOf(a); b.Known() && b.Size != 0 && m.coef%b.Size == 0 && a.Sym != "?" {
				return num(0)
			}
			return unknown
		}
		r := a.Size % b.Size
		if floor && r != 0 && (r < 0) != (b.Size < 0) {
			r += b.Size
		}
		return num(r)
	}, nil)
}

func evalSum(c *call) []*val { return evalAdd(c) }

func evalMin(c *call) []*val {
	return c.arithmetic(func(a, b Dim) Dim { return choose(a, b, lessDims(a, b)) }, func(a, b float32) float32 { return min(a, b) })
}

func evalMax(c *call) []*val {
	return c.arithmetic(func(a, b Dim) Dim { return choose(a, b, lessDims(b, a)) }, func(a, b float32) float32 { return max(a, b) })
}

func evalEqual(c *call) []*val {
	return c.comparison(equalDims, func(a, b float32) bool { return a == b })
}

func evalLess(c *call) []*val {
	return c.comparison(lessDims, func(a, b float32) bool { return a < b })
}

func evalGreater(c *call) []*val {
	return c.comparison(func(a, b Dim) Dim { return lessDims(b, a) }, func(a, b float32) bool { return a > b })
}

func evalLessOrEqual(c *call) []*val {
	return c.comparison(func(a, b Dim) Dim { return notDim(lessDims(b, a)) }, func(a, b float32) bool { return a <= b })
}

func evalGreaterOrEqual(c *call) []*val {
	return c.comparison(func(a, b Dim) Dim { return notDim(lessDims(a, b)) }, func(a, b float32) bool { return a >= b })
}

func evalAnd(c *call) []*val {
	return c.comparison(func(a, b Dim) Dim { return monomialOf(a).times(b).dim() }, nil)
}

func evalOr(c *call) []*val {
	return c.comparison(func(a, b Dim) Dim { return notDim(monomialOf(notDim(a)).times(notDim(b)).dim()) }, nil)
}

func negDim(d Dim) Dim { return monomialOf(d).times(num(-1)).dim() }

// divDims divides as C does, towards zero.
func divDims(a, b Dim) Dim {
	if a.Known() && b.Known() {
		if b.Size == 0 {
			return unknown
		}
		return num(a.Size / b.Size)
	}
	d, _ := monomialOf(a).divide(monomialOf(b))
	return d
}

func truth(b bool) Dim {
	if b {
		return num(1)
	}
	return num(0)
}

func notDim(d Dim) Dim {
	if !d.Known() {
		return unknown
	}
	return truth(d.Size == 0)
}

// isSize tells whether a symbolic number is a positive multiple of sizes of axes, and so never negative. What arithmetic could not
// follow is "?" and may be any number.
func isSize(d Dim) bool {
	return !d.Known() && d.Sym != "?" && monomialOf(d).coef > 0
}

func equalDims(a, b Dim) Dim {
	switch {
	case a.Known() && b.Known():
		return truth(a.Size == b.Size)
	case a.Same(b):
		return num(1)
	case a.Known() && a.Size < 0 && isSize(b), b.Known() && b.Size < 0 && isSize(a):
		return num(0)
	}
	return unknown
}

func lessDims(a, b Dim) Dim {
	switch {
	case a.Known() && b.Known():
		return truth(a.Size < b.Size)
	case a.Same(b):
		return num(0)
	case a.Known() && a.Size < 0 && isSize(b):
		return num(1)
	case b.Known() && b.Size <= 0 && isSize(a):
		return num(0)
	}
	return unknown
}

// choose is a where cond is true, b where it is false.
func choose(a, b, cond Dim) Dim {
	switch {
	case !cond.Known() && a.Same(b):
		return a
	case !cond.Known():
		return unknown
	case cond.Size != 0:
		return a
	}
	return b
}

// arithmetic folds the inputs from left to right, element by element with broadcasting. A nil function means that this kind of
// number is not computed.
func (c *call) arithmetic(ints func(a, b Dim) Dim, floats func(a, b float32) float32) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	if !ok {
		return nil
	}
	first := broadcastIndex(v.shape, shape)
	if v.dtype == Float32 && floats != nil {
		acc := picked(v.floats(), first)
		for i := 1; i < len(c.Inputs); i++ {
			w := c.operand(i)
			if w.dtype != Float32 {
				return nil
			}
			for j, at := range broadcastIndex(w.shape, shape) {
				acc[j] = floats(acc[j], w.floats()[at])
			}
		}
		return []*val{ofTensor(Floats32(acc, shape...))}
	}
	if !v.dtype.IsInt() || ints == nil {
		return nil
	}
	acc := picked(v.ints(), first)
	for i := 1; i < len(c.Inputs); i++ {
		w := c.operand(i)
		if w.dtype != v.dtype {
			return nil
		}
		dims := w.ints()
		for j, at := range broadcastIndex(w.shape, shape) {
			acc[j] = ints(acc[j], dims[at])
		}
	}
	return []*val{ofInts(v.dtype, acc, shape)}
}

// comparison compares two inputs element by element.
func (c *call) comparison(ints func(a, b Dim) Dim, floats func(a, b float32) bool) []*val {
	a, b := c.operand(0), c.operand(1)
	shape, ok := c.result(0)
	if !ok || a.dtype != b.dtype {
		return nil
	}
	ia, ib := broadcastIndex(a.shape, shape), broadcastIndex(b.shape, shape)
	out := make([]Dim, len(ia))
	switch {
	case a.dtype == Float32 && floats != nil:
		x, y := a.floats(), b.floats()
		for i := range out {
			out[i] = truth(floats(x[ia[i]], y[ib[i]]))
		}
	case a.dtype.IsInt():
		x, y := a.ints(), b.ints()
		for i := range out {
			out[i] = ints(x[ia[i]], y[ib[i]])
		}
	default:
		return nil
	}
	return []*val{ofInts(Bool, out, shape)}
}

func evalWhere(c *call) []*val {
	cond, a, b := c.operand(0), c.operand(1), c.operand(2)
	shape, ok := c.result(0)
	if !ok || !cond.dtype.IsInt() || a.dtype != b.dtype {
		return nil
	}
	which := picked(cond.ints(), broadcastIndex(cond.shape, shape))
	ia, ib := broadcastIndex(a.shape, shape), broadcastIndex(b.shape, shape)
	if a.dtype.IsInt() {
		x, y := a.ints(), b.ints()
		out := make([]Dim, len(which))
		for i, w := range which {
			out[i] = choose(x[ia[i]], y[ib[i]], w)
		}
		return []*val{ofInts(a.dtype, out, shape)}
	}
	if a.dtype != Float32 {
		return nil
	}
	x, y := a.floats(), b.floats()
	out := make([]float32, len(which))
	for i, w := range which {
		switch {
		case !w.Known():
			return nil
		case w.Size != 0:
			out[i] = x[ia[i]]
		default:
			out[i] = y[ib[i]]
		}
	}
	return []*val{ofTensor(Floats32(out, shape...))}
}

func evalCast(c *call) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	to := c.outs[0].DType
	switch {
	case !ok || to == String || v.dtype == String:
		return nil
	case v.t == nil && to.IsInt() && to.Size() >= 4:
		return []*val{ofInts(to, v.dims, shape)}
	case v.t == nil:
		return nil
	case to == v.dtype:
		return []*val{v.retype(shape)}
	case to.IsInt() && v.dtype.IsInt():
		return []*val{ofInts(to, v.ints(), shape)}
	}
	t := fromFloats(to, asFloats(v.t), shape)
	if t == nil {
		return nil
	}
	return []*val{ofTensor(t)}
}

// each applies a function to every element.
func (c *call) each(ints func(Dim) Dim, floats func(float64) float64) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	switch {
	case !ok:
		return nil
	case v.dtype == Float32 && floats != nil:
		out := slices.Clone(v.floats())
		for i, x := range out {
			out[i] = float32(floats(float64(x)))
		}
		return []*val{ofTensor(Floats32(out, shape...))}
	case v.dtype.IsInt() && ints != nil:
		out := slices.Clone(v.ints())
		for i, x := range out {
			out[i] = ints(x)
		}
		return []*val{ofInts(v.dtype, out, shape)}
	}
	return nil
}

func evalNeg(c *call) []*val {
	return c.each(negDim, func(x float64) float64 { return -x })
}

func evalAbs(c *call) []*val {
	return c.each(func(d Dim) Dim {
		if d.Sym == "?" || isSize(d) || d.Known() && d.Size >= 0 {
			return d
		}
		return negDim(d)
	}, math.Abs)
}

// foldable are functions of one number that are computed on constants: tables of positions are made by them.
var foldable = map[string]func(float64) float64{
	"Exp": math.Exp, "Log": math.Log, "Sin": math.Sin, "Cos": math.Cos, "Tan": math.Tan, "Atan": math.Atan, "Sinh": math.Sinh,
	"Cosh": math.Cosh, "Tanh": math.Tanh, "Erf": math.Erf,
	"Reciprocal": func(x float64) float64 { return 1 / x },
	"Softplus":   func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) },
	"Sigmoid":    func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	"Relu":       func(x float64) float64 { return max(x, 0) },
	"Sign": func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	},
}

func evalUnary(f func(float64) float64) func(*call) []*val {
	return func(c *call) []*val { return c.each(nil, f) }
}

func evalXor(c *call) []*val {
	return c.comparison(func(a, b Dim) Dim { return notDim(equalDims(notDim(a), notDim(b))) }, nil)
}

func evalSqrt(c *call) []*val  { return c.each(nil, math.Sqrt) }
func evalFloor(c *call) []*val { return c.each(nil, math.Floor) }
func evalCeil(c *call) []*val  { return c.each(nil, math.Ceil) }
func evalRound(c *call) []*val { return c.each(nil, math.RoundToEven) }
func evalNot(c *call) []*val   { return c.each(notDim, nil) }

func evalReduceSum(c *call) []*val {
	return c.reduced(addDims, func(a, b float32) float32 { return a + b }, 0)
}

func evalReduceProd(c *call) []*val {
	return c.reduced(func(a, b Dim) Dim { return monomialOf(a).times(b).dim() }, func(a, b float32) float32 { return a * b }, 1)
}

func evalReduceMax(c *call) []*val {
	return c.reduced(func(a, b Dim) Dim { return choose(a, b, lessDims(b, a)) }, func(a, b float32) float32 { return max(a, b) },
		math.Inf(-1))
}

func evalReduceMin(c *call) []*val {
	return c.reduced(func(a, b Dim) Dim { return choose(a, b, lessDims(a, b)) }, func(a, b float32) float32 { return min(a, b) },
		math.Inf(1))
}

// reduced combines the elements along the node's axes. empty is the result over no elements; where it is infinite, such a
// reduction is not computed.
func (c *call) reduced(ints func(a, b Dim) Dim, floats func(a, b float32) float32, empty float64) []*val {
	v := c.operand(0)
	shape, ok := c.result(0)
	axes, _, err := axesOf(c.constant, c.Node, len(v.shape))
	if !ok || err != nil || v.len() == 0 && math.IsInf(empty, 0) {
		return nil
	}
	// Where each input element goes: strides of the output with every reduced axis kept, which then stands still.
	kept := slices.Clone(v.shape)
	for _, axis := range axes {
		kept[axis] = 1
	}
	step := strides(kept)
	for _, axis := range axes {
		step[axis] = 0
	}
	to := walk(v.shape, step, 0)
	n, _ := product(shape)
	seen := make([]bool, n)
	switch {
	case v.dtype == Float32:
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(empty)
		}
		for i, x := range v.floats() {
			if j := to[i]; seen[j] {
				out[j] = floats(out[j], x)
			} else {
				out[j], seen[j] = x, true
			}
		}
		return []*val{ofTensor(Floats32(out, shape...))}
	case v.dtype.IsInt() && v.dtype != Bool:
		out := make([]Dim, n)
		if !math.IsInf(empty, 0) {
			for i := range out {
				out[i] = num(int(empty))
			}
		}
		for i, x := range v.ints() {
			if j := to[i]; seen[j] {
				out[j] = ints(out[j], x)
			} else {
				out[j], seen[j] = x, true
			}
		}
		return []*val{ofInts(v.dtype, out, shape)}
	}
	return nil
}
