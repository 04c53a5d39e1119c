package space

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
)

// collect turns tied atoms into groups and everything else into a Space.
func (f *finder) collect() (*Space, error) {
	s := &Space{Axes: map[string][]Axis{}, BlockOf: map[string][]BlockRef{}, Whole: map[string]Frozen{}}
	p, err := f.partition(s)
	if err != nil {
		return nil, err
	}
	for v, labels := range f.axes {
		axes, open := make([]Axis, len(labels)), false
		for i, l := range labels {
			axes[i] = p.axis(l)
			open = open || axes[i] != nil
		}
		if open {
			s.Axes[v] = axes
		}
	}
	f.members(s, p)
	f.whole(s, p)
	f.explain(s, p)
	f.masks(s, p)
	if !f.o.NoDepth {
		f.depths(s)
	}
	return s, nil
}

// partition tells which element of which group each leaf is.
type partition struct {
	f     *finder
	self  []int32   // self[r] = r, so that a leaf's list of leaves needs no room of its own
	lists [][]int32 // of products, by their place in sets.factors; nil where not asked for yet
	refs  []Ref     // by root of a leaf
	axes  map[*int32][]cached
}

// cached is an Axis made from the first n atoms of a label.
type cached struct {
	n    int
	axis Axis
}

// leaves are the roots that an atom depends on, outer factors first. The list is not to be changed.
func (p *partition) leaves(a int32) []int32 {
	if a == atomFixed {
		return nil
	}
	r := p.f.sets.find(a)
	k := p.f.sets.made[r]
	if k == 0 {
		if p.f.sets.frozen[r] != nil {
			return nil
		}
		return p.self[r : r+1]
	}
	if p.lists[k] == nil {
		p.lists[k] = p.f.sets.leaves(make([]int32, 0, 2), r)
	}
	return p.lists[k]
}

// axis writes a label with the groups' numbers; nil where all of it stays.
func (p *partition) axis(l label) Axis {
	if l == nil {
		return nil
	}
	for _, c := range p.axes[&l[0]] {
		if c.n == len(l) {
			return c.axis
		}
	}
	layers := 0
	for _, a := range l {
		layers = max(layers, len(p.leaves(a)))
	}
	var axis Axis
	if layers > 0 {
		axis = make(Axis, layers)
		room := make([]Ref, layers*len(l))
		for k := range axis {
			axis[k] = room[k*len(l) : (k+1)*len(l)]
		}
	}
	for i, a := range l {
		list := p.leaves(a)
		for k := range axis {
			axis[k][i] = Ref{-1, -1}
			if k < len(list) {
				axis[k][i] = p.refs[list[k]]
			}
		}
	}
	p.axes[&l[0]] = append(p.axes[&l[0]], cached{len(l), axis})
	return axis
}

// partition makes groups of the leaves that can be removed.
func (f *finder) partition(s *Space) (*partition, error) {
	var groups []Group
	var elems [][]int32 // roots by group
	var names [][]string
	for range len(f.o.Tie) + 1 {
		groups, elems, names = f.divide()
		if tied, err := f.tieGroups(groups, elems, names); err != nil {
			return nil, err
		} else if !tied {
			break
		}
	}
	f.formerNames(elems, names)
	// What the options or its size keep whole is frozen after all; the rest moves up.
	p := f.newPartition()
	for at := range groups {
		g := &groups[at]
		all := append([]string{g.Name}, names[at]...)
		g.Min = max(1, f.o.least(all, 1))
		g.Divisor = f.o.divisor(all)
		reason := f.o.excludes(all)
		if reason == "" && g.N <= g.Min {
			reason = fmt.Sprintf("it has %d, and at least %d must stay", g.N, g.Min)
		}
		if reason != "" {
			for _, r := range elems[at] {
				f.sets.freeze(r, &cause{reason: reason})
			}
			continue
		}
		for e, r := range elems[at] {
			p.refs[r] = Ref{int32(len(s.Groups)), int32(e)}
		}
		s.Groups = append(s.Groups, *g)
	}
	clear(p.lists) // what was frozen is out of all lists
	return p, nil
}

