package program

import (
	"slices"

	"github.com/dms-go/dms/internal/kernel"
)

// fuseGates writes x·sigmoid(x) as one function: exporters write both apart.
func fuseGates(b *builder) {
	f := b.flow()
	gone := map[int]bool{}
	for i := range b.p.Instrs {
		in := &b.p.Instrs[i]
		if in.Op != Binary || in.Attr.(BinaryAttr).Function != "mul" {
			continue
		}
		for o := range 2 {
			x, gate := in.In[o], in.In[1-o]
			w, ok := f.source(gate)
			if !ok || b.p.Instrs[w].Op != Unary || b.p.Root(b.p.Instrs[w].In[0]) != b.p.Root(x) || b.val(x).Len() != b.val(gate).Len() || b.val(in.Out[0]).Len() != b.val(x).Len() {
				continue
			}
			function := gated(b.p.Instrs[w].Attr.(UnaryAttr))
			if r, only := f.onlyReader(gate); !only || r != i || function == "" {
				continue
			}
			*in = Instr{Op: Unary, In: []ID{x}, Out: in.Out, Attr: UnaryAttr{Function: function}, Node: in.Node}
			gone[w] = true
			break
		}
	}
	b.rewrite(gone, nil)
}

// gated is the function x·a(x), if it has a name.
func gated(a UnaryAttr) string {
	switch {
	case a.Function == "sigmoid":
		return "silu"
	}
	return ""
}

// fuseNorms lets a batch norm finish its own output: multiply it by a mask, add what a residual sum adds to it, and apply the function that
// follows, in its one pass over the activations.
//
// Without an addend the gradient needs the norm's input alone. With one, only functions are taken whose derivative shows in their result.
func fuseNorms(b *builder) {
	f := b.flow()
	gone, done := map[int]bool{}, map[int]bool{}
	for i := range b.p.Instrs {
		if b.p.Instrs[i].Op != BatchNorm || done[i] {
			continue
		}
		at := i // where the norm stands
		// take moves the norm to instruction r, which it replaces; its new operand may only be there by then.
		take := func(r, operand int, v ID) {
			in := b.p.Instrs[at]
			in.In = slices.Clone(in.In)
			in.In[operand] = v
			in.Out = append([]ID{b.p.Instrs[r].Out[0]}, in.Out[1:]...)
			b.p.Instrs[r] = in
			gone[at], done[r] = true, true
			delete(gone, r)
			at = r
			f = b.flow() // the other operand of a sum may be a norm with an eye on the same sum
		}
		if r, mask, ok := b.masked(&f, b.p.Instrs[at]); ok && !gone[r] {
			take(r, normMask, mask)
		}
		if r, add, ok := b.addend(&f, b.p.Instrs[at].Out[0]); ok && !gone[r] {
			take(r, normAdd, add)
		}
		in := &b.p.Instrs[at]
		r, act, ok := b.activation(&f, in.Out[0], in.In[normAdd] != None)
		if !ok {
			continue
		}
		a := in.Attr.(BatchNormAttr)
		a.Act = act
		in.Attr = a
		in.Out = append([]ID{b.p.Instrs[r].Out[0]}, in.Out[1:]...)
		gone[r] = true
		if act.Kind != kernel.Rectify || in.In[normAdd] != None || in.In[normMask] != None {
			continue
		}
		f = b.flow()
		if r, mask, ok := b.masked(&f, *in); ok && !gone[r] && b.nonNegative(&f, mask) {
			take(r, normMask, mask)
			a.MaskLast = true
			b.p.Instrs[at].Attr = a
		}
	}
	b.rewrite(gone, nil)
}

// masked is the product that alone reads a norm's result, with the other operand, if that is one number or one per channel.
func (b *builder) masked(f *flow, norm Instr) (at int, mask ID, ok bool) {
	v := norm.Out[0]
	r, only := f.onlyReader(v)
	if !only {
		return 0, None, false
	}
	in := b.p.Instrs[r]
	if in.Op != Binary || in.Attr.(BinaryAttr).Function != "mul" {
		return 0, None, false
	}
	mine, mask := in.In[0], in.In[1]
	if b.p.Root(mine) != b.p.Root(v) {
		mine, mask = mask, mine
	}
	channels := norm.Attr.(BatchNormAttr).Channels
	shape := b.val(mask).Shape
	n := b.val(mask).Len()
	perChannel := n == channels && len(shape) > 0 && shape[len(shape)-1] == n
	same := b.val(mine).Len() == b.val(v).Len() && b.val(in.Out[0]).Len() == b.val(v).Len()
	shapeOut := b.val(in.Out[0]).Shape
	return r, mask, same && (n == 1 || perChannel) && len(shapeOut) > 0 && shapeOut[len(shapeOut)-1] == channels
}

