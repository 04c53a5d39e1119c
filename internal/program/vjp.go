package program

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dms-go/dms/internal/kernel"
)

// vjp appends the instructions that carry dy, the gradient of in's first output, to the inputs of in that want one.
type vjp func(b *builder, in Instr, dy ID) error

// vjps has one row per operation of a forward pass.
var vjps = map[Op]vjp{
	Conv:         convVJP,
	Gemm:         gemmVJP,
	BatchedGemm:  gemmVJP,
	BatchNorm:    batchNormVJP,
	Unary:        unaryVJP,
	Binary:       binaryVJP,
	Prelu:        preluVJP,
	Sum:          sumVJP,
	Expand:       expandVJP,
	MaxPool:      maxPoolVJP,
	AvgPool:      avgPoolVJP,
	Transpose:    transposeVJP,
	Concat:       concatVJP,
	Cut:          cutVJP,
	Place:        placeVJP,
	Gather:       axisVJP(GatherGrad),
	Blend:        axisVJP(BlendGrad),
	Softmax:      normalisedVJP(SoftmaxGrad),
	LogSoftmax:   normalisedVJP(LogSoftmaxGrad),
	Dropout:      dropoutVJP,
	CrossEntropy: lossVJP(CrossEntropyGrad),
	Dist:         lossVJP(DistGrad),
	ConvData:     convDataVJP,
	Where:        whereVJP,
	Extreme:      extremeVJP,
	TopK:         topKVJP,
	CumSum:       cumSumVJP,
	Pick:         pickVJP,
	Put:          putVJP,
	Mix:          mixVJP,
	RowNorm:      rowNormVJP,
}

// Differentiable lists the operations with a gradient, sorted.
func Differentiable() []Op { return slices.Sorted(maps.Keys(vjps)) }

// differentiate appends the backward pass from the loss to what Config.Wrt names.
func (b *builder) differentiate() error {
	if b.cfg.Loss == "" {
		return nil
	}
	loss := b.p.Outputs[b.cfg.Loss]
	if b.val(loss).Len() != 1 {
		return fmt.Errorf("program: the loss %q has shape %v; it must be a scalar", b.cfg.Loss, b.val(loss).logical())
	}
	for _, name := range b.cfg.Wrt {
		id, ok := b.value[name]
		if !ok {
			if b.g.Weights[name] == nil {
				return fmt.Errorf("program: cannot differentiate with respect to %q: no such input or weight", name)
			}
			var err error
			if id, err = b.get(name); err != nil {
				return fmt.Errorf("program: cannot differentiate with respect to %q: %w", name, err)
			}
		}
		b.live[b.p.Root(id)] = true
	}
	forward := b.p.Instrs[:b.p.Forward:b.p.Forward]
	for _, in := range forward {
		if slices.ContainsFunc(in.In, b.wants) && in.Out[0] != None {
			b.live[b.p.Root(in.Out[0])] = true
		}
	}
	b.addGrad(loss, b.constant([]float32{1}, b.val(loss).Shape...))
	for i := len(forward) - 1; i >= 0; i-- {
		in := forward[i]
		if !slices.ContainsFunc(in.In, b.wants) {
			continue
		}
		dy := b.gradOf(in.Out[0])
		if dy == None {
			continue
		}
		b.node = in.Node
		row := vjps[in.Op]
		if row == nil {
			return fmt.Errorf("program: node %q: the gradient of %s is not supported", in.Node, in.Op)
		}
		if err := row(b, in, dy); err != nil {
			return fmt.Errorf("program: node %q: %w", in.Node, err)
		}
	}
	b.node = ""
	taken := map[ID]bool{} // callers may change a gradient, so that each has memory of its own
	for _, id := range b.p.Outputs {
		taken[b.p.Root(id)] = true
	}
	for _, name := range b.cfg.Wrt {
		if _, twice := b.p.Grads[name]; twice {
			continue
		}
		id := b.value[name]
		g := b.gradOf(id)
		if g == None {
			v := b.val(id)
			g = b.constant(make([]float32, v.Len()), v.Shape...)
		}
		if root := b.p.Root(g); taken[root] || b.val(root).Class != Temp {
			g = b.scaled(g, 1)
		}
		taken[b.p.Root(g)] = true
		b.p.Grads[name] = g
	}
	return nil
}

// wants tells whether the loss is differentiated through a value.
func (b *builder) wants(id ID) bool { return id != None && b.live[b.p.Root(id)] }