func (f *finder) newPartition() *partition {
	p := &partition{f: f, self: make([]int32, len(f.sets.parent)), lists: make([][]int32, len(f.sets.factors)), axes: map[*int32][]cached{}, refs: make([]Ref, len(f.sets.parent))}
	for i := range p.self {
		p.self[i] = int32(i)
		p.refs[i] = Ref{-1, -1}
	}
	return p
}

// divide sorts the leaves into groups with names, in the order of their first atoms. It freezes what lone positions would make an axis empty.
func (f *finder) divide() (groups []Group, elems [][]int32, names [][]string) {
	p := f.newPartition()
	groupOf, size := f.refine(p)
	for f.emptiable(p, groupOf, size) {
		clear(p.lists)
		groupOf, size = f.refine(p)
	}
	number := map[int32]int{}
	for r := range groupOf {
		g := groupOf[r]
		if g < 0 {
			continue
		}
		at, ok := number[g]
		if !ok {
			at = len(groups)
			number[g] = at
			groups = append(groups, Group{Kind: Width, Sharpness: 1})
			elems = append(elems, nil)
		}
		elems[at] = append(elems[at], int32(r))
		groups[at].N++
	}
	names = f.name(groups, p, func(r int32) int {
		if g := groupOf[r]; g >= 0 {
			return number[g]
		}
		return -1
	})
	return groups, elems, names
}

// refine sorts the leaves that can be removed: two elements share a group when the same axes hold them. So a group is whole wherever it
// appears: an axis that takes only half of a layer's channels makes two groups of them. It returns the number of the group of each
// leaf, −1 for what is none, and how many leaves each group has.
func (f *finder) refine(p *partition) (groupOf []int32, size []int) {
	groupOf = make([]int32, len(f.sets.parent))
	size = []int{0}
	held := make([]bool, len(groupOf)) // some axis has it
	stamp := make([]int, len(groupOf)) // the last axis that met the leaf
	f.eachLabel(func(l label) {
		for _, a := range l {
			for _, r := range p.leaves(a) {
				held[r] = true
			}
		}
	})
	for r := range groupOf {
		groupOf[r] = -1
		if held[r] {
			groupOf[r] = 0
			size[0]++
		}
	}
	round := 0
	var present []int32
	f.eachLabel(func(l label) {
		round++
		present = present[:0]
		count := map[int32]int{}
		for _, a := range l {
			for _, r := range p.leaves(a) {
				if stamp[r] != round {
					stamp[r] = round
					present = append(present, r)
					count[groupOf[r]]++
				}
			}
		}
		// A group that is here only in part gives this part to a new group.
		moved := map[int32]int32{}
		for _, r := range present {
			old := groupOf[r]
			if count[old] == size[old] {
				continue
			}
			if _, ok := moved[old]; !ok {
				moved[old] = int32(len(size))
				size = append(size, 0)
			}
			groupOf[r] = moved[old]
			size[moved[old]]++
		}
		for old := range moved {
			size[old] -= count[old]
		}
	})
	return groupOf, size
}

// emptiable looks for axes whose positions depend on several groups each and do not come in all combinations, so that a selection could leave none.
// It freezes what those positions depend on, makes one of two elements of a group that a position depends on, and tells whether there was any.
func (f *finder) emptiable(p *partition, groupOf []int32, size []int) bool {
	found := false
	f.eachLabel(func(l label) {
		for _, a := range l {
			for i, x := range p.leaves(a) {
				for _, y := range p.leaves(a)[:i] {
					if x, y := f.sets.find(x), f.sets.find(y); x != y && groupOf[x] == groupOf[y] {
						f.sets.union(x, y)
						found = true
					}
				}
			}
		}
		if found {
			return // the rest when this is settled
		}
		if f.sound(p, groupOf, size, l) {
			return
		}
		found = true
		c := &cause{reason: "an axis holds only some combinations of it with other elements"}
		for _, a := range l {
			if list := p.leaves(a); len(list) > 1 {
				f.freeze(label{a}, nil, c.reason)
			}
		}
		clear(p.lists)
	})
	return found
}

