package space

import (
	"slices"

	"github.com/dms-go/dms/ir"
)

// label describes one axis while the rules run: an atom per position, atomFixed where the position stays; nil stays altogether. Where the size of
// the axis is a number times symbols (heads inside a batch), the label is one period of it: the symbols stand outside.
// Labels are never changed once made, so values share them.
type label []int32

const atomFixed = -1

// cause is why positions cannot be removed.
type cause struct {
	node   *ir.Node // nil: not a node's doing
	reason string
}

// sets says what each atom depends on. An atom is a leaf, which is an element or a part of one, or a product: a position that is there while all
// its factors are, as position h·D + d of an attention layer is there while head h and dimension d are. Leaves that were tied
// share a root (a union-find); a root may be frozen.
type sets struct {
	parent  []int32
	frozen  []*cause           // by root of a leaf
	extent  []int32            // by atom: the size of the axis it was made for
	factors [][]int32          // of products, outer factor first; none stands first
	made    []int32            // by root: its place in factors, 0 for a leaf
	pairs   map[[2]int32]int32 // products of two, which flattened axes hold many times over
}

// maxFactors bounds the factors of a product; networks have two or three.
const maxFactors = 16

// add makes n new leaves of one axis and returns the first.
func (s *sets) add(n int) int32 {
	first := int32(len(s.parent))
	for i := range n {
		s.parent = append(s.parent, first+int32(i))
		s.frozen = append(s.frozen, nil)
		s.extent = append(s.extent, int32(n))
		s.made = append(s.made, 0)
	}
	return first
}

// product makes an atom that is there while all of the given ones are.
func (s *sets) product(atoms ...int32) int32 {
	open := make([]int32, 0, 4)
	for _, a := range atoms {
		if a != atomFixed {
			open = append(open, a)
		}
	}
	switch len(open) {
	case 0:
		return atomFixed
	case 1:
		return open[0]
	case 2:
		key := [2]int32(open)
		p, ok := s.pairs[key]
		if !ok {
			if s.pairs == nil {
				s.pairs = map[[2]int32]int32{}
			}
			p = s.merged(open)
			s.pairs[key] = p
		}
		return p
	}
	return s.merged(open)
}

func (s *sets) merged(atoms []int32) int32 {
	p := s.add(1)
	s.become(p, s.leaves(nil, atoms...))
	return p
}

// become makes a leaf a product of others, none of which depends on it.
func (s *sets) become(leaf int32, factors []int32) {
	if c := s.frozen[leaf]; c != nil || len(factors) > maxFactors {
		if c == nil {
			c = &cause{reason: "too many axes are merged into one"}
			s.frozen[leaf] = c
		}
		for _, a := range factors {
			s.freeze(a, c)
		}
		return
	}
	if s.factors == nil {
		s.factors = make([][]int32, 1)
	}
	s.made[leaf] = int32(len(s.factors))
	s.factors = append(s.factors, factors)
}

func (s *sets) find(a int32) int32 {
	for s.parent[a] != a {
		s.parent[a] = s.parent[s.parent[a]]
		a = s.parent[a]
	}
	return a
}

// leaves appends the roots that atoms depend on, outer factors first, each once, without frozen ones: those are always there.
func (s *sets) leaves(dst []int32, atoms ...int32) []int32 {
	for _, a := range atoms {
		if a == atomFixed {
			continue
		}
		r := s.find(a)
		if k := s.made[r]; k > 0 {
			dst = s.leaves(dst, s.factors[k]...)
		} else if s.frozen[r] == nil && !slices.Contains(dst, r) {
			dst = append(dst, r)
		}
	}
	return dst
}

// same tells whether two atoms depend on the same elements.
func (s *sets) same(a, b int32) bool {
	if a == b {
		return true
	}
	var roots [2]int32
	leaf := 0
	for i, v := range [...]int32{a, b} {
		if roots[i] = v; v != atomFixed {
			roots[i] = s.find(v)
			if s.made[roots[i]] == 0 && s.frozen[roots[i]] == nil {
				leaf++
			}
		}
	}
	if roots[0] == roots[1] {
		return true
	}
	if leaf == 2 {
		return false
	}
	var roomA, roomB [maxFactors]int32
	x, y := s.leaves(roomA[:0], a), s.leaves(roomB[:0], b)
	return len(x) == len(y) && !slices.ContainsFunc(x, func(r int32) bool { return !slices.Contains(y, r) })
}

// union makes one root of two leaves; the smaller stays root, so that the order of elements is the order of their first atoms.
func (s *sets) union(a, b int32) {
	if b < a {
		a, b = b, a
	}
	s.parent[b] = a
}

// freeze keeps an atom, and with it all its factors.
func (s *sets) freeze(a int32, c *cause) {
	for _, r := range s.leaves(nil, a) {
		s.frozen[r] = c
	}
}

// why is the cause that keeps an atom of which nothing can be removed.
func (s *sets) why(a int32) *cause {
	if a == atomFixed {
		return &stays
	}
	r := s.find(a)
	if s.frozen[r] != nil {
		return s.frozen[r]
	}
	if k := s.made[r]; k > 0 {
		return s.why(s.factors[k][0])
	}
	return &stays
}

