package space

import "github.com/dms-go/dms/ir"

// Stated finds the constant that states entry i of a list of sizes which node n reads at the given input: the node and input that read it, and its
// place there. The list is a constant itself or a Concat of pieces. size gives the length of a list, −1 where it is not known. ok is false where
// the entry is computed.
func Stated(g *ir.Graph, producers map[string]*ir.Node, size func(string) int, n *ir.Node, input, i int) (at *ir.Node, in, index int, ok bool) {
	for {
		v := n.Input(input)
		if g.Weights[v] != nil {
			return n, input, i, i >= 0 && i < g.Weights[v].Len()
		}
		p := producers[v]
		if p == nil || !p.Is("Concat") {
			return nil, 0, 0, false
		}
		n, input = p, -1
		for k, piece := range p.Inputs {
			length := size(piece)
			if length < 0 {
				return nil, 0, 0, false
			}
			if i < length {
				input = k
				break
			}
			i -= length
		}
		if input < 0 {
			return nil, 0, 0, false
		}
	}
}

func (f *finder) listSize(v string) int {
	if s := f.shape(v); len(s) == 1 && s[0].Known() {
		return s[0].Size
	}
	return -1
}

// restated keeps those axes of n's output whole whose sizes the list at the given input states in a way that cannot be rewritten.
func (f *finder) restated(n *ir.Node, input int, axes []label) {
	if n.Input(input) == "" {
		return
	}
	size := f.listSize(n.Input(input))
	for a, l := range axes {
		i := a - len(axes) + size // Expand aligns its target at the end
		if l == nil || size >= 0 && i < 0 {
			continue
		}
		at, in, index, ok := Stated(f.g, f.producers, f.listSize, n, input, i)
		if !ok || size < 0 {
			f.freeze(l, n, "computes its target shape")
			continue
		}
		list, err := f.g.Weights[at.Inputs[in]].Ints()
		if err != nil || list[index] > 0 && !f.shape(n.Outputs[0])[a].Known() {
			f.freeze(l, n, "computes its target shape")
			continue
		}
		if at != n && list[index] > 0 {
			// Several readers of one Concat share its numbers.
			key := entry{at, in, index}
			if other, ok := f.stated[key]; ok {
				f.tie(other, l, n, "states the same size")
			} else {
				f.stated[key] = l
			}
		}
	}
}

// entry is a number in a constant that a node reads.
type entry struct {
	node         *ir.Node
	input, index int
}
