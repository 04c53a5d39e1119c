package testkit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/dms-go/dms/ir"
)

// builder writes a graph node by node and knows the size of what it wrote.
type builder struct {
	*rand.Rand
	g     *ir.Graph
	opset int64
	named bool // nodes have names
	count int
}

// feature is a value of shape (N, c, h, w); vector one of shape (N, c).
type feature struct {
	name    string
	c, h, w int
}

type vector struct {
	name string
	c    int
}

func (x feature) sameSize(y feature) bool { return x.c == y.c && x.h == y.h && x.w == y.w }

func newBuilder(rng *rand.Rand) *builder {
	opset := []int64{9, 10, 11, 12, 13, 15, 17, 18, 20}[rng.IntN(9)]
	return &builder{Rand: rng, opset: opset, named: rng.IntN(4) > 0, g: &ir.Graph{
		Name: "random", IRVersion: 8, Opsets: []ir.Opset{{Version: opset}}, Weights: map[string]*ir.Tensor{},
	}}
}

func (b *builder) flip() bool        { return b.IntN(2) == 0 }
func (b *builder) chance(n int) bool { return b.IntN(n) == 0 }
func (b *builder) width() int        { return 2 + b.IntN(7) }

// normal are n weights that keep the variance of a sum over fan inputs.
func (b *builder) normal(fan, n int) []float32 { return b.around(0, 1.3/math.Sqrt(float64(fan)), n) }

func (b *builder) around(mean, std float64, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(mean + std*b.NormFloat64())
	}
	return v
}

// positive are numbers from lo to hi.
func (b *builder) positive(lo, hi float64, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(lo + (hi-lo)*b.Float64())
	}
	return v
}

func (b *builder) fresh(kind string) string {
	b.count++
	return fmt.Sprintf("%s_%d", kind, b.count)
}

func (b *builder) weight(kind string, v []float32, shape ...int) string {
	name := b.fresh(kind)
	b.g.Weights[name] = ir.Floats32(v, shape...)
	return name
}

func (b *builder) list(kind string, v ...int64) string {
	name := b.fresh(kind)
	b.g.Weights[name] = ir.Vector64(v...)
	return name
}

// op appends a node with one output.
func (b *builder) op(op string, attrs ir.Attrs, inputs ...string) string {
	return b.ops(op, 1, attrs, inputs...)[0]
}

func (b *builder) ops(op string, outputs int, attrs ir.Attrs, inputs ...string) []string {
	n := &ir.Node{Op: op, Inputs: inputs, Attrs: attrs}
	for range outputs {
		n.Outputs = append(n.Outputs, b.fresh(op))
	}
	if b.named {
		n.Name = "node_" + n.Outputs[0]
	}
	b.g.Nodes = append(b.g.Nodes, n)
	return n.Outputs
}

// rename gives the value that the last node writes its final name.
func (b *builder) rename(from, to string) {
	last := b.g.Nodes[len(b.g.Nodes)-1]
	last.Outputs[slices.Index(last.Outputs, from)] = to
}

func (b *builder) input() feature {
	x := feature{"input", 1 + 2*b.IntN(2), 5 + b.IntN(6), 5 + b.IntN(6)}
	b.g.Inputs = []ir.ValueInfo{{Name: x.name, DType: ir.Float32, Shape: ir.Shape{{Sym: "N"}, {Size: x.c}, {Size: x.h}, {Size: x.w}}}}
	return x
}

// convolution is how a convolution slides; pads are top, left, bottom, right unless auto says SAME_* or VALID.
type convolution struct {
	kernel, stride, dilation [2]int
	pads                     [4]int
	auto                     string
	group                    int
	bias                     bool
}

// same is a convolution that keeps the size, with a bias or without.
func (b *builder) same(k int) convolution {
	p := k / 2
	c := convolution{kernel: [2]int{k, k}, stride: [2]int{1, 1}, dilation: [2]int{1, 1}, pads: [4]int{p, p, p, p}, group: 1, bias: b.chance(3)}
	if b.chance(6) {
		c.auto = "SAME_UPPER"
	}
	return c
}

