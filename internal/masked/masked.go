// Package masked multiplies masks into a graph, so that removing an element and masking it with zero compute the same.
//
// In goes a graph with its space, out comes a copy with one more input per group, "mask/" and the group's name, of shape (n): ones leave the network
// as it is, zeros do what prune.Apply does, anything between is the soft mask of a search. The masks are applied by ordinary ONNX
// operators (Concat, Gather, Reshape, Mul), so an engine that runs and differentiates the graph needs to know nothing about them.
package masked

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// On tells where width masks multiply. Both give the same function.
type On uint8

const (
	// Weights multiplies the weight of a consumer along its input axis: work in proportion to the weights. It is the cheaper one while the weights
	// are trained. A consumer without a weight (a channel pad) is masked at its input.
	Weights On = iota

	// Activations multiplies the consumer's input. With frozen weights it spares the gradient with respect to them.
	Activations
)

// Input is the name of the graph input that holds a group's mask.
func Input(group string) string { return "mask/" + group }

// Insert returns a copy of g with the masks of s inserted. Block masks multiply the branch f(x) of x + f(x).
func Insert(g *ir.Graph, s *space.Space, on On) (*ir.Graph, error) {
	m := &masker{out: g.Clone(), s: s, taken: map[string]bool{}, made: map[string]string{}, before: map[string][]*ir.Node{}, after: map[*ir.Node][]*ir.Node{}, byID: map[string]*ir.Node{}}
	for _, v := range g.Inputs {
		m.taken[v.Name] = true
	}
	for name := range g.Weights {
		m.taken[name] = true
	}
	ids := map[*ir.Node]string{} // as they are, for means write other values
	for _, n := range m.out.Nodes {
		m.byID[n.ID()] = n
		ids[n] = n.ID()
		for _, v := range n.Outputs {
			m.taken[v] = true
		}
	}
	for _, group := range s.Groups {
		name := Input(group.Name)
		if m.taken[name] {
			return nil, fmt.Errorf("masked: the graph already has a value %q", name)
		}
		m.taken[name] = true
		m.out.Inputs = append(m.out.Inputs, ir.ValueInfo{Name: name, DType: ir.Float32, Shape: ir.Fixed(group.N)})
	}
	if err := m.widths(on); err != nil {
		return nil, err
	}
	if err := m.blocks(); err != nil {
		return nil, err
	}
	nodes := m.first
	for _, n := range m.out.Nodes {
		nodes = append(append(nodes, m.before[ids[n]]...), n)
		nodes = append(nodes, m.after[n]...)
	}
	m.out.Nodes = nodes
	return m.out, nil
}

// masker is the state of one Insert.
type masker struct {
	out    *ir.Graph
	s      *space.Space
	byID   map[string]*ir.Node
	taken  map[string]bool
	made   map[string]string // what is the same is made once
	first  []*ir.Node        // read masks and weights only
	before map[string][]*ir.Node
	after  map[*ir.Node][]*ir.Node
}

// target is one input of one node, with all the groups that mask it.
type target struct {
	node   string
	input  int
	groups []int
	uses   []space.Use
}

