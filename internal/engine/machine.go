package engine

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
)

// Machine holds one program, its memory and its cores. It is for one goroutine at a time.
type Machine[T kernel.Float] struct {
	p      *program.Program
	params *Params[T]
	pool   *parallel.Pool

	arena   []T
	scratch []T // shared by the instructions, which run one after another
	consts  map[program.ID][]T
	steps   []func()
	outputs map[string][]T // results in the graph's order, where that is not how they are stored
	inputs  map[string][]T // gradients of inputs, likewise

	seed     uint64
	momentum float64 // weight of the old running statistics; negative: each batch norm's own
	updates  bool    // running statistics
	prepared uint64  // state of the parameters that the prelude has last run for

	spent []time.Duration // by instruction, when profiling
}

// New binds a program to its parameters and cores. The parameters must be those of the program's graph.
func New[T kernel.Float](p *program.Program, params *Params[T], pool *parallel.Pool) (*Machine[T], error) {
	m := &Machine[T]{
		p: p, params: params, pool: pool, arena: buffer[T](p.Arena), consts: map[program.ID][]T{}, outputs: map[string][]T{}, inputs: map[string][]T{},
		momentum: -1,
	}
	for name, id := range p.Params {
		if got, want := len(params.Get(name)), p.Values[id].Len(); got != want {
			return nil, fmt.Errorf("engine: weight %q has %d elements in the parameters, %d in the program", name, got, want)
		}
	}
	for i, v := range p.Values {
		if v.Class == program.Const {
			c := buffer[T](len(v.Data))
			for j, x := range v.Data {
				c[j] = T(x)
			}
			m.consts[program.ID(i)] = c
		}
	}
	for name, id := range p.Outputs {
		if v := &p.Values[id]; v.Layout != nil {
			m.outputs[name] = make([]T, v.Len())
		}
	}
	for name, id := range p.Inputs {
		if _, wanted := p.Grads[name]; wanted && p.Values[id].Layout != nil {
			m.inputs[name] = make([]T, p.Values[id].Len())
		}
	}
	bind := binders[T]()
	need := 0
	for i := range p.Instrs {
		need = max(need, m.scratchLen(&p.Instrs[i]))
	}
	m.scratch = buffer[T](need)
	for i := range p.Instrs {
		in := &p.Instrs[i]
		row := bind[in.Op]
		if row == nil {
			return nil, fmt.Errorf("engine: no way to run %s", in.Op)
		}
		m.steps = append(m.steps, row(m, in))
		if a, ok := in.Attr.(program.BatchNormAttr); ok && a.Train {
			m.updates = true
		}
	}
	return m, nil
}

// slice is the memory of a value, nil for None.
func (m *Machine[T]) slice(id program.ID) []T {
	if id == program.None {
		return nil
	}
	root := m.p.Root(id)
	v := &m.p.Values[root]
	n := v.Len()
	switch v.Class {
	case program.Param:
		return m.params.Get(v.Name)
	case program.Const:
		return m.consts[root]
	default:
		return m.arena[v.Offset : v.Offset+n : len(m.arena)]
	}
}

// maxWhole is the largest whole number that an input may hold: all up to it are float32 numbers.
const maxWhole = 1 << 24

// SetInput gives an input its values in the graph's order. Whole numbers and truth values come as floating-point numbers.
func (m *Machine[T]) SetInput(name string, v []T) error {
	id, err := m.input(name, len(v))
	if err != nil {
		return err
	}
	value := &m.p.Values[id]
	if value.Whole {
		for i, x := range v {
			if !(x >= -maxWhole && x <= maxWhole) || x != T(int(x)) {
				return fmt.Errorf("engine: input %q: value %d is %v, want a whole number of up to ±%d", name, i, x, maxWhole)
			}
		}
	}
	if value.Layout == nil {
		copy(m.slice(id), v)
		return nil
	}
	toPhysical(m.slice(id), v, logicalShape(value), value.Layout)
	return nil
}

// SetInputNHWC gives an image input its values in the order (N, H, W, C), whichever order the graph has.
func (m *Machine[T]) SetInputNHWC(name string, v []T) error {
	id, err := m.input(name, len(v))
	if err != nil {
		return err
	}
	if shape := m.p.Values[id].Shape; len(shape) != 4 {
		return fmt.Errorf("engine: input %q of shape %v is no batch of images", name, shape)
	}
	copy(m.slice(id), v) // programs store images like this, whatever the graph says
	return nil
}

