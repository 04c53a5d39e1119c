package program

import (
	"github.com/dms-go/dms/internal/conv"
	"github.com/dms-go/dms/internal/kernel"
)

// Op is an operation of the engine. Its operands are physical: row-major slices with the shapes of the program's values.
type Op string

const (
	Conv       Op = "conv"        // y = act(x ⋆ w + bias + addend), and the moments of y's channels where they are outputs; ConvAttr
	ConvPack   Op = "conv.pack"   // w as Conv wants it; ConvAttr
	Fold       Op = "fold"        // w and bias of a convolution that normalises, too; FoldAttr
	ConvData   Op = "conv.data"   // dx from dy, w
	ConvWeight Op = "conv.weight" // dw from x, dy

	Gemm        Op = "gemm"         // c = α·op(a)·op(b); GemmAttr
	BatchedGemm Op = "gemm.batched" // the same over a leading batch of both operands

	BatchNorm     Op = "batchnorm"      // y, mean, 1/√(var+ε) from x, γ, β, running mean and variance, moments, addend, mask; BatchNormAttr
	BatchNormGrad Op = "batchnorm.grad" // dx, dγ, dβ, daddend, dmask from dy, x, γ, mean, 1/√(var+ε), β, y, mask

	Unary     Op = "unary"      // y = f(x); UnaryAttr
	UnaryGrad Op = "unary.grad" // dx = dy·f'; in: dy and x or y, as Functions says
	Binary    Op = "binary"     // c = a ∘ b with broadcasting; BinaryAttr
	Prelu     Op = "prelu"      // y = x > 0 ? x : slope·x, slope broadcast
	PreluGrad Op = "prelu.grad" // per element of y: dx, and dslope before it is summed

	Sum        Op = "sum"         // sums over the axes in which the output has size one; ScaleAttr
	SumProduct Op = "sum.product" // the same over a·b of equal shape
	ScaleGrad  Op = "scale.grad"  // both gradients of y = x·s: dy·s, and Σ dy·x over the axes in which s has size one; from dy, x, s
	Expand     Op = "expand"      // repeats over the axes in which the input has size one; ScaleAttr

	MaxPool     Op = "maxpool"      // PoolAttr
	MaxPoolGrad Op = "maxpool.grad" // dx from dy, x
	AvgPool     Op = "avgpool"      // PoolAttr
	AvgPoolGrad Op = "avgpool.grad" // dx from dy

	Transpose  Op = "transpose"   // TransposeAttr
	Concat     Op = "concat"      // AxisAttr
	Cut        Op = "cut"         // a strided box of x; BoxAttr
	Place      Op = "place"       // x as a strided box within a constant; BoxAttr
	Gather     Op = "gather"      // chosen positions of an axis; GatherAttr
	GatherGrad Op = "gather.grad" // their sum back
	Blend      Op = "blend"       // between pairs of positions of an axis; BlendAttr
	BlendGrad  Op = "blend.grad"
	PadReflect Op = "pad.reflect" // BoxAttr; mirrored or repeated edges, forward only

	Softmax        Op = "softmax" // over the middle of (outer, n, inner); SoftmaxAttr
	SoftmaxGrad    Op = "softmax.grad"
	LogSoftmax     Op = "logsoftmax"
	LogSoftmaxGrad Op = "logsoftmax.grad"

	Dropout Op = "dropout" // DropoutAttr; its gradient is itself

	CrossEntropy     Op = "crossentropy" // scalar from logits, targets; LossAttr
	CrossEntropyGrad Op = "crossentropy.grad"
	Dist             Op = "dist" // scalar from logits, teacher's logits; LossAttr
	DistGrad         Op = "dist.grad"
)

// ConvAttr is the geometry shared by a convolution and its gradients, which ignore the rest. Packed tells that the weights come from
// ConvPack.
type ConvAttr struct {
	Shape  conv.Shape
	Act    kernel.Activation
	Packed bool
}

// packedLen is how many elements the packed weights have.
func (a ConvAttr) packedLen() int { return conv.PackedLen(a.Shape) }

// The operands of Conv. From the bias on they may be missing.
const (
	convX = iota
	convWeight
	convBias
	convAdd
)

// FoldAttr: w is (Channels, ...), and everything else one number per channel: bias, γ, β, mean and variance.
type FoldAttr struct {
	Channels int
	Epsilon  float64
}

// The operands of BatchNorm. Mean and squares are the moments of x, None where the norm takes them itself; the addend, as large as x, and the
// mask, one number or one per channel, may be missing.
const (
	normX = iota
	normGamma
	normBeta
	normRunMean
	normRunVar
	normMean
	normSquares
	normAdd
	normMask
	normOperands
)

// GemmAttr: c is (M, N), op(a) (M, K), op(b) (K, N). Batch is 1 for Gemm.
type GemmAttr struct {
	M, N, K, Batch int
	TransA, TransB bool
	Alpha          float64
}

// BatchNormAttr: x is (Rows, Channels). Momentum is the weight of the old running statistics.
type BatchNormAttr struct {
	Rows, Channels    int
	Epsilon, Momentum float64
	Train             bool
	Act               kernel.Activation // y = act(mask·(γ·x̂ + β) + addend)
	MaskLast          bool              // y = mask·act(γ·x̂ + β), for a rectifier and a mask that is never below zero
}

// UnaryAttr names a row of Functions and its two parameters.
type UnaryAttr struct {
	Function string
	A, B     float64
}

// BinaryAttr: Function is a row of Functions2; greater and notless are pieces of the gradients of max and min.
type BinaryAttr struct{ Function string }

