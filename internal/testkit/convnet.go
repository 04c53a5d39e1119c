package testkit

import (
	"fmt"
	"math/rand/v2"

	"github.com/dms-go/dms/ir"
)

// RandomConvNet is a random valid classifier: input "input" (N, C, H, W) with symbolic batch, output "logits" (N, K). Its body is a
// random chain of the blocks that real networks are made of, in the forms of a random opset from 9 to 20, with small sizes. Weights
// and running statistics are random and keep activations near one. The same generator state gives the same network.
func RandomConvNet(rng *rand.Rand) *ir.Graph {
	b := newBuilder(rng)
	x := b.input()
	x = b.convUnit(x, b.width(), b.someConv(x))
	for range 1 + rng.IntN(5) {
		x = blocks[rng.IntN(len(blocks))](b, x)
	}
	b.head(x)
	if err := ir.Validate(b.g); err != nil {
		panic(fmt.Sprintf("testkit: random network is not valid: %v", err))
	}
	return b.g
}

// RandomInput is a normally distributed batch of n samples for g's first input, row-major in its own order of axes; tokens where it takes whole
// numbers.
func RandomInput(rng *rand.Rand, g *ir.Graph, n int) []float32 {
	size := n
	for _, d := range g.Inputs[0].Shape[1:] {
		size *= d.Size
	}
	out := make([]float32, size)
	for i := range out {
		if g.Inputs[0].DType.IsFloat() {
			out[i] = float32(rng.NormFloat64())
		} else {
			out[i] = float32(rng.IntN(Vocabulary))
		}
	}
	return out
}

// blocks are what a network is made of, from features to features. Common shapes of real networks come several times.
var blocks = []func(*builder, feature) feature{
	(*builder).plainBlock, (*builder).plainBlock,
	(*builder).residualStage, (*builder).residualStage, (*builder).residualStage,
	(*builder).projectionBlock,
	(*builder).optionABlock,
	(*builder).invertedResidual, (*builder).invertedResidual,
	(*builder).inceptionBlock,
	(*builder).denseBlock,
	(*builder).groupedBlock,
	(*builder).squeezeExcite,
	(*builder).shuffleBlock,
	(*builder).poolBlock,
	(*builder).scaleBlock,
	(*builder).channelsLastBlock,
	(*builder).gateBlock,
	(*builder).attentionBlock,
	(*builder).partialBlock,
	(*builder).upsampleBlock,
	(*builder).instanceBlock,
	(*builder).groupNormBlock,
	(*builder).channelGateBlock,
	(*builder).nextBlock,
}

// plainBlock is one or two convolutions with activations.
func (b *builder) plainBlock(x feature) feature {
	for range 1 + b.IntN(2) {
		x = b.convUnit(x, b.width(), b.someConv(x))
	}
	return x
}

// residualStage is one to three blocks on the same width, x + f(x), with the activation before or after the addition.
func (b *builder) residualStage(x feature) feature {
	before := b.flip()
	for range 1 + b.IntN(3) {
		var f feature
		if before {
			f = b.norm(x)
			f = b.act(f)
			f = b.conv(f, b.width(), b.same(3))
			f = b.act(b.norm(f))
			f = b.conv(f, x.c, b.same(1))
		} else {
			f = b.convUnit(x, b.width(), b.same(3))
			f = b.norm(b.conv(f, x.c, b.same(3)))
		}
		if b.chance(4) {
			f = b.dropout(f)
		}
		x = b.add(x, f)
		if !before {
			x = b.act(x)
		}
	}
	return x
}

// projectionBlock adds two convolved branches, often at half the resolution.
func (b *builder) projectionBlock(x feature) feature {
	out, c := b.width(), b.same(3)
	short := b.same(1)
	if x.h > 3 && x.w > 3 && b.flip() {
		c.stride, short.stride = [2]int{2, 2}, [2]int{2, 2}
	}
	f := b.convUnit(x, b.width(), b.same(1))
	f = b.norm(b.conv(f, out, c))
	return b.act(b.add(f, b.norm(b.conv(x, out, short))))
}

// optionABlock is the parameter-free shortcut of He et al. 2016 (option A): every second pixel, and zeros for the new channels.
func (b *builder) optionABlock(x feature) feature {
	if x.h < 4 || x.w < 4 {
		return b.residualStage(x)
	}
	before, after := 1+b.IntN(3), 1+b.IntN(3)
	c := b.same(3)
	c.stride = [2]int{2, 2}
	f := b.convUnit(x, b.width(), c)
	f = b.norm(b.conv(f, before+x.c+after, b.same(3)))
	short := b.slice(x, []int{2, 3}, []int64{0, 0}, []int64{1 << 40, 1 << 40}, []int64{2, 2})
	short.h, short.w = (x.h+1)/2, (x.w+1)/2
	short = b.pad(short, before, after)
	return b.act(b.add(f, short))
}

