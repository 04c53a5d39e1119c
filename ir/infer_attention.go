package ir

import (
	"fmt"
	"slices"
	"strings"
)

// Rows of products over named axes and of attention.

var attentionOps = map[string]operator{
	"Einsum": {inputs: span{1, many}, outputs: one, infer: inferEinsum, attrs: kinds{"equation": AttrString}},
	"Attention": {inputs: span{3, 6}, outputs: span{1, 4}, infer: inferAttention, attrs: kinds{
		"is_causal": AttrInt, "kv_num_heads": AttrInt, "q_num_heads": AttrInt, "qk_matmul_output_mode": AttrInt, "scale": AttrFloat,
		"softcap": AttrFloat, "softmax_precision": AttrInt,
	}},
	"RotaryEmbedding": {inputs: span{3, 4}, outputs: one, infer: inferRotary, attrs: kinds{
		"interleaved": AttrInt, "num_heads": AttrInt, "rotary_embedding_dim": AttrInt,
	}},
}

// EinsumAttrs name every axis of every operand of an Einsum, and of its result, by a letter.
type EinsumAttrs struct {
	In  []string
	Out string
}

// EinsumOf reads an Einsum of operands of the given ranks; −1 is a rank that is not known. An ellipsis, and a letter that stands
// twice in one operand, are not supported.
func EinsumOf(n *Node, ranks []int) (EinsumAttrs, error) {
	equation := strings.ReplaceAll(n.Attrs.Str("equation", ""), " ", "")
	a := EinsumAttrs{}
	left, out, explicit := strings.Cut(equation, "->")
	a.In = strings.Split(left, ",")
	if len(a.In) != len(n.Inputs) {
		return a, fault(n, "equation %s has %d operands, the node %d", quote(equation), len(a.In), len(n.Inputs))
	}
	count := map[rune]int{}
	for i, term := range a.In {
		if err := letters(term); err != nil {
			return a, fault(n, "equation %s: %w", quote(equation), err)
		}
		if ranks[i] >= 0 && ranks[i] != len(term) {
			return a, fault(n, "equation %s: operand %d has %d axes", quote(equation), i, ranks[i])
		}
		for _, l := range term {
			count[l]++
		}
	}
	a.Out = out
	if !explicit { // every letter that stands once, in alphabetical order
		for _, l := range sortedKeys(count) {
			if count[l] == 1 {
				a.Out += string(l)
			}
		}
	}
	if err := letters(a.Out); err != nil {
		return a, fault(n, "equation %s: %w", quote(equation), err)
	}
	for _, l := range a.Out {
		if count[l] == 0 {
			return a, fault(n, "equation %s: no operand has the axis %c", quote(equation), l)
		}
	}
	return a, nil
}

func letters(term string) error {
	for i, l := range term {
		switch {
		case l == '.':
			return fmt.Errorf("an ellipsis is not supported")
		case !(l >= 'a' && l <= 'z' || l >= 'A' && l <= 'Z'):
			return fmt.Errorf("%q is no letter", l)
		case strings.ContainsRune(term[:i], l):
			return fmt.Errorf("axis %c stands twice in %q, which is not supported", l, term)
		}
	}
	return nil
}

func inferEinsum(c *call) error {
	ranks := make([]int, len(c.Inputs))
	for i := range ranks {
		if ranks[i] = -1; c.shape(i) != nil {
			ranks[i] = len(c.shape(i))
		}
	}
	c.set(0, c.in(0).DType, nil)
	a, err := EinsumOf(c.Node, ranks)
	if err != nil {
		if strings.Contains(err.Error(), "not supported") {
			return nil // the shape is not known; package program says why when it is to run
		}
		return err
	}
	sizes := map[rune]Dim{}
	for i, term := range a.In {
		for k, l := range term {
			d := unknown
			if s := c.shape(i); s != nil {
				d = s[k]
			}
			old, seen := sizes[l]
			if !seen {
				old = d
			}
			if sizes[l], err = merge(old, d); err != nil {
				return fault(c.Node, "axis %c: %w", l, err)
			}
		}
	}
	out := Shape{}
	for _, l := range a.Out {
		out = append(out, sizes[l])
	}
	c.set(0, c.in(0).DType, out)
	return nil
}

