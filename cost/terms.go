package cost

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// term is coef · Π forms · presence.
type term struct {
	coef  int64
	forms []form

	// channels is 1 + the index of the form that is the output's channels, for multiply-accumulates where those can be cut; otherwise 0.
	channels int

	// alive lists the blocks around each reader of what the term counts. It is there while one reader is, and a reader while all of its
	// blocks are. Empty: always there.
	alive [][]space.BlockRef
}

// form is the size of an axis as a function of the masks: base + Σ over parts + Σ over cells.
type form struct {
	base  int64
	parts []part
	cells []cell
}

// part is what one group adds to a size: each times the sum of its masks, or, where elements have different numbers of positions, the
// sum of coef[i] times mask i.
type part struct {
	group int32
	each  int64
	coef  []int64
}

// cell is what positions that depend on several groups add to a size: each times the product of the sums of the groups' masks, where they come in
// all combinations equally often, or else the sum over combinations of their number times the product of the masks.
type cell struct {
	groups []int32
	each   int64
	combos []combo
}

type combo struct {
	elems []int32 // by group of the cell
	n     int64
}

// entry is a term with the metric it belongs to and the node it is charged to.
type entry struct {
	node   *ir.Node
	metric Metric
	weight string // of parameters
	term
}

// accountant writes down the terms of a graph.
type accountant struct {
	g       *ir.Graph
	s       *space.Space // nil: every size is a number
	shapes  map[string]ir.ValueInfo
	entries []entry
	errs    []error
	forms   map[*[]space.Ref]form // by axis, which axes that agree share
}

// factor is the size of an axis of a value or weight.
type factor struct {
	value string
	axis  int
}

// every lists all axes of a value.
func (a *accountant) every(v string) []factor {
	var all []factor
	for axis := range a.shape(v) {
		all = append(all, factor{v, axis})
	}
	return all
}

// layers has a row for each operator that multiplies and accumulates: lists of axes, the sizes of each of which multiply to MACs.
var layers = map[string]func(a *accountant, n *ir.Node) [][]factor{
	"Conv": func(a *accountant, n *ir.Node) [][]factor { // by input channels per group and the kernel
		return [][]factor{append(a.every(n.Outputs[0]), a.every(n.Input(1))[1:]...)}
	},
	"ConvTranspose": func(a *accountant, n *ir.Node) [][]factor { // by output channels per group and the kernel
		return [][]factor{append(a.every(n.Input(0)), a.every(n.Input(1))[1:]...)}
	},
	"Gemm": func(a *accountant, n *ir.Node) [][]factor {
		axis := 1
		if ir.GemmOf(n).TransA {
			axis = 0
		}
		return [][]factor{append(a.every(n.Outputs[0]), factor{n.Input(0), axis})}
	},
	"MatMul": func(a *accountant, n *ir.Node) [][]factor {
		return [][]factor{append(a.every(n.Outputs[0]), factor{n.Input(0), len(a.shape(n.Input(0))) - 1})}
	},
	"Attention": func(a *accountant, n *ir.Node) [][]factor { // queries by keys, and that by values; keys may have a past
		var lists [][]factor
		for _, keys := range []string{n.Input(1), n.Input(4)} {
			if keys != "" {
				length := factor{keys, len(a.shape(keys)) - 2}
				lists = append(lists, append(a.every(n.Input(0)), length), append(a.every(n.Outputs[0]), length))
			}
		}
		return lists
	},
	"Einsum": func(a *accountant, n *ir.Node) [][]factor { // by the axes that are summed
		ranks := make([]int, len(n.Inputs))
		for i, v := range n.Inputs {
			ranks[i] = len(a.shape(v))
		}
		e, err := ir.EinsumOf(n, ranks)
		if err != nil || len(e.In) < 2 {
			return nil
		}
		all := a.every(n.Outputs[0])
		for axis, l := range e.In[0] {
			if !strings.ContainsRune(e.Out, l) {
				all = append(all, factor{n.Input(0), axis})
			}
		}
		return [][]factor{all}
	},
}

// settings lists inputs that hold no trained parameters, by operator.
var settings = map[string][]int{
	"BatchNormalization": {3, 4},
	"Clip":               {1, 2},
	"Pad":                {1, 2, 3},
	"Dropout":            {1, 2},
	"Resize":             {1, 2, 3},
	"OneHot":             {2},
	"Upsample":           {1},
	"ConstantOfShape":    {0},
}

// views write nothing.
var views = map[string]bool{"Identity": true, "Dropout": true, "Reshape": true, "Flatten": true, "Squeeze": true, "Unsqueeze": true}

