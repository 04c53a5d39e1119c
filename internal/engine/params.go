// Package engine runs programs on the cores of this machine.
//
// In go a program.Program and the Params it shares with other programs of the same network; Run then takes one step without
// allocating. Work is split by output and sums are cut into chunks whose number does not depend on the cores, so a step has the
// same bits whatever their number. The arithmetic is written once for float32 and float64: the second is how gradients are checked.
package engine

import (
	"fmt"
	"slices"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
)

// Params holds the float weights of a network in storage order. Machines of the same network share one, so that what a training
// step writes an evaluation reads. It is not safe for machines that run at the same time.
type Params[T kernel.Float] struct {
	names []string
	slots map[string]slot[T]
	state uint64 // moves with every change that machines are told of
}

type slot[T kernel.Float] struct {
	data   []T
	shape  []int // the graph's
	layout []int
}

// NewParams copies the float weights of a graph.
func NewParams[T kernel.Float](g *ir.Graph) (*Params[T], error) {
	p := &Params[T]{slots: map[string]slot[T]{}, state: 1}
	for name, t := range g.Weights {
		if !t.DType.IsFloat() || t.Len() == 0 {
			continue
		}
		s := slot[T]{data: buffer[T](t.Len()), shape: t.Shape, layout: program.WeightLayout(t)}
		v, err := t.Floats()
		if err != nil {
			return nil, fmt.Errorf("engine: weight %q: %w", name, err)
		}
		s.load(v)
		p.slots[name] = s
		p.names = append(p.names, name)
	}
	slices.Sort(p.names)
	return p, nil
}

// Names lists the weights in alphabetical order.
func (p *Params[T]) Names() []string { return p.names }

// Get is the live buffer of a weight in storage order, or nil. Whoever writes to it calls Changed before the next step of a machine.
func (p *Params[T]) Get(name string) []T { return p.slots[name].data }

// Changed tells the machines of this network that weights have other values, so that what they have prepared from them is made anew.
func (p *Params[T]) Changed() { p.state++ }

// Load replaces a weight; v is in the graph's order.
func (p *Params[T]) Load(name string, v []float32) error {
	s, ok := p.slots[name]
	if !ok || len(v) != len(s.data) {
		return fmt.Errorf("engine: weight %q: %d values for %d", name, len(v), len(s.data))
	}
	s.load(v)
	p.Changed()
	return nil
}

// WriteTo writes every weight back to the graph's tensors, each in its own type.
func (p *Params[T]) WriteTo(g *ir.Graph) error {
	for _, name := range p.names {
		t := g.Weights[name]
		if t == nil {
			continue
		}
		s := p.slots[name]
		if t.Len() != len(s.data) {
			return fmt.Errorf("engine: weight %q: the graph has shape %v, the parameters %v", name, t.Shape, s.shape)
		}
		out := make([]float32, len(s.data))
		toLogical(out, s.data, s.shape, s.layout)
		t.SetFloats(out)
	}
	return nil
}

func (s slot[T]) load(v []float32) {
	toPhysical(s.data, v, s.shape, s.layout)
}

// buffer is zeroed memory that starts on a cache line and may be read a little past its end.
func buffer[T kernel.Float](n int) []T {
	const line, slack = 16, 64
	return kernel.Align(make([]T, n+line+slack))[:n]
}

// toPhysical copies src, in the graph's order of shape, to dst in storage order.
func toPhysical[D, S kernel.Float](dst []D, src []S, shape, layout []int) {
	walk(shape, layout, func(physical, logical int) { dst[physical] = D(src[logical]) })
}

// toLogical copies src in storage order to dst in the graph's order of shape.
func toLogical[D, S kernel.Float](dst []D, src []S, shape, layout []int) {
	walk(shape, layout, func(physical, logical int) { dst[logical] = D(src[physical]) })
}

// walk visits every element of a graph shape with its position in storage and in the graph's order.
func walk(shape, layout []int, visit func(physical, logical int)) {
	n := 1
	for _, s := range shape {
		n *= s
	}
	if layout == nil {
		for i := range n {
			visit(i, i)
		}
		return
	}
	strides := make([]int, len(shape)) // of the graph's order
	at := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = at
		at *= shape[i]
	}
	index := make([]int, len(layout))
	logical := 0
	for physical := range n {
		visit(physical, logical)
		for i := len(layout) - 1; i >= 0; i-- {
			axis := layout[i]
			index[i]++
			logical += strides[axis]
			if index[i] < shape[axis] {
				break
			}
			logical -= index[i] * strides[axis]
			index[i] = 0
		}
	}
}