// ScaleAttr: the result is multiplied by Scale.
type ScaleAttr struct{ Scale float64 }

// PoolAttr is a window over (N, H, W, C).
type PoolAttr struct {
	N, H, W, C, OH, OW       int
	KH, KW, StrideH, StrideW int
	DilH, DilW, Top, Left    int
	PadBottom, PadRight      int
	CountPad                 bool
}

// TransposeAttr: axis i of the output is axis Perm[i] of the input.
type TransposeAttr struct{ Perm []int }

// AxisAttr is the axis along which operands are joined.
type AxisAttr struct{ Axis int }

// BoxAttr is a strided box per axis: position i of the small value is position Start+i·Step of the large one. Value fills the rest.
// Mode is reflect or edge for PadReflect.
type BoxAttr struct {
	Start, Step []int
	Value       float64
	Mode        string
}

// GatherAttr: Indices lie within the axis of the large value, each as often as it is wanted.
type GatherAttr struct {
	Axis    int
	Indices []int
}

// BlendAttr: position i of the axis is (1 − Share[i])·Low[i] + Share[i]·High[i], positions of the operand.
type BlendAttr struct {
	Axis      int
	Low, High []int
	Share     []float64
}

// SoftmaxAttr: the value is (Outer, N, Inner), and the sum runs over N.
type SoftmaxAttr struct{ Outer, N, Inner int }

// DropoutAttr: Index tells the dropouts of a program apart in the random stream.
type DropoutAttr struct {
	Ratio float64
	Index int
}

// LossAttr: logits are (Rows, Classes).
type LossAttr struct {
	Rows, Classes int
	Temperature   float64
	Beta, Gamma   float64
}

// Operations that choose, order and mix elements.
const (
	Where   Op = "where"   // y = c ≠ 0 ? a : b with broadcasting
	Extreme Op = "extreme" // the largest, least or product over the axes in which the output has size one; ExtremeAttr
	Arg     Op = "arg"     // the position of an extreme element; ArgAttr
	TopK    Op = "topk"    // values and positions of extreme elements, in order; TopKAttr
	CumSum  Op = "cumsum"  // running sums; CumSumAttr
	Pick    Op = "pick"    // elements of x where a value of whole numbers says; PickAttr
	Put     Op = "put"     // x, or zeros where it is None, with elements written or added where a value of whole numbers says; PutAttr
	Mix     Op = "mix"     // weighted sums over positions of an axis; MixAttr

	RowNorm     Op = "rownorm"      // y, mean, 1/√(var+ε) of each row from x, γ, β, of which the last two may be missing; RowNormAttr
	RowNormGrad Op = "rownorm.grad" // dx, dγ, dβ from dy, x, γ, mean, 1/√(var+ε)
)

// ExtremeAttr: Function is max, min or mul.
type ExtremeAttr struct{ Function string }

// ArgAttr: the value is (Outer, N, Inner). Of equal elements the first counts, or the last where Last is set.
type ArgAttr struct {
	Outer, N, Inner int
	Smallest, Last  bool
}

// PickAttr: x is (Batch, Dims..., Inner), indices (K, len(Dims)), or (Batch, K, len(Dims)) where Each batch has its own, and the result
// (Batch, K, Inner). Negative indices count from the end; an index outside gives NaN.
type PickAttr struct {
	Batch, K int
	Dims     []int
	Inner    int
	Each     bool
}

// PutAttr: Reduction is none, add, mul, max or min. An index outside makes its whole batch NaN.
type PutAttr struct {
	PickAttr
	Reduction string
}

// TopKAttr: x is (Batch, Dims[0]); Inner is 1.
type TopKAttr struct {
	PickAttr
	Smallest bool
}

// CumSumAttr: the value is (Outer, N, Inner); Exclusive leaves the element itself out.
type CumSumAttr struct {
	Outer, N, Inner    int
	Exclusive, Reverse bool
}

// Tap is a share that one position has in another.
type Tap struct {
	At    int
	Share float64
}

// MixAttr: position i of the axis is the sum over Taps[i] of positions of the operand, which has From of them.
type MixAttr struct {
	Axis, From int
	Taps       [][]Tap
}

// turned is the transposed matrix.
func (a MixAttr) turned() MixAttr {
	t := MixAttr{Axis: a.Axis, From: len(a.Taps), Taps: make([][]Tap, a.From)}
	for i, taps := range a.Taps {
		for _, tap := range taps {
			t.Taps[tap.At] = append(t.Taps[tap.At], Tap{i, tap.Share})
		}
	}
	return t
}

// RowNormAttr: x is (Rows, N). With Root the mean is not subtracted and the root is that of the mean square.
type RowNormAttr struct {
	Rows, N int
	Epsilon float64
	Root    bool
}

// Operations whose results have as many rows as are found. Their values have room for all there could be, and −1 in the rest.
const (
	Suppress Op = "suppress" // rows (batch, class, box) of the boxes that a non-maximum suppression leaves; SuppressAttr
	NonZero  Op = "nonzero"  // the position of every element that is not zero, as a column
)

// SuppressAttr: boxes are (Batch, Boxes, 4), scores (Batch, Classes, Boxes). A box goes where its overlap with a better one of its class, as
// a part of their union, is over IoU, or its score not over Score. Center tells that boxes are (x, y, width, height) and not two corners.
type SuppressAttr struct {
	Batch, Classes, Boxes, Max int
	IoU, Score                 float64
	Center                     bool
}