// invertedResidual is the block of MobileNetV2 and EfficientNet: widen, depthwise, sometimes squeeze and excite, narrow.
func (b *builder) invertedResidual(x feature) feature {
	mid := x.c * (1 + b.IntN(3))
	f := b.convUnit(x, mid, b.same(1))
	c := b.same(1 + 2*b.IntN(2))
	c.group = mid
	out := x.c
	if b.flip() && x.h > 3 && x.w > 3 {
		c.stride = [2]int{2, 2}
		out = b.width()
	}
	f = b.convUnit(f, mid, c)
	if b.flip() {
		f = b.squeezeExcite(f)
	}
	f = b.norm(b.conv(f, out, b.same(1)))
	if f.sameSize(x) {
		f = b.add(f, x)
	}
	return f
}

// inceptionBlock concatenates branches of different depth.
func (b *builder) inceptionBlock(x feature) feature {
	var branches []feature
	for range 2 + b.IntN(2) {
		f := b.convUnit(x, b.width(), b.same(1))
		if b.flip() {
			f = b.convUnit(f, b.width(), b.same(3))
		}
		branches = append(branches, f)
	}
	if b.chance(3) {
		branches = append(branches, x)
	}
	return b.concat(branches...)
}

// denseBlock concatenates its input with what it computes, as DenseNet does.
func (b *builder) denseBlock(x feature) feature {
	for range 1 + b.IntN(2) {
		f := b.act(b.norm(x))
		f = b.conv(f, b.width(), b.same(3))
		x = b.concat(x, f)
	}
	return b.convUnit(x, b.width(), b.same(1))
}

// groupedBlock has a convolution in groups between two pointwise ones; channels per group in and out may differ.
func (b *builder) groupedBlock(x feature) feature {
	groups := 2 + b.IntN(2)
	c := b.same(3)
	c.group = groups
	f := b.convUnit(x, groups*(1+b.IntN(3)), b.same(1))
	f = b.convUnit(f, groups*(1+b.IntN(3)), c)
	f = b.norm(b.conv(f, x.c, b.same(1)))
	if b.flip() {
		f = b.add(x, f)
	}
	return b.act(f)
}

// squeezeExcite multiplies every channel by a number computed from all of them.
func (b *builder) squeezeExcite(x feature) feature {
	mid := 1 + b.IntN(4)
	if b.flip() {
		s := b.globalPool(x)
		s = b.conv(b.act(b.conv(s, mid, b.same(1))), x.c, b.same(1))
		return b.mul(x, b.gate(s))
	}
	v := b.flatten(b.globalPool(x))
	v = b.linear(b.vectorAct(b.linear(v, mid)), x.c)
	s := b.reshape(v.name, []int64{0, int64(x.c), 1, 1})
	return b.mul(x, b.gate(feature{s, x.c, 1, 1}))
}

// shuffleBlock splits the channels, convolves one half, joins and shuffles them, as ShuffleNetV2 does.
func (b *builder) shuffleBlock(x feature) feature {
	half := 1 + b.IntN(4)
	x = b.convUnit(x, 2*half, b.same(1))
	left, right := b.split(x)
	c := b.same(3)
	c.group = half
	right = b.norm(b.conv(b.convUnit(right, half, b.same(1)), half, c))
	right = b.convUnit(right, half, b.same(1))
	x = b.concat(left, right)
	switch b.IntN(3) {
	case 0: // one half after the other, interleaved
		var order []int64
		for i := range half {
			order = append(order, int64(i), int64(half+i))
		}
		x.name = b.op("Gather", ir.Attrs{"axis": ir.IntAttr(1)}, x.name, b.list("order", order...))
	case 1:
		h, w := int64(x.h), int64(x.w)
		v := b.reshape(x.name, []int64{0, 2, int64(half), h, w})
		v = b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 2, 1, 3, 4)}, v)
		x.name = b.reshape(v, []int64{0, int64(2 * half), h, w})
	}
	return x
}

// partialBlock leaves half of the channels out of a residual block, as CSPNet does.
func (b *builder) partialBlock(x feature) feature {
	x = b.convUnit(x, 2*(1+b.IntN(4)), b.same(1))
	left, right := b.split(x)
	f := b.convUnit(right, b.width(), b.same(3))
	right = b.add(right, b.norm(b.conv(f, right.c, b.same(1))))
	return b.convUnit(b.concat(right, left), b.width(), b.same(1))
}

// upsampleBlock works at half the resolution and joins what comes back with what it left, as U-Net does.
func (b *builder) upsampleBlock(x feature) feature {
	if x.h%2 != 0 || x.w%2 != 0 {
		return b.plainBlock(x)
	}
	c := b.same(3)
	c.stride = [2]int{2, 2}
	f := b.convUnit(x, b.width(), c)
	if b.flip() {
		f = b.convUnit(f, b.width(), b.same(3))
	}
	f = b.resize(f)
	return b.convUnit(b.concat(f, x), b.width(), b.same(3))
}