func (m *masker) widths(on On) error {
	var targets []*target
	type key struct {
		node        string
		input, axis int
	}
	at := map[key]*target{}
	for i, group := range m.s.Groups {
		for _, u := range group.Uses {
			k := key{u.Node, u.Input, u.Axis}
			if at[k] == nil {
				at[k] = &target{node: u.Node, input: u.Input}
				targets = append(targets, at[k])
			}
			at[k].groups = append(at[k].groups, i)
			at[k].uses = append(at[k].uses, u)
		}
	}
	means := map[string]*mean{}
	var order []string
	for _, t := range targets {
		n := m.byID[t.node]
		if n == nil || t.input >= len(n.Inputs) {
			return fmt.Errorf("masked: the graph has no input %d of %q; find the space of this graph", t.input, t.node)
		}
		u := t.uses[0]
		if on == Weights && u.Weight != "" {
			input := slices.Index(n.Inputs, u.Weight)
			if input == t.input {
				input = t.input + 1 + slices.Index(n.Inputs[t.input+1:], u.Weight)
			}
			w := m.out.Weights[u.Weight]
			if w == nil || input == t.input || input < 0 || n.Inputs[input] != u.Weight {
				return fmt.Errorf("masked: %s does not read weight %q; find the space of this graph", n.Label(), u.Weight)
			}
			elems := make([][]int32, len(t.uses))
			for i := range elems {
				elems[i] = t.uses[i].WeightElems
			}
			n.Inputs[input] = m.multiply(&m.first, u.Weight, m.vector(t.groups, elems, len(w.Shape)-u.WeightAxis))
			continue
		}
		elems := make([][]int32, len(t.uses))
		for i := range elems {
			elems[i] = t.uses[i].Elems
		}
		rank, err := m.rank(n.Inputs[t.input])
		if err != nil {
			return err
		}
		if u.Mean {
			k := n.ID()
			if means[k] == nil {
				means[k] = &mean{node: n, rank: rank}
				order = append(order, k)
			}
			means[k].axes = append(means[k].axes, u.Axis)
			means[k].masks = append(means[k].masks, m.vector(t.groups, elems, 1))
			means[k].sizes = append(means[k].sizes, len(u.Elems))
			continue
		}
		list := m.before[t.node]
		n.Inputs[t.input] = m.multiply(&list, n.Inputs[t.input], m.vector(t.groups, elems, rank-u.Axis))
		m.before[t.node] = list
	}
	for _, n := range order {
		if err := m.mean(means[n]); err != nil {
			return err
		}
	}
	return nil
}

// rank finds the rank of a value from the description that the space has of it.
func (m *masker) rank(v string) (int, error) {
	if axes, ok := m.s.Axes[v]; ok {
		return len(axes), nil
	}
	return 0, fmt.Errorf("masked: the space does not describe %q; find the space of this graph", v)
}

// multiply writes v times mask into list, once for the same two.
func (m *masker) multiply(list *[]*ir.Node, v, mask string) string {
	k := v + "\x00*" + mask
	if name, ok := m.made[k]; ok {
		return name
	}
	name := m.unused(v + "/masked")
	m.made[k] = name
	*list = append(*list, &ir.Node{Name: name, Op: "Mul", Inputs: []string{v, mask}, Outputs: []string{name}})
	return name
}

// vector makes the masks of one axis, position by position, shaped to broadcast along the axis that stands fromEnd places from the end.
// elems holds for each group its element at each position, −1 elsewhere; a position without any has mask 1.
func (m *masker) vector(groups []int, elems [][]int32, fromEnd int) string {
	// Groups that share no position make one vector; positions of several groups have the product of theirs.
	var layers [][]int
	for i := range groups {
		k := 0
		for k < len(layers) && slices.ContainsFunc(layers[k], func(j int) bool { return overlap(elems[i], elems[j]) }) {
			k++
		}
		if k == len(layers) {
			layers = append(layers, nil)
		}
		layers[k] = append(layers[k], i)
	}
	v := ""
	for _, layer := range layers {
		w := m.layer(groups, elems, layer)
		if v == "" {
			v = w
		} else {
			v = m.node("Mul", v+"*"+w, []string{v, w}, nil)
		}
	}
	return m.upright(v, len(elems[0]), fromEnd)
}

func overlap(a, b []int32) bool {
	for p := range a {
		if a[p] >= 0 && b[p] >= 0 {
			return true
		}
	}
	return false
}

