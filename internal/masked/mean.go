package masked

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// mean is a node that averages over masked axes of its input 0. Its masked twin averages over what the masks keep:
//
//	mean(x) = n/Σm · mean over n positions of m·x
//
// A norm takes mean and variance so, and is written out for that.
type mean struct {
	node  *ir.Node
	rank  int
	axes  []int
	masks []string // vectors, by axis
	sizes []int
}

// means has a row for each operator that package space notes as one that averages.
var means = map[string]func(m *masker, u *mean) error{
	"ReduceMean":            (*masker).reduceMean,
	"LayerNormalization":    (*masker).layerNorm,
	"InstanceNormalization": (*masker).instanceNorm,

	"RMSNormalization":          (*masker).rmsNorm,
	"GroupNormalization":        (*masker).groupNorm,
	"MeanVarianceNormalization": (*masker).meanVariance,
}

func (m *masker) mean(u *mean) error {
	rule, ok := means[u.node.Op]
	if !ok {
		return fmt.Errorf("masked: %s averages in a way that is not known", u.node.Label())
	}
	return rule(m, u)
}

// kept multiplies v by the masks of all averaged axes.
func (m *masker) kept(list *[]*ir.Node, u *mean, v string) string {
	for i, mask := range u.masks {
		v = m.step(list, "Mul", v+"/masked", nil, v, m.upright(mask, u.sizes[i], u.rank-u.axes[i]))
	}
	return v
}

// weigh multiplies v by n/Σm of each axis.
func (m *masker) weigh(list *[]*ir.Node, u *mean, v string) string {
	for i, mask := range u.masks {
		n := m.weight(fmt.Sprintf("mask/size/%d", u.sizes[i]), ir.Floats32([]float32{float32(u.sizes[i])}, 1))
		v = m.step(list, "Mul", v+"/weighed", nil, v, m.node("Div", mask+"/weight", []string{n, m.total(mask)}, nil))
	}
	return v
}

// total is the sum of a mask, of shape (1).
func (m *masker) total(mask string) string {
	if m.out.Opset("") < 13 {
		return m.node("ReduceSum", mask+"/sum", []string{mask}, ir.Attrs{"axes": ir.IntsAttr(0)})
	}
	return m.node("ReduceSum", mask+"/sum", []string{mask, m.weight("mask/axis/0", ir.Vector64(0))}, nil)
}

// step appends a node and returns what it writes.
func (m *masker) step(list *[]*ir.Node, op, name string, attrs ir.Attrs, inputs ...string) string {
	v := m.unused(name)
	*list = append(*list, &ir.Node{Name: v, Op: op, Inputs: inputs, Outputs: []string{v}, Attrs: attrs})
	return v
}

// average is the mean of v over axes, which stay as ones, weighted by the masks.
func (m *masker) average(list *[]*ir.Node, u *mean, v, name string, axes []int64) string {
	inputs := []string{m.kept(list, u, v)}
	attrs := ir.Attrs{"keepdims": ir.IntAttr(1)}
	if m.out.Opset("") < 18 {
		attrs["axes"] = ir.IntsAttr(axes...)
	} else {
		inputs = append(inputs, m.weight(fmt.Sprintf("mask/axes/%v", axes), ir.Vector64(axes...)))
	}
	return m.weigh(list, u, m.step(list, "ReduceMean", name, attrs, inputs...))
}

// reduceMean: the node stays, its input is masked and its output weighed.
func (m *masker) reduceMean(u *mean) error {
	n := u.node
	id := n.ID()
	list := m.before[id]
	n.Inputs[0] = m.kept(&list, u, n.Inputs[0])
	m.before[id] = list
	out := n.Outputs[0]
	n.Outputs[0] = m.unused(out + "/all")
	var after []*ir.Node
	m.weigh(&after, u, n.Outputs[0])
	after[len(after)-1].Outputs[0] = out
	m.after[n] = after
	return nil
}

