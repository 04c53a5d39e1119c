package testkit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
)

// Vocabulary is how many rows every table of embeddings has at least: whole numbers below it are tokens.
const Vocabulary = 7

// RandomEncoder is a random valid transformer, written in one of the ways of exporters: input "input", a picture (N, C, H, W) or whole numbers (N, T)
// below Vocabulary, with symbolic batch, output "logits" (N, K). It has a patch embedding or a table, one to three layers of attention and
// MLP, and a head, all of small sizes, in the forms of a random opset from 11 to 23. What belongs to the attention of layer i is named with
// "layers.i.attn", to its MLP with "layers.i.mlp". The same generator state gives the same network.
func RandomEncoder(rng *rand.Rand) *ir.Graph {
	b := newBuilder(rng)
	b.opset = []int64{11, 12, 13, 14, 15, 17, 18, 20, 23}[rng.IntN(9)]
	b.g.Opsets[0].Version = b.opset
	if b.opset > 22 {
		b.g.IRVersion = 11
	}
	e := encoder{
		builder: b, bias: !b.chance(5), gemm: b.chance(4), anonymous: b.named && b.flip(), byRoot: b.chance(4), fused: b.flip(), tied: b.chance(8),
		epsilon: []float32{1e-5, 1e-3}[rng.IntN(2)], target: rng.IntN(4), act: rng.IntN(5),
	}
	e.encode()
	if err := ir.Validate(b.g); err != nil {
		panic(fmt.Sprintf("testkit: random encoder is not valid: %v", err))
	}
	return b.g
}

// encoder is a builder with what one exporter does everywhere in a file.
type encoder struct {
	*builder
	scope     string
	bias      bool // linear layers have one
	gemm      bool // on rows of (N·T, C) instead of MatMul on (N, T, C)
	anonymous bool // matrices of MatMul have no name of their own, as torch.onnx writes them
	byRoot    bool // norms divide by the root of the mean square
	fused     bool // LayerNormalization where the opset has it
	epsilon   float32
	tied      bool // layers share their weights
	target    int  // how targets of Reshape are written
	act       int  // activation of the MLPs
}

// tokens is a value of shape (N, t, c).
type tokens struct {
	name string
	t, c int
}

// op appends a node with one output, named after the part of the network that it stands in.
func (e *encoder) op(op string, attrs ir.Attrs, inputs ...string) string {
	return e.ops(op, 1, attrs, inputs...)[0]
}

func (e *encoder) ops(op string, outputs int, attrs ir.Attrs, inputs ...string) []string {
	names := e.builder.ops(op, outputs, attrs, inputs...)
	if n := e.g.Nodes[len(e.g.Nodes)-1]; n.Name != "" && e.scope != "" {
		n.Name = fmt.Sprintf("/%s/%s_%d", e.scope, op, e.count)
	}
	return names
}

// param adds a weight of the part of the network that is being written.
func (e *encoder) param(kind string, v []float32, shape ...int) string {
	name := e.scope + "." + kind
	if e.tied && strings.HasPrefix(name, "layers.") {
		name = "layers.0." + strings.SplitN(name, ".", 3)[2]
	}
	if w := e.g.Weights[name]; w != nil && e.tied && slices.Equal(w.Shape, shape) {
		return name
	} else if w != nil {
		return e.weight(name, v, shape...)
	}
	e.g.Weights[name] = ir.Floats32(v, shape...)
	return name
}

func (e *encoder) number(v float64) string { return e.weight("c", []float32{float32(v)}) }

func (e *encoder) in(scope string, write func(x tokens) tokens) func(tokens) tokens {
	return func(x tokens) tokens {
		before := e.scope
		e.scope = scope
		y := write(x)
		e.scope = before
		return y
	}
}