// layer makes the vector of those of the groups that are listed.
func (m *masker) layer(groups []int, elems [][]int32, list []int) string {
	size := len(elems[0])
	at := make([]int64, size)
	offset := int64(0)
	var parts []string
	for _, i := range list {
		g := groups[i]
		for p, e := range elems[i] {
			if e >= 0 {
				at[p] = offset + int64(e) + 1
			}
		}
		parts = append(parts, Input(m.s.Groups[g].Name))
		offset += int64(m.s.Groups[g].N)
	}
	plain := int64(size) == offset
	open := false
	for p := range at {
		plain = plain && at[p] == int64(p)+1
		open = open || at[p] == 0
	}
	if open {
		parts = append(parts, m.weight("mask/one", ir.Floats32([]float32{1}, 1)))
	}
	for p := range at {
		if at[p]--; at[p] < 0 {
			at[p] = offset
		}
	}
	v := parts[0]
	if len(parts) > 1 {
		v = m.node("Concat", strings.Join(parts, "+"), parts, ir.Attrs{"axis": ir.IntAttr(0)})
	}
	if !plain {
		indices := m.weight(fmt.Sprintf("%s/at/%x", v, hash(at)), ir.Vector64(at...))
		v = m.node("Gather", indices+"/gather", []string{v, indices}, ir.Attrs{"axis": ir.IntAttr(0)})
	}
	return v
}

// upright shapes a vector to stand fromEnd places from the end.
func (m *masker) upright(v string, size, fromEnd int) string {
	if fromEnd == 1 {
		return v
	}
	shape := make([]int64, fromEnd)
	for i := range shape {
		shape[i] = 1
	}
	shape[0] = int64(size)
	target := m.weight(fmt.Sprintf("mask/shape/%d.%d", size, fromEnd), ir.Vector64(shape...))
	return m.node("Reshape", fmt.Sprintf("%s/%d", v, fromEnd), []string{v, target}, nil)
}

// node writes a node that reads nothing but masks and constants, once for the same name.
func (m *masker) node(op, name string, inputs []string, attrs ir.Attrs) string {
	k := op + "\x00" + strings.Join(inputs, "\x00")
	if v, ok := m.made[k]; ok {
		return v
	}
	v := m.unused(name)
	m.made[k] = v
	m.first = append(m.first, &ir.Node{Name: v, Op: op, Inputs: inputs, Outputs: []string{v}, Attrs: attrs})
	return v
}

// weight adds a constant, once for the same name and content.
func (m *masker) weight(name string, t *ir.Tensor) string {
	if v, ok := m.made["weight\x00"+name]; ok && m.out.Weights[v].Equal(t) {
		return v
	}
	v := m.unused(name)
	m.made["weight\x00"+name] = v
	m.out.Weights[v] = t
	return v
}

func (m *masker) unused(name string) string {
	free := name
	for k := 2; m.taken[free]; k++ {
		free = fmt.Sprintf("%s.%d", name, k)
	}
	m.taken[free] = true
	return free
}

// hash is FNV-1a, to tell lists of indices apart in names.
func hash(list []int64) uint32 {
	h := uint32(2166136261)
	for _, v := range list {
		for range 8 {
			h = (h ^ uint32(v&0xff)) * 16777619
			v >>= 8
		}
	}
	return h
}

// blocks multiplies each removable branch by its mask before the sum.
func (m *masker) blocks() error {
	for _, group := range m.s.Groups {
		for k, b := range group.Blocks {
			add := m.byID[b.Add]
			if add == nil || b.Branch >= len(add.Inputs) {
				return fmt.Errorf("masked: block %q: the graph has no sum %q; find the space of this graph", b.Name, b.Add)
			}
			mask := Input(group.Name)
			if group.N > 1 {
				index := m.weight(fmt.Sprintf("mask/index/%d", k), ir.Vector64(int64(k)))
				mask = m.node("Gather", fmt.Sprintf("%s/%d", mask, k), []string{mask, index}, ir.Attrs{"axis": ir.IntAttr(0)})
			}
			list := m.before[b.Add]
			add.Inputs[b.Branch] = m.multiply(&list, add.Inputs[b.Branch], mask)
			m.before[b.Add] = list
		}
	}
	return nil
}