// someConv is any convolution that fits x, now and then an unusual one.
func (b *builder) someConv(x feature) convolution {
	c := b.same(1 + 2*b.IntN(2))
	if x.h < 6 || x.w < 6 {
		return c
	}
	switch b.IntN(8) {
	case 0:
		c.kernel, c.pads = [2]int{5, 5}, [4]int{2, 2, 2, 2}
	case 1:
		c.kernel, c.pads = [2]int{1, 3}, [4]int{0, 1, 0, 1}
	case 2:
		c.kernel, c.pads, c.dilation = [2]int{3, 3}, [4]int{2, 2, 2, 2}, [2]int{2, 2}
	case 3:
		c.stride, c.pads = [2]int{2, 2}, [4]int{0, 0, 1, 1} // TensorFlow's SAME at stride 2
	case 4:
		c.stride, c.auto = [2]int{2, 1}, "SAME_LOWER"
	case 5:
		c.kernel, c.auto = [2]int{2, 3}, "VALID"
	case 6:
		c.kernel, c.pads, c.stride = [2]int{4, 4}, [4]int{1, 1, 1, 1}, [2]int{2, 2}
	}
	return c
}

// slide is the number of places of a window.
func slide(in, k, stride, dilation, begin, end int, auto string) int {
	switch auto {
	case "SAME_UPPER", "SAME_LOWER":
		return (in + stride - 1) / stride
	case "VALID":
		begin, end = 0, 0
	}
	return (in+begin+end-(k-1)*dilation-1)/stride + 1
}

func (c convolution) attrs() ir.Attrs {
	a := ir.Attrs{"kernel_shape": ints(c.kernel[:])}
	if c.stride != [2]int{1, 1} {
		a["strides"] = ints(c.stride[:])
	}
	if c.dilation != [2]int{1, 1} {
		a["dilations"] = ints(c.dilation[:])
	}
	if c.auto != "" {
		a["auto_pad"] = ir.StringAttr(c.auto)
	} else if c.pads != [4]int{} {
		a["pads"] = ints(c.pads[:])
	}
	return a
}

func ints(v []int) ir.Attr {
	var list []int64
	for _, x := range v {
		list = append(list, int64(x))
	}
	return ir.IntsAttr(list...)
}

func (c convolution) apply(x feature) feature {
	x.h = slide(x.h, c.kernel[0], c.stride[0], c.dilation[0], c.pads[0], c.pads[2], c.auto)
	x.w = slide(x.w, c.kernel[1], c.stride[1], c.dilation[1], c.pads[1], c.pads[3], c.auto)
	return x
}

func (b *builder) conv(x feature, out int, c convolution) feature {
	attrs := c.attrs()
	if c.group > 1 {
		attrs["group"] = ir.IntAttr(int64(c.group))
	}
	in := x.c / c.group
	fan := in * c.kernel[0] * c.kernel[1]
	inputs := []string{x.name, b.weight("weight", b.normal(fan, out*fan), out, in, c.kernel[0], c.kernel[1])}
	if c.bias {
		inputs = append(inputs, b.weight("bias", b.around(0, 0.2, out), out))
	}
	y := c.apply(x)
	y.c, y.name = out, b.op("Conv", attrs, inputs...)
	return y
}

// convUnit is a convolution, mostly a batch norm, mostly an activation.
func (b *builder) convUnit(x feature, out int, c convolution) feature {
	x = b.conv(x, out, c)
	if !b.chance(4) {
		x = b.norm(x)
	}
	if !b.chance(5) {
		x = b.act(x)
	}
	return x
}

func (b *builder) norm(x feature) feature {
	attrs := ir.Attrs{"epsilon": ir.FloatAttr(1e-3)}
	if b.flip() {
		attrs["momentum"] = ir.FloatAttr(0.8)
	}
	x.name = b.op("BatchNormalization", attrs, x.name,
		b.weight("gamma", b.around(1, 0.3, x.c), x.c), b.weight("beta", b.around(0, 0.3, x.c), x.c),
		b.weight("mean", b.around(0, 0.3, x.c), x.c), b.weight("var", b.positive(0.5, 1.5, x.c), x.c))
	return x
}

