package program

import (
	"errors"
	"slices"

	"github.com/dms-go/dms/ir"
)

// reduction reduces x to a physical shape that has size one along the axes that go.
type reduction func(b *builder, x ID, shape []int) ID

// lowerReduction serves every operator that reduces over axes.
func lowerReduction(f reduction) lowering {
	return func(b *builder, n *ir.Node) error {
		x, err := b.in(n, 0)
		if err != nil {
			return err
		}
		v := *b.val(x)
		axes, _, err := ir.AxesOf(b.g, n, len(v.Shape))
		if err != nil {
			return err
		}
		sizes, err := b.sizes(n.Outputs[0])
		if err != nil {
			return err
		}
		shape := slices.Clone(v.Shape)
		for _, axis := range axes {
			shape[v.physical(axis)] = 1
		}
		out := f(b, x, shape)
		if b.isWhole(n.Outputs[0]) {
			out = b.whole(out, b.info[n.Outputs[0]].DType)
		}
		if len(sizes) != len(shape) {
			out = b.dropAxes(out, axes)
		}
		b.value[n.Outputs[0]] = out
		return nil
	}
}

func sumOf(b *builder, x ID, shape []int) ID { return b.total(x, shape, 1) }

func meanOf(b *builder, x ID, shape []int) ID {
	return b.total(x, shape, float64(product(shape))/float64(b.val(x).Len()))
}

func extreme(function string) reduction {
	return func(b *builder, x ID, shape []int) ID {
		out := b.temp(b.node, shape, b.val(x).Layout)
		b.emit(Extreme, ExtremeAttr{function}, []ID{out}, []ID{x})
		return out
	}
}

func sumOfSizes(b *builder, x ID, shape []int) ID { return b.total(b.apply("abs", 0, 0, x), shape, 1) }

func sumOfSquares(b *builder, x ID, shape []int) ID {
	return b.total(b.apply("square", 0, 0, x), shape, 1)
}

func rootOfSquares(b *builder, x ID, shape []int) ID {
	return b.apply("sqrt", 0, 0, sumOfSquares(b, x, shape))
}

func logOfSum(b *builder, x ID, shape []int) ID { return b.apply("log", 0, 0, b.total(x, shape, 1)) }

// logOfExponentials is most + log Σ exp(x − most), which no size of x makes infinite.
func logOfExponentials(b *builder, x ID, shape []int) ID {
	most := extreme("max")(b, x, shape)
	sum := b.total(b.apply("exp", 0, 0, b.join("sub", x, most)), shape, 1)
	return b.join("add", b.apply("log", 0, 0, sum), most)
}

// lowerArg finds the position of the largest or smallest element.
func lowerArg(smallest bool) lowering {
	return func(b *builder, n *ir.Node) error {
		x, err := b.in(n, 0)
		if err != nil {
			return err
		}
		v := *b.val(x)
		axis, err := ir.AxisOf(n, len(v.Shape), 0)
		if err != nil {
			return err
		}
		out := b.position(x, axis, ArgAttr{Smallest: smallest, Last: n.Attrs.Int("select_last_index", 0) != 0})
		if n.Attrs.Int("keepdims", 1) == 0 {
			out = b.dropAxes(out, []int{axis})
		}
		b.value[n.Outputs[0]] = out
		return nil
	}
}

// position finds the extreme elements of x along one of the graph's axes.
func (b *builder) position(x ID, axis int, a ArgAttr) ID {
	v := *b.val(x)
	p := v.physical(axis)
	a.Outer, a.N, a.Inner = product(v.Shape[:p]), v.Shape[p], product(v.Shape[p+1:])
	shape := slices.Clone(v.Shape)
	shape[p] = 1
	out := b.temp(b.node, shape, v.Layout)
	b.emit(Arg, a, []ID{out}, []ID{x})
	return out
}

// lowerHardmax is one at the first of the largest elements.
func lowerHardmax(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	axis, rest, err := ir.SoftmaxOf(b.g, n, len(b.val(x).Shape))
	if err != nil {
		return err
	}
	if rest { // before opset 13 everything from axis on is one axis
		x = b.rowMajor(x)
		s := b.val(x).Shape
		x = b.view(x, []int{product(s[:axis]), product(s[axis:])}, nil)
		axis = 1
	}
	v := *b.val(x)
	count := make([]float32, v.logical()[axis])
	for i := range count {
		count[i] = float32(i)
	}
	shape := ones(len(v.Shape))
	shape[v.physical(axis)] = len(count)
	positions := b.constant(count, shape...)
	b.val(positions).Layout = v.Layout
	return b.done(n, 0, b.join("equal", positions, b.position(x, axis, ArgAttr{})))
}

// lowerTopK orders along an axis that lies innermost.
func lowerTopK(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	a, err := ir.TopKOf(b.g, n, ir.Fixed(b.val(x).logical()...))
	if err != nil {
		return err
	}
	if a.K == 0 {
		return errors.New("it takes no element")
	}
	x = b.arrange(x, last(a.Axis, len(b.val(x).Shape)))
	v := *b.val(x)
	k := len(v.Shape) - 1
	attr := PickAttr{Batch: product(v.Shape[:k]), K: a.K, Dims: []int{v.Shape[k]}, Inner: 1, Each: true}
	shape := slices.Clone(v.Shape)
	shape[k] = a.K
	out := []ID{b.temp(n.Outputs[0], shape, v.Layout), b.temp(b.node, shape, v.Layout)}
	b.emit(TopK, TopKAttr{PickAttr: attr, Smallest: !a.Largest}, out, []ID{x})
	for i, name := range n.Outputs {
		if name != "" {
			b.value[name] = out[i]
		}
	}
	return nil
}

func lowerCumSum(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	axis, err := ir.CumSumOf(b.g, n, len(v.Shape))
	if err != nil {
		return err
	}
	p := v.physical(axis)
	a := CumSumAttr{
		Outer: product(v.Shape[:p]), N: v.Shape[p], Inner: product(v.Shape[p+1:]),
		Exclusive: n.Attrs.Int("exclusive", 0) != 0, Reverse: n.Attrs.Int("reverse", 0) != 0,
	}
	out := b.temp(n.Outputs[0], v.Shape, v.Layout)
	b.emit(CumSum, a, []ID{out}, []ID{x})
	if b.isWhole(n.Outputs[0]) {
		out = b.whole(out, b.info[n.Outputs[0]].DType)
	}
	b.value[n.Outputs[0]] = out
	return nil
}