// AttentionAttrs are the attributes of Attention over inputs of four axes (batch, heads, length, size), or of three (batch, length,
// heads·size) where Packed. Scale multiplies the products of queries and keys; 0 stands for 1/√size.
type AttentionAttrs struct {
	Heads, KVHeads int // 0 where the shapes say it
	Packed, Causal bool
	Scale, Softcap float32
}

// AttentionOf reads an Attention whose queries have shape q.
func AttentionOf(n *Node, q Shape) (AttentionAttrs, error) {
	a := AttentionAttrs{
		Packed: len(q) == 3, Causal: n.Attrs.Int("is_causal", 0) != 0, Scale: n.Attrs.Float("scale", 0), Softcap: n.Attrs.Float("softcap", 0),
	}
	heads, kv := n.Attrs.Int("q_num_heads", 0), n.Attrs.Int("kv_num_heads", 0)
	switch {
	case len(q) != 3 && len(q) != 4:
		return a, fault(n, "queries of shape %v, want three or four axes", q)
	case heads < 0 || kv < 0 || max(heads, kv) > maxAttr:
		return a, fault(n, "q_num_heads %d and kv_num_heads %d", heads, kv)
	case a.Packed && (heads == 0 || kv == 0):
		return a, fault(n, "queries of shape %v need q_num_heads and kv_num_heads", q)
	}
	a.Heads, a.KVHeads = int(heads), int(kv)
	return a, nil
}

func inferAttention(c *call) error {
	q, k, v := c.shape(0), c.shape(1), c.shape(2)
	d := c.in(0).DType
	for i := range c.Outputs {
		c.set(i, d, nil)
	}
	if q == nil || k == nil || v == nil {
		return nil
	}
	a, err := AttentionOf(c.Node, q)
	if err != nil {
		return err
	}
	if len(k) != len(q) || len(v) != len(q) {
		return fault(c.Node, "queries %v, keys %v and values %v differ in rank", q, k, v)
	}
	if _, err := merge(k[len(k)-2], v[len(v)-2]); err != nil {
		return fault(c.Node, "keys %v and values %v: %w", k, v, err)
	}
	out := slices.Clone(q)
	out[len(out)-1] = v[len(v)-1]
	if a.Packed { // the values have heads of their own
		size, ok := monomialOf(v[2]).times(num(a.Heads)).divide(monomial{coef: a.KVHeads})
		if !ok {
			return fault(c.Node, "values %v do not divide into %d heads", v, a.KVHeads)
		}
		out[2] = size
	}
	c.set(0, d, out)
	for i, x := range []Shape{k, v} {
		present := slices.Clone(x)
		if a.Packed {
			size, _ := monomialOf(x[2]).divide(monomial{coef: a.KVHeads})
			present = Shape{x[0], num(a.KVHeads), x[1], size}
		}
		if c.Input(4+i) != "" {
			past := c.shape(4 + i)
			if past != nil && len(past) != 4 {
				return fault(c.Node, "past %v, want (batch, heads, length, size)", past)
			}
			if past == nil {
				present[2] = unknown
			} else {
				present[2] = addDims(past[2], present[2])
			}
		}
		c.set(1+i, d, present)
	}
	return nil
}

// RotaryAttrs are the attributes of RotaryEmbedding: Dim elements of each head are turned, all where it is 0.
type RotaryAttrs struct {
	Heads, Dim  int
	Interleaved bool
}

// RotaryOf reads a RotaryEmbedding of an input of shape x (batch, heads, length, size) or (batch, length, heads·size).
func RotaryOf(n *Node, x Shape) (RotaryAttrs, error) {
	heads, size := n.Attrs.Int("num_heads", 0), n.Attrs.Int("rotary_embedding_dim", 0)
	switch {
	case len(x) != 3 && len(x) != 4:
		return RotaryAttrs{}, fault(n, "input %v, want three or four axes", x)
	case heads < 0 || size < 0 || max(heads, size) > maxAttr || size%2 != 0:
		return RotaryAttrs{}, fault(n, "num_heads %d and rotary_embedding_dim %d", heads, size)
	case len(x) == 3 && heads == 0:
		return RotaryAttrs{}, fault(n, "input %v needs num_heads", x)
	}
	return RotaryAttrs{Heads: int(heads), Dim: int(size), Interleaved: n.Attrs.Int("interleaved", 0) != 0}, nil
}

func inferRotary(c *call) error {
	x := c.shape(0)
	c.set(0, c.in(0).DType, x)
	if x == nil {
		return nil
	}
	_, err := RotaryOf(c.Node, x)
	return err
}