// resize doubles height and width.
func (b *builder) resize(x feature) feature {
	attrs := ir.Attrs{"mode": ir.StringAttr([]string{"nearest", "linear"}[b.IntN(2)])}
	scales := b.weight("scales", []float32{1, 1, 2, 2}, 4)
	switch {
	case b.opset < 10:
		x.name = b.op("Upsample", attrs, x.name, scales)
	case b.opset < 11:
		x.name = b.op("Resize", attrs, x.name, scales)
	default:
		if b.flip() {
			attrs["coordinate_transformation_mode"] = ir.StringAttr("asymmetric")
		}
		roi := ""
		if b.opset < 13 {
			roi = b.weight("roi", nil, 0)
		}
		x.name = b.op("Resize", attrs, x.name, roi, scales)
	}
	x.h, x.w = 2*x.h, 2*x.w
	return x
}

// instanceBlock norms every channel of every picture by itself, as networks for style do.
func (b *builder) instanceBlock(x feature) feature {
	if x.h*x.w < 4 {
		return b.plainBlock(x)
	}
	f := b.conv(x, x.c, b.same(3))
	f.name = b.op("InstanceNormalization", ir.Attrs{"epsilon": ir.FloatAttr(1e-2)}, f.name,
		b.weight("gamma", b.around(1, 0.3, f.c), f.c), b.weight("beta", b.around(0, 0.3, f.c), f.c))
	f = b.act(f)
	if b.flip() {
		f = b.add(f, x)
	}
	return f
}

// groupNormBlock norms groups of channels in the words of older opsets: an instance norm of what was reshaped.
func (b *builder) groupNormBlock(x feature) feature {
	groups := 1 + b.IntN(3)
	f := b.conv(x, groups*(1+b.IntN(3)), b.same(3))
	ones, zeros := make([]float32, groups), make([]float32, groups)
	for i := range ones {
		ones[i] = 1
	}
	v := b.reshape(f.name, []int64{0, int64(groups), -1})
	v = b.op("InstanceNormalization", ir.Attrs{"epsilon": ir.FloatAttr(1e-2)}, v, b.weight("ones", ones, groups), b.weight("zeros", zeros, groups))
	v = b.reshape(v, []int64{0, int64(f.c), int64(f.h), int64(f.w)})
	v = b.op("Mul", nil, v, b.weight("gamma", b.around(1, 0.3, f.c), f.c, 1, 1))
	f.name = b.op("Add", nil, v, b.weight("beta", b.around(0, 0.3, f.c), f.c, 1, 1))
	return b.act(f)
}

// channelGateBlock multiplies every pixel by a number computed from all of its channels, as CBAM does, or norms over them.
func (b *builder) channelGateBlock(x feature) feature {
	switch b.IntN(5) {
	case 0:
		f := b.conv(x, b.width(), b.same(1))
		f.name = b.op("Softmax", ir.Attrs{"axis": ir.IntAttr(1)}, f.name)
		return b.convUnit(f, b.width(), b.same(1))
	case 1:
		x.name = b.op("LRN", ir.Attrs{"size": ir.IntAttr(3), "alpha": ir.FloatAttr(0.1)}, x.name)
		return x
	}
	over := func(op string) feature {
		attrs := ir.Attrs{"keepdims": ir.IntAttr(1)}
		if b.opset >= 18 {
			return feature{b.op(op, attrs, x.name, b.list("axes", 1)), 1, x.h, x.w}
		}
		attrs["axes"] = ir.IntsAttr(1)
		return feature{b.op(op, attrs, x.name), 1, x.h, x.w}
	}
	f := over("ReduceMean")
	if b.flip() {
		f = b.concat(f, over("ReduceMax"))
	}
	return b.mul(x, b.gate(b.conv(f, 1, b.same(3))))
}

// nextBlock is the block of ConvNeXt: a depthwise convolution, then an MLP on each pixel with the channels last.
func (b *builder) nextBlock(x feature) feature {
	c := b.same(3)
	c.group = x.c
	v := b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 2, 3, 1)}, b.conv(x, x.c, c).name)
	if b.opset >= 17 {
		v = b.op("LayerNormalization", ir.Attrs{"epsilon": ir.FloatAttr(1e-2)}, v,
			b.weight("gamma", b.around(1, 0.3, x.c), x.c), b.weight("beta", b.around(0, 0.3, x.c), x.c))
	}
	mid := b.width()
	v = b.op("MatMul", nil, v, b.weight("weight", b.normal(x.c, x.c*mid), x.c, mid))
	v = b.act(feature{b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 3, 1, 2)}, v), mid, x.h, x.w}).name
	v = b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 2, 3, 1)}, v)
	v = b.op("MatMul", nil, v, b.weight("weight", b.normal(mid, mid*x.c), mid, x.c))
	v = b.op("Mul", nil, v, b.weight("scale", b.around(0.8, 0.2, x.c), x.c))
	return b.add(x, feature{b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 3, 1, 2)}, v), x.c, x.h, x.w})
}