// normal writes (v − mean)/√(variance + ε) over axes into list.
func (m *masker) normal(list *[]*ir.Node, u *mean, axes []int64, epsilon float32) string {
	name := u.node.ID()
	x := u.node.Inputs[0]
	centre := m.step(list, "Sub", name+"/centred", nil, x, m.average(list, u, x, name+"/mean", axes))
	square := m.step(list, "Mul", name+"/square", nil, centre, centre)
	variance := m.average(list, u, square, name+"/variance", axes)
	return m.step(list, "Div", name+"/normal", nil, centre, m.root(list, name, variance, epsilon))
}

func (m *masker) layerNorm(u *mean) error {
	n := u.node
	first, err := ir.AxisOf(n, u.rank, -1)
	if err != nil {
		return fmt.Errorf("masked: %w", err)
	}
	var axes []int64
	for a := first; a < u.rank; a++ {
		axes = append(axes, int64(a))
	}
	list := m.before[n.ID()]
	v := m.normal(&list, u, axes, n.Attrs.Float("epsilon", 1e-5))
	m.affine(&list, n, v, n.Input(1), n.Input(2))
	return nil
}

func (m *masker) instanceNorm(u *mean) error {
	n := u.node
	var axes []int64
	for a := 2; a < u.rank; a++ {
		axes = append(axes, int64(a))
	}
	list := m.before[n.ID()]
	v := m.normal(&list, u, axes, n.Attrs.Float("epsilon", 1e-5))
	channels := func(w string) (string, error) {
		t := m.out.Weights[w]
		if t == nil {
			return "", fmt.Errorf("masked: %s: scale and bias are not constant", n.Label())
		}
		return m.upright(w, t.Len(), u.rank-1), nil
	}
	scale, err := channels(n.Input(1))
	if err != nil {
		return err
	}
	bias, err := channels(n.Input(2))
	if err != nil {
		return err
	}
	m.affine(&list, n, v, scale, bias)
	return nil
}

// rmsNorm writes v/√(mean of squares + ε).
func (m *masker) rmsNorm(u *mean) error {
	n := u.node
	first, epsilon, err := ir.LayerNormOf(n, u.rank)
	if err != nil {
		return fmt.Errorf("masked: %w", err)
	}
	var axes []int64
	for a := first; a < u.rank; a++ {
		axes = append(axes, int64(a))
	}
	list := m.before[n.ID()]
	name, x := n.ID(), n.Inputs[0]
	square := m.step(&list, "Mul", name+"/square", nil, x, x)
	size := m.average(&list, u, square, name+"/size", axes)
	root := m.root(&list, name, size, epsilon)
	m.affine(&list, n, m.step(&list, "Div", name+"/normal", nil, x, root), n.Input(1), "")
	return nil
}

// root writes √(v + ε).
func (m *masker) root(list *[]*ir.Node, name, v string, epsilon float32) string {
	small := m.weight(fmt.Sprintf("mask/epsilon/%g", epsilon), ir.Floats32([]float32{epsilon}))
	return m.step(list, "Sqrt", name+"/deviation", nil, m.step(list, "Add", name+"/positive", nil, v, small))
}

// meanVariance writes (v − mean)/√variance, with the tiny number that ONNX adds to the root.
func (m *masker) meanVariance(u *mean) error {
	n := u.node
	over, err := ir.MeanVarianceOf(n, u.rank)
	if err != nil {
		return fmt.Errorf("masked: %w", err)
	}
	var axes []int64
	for _, a := range over {
		axes = append(axes, int64(a))
	}
	list := m.before[n.ID()]
	name, x := n.ID(), n.Inputs[0]
	centre := m.step(&list, "Sub", name+"/centred", nil, x, m.average(&list, u, x, name+"/mean", axes))
	variance := m.average(&list, u, m.step(&list, "Mul", name+"/square", nil, centre, centre), name+"/variance", axes)
	deviation := m.step(&list, "Sqrt", name+"/deviation", nil, variance)
	small := m.weight("mask/epsilon/1e-09", ir.Floats32([]float32{1e-9}))
	n.Op, n.Inputs, n.Attrs = "Div", []string{centre, m.step(&list, "Add", name+"/positive", nil, deviation, small)}, nil
	m.before[name] = list
	return nil
}