func (m *Machine[T]) input(name string, n int) (program.ID, error) {
	id, ok := m.p.Inputs[name]
	if !ok {
		return id, fmt.Errorf("engine: the program has no input %q", name)
	}
	if want := m.p.Values[id].Len(); n != want {
		return id, fmt.Errorf("engine: input %q takes %d values of shape %v, not %d", name, want, logicalShape(&m.p.Values[id]), n)
	}
	return id, nil
}

func logicalShape(v *program.Value) []int {
	shape := make([]int, len(v.Shape))
	for i, s := range v.Shape {
		axis := i
		if v.Layout != nil {
			axis = v.Layout[i]
		}
		shape[axis] = s
	}
	return shape
}

// SetMomentum sets the weight of the old running statistics in every batch norm of a training program; negative restores their own.
func (m *Machine[T]) SetMomentum(old float64) { m.momentum = old }

// SetSeed chooses the random stream of dropout for the next step.
func (m *Machine[T]) SetSeed(seed uint64) { m.seed = seed }

// Run takes one step.
func (m *Machine[T]) Run() {
	first := 0
	if m.prepared == m.params.state {
		first = m.p.Prelude
	}
	if m.spent != nil {
		m.profiled(first)
	} else {
		for _, step := range m.steps[first:] {
			step()
		}
	}
	if m.updates {
		m.params.state++ // other programs see new running statistics; this one's prelude does not read them
	}
	m.prepared = m.params.state
}

// Output is an output of the program in the graph's order. The slice is good until the next Run or Output of the same name.
func (m *Machine[T]) Output(name string) []T {
	id, ok := m.p.Outputs[name]
	if !ok {
		return nil
	}
	v := &m.p.Values[id]
	if v.Layout == nil {
		return m.slice(id)[:v.Len()]
	}
	out := m.outputs[name]
	toLogical(out, m.slice(id), logicalShape(v), v.Layout)
	return out
}

// Grad is the gradient of a weight of Config.Wrt in storage order, like Params.Get, or of an input in the graph's order; nil for
// anything else. That of a weight is the same memory in every step; that of an image input is good until the next Run or Grad.
func (m *Machine[T]) Grad(name string) []T {
	id, ok := m.p.Grads[name]
	if !ok {
		return nil
	}
	g := m.slice(id)[:m.p.Values[id].Len()]
	if in, ok := m.p.Inputs[name]; ok {
		if v := &m.p.Values[in]; v.Layout != nil {
			toLogical(m.inputs[name], g, logicalShape(v), v.Layout)
			return m.inputs[name]
		}
	}
	return g
}

// Param is a weight in storage order, the live memory of Params.Get; nil for a name that the program does not read.
func (m *Machine[T]) Param(name string) []T {
	if _, ok := m.p.Params[name]; !ok {
		return nil
	}
	return m.params.Get(name)
}

// WriteTo writes the weights as they are to the graph's tensors; see Params.WriteTo.
func (m *Machine[T]) WriteTo(g *ir.Graph) error { return m.params.WriteTo(g) }

// Memory is the bytes of activations, gradients and scratch; parameters are not counted.
func (m *Machine[T]) Memory() int64 {
	var size int64 = 4
	if _, wide := any(m.arena).([]float64); wide {
		size = 8
	}
	return size * int64(len(m.arena)+len(m.scratch))
}

// Profile makes every Run measure its instructions. ProfileTable tells where the time went.
func (m *Machine[T]) Profile() { m.spent = make([]time.Duration, len(m.steps)) }

func (m *Machine[T]) profiled(first int) {
	for i := first; i < len(m.steps); i++ {
		start := time.Now()
		m.steps[i]()
		m.spent[i] += time.Since(start)
	}
}

// ProfileTable lists time by operation, largest first.
func (m *Machine[T]) ProfileTable() string {
	by := map[program.Op]time.Duration{}
	var total time.Duration
	for i, d := range m.spent {
		by[m.p.Instrs[i].Op] += d
		total += d
	}
	ops := make([]program.Op, 0, len(by))
	for op := range by {
		ops = append(ops, op)
	}
	sort.Slice(ops, func(i, j int) bool { return by[ops[i]] > by[ops[j]] || by[ops[i]] == by[ops[j]] && ops[i] < ops[j] })
	var s strings.Builder
	for _, op := range ops {
		fmt.Fprintf(&s, "%-20s %10.3f ms %5.1f%%\n", op, by[op].Seconds()*1e3, 100*float64(by[op])/float64(max(total, 1)))
	}
	return s.String()
}