// act is a random activation.
func (b *builder) act(x feature) feature {
	switch b.IntN(14) {
	case 0:
		x.name = b.op("LeakyRelu", ir.Attrs{"alpha": ir.FloatAttr(0.1)}, x.name)
	case 1:
		x.name = b.op("PRelu", nil, x.name, b.weight("slope", b.positive(0.1, 0.4, x.c), x.c, 1, 1))
	case 2:
		x.name = b.op("Tanh", nil, x.name)
	case 3:
		x.name = b.op("Elu", nil, x.name)
	case 4:
		x.name = b.op("Mul", nil, x.name, b.op("Sigmoid", nil, x.name))
	case 5:
		if b.opset >= 14 {
			x.name = b.op("HardSwish", nil, x.name)
		} else {
			x.name = b.op("Mul", nil, x.name, b.op("HardSigmoid", ir.Attrs{"alpha": ir.FloatAttr(1. / 6)}, x.name))
		}
	case 6: // GELU, written out as exporters do
		e := b.op("Erf", nil, b.op("Div", nil, x.name, b.weight("c", []float32{math.Sqrt2})))
		e = b.op("Add", nil, e, b.weight("c", []float32{1}))
		x.name = b.op("Mul", nil, b.op("Mul", nil, x.name, e), b.weight("c", []float32{0.5}))
	case 7, 8:
		x.name = b.clip(x.name, 0, 6)
	case 9:
		x.name = b.op("Softplus", nil, x.name)
	default:
		x.name = b.op("Relu", nil, x.name)
	}
	return x
}

func (b *builder) vectorAct(v vector) vector {
	op := []string{"Relu", "Tanh", "Sigmoid"}[b.IntN(3)]
	return vector{b.op(op, nil, v.name), v.c}
}

func (b *builder) clip(x string, lo, hi float32) string {
	if b.opset < 11 {
		return b.op("Clip", ir.Attrs{"min": ir.FloatAttr(lo), "max": ir.FloatAttr(hi)}, x)
	}
	return b.op("Clip", nil, x, b.weight("min", []float32{lo}), b.weight("max", []float32{hi}))
}

// gate maps anything to numbers between 0 and 1.
func (b *builder) gate(x feature) feature {
	x.name = b.op([]string{"Sigmoid", "HardSigmoid"}[b.IntN(2)], nil, x.name)
	return x
}

func (b *builder) add(x, y feature) feature {
	x.name = b.op("Add", nil, x.name, y.name)
	return x
}

// mul multiplies x by something that broadcasts to it, on either side.
func (b *builder) mul(x, s feature) feature {
	if b.flip() {
		x.name = b.op("Mul", nil, s.name, x.name)
	} else {
		x.name = b.op("Mul", nil, x.name, s.name)
	}
	return x
}

func (b *builder) concat(parts ...feature) feature {
	out := parts[0]
	out.c = 0
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
		out.c += p.c
	}
	axis := int64(1)
	if b.opset >= 11 && b.flip() { // older opsets know no negative axes
		axis = -3
	}
	out.name = b.op("Concat", ir.Attrs{"axis": ir.IntAttr(axis)}, names...)
	return out
}

// split halves the channels, by one Split or two Slices.
func (b *builder) split(x feature) (feature, feature) {
	half := x.c / 2
	if b.opset >= 10 && b.chance(3) {
		left := b.slice(x, []int{1}, []int64{0}, []int64{int64(half)}, []int64{1})
		right := b.slice(x, []int{1}, []int64{int64(half)}, []int64{math.MaxInt64}, []int64{1})
		left.c, right.c = half, half
		return left, right
	}
	attrs := ir.Attrs{"axis": ir.IntAttr(1)}
	if b.opset >= 18 {
		attrs["num_outputs"] = ir.IntAttr(2)
	}
	names := b.ops("Split", 2, attrs, x.name)
	return feature{names[0], half, x.h, x.w}, feature{names[1], half, x.h, x.w}
}

func (b *builder) pool(x feature) feature {
	c := convolution{kernel: [2]int{2, 2}, stride: [2]int{2, 2}, dilation: [2]int{1, 1}}
	switch b.IntN(4) {
	case 0:
		c.kernel, c.pads = [2]int{3, 3}, [4]int{1, 1, 1, 1}
	case 1:
		c.kernel, c.stride, c.pads = [2]int{3, 3}, [2]int{1, 1}, [4]int{1, 1, 1, 1}
	case 2:
		c.auto = "SAME_UPPER"
	}
	attrs := c.attrs()
	op := "MaxPool"
	if b.flip() {
		op = "AveragePool"
		if b.flip() {
			attrs["count_include_pad"] = ir.IntAttr(1)
		}
	}
	y := c.apply(x)
	if b.opset >= 10 && c.auto == "" && b.chance(3) {
		attrs["ceil_mode"] = ir.IntAttr(1)
		y.h, y.w = c.ceil(x.h, 0), c.ceil(x.w, 1)
	}
	y.name = b.op(op, attrs, x.name)
	return y
}

