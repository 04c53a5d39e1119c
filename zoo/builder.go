package zoo

import (
	"fmt"
	"math"

	"github.com/dms-go/dms/ir"
)

// builder appends operators to a graph. Each method returns the value it writes, which has the name of its node, so that networks read
// as a list of layers.
type builder struct {
	g     *ir.Graph
	o     Options
	init  initials
	bn    norm
	draws []draw
	size  int // elements of all weights so far, or more than maxParameters
}

// draw is a weight that is declared and not yet drawn.
type draw struct {
	name  string
	law   law
	shape []int
}

// norm holds the constants of a network's batch norms: momentum is the share of the old statistic.
type norm struct{ epsilon, momentum float32 }

var torchNorm = norm{1e-5, 0.9}

// initials are the distributions that a network's weights start from.
type initials struct {
	fanIn  bool // convolutions: Kaiming normal by fan-in instead of fan-out
	matrix func(in, out int) law
	bias   func(in int) law
}

// law is one distribution: normal of that deviation, else uniform within ±bound, else constant.
type law struct{ std, bound, value float64 }

// torchLinear is PyTorch's default for linear layers: uniform within ±1/√in, weights and biases alike.
var torchLinear = initials{
	matrix: func(in, _ int) law { return law{bound: 1 / math.Sqrt(float64(in))} },
	bias:   func(in int) law { return law{bound: 1 / math.Sqrt(float64(in))} },
}

// value is one feature map (N, channels, side, side), or (N, channels) where side is 0.
type value struct {
	name     string
	channels int
	side     int
}

// begin starts a network on its input.
func begin(name string, o Options, init initials, bn norm) (*builder, value) {
	b := &builder{o: o, init: init, bn: bn, g: &ir.Graph{
		Name: name, IRVersion: 8, Opsets: []ir.Opset{{Version: 17}}, Producer: "dms", Weights: map[string]*ir.Tensor{},
	}}
	shape := ir.Shape{{Sym: "N"}, {Size: o.Channels}, {Size: o.Input}, {Size: o.Input}}
	b.g.Inputs = []ir.ValueInfo{{Name: "input", DType: ir.Float32, Shape: shape}}
	return b, value{"input", o.Channels, o.Input}
}

// end makes x the output and draws the weights.
func (b *builder) end(x value) (*ir.Graph, error) {
	if b.size > maxParameters {
		return nil, fmt.Errorf("zoo: %s: the network has more than %d parameters; ask for less width, depth, input or classes", b.g.Name, maxParameters)
	}
	b.drawAll()
	b.g.Outputs = []ir.ValueInfo{{Name: x.name, DType: ir.Float32, Shape: ir.Shape{{Sym: "N"}, {Size: x.channels}}}}
	return b.g, nil
}

// node appends an operator that writes the value of its own name.
func (b *builder) node(op, name string, attrs ir.Attrs, inputs ...string) string {
	b.g.Nodes = append(b.g.Nodes, &ir.Node{Name: name, Op: op, Inputs: inputs, Outputs: []string{name}, Attrs: attrs})
	return name
}

// weight declares a weight to be drawn from a law and returns its name.
func (b *builder) weight(name string, l law, shape ...int) string {
	n := 1
	for _, s := range shape {
		n = min(n*s, maxParameters+1) // shapes are bounded by the limits of Options, so the product cannot overflow before it is cut
	}
	b.size = min(b.size+n, maxParameters+1)
	b.draws = append(b.draws, draw{name, l, shape})
	return name
}

// drawAll fills the declared weights. Nothing is allocated before their total size is known.
func (b *builder) drawAll() {
	for _, d := range b.draws {
		n := 1
		for _, s := range d.shape {
			n *= s
		}
		data := make([]float32, n)
		switch {
		case b.o.blank:
		case d.law.std > 0:
			streamOf(b.o.Seed, d.name).normal(data, d.law.std)
		case d.law.bound > 0:
			streamOf(b.o.Seed, d.name).uniform(data, d.law.bound)
		case d.law.value != 0:
			for i := range data {
				data[i] = float32(d.law.value)
			}
		}
		b.g.Weights[d.name] = ir.Floats32(data, d.shape...)
	}
}

// scalar makes a constant that is no parameter: the bound of a Clip, the ratio of a Dropout.
func (b *builder) scalar(name string, v float32) string {
	b.g.Weights[name] = ir.Floats32([]float32{v})
	return name
}

func (b *builder) ints(name string, v ...int64) string {
	b.g.Weights[name] = ir.Vector64(v...)
	return name
}

// window is the shape of a convolution beside its channels.
type window struct {
	kernel, stride, group int
	bias                  bool
}