// nonNegative tells whether all elements of a value are known to be at least zero.
func (b *builder) nonNegative(f *flow, id ID) bool {
	root := b.p.Root(id)
	switch v := b.val(root); v.Class {
	case Input:
		return slices.Contains(b.cfg.NonNegative, v.Name)
	case Const:
		return !slices.ContainsFunc(v.Data, func(x float32) bool { return !(x >= 0) })
	case Param:
		w, err := b.g.Weights[v.Name].Floats()
		return err == nil && !slices.Contains(b.cfg.Wrt, v.Name) && !slices.ContainsFunc(w, func(x float32) bool { return !(x >= 0) })
	}
	w, ok := f.writer[root]
	if !ok {
		return false
	}
	switch in := b.p.Instrs[w]; in.Op {
	case Gather, Concat, Transpose, Cut, Expand:
		return !slices.ContainsFunc(in.In, func(id ID) bool { return !b.nonNegative(f, id) })
	}
	return false
}

// addend is the sum that alone reads v, with the other operand, if both have the sum's shape.
func (b *builder) addend(f *flow, v ID) (at int, other ID, ok bool) {
	r, only := f.onlyReader(v)
	if !only {
		return 0, None, false
	}
	in := b.p.Instrs[r]
	if in.Op != Binary || in.Attr.(BinaryAttr).Function != "add" {
		return 0, None, false
	}
	mine, other := in.In[0], in.In[1]
	if b.p.Root(mine) != b.p.Root(v) {
		mine, other = other, mine
	}
	n := b.val(in.Out[0]).Len()
	return r, other, b.val(mine).Len() == n && b.val(other).Len() == n && b.val(v).Len() == n
}

// activation is the function that alone reads v. Behind a sum it must be one that can be differentiated from its result.
func (b *builder) activation(f *flow, v ID, sum bool) (at int, act kernel.Activation, ok bool) {
	r, only := f.onlyReader(v)
	if !only || b.p.Instrs[r].Op != Unary || b.val(b.p.Instrs[r].Out[0]).Len() != b.val(v).Len() {
		return 0, act, false
	}
	act, ok = b.p.Instrs[r].Attr.(UnaryAttr).Activation()
	return r, act, ok && (!sum || act.FromY() || b.cfg.Loss == "")
}

// fuseFinishes lets a convolution add and apply what follows it while its outputs are in the cache.
func fuseFinishes(b *builder) {
	f := b.flow()
	gone, done := map[int]bool{}, map[int]bool{}
	for i := range b.p.Instrs {
		if b.p.Instrs[i].Op != Conv || done[i] {
			continue
		}
		at := i
		if r, add, ok := b.addend(&f, b.p.Instrs[i].Out[0]); ok && !gone[r] {
			in := b.p.Instrs[i]
			in.In = []ID{in.In[0], in.In[1], in.operand(convBias), add}
			in.Out = []ID{b.p.Instrs[r].Out[0]}
			b.p.Instrs[r], at = in, r
			gone[i], done[r] = true, true
			f = b.flow()
		}
		in := &b.p.Instrs[at]
		r, act, ok := b.activation(&f, in.Out[0], true) // its gradient is taken from the result, as nothing else is kept
		if !ok {
			continue
		}
		a := in.Attr.(ConvAttr)
		a.Act = act
		in.Attr = a
		in.Out = []ID{b.p.Instrs[r].Out[0]}
		gone[r] = true
	}
	b.rewrite(gone, nil)
}

// fuseMoments takes the statistics of a batch norm from the convolution before it, which has just had its outputs in the cache.
func fuseMoments(b *builder) {
	f := b.flow()
	for i := range b.p.Instrs {
		in := &b.p.Instrs[i]
		if in.Op != BatchNorm || !in.Attr.(BatchNormAttr).Train {
			continue
		}
		w, ok := f.source(in.In[0])
		if !ok || b.p.Instrs[w].Op != Conv {
			continue
		}
		conv := &b.p.Instrs[w]
		a := conv.Attr.(ConvAttr)
		c := in.Attr.(BatchNormAttr).Channels
		if a.Shape.O != c || a.Act.Kind != kernel.Identity || conv.operand(convAdd) != None {
			continue
		}
		if len(conv.Out) == 1 {
			conv.Out = append(slices.Clone(conv.Out), b.temp("mean", []int{c}, nil), b.temp("squares", []int{c}, nil))
		}
		in.In = slices.Clone(in.In)
		in.In[normMean], in.In[normSquares] = conv.Out[1], conv.Out[2]
	}
}