// ceil counts windows that start inside the input or its leading pad.
func (c convolution) ceil(in, axis int) int {
	n := 0
	for at := 0; at < in+c.pads[axis]; at += c.stride[axis] {
		n++
		if at+c.kernel[axis] >= in+c.pads[axis]+c.pads[axis+2] {
			break
		}
	}
	return n
}

func (b *builder) globalPool(x feature) feature {
	return feature{b.op("GlobalAveragePool", nil, x.name), x.c, 1, 1}
}

func (b *builder) reduceMean(x feature) string {
	attrs := ir.Attrs{"keepdims": ir.IntAttr(0)}
	if b.opset >= 18 {
		return b.op("ReduceMean", attrs, x.name, b.list("axes", 2, -1))
	}
	attrs["axes"] = ir.IntsAttr(2, 3)
	return b.op("ReduceMean", attrs, x.name)
}

func (b *builder) squeeze(x feature) string {
	if b.opset >= 13 {
		return b.op("Squeeze", nil, x.name, b.list("axes", 2, 3))
	}
	return b.op("Squeeze", ir.Attrs{"axes": ir.IntsAttr(2, 3)}, x.name)
}

func (b *builder) flatten(x feature) vector {
	return vector{b.op("Flatten", nil, x.name), x.c * x.h * x.w}
}

func (b *builder) reshape(x string, target []int64) string {
	return b.op("Reshape", nil, x, b.list("shape", target...))
}

// slice cuts axes; the caller knows the size of what is left.
func (b *builder) slice(x feature, axes []int, starts, ends, steps []int64) feature {
	var a []int64
	for _, axis := range axes {
		a = append(a, int64(axis))
	}
	if b.opset < 10 { // no steps yet: a pool of one pixel does the same
		x.name = b.op("MaxPool", ir.Attrs{"kernel_shape": ir.IntsAttr(1, 1), "strides": ir.IntsAttr(steps...)}, x.name)
		return x
	}
	x.name = b.op("Slice", nil, x.name, b.list("starts", starts...), b.list("ends", ends...), b.list("axes", a...), b.list("steps", steps...))
	return x
}

// pad adds channels of zeros before and after.
func (b *builder) pad(x feature, before, after int) feature {
	pads := []int64{0, int64(before), 0, 0, 0, int64(after), 0, 0}
	if b.opset < 11 {
		x.name = b.op("Pad", ir.Attrs{"pads": ir.IntsAttr(pads...)}, x.name)
	} else {
		x.name = b.op("Pad", nil, x.name, b.list("pads", pads...))
	}
	x.c += before + after
	return x
}

func (b *builder) dropout(x feature) feature {
	if b.opset < 12 {
		x.name = b.op("Dropout", ir.Attrs{"ratio": ir.FloatAttr(0.3)}, x.name)
	} else {
		x.name = b.op("Dropout", nil, x.name, b.weight("ratio", []float32{0.3}))
	}
	return x
}

// linear is a Gemm, either way round, or a MatMul with an Add.
func (b *builder) linear(v vector, out int) vector {
	w := b.normal(v.c, v.c*out)
	bias := b.around(0, 0.2, out)
	switch b.IntN(4) {
	case 0:
		y := b.op("MatMul", nil, v.name, b.weight("weight", w, v.c, out))
		return vector{b.op("Add", nil, y, b.weight("bias", bias, out)), out}
	case 1:
		return vector{b.op("Gemm", nil, v.name, b.weight("weight", w, v.c, out), b.weight("bias", bias, out)), out}
	case 2:
		attrs := ir.Attrs{"transB": ir.IntAttr(1), "alpha": ir.FloatAttr(0.8), "beta": ir.FloatAttr(0.5)}
		return vector{b.op("Gemm", attrs, v.name, b.weight("weight", w, out, v.c), b.weight("bias", bias, out)), out}
	}
	return vector{b.op("Gemm", ir.Attrs{"transB": ir.IntAttr(1)}, v.name, b.weight("weight", w, out, v.c), b.weight("bias", bias, out)), out}
}
