package nets

import "github.com/dms-go/dms/ir"

// Case is one network.
type Case struct {
	Name    string
	Unknown bool // it holds an operator that nobody knows, so it cannot run

	build func(b *builder)
}

// Graph builds the network with random weights. Its input is "x", (N, 3, 4, 4).
func (c Case) Graph(seed uint64) *ir.Graph {
	b := start(seed, 3, 4, 4)
	c.build(b)
	return b.g
}

// Cases lists the networks.
func Cases() []Case { return cases }

var cases = []Case{
	{Name: "a chain", build: func(b *builder) {
		x := b.relu("r1", b.bn("bn1", b.conv("c1", "x", 3, 8, 1, 1), 8))
		b.head(b.conv("c2", x, 8, 16, 1, 1), 16)
	}},
	{Name: "instance norm", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		b.head(b.conv("c2", b.op("InstanceNormalization", "in", nil, x, b.weight("in.scale", 8), b.weight("in.bias", 8)), 8, 6, 1, 1), 6)
	}},
	{Name: "residual blocks", build: func(b *builder) {
		x := b.relu("r0", b.conv("stem", "x", 3, 8, 1, 1))
		for _, k := range []string{"l.0", "l.1"} {
			y := b.conv(k+".conv2", b.relu(k+".relu1", b.conv(k+".conv1", x, 8, 4, 1, 1)), 4, 8, 1, 1)
			x = b.relu(k+".out", b.add(k+".add", x, y))
		}
		b.head(x, 8)
	}},
	{Name: "a projection shortcut is no removable block", build: func(b *builder) {
		x := b.conv("stem", "x", 3, 8, 1, 1)
		y := b.conv("b.conv2", b.conv("b.conv1", x, 8, 8, 1, 2), 8, 16, 1, 1)
		b.head(b.add("b.add", y, b.conv("b.down", x, 8, 16, 1, 2)), 16)
	}},
	{Name: "concatenation keeps groups apart", build: func(b *builder) {
		x := b.conv("stem", "x", 3, 8, 1, 1)
		b.head(b.concat("cat", b.conv("a", x, 8, 4, 1, 1), x, b.conv("b", x, 8, 6, 1, 1)), 18)
	}},
	{Name: "depthwise passes channels on", build: func(b *builder) {
		x := b.conv("expand", "x", 3, 8, 1, 1)
		b.head(b.conv("project", b.conv("dw", x, 8, 8, 8, 1), 8, 6, 1, 1), 6)
	}},
	{Name: "depthwise with a multiplier", build: func(b *builder) {
		b.head(b.conv("dw", b.conv("expand", "x", 3, 8, 1, 1), 8, 16, 8, 1), 16)
	}},
	{Name: "few wide groups have a pattern within the group", build: func(b *builder) {
		b.head(b.conv("grouped", b.conv("c1", "x", 3, 16, 1, 1), 16, 12, 2, 1), 12)
	}},
	{Name: "many narrow groups go as wholes", build: func(b *builder) {
		b.head(b.conv("grouped", b.conv("c1", "x", 3, 16, 1, 1), 16, 32, 8, 1), 32)
	}},
	{Name: "squeeze and excite", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		s := b.conv("fc1", b.op("GlobalAveragePool", "p", nil, x), 8, 4, 1, 1)
		s = b.op("Sigmoid", "sig", nil, b.conv("fc2", b.relu("r", s), 4, 8, 1, 1))
		b.head(b.op("Mul", "scale", nil, x, s), 8)
	}},
	{Name: "flatten gives each channel its positions", build: func(b *builder) {
		b.gemm("fc", b.op("Flatten", "flat", nil, b.conv("c1", "x", 3, 8, 1, 1)), 8*16, 10)
		b.output("fc:0")
	}},
	{Name: "a channel pad separates two streams", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		sub := b.op("Slice", "sub", nil, x, b.ints("s", 0, 0), b.ints("e", 99, 99), b.ints("a", 2, 3), b.ints("st", 2, 2))
		p := b.op("Pad", "pad", nil, sub, b.ints("pads", 0, 4, 0, 0, 0, 4, 0, 0))
		b.head(b.add("sum", p, b.conv("c2", x, 8, 16, 1, 2)), 16)
	}},
	{Name: "channel shuffle ties the halves", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		r := b.op("Reshape", "split", nil, x, b.ints("t1", 0, 2, 4, 4, 4))
		r = b.op("Transpose", "swap", ir.Attrs{"perm": ir.IntsAttr(0, 2, 1, 3, 4)}, r)
		b.head(b.op("Reshape", "join", nil, r, b.ints("t2", 0, -1, 4, 4)), 8)
	}},
	{Name: "a slice of channels makes two groups of a layer", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		h := b.op("Slice", "low", nil, x, b.ints("s", 0), b.ints("e", 3), b.ints("a", 1))
		b.head(b.add("sum", b.conv("c2", h, 3, 6, 1, 1), b.conv("c3", x, 8, 6, 1, 1)), 6)
	}},
	{Name: "an unknown operator freezes what it touches", Unknown: true, build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		b.op("Mystery", "who", nil, x)
		b.head(b.conv("c2", x, 8, 6, 1, 1), 6)
		b.output("who:0")
	}},
	{Name: "softmax over channels freezes them", build: func(b *builder) {
		b.head(b.op("Softmax", "soft", ir.Attrs{"axis": ir.IntAttr(1)}, b.conv("c1", "x", 3, 8, 1, 1)), 8)
	}},
	{Name: "what is added to the input stays", build: func(b *builder) {
		b.head(b.add("sum", "x", b.conv("c2", b.conv("c1", "x", 3, 8, 1, 1), 8, 3, 1, 1)), 3)
	}},
	{Name: "a weight with two readers ties them", build: func(b *builder) {
		w := b.weight("shared.weight", 8, 8, 3, 3)
		pads := ir.Attrs{"pads": ir.IntsAttr(1, 1, 1, 1)}
		x := b.op("Conv", "first", pads, b.conv("c1", "x", 3, 8, 1, 1), w)
		b.head(b.op("Conv", "second", pads, b.relu("r", x), w), 8)
	}},
	{Name: "channels last by Transpose, MatMul and bias", build: func(b *builder) {
		x := b.op("Transpose", "nhwc", ir.Attrs{"perm": ir.IntsAttr(0, 2, 3, 1)}, b.conv("c1", "x", 3, 8, 1, 1))
		f := b.op("Reshape", "flat", nil, x, b.ints("t", -1, 128))
		m := b.op("MatMul", "fc1", nil, f, b.weight("m1", 128, 12))
		m = b.relu("r", b.op("Add", "fc1b", nil, m, b.weight("b1", 12)))
		b.op("MatMul", "fc2", nil, m, b.weight("m2", 12, 10))
		b.output("fc2:0")
	}},
	{Name: "a slice beside the whole", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		h := b.op("Slice", "low", nil, x, b.ints("s", 0), b.ints("e", 3), b.ints("a", 1))
		b.head(b.concat("cat", h, x), 11)
	}},
	{Name: "nested blocks", build: func(b *builder) {
		x := b.conv("stem", "x", 3, 8, 1, 1)
		inner := b.add("in.add", x, b.conv("in.conv", x, 8, 8, 1, 1))
		b.head(b.add("out.add", x, b.conv("out.conv", inner, 8, 8, 1, 1)), 8)
	}},
	{Name: "unequal parts by Split", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		b.g.Nodes = append(b.g.Nodes, &ir.Node{
			Name: "split", Op: "Split", Inputs: []string{x, b.ints("parts", 3, 5)}, Outputs: []string{"low", "high"}, Attrs: ir.Attrs{"axis": ir.IntAttr(1)},
		})
		b.head(b.concat("cat", "high", b.conv("c2", "low", 3, 6, 1, 1)), 11)
	}},
	{Name: "channels in another order", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		y := b.op("Gather", "order", ir.Attrs{"axis": ir.IntAttr(1)}, x, b.ints("i", 6, -1, 0, 2))
		b.head(b.add("sum", y, b.conv("c2", x, 8, 4, 1, 1)), 4)
	}},
	{Name: "a channel pad that has been cut", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		p := b.op("Pad", "pad", nil, x, b.ints("pads", 0, 0, 0, 0, 0, 1, 0, 0))
		y := b.op("Gather", "take", ir.Attrs{"axis": ir.IntAttr(1)}, p, b.ints("i", 8, 0, 2, 8, 3, 7))
		b.head(b.add("sum", y, b.conv("c2", x, 8, 6, 1, 1)), 6)
	}},
	{Name: "one weight in two blocks", build: func(b *builder) {
		w := b.weight("shared.weight", 8, 8, 3, 3)
		x := b.conv("stem", "x", 3, 8, 1, 1)
		for _, k := range []string{"l.0", "l.1"} {
			x = b.add(k+".add", x, b.relu(k+".relu", b.op("Conv", k+".conv", ir.Attrs{"pads": ir.IntsAttr(1, 1, 1, 1)}, x, w)))
		}
		b.head(x, 8)
	}},
	{Name: "two inputs multiplied", build: func(b *builder) {
		q := b.op("Reshape", "rq", nil, b.conv("q", "x", 3, 6, 1, 1), b.ints("t", 0, 0, -1))
		k := b.op("Reshape", "rk", nil, b.conv("k", "x", 3, 6, 1, 1), "t")
		a := b.op("MatMul", "qk", nil, b.op("Transpose", "qt", ir.Attrs{"perm": ir.IntsAttr(0, 2, 1)}, q), k)
		b.gemm("fc", b.op("Flatten", "flat", nil, b.op("Softmax", "soft", nil, a)), 256, 10)
		b.output("fc:0")
	}},
	{Name: "the last sum is the output", build: func(b *builder) {
		f := b.op("Flatten", "flat", nil, b.op("GlobalAveragePool", "pool", nil, b.conv("c1", "x", 3, 8, 1, 1)))
		y := b.gemm("fc1", f, 8, 10)
		b.output(b.add("sum", y, b.gemm("fc3", b.relu("r", b.gemm("fc2", y, 10, 12)), 12, 10)))
	}},
	{Name: "second outputs nobody reads", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		b.g.Nodes = append(b.g.Nodes,
			&ir.Node{Name: "max", Op: "MaxPool", Inputs: []string{x}, Outputs: []string{"max:0", "max:1"}, Attrs: ir.Attrs{"kernel_shape": ir.IntsAttr(2, 2)}},
			&ir.Node{Name: "drop", Op: "Dropout", Inputs: []string{"max:0"}, Outputs: []string{"drop:0", "drop:1"}})
		b.head("drop:0", 8)
	}},
	{Name: "residual blocks by Sum", build: func(b *builder) {
		x := b.conv("stem", "x", 3, 8, 1, 1)
		for _, k := range []string{"l.0", "l.1"} {
			x = b.op("Sum", k+".sum", nil, b.conv(k+".conv", x, 8, 8, 1, 1), x)
		}
		b.head(x, 8)
	}},
	{Name: "resizing hands channels on", build: func(b *builder) {
		x := b.conv("c1", "x", 3, 8, 1, 1)
		down := b.conv("down", x, 8, 6, 1, 2)
		b.g.Weights["twice"] = ir.Floats32([]float32{1, 1, 2, 2}, 4)
		near := b.op("Resize", "near", nil, down, "", "twice")
		smooth := b.op("Resize", "smooth", ir.Attrs{"mode": ir.StringAttr("linear")}, b.conv("side", x, 8, 5, 1, 2), "", "twice")
		b.head(b.concat("cat", x, near, smooth), 19)
	}},
	{Name: "sum over channels", build: func(b *builder) {
		x := b.op("ReduceSum", "total", ir.Attrs{"keepdims": ir.IntAttr(1)}, b.conv("c1", "x", 3, 8, 1, 1), b.ints("axes", 1))
		b.head(b.concat("cat", x, b.conv("c2", "x", 3, 5, 1, 1)), 6)
	}},
}