func (e *encoder) encode() {
	width := []int{8, 8, 12, 16, 24, 32}[e.IntN(6)]
	var x tokens
	e.scope = "embed"
	if e.chance(3) {
		x = e.table(width)
	} else {
		x = e.patches(width)
	}
	class := e.flip()
	if class {
		x = e.classToken(x)
	}
	if !e.chance(4) {
		shape := []int{x.t, x.c}
		if e.flip() {
			shape = []int{1, x.t, x.c}
		}
		x.name = e.op("Add", nil, x.name, e.param("position", e.around(0, 0.3, x.t*x.c), shape...))
	}
	post := e.chance(3)
	if post && e.flip() {
		x = e.in("embed.norm", e.norm)(x)
	}
	heads := 1 + e.IntN(4)
	for i := range 1 + e.IntN(3) {
		layer := fmt.Sprintf("layers.%d.", i)
		attend := e.in(layer+"attn", func(x tokens) tokens { return e.attend(x, heads) })
		if e.chance(8) {
			attend = e.in(layer+"mix", e.mix)
		}
		x = e.residual(x, layer+"norm1", post, attend)
		x = e.residual(x, layer+"norm2", post, e.in(layer+"mlp", e.mlp))
	}
	if !post {
		x = e.in("norm", e.norm)(x)
	}
	e.scope = "head"
	e.classify(e.pool(x, class))
}

// table takes tokens from a table of embeddings.
func (e *encoder) table(width int) tokens {
	t := 3 + e.IntN(7)
	e.g.Inputs = []ir.ValueInfo{{Name: "input", DType: ir.Int64, Shape: ir.Shape{{Sym: "N"}, {Size: t}}}}
	rows := Vocabulary + e.IntN(4)
	return tokens{e.op("Gather", nil, e.param("table", e.around(0, 1, rows*width), rows, width), "input"), t, width}
}

// patches is a convolution that does not overlap, flattened.
func (e *encoder) patches(width int) tokens {
	p, h, w := 1+e.IntN(3), 1+e.IntN(3), 2+e.IntN(2)
	if h*w < 3 {
		h++
	}
	channels := 1 + 2*e.IntN(2)
	e.g.Inputs = []ir.ValueInfo{{Name: "input", DType: ir.Float32, Shape: ir.Shape{{Sym: "N"}, {Size: channels}, {Size: h * p}, {Size: w * p}}}}
	attrs := ir.Attrs{"kernel_shape": ir.IntsAttr(int64(p), int64(p)), "strides": ir.IntsAttr(int64(p), int64(p))}
	fan := channels * p * p
	v := e.op("Conv", attrs, "input", e.param("weight", e.normal(fan, width*fan), width, channels, p, p), e.param("bias", e.around(0, 0.2, width), width))
	if e.chance(3) { // channels last first
		v = e.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 2, 3, 1)}, v)
		return tokens{e.shape(v, h*w, width), h * w, width}
	}
	switch {
	case e.flip():
		v = e.reshape(v, []int64{0, 0, -1})
	default:
		v = e.shape(v, width, h*w)
	}
	return tokens{e.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(0, 2, 1)}, v), h * w, width}
}

// shape is a Reshape to (N, sizes...). Its target is written in the way of the file.
func (e *encoder) shape(x string, sizes ...int) string {
	var list []int64
	for _, d := range sizes {
		list = append(list, int64(d))
	}
	switch e.target {
	case 0:
		return e.reshape(x, append([]int64{0}, list...))
	case 1:
		return e.reshape(x, append([]int64{-1}, list...))
	case 2:
		list[len(list)-1] = -1
		return e.reshape(x, append([]int64{0}, list...))
	}
	parts := []string{e.batch(x)}
	for i, d := range list {
		if i == len(list)-1 && e.flip() {
			d = -1
		}
		parts = append(parts, e.list("size", d))
	}
	return e.op("Reshape", nil, x, e.op("Concat", ir.Attrs{"axis": ir.IntAttr(0)}, parts...))
}

// batch reads the first size of x, as a list of one.
func (e *encoder) batch(x string) string {
	shape := e.op("Shape", nil, x)
	if e.flip() {
		return e.op("Slice", nil, shape, e.list("starts", 0), e.list("ends", 1), e.list("axes", 0))
	}
	index := e.fresh("index")
	e.g.Weights[index] = ir.Ints64([]int64{0})
	return e.unsqueeze(e.op("Gather", ir.Attrs{"axis": ir.IntAttr(0)}, shape, index), 0)
}