// groupNorm takes mean and variance over each group of channels and hands them back to every channel by a Gather.
func (m *masker) groupNorm(u *mean) error {
	n := u.node
	channels := 0
	for i, a := range u.axes {
		if a == 1 {
			channels = u.sizes[i]
		}
	}
	if channels == 0 { // no channel is averaged over, only positions
		for _, d := range m.s.Axes[n.Inputs[0]][1:2] {
			channels = d.Len()
		}
	}
	attrs, err := ir.GroupNormOf(m.out, n, ir.Fixed(1, channels))
	if err != nil || channels == 0 {
		return fmt.Errorf("masked: %s averages over positions of groups whose channels are not known", n.Label())
	}
	of := make([]int64, channels)
	for c := range of {
		of[c] = int64(c / (channels / attrs.Groups))
	}
	index := m.weight(fmt.Sprintf("mask/group/%d.%d", channels, attrs.Groups), ir.Vector64(of...))
	flat := m.weight(fmt.Sprintf("mask/flat/%d", attrs.Groups), ir.Vector64(0, int64(attrs.Groups), -1))
	tall := []int64{0, int64(attrs.Groups)}
	for range u.rank - 2 {
		tall = append(tall, 1)
	}
	target := m.weight(fmt.Sprintf("mask/tall/%v", tall), ir.Vector64(tall...))
	list := m.before[n.ID()]
	name, x := n.ID(), n.Inputs[0]
	average := func(v, name string) string {
		v = m.step(&list, "Reshape", name+"/grouped", nil, m.kept(&list, u, v), flat)
		inputs, attrs := []string{v}, ir.Attrs{"keepdims": ir.IntAttr(1)}
		if m.out.Opset("") < 18 {
			attrs["axes"] = ir.IntsAttr(2)
		} else {
			inputs = append(inputs, m.weight("mask/axes/[2]", ir.Vector64(2)))
		}
		v = m.weigh(&list, u, m.step(&list, "ReduceMean", name, attrs, inputs...))
		v = m.step(&list, "Reshape", name+"/tall", nil, v, target)
		return m.step(&list, "Gather", name+"/each", ir.Attrs{"axis": ir.IntAttr(1)}, v, index)
	}
	centre := m.step(&list, "Sub", name+"/centred", nil, x, average(x, name+"/mean"))
	variance := average(m.step(&list, "Mul", name+"/square", nil, centre, centre), name+"/variance")
	v := m.step(&list, "Div", name+"/normal", nil, centre, m.root(&list, name, variance, attrs.Epsilon))
	beside := [2]string{n.Input(1), n.Input(2)}
	for i, w := range beside {
		if attrs.PerGroup {
			w = m.node("Gather", w+"/each", []string{w, index}, ir.Attrs{"axis": ir.IntAttr(0)})
		}
		beside[i] = m.upright(w, channels, u.rank-1)
	}
	m.affine(&list, n, v, beside[0], beside[1])
	return nil
}

// affine scales and shifts v in place of the norm n, which becomes the last of the nodes that stand for it.
func (m *masker) affine(list *[]*ir.Node, n *ir.Node, v, scale, bias string) {
	id := n.ID()
	last := func(op, w string) { n.Op, n.Inputs, n.Attrs, n.Outputs = op, []string{v, w}, nil, n.Outputs[:1] }
	switch {
	case bias != "" && scale != "":
		v = m.step(list, "Mul", id+"/scaled", nil, v, scale)
		last("Add", bias)
	case scale != "":
		last("Mul", scale)
	default:
		n.Op, n.Inputs, n.Attrs, n.Outputs = "Identity", []string{v}, nil, n.Outputs[:1]
	}
	m.before[id] = *list
}
