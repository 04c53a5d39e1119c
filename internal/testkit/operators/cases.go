package operators

// Cases are all graphs of this package.
var Cases = []Case{
	{Name: "more unary functions", Graph: `
		opset "" 18
		input x float32 (2, 3, 4, 5)
		input px float32 (2, 3, 4)
		y0 = Selu(x)
		y1 = Selu(x) {alpha=1.5, gamma=1.2}
		y2 = Celu(x)
		y3 = Celu(x) {alpha=0.5}
		y4 = Softsign(x)
		y5 = Mish(x)
		y6 = Sin(x)
		y7 = Cos(x)
		y8 = Atan(x)
		y9 = Sinh(x)
		y10 = Cosh(x)
		y11 = ThresholdedRelu(x) {alpha=0.3}
		y12 = ThresholdedRelu(x)
		y13 = Tan(px)`},
	{Name: "steps", Graph: `
		input x float32 (2, 3, 4, 5)
		weight s float32 () = 3
		z = Mul(x, s)
		y0 = Sign(z)
		y1 = Floor(z)
		y2 = Ceil(z)
		y3 = Round(z)`},
	{Name: "halves", Forward: true, Graph: `
		input n9 int64 (2, 50)
		weight half float32 () = 0.5
		f = Cast(n9) {to=1}
		x = Mul(f, half)
		y0 = Round(x)
		y1 = Sign(x)
		y2 = Floor(x)`},
	{Name: "comparisons of floats", Forward: true, Graph: `
		input x float32 (2, 3, 4)
		input z float32 (3, 1)
		y0 = Less(x, z)
		y1 = Greater(x, z)
		y2 = LessOrEqual(x, z)
		y3 = GreaterOrEqual(x, z)
		y4 = Equal(x, x)
		y5 = IsNaN(x)`},
	{Name: "logic", Forward: true, Graph: `
		input n3 int64 (2, 3, 4)
		input i2 int64 (4)
		input b bool (2, 3, 4)
		input c bool (3, 1)
		y0 = Equal(n3, i2)
		y1 = Less(n3, i2)
		y2 = Greater(n3, i2)
		y3 = And(b, c)
		y4 = Or(b, c)
		y5 = Xor(b, c)
		y6 = Not(b)
		y7 = Cast(b) {to=1}
		y8 = Cast(b) {to=7}
		y9 = Cast(n3) {to=9}`},
	{Name: "whole numbers", Forward: true, Graph: `
		input n9 int64 (2, 3, 4)
		input i5 int64 (4)
		weight one int64 () = 1
		weight three int64 (1) = -3
		p = Add(i5, one)
		y0 = Add(n9, i5)
		y1 = Sub(n9, i5)
		y2 = Mul(n9, n9)
		y3 = Div(n9, p)
		y4 = Mod(n9, p)
		y5 = Mod(n9, three)
		y6 = Mod(n9, three) {fmod=1}
		y7 = Max(n9, i5)
		y8 = Min(n9, i5)
		y9 = Neg(n9)
		y10 = Abs(n9)
		y11 = Sign(n9)
		y12 = Div(n9, three)
		y13 = Clip(n9, three, one)
		y14 = Pow(n9, one)`},
	{Name: "casts of floats", Forward: true, Graph: `
		input x float32 (2, 30)
		weight s float32 () = 5
		z = Mul(x, s)
		y0 = Cast(z) {to=7}
		y1 = Cast(z) {to=6}
		y2 = Cast(y0) {to=9}
		y3 = Cast(z) {to=9}
		y4 = Cast(y1) {to=7}`},
	{Name: "remainders of floats", Forward: true, Graph: `
		input x float32 (2, 30)
		input pz float32 (30)
		y0 = Mod(x, pz) {fmod=1}`},
	{Name: "gradients past truth values", Graph: `
		input x float32 (2, 3, 4)
		weight zero float32 () = 0
		b = Greater(x, zero)
		n = Not(b)
		f = Cast(n) {to=1}
		w = Cast(x) {to=9}
		v = Cast(w) {to=1}
		i = IsNaN(x)
		g = Cast(i) {to=1}
		k = Cast(x) {to=7}
		h = Cast(k) {to=1}
		y0 = Mul(x, f)
		y1 = Mul(x, v)
		y2 = Mul(x, g)
		y3 = Mul(x, h)`},
	{Name: "scatter of opset 10", Graph: `
		opset "" 10
		input x float32 (3, 5)
		input u float32 (3, 2)
		weight at int64 (3, 2) = 0 1 2 3 4 0
		y0 = Scatter(x, at, u) {axis=1}`},
	{Name: "where", Graph: `
		input x float32 (2, 3, 4, 5)
		input z float32 (3, 1, 5)
		input c float32 (2, 1, 4, 1)
		weight zero float32 () = 0
		weight ninf float32 () = -inf
		b = Greater(c, zero)
		y0 = Where(b, x, z)
		y1 = Where(b, z, x)
		y2 = Where(b, x, zero)
		m = Where(b, x, ninf)
		y3 = Exp(m)
		y4 = Where(b, c, zero)`},
	{Name: "powers of any exponent, with gradients", Graph: `
		input px float32 (2, 3, 4)
		input e float32 (3, 1)
		input pz float32 ()
		y0 = Pow(px, e)
		y1 = Pow(pz, e)`},
	{Name: "means of several", Graph: `
		input x float32 (2, 3, 4)
		input z float32 (3, 1)
		y0 = Mean(x, z)
		y1 = Mean(x, x, z)`},
	{Name: "more reductions", Graph: `
		input x float32 (2, 3, 4, 5)
		input px float32 (2, 3, 4)
		y0 = ReduceMax(x) {axes=[1]}
		y1 = ReduceMin(x) {axes=[2 3], keepdims=0}
		y2 = ReduceMax(x) {keepdims=0}
		y3 = ReduceL1(x) {axes=[1]}
		y4 = ReduceL2(x) {axes=[1 3]}
		y5 = ReduceSumSquare(x) {axes=[0 2], keepdims=0}
		y6 = ReduceLogSum(px) {axes=[1]}
		y7 = ReduceLogSumExp(x) {axes=[3], keepdims=0}
		y8 = ReduceMin(x) {axes=[0 2]}`},
	{Name: "reductions of opset 18", Graph: `
		opset "" 18
		input x float32 (2, 3, 4, 5)
		weight a int64 (2) = 1 -1
		weight none int64 (0) =
		y0 = ReduceMax(x, a)
		y1 = ReduceL2(x, a) {keepdims=0}
		y2 = ReduceMean(x, none) {noop_with_empty_axes=1}
		y3 = ReduceMean(x)
		y4 = ReduceLogSumExp(x, a)`},
	{Name: "products over axes", Forward: true, Graph: `
		input x float32 (2, 3, 4)
		input n3 int64 (2, 3, 4)
		y0 = ReduceProd(x) {axes=[1]}
		y1 = ReduceProd(x) {axes=[0 2], keepdims=0}
		y2 = ReduceSum(n3)
		y3 = ReduceMax(n3) {axes=[1]}`},
	{Name: "positions of extremes", Forward: true, Graph: `
		input x float32 (2, 3, 4, 5)
		input n3 int64 (2, 3, 4, 5)
		y0 = ArgMax(x) {axis=1}
		y1 = ArgMin(x) {axis=-1, keepdims=0}
		y2 = ArgMax(n3) {axis=2}
		y3 = ArgMax(n3) {axis=2, select_last_index=1}
		y4 = ArgMin(n3) {axis=1, keepdims=0, select_last_index=1}
		y5 = ArgMax(x)`},
	{Name: "top k", Graph: `
		input x float32 (2, 6, 4, 5)
		weight two int64 (1) = 2
		weight six int64 (1) = 6
		y0, i0 = TopK(x, two)
		y1, i1 = TopK(x, two) {axis=1}
		y2, i2 = TopK(x, six) {axis=1, largest=0}
		y3, i3 = TopK(x, two) {axis=2, largest=0}`},
	{Name: "positions of the top k", Forward: true, Graph: `
		input x float32 (2, 6, 4)
		input n3 int64 (2, 9)
		weight three int64 (1) = 3
		v0, y0 = TopK(x, three) {axis=1}
		y1, y2 = TopK(n3, three) {largest=0}
		y3, y4 = TopK(n3, three)`},
	{Name: "running sums", Graph: `
		input x float32 (2, 6, 4, 5)
		weight one int64 () = 1
		weight back int64 () = -1
		y0 = CumSum(x, one)
		y1 = CumSum(x, back) {exclusive=1}
		y2 = CumSum(x, one) {reverse=1}
		y3 = CumSum(x, one) {reverse=1, exclusive=1}`},
	{Name: "hardmax", Forward: true, Graph: `
		input x float32 (2, 3, 4)
		y0 = Hardmax(x) {axis=1}
		y1 = Hardmax(x)`},
	{Name: "hardmax over the rest", Forward: true, Graph: `
		opset "" 11
		input x float32 (2, 3, 4)
		y0 = Hardmax(x) {axis=1}`},
	{Name: "layer norm", Graph: `
		input x float32 (2, 3, 4, 5)
		weight g float32 (5) = 0*5
		weight b float32 (5) = 0*5
		weight g3 float32 (3, 4, 5) = 0*60
		weight b1 float32 (4, 1) = 0*4
		y0 = LayerNormalization(x, g, b)
		y1 = LayerNormalization(x, g)
		y2 = LayerNormalization(x, g3, g3) {axis=1, epsilon=0.01}
		y3 = LayerNormalization(x, g, b1) {axis=-2}`},
	{Name: "statistics of a layer norm", Forward: true, Graph: `
		input x float32 (2, 3, 4)
		weight g float32 (4) = 0*4
		y0, y1, y2 = LayerNormalization(x, g)`},
	{Name: "rms norm", Graph: `
		opset "" 23
		input x float32 (2, 3, 4, 5)
		weight g float32 (5) = 0*5
		weight g2 float32 (4, 5) = 0*20
		y0 = RMSNormalization(x, g)
		y1 = RMSNormalization(x, g2) {axis=2, epsilon=0.1}`},
	{Name: "instance norm", Graph: `
		input x float32 (2, 3, 4, 5)
		input s float32 (2, 3, 7)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		y0 = InstanceNormalization(x, g, b)
		y1 = InstanceNormalization(s, g, b) {epsilon=0.01}`},
	{Name: "group norm of opset 18", Graph: `
		opset "" 18
		input x float32 (2, 6, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		y0 = GroupNormalization(x, g, b) {num_groups=3}`},
	{Name: "group norm of opset 21", Graph: `
		opset "" 21
		input x float32 (2, 6, 4, 5)
		input s float32 (2, 6, 3)
		weight g float32 (6) = 0*6
		weight b float32 (6) = 0*6
		y0 = GroupNormalization(x, g, b) {num_groups=3}
		y1 = GroupNormalization(x, g, b) {num_groups=1, epsilon=0.1}
		y2 = GroupNormalization(s, g, b) {num_groups=6}`},
	{Name: "norms over axes", Graph: `
		input x float32 (2, 3, 4, 5)
		y0 = LpNormalization(x)
		y1 = LpNormalization(x) {axis=1, p=1}
		y2 = LpNormalization(x) {axis=1}
		y3 = MeanVarianceNormalization(x)
		y4 = MeanVarianceNormalization(x) {axes=[1 2]}`},
	{Name: "local response", Graph: `
		input x float32 (2, 7, 3, 4)
		y0 = LRN(x) {size=5, alpha=0.5, beta=0.6, bias=1.5}
		y1 = LRN(x) {size=3}`},
	{Name: "gather by computed indices", Graph: `
		input x float32 (2, 4, 3, 5)
		input v float32 (6)
		input n4 int64 (3)
		input i4 int64 (2, 2)
		input i2 int64 ()
		y0 = Gather(x, n4) {axis=1}
		y1 = Gather(x, i4) {axis=1}
		y2 = Gather(v, n4)
		y3 = Gather(x, i2) {axis=1}
		y4 = Gather(x, i2)
		y5 = Gather(x, n4) {axis=3}`},
	{Name: "an embedding", Graph: `
		input i9 int64 (2, 6)
		weight w float32 (9, 130) = 0*1170
		y0 = Gather(w, i9)`},
	{Name: "gather elements", Graph: `
		input x float32 (3, 4, 5)
		input n4 int64 (3, 6, 5)
		input i3 int64 (2, 2, 5)
		y0 = GatherElements(x, n4) {axis=1}
		y1 = GatherElements(x, i3) {axis=0}
		y2 = GatherElements(x, i3) {axis=-1}`},
	{Name: "gather in several axes", Graph: `
		input x float32 (3, 4, 5, 2)
		input n3 int64 (6, 2)
		input i2 int64 (3, 2, 1)
		input i3 int64 (2, 2, 3)
		y0 = GatherND(x, n3)
		y1 = GatherND(x, i2) {batch_dims=1}
		y2 = GatherND(x, i3)`},
	{Name: "scatter", Graph: `
		input x float32 (3, 5, 4)
		input u float32 (3, 2, 4)
		input v float32 (2, 5, 4)
		weight at int64 (3, 2, 4) = 0 1 2 3 4 0 1 2 1 2 3 4 0 1 2 3 2 3 4 0 1 2 3 4
		weight rows int64 (2, 1) = 2 0
		y0 = ScatterElements(x, at, u) {axis=1}
		y1 = ScatterND(x, rows, v)`},
	{Name: "scatter with a reduction", Graph: `
		opset "" 18
		input x float32 (3, 5, 4)
		input u float32 (3, 2, 4)
		input v float32 (4, 4)
		input i5 int64 (3, 2, 4)
		input n3 int64 (4, 2)
		y0 = ScatterElements(x, i5, u) {axis=1, reduction="add"}
		y1 = ScatterND(x, n3, v) {reduction="add"}`},
	{Name: "scatter with other reductions", Forward: true, Graph: `
		opset "" 18
		input x float32 (3, 5, 4)
		input u float32 (3, 2, 4)
		input i5 int64 (3, 2, 4)
		y0 = ScatterElements(x, i5, u) {axis=1, reduction="mul"}
		y1 = ScatterElements(x, i5, u) {axis=1, reduction="max"}
		y2 = ScatterElements(x, i5, u) {axis=1, reduction="min"}`},
	{Name: "one-hot", Graph: `
		input n5 int64 (2, 3)
		weight depth int64 () = 5
		weight values float32 (2) = -1 3
		y0 = OneHot(n5, depth, values)
		y1 = OneHot(n5, depth, values) {axis=0}
		y2 = OneHot(n5, depth, values) {axis=1}`},
	{Name: "triangles", Graph: `
		input x float32 (2, 4, 5)
		weight one int64 () = 1
		weight back int64 () = -2
		y0 = Trilu(x)
		y1 = Trilu(x, one)
		y2 = Trilu(x, back) {upper=0}
		y3 = Trilu(x) {upper=0}`},
	{Name: "tile", Graph: `
		input x float32 (2, 3, 4)
		weight r int64 (3) = 2 1 3
		y0 = Tile(x, r)`},
	{Name: "depth and space", Graph: `
		input x float32 (2, 8, 3, 4)
		input z float32 (2, 3, 4, 6)
		y0 = DepthToSpace(x) {blocksize=2}
		y1 = DepthToSpace(x) {blocksize=2, mode="CRD"}
		y2 = SpaceToDepth(z) {blocksize=2}`},
	{Name: "transposed convolution", Graph: `
		input x float32 (2, 4, 5, 3)
		weight w float32 (4, 3, 3, 2) = 0*72
		weight b float32 (3) = 0*3
		y0 = ConvTranspose(x, w, b)
		y1 = ConvTranspose(x, w) {strides=[2 2], pads=[1 0 1 1]}
		y2 = ConvTranspose(x, w, b) {strides=[2 3], output_padding=[1 2]}
		y3 = ConvTranspose(x, w) {dilations=[2 1], pads=[1 1 0 0]}
		y4 = ConvTranspose(x, w) {strides=[2 2], auto_pad="SAME_UPPER"}`},
	{Name: "transposed convolution in groups", Graph: `
		input x float32 (2, 4, 5, 3)
		weight w float32 (4, 3, 2, 2) = 0*48
		weight d float32 (4, 1, 4, 4) = 0*64
		weight b float32 (6) = 0*6
		y0 = ConvTranspose(x, w, b) {group=2, strides=[2 2]}
		y1 = ConvTranspose(x, d) {group=4, strides=[2 2], pads=[1 1 1 1]}`},
	{Name: "transposed convolution of a signal", Graph: `
		input x float32 (2, 4, 5)
		weight w float32 (4, 3, 4) = 0*48
		y0 = ConvTranspose(x, w) {strides=[2], pads=[1 1]}`},
	{Name: "resize by cubes", Graph: `
		input x float32 (2, 3, 6, 5)
		weight up float32 (4) = 1 1 2 1.6
		weight down float32 (4) = 1 1 0.5 0.8
		weight sizes int64 (4) = 2 3 7 9
		y0 = Resize(x, _, up) {mode="cubic"}
		y1 = Resize(x, _, down) {mode="cubic", cubic_coeff_a=-0.5}
		y2 = Resize(x, _, up) {mode="cubic", coordinate_transformation_mode="align_corners"}
		y3 = Resize(x, _, _, sizes) {mode="cubic", coordinate_transformation_mode="asymmetric", exclude_outside=1}
		y4 = Resize(x, _, _, sizes) {mode="cubic", coordinate_transformation_mode="pytorch_half_pixel"}`},
	{Name: "resize without aliases", Graph: `
		opset "" 18
		input x float32 (2, 3, 9, 12)
		weight down float32 (4) = 1 1 0.5 0.4
		weight up float32 (4) = 1 1 1.5 0.7
		y0 = Resize(x, _, down) {mode="linear", antialias=1}
		y1 = Resize(x, _, up) {mode="linear", antialias=1}
		y2 = Resize(x, _, down) {mode="cubic", antialias=1}
		y3 = Resize(x, _, down) {mode="linear", antialias=1, exclude_outside=1}`},
	{Name: "resize from rarer coordinates", Graph: `
		opset "" 19
		input x float32 (2, 3, 6, 5)
		weight up float32 (4) = 1 1 2.3 1.7
		y0 = Resize(x, _, up) {mode="linear", coordinate_transformation_mode="half_pixel_symmetric"}
		y1 = Resize(x, _, up) {mode="nearest", coordinate_transformation_mode="half_pixel_symmetric"}`},
	{Name: "resize from coordinates of TensorFlow", Graph: `
		opset "" 11
		input x float32 (2, 3, 6, 5)
		weight none float32 (0) =
		weight up float32 (4) = 1 1 2.3 1.7
		y0 = Resize(x, none, up) {mode="nearest", coordinate_transformation_mode="tf_half_pixel_for_nn", nearest_mode="floor"}`},
	{Name: "upsample of opset 9", Graph: `
		opset "" 9
		input x float32 (2, 3, 4, 5)
		weight up float32 (4) = 1 1 2 3
		y0 = Upsample(x, up)
		y1 = Upsample(x, up) {mode="linear"}`},
	{Name: "upsample of opset 8", Graph: `
		opset "" 8
		input x float32 (2, 3, 4, 5)
		y0 = Upsample(x) {scales=[1.0 1.0 2.0 3.0]}
		y1 = Upsample(x) {mode="linear", scales=[1.0 1.0 2.0 2.0]}`},
	{Name: "matmul with stacks that broadcast", Graph: `
		input x float32 (2, 3, 4, 5)
		input w float32 (3, 5, 2)
		input m float32 (4, 5)
		input s float32 (2, 1, 5, 6)
		input v float32 (5)
		y0 = MatMul(x, w)
		y1 = MatMul(m, w)
		y2 = MatMul(x, s)
		y3 = MatMul(x, v)
		y4 = MatMul(v, w)
		y5 = MatMul(v, v)`},
	{Name: "einsum", Graph: `
		input a float32 (2, 3, 4)
		input b float32 (2, 4, 5)
		input h float32 (2, 3, 2, 4)
		input k float32 (2, 6, 2, 4)
		input p float32 (3, 4)
		y0 = Einsum(a, b) {equation="bij,bjk->bik"}
		y1 = Einsum(a) {equation="bij->jb"}
		y2 = Einsum(h, k) {equation="bqhd,bkhd->bhqk"}
		y3 = Einsum(a, p) {equation="bij, ij -> b"}
		y4 = Einsum(p, p) {equation="ij,kj"}
		y5 = Einsum(p) {equation="ij->"}
		y6 = Einsum(a, p) {equation="bij,kl->kbil"}
		y7 = Einsum(h, p) {equation="bqhd,qd->hqb"}`},
	{Name: "pads that cut and wrap", Graph: `
		opset "" 19
		input x float32 (2, 3, 4, 5)
		weight p int64 (8) = 0 -1 2 0 0 1 -1 -2
		weight w int64 (8) = 0 0 2 1 0 1 0 3
		y0 = Pad(x, p)
		y1 = Pad(x, w) {mode="wrap"}`},
}