// addGrad adds g to the gradient of v, which has as many elements.
func (b *builder) addGrad(v, g ID) {
	root := b.p.Root(v)
	if !b.live[root] {
		return
	}
	shape := b.val(root).Shape
	if !slices.Equal(b.val(g).Shape, shape) {
		g = b.view(g, shape, nil)
	}
	if old, ok := b.grad[root]; ok {
		sum := b.temp("gradient", shape, nil)
		b.emit(Binary, BinaryAttr{"add"}, []ID{sum}, []ID{old, g})
		g = sum
	}
	b.grad[root] = g
}

// gradOf is the gradient of v under v's shape, or None.
func (b *builder) gradOf(v ID) ID {
	g, ok := b.grad[b.p.Root(v)]
	if !ok {
		return None
	}
	if shape := b.val(v).Shape; !slices.Equal(b.val(g).Shape, shape) {
		return b.view(g, shape, nil)
	}
	return g
}

// like makes an empty value of v's shape.
func (b *builder) like(v ID) ID { return b.temp("gradient", b.val(v).Shape, nil) }

// reduced sums g over the axes along which v was repeated.
func (b *builder) reduced(g, v ID) ID {
	if slices.Equal(b.val(g).Shape, b.val(v).Shape) {
		return g
	}
	out := b.like(v)
	b.emit(Sum, ScaleAttr{1}, []ID{out}, []ID{g})
	return out
}

// product2 is a·c, summed to v's shape.
func (b *builder) product2(a, c, v ID) ID {
	sa, sc, sv := b.val(a).Shape, b.val(c).Shape, b.val(v).Shape
	if slices.Equal(sa, sc) && !slices.Equal(sa, sv) {
		out := b.like(v)
		b.emit(SumProduct, ScaleAttr{1}, []ID{out}, []ID{a, c})
		return out
	}
	full := b.temp("gradient", broadcastShape(sa, sc), nil)
	b.emit(Binary, BinaryAttr{"mul"}, []ID{full}, []ID{a, c})
	return b.reduced(full, v)
}

func (b *builder) scaled(v ID, by float64) ID {
	out := b.like(v)
	b.emit(Unary, UnaryAttr{Function: "scale", A: by}, []ID{out}, []ID{v})
	return out
}

func convVJP(b *builder, in Instr, dy ID) error {
	x, w := in.In[convX], in.In[convWeight]
	if a := in.Attr.(ConvAttr); a.Act.Kind != kernel.Identity {
		dz := b.like(in.Out[0])
		b.emit(UnaryGrad, fromResult(a.Act), []ID{dz}, []ID{dy, in.Out[0]})
		dy = dz
	}
	if add := in.operand(convAdd); b.wants(add) {
		b.addGrad(add, dy)
	}
	if b.wants(x) {
		dx := b.like(x)
		b.emit(ConvData, in.Attr, []ID{dx}, []ID{dy, w})
		b.addGrad(x, dx)
	}
	if b.wants(w) {
		dw := b.like(w)
		b.emit(ConvWeight, in.Attr, []ID{dw}, []ID{x, dy})
		b.addGrad(w, dw)
	}
	if bias := in.operand(convBias); b.wants(bias) {
		s := in.Attr.(ConvAttr).Shape
		b.addGrad(bias, b.columns(dy, s.N*s.OH*s.OW, s.O, bias))
	}
	return nil
}

// columns sums dy, seen as (rows, n), over its rows into a value like v.
func (b *builder) columns(dy ID, rows, n int, v ID) ID {
	out := b.like(v)
	b.emit(Sum, ScaleAttr{1}, []ID{b.view(out, []int{1, n}, nil)}, []ID{b.view(dy, []int{rows, n}, nil)})
	return out
}

func gemmVJP(b *builder, in Instr, dy ID) error {
	a := in.Attr.(GemmAttr)
	x, w := in.In[0], in.In[1]
	if b.wants(x) {
		dx := b.like(x)
		g := GemmAttr{Batch: a.Batch, Alpha: a.Alpha, M: a.M, N: a.K, K: a.N, TransB: !a.TransB}
		operands := []ID{dy, w}
		if a.TransA {
			g = GemmAttr{Batch: a.Batch, Alpha: a.Alpha, M: a.K, N: a.M, K: a.N, TransA: a.TransB, TransB: true}
			operands = []ID{w, dy}
		}
		b.emit(in.Op, g, []ID{dx}, operands)
		b.addGrad(x, dx)
	}
	if b.wants(w) {
		dw := b.like(w)
		g := GemmAttr{Batch: a.Batch, Alpha: a.Alpha, M: a.K, N: a.N, K: a.M, TransA: !a.TransA}
		operands := []ID{x, dy}
		if a.TransB {
			g = GemmAttr{Batch: a.Batch, Alpha: a.Alpha, M: a.N, N: a.K, K: a.M, TransA: true, TransB: a.TransA}
			operands = []ID{dy, x}
		}
		b.emit(in.Op, g, []ID{dw}, operands)
		b.addGrad(w, dw)
	}
	return nil
}

