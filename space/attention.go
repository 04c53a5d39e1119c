package space

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// attention is softmax(scale·q·kᵀ + mask)·v. Query head g·P + p is there while the head g of keys and values is, which P of them share, and while place
// p is, the same for every g, for what is left must again be shared evenly. Heads are handed on, and so is what each head of the values holds; queries
// and keys are multiplied along what theirs holds. There the mask acts, and not on the scale: package prune states that of the whole head.
func attention(f *finder, n *ir.Node) {
	q, k, v := f.shape(n.Input(0)), f.shape(n.Input(1)), f.shape(n.Input(2))
	attrs, err := ir.AttentionOf(n, q)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	for i, o := range n.Outputs {
		if i == 3 && o != "" && (len(f.consumers[o]) > 0 || f.outputs[o]) {
			f.hold(n, "hands out its products")
			return
		}
	}
	heads, shared := attrs.Heads, attrs.KVHeads
	if !attrs.Packed {
		heads, shared = q[1].Size, k[1].Size
	}
	last := len(q) - 1
	if heads < 1 || shared < 1 || heads%shared != 0 || !q[last].Known() || !v[last].Known() || q[last] != k[last] && !attrs.Packed {
		f.hold(n, "its heads are not known")
		return
	}
	query, key, value := f.headed(n, 0, heads), f.headed(n, 1, shared), f.headed(n, 2, shared)
	groups, places := f.grid(n, query.heads, shared, heads/shared)
	f.plays(groups, "heads")
	f.plays(places, "heads")
	f.tie(query.batch, key.batch, n, "attends within a sample")
	f.tie(query.batch, value.batch, n, "attends within a sample")
	f.tie(groups, key.heads, n, "multiplies the heads of queries with those of keys")
	f.tie(groups, value.heads, n, "multiplies the heads of queries with those of values")
	f.tie(query.dims, key.dims, n, fmt.Sprintf("multiplies %q with %q", n.Input(0), n.Input(1)))
	if query.dims != nil {
		f.use(n, 0, last, query.each(query.dims), "", 0, nil)
	}
	f.freeze(key.length, n, "attends over it")
	f.freeze(value.length, n, "attends over it")
	if attrs.Causal || n.Input(4) != "" {
		f.freeze(query.length, n, "attends to what comes before")
	}
	for i, present := range []headed{key, value} {
		if past := n.Input(4 + i); past != "" {
			for a, l := range []label{present.batch, present.heads, nil, present.dims} {
				if a == 2 {
					f.freeze(f.label(past, a), n, "attends over it")
				} else {
					f.beside(n, past, a, l)
				}
			}
		}
		if len(n.Outputs) > 1+i && n.Outputs[1+i] != "" {
			f.axes[n.Outputs[1+i]] = []label{present.batch, present.heads, nil, present.dims}
		}
	}
	if mask := n.Input(3); mask != "" {
		f.spread(n, mask, []label{query.batch, query.heads, query.length, nil}, ir.Shape{q[0], {Size: heads}, q[len(q)-2], {Sym: "?"}})
	}
	if attrs.Packed {
		size := v[2].Size / shared
		f.out(n, []label{query.batch, query.length, f.product(query.heads, value.dims, heads, size)})
	} else {
		f.out(n, []label{query.batch, query.heads, query.length, value.dims})
	}
}

// headed describes an operand by sample, head, place in the sequence and place in the head.
type headed struct {
	batch, heads, length, dims label
	packed                     int // heads in one axis with what they hold; 0 where they have their own
}

// headed takes an operand of shape (batch, heads, length, size), or (batch, length, heads·size), apart.
func (f *finder) headed(n *ir.Node, i, heads int) headed {
	in := f.in(n, i)
	if len(in) == 4 {
		return headed{in[0], in[1], in[2], in[3], 0}
	}
	each := f.shape(n.Input(i))[2].Size / heads
	if heads == 1 {
		return headed{in[0], nil, in[1], in[2], 1}
	}
	outer, inner := f.grid(n, in[2], heads, each)
	return headed{in[0], outer, in[1], inner, heads}
}

// each describes the axis that holds places of heads by those alone.
func (h headed) each(dims label) label {
	if h.packed < 2 || dims == nil {
		return dims
	}
	all := make(label, 0, h.packed*len(dims))
	for range h.packed {
		all = append(all, dims...)
	}
	return all
}

// product describes an axis of outer·inner positions by its coordinates, either of which may stay.
func (f *finder) product(outer, inner label, n, m int) label {
	switch {
	case outer == nil && inner == nil:
		return nil
	case n == 1:
		return inner
	case m == 1:
		return outer
	}
	l := make(label, n*m)
	for i := range l {
		a, b := int32(atomFixed), int32(atomFixed)
		if outer != nil {
			a = outer[i/m]
		}
		if inner != nil {
			b = inner[i%m]
		}
		l[i] = f.sets.product(a, b)
	}
	return l
}

// rotary turns pairs of places in each head, by angles that a table has for each pair: a pair goes as one. Heads are handed on, and so are places
// that are not turned.
func rotary(f *finder, n *ir.Node) {
	x := f.shape(n.Input(0))
	attrs, err := ir.RotaryOf(n, x)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	heads := 1
	if len(x) == 3 {
		heads = attrs.Heads
	}
	last := len(x) - 1
	if !x[last].Known() || x[last].Size%heads != 0 {
		f.hold(n, "its heads are not known")
		return
	}
	h := f.headed(n, 0, heads)
	f.plays(h.heads, "heads")
	f.freeze(h.length, n, "turns it by its place")
	f.freezeFrom(f.axes[n.Input(3)], 0, n, "reads places from it")
	turned := attrs.Dim
	if turned == 0 {
		turned = x[last].Size / heads
	}
	var pairs label
	if h.dims != nil && turned <= len(h.dims) {
		first, second := h.dims[:turned/2], h.dims[turned/2:turned]
		if attrs.Interleaved {
			first, second = every2(h.dims[:turned], 0), every2(h.dims[:turned], 1)
		}
		f.tie(first, second, n, "turns them as a pair")
		pairs = first
	}
	for i := 1; i < 3; i++ {
		table := n.Input(i)
		for a := range len(f.shape(table)) - 1 {
			f.beside(n, table, a, nil)
		}
		f.beside(n, table, len(f.shape(table))-1, pairs)
	}
	f.out(n, f.in(n, 0))
}

// every2 takes every second position of a label.
func every2(l label, from int) label {
	var taken label
	for i := from; i < len(l); i += 2 {
		taken = append(taken, l[i])
	}
	return taken
}
