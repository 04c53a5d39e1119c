package space

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// convolve: the weight is (O, C/G, kernel...). One group (G = 1) is a consumer of all input channels and a producer of its output
// channels. With several groups input channel g·C/G + i is there while group g is and while place i is, the same in every group, for the result must
// again be a grouped convolution; and likewise output channel g·O/G + o. Places are summed over: there the mask acts, on the
// weight's input axis, which has one position for each place. Groups are not: the convolution hands them on, which is all that a depthwise one does.
func convolve(f *finder, n *ir.Node) {
	w := n.Input(1)
	xs, ws := f.shape(n.Input(0)), f.shape(w)
	group := int(n.Attrs.Int("group", 1))
	if !f.isWeight(w) {
		f.hold(n, "its weight is computed")
		return
	}
	if len(xs) < 3 || len(ws) != len(xs) || group < 1 || ws[0].Size%group != 0 || xs[1] != (ir.Dim{Size: ws[1].Size * group}) {
		f.hold(n, "its channels and its weight do not fit")
		return
	}
	in := f.in(n, 0)
	f.freezeFrom(in, 2, n, "slides over it")
	for axis := 2; axis < len(ws); axis++ {
		f.give(w, axis, nil, n, "slides it")
	}
	cin, perIn, perOut := in[1], ws[1].Size, ws[0].Size/group
	var cout label
	if group == 1 {
		f.give(w, 1, cin, n, fmt.Sprintf("reads %q", n.Input(0)))
		f.use(n, 0, 1, cin, w, 1, cin)
		cout = f.produce(n, w, 0)
	} else {
		cin = cin[:min(len(cin), group*perIn)]
		groups, places := f.grid(n, cin, group, perIn)
		f.plays(groups, "groups")
		f.give(w, 1, places, n, fmt.Sprintf("reads %q", n.Input(0)))
		if places != nil {
			each := make(label, len(cin))
			for c := range each {
				each[c] = places[c%perIn]
			}
			f.use(n, 0, 1, each, w, 1, places)
		}
		var made label
		if made, cout = f.produceGroups(n, groups, group, perOut); made != nil {
			f.origins = append(f.origins, origin{w, 0, n, cout, layer})
		}
		if cout == nil {
			f.give(w, 0, nil, n, "makes its groups from channels that stay")
		} else {
			f.give(w, 0, cout, n, fmt.Sprintf("makes its groups from those of %q", n.Input(0)))
		}
	}
	if b := n.Input(2); b != "" {
		f.beside(n, b, 0, cout)
	}
	axes := make([]label, len(xs))
	axes[0], axes[1] = in[0], cout
	f.out(n, axes)
}

// grid describes an axis of outer·inner positions by its outer and its inner coordinate, nil where nothing changes along one.
func (f *finder) grid(n *ir.Node, l label, outer, inner int) (groups, places label) {
	if l == nil || inner == 1 {
		return l, nil
	}
	list := []piece{{ir.Dim{Size: inner}, 0, 1}, {ir.Dim{Size: outer}, 0, 0}}
	parts := make([]label, 2)
	f.takeApart(n, l, list, []int{0, 1}, parts)
	f.parts = append(f.parts, parts...)
	return parts[1], parts[0]
}

// produceGroups describes the output channels of a grouped convolution, perOut for each group: by the places that it makes in each group, nil where there
// is one, and all together.
func (f *finder) produceGroups(n *ir.Node, groups label, group, perOut int) (places, cout label) {
	if perOut > 1 {
		if places = f.atoms(perOut); places == nil {
			f.freeze(groups, n, "has too many positions to follow")
			groups = nil
		}
	}
	if groups == nil && places == nil {
		return nil, nil
	}
	cout = f.product(groups, places, group, perOut)
	return places, cout
}

