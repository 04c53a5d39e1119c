package report

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
)

// ResultName is the file of a run that holds its SearchResult or TrainResult.
const ResultName = "result.json"

// SearchResult is what a search found, without weights.
type SearchResult struct {
	Before  cost.Cost       `json:"before"`
	After   cost.Cost       `json:"after"`
	Budgets []search.Budget `json:"budgets,omitempty"`
	Latency *search.Latency `json:"latency,omitempty"` // where a budget asked for it
	Groups  []Group         `json:"groups"`            // in the order of the space
	Layers  []Layer         `json:"layers,omitempty"`  // in the order of the network; left out when not measured

	*train.Score // of the smaller network on the test samples; nil when not measured
}

// Group is what a search left of one group.
type Group struct {
	Name   string  `json:"name"`
	Kind   string  `json:"kind"` // width or depth
	N      int     `json:"n"`
	Kept   int     `json:"kept"`
	Blocks []Block `json:"blocks,omitempty"` // depth: one per element, in network order
	Gone   bool    `json:"gone,omitempty"`   // width: all that reads it lies in removed blocks, so nothing of it is left
}

// Block is one residual block of a depth group.
type Block struct {
	Name string `json:"name"`
	Kept bool   `json:"kept"`
}

// Layer is the cost of one node before and after a search.
type Layer struct {
	Name   string    `json:"layer"`
	Op     string    `json:"op"`
	Before cost.Cost `json:"before"`
	After  cost.Cost `json:"after"` // nothing for a layer that went
}

// TrainResult is what a trained network reaches on the test samples.
type TrainResult struct {
	train.Score
}

// NewSearchResult sums up a search with the budgets it was given.
func NewSearchResult(r *search.Result, budgets []search.Budget) SearchResult {
	return SearchResult{Before: r.Before, After: r.After, Budgets: budgets, Latency: r.Latency, Groups: groups(r.Space, r.Selection)}
}

// Layers pairs the layers of a network with what a search left of them, by name and operator. What the cutting added, such as a
// Gather, stands behind.
func Layers(before, after []cost.Layer) []Layer {
	type key struct{ node, op string }
	left := map[key][]cost.Cost{} // names need not differ
	for _, l := range after {
		k := key{l.Node, l.Op}
		left[k] = append(left[k], l.Cost)
	}
	take := func(l cost.Layer) (c cost.Cost, some bool) {
		k := key{l.Node, l.Op}
		if some = len(left[k]) > 0; some {
			c, left[k] = left[k][0], left[k][1:]
		}
		return c, some
	}
	var out []Layer
	for _, l := range before {
		c, _ := take(l)
		out = append(out, Layer{Name: l.Node, Op: l.Op, Before: l.Cost, After: c})
	}
	for _, l := range after {
		if c, added := take(l); added {
			out = append(out, Layer{Name: l.Node, Op: l.Op, After: c})
		}
	}
	return out
}

// groups counts what a selection, which has passed Check, keeps of each group.
func groups(s *space.Space, sel space.Selection) []Group {
	var out []Group
	masks := sel.Masks(s)
	for i, mask := range masks {
		g := &s.Groups[i]
		v := Group{Name: g.Name, Kind: g.Kind.String(), N: g.N}
		for _, kept := range mask {
			if kept {
				v.Kept++
			}
		}
		for e, b := range g.Blocks {
			v.Blocks = append(v.Blocks, Block{Name: b.Name, Kept: mask[e]})
		}
		v.Gone = gone(s, g, masks)
		out = append(out, v)
	}
	return out
}

// gone tells whether every use of a width group went with a removed block. What the selection keeps of such a group says nothing.
func gone(s *space.Space, g *space.Group, masks [][]bool) bool {
	for _, u := range g.Uses {
		if !slices.ContainsFunc(s.BlockOf[u.Node], func(b space.BlockRef) bool { return !masks[b.Group][b.Elem] }) {
			return false
		}
	}
	return len(g.Uses) > 0
}

// Removed lists the residual blocks that a search left out, in network order.
func (r *SearchResult) Removed() []string {
	var out []string
	for _, g := range r.Groups {
		for _, b := range g.Blocks {
			if !b.Kept {
				out = append(out, b.Name)
			}
		}
	}
	return out
}

// check finds what cannot be true of a result that was read from a file.
func (r *SearchResult) check() error {
	for _, c := range []struct {
		name string
		cost cost.Cost
	}{{"before", r.Before}, {"after", r.After}} {
		if c.cost.MACs < 0 || c.cost.Params < 0 || c.cost.Bytes < 0 {
			return fmt.Errorf("%q is negative", c.name)
		}
	}
	if l := r.Latency; l != nil && (l.Before < 0 || l.After < 0 || l.Again < 0 || l.Target < 0 || l.Divisor < 0) {
		return errors.New("a negative latency or divisor")
	}
	for _, l := range r.Layers {
		for _, c := range []cost.Cost{l.Before, l.After} {
			if c.MACs < 0 || c.Params < 0 || c.Bytes < 0 {
				return fmt.Errorf("layer %q: a negative cost", l.Name)
			}
		}
	}
	seen := map[string]bool{}
	for i, g := range r.Groups {
		switch {
		case g.Name == "":
			return fmt.Errorf("group %d has no name", i)
		case seen[g.Name]:
			return fmt.Errorf("group %q stands there twice", g.Name)
		case g.Kind != space.Width.String() && g.Kind != space.Depth.String():
			return fmt.Errorf("group %q: unknown kind %q", g.Name, g.Kind)
		case g.N < 1 || g.Kept < 0 || g.Kept > g.N:
			return fmt.Errorf("group %q: %d of %d elements kept", g.Name, g.Kept, g.N)
		case len(g.Blocks) > 0 && len(g.Blocks) != g.N:
			return fmt.Errorf("group %q: %d blocks for %d elements", g.Name, len(g.Blocks), g.N)
		}
		seen[g.Name] = true
		kept := 0
		for _, b := range g.Blocks {
			if b.Kept {
				kept++
			}
		}
		if len(g.Blocks) > 0 && kept != g.Kept {
			return fmt.Errorf("group %q: %d elements kept, but %d of its blocks", g.Name, g.Kept, kept)
		}
	}
	return nil
}

// costMetrics is how each metric of a cost is written for people.
var costMetrics = []struct {
	metric cost.Metric
	write  func(int64) string
}{
	{cost.MACs, Count},
	{cost.Params, Count},
	{cost.Bytes, Bytes},
}
