package operators

// Opsets are forms that operators had in single operator sets.
var Opsets = []Case{
	{Name: "attributes of opset 8", Graph: `
		opset "" 8
		input x float32 (2, 6, 4, 5)
		weight g float32 (6) = 0*6
		weight b float32 (6) = 0*6
		weight m float32 (6) = 0*6
		weight pv float32 (6) = 0*6
		y0 = Slice(x) {axes=[1 -1], starts=[1 0], ends=[5 -1]}
		y1 = Slice(x) {starts=[0 -3], ends=[1 9223372036854775807]}
		y2, y3 = Split(x) {axis=1}
		y4, y5, y6 = Split(x) {axis=1, split=[1 3 2]}
		y7 = Unsqueeze(x) {axes=[0 5]}
		y8 = Squeeze(y7) {axes=[0]}
		y9 = Pad(x) {pads=[0 0 1 0 0 1 0 2], value=0.5}
		y10 = Pad(x) {pads=[0 0 1 2 0 0 0 1], mode="reflect"}
		y11 = Clip(x) {min=-0.5, max=0.7}
		y12 = Clip(x) {max=0.7}
		y13 = Dropout(x) {ratio=0.3}
		y14, i14 = TopK(x) {axis=1, k=3}
		y15 = ReduceSum(x) {axes=[1 2], keepdims=0}
		y16 = ReduceMean(x) {axes=[3]}
		y17 = Softmax(x)
		y18 = LogSoftmax(x) {axis=2}
		y19 = BatchNormalization(x, g, b, m, pv) {epsilon=0.001}
		y20 = Flatten(x)
		y21 = Elu(x) {alpha=0.5}
		y22 = Sum(x, x, x)
		y23 = Max(x, g2)
		weight g2 float32 (4, 5) = 0*20
		y24 = ReduceMax(x) {axes=[2]}
		y25 = LpNormalization(x) {axis=1}`, Forward: true},
	{Name: "what opset 8 had already", Graph: `
		opset "" 9
		input x float32 (2, 3, 4, 5)
		input px float32 (2, 3, 4)
		input m float32 (4, 3)
		weight w float32 (5, 3) = 0*15
		weight c float32 (5) = 0*5
		weight s float32 (3, 1, 1) = 0*3
		y0 = Relu(x)
		y1 = Sigmoid(x)
		y2 = Tanh(x)
		y3 = Exp(x)
		y4 = Erf(x)
		y5 = Softplus(x)
		y6 = LeakyRelu(x) {alpha=0.2}
		y7 = HardSigmoid(x) {alpha=0.3, beta=0.4}
		y8 = Sqrt(px)
		y9 = Log(px)
		y10 = Reciprocal(px)
		y11 = Gemm(m, w, c) {transB=1, alpha=0.5, beta=2.0}
		y12 = GlobalMaxPool(x)
		y13 = PRelu(x, s)
		y14 = Identity(x)
		h = Size(x)
		f = Cast(h) {to=1}
		y15 = Mul(x, f)`},
	{Name: "inputs of opset 10", Graph: `
		opset "" 10
		input x float32 (2, 6, 8, 9)
		weight st int64 (2) = 6 -2
		weight en int64 (2) = 0 -9223372036854775808
		weight ax int64 (2) = 2 3
		weight sp int64 (2) = -2 -3
		weight two int64 (1) = 2
		y0 = Slice(x, st, en, ax, sp)
		y1, i1 = TopK(x, two) {axis=-2}
		y2 = MaxPool(x) {kernel_shape=[3 2], strides=[2 2], dilations=[1 2], ceil_mode=1}
		y3 = AveragePool(x) {kernel_shape=[3 3], strides=[2 2], ceil_mode=1}
		y4 = Dropout(x)`},
	{Name: "inputs of opset 11", Graph: `
		opset "" 11
		input x float32 (2, 6, 4, 5)
		weight lo float32 () = -0.5
		weight hi float32 () = 0.5
		weight p int64 (8) = 0 0 1 0 0 1 0 2
		weight v float32 () = 0.25
		y0 = Clip(x, lo, hi)
		y1 = Pad(x, p, v)
		y2, y3 = Split(x) {axis=-3, split=[2 4]}
		y5 = Unsqueeze(x) {axes=[-1]}
		y4 = Squeeze(y5) {axes=[-1]}
		y6 = ReduceSum(x) {axes=[-1]}
		y7 = Gather(x, i) {axis=-1}
		weight i int64 (3) = -1 0 2
		y8 = Softmax(x) {axis=2}`},
	{Name: "inputs of opset 13", Graph: `
		input x float32 (2, 6, 4, 5)
		weight s int64 (2) = 2 4
		weight a int64 (1) = 1
		weight e int64 (2) = -1 0
		y0, y1 = Split(x, s) {axis=1}
		y2, y3, y4 = Split(x) {axis=1}
		y5 = ReduceSum(x, a) {keepdims=0}
		y6 = Unsqueeze(x, e)
		y7 = Squeeze(y6, e)
		y8 = Softmax(x) {axis=1}`},
	{Name: "inputs of opset 18", Graph: `
		opset "" 18
		input x float32 (2, 7, 4, 5)
		weight a int64 (2) = 1 -1
		weight p int64 (4) = 1 0 2 1
		weight ax int64 (2) = 1 3
		y0, y1, y2 = Split(x) {axis=1, num_outputs=3}
		y3 = ReduceMean(x, a)
		y4 = ReduceMin(x, a) {keepdims=0}
		y5 = ReduceLogSumExp(x, a)
		y6 = Pad(x, p, _, ax)
		y7 = ReduceSumSquare(x)
		y8 = Mish(x)`},
	{Name: "functions of opset 22 and 23", Graph: `
		opset "" 23
		input x float32 (2, 6, 4, 5)
		weight w float32 (4, 6, 3, 3) = 0*216
		weight s int64 (3) = 2 -1 5
		weight g float32 (5) = 0*5
		y0 = Conv(x, w) {pads=[1 1 1 1]}
		y1 = Reshape(x, s)
		y2 = Gelu(x) {approximate="tanh"}
		y3 = GlobalAveragePool(x)
		y4 = LayerNormalization(x, g)
		y5 = Transpose(x) {perm=[0 2 3 1]}
		y6 = HardSwish(x)
		y7 = MaxPool(x) {kernel_shape=[2 2], strides=[2 2]}
		y8 = Softmax(x) {axis=1}
		y9 = Celu(x) {alpha=0.8}
		y10 = Cast(x) {to=1}`},
	{Name: "empty operands", Graph: `
		input x float32 (3, 4)
		weight none float32 (0, 4) =
		weight nowhere int64 (0, 2) =
		weight nothing float32 (0) =
		y0 = Concat(none, x, none) {axis=0}
		y1 = ScatterND(x, nowhere, nothing)`},
	{Name: "shapes that are computed", Graph: `
		input x float32 (2, 6, 4, 5)
		weight zero int64 () = 0
		weight one int64 () = 1
		weight minus int64 (1) = -1
		weight front int64 (1) = 0
		weight four int64 () = 4
		h = Shape(x)
		n = Gather(h, zero)
		c = Gather(h, one)
		half = Div(c, four)
		n1 = Unsqueeze(n, front)
		t = Concat(n1, minus) {axis=0}
		y0 = Reshape(x, t)
		f = ConstantOfShape(h)
		y1 = Add(x, f)
		r = Range(zero, c, one)
		q = Cast(r) {to=1}
		shape = Concat(minus, m1, m1) {axis=0}
		weight m1 int64 (1) = 1
		k = Reshape(q, shape)
		y2 = Mul(x, k)
		e = Expand(k, h)
		y3 = Sub(x, e)`},
}