// convTranspose is the gradient of a convolution: its weight is (C, O/G, kernel...). With several groups, channels come in and go out by groups and places
// as in convolve; what comes in has a position for each channel in the weight too, what goes out one for each place.
func convTranspose(f *finder, n *ir.Node) {
	w := n.Input(1)
	xs, ws := f.shape(n.Input(0)), f.shape(w)
	group := int(n.Attrs.Int("group", 1))
	if !f.isWeight(w) {
		f.hold(n, "its weight is computed")
		return
	}
	if len(xs) < 3 || len(ws) != len(xs) || group < 1 || ws[0].Size%group != 0 || xs[1] != ws[0] {
		f.hold(n, "its channels and its weight do not fit")
		return
	}
	in := f.in(n, 0)
	f.freezeFrom(in, 2, n, "slides over it")
	for axis := 2; axis < len(ws); axis++ {
		f.give(w, axis, nil, n, "slides it")
	}
	cin, perIn, perOut := in[1], ws[0].Size/group, ws[1].Size
	f.give(w, 0, cin, n, fmt.Sprintf("reads %q", n.Input(0)))
	var cout label
	if group == 1 {
		f.use(n, 0, 1, cin, w, 0, cin)
		cout = f.produce(n, w, 1)
	} else {
		groups, places := f.grid(n, cin, group, perIn)
		f.plays(groups, "groups")
		if places != nil {
			each := make(label, len(cin))
			for c := range each {
				each[c] = places[c%perIn]
			}
			f.use(n, 0, 1, each, w, 0, each)
		}
		var made label
		made, cout = f.produceGroups(n, groups, group, perOut)
		f.give(w, 1, made, n, "makes these places in each group")
		if made != nil {
			f.origins = append(f.origins, origin{w, 1, n, cout, layer})
		}
	}
	if b := n.Input(2); b != "" {
		f.beside(n, b, 0, cout)
	}
	axes := make([]label, len(xs))
	axes[0], axes[1] = in[0], cout
	f.out(n, axes)
}

// beside ties one axis of an operand that stands beside the channels l: a bias, a scale.
func (f *finder) beside(n *ir.Node, v string, axis int, l label) {
	if f.isWeight(v) {
		f.give(v, axis, l, n, "applies it to the same channels")
		return
	}
	f.tie(l, f.label(v, axis), n, fmt.Sprintf("applies %q to the same channels", v))
}

// normalize is batch norm: its vectors go with the channels. It passes elements on.
func normalize(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	for _, v := range n.Outputs[1:] {
		if v != "" {
			f.hold(n, "hands out its running statistics")
			return
		}
	}
	if len(in) < 2 {
		f.hold(n, "its input has no channel axis")
		return
	}
	for i := 1; i < 5; i++ {
		if v := n.Input(i); v != "" && len(f.shape(v)) == 1 {
			f.beside(n, v, 0, in[1])
		}
	}
	f.out(n, in)
}

// layerNorm averages over its last axes, scales and shifts along them. What it averages over is a use; it passes elements on.
func layerNorm(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	first, err := ir.AxisOf(n, len(in), -1)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	for _, v := range n.Outputs[1:] {
		if v != "" && (len(f.consumers[v]) > 0 || f.outputs[v]) {
			f.hold(n, "hands out its statistics")
			return
		}
	}
	for a := first; a < len(in); a++ {
		f.average(n, a, in[a])
	}
	out := f.shape(n.Outputs[0])
	for _, v := range n.Inputs[1:] {
		if v != "" {
			f.spread(n, v, in, out)
		}
	}
	f.out(n, in)
}

// instanceNorm averages over the axes behind the channels.
func instanceNorm(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	for a := 2; a < len(in); a++ {
		f.average(n, a, in[a])
	}
	if len(in) < 2 {
		f.hold(n, "its input has no channel axis")
		return
	}
	for i := 1; i < 3; i++ {
		if len(f.shape(n.Input(i))) == 1 {
			f.beside(n, n.Input(i), 0, in[1])
		}
	}
	f.out(n, in)
}

