package cost

import (
	"cmp"
	"slices"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// Share tells how many of a network's parameters a search can do without: those that some selection removes, with a width or with a block.
type Share struct {
	Params     int64
	Searchable int64
	Stuck      []Stuck // the others, most parameters first
}

// Stuck are parameters of one weight that no selection removes.
type Stuck struct {
	space.Frozen
	Params int64
}

// Of is the searchable part, from 0 to 1; 1 of a network without parameters.
func (s Share) Of() float64 {
	if s.Params == 0 {
		return 1
	}
	return float64(s.Searchable) / float64(s.Params)
}

// ShareOf counts the parameters of g that can be removed. s is space.Find's for g.
func ShareOf(g *ir.Graph, s *space.Space) (Share, error) {
	entries, err := account(g, s, Params)
	if err != nil {
		return Share{}, err
	}
	var out Share
	for _, e := range entries {
		all, stuck := e.coef, e.coef
		for _, f := range e.forms {
			all *= f.size(s)
			stuck *= f.base
		}
		if len(e.alive) > 0 {
			stuck = 0
		}
		out.Params += all
		out.Searchable += all - stuck
		if stuck > 0 {
			z := s.Whole[e.weight]
			z.Value = e.weight
			out.Stuck = append(out.Stuck, Stuck{z, stuck})
		}
	}
	slices.SortStableFunc(out.Stuck, func(a, b Stuck) int { return cmp.Compare(b.Params, a.Params) })
	return out, nil
}