// conv appends a convolution with the padding that divides the side by the stride, rounded up.
func (b *builder) conv(x value, name string, out int, w window) value {
	k, group := w.kernel, max(1, w.group)
	fan := out * k * k // PyTorch's fan-out counts every output channel, depthwise or not
	if b.init.fanIn {
		fan = x.channels / group * k * k
	}
	inputs := []string{x.name, b.weight(name+".weight", law{std: math.Sqrt(2 / float64(fan))}, out, x.channels/group, k, k)}
	if w.bias {
		inputs = append(inputs, b.weight(name+".bias", law{}, out))
	}
	pad := int64(k / 2)
	b.node("Conv", name, ir.Attrs{
		"kernel_shape": ir.IntsAttr(int64(k), int64(k)), "strides": ir.IntsAttr(int64(w.stride), int64(w.stride)),
		"pads": ir.IntsAttr(pad, pad, pad, pad), "dilations": ir.IntsAttr(1, 1), "group": ir.IntAttr(int64(group)),
	}, inputs...)
	return value{name, out, (x.side-1)/w.stride + 1}
}

func (b *builder) batchNorm(x value, name string) value {
	one := law{value: 1}
	x.name = b.node("BatchNormalization", name, ir.Attrs{"epsilon": ir.FloatAttr(b.bn.epsilon), "momentum": ir.FloatAttr(b.bn.momentum)}, x.name,
		b.weight(name+".weight", one, x.channels), b.weight(name+".bias", law{}, x.channels),
		b.weight(name+".running_mean", law{}, x.channels), b.weight(name+".running_var", one, x.channels))
	return x
}

// unary appends an operator that keeps the shape.
func (b *builder) unary(op string, x value, name string) value {
	x.name = b.node(op, name, nil, x.name)
	return x
}

func (b *builder) relu(x value, name string) value { return b.unary("Relu", x, name) }

// relu6 bounds x to [0, 6].
func (b *builder) relu6(x value, name string) value {
	x.name = b.node("Clip", name, nil, x.name, b.scalar("relu6.min", 0), b.scalar("relu6.max", 6))
	return x
}

// silu is x·σ(x), as PyTorch's exporter writes it.
func (b *builder) silu(x value, name string) value {
	gate := b.unary("Sigmoid", x, name+".sigmoid")
	x.name = b.node("Mul", name, nil, x.name, gate.name)
	return x
}

func (b *builder) add(x, y value, name string) value {
	x.name = b.node("Add", name, nil, x.name, y.name)
	return x
}

func (b *builder) maxPool(x value, name string, kernel, stride, pad int) value {
	k, s, p := int64(kernel), int64(stride), int64(pad)
	b.node("MaxPool", name, ir.Attrs{"kernel_shape": ir.IntsAttr(k, k), "strides": ir.IntsAttr(s, s), "pads": ir.IntsAttr(p, p, p, p)}, x.name)
	return value{name, x.channels, (x.side+2*pad-kernel)/stride + 1}
}

func (b *builder) averagePool(x value, name string, kernel int) value {
	k := int64(kernel)
	b.node("AveragePool", name, ir.Attrs{"kernel_shape": ir.IntsAttr(k, k), "strides": ir.IntsAttr(k, k)}, x.name)
	return value{name, x.channels, x.side / kernel}
}

func (b *builder) globalPool(x value, name string) value {
	return value{b.node("GlobalAveragePool", name, nil, x.name), x.channels, 1}
}

func (b *builder) flatten(x value, name string) value {
	return value{b.node("Flatten", name, ir.Attrs{"axis": ir.IntAttr(1)}, x.name), x.channels * x.side * x.side, 0}
}

// dropout is left out where the ratio is 0.
func (b *builder) dropout(x value, name string, own float64) value {
	ratio := b.o.dropout(own)
	if ratio == 0 {
		return x
	}
	x.name = b.node("Dropout", name, nil, x.name, b.scalar(name+".ratio", float32(ratio)))
	return x
}

// linear appends x·Wᵀ + b. Its weights are named weights.weight and weights.bias, its output name.
func (b *builder) linear(x value, weights, name string, out int) value {
	b.g.Nodes = append(b.g.Nodes, &ir.Node{
		Name: weights, Op: "Gemm", Outputs: []string{name}, Attrs: ir.Attrs{"transB": ir.IntAttr(1)},
		Inputs: []string{x.name, b.weight(weights+".weight", b.init.matrix(x.channels, out), out, x.channels),
			b.weight(weights+".bias", b.init.bias(x.channels), out)},
	})
	return value{name, out, 0}
}

// classify appends the usual head: mean over the map, dropout, one linear layer that writes the logits.
func (b *builder) classify(x value, weights string, dropout float64) (*ir.Graph, error) {
	x = b.globalPool(x, "avgpool")
	x = b.flatten(x, "flatten")
	x = b.dropout(x, "dropout", dropout)
	return b.end(b.linear(x, weights, "logits", b.o.Classes))
}
