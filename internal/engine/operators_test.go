package engine_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/testkit/operators"
	"github.com/dms-go/dms/ir"
)

// operatorCase is a small graph around one operator. Inputs and all-zero float weights get random values, those whose names begin with "p"
// positive ones. Both its results and its gradients are checked, unless it has none.
type operatorCase struct {
	name     string
	graph    string
	training bool
	forward  bool // it has no gradient
}

var operatorCases = []operatorCase{
	{name: "convolution", graph: `
		input x float32 (2, 3, 5, 6)
		weight w float32 (4, 3, 3, 2) = 0*72
		weight b float32 (4) = 0*4
		y = Conv(x, w, b) {pads=[1 0 0 1], strides=[2 1]}`},
	{name: "convolution in groups, dilated", graph: `
		input x float32 (2, 4, 6, 6)
		weight w float32 (6, 2, 2, 3) = 0*72
		y = Conv(x, w) {group=2, dilations=[2 1], pads=[1 1 1 1], strides=[1 2]}`},
	{name: "depthwise convolution", graph: `
		input x float32 (2, 5, 6, 5)
		weight w float32 (5, 1, 3, 3) = 0*45
		y = Conv(x, w) {group=5, pads=[1 1 1 1], strides=[2 2]}`},
	{name: "depthwise convolution with a multiplier", graph: `
		input x float32 (2, 3, 4, 5)
		weight w float32 (6, 1, 3, 3) = 0*54
		y = Conv(x, w) {group=3, auto_pad="SAME_UPPER"}`},
	{name: "convolution of a signal", graph: `
		input x float32 (2, 3, 7)
		weight w float32 (4, 3, 3) = 0*36
		weight b float32 (4) = 0*4
		y = Conv(x, w, b) {pads=[1 1], strides=[2]}`},
	{name: "convolution with a computed kernel", graph: `
		input x float32 (2, 3, 4, 4)
		input m float32 (3)
		weight w float32 (4, 3, 1, 1) = 0*12
		weight s int64 (3) = 3 1 1
		r = Reshape(m, s)
		k = Mul(w, r)
		y = Conv(x, k)`},
	{name: "gemm", graph: `
		input x float32 (3, 4)
		input w float32 (4, 5)
		input c float32 (5)
		y = Gemm(x, w, c)`},
	{name: "gemm, both transposed, scaled", graph: `
		input x float32 (4, 3)
		input w float32 (5, 4)
		input c float32 (3, 1)
		y = Gemm(x, w, c) {transA=1, transB=1, alpha=0.5, beta=2.0}`},
	{name: "gemm, left transposed", graph: `
		input x float32 (4, 3)
		input w float32 (4, 5)
		y = Gemm(x, w) {transA=1}`},
	{name: "gemm, right transposed", graph: `
		input x float32 (3, 4)
		input w float32 (5, 4)
		y = Gemm(x, w) {transB=1}`},
	{name: "matmul with one right operand", graph: `
		input x float32 (2, 3, 4)
		input w float32 (4, 5)
		y = MatMul(x, w)`},
	{name: "matmul of stacks", graph: `
		input x float32 (2, 2, 3, 4)
		input w float32 (2, 2, 4, 5)
		y = MatMul(x, w)`},
	{name: "batch norm in inference", graph: `
		input x float32 (2, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		y = BatchNormalization(x, g, b, m, pv)`},
	{name: "batch norm in training", training: true, graph: `
		input x float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		y = BatchNormalization(x, g, b, m, pv) {epsilon=0.01}`},
	{name: "batch norm with a rectifier behind", training: true, graph: `
		input x float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		y = Relu(n)`},
	{name: "batch norm with a clip behind", training: true, graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		weight lo float32 () = -0.5
		weight hi float32 () = 0.75
		y = Clip(n, lo, hi)`},
	{name: "batch norm with a clip behind, in inference", graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		weight lo float32 () = -0.5
		weight hi float32 () = 0.75
		y = Clip(n, lo, hi)`},
	{name: "batch norm with a gate behind", training: true, graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		s = Sigmoid(n)
		y = Mul(n, s)`},
	{name: "batch norm with a gate behind, in inference", graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		s = Sigmoid(n)
		y = Mul(n, s)`},
	{name: "batch norm with a hard swish behind", training: true, graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		y = HardSwish(n)`},
	{name: "batch norm with a hard swish behind, in inference", graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		y = HardSwish(n)`},
	{name: "batch norm in a residual sum", training: true, graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		y = Add(z, n)`},
	{name: "batch norm in a residual sum, in inference", graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		y = Add(z, n)`},
	{name: "batch norm in a residual sum with a rectifier behind", training: true, graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		s = Add(n, z)
		y = Relu(s)`},
	{name: "batch norm in a residual sum with a rectifier behind, in inference", graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		s = Add(n, z)
		y = Relu(s)`},
	{name: "two batch norms in a sum", training: true, graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		k = BatchNormalization(z, g, b, m, pv)
		s = Add(n, k)
		y = Relu(s)`},
	{name: "two batch norms in a sum, in inference", graph: `
		input x float32 (3, 3, 4, 5)
		input z float32 (3, 3, 4, 5)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		n = BatchNormalization(x, g, b, m, pv)
		k = BatchNormalization(z, g, b, m, pv)
		s = Add(n, k)
		y = Relu(s)`},
	{name: "convolution with a sum and a rectifier behind", graph: `
		input x float32 (2, 3, 4, 5)
		input z float32 (2, 4, 4, 5)
		input w float32 (4, 3, 3, 3)
		input b float32 (4)
		c = Conv(x, w, b) {pads=[1 1 1 1]}
		s = Add(c, z)
		y = Relu(s)`},
	{name: "convolution with a sum and two functions behind", graph: `
		input x float32 (2, 3, 4, 5)
		input z float32 (2, 4, 4, 5)
		input w float32 (4, 3, 3, 3)
		weight lo float32 () = -1.5
		weight hi float32 () = 1.25
		c = Conv(x, w) {pads=[1 1 1 1]}
		s = Add(c, z)
		k = Clip(s, lo, hi)
		y = Relu(k)`},
	{name: "sigmoid gates", graph: `
		input x float32 (2, 3, 4, 5)
		s = Sigmoid(x)
		y0 = Mul(x, s)
		r = Sigmoid(x)
		y1 = Mul(r, x)`},
	{name: "batch norm of vectors", training: true, graph: `
		input x float32 (5, 3)
		weight g float32 (3) = 0*3
		weight b float32 (3) = 0*3
		weight m float32 (3) = 0*3
		weight pv float32 (3) = 0*3
		y = BatchNormalization(x, g, b, m, pv)`},
	{name: "unary functions", graph: `
		input x float32 (2, 3, 4, 5)
		input px float32 (2, 3, 4, 5)
		y0 = Relu(x)
		y1 = Sigmoid(x)
		y2 = Tanh(x)
		y3 = Exp(x)
		y4 = Sqrt(px)
		y5 = Erf(x)
		y6 = Abs(x)
		y7 = Neg(x)
		y8 = Softplus(x)
		y9 = HardSwish(x)
		y10 = LeakyRelu(x) {alpha=0.3}
		y11 = Elu(x) {alpha=0.7}
		y12 = HardSigmoid(x) {alpha=0.4, beta=0.4}
		y13 = Log(px)
		y14 = Reciprocal(px)
		y15 = Identity(y1)
		y16 = Cast(y2) {to=1}
		y17 = Dropout(y3)
		y18 = Gelu(x)
		y19 = Gelu(x) {approximate="tanh"}`},
	{name: "hard functions far out", graph: `
		input x float32 (2, 30)
		weight c float32 () = 5
		z = Mul(x, c)
		y0 = HardSwish(z)
		y1 = HardSigmoid(z)
		y2 = Softplus(z)
		y3 = Sigmoid(z)`},
	{name: "clip", graph: `
		input x float32 (2, 3, 4, 5)
		weight lo float32 () = -0.5
		weight hi float32 () = 0.75
		y0 = Clip(x, lo, hi)
		y1 = Clip(x, lo)
		y2 = Clip(x, _, hi)`},
	{name: "powers", graph: `
		input x float32 (2, 3)
		input px float32 (2, 3)
		weight two float32 () = 2
		weight half float32 (1) = 0.5
		y0 = Pow(x, two)
		y1 = Pow(px, half)`},
	{name: "powers of any exponent", forward: true, graph: `
		input px float32 (2, 3)
		input e float32 (3)
		y = Pow(px, e)`},
	{name: "prelu", graph: `
		input x float32 (2, 3, 4, 5)
		input s float32 (3, 1, 1)
		input t float32 (1)
		y0 = PRelu(x, s)
		y1 = PRelu(x, t)`},
	{name: "arithmetic on equal shapes", graph: `
		input x float32 (2, 3, 4, 5)
		input z float32 (2, 3, 4, 5)
		input pz float32 (2, 3, 4, 5)
		y0 = Add(x, z)
		y1 = Sub(x, z)
		y2 = Mul(x, z)
		y3 = Div(x, pz)
		y4 = Max(x, z)
		y5 = Min(x, z)
		y6 = Sum(x, z, pz)
		y7 = Mul(x, x)`},
	{name: "a vector of channels on either side", graph: `
		input x float32 (2, 3, 4, 5)
		input c float32 (3, 1, 1)
		input pc float32 (1, 3, 1, 1)
		y0 = Add(x, c)
		y1 = Sub(c, x)
		y2 = Mul(c, x)
		y3 = Div(x, pc)
		y4 = Max(c, x)
		y5 = Min(x, c)
		y6 = Sub(x, c)
		y7 = Mul(x, c)
		y8 = Add(c, x)
		y9 = Div(c, pc)`},
	{name: "a vector for each sample", graph: `
		input x float32 (2, 3, 4, 5)
		input s float32 (2, 3, 1, 1)
		y0 = Mul(x, s)
		y1 = Mul(s, x)
		y2 = Add(s, x)`},
	{name: "a mask of pixels", graph: `
		input x float32 (2, 3, 4, 5)
		input s float32 (2, 1, 4, 5)
		input r float32 (1, 1, 4, 1)
		y0 = Mul(x, s)
		y1 = Mul(r, x)
		y2 = Sub(s, r)
		y3 = Add(r, x)`},
	{name: "numbers with tensors", graph: `
		input x float32 (2, 3, 4, 5)
		input c float32 ()
		input pd float32 (1)
		y0 = Mul(x, c)
		y1 = Sub(c, x)
		y2 = Div(x, pd)
		y3 = Add(c, pd)
		y4 = Mul(c, x)`},
	{name: "outer products", graph: `
		input a float32 (4, 1)
		input b float32 (1, 3)
		input c float32 (2, 1, 3)
		y0 = Mul(a, b)
		y1 = Add(a, c)
		y2 = Sub(b, a)`},
	{name: "max pool", graph: `
		input x float32 (2, 3, 6, 7)
		y0 = MaxPool(x) {kernel_shape=[2 2], strides=[2 2]}
		y1 = MaxPool(x) {kernel_shape=[3 3], strides=[2 2], pads=[1 1 1 1]}
		y2 = MaxPool(x) {kernel_shape=[3 2], strides=[2 2], ceil_mode=1, pads=[1 0 0 1]}
		y3 = MaxPool(x) {kernel_shape=[2 2], dilations=[2 3]}`},
	{name: "average pool", graph: `
		input x float32 (2, 3, 6, 7)
		y0 = AveragePool(x) {kernel_shape=[2 2], strides=[2 2]}
		y1 = AveragePool(x) {kernel_shape=[3 3], strides=[2 2], pads=[1 1 1 1]}
		y2 = AveragePool(x) {kernel_shape=[3 3], strides=[2 2], pads=[1 1 0 1], count_include_pad=1}
		y3 = AveragePool(x) {kernel_shape=[3 2], strides=[2 2], ceil_mode=1, count_include_pad=1, pads=[1 0 1 0]}
		y4 = AveragePool(x) {kernel_shape=[3 2], strides=[2 2], ceil_mode=1, pads=[1 0 1 0]}`},
	{name: "pools of signals", graph: `
		input x float32 (2, 3, 7)
		y0 = MaxPool(x) {kernel_shape=[3], strides=[2], pads=[1 1]}
		y1 = AveragePool(x) {kernel_shape=[2], strides=[2]}
		y2 = GlobalAveragePool(x)`},
	{name: "global pools", graph: `
		input x float32 (2, 3, 4, 5)
		y0 = GlobalAveragePool(x)
		y1 = GlobalMaxPool(x)`},
	{name: "reductions", graph: `
		input x float32 (2, 3, 4, 5)
		weight a int64 (1) = 1
		y0 = ReduceMean(x) {axes=[2 3]}
		y1 = ReduceMean(x) {axes=[-1 -2], keepdims=0}
		y2 = ReduceSum(x, a)
		y3 = ReduceMean(x) {axes=[0 2], keepdims=0}
		y4 = ReduceMean(x) {axes=[1 3]}
		y5 = ReduceMean(x) {keepdims=0}
		y6 = ReduceMean(x) {axes=[3], keepdims=0}`},
	{name: "softmax over one axis", graph: `
		input x float32 (2, 3, 4, 5)
		y0 = Softmax(x) {axis=1}
		y1 = Softmax(x)
		y2 = LogSoftmax(x) {axis=2}
		y3 = LogSoftmax(x) {axis=1}`},
	{name: "softmax over the rest", graph: `
		opset "" 11
		input x float32 (2, 3, 4)
		y0 = Softmax(x) {axis=1}
		y1 = LogSoftmax(x) {axis=2}`},
	{name: "transposes", graph: `
		input x float32 (2, 3, 4, 5)
		input z float32 (2, 4, 5, 3)
		weight b float32 (5) = 0*5
		t = Transpose(x) {perm=[0 2 3 1]}
		y0 = Add(t, z)
		y1 = Transpose(x)
		y2 = Add(x, b)
		u = Transpose(x) {perm=[3 1 0 2]}
		y3 = Softmax(u) {axis=3}`},
	{name: "images that are channels-last in the graph", graph: `
		input x float32 (2, 5, 4, 3)
		weight w float32 (4, 3, 3, 3) = 0*108
		weight m float32 (3) = 0*3
		s = Sub(x, m)
		t = Transpose(s) {perm=[0 3 1 2]}
		c = Conv(t, w)
		y = Transpose(c) {perm=[0 2 3 1]}`},
	{name: "new shapes", graph: `
		input x float32 (2, 3, 4, 5)
		weight s1 int64 (2) = 0 -1
		weight s2 int64 (3) = 6 4 5
		weight a1 int64 (1) = 1
		weight a2 int64 (2) = 2 3
		y0 = Reshape(x, s1)
		y1 = Reshape(x, s2)
		y2 = Flatten(x)
		y3 = Flatten(x) {axis=2}
		g = GlobalAveragePool(x)
		y4 = Squeeze(g, a2)
		y5 = Unsqueeze(x, a1)
		y6 = Flatten(g)`},
	{name: "shuffled channels", graph: `
		input x float32 (2, 6, 2, 3)
		weight s1 int64 (5) = 0 2 3 2 3
		weight s2 int64 (4) = 0 6 2 3
		weight w float32 (2, 6, 1, 1) = 0*12
		a = Reshape(x, s1)
		b = Transpose(a) {perm=[0 2 1 3 4]}
		c = Reshape(b, s2)
		y = Conv(c, w)`},
	{name: "concatenation", graph: `
		input x float32 (2, 3, 4, 5)
		input z float32 (2, 2, 4, 5)
		input v float32 (3)
		y0 = Concat(x, z, x) {axis=1}
		y1 = Concat(x, x) {axis=-1}
		y2 = Concat(x, x) {axis=0}
		y3 = Concat(v, v) {axis=0}`},
	{name: "slices", graph: `
		input x float32 (2, 3, 6, 7)
		weight st int64 (2) = 0 1
		weight en int64 (2) = 9223372036854775807 6
		weight ax int64 (2) = 2 3
		weight sp int64 (2) = 2 3
		weight back int64 (1) = -1
		weight first int64 (1) = -9223372036854775807
		weight one int64 (1) = 1
		weight end int64 (1) = -1
		y0 = Slice(x, st, en, ax, sp)
		y1 = Slice(x, back, first, one, back)
		y2 = Slice(x, one, end, one)
		y3 = Slice(x, one, end, end)`},
	{name: "split", graph: `
		input x float32 (2, 5, 3, 2)
		weight s int64 (3) = 1 3 1
		y0, y1, y2 = Split(x, s) {axis=1}`},
	{name: "pads", graph: `
		input x float32 (2, 3, 4, 5)
		weight p int64 (8) = 0 1 2 0 0 3 0 1
		weight c int64 (8) = 0 2 0 0 0 2 0 0
		weight v float32 () = 0.5
		y0 = Pad(x, p, v)
		y1 = Pad(x, c)`},
	{name: "mirrored pads", forward: true, graph: `
		input x float32 (2, 3, 4, 5)
		weight p int64 (8) = 0 0 2 3 0 0 1 4
		y0 = Pad(x, p) {mode="reflect"}
		y1 = Pad(x, p) {mode="edge"}`},
	{name: "gather", graph: `
		input x float32 (2, 4, 3, 2)
		input v float32 (5)
		weight i int64 (5) = 3 0 -1 0 2
		weight one int64 () = 1
		weight m int64 (2, 2) = 0 3 1 1
		y0 = Gather(x, i) {axis=1}
		y1 = Gather(v, i)
		y2 = Gather(x, one) {axis=1}
		y3 = Gather(x, m) {axis=1}
		y4 = Gather(x, one) {axis=0}`},
	{name: "expand", graph: `
		input x float32 (2, 1, 4, 1)
		input v float32 (4, 1)
		weight s int64 (4) = 2 3 4 5
		y0 = Expand(x, s)
		y1 = Expand(v, s)`},
	{name: "resize to the nearest", graph: `
		input x float32 (2, 3, 4, 5)
		weight up float32 (4) = 1 1 2 1.6
		weight down float32 (4) = 1 1 0.5 0.75
		weight wide float32 (4) = 2 1.5 1 2
		weight sizes int64 (4) = 2 3 7 3
		y0 = Resize(x, _, up)
		y1 = Resize(x, _, up) {coordinate_transformation_mode="asymmetric", nearest_mode="floor"}
		y2 = Resize(x, _, down) {coordinate_transformation_mode="asymmetric", nearest_mode="ceil"}
		y3 = Resize(x, _, wide) {coordinate_transformation_mode="pytorch_half_pixel", nearest_mode="round_prefer_ceil"}
		y4 = Resize(x, _, _, sizes) {coordinate_transformation_mode="align_corners"}
		y5 = Resize(x, _, _, sizes)`},
	{name: "resize linearly", graph: `
		input x float32 (2, 3, 4, 5)
		weight up float32 (4) = 1 1 2 1.6
		weight down float32 (4) = 1 1 0.5 0.75
		weight sizes int64 (4) = 2 3 7 1
		y0 = Resize(x, _, up) {mode="linear"}
		y1 = Resize(x, _, down) {mode="linear", coordinate_transformation_mode="asymmetric"}
		y2 = Resize(x, _, _, sizes) {mode="linear", coordinate_transformation_mode="align_corners"}
		y3 = Resize(x, _, _, sizes) {mode="linear", coordinate_transformation_mode="pytorch_half_pixel"}
		y4 = Resize(x, _, _, sizes) {mode="linear"}`},
	{name: "resize of a signal and of listed axes", graph: `
		opset "" 18
		input x float32 (2, 3, 6)
		input m float32 (4, 3)
		weight up float32 (1) = 2.5
		weight sizes int64 (2) = 5 4
		y0 = Resize(x, _, up) {mode="linear", axes=[-1]}
		y1 = Resize(x, _, up) {axes=[2]}
		y2 = Resize(m, _, _, sizes) {mode="linear", axes=[1 0]}
		y3 = Resize(m, _, _, sizes) {axes=[1 0]}`},
	{name: "resize before opset 11", graph: `
		opset "" 10
		input x float32 (2, 3, 4, 5)
		weight up float32 (4) = 1 1 2 1.6
		weight down float32 (4) = 1 1 0.5 0.7
		y0 = Resize(x, up)
		y1 = Resize(x, down)
		y2 = Resize(x, up) {mode="linear"}`},
	{name: "cross-entropy", graph: `
		input x float32 (4, 5)
		input target float32 (4, 5)
		y0 = CrossEntropy@dms(x, target)
		y1 = CrossEntropy@dms(x, target) {temperature=3.0}`},
	{name: "distillation", graph: `
		input x float32 (4, 5)
		input target float32 (4, 5)
		y0 = DIST@dms(x, target)
		y1 = DIST@dms(x, target) {temperature=2.0, beta=0.7, gamma=1.5}`},
}

// allCases are the cases of this file and those that tests beside ONNX Runtime share.
func allCases() []operatorCase {
	all := slices.Clone(operatorCases)
	for _, c := range operators.All() {
		all = append(all, operatorCase{name: c.Name, graph: c.Graph, forward: c.Forward})
	}
	return all
}

// operatorGraph parses a case and fills its weights.
func operatorGraph(t *testing.T, c operatorCase, rng *rand.Rand) *ir.Graph {
	t.Helper()
	text := c.graph
	if !strings.Contains(text, "opset") {
		text = "opset \"\" 17\n" + text
	}
	g, err := ir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sortedNames(g.Weights) {
		w := g.Weights[name]
		if w.DType == ir.Float32 && !slices.ContainsFunc(w.F32, func(v float32) bool { return v != 0 }) {
			for i := range w.F32 {
				w.F32[i] = float32(draw(rng, name))
			}
		}
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			if strings.HasPrefix(o, "y") {
				g.Outputs = append(g.Outputs, ir.ValueInfo{Name: o, DType: ir.Float32})
			}
		}
	}
	return g
}

func sortedNames[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// draw is a random number for an element of a value: positive where its name says so.
func draw(rng *rand.Rand, name string) float64 {
	if strings.HasPrefix(name, "p") {
		return 0.5 + rng.Float64()
	}
	return rng.NormFloat64()
}

// feed draws values for the inputs of a graph.
func feed(g *ir.Graph, rng *rand.Rand) map[string]tensor {
	in := map[string]tensor{}
	for _, v := range g.Inputs {
		sizes, _ := v.Shape.Sizes()
		t := newTensor(sizes...)
		for i := range t.data {
			t.data[i] = operators.Draw(rng, v)
		}
		in[v.Name] = t
	}
	return in
}

// TestOperatorsComputeWhatTheirDefinitionSays holds the engine, in both precisions, against the interpreter.
func TestOperatorsComputeWhatTheirDefinitionSays(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	covered := map[string]bool{}
	for k, c := range allCases() {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(k), 3))
			g := operatorGraph(t, c, rng)
			in := feed(g, rng)
			want, err := interpret(g, nil, in, c.training)
			if err != nil {
				t.Fatal(err)
			}
			p, err := program.Build(g, program.Config{Training: c.training})
			if err != nil {
				t.Fatal(err)
			}
			compareOutputs[float64](t, g, p, pool, in, want, 1e-12)
			compareOutputs[float32](t, g, p, pool, in, want, 1e-5)
			for _, n := range g.Nodes {
				op := n.Op
				if n.Domain != "" {
					op = n.Domain + "." + op
				}
				covered[op] = true
			}
		})
	}
	for _, op := range program.Operators() {
		if !covered[op] && op != "NonMaxSuppression" && op != "NonZero" { // these have a test of their own
			t.Errorf("operator %s has no case", op)
		}
	}
}

func compareOutputs[T float32 | float64](t *testing.T, g *ir.Graph, p *program.Program, pool *parallel.Pool, in, want map[string]tensor, tolerance float64) {
	t.Helper()
	params, err := engine.NewParams[T](g)
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine.New(p, params, pool)
	if err != nil {
		t.Fatal(err)
	}
	setInputs(t, m, in)
	m.Run()
	for _, o := range g.Outputs {
		got, want := m.Output(o.Name), want[o.Name].data
		if len(got) != len(want) {
			t.Errorf("%s: %d elements, want %d", o.Name, len(got), len(want))
			continue
		}
		for i, v := range got {
			if d := math.Abs(float64(v) - want[i]); !(d <= tolerance*(1+math.Abs(want[i]))) {
				t.Errorf("%T: %s[%d] = %v, want %v", v, o.Name, i, v, want[i])
				break
			}
		}
	}
}

func setInputs[T float32 | float64](t testing.TB, m *engine.Machine[T], in map[string]tensor) {
	t.Helper()
	for name, v := range in {
		data := make([]T, len(v.data))
		for i, x := range v.data {
			data[i] = T(x)
		}
		if err := m.SetInput(name, data); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGradientsOfOperatorsMatchFiniteDifferences checks every vjp: of a random weighting of all outputs, with respect to every input and
// every float weight.
func TestGradientsOfOperatorsMatchFiniteDifferences(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	ops, functions, functions2 := map[program.Op]bool{}, map[string]bool{}, map[string]bool{}
	for k, c := range allCases() {
		if c.forward {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(k), 4))
			g := operatorGraph(t, c, rng)
			own := map[string]bool{}
			for _, n := range g.Nodes {
				own[n.ID()] = true
			}
			wrt := differentiable(g)
			weigh(t, g, rng)
			p, err := program.Build(g, program.Config{Training: c.training, Loss: "loss", Wrt: wrt})
			if err != nil {
				t.Fatal(err)
			}
			params, err := engine.NewParams[float64](g)
			if err != nil {
				t.Fatal(err)
			}
			m, err := engine.New(p, params, pool)
			if err != nil {
				t.Fatal(err)
			}
			in := feed(g, rng)
			setInputs(t, m, in)
			m.SetMomentum(1) // the running statistics stay while the loss is probed
			checkGradients(t, m, params, in, wrt, 60, rng)
			for i, instr := range p.Instrs {
				if i >= p.Forward || !own[instr.Node] {
					continue
				}
				ops[instr.Op] = true
				switch a := instr.Attr.(type) {
				case program.UnaryAttr:
					functions[a.Function] = true
				case program.BinaryAttr:
					functions2[a.Function] = true
				}
			}
		})
	}
	for _, op := range program.Differentiable() {
		if !ops[op] && op != program.Dropout { // dropout has a test of its own
			t.Errorf("operation %s has a vjp and no case", op)
		}
	}
	for name := range program.Functions {
		if !functions[name] {
			t.Errorf("function %s has no case", name)
		}
	}
	for _, name := range []string{"add", "sub", "mul", "div", "max", "min"} {
		if !functions2[name] {
			t.Errorf("function %s has no case", name)
		}
	}
}

// differentiable lists inputs and float weights, but no target of a loss and no running statistics in use.
func differentiable(g *ir.Graph) []string {
	var names []string
	for _, v := range g.Inputs {
		if v.Name != "target" && v.DType == ir.Float32 {
			names = append(names, v.Name)
		}
	}
	fixed := map[string]bool{}
	for _, n := range g.Nodes {
		switch n.Op {
		case "BatchNormalization":
			fixed[n.Input(3)], fixed[n.Input(4)] = true, true
		case "Clip", "Pow", "Pad", "Resize", "Upsample":
			fixed[n.Input(1)], fixed[n.Input(2)] = true, true
		}
	}
	for _, name := range sortedNames(g.Weights) {
		if w := g.Weights[name]; w.DType.IsFloat() && !fixed[name] && w.Len() > 0 && !math.IsInf(float64(w.F32[0]), 0) {
			names = append(names, name)
		}
	}
	return names
}

// weigh appends the loss: every output times random numbers, summed.
func weigh(t *testing.T, g *ir.Graph, rng *rand.Rand) {
	t.Helper()
	info, err := ir.InferShapes(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sums []string
	for k, o := range g.Outputs {
		if !info[o.Name].DType.IsFloat() {
			continue
		}
		sizes, _ := info[o.Name].Shape.Sizes()
		w := ir.Floats32(nil, sizes...)
		for range w.Len() {
			w.F32 = append(w.F32, float32(rng.NormFloat64()))
		}
		weights, product, sum := fmt.Sprint("loss/w", k), fmt.Sprint("loss/p", k), fmt.Sprint("loss/s", k)
		g.Weights[weights] = w
		g.Nodes = append(g.Nodes,
			&ir.Node{Op: "Mul", Inputs: []string{o.Name, weights}, Outputs: []string{product}},
			&ir.Node{Op: "ReduceSum", Inputs: []string{product}, Outputs: []string{sum}, Attrs: ir.Attrs{"keepdims": ir.IntAttr(0)}})
		sums = append(sums, sum)
	}
	g.Nodes = append(g.Nodes, &ir.Node{Op: "Sum", Inputs: sums, Outputs: []string{"loss"}})
}

// checkGradients compares gradients with central differences at up to limit elements of each value. A difference over a kink is wrong by
// itself, but not at every distance: one of several must agree.
func checkGradients(t *testing.T, m *engine.Machine[float64], params *engine.Params[float64], in map[string]tensor, wrt []string, limit int, rng *rand.Rand) {
	t.Helper()
	for _, name := range wrt {
		m.Run()
		grad := slices.Clone(m.Grad(name))
		data, isInput := in[name]
		n := len(grad)
		value := params.Get(name)
		if isInput {
			value = data.data
		}
		loss := func() float64 {
			if isInput {
				if err := m.SetInput(name, value); err != nil {
					t.Fatal(err)
				}
			}
			params.Changed()
			m.Run()
			return m.Output("loss")[0]
		}
		for _, i := range rng.Perm(n)[:min(n, limit)] {
			old := value[i]
			best, fd := math.Inf(1), 0.0
			for _, h := range []float64{1e-5, 1e-6, 1e-7, 1e-4} {
				value[i] = old + h
				up := loss()
				value[i] = old - h
				down := loss()
				if d := (up - down) / (2 * h); math.Abs(d-grad[i]) < best {
					best, fd = math.Abs(d-grad[i]), d
				}
				if best <= 1e-5*math.Max(1e-1, math.Abs(fd)) {
					break
				}
			}
			value[i] = old
			if best > 1e-5*math.Max(1e-1, math.Abs(fd)) {
				t.Errorf("∂loss/∂%s[%d] = %g, finite difference %g", name, i, grad[i], fd)
				break
			}
		}
		loss()
	}
}
