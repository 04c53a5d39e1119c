package space

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// The rules in this file move positions about without computing anything.

func transpose(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	perm, err := ir.PermOf(n, len(in))
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	axes := make([]label, len(in))
	for i, p := range perm {
		axes[i] = in[p]
	}
	f.out(n, axes)
}

// concat puts the descriptions one after another; the other axes are side by side.
func concat(f *finder, n *ir.Node) {
	out := f.shape(n.Outputs[0])
	axis, err := ir.AxisOf(n, len(out), 0)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	axes := make([]label, len(out))
	for a := range out {
		if a != axis {
			axes[a] = f.broadcast(n, n.Inputs, len(out)-a, out[a])
		}
	}
	var joined label
	labelled := false
	for _, v := range n.Inputs {
		d := f.shape(v)[axis]
		l := f.label(v, axis)
		labelled = labelled || l != nil
		if !d.Known() {
			// Nobody can say at which position the rest begins.
			for _, v := range n.Inputs {
				f.freeze(f.label(v, axis), n, "puts it beside something of unknown size")
			}
			labelled = false
			break
		}
		if len(joined)+d.Size > maxAxis {
			labelled = false
			break
		}
		if l == nil {
			l = fixed(d.Size)
		}
		joined = append(joined, l...)
	}
	if labelled {
		axes[axis] = joined
	}
	f.out(n, axes)
}

// fixed describes n positions that stay, where others beside them do not.
func fixed(n int) label {
	l := make(label, n)
	for i := range l {
		l[i] = atomFixed
	}
	return l
}

// slice keeps a range of positions of each axis, or every so many of them. What is left of those may be no range: package prune then gathers them.
func slice(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	attrs, err := ir.SliceOf(f.g, n, f.shape(n.Input(0)))
	if err != nil {
		f.freezeFrom(in, 0, n, "cuts at bounds that are computed")
		return
	}
	axes := make([]label, len(in))
	for a, l := range in {
		switch {
		case l == nil:
		case !f.shape(n.Input(0))[a].Known(), attrs.Start[a] == 0 && attrs.Stop[a] == len(l) && attrs.Step[a] == 1:
			axes[a] = l
		case attrs.Step[a] == 1:
			axes[a] = l[attrs.Start[a]:attrs.Stop[a]]
		case cuts(attrs, f.shape(n.Input(0))) > 1:
			f.freeze(l, n, "steps over it and cuts other axes too")
		default:
			taken := make(label, attrs.Len(a))
			for i := range taken {
				taken[i] = l[attrs.Start[a]+i*attrs.Step[a]]
			}
			axes[a] = taken
		}
	}
	f.out(n, axes)
}

// cuts counts the axes that a slice does not keep as they are.
func cuts(attrs ir.SliceAttrs, x ir.Shape) int {
	n := 0
	for a, d := range x {
		if d.Known() && (attrs.Start[a] != 0 || attrs.Stop[a] != d.Size || attrs.Step[a] != 1) {
			n++
		}
	}
	return n
}

func split(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	axis, sizes, err := ir.SplitOf(f.g, n, f.shape(n.Input(0)))
	if err != nil || len(sizes) != len(n.Outputs) {
		f.freezeFrom(in, 0, n, "splits at bounds that are computed")
		return
	}
	at := 0
	for i, v := range n.Outputs {
		axes := append([]label(nil), in...)
		if in[axis] != nil {
			axes[axis] = in[axis][at : at+sizes[i]]
		}
		at += sizes[i]
		if v != "" {
			f.axes[v] = axes
		}
	}
}

// gather with constant indices takes positions where the indices say. Behind a channel pad (GatheredPad) it makes a stream of its own,
// as the pad alone would.
func gather(f *finder, n *ir.Node) {
	axis, err := ir.AxisOf(n, len(f.shape(n.Input(0))), 0)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	indices, known := f.g.Weights[n.Input(1)]
	if w := n.Input(0); f.isWeight(w) && !known {
		// A table of embeddings is a layer: each of its other axes is made here.
		f.give(w, axis, nil, n, "looks up its rows")
		for a, size := range f.g.Weights[w].Shape {
			if a != axis && size > 1 && f.g.Weights[w].DType.IsFloat() {
				f.produce(n, w, a)
			}
		}
	}
	in := f.in(n, 0)
	f.freezeFrom(f.axes[n.Input(1)], 0, n, "reads indices from it")
	rank := len(f.shape(n.Input(1)))
	axes := append([]label(nil), in[:axis]...)
	axes = append(axes, make([]label, rank)...)
	axes = append(axes, in[axis+1:]...)
	defer func() { f.out(n, axes) }()
	if in[axis] == nil {
		return
	}
	if !known {
		f.freeze(in[axis], n, "takes positions that are computed")
		return
	}
	at, err := Indices(indices, len(in[axis]))
	if err != nil {
		f.freeze(in[axis], n, err.Error())
		return
	}
	if p := f.producers[n.Input(0)]; p != nil && GatheredPad(f.g, p, len(in), f.consumers) == n {
		axes[axis] = f.fresh(n, n.Outputs[0], axis, len(at), padded)
		return
	}
	taken := make(label, len(at))
	for i, p := range at {
		taken[i] = in[axis][p]
	}
	if rank == 1 {
		axes[axis] = taken
		return
	}
	f.freeze(taken, n, "takes single positions")
}

