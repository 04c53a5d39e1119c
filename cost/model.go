package cost

import (
	"fmt"
	"math"
	"slices"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// Model is the cost of a graph as a function of the masks over its space. It is read-only and safe for concurrent use.
type Model struct {
	s     *space.Space
	terms [metrics][]term
	full  Cost
	lanes float64 // see InVectors
}

// InVectors is the model of a machine that computes output channels in vectors of so many lanes, used or not: Eval, for masks of 0 and 1, takes the
// multiply-accumulates of whole vectors. Its derivative is that of the size, which the last vector alone has none of. At and Full stay as they are.
func (m *Model) InVectors(lanes int) *Model {
	v := *m
	v.lanes = float64(lanes)
	return &v
}

// NewModel writes down the cost of g over s, which is space.Find's for the same graph; s may be nil for a cost that does not vary.
// Count tells what g must have.
func NewModel(g *ir.Graph, s *space.Space) (*Model, error) { return NewModelOf(g, s, nil) }

// NewModelOf counts those nodes alone that belongs holds for; nil is all of them. A weight belongs to the first node that reads it.
func NewModelOf(g *ir.Graph, s *space.Space, belongs func(*ir.Node) bool) (*Model, error) {
	entries, err := account(g, s)
	if err != nil {
		return nil, err
	}
	if belongs != nil {
		entries = slices.DeleteFunc(entries, func(e entry) bool { return !belongs(e.node) })
	}
	return sum(entries, s)
}

// NewTally counts nodes in the place of bytes: each that belongs holds for and that writes something is 1, as long as its block is there. It is
// what a network costs for having so many steps, however small they are.
func NewTally(g *ir.Graph, s *space.Space, belongs func(*ir.Node) bool) (*Model, error) {
	entries, err := account(g, s)
	if err != nil {
		return nil, err
	}
	seen := map[*ir.Node]bool{}
	var tally []entry
	for _, e := range entries {
		if e.metric == Bytes && !seen[e.node] && belongs(e.node) {
			seen[e.node] = true
			tally = append(tally, entry{node: e.node, metric: Bytes, term: term{coef: 1, alive: e.alive}})
		}
	}
	return sum(tally, s)
}

// sum is the model of a list of entries.
func sum(entries []entry, s *space.Space) (*Model, error) {
	if s == nil {
		s = &space.Space{}
	}
	m := &Model{s: s}
	for _, e := range entries {
		v := e.coef
		for _, f := range e.forms {
			var ok bool
			if v, ok = mul(v, f.size(s)); !ok {
				return nil, fmt.Errorf("cost: %s: its cost does not fit 64 bits", e.node.Label())
			}
		}
		total := m.full.at(e.metric)
		if v > math.MaxInt64-*total {
			return nil, fmt.Errorf("cost: %s: the cost up to here does not fit 64 bits", e.node.Label())
		}
		*total += v
		if v != 0 {
			m.terms[e.metric] = append(m.terms[e.metric], e.term)
		}
	}
	return m, nil
}

// Full is the cost with everything there.
func (m *Model) Full() Cost { return m.full }

// At is the exact cost of the graph that prune.Apply makes of sel, which has passed Selection.Check.
func (m *Model) At(sel space.Selection) Cost {
	masks := sel.Masks(m.s)
	counts := make([]int64, len(masks))
	for g, mask := range masks {
		for _, keep := range mask {
			if keep {
				counts[g]++
			}
		}
	}
	var c Cost
	for k := range Metric(metrics) {
		for _, t := range m.terms[k] {
			if !t.present(masks) {
				continue
			}
			v := t.coef
			for _, f := range t.forms {
				n := f.base
				for _, p := range f.parts {
					n += p.each * counts[p.group]
					for i, w := range p.coef {
						if masks[p.group][i] {
							n += w
						}
					}
				}
				for _, cell := range f.cells {
					n += cell.at(masks, counts)
				}
				v *= n
			}
			*c.at(k) += v
		}
	}
	return c
}

// at is what a cell adds at hard masks, of which counts has the sums.
func (c *cell) at(masks [][]bool, counts []int64) int64 {
	n := c.each
	for _, g := range c.groups {
		n *= counts[g]
	}
	for _, o := range c.combos {
		there := true
		for i, g := range c.groups {
			there = there && masks[g][o.elems[i]]
		}
		if there {
			n += o.n
		}
	}
	return n
}

func (t *term) present(masks [][]bool) bool {
	if len(t.alive) == 0 {
		return true
	}
	for _, blocks := range t.alive {
		all := true
		for _, b := range blocks {
			all = all && masks[b.Group][b.Elem]
		}
		if all {
			return true
		}
	}
	return false
}

// Eval is one metric at soft masks, one slice per group of the space with one value per element; at masks of 0 and 1 it equals At.
// With grad not nil it adds the derivative with respect to each mask to grad, which has the shape of masks. Widths enter as sums over
// axes and blocks as factors, so the value is a polynomial in the masks.
func (m *Model) Eval(k Metric, masks [][]float64, grad [][]float64) float64 {
	sums := make([]float64, len(masks))
	for g, mask := range masks {
		for _, v := range mask {
			sums[g] += v
		}
	}
	var dsums []float64 // derivative by the sum of a group's masks
	if grad != nil {
		dsums = make([]float64, len(masks))
	}
	total := 0.0
	var room [8]float64
	for i := range m.terms[k] {
		t := &m.terms[k][i]
		sizes := room[:0]
		product := float64(t.coef)
		last := 0 // form whose derivative is none
		for i, f := range t.forms {
			size := f.eval(masks, sums)
			if m.lanes > 1 && i+1 == t.channels {
				if size <= m.lanes {
					last = t.channels
				}
				size = m.lanes * math.Ceil(size/m.lanes-1e-9)
			}
			sizes = append(sizes, size)
			product *= size
		}
		alive := t.weight(masks)
		total += product * alive
		if grad == nil {
			continue
		}
		for i, f := range t.forms {
			if i+1 == last {
				continue
			}
			d := float64(t.coef) * alive
			for j, v := range sizes {
				if j != i {
					d *= v
				}
			}
			f.back(d, masks, sums, dsums, grad)
		}
		t.back(product, masks, grad)
	}
	for g, d := range dsums {
		if d != 0 {
			for i := range grad[g] {
				grad[g][i] += d
			}
		}
	}
	return total
}

func (f *form) eval(masks [][]float64, sums []float64) float64 {
	v := float64(f.base)
	for _, p := range f.parts {
		v += float64(p.each) * sums[p.group]
		for i, c := range p.coef {
			v += float64(c) * masks[p.group][i]
		}
	}
	for i := range f.cells {
		v += f.cells[i].eval(masks, sums)
	}
	return v
}

func (c *cell) eval(masks [][]float64, sums []float64) float64 {
	v := float64(c.each)
	for _, g := range c.groups {
		v *= sums[g]
	}
	for _, o := range c.combos {
		m := float64(o.n)
		for i, g := range c.groups {
			m *= masks[g][o.elems[i]]
		}
		v += m
	}
	return v
}

// back adds d times the derivative of the cell.
func (c *cell) back(d float64, masks [][]float64, sums, dsums []float64, grad [][]float64) {
	for i, g := range c.groups {
		m := d * float64(c.each)
		for j, h := range c.groups {
			if j != i {
				m *= sums[h]
			}
		}
		dsums[g] += m
	}
	for _, o := range c.combos {
		for i, g := range c.groups {
			m := d * float64(o.n)
			for j, h := range c.groups {
				if j != i {
					m *= masks[h][o.elems[j]]
				}
			}
			grad[g][o.elems[i]] += m
		}
	}
}

// back adds d times the derivative of the form.
func (f *form) back(d float64, masks [][]float64, sums, dsums []float64, grad [][]float64) {
	for _, p := range f.parts {
		dsums[p.group] += d * float64(p.each)
		for i, c := range p.coef {
			grad[p.group][i] += d * float64(c)
		}
	}
	for i := range f.cells {
		f.cells[i].back(d, masks, sums, dsums, grad)
	}
}

// weight is how far the term is there: 1 − Π over readers of (1 − Π of their blocks' masks).
func (t *term) weight(masks [][]float64) float64 {
	if len(t.alive) == 0 {
		return 1
	}
	gone := 1.0
	for _, blocks := range t.alive {
		gone *= 1 - productBut(blocks, -1, masks)
	}
	return 1 - gone
}

// back adds d times the derivative of weight.
func (t *term) back(d float64, masks, grad [][]float64) {
	for r, blocks := range t.alive {
		others := d
		for q, b := range t.alive {
			if q != r {
				others *= 1 - productBut(b, -1, masks)
			}
		}
		for i, b := range blocks {
			grad[b.Group][b.Elem] += others * productBut(blocks, i, masks)
		}
	}
}

// productBut is the product of the blocks' masks without the i-th.
func productBut(blocks []space.BlockRef, i int, masks [][]float64) float64 {
	p := 1.0
	for j, b := range blocks {
		if j != i {
			p *= masks[b.Group][b.Elem]
		}
	}
	return p
}