var stays = cause{reason: "it belongs to something that stays"}

// unify makes two atoms depend on the same elements and tells whether that was news. Two leaves become one. A leaf that meets a product becomes that
// product. Products meet factor by factor, outer ones first; where their numbers differ, a factor becomes the product of those
// that together have its extent. What one side lacks altogether is frozen for c.
func (s *sets) unify(a, b int32, c *cause) bool {
	if a == b {
		return false
	}
	switch {
	case a == atomFixed:
		s.freeze(b, c)
		return false
	case b == atomFixed:
		s.freeze(a, c)
		return false
	}
	ra, rb := s.find(a), s.find(b)
	if ra == rb {
		return false
	}
	if s.made[ra] == 0 && s.frozen[ra] == nil && s.made[rb] == 0 && s.frozen[rb] == nil {
		s.union(ra, rb)
		return true
	}
	// What is frozen already knows a better reason.
	for _, r := range [...]int32{ra, rb} {
		if s.frozen[r] != nil {
			c = s.frozen[r]
		}
	}
	var roomA, roomB [maxFactors]int32
	x, y := s.leaves(roomA[:0], ra), s.leaves(roomB[:0], rb)
	shared := func(r int32) bool { return slices.Contains(x, r) && slices.Contains(y, r) }
	onlyX, onlyY := without(x, shared), without(y, shared)
	return s.match(onlyX, onlyY, c)
}

func without(list []int32, drop func(int32) bool) []int32 {
	var kept []int32
	for _, v := range list {
		if !drop(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// match unifies two lists of leaves that have none in common.
func (s *sets) match(x, y []int32, c *cause) bool {
	news := false
	for len(x) > 0 && len(y) > 0 {
		switch {
		case len(x) == len(y):
			// Two leaves of one list may have become one by what was tied before them.
			if a, b := s.find(x[0]), s.find(y[0]); a != b {
				s.union(a, b)
			}
			x, y, news = x[1:], y[1:], true
		case len(x) == 1 && !slices.Contains(y, x[0]):
			s.become(x[0], slices.Clone(y))
			return true
		case len(y) == 1 && !slices.Contains(x, y[0]):
			s.become(y[0], slices.Clone(x))
			return true
		default:
			n, m := s.prefix(x, y)
			if n == 0 {
				s.freezeAll(x, c)
				s.freezeAll(y, c)
				return news
			}
			news = s.match(x[:n:n], y[:m:m], c) || news
			x, y = s.leaves(nil, x[n:]...), s.leaves(nil, y[m:]...)
			shared := func(r int32) bool { return slices.Contains(x, r) && slices.Contains(y, r) }
			x, y = without(x, shared), without(y, shared)
		}
	}
	s.freezeAll(x, c)
	s.freezeAll(y, c)
	return news
}

// prefix finds the shortest beginnings of two lists with equal extents, one of them a single leaf; 0 where there are none.
func (s *sets) prefix(x, y []int32) (n, m int) {
	p, q := int64(s.extent[x[0]]), int64(s.extent[y[0]])
	n, m = 1, 1
	for p != q {
		switch {
		case p < q && m == 1 && n < len(x):
			p *= int64(s.extent[x[n]])
			n++
		case q < p && n == 1 && m < len(y):
			q *= int64(s.extent[y[m]])
			m++
		default:
			return 0, 0
		}
	}
	if n == len(x) && m == len(y) {
		return 0, 0 // no progress: both are all there is
	}
	return n, m
}

func (s *sets) freezeAll(list []int32, c *cause) {
	for _, a := range list {
		s.freeze(a, c)
	}
}

// freeze keeps every position of l, because of n.
func (f *finder) freeze(l label, n *ir.Node, reason string) {
	if len(l) == 0 || f.iced[&l[0]] >= len(l) {
		return
	}
	c := &cause{n, reason}
	for _, a := range l {
		if a != atomFixed {
			f.sets.freeze(a, c)
		}
	}
	if f.iced == nil {
		f.iced = map[*int32]int{}
	}
	f.iced[&l[0]] = len(l)
}

func (f *finder) freezeFrom(axes []label, first int, n *ir.Node, reason string) {
	for i := first; i < len(axes); i++ {
		f.freeze(axes[i], n, reason)
	}
}

// tie makes a and b one, position by position. Where only one side can be removed, neither can.
func (f *finder) tie(a, b label, n *ir.Node, why string) {
	switch {
	case a == nil && b == nil:
		return
	case a == nil:
		f.freeze(b, n, why+", which cannot lose positions")
		return
	case b == nil:
		f.freeze(a, n, why+", which cannot lose positions")
		return
	case len(a) != len(b):
		f.freeze(a, n, "sizes differ")
		f.freeze(b, n, "sizes differ")
		return
	case &a[0] == &b[0]:
		return
	}
	held := &cause{n, why + ", which cannot lose this position"}
	news := false
	for i := range a {
		if f.sets.unify(a[i], b[i], held) {
			news = true
		}
	}
	if news {
		f.ties = append(f.ties, knot{a, n.Label() + " " + why})
	}
}

// knot remembers that a rule tied something, for Group.Ties.
type knot struct {
	at  label
	why string
}
