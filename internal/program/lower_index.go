package program

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dms-go/dms/ir"
)

// pickAlong takes positions of one of the graph's axes of x that a value of whole numbers says; the result has them in its place, as one
// axis.
func (b *builder) pickAlong(x ID, axis int, indices ID) ID {
	indices = b.rowMajor(indices)
	v := *b.val(x)
	p := v.physical(axis)
	a := PickAttr{Batch: product(v.Shape[:p]), K: b.val(indices).Len(), Dims: []int{v.Shape[p]}, Inner: product(v.Shape[p+1:])}
	shape := slices.Clone(v.Shape)
	shape[p] = a.K
	out := b.temp(b.node, shape, v.Layout)
	b.emit(Pick, a, []ID{out}, []ID{x, indices})
	return out
}

// alongAxis brings data, indices and updates into an order in which the axis lies innermost. Where the indices are smaller in other
// axes, data is cut to them.
func (b *builder) alongAxis(n *ir.Node, in []ID, cut bool) (PickAttr, []ID, error) {
	rank := len(b.val(in[0]).Shape)
	axis, err := ir.AxisOf(n, rank, 0)
	if err != nil {
		return PickAttr{}, nil, err
	}
	in = slices.Clone(in)
	for i := range in {
		if len(b.val(in[i]).Shape) != rank {
			return PickAttr{}, nil, errors.New("its operands differ in rank")
		}
		in[i] = b.arrange(in[i], last(axis, rank))
	}
	k := rank - 1
	from, to := b.val(in[0]).Shape, b.val(in[1]).Shape
	for i := range k {
		switch {
		case to[i] > from[i]:
			return PickAttr{}, nil, fmt.Errorf("indices %v reach beyond %v", to, from)
		case to[i] < from[i] && cut:
			in[0] = b.box(in[0], i, 0, 1, to[i])
		case to[i] < from[i]:
			return PickAttr{}, nil, fmt.Errorf("indices %v that are smaller than %v are not supported", to, from)
		}
	}
	return PickAttr{Batch: product(to[:k]), K: to[k], Dims: []int{from[k]}, Inner: 1, Each: true}, in, nil
}

func lowerGatherElements(b *builder, n *ir.Node) error {
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	a, in, err := b.alongAxis(n, in, true)
	if err != nil {
		return err
	}
	out := b.temp(n.Outputs[0], b.val(in[1]).Shape, b.val(in[1]).Layout)
	b.emit(Pick, a, []ID{out}, in)
	return b.done(n, 0, out)
}

func lowerScatterElements(b *builder, n *ir.Node) error {
	if b.empty(n.Input(1)) { // nothing is written
		return lowerIdentity(b, n)
	}
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	reduction, err := ir.ScatterReduction(n)
	if err != nil {
		return err
	}
	a, in, err := b.alongAxis(n, in, false)
	if err != nil {
		return err
	}
	if !slices.Equal(b.val(in[1]).Shape, b.val(in[2]).Shape) {
		return errors.New("indices and updates differ in shape")
	}
	out := b.temp(n.Outputs[0], b.val(in[0]).Shape, b.val(in[0]).Layout)
	b.emit(Put, PutAttr{a, reduction}, []ID{out}, in)
	return b.done(n, 0, out)
}

// places reads how indices (…, depth) count through x.
func (b *builder) places(n *ir.Node, x, indices ID) (a PickAttr, err error) {
	xs, s := b.val(x).Shape, b.val(indices).Shape
	batch, depth, err := ir.GatherNDOf(n, ir.Fixed(xs...), ir.Fixed(s...))
	if err != nil {
		return a, err
	}
	if !slices.Equal(xs[:batch], s[:batch]) {
		return a, fmt.Errorf("input %v and indices %v differ in their first %d axes", xs, s, batch)
	}
	a = PickAttr{Batch: product(xs[:batch]), Dims: slices.Clone(xs[batch : batch+depth]), Inner: product(xs[batch+depth:]), Each: true}
	a.K = product(s[batch : len(s)-1])
	return a, nil
}

func lowerGatherND(b *builder, n *ir.Node) error {
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	x, indices := b.rowMajor(in[0]), b.rowMajor(in[1])
	a, err := b.places(n, x, indices)
	if err != nil {
		return err
	}
	out, err := b.result(n, 0, nil)
	if err != nil {
		return err
	}
	b.emit(Pick, a, []ID{out}, []ID{x, indices})
	return nil
}

func lowerScatterND(b *builder, n *ir.Node) error {
	if b.empty(n.Input(1)) { // nothing is written
		return lowerIdentity(b, n)
	}
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	reduction, err := ir.ScatterReduction(n)
	if err != nil {
		return err
	}
	for i := range in {
		in[i] = b.rowMajor(in[i])
	}
	a, err := b.places(n, in[0], in[1])
	if err != nil {
		return err
	}
	if b.val(in[2]).Len() != a.Batch*a.K*a.Inner {
		return fmt.Errorf("updates of shape %v for indices of shape %v", b.val(in[2]).Shape, b.val(in[1]).Shape)
	}
	out, err := b.result(n, 0, nil)
	if err != nil {
		return err
	}
	b.emit(Put, PutAttr{a, reduction}, []ID{out}, in)
	return nil
}

// lowerOneHot compares positions with an index, which counts from the end where it is negative.
func lowerOneHot(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	values, err := b.in(n, 2)
	if err != nil {
		return err
	}
	if b.val(values).Len() != 2 {
		return errors.New("its values are not two")
	}
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	axis, err := ir.OneHotOf(n, len(sizes))
	if err != nil {
		return err
	}
	depth := sizes[axis]
	shape := slices.Clone(sizes)
	shape[axis] = 1
	x = b.view(b.rowMajor(x), shape, nil)
	rank := len(shape)
	behind := b.join("less", x, b.number(0, rank))
	x = b.join("add", x, b.join("mul", behind, b.number(float32(depth), rank)))
	count := make([]float32, depth)
	for i := range count {
		count[i] = float32(i)
	}
	along := ones(rank)
	along[axis] = depth
	values = b.view(values, append(ones(rank-1), 2), nil)
	off, on := b.box(values, rank-1, 0, 1, 1), b.box(values, rank-1, 1, 1, 1)
	b.value[n.Outputs[0]] = b.choose(b.join("equal", b.constant(count, along...), x), on, off)
	return nil
}

// lowerTrilu keeps a triangle of each matrix.
func lowerTrilu(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	diagonal, upper, err := ir.TriluOf(b.g, n)
	if err != nil {
		return err
	}
	x = b.rowMajor(x)
	s := b.val(x).Shape
	rank := len(s)
	h, w := s[rank-2], s[rank-1]
	mask := make([]float32, h*w)
	for i := range h {
		for j := range w {
			if d := int64(j - i); upper && d >= diagonal || !upper && d <= diagonal {
				mask[i*w+j] = 1
			}
		}
	}
	triangle := b.constant(mask, append(ones(rank-2), h, w)...)
	b.value[n.Outputs[0]] = b.choose(triangle, x, b.number(0, rank))
	return nil
}
