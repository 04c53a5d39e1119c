package space

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// depthToSpace makes pixels of b·b parts of the channels. The parts stay, the channels within each are handed on.
func depthToSpace(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	b, err := ir.BlockSize(n)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	f.freezeFrom(in, 2, n, "puts channels between its positions")
	outer, inner := b*b, 1 // of the channels
	if len(in[1]) > 0 {
		inner = len(in[1]) / (b * b)
	}
	crd := n.Attrs.Str("mode", "DCR") == "CRD"
	if crd {
		outer, inner = inner, outer
	}
	parts, channels := f.grid(n, in[1], outer, inner)
	if crd {
		parts, channels = channels, parts
	}
	f.freeze(parts, n, "makes pixels of it")
	axes := make([]label, len(in))
	axes[0], axes[1] = in[0], channels
	f.out(n, axes)
}

// spaceToDepth makes b·b runs of channels of the pixels of a block: each run has the channels that came in.
func spaceToDepth(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	b, err := ir.BlockSize(n)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	f.freezeFrom(in, 2, n, "takes its positions apart")
	axes := make([]label, len(in))
	axes[0], axes[1] = in[0], f.repeated(n, in[1], b*b)
	f.out(n, axes)
}

// repeated is a label several times over.
func (f *finder) repeated(n *ir.Node, l label, times int) label {
	if l == nil || times == 1 {
		return l
	}
	if times < 1 || times > maxAtoms/len(l) {
		f.freeze(l, n, "repeats too many positions to follow")
		return nil
	}
	all := make(label, 0, times*len(l))
	for range times {
		all = append(all, l...)
	}
	return all
}

// tile repeats whole axes.
func tile(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	repeats, err := ir.TileOf(f.g, n, len(in))
	if err != nil {
		f.freezeFrom(in, 0, n, "repeats it as often as is computed")
		f.freezeFrom(f.axes[n.Input(1)], 0, n, "reads from it how often to repeat")
		return
	}
	axes := make([]label, len(in))
	for a, l := range in {
		if axes[a] = l; f.shape(n.Input(0))[a].Known() { // else the label is a period, and stays one
			axes[a] = f.repeated(n, l, repeats[a])
		}
	}
	f.out(n, axes)
}

// cumSum adds up along an axis: a position that is zero adds nothing to those behind it.
func cumSum(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	axis, err := ir.CumSumOf(f.g, n, len(in))
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	f.use(n, 0, axis, in[axis], "", 0, nil)
	f.out(n, in)
}

// trilu looks at places in the last two axes.
func trilu(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	f.freezeFrom(in, max(0, len(in)-2), n, "keeps what lies on one side of a diagonal")
	axes := make([]label, len(in))
	copy(axes, in[:max(0, len(in)-2)])
	f.out(n, axes)
}

// arg finds a place along one axis, which must stay where it is.
func arg(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	axis, err := ir.AxisOf(n, len(in), 0)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	f.freeze(in[axis], n, "tells a place along it")
	axes := append([]label(nil), in[:axis]...)
	if n.Attrs.Int("keepdims", 1) != 0 {
		axes = append(axes, nil)
	}
	f.out(n, append(axes, in[axis+1:]...))
}

// topK chooses among the positions of one axis.
func topK(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	axis, err := ir.AxisOf(n, len(in), -1)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	f.freeze(in[axis], n, "chooses among its positions")
	axes := append([]label(nil), in...)
	axes[axis] = nil
	for _, v := range n.Outputs {
		if v != "" {
			f.axes[v] = axes
		}
	}
}

// einsum: what has one letter is side by side; what is not in the result is summed over. A constant operand makes it a layer.
func einsum(f *finder, n *ir.Node) {
	ranks := make([]int, len(n.Inputs))
	constant := -1
	for i, v := range n.Inputs {
		ranks[i] = len(f.shape(v))
		if !f.isWeight(v) {
			continue
		}
		if constant >= 0 || len(n.Inputs) == 1 {
			f.hold(n, "multiplies constants")
			return
		}
		constant = i
	}
	e, err := ir.EinsumOf(n, ranks)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	letters := map[rune]label{}
	summed := map[rune]bool{}
	contracts := false
	for _, term := range e.In {
		for _, letter := range term {
			if _, seen := letters[letter]; seen {
				continue
			}
			letters[letter], summed[letter] = f.einsumAxis(n, e, letter, constant)
			contracts = contracts || summed[letter]
		}
	}
	axes := make([]label, 0, len(e.Out))
	for _, letter := range e.Out {
		axes = append(axes, letters[letter])
		everywhere := contracts && constant < 0 && len(e.In) > 1
		for _, term := range e.In {
			everywhere = everywhere && indexRune(term, letter) >= 0
		}
		if everywhere {
			f.plays(letters[letter], heads)
		}
	}
	f.out(n, axes)
}

func indexRune(term string, letter rune) int {
	for i, l := range term {
		if l == letter {
			return i
		}
	}
	return -1
}

// einsumAxis describes the axes with one letter and tells whether they are summed over.
func (f *finder) einsumAxis(n *ir.Node, e ir.EinsumAttrs, letter rune, constant int) (l label, summed bool) {
	summed = indexRune(e.Out, letter) < 0
	first, at := -1, -1
	for i, term := range e.In {
		axis := indexRune(term, letter)
		switch {
		case axis < 0 || i == constant:
		case first < 0:
			first, at, l = i, axis, f.label(n.Inputs[i], axis)
		default:
			f.tie(l, f.label(n.Inputs[i], axis), n, fmt.Sprintf("multiplies %q with %q", n.Inputs[first], n.Inputs[i]))
		}
	}
	w, axis := "", -1
	if constant >= 0 {
		if axis = indexRune(e.In[constant], letter); axis >= 0 {
			w = n.Inputs[constant]
		}
	}
	switch {
	case w != "" && first >= 0:
		f.give(w, axis, l, n, fmt.Sprintf("reads %q", n.Inputs[first]))
	case w != "" && summed:
		f.give(w, axis, nil, n, "adds it up")
	case w != "":
		l = f.produce(n, w, axis)
	}
	if summed && first >= 0 {
		if w == "" {
			axis = 0
			f.use(n, first, at, l, "", 0, nil)
		} else {
			f.use(n, first, at, l, w, axis, l)
		}
	}
	return l, summed
}
