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

// fuseNorms lets a batch norm finish its own output: add what a residual sum adds to it, and apply the function that follows, in its one
// pass over the activations.
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
		if r, add, ok := b.addend(&f, b.p.Instrs[i].Out[0]); ok && !gone[r] {
			in := b.p.Instrs[i]
			in.In = append(slices.Clone(in.In), add)
			in.Out = append([]ID{b.p.Instrs[r].Out[0]}, in.Out[1:]...)
			b.p.Instrs[r], at = in, r
			gone[i], done[r] = true, true
			f = b.flow() // the other operand of the sum may be a norm with an eye on the same sum
		}
		in := &b.p.Instrs[at]
		r, act, ok := b.activation(&f, in.Out[0], len(in.In) > normAdd)
		if !ok {
			continue
		}
		a := in.Attr.(BatchNormAttr)
		a.Act = act
		in.Attr = a
		in.Out = append([]ID{b.p.Instrs[r].Out[0]}, in.Out[1:]...)
		gone[r] = true
	}
	b.rewrite(gone, nil)
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