// poolBlock is a pooling layer.
func (b *builder) poolBlock(x feature) feature {
	if x.h < 3 || x.w < 3 {
		return b.act(x)
	}
	return b.pool(x)
}

// scaleBlock multiplies and shifts channels by parameters or by one number.
func (b *builder) scaleBlock(x feature) feature {
	switch b.IntN(5) {
	case 0:
		x.name = b.op("Mul", nil, x.name, b.weight("scale", b.around(1, 0.3, x.c), 1, x.c, 1, 1))
		x.name = b.op("Add", nil, x.name, b.weight("shift", b.around(0, 0.3, x.c), x.c, 1, 1))
	case 1:
		x.name = b.op("Sub", nil, x.name, b.weight("mean", b.around(0, 0.3, 1)))
		x.name = b.op("Div", nil, x.name, b.weight("std", b.around(1.5, 0.2, 1)))
	case 2:
		x.name = b.op("Neg", nil, x.name)
	case 3:
		x.name = b.op([]string{"Max", "Min"}[b.IntN(2)], nil, b.norm(x).name, b.conv(x, x.c, b.same(3)).name)
	default:
		f := b.convUnit(x, x.c, b.same(1))
		g := b.convUnit(x, x.c, b.same(3))
		x.name = b.op("Sum", nil, x.name, f.name, g.name)
	}
	return x
}

// gateBlock multiplies every pixel by one number, computed from its surroundings: one channel broadcasts to all.
func (b *builder) gateBlock(x feature) feature {
	return b.mul(x, b.gate(b.conv(b.convUnit(x, b.width(), b.same(1)), 1, b.same(3))))
}

// attentionBlock is dot-product attention among the pixels, with one head, added to its input.
func (b *builder) attentionBlock(x feature) feature {
	d, pixels := b.width(), int64(x.h*x.w)
	tokens := func(width int, perm ...int64) string {
		f := b.conv(x, width, b.same(1))
		v := b.reshape(f.name, []int64{0, int64(width), pixels})
		return b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(perm...)}, v)
	}
	queries, keys := tokens(d, 0, 2, 1), tokens(d, 0, 1, 2)
	out := b.width()
	values := tokens(out, 0, 2, 1)
	scores := b.op("Mul", nil, b.op("MatMul", nil, queries, keys), b.weight("c", []float32{0.5}))
	mixed := b.op("MatMul", nil, b.op("Softmax", ir.Attrs{"axis": ir.IntAttr(2)}, scores), values)
	v := b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 2, 1)}, mixed)
	f := feature{b.reshape(v, []int64{0, int64(out), int64(x.h), int64(x.w)}), out, x.h, x.w}
	return b.add(x, b.conv(f, x.c, b.same(1)))
}

// channelsLastBlock goes through (N, H, W, C) and multiplies by a matrix there, as files exported from TensorFlow do.
func (b *builder) channelsLastBlock(x feature) feature {
	v := b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 2, 3, 1)}, x.name)
	out := x.c
	if b.flip() {
		out = b.width()
		v = b.op("MatMul", nil, v, b.weight("w", b.normal(x.c, x.c*out), x.c, out))
	}
	v = b.op("Add", nil, v, b.weight("b", b.around(0, 0.2, out), out))
	v = b.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 3, 1, 2)}, v)
	return b.act(feature{v, out, x.h, x.w})
}

// head turns features into logits.
func (b *builder) head(x feature) {
	var v vector
	switch b.IntN(5) {
	case 0:
		v = b.flatten(x) // every pixel is an input of its own
	case 1:
		v = vector{b.reduceMean(x), x.c}
	case 2:
		v = vector{b.squeeze(b.globalPool(x)), x.c}
	case 3:
		p := b.globalPool(x)
		v = vector{b.reshape(p.name, []int64{0, -1}), x.c}
	default:
		v = b.flatten(b.globalPool(x))
	}
	if b.chance(3) {
		v = b.vectorAct(b.linear(v, 2+b.IntN(6)))
	}
	if b.chance(4) {
		v.name = b.dropout(feature{v.name, v.c, 1, 1}).name
	}
	classes := 2 + b.IntN(5)
	v = b.linear(v, classes)
	b.rename(v.name, "logits")
	b.g.Outputs = []ir.ValueInfo{{Name: "logits", DType: ir.Float32, Shape: ir.Shape{{Sym: "N"}, {Size: classes}}}}
}
