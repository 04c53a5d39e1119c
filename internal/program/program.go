// Package program turns an ir.Graph into the flat list of instructions that the engine runs.
//
// In comes a folded graph, numbers for its symbols, and what is to be differentiated; out comes a Program in which every value has a
// physical, row-major shape, every decision about layout, gradients and memory is taken, and no shape can be wrong any more.
// Images and kernels are channels-last inside: (N, H, W, C) and (O, KH, KW, I), whatever the graph says.
//
// Three tables hold what is specific to an operator: lowerings (graph operator → instructions), vjps (instruction → instructions of
// its gradient), and the engine's table of how an instruction runs.
package program

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
)

// ID names a value of a program; None is a value left out.
type ID int32

const None ID = -1

// Class says where a value's elements live.
type Class uint8

const (
	Temp  Class = iota // in the arena, at Offset, while it is live
	Input              // in the arena, at Offset, for the whole step; fed by the caller
	Param              // in the parameter store that machines share
	Const              // in the program
	View               // the elements of another value under another shape
)

// Value is one tensor of a program.
type Value struct {
	Name   string // of the graph value it holds, or made up
	Shape  []int  // physical, row-major
	Layout []int  // physical axis i is axis Layout[i] of the graph's value; nil when they are the same
	Class  Class
	Of     ID        // View: the value it looks at
	Data   []float32 // Const
	Offset int       // Temp and Input: first element in the arena
	Whole  bool      // Input: whole numbers of up to ±2²⁴, or truth values as 0 and 1
}

// Len is the number of elements.
func (v *Value) Len() int { return product(v.Shape) }

// Instr runs one operation. In and Out are fixed by the operation; None marks what is left out.
type Instr struct {
	Op      Op
	In, Out []ID
	Attr    any    // the operation's own struct from ops.go, or nil
	Node    string // of the graph it comes from
}

// Program is a complete step: forward, and backward where something is differentiated.
type Program struct {
	Values  []Value
	Instrs  []Instr
	Inputs  map[string]ID // graph inputs
	Params  map[string]ID // float weights of the graph
	Outputs map[string]ID // graph outputs, the loss and Config.Outputs
	Grads   map[string]ID // by name of an input or weight in Config.Wrt
	Arena   int           // elements
	Prelude int           // instructions before this one need to run only when weights have changed that do not train
	Forward int           // instructions before this one belong to the forward pass
}

// Config says what a program is for.
type Config struct {
	Bind     map[string]int // numbers for the symbols in the shapes of the graph's inputs
	Training bool           // batch statistics in batch norm, with the running ones updated; dropout is on
	Loss     string         // a scalar value to differentiate; "" for a forward pass alone
	Wrt      []string       // inputs and weights to differentiate it with respect to
	Outputs  []string       // values to keep besides the graph's outputs
	Direct   bool           // convolutions by direct sums alone, for comparisons in the last digits
	// NonNegative are inputs that are never below zero, as masks are; what follows from that may be used.
	NonNegative []string
	Skip        []string // names of Passes to leave out, to compare with
}

// UnsupportedError lists every node of a graph that the engine cannot run.
type UnsupportedError struct{ Nodes []string }

func (e *UnsupportedError) Error() string {
	return "program: the engine cannot run " + strings.Join(e.Nodes, ", ")
}

// Build makes the program of a graph. Every error about shapes, types or operators appears here and none while the program runs.
// Operators without a row are all listed in one *UnsupportedError.
func Build(g *ir.Graph, cfg Config) (*Program, error) {
	b, err := newBuilder(g, cfg)
	if err != nil {
		return nil, err
	}
	if err := b.lowerAll(); err != nil {
		return nil, err
	}
	b.optimise(forwardPasses)
	if err := b.differentiate(); err != nil {
		return nil, err
	}
	b.sweep()
	b.optimise(wholePasses)
	if err := b.plan(); err != nil {
		return nil, err
	}
	return b.p, nil
}

// Root is the value that owns the elements of id.
func (p *Program) Root(id ID) ID {
	for p.Values[id].Class == View {
		id = p.Values[id].Of
	}
	return id
}