func batchNormVJP(b *builder, in Instr, dy ID) error {
	out := []ID{None, None, None, None, None}
	for i := range 3 {
		if b.wants(in.In[i]) {
			out[i] = b.like(in.In[i])
		}
	}
	beta, y, add, mask := in.In[normBeta], None, in.In[normAdd], in.In[normMask]
	switch plain := in.Attr.(BatchNormAttr).Act.Kind == kernel.Identity; {
	case plain && b.wants(add):
		b.addGrad(add, dy)
	case !plain && add != None: // the derivative shows in the result; else the function's argument is computed anew
		y, out[3] = in.Out[0], b.like(add)
	}
	if b.wants(mask) {
		out[4] = b.like(mask)
	}
	b.emit(BatchNormGrad, in.Attr, out, []ID{dy, in.In[normX], in.In[normGamma], in.Out[1], in.Out[2], beta, y, mask})
	for i, g := range out[:3] {
		if g != None {
			b.addGrad(in.In[i], g)
		}
	}
	if out[3] != None {
		b.addGrad(add, out[3])
	}
	if out[4] != None {
		b.addGrad(mask, out[4])
	}
	return nil
}

func unaryVJP(b *builder, in Instr, dy ID) error {
	a := in.Attr.(UnaryAttr)
	at := in.In[0]
	if Functions[a.Function].FromY {
		at = in.Out[0]
	}
	dx := b.like(in.In[0])
	b.emit(UnaryGrad, a, []ID{dx}, []ID{dy, at})
	b.addGrad(in.In[0], dx)
	return nil
}

func binaryVJP(b *builder, in Instr, dy ID) error {
	x, y := in.In[0], in.In[1]
	choose := func(first, second ID) ID { // 1 where the operand won
		out := b.temp("chosen", b.val(in.Out[0]).Shape, nil)
		function := "notless"
		if first == y || second == x {
			function = "greater"
		}
		if in.Attr.(BinaryAttr).Function == "min" {
			first, second = second, first
		}
		b.emit(Binary, BinaryAttr{function}, []ID{out}, []ID{first, second})
		return out
	}
	switch f := in.Attr.(BinaryAttr).Function; f {
	case "add", "sub":
		if b.wants(x) {
			b.addGrad(x, b.reduced(dy, x))
		}
		if b.wants(y) {
			g := b.reduced(dy, y)
			if f == "sub" {
				g = b.scaled(g, -1)
			}
			b.addGrad(y, g)
		}
	case "mul":
		if b.wants(x) {
			b.addGrad(x, b.product2(dy, y, x))
		}
		if b.wants(y) {
			b.addGrad(y, b.product2(dy, x, y))
		}
	case "div":
		quotient := b.temp("gradient", b.val(dy).Shape, nil)
		b.emit(Binary, BinaryAttr{"div"}, []ID{quotient}, []ID{dy, y})
		if b.wants(x) {
			b.addGrad(x, b.reduced(quotient, x))
		}
		if b.wants(y) {
			b.addGrad(y, b.scaled(b.product2(quotient, in.Out[0], y), -1))
		}
	case "max", "min":
		if b.wants(x) {
			b.addGrad(x, b.product2(dy, choose(x, y), x))
		}
		if b.wants(y) {
			b.addGrad(y, b.product2(dy, choose(y, x), y))
		}
	case "pow": // xʸ: by x it is y·x^(y−1), by y it is xʸ·log x
		full := b.val(in.Out[0]).Shape
		times := func(p, q ID) ID {
			out := b.temp("gradient", full, nil)
			b.emit(Binary, BinaryAttr{"mul"}, []ID{out}, []ID{p, q})
			return out
		}
		if b.wants(x) {
			less, power := b.like(y), b.temp("gradient", full, nil)
			b.emit(Unary, UnaryAttr{Function: "affine", A: 1, B: -1}, []ID{less}, []ID{y})
			b.emit(Binary, BinaryAttr{"pow"}, []ID{power}, []ID{x, less})
			b.addGrad(x, b.product2(dy, times(power, y), x))
		}
		if b.wants(y) {
			log := b.like(x)
			b.emit(Unary, UnaryAttr{Function: "log"}, []ID{log}, []ID{x})
			b.addGrad(y, b.product2(dy, times(in.Out[0], log), y))
		}
	default:
		if flat[f] {
			return nil
		}
		return fmt.Errorf("the gradient of %s is not supported", f)
	}
	return nil
}