func (e *encoder) unsqueeze(x string, axis int64) string {
	if e.opset >= 13 {
		return e.op("Unsqueeze", nil, x, e.list("axes", axis))
	}
	return e.op("Unsqueeze", ir.Attrs{"axes": ir.IntsAttr(axis)}, x)
}

func (e *encoder) squeezeAxis(x string, axis int64) string {
	if e.opset >= 13 {
		return e.op("Squeeze", nil, x, e.list("axes", axis))
	}
	return e.op("Squeeze", ir.Attrs{"axes": ir.IntsAttr(axis)}, x)
}

func (e *encoder) transpose(x string, perm ...int64) string {
	return e.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(perm...)}, x)
}

// classToken puts a learned token before the others.
func (e *encoder) classToken(x tokens) tokens {
	class := e.param("class", e.around(0, 1, x.c), 1, 1, x.c)
	last := int64(x.c)
	if e.flip() {
		last = 1
	}
	var size string
	if e.chance(3) {
		size = e.filled(e.batch(x.name), 2)
	} else {
		size = e.op("Concat", ir.Attrs{"axis": ir.IntAttr(0)}, e.batch(x.name), e.list("size", 1), e.list("size", last))
	}
	class = e.op("Expand", nil, class, size)
	return tokens{e.op("Concat", ir.Attrs{"axis": ir.IntAttr(1)}, class, x.name), x.t + 1, x.c}
}

// filled is a target of Expand with a first size and so many axes that keep theirs, which exporters state as −1 and then replace by 1.
func (e *encoder) filled(first string, more int) string {
	parts, open, ones := []string{first}, []int64{-1}, []int64{1}
	for range more {
		parts, open, ones = append(parts, e.list("size", -1)), append(open, -1), append(ones, 1)
	}
	list := e.op("Concat", ir.Attrs{"axis": ir.IntAttr(0)}, parts...)
	return e.op("Where", nil, e.op("Equal", nil, list, e.list("open", open...)), e.list("ones", ones...), list)
}

// residual is x + f(x) with a norm before f or after the sum, and sometimes a scale for each channel of f.
func (e *encoder) residual(x tokens, norm string, post bool, f func(tokens) tokens) tokens {
	y := x
	if !post {
		y = e.in(norm, e.norm)(x)
	}
	y = f(y)
	if e.chance(5) {
		y.name = e.op("Mul", nil, y.name, e.weight(norm+".scale", e.around(0.8, 0.2, x.c), x.c))
	}
	if e.flip() {
		x.name = e.op("Add", nil, x.name, y.name)
	} else {
		x.name = e.op("Add", nil, y.name, x.name)
	}
	if post {
		x = e.in(norm, e.norm)(x)
	}
	return x
}

func (e *encoder) mean(x string, axis int64, keep int64) string {
	attrs := ir.Attrs{"keepdims": ir.IntAttr(keep)}
	if e.opset >= 18 {
		return e.op("ReduceMean", attrs, x, e.list("axes", axis))
	}
	attrs["axes"] = ir.IntsAttr(axis)
	return e.op("ReduceMean", attrs, x)
}

// norm is over the last axis of x.
func (e *encoder) norm(x tokens) tokens {
	scale := e.param("weight", e.around(1, 0.2, x.c), x.c)
	if e.byRoot {
		x.name = e.op("Mul", nil, e.unit(x.name), scale)
		return x
	}
	shift := ""
	if e.bias {
		shift = e.param("bias", e.around(0, 0.2, x.c), x.c)
	}
	if e.opset >= 17 && e.fused {
		inputs := []string{x.name, scale}
		if shift != "" {
			inputs = append(inputs, shift)
		}
		attrs := ir.Attrs{"epsilon": ir.FloatAttr(e.epsilon)}
		if e.flip() {
			attrs["axis"] = ir.IntAttr(-1)
		}
		x.name = e.op("LayerNormalization", attrs, inputs...)
		return x
	}
	v := e.unit(e.op("Sub", nil, x.name, e.mean(x.name, -1, 1)))
	x.name = e.op("Mul", nil, v, scale)
	if shift != "" {
		x.name = e.op("Add", nil, x.name, shift)
	}
	return x
}