// String lists the instructions, one a line, for tests and for people.
func (p *Program) String() string {
	var s strings.Builder
	name := func(ids []ID) string {
		var parts []string
		for _, id := range ids {
			if id == None {
				parts = append(parts, "_")
				continue
			}
			parts = append(parts, fmt.Sprintf("%%%d%v", id, p.Values[id].Shape))
		}
		return strings.Join(parts, " ")
	}
	for _, in := range p.Instrs {
		fmt.Fprintf(&s, "%s = %s %s\n", name(in.Out), in.Op, name(in.In))
	}
	return s.String()
}

// operand is input i of an instruction, None where it has fewer.
func (in *Instr) operand(i int) ID {
	if i < len(in.In) {
		return in.In[i]
	}
	return None
}

func product(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}

// builder carries a program under construction.
type builder struct {
	g       *ir.Graph       // as bind returns it
	bound   map[string]bool // weights of g that are constants of this program's sizes
	cfg     Config
	p       *Program
	info    map[string]ir.ValueInfo
	uses    map[string][]ir.Use
	value   map[string]ID // graph value → program value
	keep    map[string]bool
	grad    map[ID]ID
	live    map[ID]bool // values that the loss is differentiated through
	node    string      // of the graph, that instructions come from
	dropout int
}

// maxElements bounds one value and the arena: 2³³ float32 are 32 GiB.
const maxElements = 1 << 33