// sound tells whether any selection leaves a position of l: one stays for ever, or depends on one group that is whole here, or some of
// them are all the combinations of their groups.
func (f *finder) sound(p *partition, groupOf []int32, size []int, l label) bool {
	several := false
	for _, a := range l {
		list := p.leaves(a)
		if len(list) == 0 {
			return true
		}
		several = several || len(list) > 1
	}
	if !several {
		return true // groups are whole wherever they appear
	}
	// Count the combinations of each set of groups.
	combos := map[string]map[string]bool{}
	want := map[string]int{}
	var key, value []byte
	for _, a := range l {
		key, value = key[:0], value[:0]
		product := 1
		list := slices.SortedFunc(slices.Values(p.leaves(a)), func(x, y int32) int { return int(groupOf[x]) - int(groupOf[y]) })
		for _, r := range list {
			key = binary.LittleEndian.AppendUint32(key, uint32(groupOf[r]))
			value = binary.LittleEndian.AppendUint32(value, uint32(r))
			product = min(product*size[groupOf[r]], len(l)+1)
		}
		if combos[string(key)] == nil {
			combos[string(key)] = map[string]bool{}
			want[string(key)] = product
		}
		combos[string(key)][string(value)] = true
	}
	for k, c := range combos {
		if len(c) == want[k] {
			return true
		}
	}
	return false
}

// eachLabel visits the labels of all axes once, in graph order, and then the coordinates that axes were taken apart into.
func (f *finder) eachLabel(visit func(l label)) {
	seen := map[*int32]int{}
	once := func(l label) {
		if len(l) == 0 || seen[&l[0]] == len(l) {
			return
		}
		seen[&l[0]] = len(l)
		visit(l)
	}
	f.eachAxis(func(_ *ir.Node, _ string, _ int, l label) { once(l) })
	for _, l := range f.parts {
		once(l)
	}
}

// eachAxis visits the axes of all weights and values in graph order, weights once for each reader.
func (f *finder) eachAxis(visit func(n *ir.Node, v string, axis int, l label)) {
	for _, n := range f.g.Nodes {
		for _, v := range n.Inputs {
			if _, ok := f.given[v]; ok {
				for axis, l := range f.axes[v] {
					visit(n, v, axis, l)
				}
			}
		}
		for _, v := range n.Outputs {
			for axis, l := range f.axes[v] {
				visit(n, v, axis, l)
			}
		}
	}
}

// name names the groups after the layers that produce them, which it returns. A group whose elements are the heads of an attention, and others that
// meet them in layers, say so.
func (f *finder) name(groups []Group, p *partition, number func(leaf int32) int) [][]string {
	layers := make([][]string, len(groups))
	inLayers := make([]bool, len(groups))
	for r := layer; r <= operand; r++ {
		for _, o := range f.origins {
			if o.rank != r {
				continue
			}
			met := map[int]bool{}
			for _, a := range o.at {
				list := p.leaves(a)
				for _, leaf := range list {
					at := number(leaf)
					inLayers[at] = inLayers[at] || len(list) > 1
					// A pad gives its name only to a stream that no layer writes to.
					if !met[at] && (r == layer || len(layers[at]) == 0) {
						layers[at] = append(layers[at], f.layerName(o.node, o.value))
					}
					met[at] = true
				}
			}
		}
	}
	roles := make([]string, len(groups))
	for _, r := range f.roles {
		for _, a := range r.at {
			if list := p.leaves(a); len(list) == 1 && inLayers[number(list[0])] {
				roles[number(list[0])] = r.what
			}
		}
	}
	for at := range groups {
		if len(layers[at]) == 0 {
			layers[at] = []string{"axis"} // of a value that no layer made
		}
		groups[at].Name = layers[at][0]
		if roles[at] != "" {
			groups[at].Name += "." + roles[at]
			if roles[at] == heads {
				groups[at].Sharpness = 4
			}
		}
		if n := len(layers[at]); n > 1 {
			groups[at].Name += fmt.Sprintf("+%d", n-1)
		}
	}
	uniqueNames(groups)
	return layers
}

// heads is the role of an axis along which products of matrices stand apart.
const heads = "heads"

func uniqueNames(groups []Group) {
	taken := map[string]bool{}
	for i := range groups {
		name := groups[i].Name
		for k := 2; taken[groups[i].Name]; k++ {
			groups[i].Name = fmt.Sprintf("%s#%d", name, k)
		}
		taken[groups[i].Name] = true
	}
}

