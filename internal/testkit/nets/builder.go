// Package nets holds small networks, each of which shows one structure that ties, splits or freezes channels. Tests of space, cost, prune and
// internal/masked share them.
package nets

import (
	"math/rand/v2"

	"github.com/dms-go/dms/ir"
)

// builder builds a graph one call a node; weights are random and sane.
type builder struct {
	g   *ir.Graph
	rng *rand.Rand
}

func start(seed uint64, input ...int) *builder {
	shape := append(ir.Shape{{Sym: "N"}}, ir.Fixed(input...)...)
	return &builder{&ir.Graph{
		Name: "net", IRVersion: 8, Opsets: []ir.Opset{{Version: 17}}, Weights: map[string]*ir.Tensor{},
		Inputs: []ir.ValueInfo{{Name: "x", DType: ir.Float32, Shape: shape}},
	}, rand.New(rand.NewPCG(seed, 17))}
}

// op adds a node whose first output bears its name.
func (b *builder) op(op, name string, attrs ir.Attrs, inputs ...string) string {
	b.g.Nodes = append(b.g.Nodes, &ir.Node{Name: name, Op: op, Inputs: inputs, Outputs: []string{name + ":0"}, Attrs: attrs})
	return name + ":0"
}

func (b *builder) weight(name string, shape ...int) string {
	n := 1
	for _, d := range shape {
		n *= d
	}
	data := make([]float32, n)
	for i := range data {
		data[i] = float32(b.rng.NormFloat64()) * 0.5
	}
	b.g.Weights[name] = ir.Floats32(data, shape...)
	return name
}

func (b *builder) ints(name string, v ...int64) string {
	b.g.Weights[name] = ir.Vector64(v...)
	return name
}

// conv is a 3×3 convolution with padding and bias, group groups, cin channels in all.
func (b *builder) conv(name, x string, cin, cout, group, stride int) string {
	w := b.weight(name+".weight", cout, cin/group, 3, 3)
	return b.op("Conv", name, ir.Attrs{
		"group": ir.IntAttr(int64(group)), "pads": ir.IntsAttr(1, 1, 1, 1), "strides": ir.IntsAttr(int64(stride), int64(stride)), "kernel_shape": ir.IntsAttr(3, 3),
	}, x, w, b.weight(name+".bias", cout))
}

func (b *builder) bn(name, x string, c int) string {
	in := []string{x}
	for _, p := range []string{"weight", "bias", "running_mean", "running_var"} {
		in = append(in, b.weight(name+"."+p, c))
	}
	for i, v := range b.g.Weights[name+".running_var"].F32 {
		b.g.Weights[name+".running_var"].F32[i] = v*v + 0.5
	}
	return b.op("BatchNormalization", name, nil, in...)
}

func (b *builder) relu(name, x string) string   { return b.op("Relu", name, nil, x) }
func (b *builder) add(name, x, y string) string { return b.op("Add", name, nil, x, y) }
func (b *builder) concat(name string, x ...string) string {
	return b.op("Concat", name, ir.Attrs{"axis": ir.IntAttr(1)}, x...)
}

// head is global pooling, Flatten and Gemm to ten classes.
func (b *builder) head(x string, c int) {
	p := b.op("GlobalAveragePool", "pool", nil, x)
	f := b.op("Flatten", "flat", nil, p)
	b.gemm("fc", f, c, 10)
	b.output("fc:0")
}

func (b *builder) gemm(name, x string, in, out int) string {
	return b.op("Gemm", name, ir.Attrs{"transB": ir.IntAttr(1)}, x, b.weight(name+".weight", out, in), b.weight(name+".bias", out))
}

func (b *builder) output(v string) {
	b.g.Outputs = append(b.g.Outputs, ir.ValueInfo{Name: v, DType: ir.Float32, Shape: ir.Shape{{Sym: "N"}, {Size: 10}}})
}
