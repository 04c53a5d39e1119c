package program

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
)

// lowerEinsum is a product of two operands, or a sum over one, along axes that letters name.
func lowerEinsum(b *builder, n *ir.Node) error {
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	ranks := make([]int, len(in))
	for i, v := range in {
		ranks[i] = len(b.val(v).Shape)
	}
	a, err := ir.EinsumOf(n, ranks)
	if err != nil {
		return err
	}
	if len(in) > 2 {
		return fmt.Errorf("%d operands; the engine multiplies two", len(in))
	}
	// What stands in one operand alone and not in the result is summed first.
	for i := range in {
		shape := slices.Clone(b.val(in[i]).Shape)
		var gone []int
		for k, l := range a.In[i] {
			if !strings.ContainsRune(a.Out, l) && !(len(in) == 2 && strings.ContainsRune(a.In[1-i], l)) {
				shape[b.val(in[i]).physical(k)] = 1
				gone = append(gone, k)
			}
		}
		if gone != nil {
			in[i] = b.dropAxes(b.total(in[i], shape, 1), gone)
			a.In[i] = strings.Map(func(l rune) rune {
				if slices.Contains(gone, strings.IndexRune(a.In[i], l)) {
					return -1
				}
				return l
			}, a.In[i])
		}
	}
	if len(in) == 1 {
		b.value[n.Outputs[0]] = b.named(in[0], a.In[0], a.Out)
		return nil
	}
	var stack, left, right, inner string
	for _, l := range a.Out {
		switch first, second := strings.ContainsRune(a.In[0], l), strings.ContainsRune(a.In[1], l); {
		case first && second:
			stack += string(l)
		case first:
			left += string(l)
		default:
			right += string(l)
		}
	}
	for _, l := range a.In[0] {
		if !strings.ContainsRune(a.Out, l) {
			inner += string(l)
		}
	}
	sizes := func(v ID, names, of string) []int {
		s := b.val(v).logical()
		var out []int
		for _, l := range of {
			out = append(out, s[strings.IndexRune(names, l)])
		}
		return out
	}
	for _, shared := range stack + inner {
		if x, y := sizes(in[0], a.In[0], string(shared)), sizes(in[1], a.In[1], string(shared)); x[0] != y[0] {
			return fmt.Errorf("axis %c has sizes %d and %d", shared, x[0], y[0])
		}
	}
	m, k, p := sizes(in[0], a.In[0], left), sizes(in[0], a.In[0], inner), sizes(in[1], a.In[1], right)
	outer := sizes(in[0], a.In[0], stack)
	x := b.rowMajor(b.named(in[0], a.In[0], stack+left+inner))
	w := b.rowMajor(b.named(in[1], a.In[1], stack+inner+right))
	batch := product(outer)
	y := b.matmul(b.view(x, []int{batch, product(m), product(k)}, nil), b.view(w, []int{batch, product(k), product(p)}, nil), false, 1)
	y = b.view(y, slices.Concat(outer, m, p), nil)
	b.value[n.Outputs[0]] = b.named(y, stack+left+right, a.Out)
	return nil
}

// named gives v, whose axes bear the letters from, with its axes in the order of the letters to. Nothing moves.
func (b *builder) named(v ID, from, to string) ID {
	x := *b.val(v)
	layout := make([]int, len(to))
	for i, axis := range full(x.Layout, len(x.Shape)) {
		layout[i] = strings.IndexByte(to, from[axis])
	}
	return b.view(v, x.Shape, normal(layout))
}

// heads gives an operand of attention as (batch, heads, length, size), row by row.
func (b *builder) heads(x ID, count int) (ID, error) {
	s := b.val(x).logical()
	if len(s) == 4 {
		return b.rowMajor(x), nil
	}
	if count == 0 || s[2]%count != 0 {
		return None, fmt.Errorf("%v does not divide into %d heads", s, count)
	}
	x = b.view(b.rowMajor(x), []int{s[0], s[1], count, s[2] / count}, nil)
	return b.turn(x, []int{0, 2, 1, 3}), nil
}