// layerName is the readable name of the layer n whose weight is w: the weight's, where it is written as frameworks do, or the node's.
func (f *finder) layerName(n *ir.Node, w string) string {
	if stem, ok := strings.CutSuffix(w, ".weight"); ok && stem != "" {
		return stem
	}
	switch {
	case n == nil:
		return w
	case n.Name != "":
		return n.Name
	case f.isWeight(w):
		return w
	}
	return n.ID()
}

// members lists the axes of weights that lose positions with each group, and what of each layer's output is frozen.
func (f *finder) members(s *Space, p *partition) {
	type key struct {
		group int32
		v     string
		axis  int
	}
	seen := map[key]bool{}
	f.eachAxis(func(n *ir.Node, v string, axis int, _ label) {
		if !f.isWeight(v) {
			return
		}
		for _, layer := range s.Axis(v, axis) {
			for _, r := range layer {
				k := key{r.Group, v, axis}
				if r.Fixed() || seen[k] {
					continue
				}
				seen[k] = true
				s.Groups[r.Group].Members = append(s.Groups[r.Group].Members, Member{n.Label(), v, axis})
			}
		}
	})
	for _, o := range f.origins {
		if o.rank == operand {
			continue
		}
		at := map[*cause]int{}
		for _, a := range o.at {
			if len(p.leaves(a)) > 0 {
				continue
			}
			c := f.sets.why(a)
			i, ok := at[c]
			if !ok {
				i = len(s.Frozen)
				at[c] = i
				s.Frozen = append(s.Frozen, frozenBy(c, o.value, o.axis))
			}
			s.Frozen[i].Size++
		}
	}
}

func frozenBy(c *cause, value string, axis int) Frozen {
	z := Frozen{Value: value, Axis: axis, Reason: c.reason}
	if c.node != nil {
		z.Node, z.Op = c.node.Label(), c.node.Op
	}
	return z
}

// whole gives a reason for every weight that keeps all of its positions: what froze the first axis that could have been cut.
func (f *finder) whole(s *Space, p *partition) {
	for w, t := range f.g.Weights {
		if len(t.Shape) == 0 || !t.DType.IsFloat() || s.Axes[w] != nil {
			continue
		}
		z := Frozen{Value: w, Size: t.Len()}
		for axis, l := range f.axes[w] {
			for _, a := range l {
				if a == atomFixed || z.Reason != "" {
					break
				}
				size := z.Size
				z = frozenBy(f.sets.why(a), w, axis)
				z.Size = size
			}
		}
		s.Whole[w] = z
	}
}

// explain writes down what tied the members of each group.
func (f *finder) explain(s *Space, p *partition) {
	for _, k := range f.ties {
		var last int32 = -1
		for _, a := range k.at {
			for _, leaf := range p.leaves(a) {
				at := p.refs[leaf].Group
				if at == last {
					continue
				}
				last = at
				g := &s.Groups[at]
				if !slices.Contains(g.Ties, k.why) {
					g.Ties = append(g.Ties, k.why)
				}
			}
		}
	}
}

// masks hands every consumer to the groups whose positions it reads.
func (f *finder) masks(s *Space, p *partition) {
	for _, u := range f.uses {
		axis, weightAxis := p.axis(u.elems), p.axis(u.weightElems)
		met := map[int32]bool{}
		for _, layer := range axis {
			for _, r := range layer {
				if r.Fixed() || met[r.Group] {
					continue
				}
				met[r.Group] = true
				use := Use{Node: u.node.ID(), Input: u.input, Axis: u.axis, Elems: elemsOf(axis, r.Group), Mean: u.mean}
				if u.weight != "" {
					use.Weight, use.WeightAxis, use.WeightElems = u.weight, u.weightAxis, elemsOf(weightAxis, r.Group)
				}
				s.Groups[r.Group].Uses = append(s.Groups[r.Group].Uses, use)
			}
		}
	}
}

func elemsOf(axis Axis, group int32) []int32 {
	elems := make([]int32, axis.Len())
	for i := range elems {
		elems[i] = -1
		for _, layer := range axis {
			if r := layer[i]; r.Group == group {
				elems[i] = r.Elem
			}
		}
	}
	return elems
}
