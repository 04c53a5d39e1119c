package space

import "github.com/dms-go/dms/ir"

// label describes one axis while the rules run: an atom per position, atomFixed where the position stays; nil stays altogether.
// Labels are never changed once made, so values share them.
type label []int32

const atomFixed = -1

// cause is why positions cannot be removed.
type cause struct {
	node   *ir.Node // nil: not a node's doing
	reason string
}

// sets is a union-find over atoms. Atoms of one set are one element: removed together or not at all. A set may be frozen.
type sets struct {
	parent []int32
	frozen []*cause // by root
}

// add makes n new atoms, each a set of its own, and returns the first.
func (s *sets) add(n int) int32 {
	first := int32(len(s.parent))
	for i := range n {
		s.parent = append(s.parent, first+int32(i))
		s.frozen = append(s.frozen, nil)
	}
	return first
}

func (s *sets) find(a int32) int32 {
	for s.parent[a] != a {
		s.parent[a] = s.parent[s.parent[a]]
		a = s.parent[a]
	}
	return a
}

// union makes one set of two; the smaller root stays root, so that the order of sets is the order of their first atoms.
func (s *sets) union(a, b int32) {
	a, b = s.find(a), s.find(b)
	if a == b {
		return
	}
	if b < a {
		a, b = b, a
	}
	s.parent[b] = a
	if s.frozen[a] == nil {
		s.frozen[a] = s.frozen[b]
	}
}

func (s *sets) freeze(a int32, c *cause) {
	if r := s.find(a); s.frozen[r] == nil {
		s.frozen[r] = c
	}
}

// freeze keeps every position of l, because of n.
func (f *finder) freeze(l label, n *ir.Node, reason string) {
	c := &cause{n, reason}
	for _, a := range l {
		if a != atomFixed {
			f.sets.freeze(a, c)
		}
	}
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
		switch {
		case a[i] == atomFixed && b[i] == atomFixed:
		case a[i] == atomFixed:
			f.sets.freeze(b[i], held)
		case b[i] == atomFixed:
			f.sets.freeze(a[i], held)
		case f.sets.find(a[i]) != f.sets.find(b[i]):
			f.sets.union(a[i], b[i])
			news = true
		}
	}
	if news {
		f.ties = append(f.ties, knot{a, n.Label() + " " + why})
	}
}

// fold ties positions of l that are a period apart: they can be removed only together.
func (f *finder) fold(l label, period int, n *ir.Node, why string) {
	if l == nil {
		return
	}
	for i := period; i+period <= len(l); i += period {
		f.tie(l[:period], l[i:i+period], n, why)
	}
}

// knot remembers that a rule tied something, for Group.Ties.
type knot struct {
	at  label
	why string
}