// account lists the terms of g, in graph order; of parameters alone where only says so: those need no sizes of values.
func account(g *ir.Graph, s *space.Space, only ...Metric) ([]entry, error) {
	bind := map[string]int{}
	for _, v := range g.Inputs {
		if len(v.Shape) > 0 && !v.Shape[0].Known() && v.Shape[0].Sym != "?" {
			bind[v.Shape[0].Sym] = 1
		}
	}
	shapes, err := ir.InferShapes(g, bind)
	if err != nil {
		return nil, fmt.Errorf("cost: %w", err)
	}
	a := &accountant{g: g, s: s, shapes: shapes, forms: map[*[]space.Ref]form{}}
	consumers := ir.Consumers(g)
	live := reached(g)
	readers := map[string][]ir.Use{} // parameters by weight
	for _, n := range g.Nodes {
		if !live[n] {
			continue
		}
		if len(only) == 0 {
			if lists, ok := layers[n.Op]; ok && ir.Standard(n.Domain) {
				a.macs(n, lists)
			}
			a.bytes(n, consumers)
		}
		for i, v := range n.Inputs {
			if w := g.Weights[v]; w != nil && isFloat(w.DType) && len(w.Shape) > 0 && !slices.Contains(settings[n.Op], i) {
				readers[v] = append(readers[v], ir.Use{Node: n, Input: i})
			}
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.Inputs {
			if uses := readers[v]; len(uses) > 0 && uses[0].Node == n {
				a.params(v, uses)
				delete(readers, v)
			}
		}
	}
	return a.entries, a.err(g)
}

// ErrOpen is what a cost fails with that depends on sizes of inputs which the graph leaves open.
var ErrOpen = errors.New("cost: the graph leaves sizes of its inputs open")

// err joins the faults; those of inputs of open size, which every layer has, are told once.
func (a *accountant) err(g *ir.Graph) error {
	if len(a.errs) == 0 {
		return nil
	}
	var open []string
	for _, v := range g.Inputs {
		if s := a.shapes[v.Name].Shape; s == nil || slices.ContainsFunc(s, func(d ir.Dim) bool { return !d.Known() }) {
			open = append(open, fmt.Sprintf("%q %v", v.Name, v.Shape))
		}
	}
	if len(open) == 0 {
		return errors.Join(a.errs...)
	}
	return fmt.Errorf("%w: input %s; %w", ErrOpen, strings.Join(open, ", "), a.errs[0])
}

// reached tells which nodes some output of the graph depends on.
func reached(g *ir.Graph) map[*ir.Node]bool {
	producers := ir.Producers(g)
	live := map[*ir.Node]bool{}
	var pending []string
	for _, v := range g.Outputs {
		pending = append(pending, v.Name)
	}
	for len(pending) > 0 {
		v := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if p := producers[v]; p != nil && !live[p] {
			live[p] = true
			pending = append(append(pending, p.Inputs...), p.Captures...)
		}
	}
	return live
}

func isFloat(d ir.DType) bool {
	switch d {
	case ir.Float16, ir.BFloat16, ir.Float32, ir.Float64:
		return true
	}
	return false
}

func (a *accountant) shape(v string) ir.Shape {
	if w := a.g.Weights[v]; w != nil {
		return ir.Fixed(w.Shape...)
	}
	return a.shapes[v].Shape
}

func (a *accountant) fault(n *ir.Node, format string, args ...any) {
	a.errs = append(a.errs, fmt.Errorf("cost: %s: %w", n.Label(), fmt.Errorf(format, args...)))
}

func (a *accountant) macs(n *ir.Node, lists func(*accountant, *ir.Node) [][]factor) {
	if a.shape(n.Outputs[0]) == nil {
		a.fault(n, "the shape of its output is not known")
		return
	}
	channels := factor{n.Outputs[0], len(a.shape(n.Outputs[0])) - 1}
	if n.Op == "Conv" || n.Op == "ConvTranspose" {
		channels.axis = 1
	}
	for _, list := range lists(a, n) {
		t := term{coef: 1, alive: a.blocks([]ir.Use{{Node: n}})}
		for _, f := range list {
			before := len(t.forms)
			a.times(n, &t, f.value, f.axis)
			if f == channels && len(t.forms) > before {
				t.channels = len(t.forms)
			}
		}
		a.entries = append(a.entries, entry{node: n, metric: MACs, term: t})
	}
}

func (a *accountant) bytes(n *ir.Node, consumers map[string][]ir.Use) {
	if views[n.Op] && ir.Standard(n.Domain) {
		return
	}
	for _, v := range n.Outputs {
		info := a.shapes[v]
		if _, known := info.Shape.Sizes(); v == "" || !known || !isFloat(info.DType) {
			continue
		}
		if space.GatheredPad(a.g, n, len(info.Shape), consumers) != nil {
			continue
		}
		t := term{coef: 4, alive: a.blocks([]ir.Use{{Node: n}})}
		for axis := range info.Shape {
			a.times(n, &t, v, axis)
		}
		a.entries = append(a.entries, entry{node: n, metric: Bytes, term: t})
	}
}

func (a *accountant) params(w string, uses []ir.Use) {
	n := uses[0].Node
	t := term{coef: 1, alive: a.blocks(uses)}
	for axis := range a.g.Weights[w].Shape {
		a.times(n, &t, w, axis)
	}
	a.entries = append(a.entries, entry{node: n, metric: Params, weight: w, term: t})
}

// times multiplies a term by the size of one axis.
func (a *accountant) times(n *ir.Node, t *term, v string, axis int) {
	s := a.shape(v)
	if axis < 0 || axis >= len(s) {
		a.fault(n, "%q has no axis %d", v, axis)
		return
	}
	if a.s != nil {
		if refs := a.s.Axis(v, axis); refs != nil {
			t.forms = append(t.forms, a.form(refs))
			return
		}
	}
	if !s[axis].Known() {
		a.fault(n, "the size of axis %d of %q is not known (%s)", axis, v, s[axis].Sym)
		return
	}
	var ok bool
	if t.coef, ok = mul(t.coef, int64(s[axis].Size)); !ok {
		a.fault(n, "its cost does not fit 64 bits")
	}
}

// mul multiplies two numbers that are not negative; ok is false when the product does not fit.
func mul(x, y int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(x), uint64(y))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	return int64(lo), true
}