// unit divides x by the root of its mean square over the last axis.
func (e *encoder) unit(x string) string {
	square := ""
	if e.flip() {
		square = e.op("Pow", nil, x, e.weight("two", []float32{2}))
	} else {
		square = e.op("Mul", nil, x, x)
	}
	root := e.op("Sqrt", nil, e.op("Add", nil, e.mean(square, -1, 1), e.number(float64(e.epsilon))))
	if e.chance(3) {
		return e.op("Mul", nil, x, e.op("Reciprocal", nil, root))
	}
	return e.op("Div", nil, x, root)
}

// project is a linear layer on every token.
func (e *encoder) project(kind string, x tokens, out int) tokens {
	e.scope += "." + kind
	defer func() { e.scope = e.scope[:len(e.scope)-len(kind)-1] }()
	w := e.normal(x.c, x.c*out)
	bias := ""
	if e.bias {
		bias = e.param("bias", e.around(0, 0.2, out), out)
	}
	if e.gemm {
		rows := e.reshape(x.name, []int64{-1, int64(x.c)})
		attrs, shape := ir.Attrs{}, []int{x.c, out}
		if e.flip() {
			attrs["transB"], shape = ir.IntAttr(1), []int{out, x.c}
		}
		inputs := []string{rows, e.param("weight", w, shape...)}
		if bias != "" {
			inputs = append(inputs, bias)
		}
		y := e.op("Gemm", attrs, inputs...)
		return tokens{e.reshape(y, []int64{-1, int64(x.t), int64(out)}), x.t, out}
	}
	matrix := ""
	if e.anonymous {
		matrix = e.weight("onnx::MatMul", w, x.c, out)
	} else {
		matrix = e.param("weight", w, x.c, out)
	}
	y := e.op("MatMul", nil, x.name, matrix)
	if bias != "" {
		if e.flip() {
			y = e.op("Add", nil, bias, y)
		} else {
			y = e.op("Add", nil, y, bias)
		}
	}
	return tokens{y, x.t, out}
}

// cut takes parts of the given sizes of the last axis, by one Split or by a Slice for each.
func (e *encoder) cut(x string, sizes ...int) []string {
	if e.flip() {
		var list []int64
		for _, s := range sizes {
			list = append(list, int64(s))
		}
		attrs := ir.Attrs{"axis": ir.IntAttr(-1)}
		if e.opset < 13 {
			attrs["split"] = ir.IntsAttr(list...)
			return e.ops("Split", len(sizes), attrs, x)
		}
		return e.ops("Split", len(sizes), attrs, x, e.list("split", list...))
	}
	var parts []string
	at := 0
	for _, s := range sizes {
		parts = append(parts, e.op("Slice", nil, x, e.list("starts", int64(at)), e.list("ends", int64(at+s)), e.list("axes", -1)))
		at += s
	}
	return parts
}

