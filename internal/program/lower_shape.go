package program

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dms-go/dms/ir"
)

func lowerIdentity(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	if t := b.info[n.Outputs[0]].DType; t != ir.Undefined && !t.IsFloat() {
		return fmt.Errorf("its output is %v; the engine computes in float only", t)
	}
	b.value[n.Outputs[0]] = x
	return nil
}

// lowerReshape serves every operator that only names the same elements anew.
func lowerReshape(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	if product(sizes) != b.val(x).Len() {
		return fmt.Errorf("%d elements cannot take the shape %v", b.val(x).Len(), sizes)
	}
	if s := b.val(x).logical(); slices.Equal(s, sizes) {
		b.value[n.Outputs[0]] = x
		return nil
	}
	b.value[n.Outputs[0]] = b.view(b.rowMajor(x), sizes, nil)
	return nil
}

// lowerTranspose moves nothing: the same elements have another storage order for the new shape.
func lowerTranspose(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	perm, err := ir.PermOf(n, len(v.Shape))
	if err != nil {
		return err
	}
	layout := make([]int, len(perm))
	for i, axis := range full(v.Layout, len(v.Shape)) {
		layout[i] = slices.Index(perm, axis)
	}
	b.value[n.Outputs[0]] = b.view(x, v.Shape, normal(layout))
	return nil
}

func lowerConcat(b *builder, n *ir.Node) error {
	var in []ID
	for i := range n.Inputs {
		v, err := b.in(n, i)
		if err != nil {
			return err
		}
		in = append(in, v)
	}
	rank := len(b.val(in[0]).Shape)
	axis, err := ir.AxisOf(n, rank, 0)
	if err != nil {
		return err
	}
	layout := b.commonLayout(in, rank)
	for i, v := range in {
		if len(b.val(v).Shape) != rank {
			return errors.New("its operands differ in rank")
		}
		in[i] = b.arrange(v, layout)
	}
	out, err := b.result(n, 0, layout)
	if err != nil {
		return err
	}
	b.emit(Concat, AxisAttr{b.val(out).physical(axis)}, []ID{out}, in)
	return nil
}

func lowerSlice(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	s, err := ir.SliceOf(b.g, n, ir.Fixed(v.logical()...))
	if err != nil {
		return err
	}
	out, err := b.result(n, 0, v.Layout)
	if err != nil {
		return err
	}
	a := BoxAttr{Start: permute(s.Start, v.Layout), Step: permute(s.Step, v.Layout)}
	b.emit(Cut, a, []ID{out}, []ID{x})
	return nil
}

func lowerSplit(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	axis, sizes, err := ir.SplitOf(b.g, n, ir.Fixed(v.logical()...))
	if err != nil {
		return err
	}
	at := 0
	for o, name := range n.Outputs {
		if name != "" {
			out, err := b.result(n, o, v.Layout)
			if err != nil {
				return err
			}
			a := BoxAttr{Start: make([]int, len(v.Shape)), Step: ones(len(v.Shape))}
			a.Start[v.physical(axis)] = at
			b.emit(Cut, a, []ID{out}, []ID{x})
		}
		at += sizes[o]
	}
	return nil
}

func ones(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = 1
	}
	return s
}

func lowerPad(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	p, err := ir.PadOf(b.g, n, len(v.Shape))
	if err != nil {
		return err
	}
	op, a := Place, BoxAttr{Start: permute(p.Begin, v.Layout), Step: ones(len(v.Shape)), Value: float64(p.Value)}
	switch p.Mode {
	case "constant", "":
		for i := range p.Begin {
			if p.Begin[i] < 0 || p.End[i] < 0 {
				return errors.New("pads that cut are not supported; write them as Slice")
			}
		}
	case "reflect", "edge":
		op, a.Mode = PadReflect, p.Mode
	default:
		return fmt.Errorf("mode %q is not supported", p.Mode)
	}
	out, err := b.result(n, 0, v.Layout)
	if err != nil {
		return err
	}
	b.emit(op, a, []ID{out}, []ID{x})
	return nil
}

func lowerGather(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	axis, err := ir.AxisOf(n, len(v.Shape), 0)
	if err != nil {
		return err
	}
	t := b.g.Weights[n.Input(1)]
	if t == nil {
		return errors.New("its indices are computed; the engine gathers by constant indices only")
	}
	indices, err := t.Ints()
	if err != nil {
		return err
	}
	size := v.logical()[axis]
	a := GatherAttr{Axis: v.physical(axis)}
	for _, i := range indices {
		if i < 0 {
			i += int64(size)
		}
		if i < 0 || i >= int64(size) {
			return fmt.Errorf("index %d of an axis of size %d", i, size)
		}
		a.Indices = append(a.Indices, int(i))
	}
	if len(a.Indices) == 0 {
		return errors.New("it gathers nothing")
	}
	shape := append([]int{}, v.Shape...)
	shape[a.Axis] = len(a.Indices)
	out := b.temp(n.Outputs[0], shape, v.Layout)
	b.emit(Gather, a, []ID{out}, []ID{x})
	switch len(t.Shape) {
	case 1:
	case 0:
		out = b.dropAxes(out, []int{axis})
	default:
		sizes, err := b.sizes(n.Outputs[0])
		if err != nil {
			return err
		}
		out = b.view(b.rowMajor(out), sizes, nil)
	}
	b.value[n.Outputs[0]] = out
	return nil
}

func lowerExpand(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	var layout []int
	if len(b.val(x).Shape) == len(sizes) {
		layout = b.val(x).Layout
	}
	x = b.broadcastTo(x, len(sizes), layout)
	if b.val(x).Len() == product(sizes) {
		b.value[n.Outputs[0]] = x
		return nil
	}
	out, err := b.result(n, 0, layout)
	if err != nil {
		return err
	}
	b.emit(Expand, ScaleAttr{1}, []ID{out}, []ID{x})
	return nil
}
