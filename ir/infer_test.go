package ir_test

import (
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

func parse(t *testing.T, text string) *ir.Graph {
	t.Helper()
	g, err := ir.Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return g
}

// inputs are the values that the cases below read.
const inputs = `
input x float32 (N, 6, 8, 9)
input odd float32 (N, 6, H, W)
input m float32 (N, 12)
input seq float32 (N, 5, 12)
input free float32 (...)
input idx int64 (4)
weight w float32 (4, 6, 3, 3) = 0*216
weight w1 float32 (4, 6, 1, 1) = 0*24
weight wg float32 (6, 2, 3, 3) = 0*108
weight wd float32 (12, 1, 3, 3) = 0*108
weight b float32 (4) = 0*4
weight c float32 (6) = 1*6
weight mat float32 (12, 7) = 0*84
weight tam float32 (7, 12) = 0*84
weight seven float32 (7) = 0*7
weight two int64 (1) = 2
weight i0 int64 () = 0
weight i4 int64 () = 4
weight i1 int64 () = 1
`

func TestInferShapes(t *testing.T) {
	for _, c := range []struct{ opset, node, want string }{
		// windows
		{"17", "y = Conv(x, w, b)", "(N, 4, 6, 7)"},
		{"17", "y = Conv(x, w) {pads=[1 1 1 1]}", "(N, 4, 8, 9)"},
		{"17", "y = Conv(x, w) {pads=[0 0 1 1], strides=[2 2]}", "(N, 4, 4, 4)"},
		{"17", "y = Conv(x, w) {dilations=[2 3]}", "(N, 4, 4, 3)"},
		{"17", `y = Conv(x, w) {auto_pad="SAME_UPPER", strides=[2 2]}`, "(N, 4, 4, 5)"},
		{"17", `y = Conv(x, w) {auto_pad="SAME_LOWER"}`, "(N, 4, 8, 9)"},
		{"17", `y = Conv(x, w) {auto_pad="VALID"}`, "(N, 4, 6, 7)"},
		{"17", "y = Conv(x, wg) {group=3}", "(N, 6, 6, 7)"},
		{"17", "y = Conv(x, wd) {group=6}", "(N, 12, 6, 7)"},
		{"17", "y = Conv(odd, w) {pads=[1 1 1 1]}", "(N, 4, H, W)"},
		{"17", "y = Conv(odd, w) {pads=[1 1 1 1], strides=[2 1]}", "(N, 4, ?, W)"},
		{"17", `y = Conv(odd, w) {auto_pad="SAME_UPPER", strides=[2 1]}`, "(N, 4, ?, W)"},
		{"17", "y = Conv(free, w)", "(?, 4, ?, ?)"},
		{"17", "y = Conv(x, free)", "(...)"},
		{"17", "y = MaxPool(x) {kernel_shape=[2 2], strides=[2 2]}", "(N, 6, 4, 4)"},
		{"17", "y = MaxPool(x) {kernel_shape=[2 2], strides=[2 2], ceil_mode=1}", "(N, 6, 4, 5)"},
		{"17", "y = AveragePool(x) {kernel_shape=[3 3], strides=[3 3], pads=[1 1 1 1], ceil_mode=1}", "(N, 6, 3, 4)"},
		{"17", "y = MaxPool(x) {kernel_shape=[3 3], strides=[4 5], pads=[1 1 1 1], ceil_mode=1}", "(N, 6, 3, 2)"},
		// The second window would start in the trailing pad: it does not count.
		{"17", "y = MaxPool(x) {kernel_shape=[8 9], strides=[9 10], pads=[0 0 7 8], ceil_mode=1}", "(N, 6, 1, 1)"},
		{"17", "y = GlobalAveragePool(odd)", "(N, 6, 1, 1)"},
		{"17", "y = BatchNormalization(x, c, c, c, c)", "(N, 6, 8, 9)"},
		// element-wise
		{"17", "y = Add(x, c1)", "(N, 6, 8, 9)"},
		{"17", "y = Mul(x, m1)", "(N, 6, 8, 9)"},
		{"17", "y = Add(x, odd)", "(N, 6, 8, 9)"},
		{"17", "y = Add(odd, x)", "(N, 6, 8, 9)"},
		{"17", "y = Add(x, free)", "(...)"},
		{"17", "y = Sum(x, c1, m1)", "(N, 6, 8, 9)"},
		{"17", "y = Where(t, x, c1)", "(N, 6, 8, 9)"},
		{"17", "y = Equal(x, c1)", "(N, 6, 8, 9)"},
		{"11", "y = Clip(x, lo)", "(N, 6, 8, 9)"},
		{"17", "y = Softmax(seq)", "(N, 5, 12)"},
		// products
		{"17", "y = Gemm(m, mat, seven)", "(N, 7)"},
		{"17", "y = Gemm(m, tam) {transB=1}", "(N, 7)"},
		{"17", "y = Gemm(mat, mat) {transA=1}", "(7, 7)"},
		{"17", "y = Gemm(free, mat)", "(?, 7)"},
		{"17", "y = MatMul(seq, mat)", "(N, 5, 7)"},
		{"17", "y = MatMul(seven, tam)", "(12)"},
		{"17", "y = MatMul(seq, twelve)", "(N, 5)"},
		{"17", "y = MatMul(q, seq)", "(N, 3, 12)"},
		// shapes
		{"17", "y = Flatten(x)", "(N, 432)"},
		{"17", "y = Flatten(x) {axis=2}", "(6*N, 72)"},
		{"17", "y = Flatten(x) {axis=0}", "(1, 432*N)"},
		{"17", "y = Flatten(x) {axis=-1}", "(48*N, 9)"},
		{"17", "y = Flatten(x) {axis=4}", "(432*N, 1)"},
		{"17", "y = Reshape(x, <0 -1>)", "(N, 432)"},
		{"17", "y = Reshape(x, <-1 432>)", "(N, 432)"},
		{"17", "y = Reshape(x, <-1 3 2 72>)", "(N, 3, 2, 72)"},
		{"17", "y = Reshape(x, <1 -1>)", "(1, 432*N)"},
		{"17", "y = Reshape(odd, <0 -1 0>)", "(N, 6*W, H)"},
		{"17", "y = Reshape(odd, <0 2 -1>)", "(N, 2, 3*H*W)"},
		{"17", "y = Reshape(seq, <-1 12>)", "(5*N, 12)"},
		{"17", "y = Reshape(seq, <10 -1>)", "(10, 6*N)"},
		{"17", "y = Reshape(seq, <7 -1>)", "(7, ?)"}, // whole where seven divides N
		{"17", "y = Reshape(free, <0 -1 3>)", "(?, ?, 3)"},
		{"17", "y = Reshape(x, idx)", "(?, ?, ?, ?)"},
		{"17", "y = Transpose(x) {perm=[0 2 3 1]}", "(N, 8, 9, 6)"},
		{"17", "y = Transpose(x)", "(9, 8, 6, N)"},
		{"17", "y = Squeeze(s, <1>)", "(N, 5, 1)"},
		{"17", "y = Squeeze(s, <-1 1>)", "(N, 5)"},
		{"11", "y = Squeeze(s) {axes=[1]}", "(N, 5, 1)"},
		{"17", "y = Squeeze(s)", "(...)"}, // N may be one
		{"17", "y = Squeeze(s1)", "(5)"},
		{"17", "y = Unsqueeze(m, <0 -1>)", "(1, N, 12, 1)"},
		{"11", "y = Unsqueeze(m) {axes=[2]}", "(N, 12, 1)"},
		{"17", "y = Concat(x, odd) {axis=1}", "(N, 12, 8, 9)"},
		{"17", "y = Concat(x, x) {axis=0}", "(2*N, 6, 8, 9)"},
		{"17", "y = Concat(x, odd) {axis=-1}", "(N, 6, 8, ?)"},
		{"17", "y = Concat(x, free) {axis=1}", "(N, ?, 8, 9)"},
		{"17", "y = Slice(x, <0 0>, <2147483647 2147483647>, <2 3>, <2 2>)", "(N, 6, 4, 5)"},
		{"17", "y = Slice(x, <-1>, <-9223372036854775808>, <3>, <-1>)", "(N, 6, 8, 9)"},
		{"17", "y = Slice(x, <-1>, <-9223372036854775808>, <3>, <-2>)", "(N, 6, 8, 5)"},
		{"17", "y = Slice(x, <3>, <-2>, <3>)", "(N, 6, 8, 4)"},
		{"17", "y = Slice(x, <5>, <2>, <3>)", "(N, 6, 8, 0)"},
		{"17", "y = Slice(x, <0>, <2>, <0>)", "(?, 6, 8, 9)"},
		{"9", "y = Slice(x) {starts=[1], ends=[3], axes=[1]}", "(N, 2, 8, 9)"},
		{"17", "y = Slice(x, idx, idx)", "(?, ?, ?, ?)"},
		{"17", "y, z = Split(x) {axis=1}", "(N, 3, 8, 9)"},
		{"18", "z, y = Split(x) {axis=3, num_outputs=2}", "(N, 6, 8, 4)"},
		{"17", "z, y = Split(x, <2 4>) {axis=1}", "(N, 4, 8, 9)"},
		{"11", "z, y = Split(x) {axis=1, split=[1 5]}", "(N, 5, 8, 9)"},
		{"17", "y = Pad(x, <0 1 0 0 0 2 -1 3>)", "(N, 9, 7, 12)"},
		{"18", "y = Pad(x, <1 2>, _, <1>)", "(N, 9, 8, 9)"},
		{"9", `y = Pad(x) {pads=[0 0 1 1 0 0 1 1], mode="reflect"}`, "(N, 6, 10, 11)"},
		{"17", "y = ReduceMean(x) {axes=[2 3]}", "(N, 6, 1, 1)"},
		{"18", "y = ReduceMean(x, <-1 2>) {keepdims=0}", "(N, 6)"},
		{"17", "y = ReduceMean(x)", "(1, 1, 1, 1)"},
		{"17", "y = ReduceSum(x) {noop_with_empty_axes=1}", "(N, 6, 8, 9)"},
		{"17", "y = ReduceSum(x, idx)", "(?, ?, ?, ?)"},
		{"17", "y = Gather(x, i1) {axis=1}", "(N, 8, 9)"},
		{"17", "y = Gather(x, idx) {axis=1}", "(N, 4, 8, 9)"},
		{"17", "y = Expand(b, <3 1>)", "(3, 4)"},
		{"17", "y = ConstantOfShape(<2 3>)", "(2, 3)"},
		{"17", "y = Range(i0, i4, i1)", "(4)"},
		{"17", "y = Shape(x)", "(4)"},
		{"17", "y = Shape(x) {start=-3, end=-1}", "(2)"},
		{"17", "y = Size(x)", "()"},
		{"17", "y = Constant() {value_floats=[1.0 2.0]}", "(2)"},
		// a graph's own shape arithmetic
		{"17", "s2 = Shape(x)\nn = Gather(s2, i0) {axis=0}\nu = Unsqueeze(n, <0>)\nt2 = Concat(u, <-1>) {axis=0}\ny = Reshape(x, t2)", "(N, 432)"},
		{"17", "p = Conv(odd, w) {strides=[2 2]}\ns2 = Shape(p)\nq2 = MaxPool(p) {kernel_shape=[3 3], pads=[1 1 1 1], strides=[1 1]}\n" +
			"r = Reshape(q2, s2)\ny = Add(r, p)", "(N, 4, ?, ?)"},
		{"17", "s2 = Shape(x)\ne = Equal(s2, <-1>)\nones = ConstantOfShape(<4>) {value=<int64 (1) = 1>}\nt2 = Where(e, ones, s2)\ny = Expand(one, t2)", "(N, 6, 8, 9)"},
		{"17", "l = Shape(x)\ns2 = Slice(l, <2>, <4>)\nd = Div(s2, <2>)\ny = ConstantOfShape(d)", "(4, 4)"},
		// nothing is known behind an unknown operator
		{"17", "u = Mystery(x)\ny = Relu(u)", "(...)"},
		{"17", "u = Relu@other(x)\ny = Relu(u)", "(...)"},
		{"17", "y = CrossEntropy@dms(m, m)", "()"},
	} {
		g := parse(t, "opset \"\" "+c.opset+inputs+extra+lists(c.node))
		info, err := ir.InferShapes(g, nil)
		if err != nil {
			t.Errorf("%s: %v", c.node, err)
		} else if got := info["y"].Shape.String(); got != c.want {
			t.Errorf("%s: shape %s, want %s", c.node, got, c.want)
		}
	}
}

const extra = `
input m1 float32 (N, 1, 8, 9)
input s float32 (N, 1, 5, 1)
input s1 float32 (1, 5, 1)
input q float32 (N, 3, 5)
input t bool (1)
weight c1 float32 (6, 1, 1) = 1*6
weight twelve float32 (12) = 0*12
weight lo float32 () = 0
weight one float32 (1) = 1
`

// lists turns <1 2> in a node's inputs into a Constant before it.
func lists(nodes string) string {
	var out strings.Builder
	out.WriteByte('\n')
	for _, line := range strings.Split(nodes, "\n") {
		head, attrs, _ := strings.Cut(line, "{")
		for {
			before, rest, ok := strings.Cut(head, "<")
			if !ok {
				break
			}
			list, after, _ := strings.Cut(rest, ">")
			name := "list" + strings.NewReplacer(" ", "_", "-", "m").Replace(list)
			if !strings.Contains(out.String(), name+" =") {
				out.WriteString(name + " = Constant() {value_ints=[" + list + "]}\n")
			}
			head = before + name + after
		}
		if attrs != "" {
			head += "{" + attrs
		}
		out.WriteString(head + "\n")
	}
	return out.String()
}

func TestInferShapesNamesNodeAndFault(t *testing.T) {
	for _, c := range []struct{ node, want string }{
		{"y = Conv(m, w)", "differ in rank"},
		{"y = Conv(x, wg)", "has 6 channels, weight (6, 2, 3, 3) with group 1 wants 2"},
		{"y = Conv(x, wg) {group=4}", "wants 8"},
		{"y = Conv(x, w) {group=0}", "group 0 is not positive"},
		{"y = Conv(x, w) {kernel_shape=[5 5]}", "kernel_shape [5 5] does not fit weight (4, 6, 3, 3)"},
		{"y = Conv(x, w) {strides=[0 1]}", "strides [0 1] is outside 1"},
		{"y = Conv(x, w) {strides=[1]}", "strides [1] has 1 entries, want 2"},
		{"y = Conv(x, w) {pads=[-1 0 0 0]}", "pads [-1 0 0 0] is outside 0"},
		{"y = Conv(x, w) {dilations=[9 1]}", "axis 2 of input (N, 6, 8, 9): kernel [3 3] with dilations [9 1] is wider"},
		{"y = Conv(x, w) {dilations=[1073741824 1]}", "wide"},
		{`y = Conv(x, w) {auto_pad="SAME"}`, `auto_pad "SAME" is not one of`},
		{"y = Conv(x, w, c)", "bias (6) and weight (4, 6, 3, 3): sizes 6 and 4 differ"},
		{"y = Conv(x)", "1 inputs, want 2 to 3"},
		{"y = Conv(x, _)", "input 1 is left out"},
		{"y = Conv(x, w) {group=2.0}", "attribute group is a float, want a int"},
		{"y = MaxPool(x)", "kernel_shape [] does not fit"},
		{"y = MaxPool(x) {kernel_shape=[2 2], pads=[2 2 2 2]}", "reach a whole window"},
		{"y = BatchNormalization(x, c, b, c, c)", "bias (4) and input (N, 6, 8, 9): sizes 4 and 6 differ"},
		{"y = Add(x, b)", "do not broadcast: sizes 9 and 4 at axis 3"},
		{"y = PRelu(m1, x)", "slope (N, 6, 8, 9) does not broadcast"},
		{"y = Gemm(x, mat)", "want two matrices"},
		{"y = Gemm(m, tam)", "(N, 12) by (7, 12) with transA false, transB false: sizes 12 and 7 differ"},
		{"y = Gemm(m, mat, c)", "bias (6) does not broadcast to product (N, 7)"},
		{"y = MatMul(m, tam)", "sizes 12 and 7 differ"},
		{"y = Softmax(m) {axis=2}", "axis 2 is outside a value of rank 2"},
		{"y = Reshape(mat, <5 -1>)", "input (12, 7) does not divide into target shape (5, -1)"},
		{"y = Reshape(mat, <5 17>)", "differ in their number of elements"},
		{"y = Reshape(mat, <-1 -1>)", "two unknown sizes"},
		{"y = Reshape(mat, <-2 1>)", "negative size"},
		{"y = Reshape(mat, <1 1 0>)", "copies axis 2"},
		{"y = Reshape(mat, mat)", "want a list"},
		{"y = Reshape(mat, b)", "want whole numbers"},
		{"y = Transpose(x) {perm=[0 1 1 2]}", "does not order the axes"},
		{"y = Squeeze(x, <1>)", "has size 6, not 1"},
		{"y = Unsqueeze(m, <1 1>)", "name axis 1 twice"},
		{"y = Concat(x, m) {axis=1}", "differ in rank"},
		{"y = Concat(x, x) {axis=4}", "axis 4 is outside"},
		{"y = Concat(w, w1) {axis=1}", "inputs disagree at axis 2: sizes 3 and 1 differ"},
		{"y = Slice(x, <0>, <1>, <1>, <0>)", "step 0"},
		{"y = Slice(x, <0 0>, <1>)", "differ in length"},
		{"y, z = Split(x, <1 2>) {axis=1}", "adds up to 3, axis 1 of input (N, 6, 8, 9) has 6"},
		{"y, z = Split(x, <7 -1>) {axis=1}", "has size -1"},
		{"y = Pad(x, <0 0 0 0>)", "want two for each of 4 axes"},
		{"y = Pad(x, <0 -4 0 0 0 -3 0 0>)", "cut more than axis 1"},
		{"y = Gather(x, <6>) {axis=1}", "index 6 is outside axis 1"},
		{"y = Expand(b, <-1>)", "outside 0"},
		{"y = ConstantOfShape(<-1>)", "outside 0"},
		{"y = Range(i0, i4, i0)", "step is 0"},
		{"y = Constant()", "no value"},
		{"y = Cast(x) {to=99}", "type 99 is not supported"},
		{"y = Relu(nothing)", `reads "nothing"`},
		{"y = CrossEntropy@dms(m, seq)", "want (N, K) both"},
	} {
		_, err := ir.InferShapes(parse(t, "opset \"\" 17"+inputs+extra+lists(c.node)), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `ir: node "y"`) {
			t.Errorf("%s: error %v, want one of node y with %q", c.node, err, c.want)
		}
	}
}

func TestInferShapesTellsEveryFaultOnce(t *testing.T) {
	_, err := ir.InferShapes(parse(t, inputs+"a = Conv(x, wg)\nb1 = Relu(a)\nc2 = Add(b1, m)\ny = Gemm(x, mat)"), nil)
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("error %v, want the faults of a and y and no others", err)
	}
}