// attend is attention among the tokens. heads share keys and values in equal numbers, each pair having its own as a rule.
func (e *encoder) attend(x tokens, heads int) tokens {
	d := []int{2, 3, 4, 6, 8}[e.IntN(5)]
	shared := heads // heads of keys and values
	if heads > 1 && e.chance(3) {
		for shared = 1 + e.IntN(heads); heads%shared != 0; {
			shared--
		}
	}
	if e.opset >= 23 && e.flip() {
		return e.operator(x, heads, shared, d)
	}
	// q, k and v have shape (N, heads, T, d).
	var q, k, v string
	t := x.t
	apart := func(x string, heads int) string {
		return e.transpose(e.shape(x, t, heads, d), 0, 2, 1, 3)
	}
	switch form := e.IntN(4); {
	case form == 0 && shared == heads: // (N, T, 3, heads, d)
		all := e.shape(e.project("qkv", x, 3*heads*d).name, x.t, 3, heads, d)
		all = e.transpose(all, 2, 0, 3, 1, 4)
		parts := make([]string, 3)
		for i := range parts {
			index := e.fresh("index")
			e.g.Weights[index] = ir.Ints64([]int64{int64(i)})
			parts[i] = e.op("Gather", ir.Attrs{"axis": ir.IntAttr(0)}, all, index)
		}
		q, k, v = parts[0], parts[1], parts[2]
	case form <= 1:
		parts := e.cut(e.project("qkv", x, (heads+2*shared)*d).name, heads*d, shared*d, shared*d)
		q, k, v = apart(parts[0], heads), apart(parts[1], shared), apart(parts[2], shared)
	default:
		q = apart(e.project("q", x, heads*d).name, heads)
		k = apart(e.project("k", x, shared*d).name, shared)
		v = apart(e.project("v", x, shared*d).name, shared)
	}
	if e.chance(6) { // norms of queries and keys
		q, k = e.in(e.scope+".qnorm", e.norm)(tokens{q, x.t, d}).name, e.in(e.scope+".knorm", e.norm)(tokens{k, x.t, d}).name
	}
	if d%2 == 0 && e.chance(5) {
		sin, cos := e.turns(x.t, d)
		q, k = e.rotate(q, d, sin, cos), e.rotate(k, d, sin, cos)
	}
	if shared < heads {
		k, v = e.repeat(k, shared, heads, x.t, d), e.repeat(v, shared, heads, x.t, d)
	}
	if e.chance(8) { // attention among the features
		return e.features(q, k, v, t, heads, d, x.c)
	}
	batched := e.chance(6) // heads inside the batch
	kt := []int64{0, 1, 3, 2}
	if batched {
		q, k, v = e.reshape(q, []int64{-1, int64(x.t), int64(d)}), e.reshape(k, []int64{-1, int64(x.t), int64(d)}), e.reshape(v, []int64{-1, int64(x.t), int64(d)})
		kt = []int64{0, 2, 1}
	}
	scale := 1 / math.Sqrt(float64(d))
	form := e.IntN(4)
	switch form {
	case 0:
		q = e.op("Mul", nil, q, e.number(scale))
	case 1:
		q, k = e.op("Mul", nil, q, e.number(math.Sqrt(scale))), e.op("Mul", nil, k, e.number(math.Sqrt(scale)))
	}
	scores := e.op("MatMul", nil, q, e.transpose(k, kt...))
	switch form {
	case 2:
		scores = e.op("Mul", nil, scores, e.number(scale))
	case 3:
		scores = e.op("Div", nil, scores, e.number(1/scale))
	}
	switch {
	case e.chance(4):
		scores = e.op("Add", nil, scores, e.causal(x.t))
	case !batched && e.chance(6): // a bias by head, as relative positions have
		scores = e.op("Add", nil, scores, e.param("relative", e.around(0, 0.5, heads*x.t*x.t), heads, x.t, x.t))
	}
	mixed := e.op("MatMul", nil, e.op("Softmax", ir.Attrs{"axis": ir.IntAttr(-1)}, scores), v)
	if batched {
		mixed = e.reshape(mixed, []int64{-1, int64(heads), int64(x.t), int64(d)})
	}
	mixed = e.shape(e.transpose(mixed, 0, 2, 1, 3), x.t, heads*d)
	return e.project("out", tokens{mixed, x.t, heads * d}, x.c)
}

