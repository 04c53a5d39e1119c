package space

import (
	"fmt"
	"strings"

	"github.com/dms-go/dms/ir"
)

// collect turns tied atoms into groups and everything else into a Space.
func (f *finder) collect() *Space {
	s := &Space{Axes: map[string][]Axis{}, BlockOf: map[string][]BlockRef{}}
	refs := f.partition(s) // of each atom

	cache := map[*int32][]cached{}
	axisOf := func(l label) Axis {
		if l == nil {
			return nil
		}
		for _, c := range cache[&l[0]] {
			if c.n == len(l) {
				return c.axis
			}
		}
		axis, open := make(Axis, len(l)), false
		for i, a := range l {
			axis[i] = Ref{-1, -1}
			if a != atomFixed {
				axis[i] = refs[a]
			}
			open = open || !axis[i].Fixed()
		}
		if !open {
			axis = nil
		}
		cache[&l[0]] = append(cache[&l[0]], cached{len(l), axis})
		return axis
	}
	for v, labels := range f.axes {
		axes, open := make([]Axis, len(labels)), false
		for i, l := range labels {
			axes[i] = axisOf(l)
			open = open || axes[i] != nil
		}
		if open {
			s.Axes[v] = axes
		}
	}
	f.members(s)
	f.explain(s, refs)
	f.masks(s, axisOf)
	if !f.o.NoDepth {
		f.depths(s)
	}
	return s
}

// cached is an Axis made from the first n atoms of a label.
type cached struct {
	n    int
	axis Axis
}

// partition makes groups of the sets that can be removed and tells for each atom which element of which group it belongs to.
func (f *finder) partition(s *Space) []Ref {
	root, groupOf := f.refine()

	// Groups and elements are numbered in the order of their first atoms.
	number := map[int32]int{}
	var groups []Group
	var first [][]int32 // roots by group
	elem := make([]int32, len(root))
	for a := range root {
		g := groupOf[root[a]]
		if root[a] != int32(a) || g < 0 {
			continue
		}
		at, ok := number[g]
		if !ok {
			at = len(groups)
			number[g] = at
			groups = append(groups, Group{Kind: Width, Sharpness: 1, Divisor: max(1, f.o.Divisor)})
			first = append(first, nil)
		}
		elem[a] = int32(len(first[at]))
		first[at] = append(first[at], int32(a))
		groups[at].N++
	}
	layers := f.name(groups, root, groupOf, number)

	// What the options or its size keep whole is frozen after all; the rest moves up.
	final := make([]int32, len(groups))
	for at := range groups {
		g := &groups[at]
		names := append([]string{g.Name}, layers[at]...)
		g.Min = max(1, f.o.least(names, 1))
		reason := f.o.excludes(names)
		if reason == "" && g.N <= g.Min {
			reason = fmt.Sprintf("it has %d, and at least %d must stay", g.N, g.Min)
		}
		final[at] = -1
		if reason != "" {
			for _, r := range first[at] {
				f.sets.freeze(r, &cause{reason: reason})
			}
			continue
		}
		final[at] = int32(len(s.Groups))
		s.Groups = append(s.Groups, *g)
	}
	refs := make([]Ref, len(root))
	for a := range refs {
		refs[a] = Ref{-1, -1}
		if g := groupOf[root[a]]; g >= 0 && final[number[g]] >= 0 {
			refs[a] = Ref{final[number[g]], elem[root[a]]}
		}
	}
	return refs
}