// gemm is A·B + C with either matrix transposed.
func gemm(f *finder, n *ir.Node) {
	attrs := ir.GemmOf(n)
	ka, kb := 1, 0
	if attrs.TransA {
		ka = 0
	}
	if attrs.TransB {
		kb = 1
	}
	if len(f.shape(n.Input(0))) != 2 || len(f.shape(n.Input(1))) != 2 {
		f.hold(n, "its operands are not matrices")
		return
	}
	a, b := f.in(n, 0), n.Input(1)
	axes := []label{a[1-ka], nil}
	if f.isWeight(b) && !f.isWeight(n.Input(0)) {
		f.give(b, kb, a[ka], n, fmt.Sprintf("reads %q", n.Input(0)))
		f.use(n, 0, ka, a[ka], b, kb, a[ka])
		axes[1] = f.produce(n, b, 1-kb)
	} else {
		f.tie(a[ka], f.label(b, kb), n, fmt.Sprintf("multiplies %q with %q", n.Input(0), b))
		f.use(n, 0, ka, a[ka], "", 0, nil)
		axes[1] = f.label(b, 1-kb)
	}
	if c := n.Input(2); c != "" {
		f.spread(n, c, axes, f.shape(n.Outputs[0]))
	}
	f.out(n, axes)
}

// spread ties an operand that is broadcast over a result with the labels axes.
func (f *finder) spread(n *ir.Node, v string, axes []label, out ir.Shape) {
	s := f.shape(v)
	for i := range s {
		axis := len(out) - len(s) + i
		if axis < 0 {
			f.freezeFrom(f.axes[v], 0, n, "has an operand of higher rank")
			return
		}
		if s[i] == (ir.Dim{Size: 1}) && out[axis] != (ir.Dim{Size: 1}) {
			if f.isWeight(v) {
				f.give(v, i, nil, n, "is spread over several positions")
			} else {
				f.freeze(f.label(v, i), n, "spreads it over several positions")
			}
			continue
		}
		f.beside(n, v, i, axes[axis])
	}
}

// matmul multiplies stacks of matrices (..., M, K) · (..., K, N). A constant on either side makes it a layer. A vector is a row on the left and a
// column on the right, which the result does not have.
func matmul(f *finder, n *ir.Node) {
	a, b := n.Input(0), n.Input(1)
	ra, rb := len(f.shape(a)), len(f.shape(b))
	if ra < 1 || rb < 1 {
		f.hold(n, "multiplies a number")
		return
	}
	if f.isWeight(a) && f.isWeight(b) {
		f.hold(n, "multiplies constants")
		return
	}
	out := f.shape(n.Outputs[0])
	stacks := len(out) - min(ra-1, 1) - min(rb-1, 1)
	axes := make([]label, stacks, len(out))
	for axis := range axes {
		var operands []string
		for _, v := range []string{a, b} {
			if len(f.shape(v)) > 2 {
				operands = append(operands, v)
			}
		}
		axes[axis] = f.broadcast(n, operands, stacks+2-axis, out[axis])
	}
	k, l := ra-1, max(rb-2, 0) // the axes that meet
	m, c := ra-2, rb-1         // the rows of a and the columns of b, where they are matrices
	var rows, columns label
	switch {
	case f.isWeight(b):
		in := f.label(a, k)
		f.give(b, l, in, n, fmt.Sprintf("reads %q", a))
		f.use(n, 0, k, in, b, l, in)
		if rb > 1 {
			columns = f.produce(n, b, c)
		}
		if ra > 1 {
			rows = f.label(a, m)
		}
	case f.isWeight(a):
		in := f.label(b, l)
		f.give(a, k, in, n, fmt.Sprintf("reads %q", b))
		f.use(n, 1, l, in, a, k, in)
		if ra > 1 {
			rows = f.produce(n, a, m)
		}
		if rb > 1 {
			columns = f.label(b, c)
		}
	default:
		f.tie(f.label(a, k), f.label(b, l), n, fmt.Sprintf("multiplies %q with %q", a, b))
		f.use(n, 0, k, f.label(a, k), "", 0, nil)
		if ra > 1 {
			rows = f.label(a, m)
		}
		if rb > 1 {
			columns = f.label(b, c)
		}
		for _, stack := range axes {
			f.plays(stack, heads)
		}
	}
	if ra > 1 {
		axes = append(axes, rows)
	}
	if rb > 1 {
		axes = append(axes, columns)
	}
	f.out(n, axes)
}

// plays says what the positions of an axis are for.
func (f *finder) plays(l label, what string) {
	if l != nil {
		f.roles = append(f.roles, role{l, what})
	}
}