// operator is attention by the operator of that name, with heads in one axis or in their own.
func (e *encoder) operator(x tokens, heads, shared, d int) tokens {
	dv := 2 + e.IntN(3)
	q, k := e.project("q", x, heads*d).name, e.project("k", x, shared*d).name
	v := e.project("v", x, shared*dv).name
	packed := e.flip()
	if !packed {
		q = e.transpose(e.shape(q, x.t, heads, d), 0, 2, 1, 3)
		k = e.transpose(e.shape(k, x.t, shared, d), 0, 2, 1, 3)
		v = e.transpose(e.shape(v, x.t, shared, dv), 0, 2, 1, 3)
	}
	if d%2 == 0 && e.chance(3) {
		turned := d
		if d > 2 && e.flip() {
			turned = 2
		}
		sin, cos := e.param("sin", e.around(0, 1, x.t*turned/2), x.t, turned/2), e.param("cos", e.around(0, 1, x.t*turned/2), x.t, turned/2)
		order := make([]int64, x.t)
		for i := range order {
			order[i] = int64(i)
		}
		at := e.fresh("order")
		e.g.Weights[at] = ir.Ints64(order, 1, x.t)
		at = e.op("Expand", nil, at, e.filled(e.batch(x.name), 1))
		interleaved := int64(e.IntN(2))
		for _, v := range []struct {
			x     *string
			heads int
		}{{&q, heads}, {&k, shared}} {
			attrs := ir.Attrs{"interleaved": ir.IntAttr(interleaved)}
			if packed || e.flip() {
				attrs["num_heads"] = ir.IntAttr(int64(v.heads))
			}
			if turned < d || e.flip() {
				attrs["rotary_embedding_dim"] = ir.IntAttr(int64(turned))
			}
			*v.x = e.op("RotaryEmbedding", attrs, *v.x, cos, sin, at)
		}
	}
	attrs := ir.Attrs{}
	if packed {
		attrs["q_num_heads"], attrs["kv_num_heads"] = ir.IntAttr(int64(heads)), ir.IntAttr(int64(shared))
	}
	if e.chance(3) {
		attrs["scale"] = ir.FloatAttr(0.4)
	}
	if e.chance(4) {
		attrs["softcap"] = ir.FloatAttr(2)
	}
	inputs := []string{q, k, v}
	switch {
	case e.chance(4):
		attrs["is_causal"] = ir.IntAttr(1)
	case e.chance(4):
		inputs = append(inputs, e.causal(x.t))
	case e.chance(4): // a bias by head
		inputs = append(inputs, e.param("relative", e.around(0, 0.5, heads*x.t*x.t), heads, x.t, x.t))
	}
	y := e.op("Attention", attrs, inputs...)
	if !packed {
		y = e.shape(e.transpose(y, 0, 2, 1, 3), x.t, heads*dv)
	}
	return e.project("out", tokens{y, x.t, heads * dv}, x.c)
}

// features is attention among the features of each head, whose number is then part of every sum, as XCiT does.
func (e *encoder) features(q, k, v string, t, heads, d, out int) tokens {
	scores := e.op("MatMul", nil, e.transpose(q, 0, 1, 3, 2), k)
	mixed := e.op("MatMul", nil, v, e.op("Softmax", ir.Attrs{"axis": ir.IntAttr(-1)}, scores))
	mixed = e.shape(e.transpose(mixed, 0, 2, 1, 3), t, heads*d)
	return e.project("out", tokens{mixed, t, heads * d}, out)
}

// mix is an MLP along the tokens, as MLP-Mixer has in place of attention.
func (e *encoder) mix(x tokens) tokens {
	hidden := []int{4, 8}[e.IntN(2)]
	y := e.project("fc1", tokens{e.transpose(x.name, 0, 2, 1), x.c, x.t}, hidden)
	y.name = e.gelu(y.name)
	y = e.project("fc2", y, x.t)
	return tokens{e.transpose(y.name, 0, 2, 1), x.t, x.c}
}

// causal keeps a token from looking at those behind it.
func (e *encoder) causal(t int) string {
	v := make([]float32, t*t)
	for i := range t {
		for j := i + 1; j < t; j++ {
			v[i*t+j] = -1e4
		}
	}
	if e.flip() {
		return e.weight("causal", v, 1, 1, t, t)
	}
	return e.weight("causal", v, t, t)
}

// repeat hands each head of keys or values to several heads of queries.
func (e *encoder) repeat(x string, shared, heads, t, d int) string {
	each := heads / shared
	x = e.unsqueeze(x, 2)
	target := []int64{1, int64(shared), int64(each), int64(t), int64(d)}
	if e.flip() {
		target = []int64{1, 1, int64(each), 1, 1}
	}
	x = e.op("Expand", nil, x, e.list("shape", target...))
	return e.shape(x, heads, t, d)
}