// lowerAttention is softmax(scale·q·kᵀ + mask)·v.
func lowerAttention(b *builder, n *ir.Node) error {
	in := make([]ID, 6)
	for i := range in {
		in[i] = None
		if n.Input(i) != "" {
			v, err := b.in(n, i)
			if err != nil {
				return err
			}
			in[i] = v
		}
	}
	a, err := ir.AttentionOf(n, ir.Fixed(b.val(in[0]).logical()...))
	if err != nil {
		return err
	}
	if len(n.Outputs) > 3 && n.Outputs[3] != "" {
		return errors.New("the products of queries and keys are not supported as an output")
	}
	var parts [3]ID
	for i, count := range []int{a.Heads, a.KVHeads, a.KVHeads} {
		if parts[i], err = b.heads(in[i], count); err != nil {
			return err
		}
	}
	q, k, v := parts[0], parts[1], parts[2]
	for i, part := range []*ID{&k, &v} {
		if past := in[4+i]; past != None {
			*part = b.glue(2, b.rowMajor(past), *part)
		}
		if len(n.Outputs) > 1+i && n.Outputs[1+i] != "" {
			b.value[n.Outputs[1+i]] = *part
		}
	}
	qs := slices.Clone(b.val(q).Shape)
	if k, err = b.repeatHeads(k, qs[1]); err != nil {
		return err
	}
	if v, err = b.repeatHeads(v, qs[1]); err != nil {
		return err
	}
	scale := float64(a.Scale)
	if scale == 0 {
		scale = float64(float32(1 / math.Sqrt(float64(qs[3])))) // as the attribute would state it
	}
	score := b.matmul(q, k, true, scale)
	length := b.val(score).Shape[3]
	if mask := in[3]; mask != None {
		mask = b.broadcastTo(mask, 4, nil)
		if b.info[n.Input(3)].DType == ir.Bool {
			mask = b.choose(mask, b.number(0, 4), b.number(float32(math.Inf(-1)), 4))
		}
		score = b.join("add", score, mask)
	}
	if a.Causal {
		score = b.join("add", score, b.causal(qs[2], length, length-b.val(parts[1]).Shape[2]))
	}
	if a.Softcap != 0 {
		c := float64(a.Softcap)
		score = b.apply("scale", c, 0, b.apply("tanh", 0, 0, b.apply("scale", 1/c, 0, score)))
	}
	p := b.temp(b.node, b.val(score).Shape, nil)
	b.emit(Softmax, SoftmaxAttr{Outer: b.val(score).Len() / length, N: length, Inner: 1}, []ID{p}, []ID{score})
	y := b.matmul(p, v, false, 1)
	if a.Packed {
		y = b.turn(y, []int{0, 2, 1, 3})
	}
	return b.done(n, 0, y)
}

// repeatHeads gives every head of queries the keys or values of its group.
func (b *builder) repeatHeads(x ID, heads int) (ID, error) {
	s := slices.Clone(b.val(x).Shape)
	if s[1] == heads {
		return x, nil
	}
	if heads%s[1] != 0 {
		return None, fmt.Errorf("%d heads of queries and %d of keys", heads, s[1])
	}
	x = b.spread(b.view(x, []int{s[0], s[1], 1, s[2], s[3]}, nil), []int{s[0], s[1], heads / s[1], s[2], s[3]})
	return b.view(x, []int{s[0], heads, s[2], s[3]}, nil), nil
}

// causal forbids every query the keys behind it; past keys come before all queries.
func (b *builder) causal(queries, keys, past int) ID {
	mask := make([]float32, queries*keys)
	for i := range queries {
		for j := range keys {
			if j > i+past {
				mask[i*keys+j] = float32(math.Inf(-1))
			}
		}
	}
	return b.constant(mask, 1, 1, queries, keys)
}

// lowerRotary turns pairs of elements of each head by angles whose cosines and sines are given by position.
func lowerRotary(b *builder, n *ir.Node) error {
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	x := b.rowMajor(in[0])
	s := b.val(x).Shape
	a, err := ir.RotaryOf(n, ir.Fixed(s...))
	if err != nil {
		return err
	}
	lengthAxis, headAxis := 2, 1
	if len(s) == 3 { // (batch, length, heads, size)
		if s[2]%a.Heads != 0 {
			return fmt.Errorf("%v does not divide into %d heads", s, a.Heads)
		}
		x = b.view(x, []int{s[0], s[1], a.Heads, s[2] / a.Heads}, nil)
		lengthAxis, headAxis = 1, 2
	}
	s = slices.Clone(b.val(x).Shape)
	size := s[3]
	turned := a.Dim
	if turned == 0 {
		turned = size
	}
	if turned > size || turned%2 != 0 {
		return fmt.Errorf("%d of %d elements of a head", turned, size)
	}
	var table [2]ID // cosines and sines, as x broadcasts
	for i := range table {
		t := b.rowMajor(in[1+i])
		if len(in) > 3 {
			t = b.pickAlong(t, 0, in[3])
		}
		shape := []int{s[0], 1, 1, turned / 2}
		shape[lengthAxis] = s[lengthAxis]
		shape[headAxis] = 1
		if b.val(t).Len() != product(shape) {
			return fmt.Errorf("angles of shape %v for %v", b.val(t).Shape, shape)
		}
		table[i] = b.view(t, shape, nil)
	}
	start, step := turned/2, 1
	if a.Interleaved {
		start, step = 1, 2
	}
	first, second := b.box(x, 3, 0, step, turned/2), b.box(x, 3, start, step, turned/2)
	real := b.join("sub", b.join("mul", first, table[0]), b.join("mul", second, table[1]))
	imag := b.join("add", b.join("mul", first, table[1]), b.join("mul", second, table[0]))
	var y ID
	if a.Interleaved {
		half := []int{s[0], s[1], s[2], turned / 2, 1}
		y = b.view(b.glue(4, b.view(real, half, nil), b.view(imag, half, nil)), []int{s[0], s[1], s[2], turned}, nil)
	} else {
		y = b.glue(3, real, imag)
	}
	if turned < size {
		y = b.glue(3, y, b.box(x, 3, turned, 1, size-turned))
	}
	return b.done(n, 0, y)
}