func newBuilder(g *ir.Graph, cfg Config) (*builder, error) {
	info, err := ir.InferShapes(g, cfg.Bind)
	if err != nil {
		return nil, err
	}
	g, bound, err := bind(g, cfg.Bind)
	if err != nil {
		return nil, err
	}
	b := &builder{
		g: g, bound: bound, cfg: cfg, info: info, uses: ir.Consumers(g), value: map[string]ID{}, keep: map[string]bool{}, grad: map[ID]ID{}, live: map[ID]bool{},
		p: &Program{Inputs: map[string]ID{}, Params: map[string]ID{}, Outputs: map[string]ID{}, Grads: map[string]ID{}},
	}
	var faults []error
	for _, in := range g.Inputs {
		if in.DType != ir.Undefined && !in.DType.IsFloat() && !in.DType.IsInt() && len(b.uses[in.Name]) > 0 {
			faults = append(faults, fmt.Errorf("program: input %q is %v; the engine computes with numbers only", in.Name, in.DType))
			continue
		}
		sizes, err := b.sizes(in.Name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		layout := b.inputLayout(in.Name, len(sizes))
		id := b.add(Value{Name: in.Name, Shape: permute(sizes, layout), Layout: layout, Class: Input, Whole: in.DType.IsInt()})
		b.p.Inputs[in.Name], b.value[in.Name] = id, id
	}
	for _, o := range g.Outputs {
		b.keep[o.Name] = true
	}
	for _, o := range cfg.Outputs {
		b.keep[o] = true
	}
	if cfg.Loss != "" {
		b.keep[cfg.Loss] = true
	}
	return b, errors.Join(faults...)
}

// bind makes weights of what nodes compute from sizes alone, now that these have numbers, and takes such nodes out: the zeros that a
// class token is added to, the target of a reshape. It returns a graph that shares all else with g, and the names of those weights.
func bind(g *ir.Graph, sizes map[string]int) (*ir.Graph, map[string]bool, error) {
	constants, err := ir.Constants(g, sizes)
	if err != nil || len(constants) == 0 {
		return g, nil, err
	}
	out := *g
	out.Weights = make(map[string]*ir.Tensor, len(g.Weights)+len(constants))
	maps.Copy(out.Weights, g.Weights)
	out.Nodes = nil
	bound := map[string]bool{}
	for _, n := range g.Nodes {
		if slices.ContainsFunc(n.Outputs, func(v string) bool { return v != "" && constants[v] == nil }) {
			out.Nodes = append(out.Nodes, n)
			continue
		}
		for _, v := range n.Outputs {
			if v != "" {
				out.Weights[v], bound[v] = constants[v], true
			}
		}
	}
	return &out, bound, nil
}

// sizes is the shape of a graph value as numbers.
func (b *builder) sizes(name string) ([]int, error) {
	v, ok := b.info[name]
	if !ok || v.Shape == nil {
		return nil, fmt.Errorf("program: value %q has no known shape", name)
	}
	sizes, ok := v.Shape.Sizes()
	if !ok && slices.ContainsFunc(v.Shape, func(d ir.Dim) bool { return strings.HasPrefix(d.Sym, "?") }) {
		return nil, fmt.Errorf("program: value %q has shape %v, of which the sizes show only when it is computed; the engine needs them before", name, v.Shape)
	}
	if !ok {
		return nil, fmt.Errorf("program: value %q has shape %v: give every symbol a number", name, v.Shape)
	}
	n := 1
	for _, s := range sizes {
		if s < 0 || s > 0 && n > maxElements/s {
			return nil, fmt.Errorf("program: value %q of shape %v is too large", name, sizes)
		}
		n *= s
	}
	if n == 0 {
		return nil, fmt.Errorf("program: value %q of shape %v is empty", name, sizes)
	}
	return sizes, nil
}

// inputLayout stores images channels-last. A graph whose own images are (N, H, W, C) turns them before the first operator that knows
// channels, behind elementwise ones perhaps; then they lie right already.
func (b *builder) inputLayout(name string, rank int) []int {
	if rank != 4 {
		return nil
	}
	seen := map[string]bool{}
	for next := []string{name}; len(next) > 0; {
		v := next[0]
		next = next[1:]
		if seen[v] {
			continue
		}
		seen[v] = true
		for _, u := range b.uses[v] {
			if u.Node.Op == "Transpose" {
				if perm, err := ir.PermOf(u.Node, rank); err == nil && slices.Equal(perm, []int{0, 3, 1, 2}) {
					return nil
				}
				continue
			}
			if followsOperands[u.Node.Op] {
				next = append(next, u.Node.Outputs...)
			}
		}
	}
	return channelsLast(rank)
}

// followsOperands lists operators of the graph after which an image has its axes in the order it had before.
var followsOperands = map[string]bool{
	"Add": true, "Sub": true, "Mul": true, "Div": true, "Cast": true, "Identity": true, "Neg": true, "Clip": true, "Pad": true, "Slice": true,
	"Resize": true,
}

func (b *builder) add(v Value) ID {
	b.p.Values = append(b.p.Values, v)
	return ID(len(b.p.Values) - 1)
}

// temp makes a value of the given physical shape and layout.
func (b *builder) temp(name string, shape, layout []int) ID {
	return b.add(Value{Name: name, Shape: append([]int{}, shape...), Layout: layout, Class: Temp})
}

func (b *builder) constant(data []float32, shape ...int) ID {
	return b.add(Value{Name: "constant", Shape: shape, Class: Const, Data: data})
}

// view looks at v under another shape and layout.
func (b *builder) view(v ID, shape, layout []int) ID {
	return b.add(Value{Name: b.p.Values[v].Name, Shape: append([]int{}, shape...), Layout: layout, Class: View, Of: v})
}

func (b *builder) emit(op Op, attr any, out, in []ID) {
	b.p.Instrs = append(b.p.Instrs, Instr{Op: op, In: in, Out: out, Attr: attr, Node: b.node})
}

// val is a value by id. The pointer is good until the next value is added.
func (b *builder) val(id ID) *Value { return &b.p.Values[id] }

// sweep drops instructions whose results nobody reads.
func (b *builder) sweep() {
	needed := map[ID]bool{}
	for _, ids := range []map[string]ID{b.p.Outputs, b.p.Grads} {
		for _, id := range ids {
			needed[b.p.Root(id)] = true
		}
	}
	keep := make([]bool, len(b.p.Instrs))
	forward := 0
	for i := len(b.p.Instrs) - 1; i >= 0; i-- {
		in := &b.p.Instrs[i]
		wanted := in.Op == BatchNorm && in.Attr.(BatchNormAttr).Train // it also updates the running statistics
		for o, id := range in.Out {
			if id == None {
				continue
			}
			if needed[b.p.Root(id)] {
				wanted = true
			} else if in.Op == BatchNormGrad && o != 3 || in.Op == PreluGrad {
				in.Out[o] = None
			}
		}
		if !wanted {
			continue
		}
		keep[i] = true
		for _, id := range in.In {
			if id != None {
				needed[b.p.Root(id)] = true
			}
		}
	}
	kept := b.p.Instrs[:0]
	for i, in := range b.p.Instrs {
		if !keep[i] {
			continue
		}
		if i < b.p.Forward {
			forward++
		}
		kept = append(kept, in)
	}
	b.p.Instrs, b.p.Forward = kept, forward
}