// form counts the positions of an axis by group and element.
func (a *accountant) form(axis space.Axis) form {
	if f, ok := a.forms[&axis[0]]; ok {
		return f
	}
	var f form
	at := map[int32]int{}
	cells := map[string]*cellCount{}
	var order []*cellCount
	refs := make([]space.Ref, 0, len(axis))
	var key []byte
	for p := range axis.Len() {
		refs = refs[:0]
		for _, layer := range axis {
			if r := layer[p]; !r.Fixed() && !slices.Contains(refs, r) {
				refs = append(refs, r)
			}
		}
		switch len(refs) {
		case 0:
			f.base++
		case 1:
			r := refs[0]
			i, ok := at[r.Group]
			if !ok {
				i = len(f.parts)
				at[r.Group] = i
				f.parts = append(f.parts, part{group: r.Group, coef: make([]int64, a.s.Groups[r.Group].N)})
			}
			f.parts[i].coef[r.Elem]++
		default:
			slices.SortFunc(refs, func(x, y space.Ref) int { return cmp.Or(cmp.Compare(x.Group, y.Group), cmp.Compare(x.Elem, y.Elem)) })
			key = key[:0]
			for _, r := range refs {
				key = binary.LittleEndian.AppendUint32(key, uint32(r.Group))
			}
			c := cells[string(key)]
			if c == nil {
				c = &cellCount{at: map[string]int{}}
				for _, r := range refs {
					c.groups = append(c.groups, r.Group)
				}
				cells[string(key)] = c
				order = append(order, c)
			}
			c.count(refs)
		}
	}
	for i := range f.parts {
		if p := &f.parts[i]; uniform(p.coef) {
			p.each, p.coef = p.coef[0], nil
		}
	}
	for _, c := range order {
		f.cells = append(f.cells, c.reduce(a.s))
	}
	a.forms[&axis[0]] = f
	return f
}

// cellCount is a cell while its positions are counted.
type cellCount struct {
	cell
	at map[string]int // place in combos, by elements
}

func (c *cellCount) count(refs []space.Ref) {
	var key []byte
	for _, r := range refs {
		key = binary.LittleEndian.AppendUint32(key, uint32(r.Elem))
	}
	i, ok := c.at[string(key)]
	if !ok {
		i = len(c.combos)
		c.at[string(key)] = i
		elems := make([]int32, len(refs))
		for k, r := range refs {
			elems[k] = r.Elem
		}
		c.combos = append(c.combos, combo{elems: elems})
	}
	c.combos[i].n++
}

// reduce writes a cell that holds all combinations equally often as a product of sums.
func (c *cellCount) reduce(s *space.Space) cell {
	full := int64(1)
	for i, g := range c.groups {
		var ok bool
		if full, ok = mul(full, int64(s.Groups[g].N)); !ok || i > 0 && c.groups[i-1] == g {
			return c.cell
		}
	}
	if full != int64(len(c.combos)) || slices.ContainsFunc(c.combos, func(o combo) bool { return o.n != c.combos[0].n }) {
		return c.cell
	}
	return cell{groups: c.groups, each: c.combos[0].n}
}

// size is the form with every element there.
func (f form) size(s *space.Space) int64 {
	n := f.base
	for _, p := range f.parts {
		n += p.each * int64(s.Groups[p.group].N)
		for _, c := range p.coef {
			n += c
		}
	}
	for _, c := range f.cells {
		v := c.each
		for _, g := range c.groups {
			v *= int64(s.Groups[g].N)
		}
		n += v
		for _, o := range c.combos {
			n += o.n
		}
	}
	return n
}

func uniform(c []int64) bool {
	for _, v := range c {
		if v != c[0] {
			return false
		}
	}
	return true
}

// blocks lists the removable blocks around each of a set of readers; nil when one of them stands in none, for then the thing never goes.
func (a *accountant) blocks(uses []ir.Use) [][]space.BlockRef {
	if a.s == nil {
		return nil
	}
	var alive [][]space.BlockRef
	for _, u := range uses {
		b := a.s.BlockOf[u.Node.ID()]
		if len(b) == 0 {
			return nil
		}
		if !slices.ContainsFunc(alive, func(c []space.BlockRef) bool { return slices.Equal(c, b) }) {
			alive = append(alive, b)
		}
	}
	return alive
}
