package program

import (
	"slices"

	"github.com/dms-go/dms/ir"
)

// Pieces that operators are composed of. Operands lie in physical order; results take the layout of the first.

// apply is f(x).
func (b *builder) apply(function string, p, q float64, x ID) ID {
	v := b.val(x)
	out := b.temp(b.node, v.Shape, v.Layout)
	b.emit(Unary, UnaryAttr{Function: function, A: p, B: q}, []ID{out}, []ID{x})
	return out
}

// join is x ∘ y, both of one rank and layout, repeated along axes of size one.
func (b *builder) join(function string, x, y ID) ID {
	out := b.temp(b.node, broadcastShape(b.val(x).Shape, b.val(y).Shape), b.val(x).Layout)
	b.emit(Binary, BinaryAttr{function}, []ID{out}, []ID{x, y})
	return out
}

// total sums x into a physical shape that has size one along the axes that go.
func (b *builder) total(x ID, shape []int, scale float64) ID {
	out := b.temp(b.node, shape, b.val(x).Layout)
	b.emit(Sum, ScaleAttr{scale}, []ID{out}, []ID{x})
	return out
}

// spread repeats x along axes of size one up to a physical shape.
func (b *builder) spread(x ID, shape []int) ID {
	if slices.Equal(b.val(x).Shape, shape) {
		return x
	}
	out := b.temp(b.node, shape, b.val(x).Layout)
	b.emit(Expand, ScaleAttr{1}, []ID{out}, []ID{x})
	return out
}

// turn gives x with its physical axes in another order: axis i is axis perm[i] of x.
func (b *builder) turn(x ID, perm []int) ID {
	v := b.val(x)
	out := b.temp(b.node, permute(v.Shape, perm), nil)
	b.emit(Transpose, TransposeAttr{Perm: perm}, []ID{out}, []ID{x})
	return out
}

// glue joins values along a physical axis.
func (b *builder) glue(axis int, parts ...ID) ID {
	shape := slices.Clone(b.val(parts[0]).Shape)
	for _, p := range parts[1:] {
		shape[axis] += b.val(p).Shape[axis]
	}
	out := b.temp(b.node, shape, b.val(parts[0]).Layout)
	b.emit(Concat, AxisAttr{axis}, []ID{out}, parts)
	return out
}

// box cuts n positions from start, step apart, out of a physical axis.
func (b *builder) box(x ID, axis, start, step, n int) ID {
	v := b.val(x)
	shape := slices.Clone(v.Shape)
	shape[axis] = n
	a := BoxAttr{Start: make([]int, len(shape)), Step: ones(len(shape))}
	a.Start[axis], a.Step[axis] = start, step
	out := b.temp(b.node, shape, v.Layout)
	b.emit(Cut, a, []ID{out}, []ID{x})
	return out
}

// number is a constant that broadcasts to any value of the given rank.
func (b *builder) number(v float32, rank int) ID { return b.constant([]float32{v}, ones(rank)...) }

// choose is where(c, x, y), all of one rank and layout.
func (b *builder) choose(c, x, y ID) ID {
	shape := broadcastShape(broadcastShape(b.val(c).Shape, b.val(x).Shape), b.val(y).Shape)
	out := b.temp(b.node, shape, b.val(x).Layout)
	b.emit(Where, nil, []ID{out}, []ID{c, x, y})
	return out
}

// done makes v, whose elements in the graph's order are those of the node's output o, the value of that output.
func (b *builder) done(n *ir.Node, o int, v ID) error {
	sizes, err := b.sizes(n.Outputs[o])
	if err != nil {
		return err
	}
	if !slices.Equal(b.val(v).logical(), sizes) {
		v = b.view(b.rowMajor(v), sizes, nil)
	}
	b.value[n.Outputs[o]] = v
	return nil
}

// operands are all inputs of a node that are there.
func (b *builder) operands(n *ir.Node) ([]ID, error) {
	var in []ID
	for i := range n.Inputs {
		v, err := b.in(n, i)
		if err != nil {
			return nil, err
		}
		in = append(in, v)
	}
	return in, nil
}

// last is the layout that stores an axis innermost.
func last(axis, rank int) []int {
	l := slices.Delete(identity(rank), axis, axis+1)
	return normal(append(l, axis))
}

// matmul multiplies stacks of matrices that lie row by row: (…, M, K) by (…, K, N), or by (…, N, K) turned. Stacks broadcast. A right
// operand without a stack serves every row of the left at once.
func (b *builder) matmul(x, w ID, turned bool, alpha float64) ID {
	xs, ws := b.val(x).Shape, b.val(w).Shape
	rank := max(len(xs), len(ws))
	x, w = b.broadcastTo(x, rank, nil), b.broadcastTo(w, rank, nil)
	xs, ws = slices.Clone(b.val(x).Shape), slices.Clone(b.val(w).Shape)
	k := rank - 2
	a := GemmAttr{Batch: 1, M: xs[k], K: xs[k+1], N: ws[k+1], TransB: turned, Alpha: alpha}
	if turned {
		a.N = ws[k]
	}
	stack := broadcastShape(xs[:k], ws[:k])
	out := b.temp(b.node, append(slices.Clone(stack), a.M, a.N), nil)
	if product(ws[:k]) == 1 {
		a.M *= product(stack)
		b.emit(Gemm, a, []ID{b.view(out, []int{a.M, a.N}, nil)}, []ID{b.view(x, []int{a.M, a.K}, nil), b.view(w, ws[k:], nil)})
		return out
	}
	x, w = b.spread(x, append(slices.Clone(stack), xs[k:]...)), b.spread(w, append(slices.Clone(stack), ws[k:]...))
	a.Batch = product(stack)
	b.emit(BatchedGemm, a, []ID{out}, []ID{x, w})
	return out
}

// empty tells whether a value of the graph has no elements.
func (b *builder) empty(name string) bool {
	sizes, ok := b.info[name].Shape.Sizes()
	return ok && slices.Contains(sizes, 0)
}