func TestInferShapesBindsSymbols(t *testing.T) {
	g := parse(t, inputs+"opset \"\" 17\ninput d float32 (2*N, H)\ny = Flatten(odd) {axis=2}\ns = Shape(odd)\nz = ConstantOfShape(s)")
	info, err := ir.InferShapes(g, map[string]int{"N": 4, "H": 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"odd": "(4, 6, 3, W)", "d": "(8, 3)", "y": "(24, 3*W)", "z": "(4, 6, 3, W)"} {
		if got := info[name].Shape.String(); got != want {
			t.Errorf("%s: shape %s, want %s", name, got, want)
		}
	}
	if _, err := ir.InferShapes(g, map[string]int{"N": -1}); err == nil {
		t.Error("a negative batch was taken")
	}
}

func TestInferShapesStatesTypes(t *testing.T) {
	g := parse(t, inputs+"a = Equal(x, x)\nb1 = Where(a, idx, i1)\nc2 = Shape(x)\nd = Cast(c2) {to=1}\nv, i = MaxPool(x) {kernel_shape=[1 1]}\ny, k = Dropout(x)")
	if _, err := ir.InferShapes(g, nil); err == nil {
		t.Fatal("(N, 6, 8, 9) and (4) broadcast")
	}
	g.Nodes[1].Inputs[1] = "i1"
	info, err := ir.InferShapes(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]ir.DType{
		"a": ir.Bool, "b1": ir.Int64, "c2": ir.Int64, "d": ir.Float32, "v": ir.Float32, "i": ir.Int64, "y": ir.Float32, "k": ir.Bool, "w": ir.Float32,
	} {
		if info[name].DType != want {
			t.Errorf("%s is %v, want %v", name, info[name].DType, want)
		}
	}
}
