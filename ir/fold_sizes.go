package ir

import "slices"

// sizeLists are the inputs that state the sizes of a node's result, by operator.
var sizeLists = map[string]int{"Expand": 1, "Reshape": 1, "ConstantOfShape": 0}

// statedSizes writes out a list of sizes that is computed in part: what is known of it becomes constants, joined with the entries that only a run
// knows. Exporters fill such lists through Where and Equal, which hide that all but the batch is known.
func (f *folder) statedSizes() {
	var nodes []*Node
	producers := Producers(f.g)
	for _, n := range f.g.Nodes {
		if more := f.stated(n, producers); more != nil {
			nodes = append(nodes, more...)
		}
		nodes = append(nodes, n)
	}
	f.g.Nodes = nodes
}

// stated makes the nodes that n's list of sizes is joined by; nil where it is best left as it is.
func (f *folder) stated(n *Node, producers map[string]*Node) []*Node {
	input, ok := sizeLists[n.Op]
	if !ok || !Standard(n.Domain) {
		return nil
	}
	list := n.Inputs[input]
	v := f.vals[list]
	if v == nil || v.t != nil || len(v.shape) != 1 || v.dtype != Int64 || f.joined(list, producers) {
		return nil
	}
	known := func(d Dim) bool { return d.Known() }
	if !slices.ContainsFunc(v.dims, known) {
		return nil
	}
	var nodes []*Node
	var parts []string
	var run []int64 // known entries that stand together
	flush := func() {
		if len(run) > 0 {
			parts = append(parts, f.constant(n.ID()+"_sizes", Vector64(run...)))
			run = nil
		}
	}
	for i, d := range v.dims {
		if d.Known() {
			run = append(run, int64(d.Size))
			continue
		}
		flush()
		part := f.single(list, d, producers)
		if part == "" {
			part = f.unique(n.ID() + "_size")
			nodes = append(nodes, &Node{Name: part, Op: "Gather", Inputs: []string{list, f.constant(n.ID()+"_entry", Vector64(int64(i)))}, Outputs: []string{part}, Attrs: Attrs{"axis": IntAttr(0)}})
		}
		parts = append(parts, part)
	}
	flush()
	n.Inputs[input] = f.unique(n.ID() + "_shape")
	return append(nodes, &Node{Name: n.Inputs[input], Op: "Concat", Inputs: parts, Outputs: []string{n.Inputs[input]}, Attrs: Attrs{"axis": IntAttr(0)}})
}

// joined tells whether a list is a Concat in which all that is known stands in constants.
func (f *folder) joined(list string, producers map[string]*Node) bool {
	p := producers[list]
	return p != nil && p.Is("Concat") && !slices.ContainsFunc(p.Inputs, func(part string) bool {
		v := f.vals[part]
		return f.g.Weights[part] == nil && (v == nil || slices.ContainsFunc(v.ints(), Dim.Known))
	})
}

// single finds a list of the one size d among what a list is computed from.
func (f *folder) single(list string, d Dim, producers map[string]*Node) string {
	seen := map[string]bool{}
	pending := []string{list}
	for len(pending) > 0 {
		name := pending[0]
		pending = pending[1:]
		p := producers[name]
		if p == nil || seen[name] || f.vals[name] == nil {
			continue
		}
		seen[name] = true
		if v := f.vals[name]; v.dtype == Int64 && len(v.shape) == 1 && len(v.dims) == 1 && v.dims[0].Same(d) {
			return name
		}
		pending = append(pending, p.Inputs...)
	}
	return ""
}

// constant adds a weight.
func (f *folder) constant(name string, t *Tensor) string {
	name = f.unique(name)
	if f.g.Weights == nil {
		f.g.Weights = map[string]*Tensor{}
	}
	f.g.Weights[name] = t
	return name
}

// maxShuffle bounds the positions of an axis whose shuffle is written out.
const maxShuffle = 1 << 16

// shuffles makes a Gather of every Reshape, Transpose and Reshape that together permute the positions of one axis, as networks shuffle their channels.
// Written as a grid, all channels of a row would have to come and go together.
func (f *folder) shuffles() {
	g := f.g
	consumers, producers, captured := Consumers(g), Producers(g), map[string]bool{}
	for _, n := range g.Nodes {
		for _, name := range n.Captures {
			captured[name] = true
		}
	}
	inner := func(v, op string) *Node { // of an op that nobody but its one reader sees
		if p := producers[v]; p != nil && p.Is(op) && len(consumers[v]) == 1 && !f.outputs[v] && !captured[v] {
			return p
		}
		return nil
	}
	for _, n := range g.Nodes {
		if !n.Is("Reshape") {
			continue
		}
		t := inner(n.Inputs[0], "Transpose")
		if t == nil {
			continue
		}
		r := inner(t.Inputs[0], "Reshape")
		if r == nil {
			continue
		}
		axis, index := shuffle(f.info[r.Inputs[0]].Shape, f.info[r.Outputs[0]].Shape, f.info[n.Outputs[0]].Shape, t)
		if index == nil {
			continue
		}
		at := f.constant(n.ID()+"_order", Vector64(index...))
		n.Op, n.Inputs, n.Attrs = "Gather", []string{r.Inputs[0], at}, Attrs{"axis": IntAttr(int64(axis))}
	}
}

// shuffle reads the order in which a value of shape x has the positions of one axis after it was reshaped to grid, transposed by t and reshaped to y;
// nil where that is no shuffle of one axis.
func shuffle(x, grid, y Shape, t *Node) (axis int, index []int64) {
	if x == nil || grid == nil || !slices.EqualFunc(x, y, Dim.Same) || len(grid) <= len(x) {
		return 0, nil
	}
	extra := len(grid) - len(x)
	for axis < len(x) && x[axis].Same(grid[axis]) {
		axis++
	}
	if axis == len(x) || !x[axis].Known() || x[axis].Size > maxShuffle || !slices.EqualFunc(x[axis+1:], grid[axis+extra+1:], Dim.Same) {
		return 0, nil
	}
	sizes, ok := grid[axis : axis+extra+1].Sizes()
	if n, fits := product(sizes); !ok || !fits || n != x[axis].Size {
		return 0, nil
	}
	perm, err := PermOf(t, len(grid))
	if err != nil {
		return 0, nil
	}
	step := strides(sizes)
	turned, by := make([]int, len(sizes)), make([]int, len(sizes))
	for i, p := range perm {
		k := i - axis
		switch {
		case k < 0 || k >= len(sizes):
			if p != i {
				return 0, nil
			}
		case p < axis || p >= axis+len(sizes):
			return 0, nil
		default:
			turned[k], by[k] = sizes[p-axis], step[p-axis]
		}
	}
	same := true
	for i, from := range walk(turned, by, 0) {
		same = same && i == from
		index = append(index, int64(from))
	}
	if same {
		return 0, nil
	}
	return axis, index
}