// Indices reads the constant indices of a Gather over an axis of the given size, all of them made ≥ 0.
func Indices(t *ir.Tensor, size int) ([]int, error) {
	raw, err := t.Ints()
	if err != nil {
		return nil, err
	}
	at := make([]int, len(raw))
	for i, p := range raw {
		if p < 0 {
			p += int64(size)
		}
		if p < 0 || p >= int64(size) {
			return nil, fmt.Errorf("its index %d is outside of %d positions", raw[i], size)
		}
		at[i] = int(p)
	}
	return at, nil
}

// pad with zeros along a removable axis (the option-A shortcut of ResNets) separates two streams: what comes in and what goes out have
// elements of their own. The pad is a consumer of the incoming ones; a masked channel is a channel of zeros, like those that the pad adds.
// After the cut the outgoing positions are taken from the incoming ones that are left, or from one channel of zeros (package prune).
func pad(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	attrs, err := ir.PadOf(f.g, n, len(in))
	if err != nil {
		f.freezeFrom(in, 0, n, "pads by sizes that are computed")
		return
	}
	axes := append([]label(nil), in...)
	streams := 0
	for a, l := range in {
		if l == nil || attrs.Begin[a] == 0 && attrs.End[a] == 0 {
			continue
		}
		streams++
		axes[a] = nil
		switch {
		case attrs.Mode != "constant" || attrs.Value != 0:
			f.freeze(l, n, "pads it, and not with zeros")
		case attrs.Begin[a] < 0 || attrs.End[a] < 0:
			f.freeze(l, n, "pads by a negative number")
		case streams > 1:
			f.freeze(l, n, "pads several removable axes")
		case GatheredPad(f.g, n, len(in), f.consumers) != nil:
			f.use(n, 0, a, l, "", 0, nil)
			axes[a] = append(append(label(nil), l...), atomFixed)
		default:
			f.use(n, 0, a, l, "", 0, nil)
			axes[a] = f.fresh(n, n.Outputs[0], a, attrs.Begin[a]+len(l)+attrs.End[a], padded)
		}
	}
	f.out(n, axes)
}

// GatheredPad recognises the pair that stands for a channel pad in a cut graph: a Pad that adds one zero position at the end of one axis, read
// by nobody but a Gather with constant indices along that axis. rank is that of the padded value. It returns the Gather, or nil when n is
// no such Pad. The two count as one node in package cost.
func GatheredPad(g *ir.Graph, n *ir.Node, rank int, consumers map[string][]ir.Use) *ir.Node {
	if !n.Is("Pad") {
		return nil
	}
	readers := consumers[n.Outputs[0]]
	if len(readers) != 1 || readers[0].Input != 0 || !readers[0].Node.Is("Gather") {
		return nil
	}
	for _, o := range g.Outputs {
		if o.Name == n.Outputs[0] {
			return nil
		}
	}
	next := readers[0].Node
	indices, ok := g.Weights[next.Input(1)]
	if !ok || len(indices.Shape) != 1 {
		return nil
	}
	attrs, err := ir.PadOf(g, n, rank)
	if err != nil || attrs.Mode != "constant" || attrs.Value != 0 {
		return nil
	}
	axis, err := ir.AxisOf(next, rank, 0)
	if err != nil || attrs.Begin[axis] != 0 || attrs.End[axis] != 1 {
		return nil
	}
	return next
}

// resize hands on the positions of the axes that keep their size; of the others it mixes, repeats or drops them.
func resize(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	for _, v := range n.Inputs[1:] {
		f.freezeFrom(f.axes[v], 0, n, "reads from it how to resize")
	}
	attrs, err := ir.ResizeOf(f.g, n, f.shape(n.Input(0)), f.shape(n.Outputs[0]))
	if err != nil {
		f.freezeFrom(in, 0, n, "resizes by what is computed")
		return
	}
	axes := make([]label, len(in))
	for a, l := range in {
		if attrs.Kept[a] {
			axes[a] = l
		} else {
			f.freeze(l, n, "resizes over it")
		}
	}
	f.out(n, axes)
}

// expand repeats along axes of size 1 and keeps the others. How often it repeats is free, so the repetitions are elements of their own: the query
// heads that share a key.
func expand(f *finder, n *ir.Node) {
	x := n.Input(0)
	from, out := f.shape(x), f.shape(n.Outputs[0])
	axes := make([]label, len(out))
	for axis := range out {
		a := axis - len(out) + len(from)
		switch {
		case a >= 0 && from[a] == out[axis]:
			axes[axis] = f.label(x, a)
		case a >= 0:
			f.freeze(f.label(x, a), n, "spreads it over several positions")
			fallthrough
		default:
			if out[axis].Known() && out[axis].Size > 1 && out[axis].Size <= maxRepeats {
				axes[axis] = f.fresh(n, n.Outputs[0], axis, out[axis].Size, operand)
			}
		}
	}
	f.restated(n, 1, axes)
	f.out(n, axes)
	f.freezeFrom(f.axes[n.Input(1)], 0, n, "reads a shape from it")
}

// constantOfShape fills axes whose sizes a list states; where that can be written anew, they follow what they meet.
func constantOfShape(f *finder, n *ir.Node) {
	out := f.shape(n.Outputs[0])
	axes := make([]label, len(out))
	for a, d := range out {
		if d.Known() && d.Size > 1 && d.Size <= maxFilled {
			axes[a] = f.fresh(n, n.Outputs[0], a, d.Size, operand)
		}
	}
	f.restated(n, 0, axes)
	f.out(n, axes)
}

// maxFilled bounds the positions of a filled axis that are followed.
const maxFilled = 1 << 14

// maxRepeats bounds the repetitions that are followed: heads are few, pixels are many.
const maxRepeats = 256