func preluVJP(b *builder, in Instr, dy ID) error {
	x, slope := in.In[0], in.In[1]
	dx, ds := b.like(x), b.like(x)
	b.emit(PreluGrad, nil, []ID{dx, ds}, []ID{dy, x, slope})
	if b.wants(x) {
		b.addGrad(x, dx)
	}
	if b.wants(slope) {
		b.addGrad(slope, b.reduced(ds, slope))
	}
	return nil
}

func sumVJP(b *builder, in Instr, dy ID) error {
	dx := b.like(in.In[0])
	b.emit(Expand, in.Attr, []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

func expandVJP(b *builder, in Instr, dy ID) error {
	dx := b.like(in.In[0])
	b.emit(Sum, in.Attr, []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

func maxPoolVJP(b *builder, in Instr, dy ID) error {
	dx := b.like(in.In[0])
	b.emit(MaxPoolGrad, in.Attr, []ID{dx}, []ID{dy, in.In[0]})
	b.addGrad(in.In[0], dx)
	return nil
}

func avgPoolVJP(b *builder, in Instr, dy ID) error {
	dx := b.like(in.In[0])
	b.emit(AvgPoolGrad, in.Attr, []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

func transposeVJP(b *builder, in Instr, dy ID) error {
	perm := in.Attr.(TransposeAttr).Perm
	back := make([]int, len(perm))
	for i, axis := range perm {
		back[axis] = i
	}
	dx := b.like(in.In[0])
	b.emit(Transpose, TransposeAttr{Perm: back}, []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

func concatVJP(b *builder, in Instr, dy ID) error {
	axis := in.Attr.(AxisAttr).Axis
	at := 0
	for _, x := range in.In {
		shape := b.val(x).Shape
		if b.wants(x) {
			a := BoxAttr{Start: make([]int, len(shape)), Step: ones(len(shape))}
			a.Start[axis] = at
			dx := b.like(x)
			b.emit(Cut, a, []ID{dx}, []ID{dy})
			b.addGrad(x, dx)
		}
		at += shape[axis]
	}
	return nil
}

func cutVJP(b *builder, in Instr, dy ID) error {
	a := in.Attr.(BoxAttr)
	dx := b.like(in.In[0])
	b.emit(Place, BoxAttr{Start: a.Start, Step: a.Step}, []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

func placeVJP(b *builder, in Instr, dy ID) error {
	a := in.Attr.(BoxAttr)
	dx := b.like(in.In[0])
	b.emit(Cut, BoxAttr{Start: a.Start, Step: a.Step}, []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

// axisVJP adds up, along an axis, what was taken from each position.
func axisVJP(grad Op) vjp {
	return func(b *builder, in Instr, dy ID) error {
		dx := b.like(in.In[0])
		b.emit(grad, in.Attr, []ID{dx}, []ID{dy})
		b.addGrad(in.In[0], dx)
		return nil
	}
}

func normalisedVJP(grad Op) vjp {
	return func(b *builder, in Instr, dy ID) error {
		dx := b.like(in.In[0])
		b.emit(grad, in.Attr, []ID{dx}, []ID{dy, in.Out[0]})
		b.addGrad(in.In[0], dx)
		return nil
	}
}

func dropoutVJP(b *builder, in Instr, dy ID) error {
	dx := b.like(in.In[0])
	b.emit(Dropout, in.Attr, []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

// lossVJP differentiates a loss with respect to its logits; targets and teachers are given.
func lossVJP(grad Op) vjp {
	return func(b *builder, in Instr, dy ID) error {
		if b.wants(in.In[1]) {
			return fmt.Errorf("the loss cannot be differentiated with respect to its targets")
		}
		dx := b.like(in.In[0])
		b.emit(grad, in.Attr, []ID{dx}, []ID{dy, in.In[0], in.In[1]})
		b.addGrad(in.In[0], dx)
		return nil
	}
}
