package program

import "slices"

// fuseScales takes both gradients of a product with a smaller operand (a mask, the gate of squeeze-and-excite) in one pass over the larger
// one: they read the same two values.
func fuseScales(b *builder) {
	type scaling struct {
		dy     ID
		length int // of the smaller operand
	}
	products := map[scaling]int{}
	gone := map[int]bool{}
	for i, in := range b.p.Instrs[b.p.Forward:] {
		i += b.p.Forward
		if in.Op == Binary && in.Attr.(BinaryAttr).Function == "mul" && b.val(in.In[0]).Len() == b.val(in.Out[0]).Len() {
			products[scaling{in.In[0], b.val(in.In[1]).Len()}] = i
			continue
		}
		if in.Op != SumProduct {
			continue
		}
		at, ok := products[scaling{in.In[0], b.val(in.Out[0]).Len()}]
		if !ok || gone[at] || b.p.Instrs[at].Op != Binary || !b.columnwise(in.In[0], in.Out[0]) {
			continue
		}
		mul := b.p.Instrs[at]
		if !slices.Equal(b.val(mul.In[1]).Shape, b.val(in.Out[0]).Shape) {
			continue
		}
		b.p.Instrs[at] = Instr{Op: ScaleGrad, Node: in.Node, In: []ID{in.In[0], in.In[1], mul.In[1]}, Out: []ID{mul.Out[0], in.Out[0]}}
		gone[i] = true
	}
	b.rewrite(gone, nil)
}

// columnwise tells whether v, of the rank of x, has one number for each column of x, or of each sample of it.
func (b *builder) columnwise(x, v ID) bool {
	xs, vs := b.val(x).Shape, b.val(v).Shape
	if len(xs) != len(vs) || len(xs) < 2 {
		return false
	}
	last := len(xs) - 1
	if vs[last] != xs[last] || xs[last] == 1 {
		return false
	}
	for i := 1; i < last; i++ {
		if vs[i] != 1 {
			return false
		}
	}
	return vs[0] == 1 || vs[0] == xs[0]
}