// turns are the sines and cosines of rotary positions.
func (e *encoder) turns(t, d int) (sin, cos string) {
	s, c := make([]float32, t*d), make([]float32, t*d)
	for i := range t {
		for j := range d {
			angle := float64(i) * math.Pow(100, -float64(j%(d/2))/float64(d))
			s[i*d+j], c[i*d+j] = float32(math.Sin(angle)), float32(math.Cos(angle))
		}
	}
	return e.weight("sin", s, t, d), e.weight("cos", c, t, d)
}

// rotate turns pairs of the last axis, whose halves lie side by side.
func (e *encoder) rotate(x string, d int, sin, cos string) string {
	halves := e.cut(x, d/2, d/2)
	turned := e.op("Concat", ir.Attrs{"axis": ir.IntAttr(-1)}, e.op("Neg", nil, halves[1]), halves[0])
	return e.op("Add", nil, e.op("Mul", nil, x, cos), e.op("Mul", nil, turned, sin))
}

// mlp is two linear layers with a function between, or three with a gate.
func (e *encoder) mlp(x tokens) tokens {
	hidden := []int{4, 8, 16, 20}[e.IntN(4)]
	if e.act == 4 {
		var gate, up tokens
		if e.chance(3) {
			parts := e.cut(e.project("gate_up", x, 2*hidden).name, hidden, hidden)
			gate, up = tokens{parts[0], x.t, hidden}, tokens{parts[1], x.t, hidden}
		} else {
			gate, up = e.project("gate", x, hidden), e.project("up", x, hidden)
		}
		silu := e.op("Mul", nil, gate.name, e.op("Sigmoid", nil, gate.name))
		return e.project("down", tokens{e.op("Mul", nil, silu, up.name), x.t, hidden}, x.c)
	}
	y := e.project("fc1", x, hidden)
	y.name = e.gelu(y.name)
	return e.project("fc2", y, x.c)
}

// gelu is a function of MLPs in one of its forms.
func (e *encoder) gelu(x string) string {
	switch {
	case e.act == 0:
		return e.op("Relu", nil, x)
	case e.act == 1 && e.opset >= 20:
		return e.op("Gelu", nil, x)
	case e.act == 2: // by tanh
		cube := e.op("Pow", nil, x, e.weight("three", []float32{3}))
		inner := e.op("Add", nil, x, e.op("Mul", nil, cube, e.number(0.044715)))
		inner = e.op("Tanh", nil, e.op("Mul", nil, inner, e.number(math.Sqrt(2/math.Pi))))
		half := e.op("Mul", nil, x, e.number(0.5))
		return e.op("Mul", nil, half, e.op("Add", nil, inner, e.number(1)))
	}
	inner := e.op("Erf", nil, e.op("Div", nil, x, e.number(math.Sqrt2)))
	return e.op("Mul", nil, e.op("Mul", nil, x, e.op("Add", nil, inner, e.number(1))), e.number(0.5))
}

// pool makes one vector of the tokens: that of the class, or their mean.
func (e *encoder) pool(x tokens, class bool) vector {
	switch {
	case !class:
		return vector{e.mean(x.name, 1, 0), x.c}
	case e.flip():
		v := e.op("Slice", nil, x.name, e.list("starts", 0), e.list("ends", 1), e.list("axes", 1))
		return vector{e.squeezeAxis(v, 1), x.c}
	}
	index := e.fresh("index")
	e.g.Weights[index] = ir.Ints64([]int64{0})
	return vector{e.op("Gather", ir.Attrs{"axis": ir.IntAttr(1)}, x.name, index), x.c}
}

// classify turns a vector into logits.
func (e *encoder) classify(v vector) {
	if e.chance(4) { // the pooler of BERT
		v = e.linear(v, 2+e.IntN(7))
		v.name = e.op("Tanh", nil, v.name)
	}
	classes := 2 + e.IntN(5)
	v = e.linear(v, classes)
	e.rename(v.name, "logits")
	e.g.Outputs = []ir.ValueInfo{{Name: "logits", DType: ir.Float32, Shape: ir.Shape{{Sym: "N"}, {Size: classes}}}}
}
