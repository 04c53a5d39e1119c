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
	for i, name := range n.Inputs {
		if b.empty(name) && len(in)+len(n.Inputs)-i > 1 {
			continue
		}
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
	for i, size := range v.logical() { // what a negative pad cuts goes first
		if begin, end := max(0, -p.Begin[i]), max(0, -p.End[i]); begin+end > 0 {
			if size-begin-end < 1 {
				return fmt.Errorf("pads %v and %v leave nothing of axis %d", p.Begin, p.End, i)
			}
			x = b.box(x, v.physical(i), begin, 1, size-begin-end)
			p.Begin[i], p.End[i] = max(0, p.Begin[i]), max(0, p.End[i])
		}
	}
	op, a := Place, BoxAttr{Start: permute(p.Begin, v.Layout), Step: ones(len(v.Shape)), Value: float64(p.Value)}
	switch p.Mode {
	case "constant", "":
	case "reflect", "edge":
		op, a.Mode = PadReflect, p.Mode
	default: // wrap
		b.value[n.Outputs[0]] = b.wrap(x, p)
		return nil
	}
	out, err := b.result(n, 0, v.Layout)
	if err != nil {
		return err
	}
	b.emit(op, a, []ID{out}, []ID{x})
	return nil
}

// wrap repeats x as if its ends met.
func (b *builder) wrap(x ID, p ir.PadAttrs) ID {
	for i := range p.Begin {
		if p.Begin[i] == 0 && p.End[i] == 0 {
			continue
		}
		v := *b.val(x)
		a := GatherAttr{Axis: v.physical(i)}
		size := v.Shape[a.Axis]
		for k := -p.Begin[i]; k < size+p.End[i]; k++ {
			a.Indices = append(a.Indices, (k%size+size)%size)
		}
		shape := append([]int{}, v.Shape...)
		shape[a.Axis] = len(a.Indices)
		out := b.temp(b.node, shape, v.Layout)
		b.emit(Gather, a, []ID{out}, []ID{x})
		x = out
	}
	return x
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
		return b.lowerPick(n, x, axis)
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
	return b.gathered(n, out, axis, len(t.Shape))
}

// lowerPick gathers by indices that are computed.
func (b *builder) lowerPick(n *ir.Node, x ID, axis int) error {
	indices, err := b.in(n, 1)
	if err != nil {
		return err
	}
	rank := len(b.val(indices).Shape)
	return b.gathered(n, b.pickAlong(x, axis, indices), axis, rank)
}

// gathered gives what was taken along an axis the axes of the indices, of which there are rank.
func (b *builder) gathered(n *ir.Node, out ID, axis, rank int) error {
	switch rank {
	case 1:
	case 0:
		out = b.dropAxes(out, []int{axis})
	default:
		return b.done(n, 0, out)
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