// refine sorts the sets that can be removed: two elements share a group when the same axes hold them. So a group is whole wherever it
// appears: an axis that takes only half of a layer's channels makes two groups of them. It returns the root of each atom and the number of
// the group of each root, −1 where it is frozen.
func (f *finder) refine() (root, groupOf []int32) {
	root = make([]int32, len(f.sets.parent))
	groupOf = make([]int32, len(root))
	size := []int{0} // by group: how many sets
	for a := range root {
		root[a] = f.sets.find(int32(a))
		groupOf[a] = -1
		if root[a] == int32(a) && f.sets.frozen[a] == nil {
			groupOf[a] = 0
			size[0]++
		}
	}
	stamp := make([]int, len(root)) // the last axis that met the root
	round := 0
	seen := map[*int32]int{}
	f.eachAxis(func(_ *ir.Node, _ string, _ int, l label) {
		if l == nil || seen[&l[0]] == len(l) {
			return
		}
		seen[&l[0]] = len(l)
		round++
		var present []int32
		count := map[int32]int{}
		for _, a := range l {
			if a == atomFixed {
				continue
			}
			if r := root[a]; groupOf[r] >= 0 && stamp[r] != round {
				stamp[r] = round
				present = append(present, r)
				count[groupOf[r]]++
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
	return root, groupOf
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

// name names the groups after the layers that produce them, which it returns.
func (f *finder) name(groups []Group, root, groupOf []int32, number map[int32]int) [][]string {
	layers := make([][]string, len(groups))
	for _, weights := range []bool{true, false} {
		for _, o := range f.origins {
			if f.isWeight(o.value) != weights {
				continue
			}
			met := map[int]bool{}
			for _, a := range o.at {
				g := groupOf[root[a]]
				if g < 0 || met[number[g]] {
					continue
				}
				at := number[g]
				met[at] = true
				// A pad gives its name only to a stream that no layer writes to.
				if weights || len(layers[at]) == 0 {
					layers[at] = append(layers[at], f.layerName(o.node, o.value))
				}
			}
		}
	}
	for at := range groups {
		groups[at].Name = layers[at][0]
		if n := len(layers[at]); n > 1 {
			groups[at].Name = fmt.Sprintf("%s+%d", layers[at][0], n-1)
		}
	}
	uniqueNames(groups)
	return layers
}

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
	if n.Name != "" {
		return n.Name
	}
	if f.isWeight(w) {
		return w
	}
	return n.ID()
}

// members lists the axes of weights that lose positions with each group, and what of each layer's output is frozen.
func (f *finder) members(s *Space) {
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
		for _, r := range s.Axis(v, axis) {
			k := key{r.Group, v, axis}
			if r.Fixed() || seen[k] {
				continue
			}
			seen[k] = true
			s.Groups[r.Group].Members = append(s.Groups[r.Group].Members, Member{n.Label(), v, axis})
		}
	})
	for _, o := range f.origins {
		at := map[*cause]int{}
		for _, a := range o.at {
			c := f.sets.frozen[f.sets.find(a)]
			if c == nil {
				continue
			}
			i, ok := at[c]
			if !ok {
				i = len(s.Frozen)
				at[c] = i
				z := Frozen{Value: o.value, Axis: o.axis, Reason: c.reason}
				if c.node != nil {
					z.Node, z.Op = c.node.Label(), c.node.Op
				}
				s.Frozen = append(s.Frozen, z)
			}
			s.Frozen[i].Size++
		}
	}
}

// explain writes down what tied the members of each group.
func (f *finder) explain(s *Space, refs []Ref) {
	for _, k := range f.ties {
		var last int32 = -1
		for _, a := range k.at {
			if a == atomFixed || refs[a].Fixed() || refs[a].Group == last {
				continue
			}
			last = refs[a].Group
			g := &s.Groups[last]
			if n := len(g.Ties); n == 0 || g.Ties[n-1] != k.why {
				g.Ties = append(g.Ties, k.why)
			}
		}
	}
}

// masks hands every consumer to the groups whose positions it reads.
func (f *finder) masks(s *Space, axisOf func(label) Axis) {
	for _, p := range f.uses {
		axis, weightAxis := axisOf(p.elems), axisOf(p.weightElems)
		met := map[int32]bool{}
		for _, r := range axis {
			if r.Fixed() || met[r.Group] {
				continue
			}
			met[r.Group] = true
			u := Use{Node: p.node.ID(), Input: p.input, Axis: p.axis, Elems: elemsOf(axis, r.Group)}
			if p.weight != "" {
				u.Weight, u.WeightAxis, u.WeightElems = p.weight, p.weightAxis, elemsOf(weightAxis, r.Group)
			}
			s.Groups[r.Group].Uses = append(s.Groups[r.Group].Uses, u)
		}
	}
}

func elemsOf(axis Axis, group int32) []int32 {
	elems := make([]int32, len(axis))
	for i, r := range axis {
		elems[i] = -1
		if r.Group == group {
			elems[i] = r.Elem
		}
	}
	return elems
}
