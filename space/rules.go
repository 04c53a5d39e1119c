package space

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dms-go/dms/ir"
)

// rule describes the output of one node and ties, uses or freezes what it reads. The shapes of its inputs and of its first output are known.
type rule func(f *finder, n *ir.Node)

// rules has one row per operator. A row must be right in this sense: with removed positions multiplied by zero at the uses, no
// position that is kept reads one that is removed.
var rules = map[string]rule{
	// One output position for each input position, nothing else looked at.
	"Relu": follow, "Clip": follow, "LeakyRelu": follow, "Sigmoid": follow, "HardSigmoid": follow, "HardSwish": follow, "Tanh": follow,
	"Exp": follow, "Log": follow, "Sqrt": follow, "Erf": follow, "Neg": follow, "Abs": follow, "Elu": follow, "Softplus": follow, "Cast": follow,
	"Identity": follow, "Dropout": follow, "Selu": follow, "Reciprocal": follow, "Floor": follow, "Ceil": follow, "Not": follow,
	"Gelu": follow, "Sin": follow, "Cos": follow, "Softsign": follow, "Sign": follow, "Round": follow, "Celu": follow,

	// The same for several inputs, broadcast: positions side by side are one element.
	"Add": meet, "Sub": meet, "Mul": meet, "Div": meet, "Pow": meet, "Sum": meet, "Mean": meet, "Min": meet, "Max": meet, "Where": meet,
	"Equal": meet, "Greater": meet, "Less": meet, "GreaterOrEqual": meet, "LessOrEqual": meet, "Mod": meet, "Xor": meet, "PRelu": meet, "And": meet, "Or": meet,

	// Layers.
	"Conv": convolve, "Gemm": gemm, "MatMul": matmul, "BatchNormalization": normalize, "InstanceNormalization": instanceNorm, "LayerNormalization": layerNorm,
	"ConvTranspose": convTranspose, "Einsum": einsum, "RMSNormalization": layerNorm, "GroupNormalization": groupNorm,
	"LpNormalization": lpNorm, "MeanVarianceNormalization": meanVariance, "Attention": attention, "RotaryEmbedding": rotary,

	// Reductions.
	"MaxPool": pool, "AveragePool": pool, "GlobalAveragePool": pool, "GlobalMaxPool": pool,
	"ReduceMean": reduceMean, "ReduceSum": reduceSum, "ReduceMax": reduce, "ReduceMin": reduce, "ReduceProd": reduce, "ReduceL2": reduceSum,
	"Softmax": softmax, "LogSoftmax": softmax, "LRN": lrn,

	// Movers of positions.
	"Reshape": reshape, "Flatten": reshape, "Squeeze": reshape, "Unsqueeze": reshape, "Transpose": transpose, "Concat": concat,
	"Slice": slice, "Split": split, "Gather": gather, "Pad": pad, "Expand": expand, "Resize": resize,

	"Mish": follow, "ThresholdedRelu": follow, "IsNaN": follow, "Tan": follow, "Atan": follow, "Sinh": follow, "Cosh": follow,
	"ReduceL1": reduceSum, "ReduceSumSquare": reduceSum, "ReduceLogSum": reduceSum, "ReduceLogSumExp": reduce, "ArgMax": arg, "ArgMin": arg,
	"Hardmax": softmax, "Upsample": resize, "Tile": tile, "DepthToSpace": depthToSpace, "SpaceToDepth": spaceToDepth,
	"CumSum": cumSum, "Trilu": trilu, "TopK": topK,

	// What no rule describes yet stays as it is.
	"GatherElements": held, "GatherND": held, "ScatterElements": held, "Scatter": held, "ScatterND": held, "OneHot": held, "NonZero": held,
	"NonMaxSuppression": held, "LSTM": held, "GRU": held, "RNN": held, "QuantizeLinear": held,
	"DequantizeLinear": held,

	// Makers of constants and readers of sizes.
	"Constant": constant, "ConstantOfShape": constantOfShape, "Range": constant, "Shape": sizes, "Size": sizes,
}

// Known tells whether Find has a rule for an operator of ONNX's own domain.
func Known(op string) bool { _, ok := rules[op]; return ok }

// Operators lists the operators with a rule, sorted.
func Operators() []string { return slices.Sorted(maps.Keys(rules)) }

func follow(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	for _, v := range n.Outputs { // Dropout also writes which elements it left
		if v != "" {
			f.axes[v] = in
		}
	}
}

// held is for operators that mix or choose positions in a way that no rule describes.
func held(f *finder, n *ir.Node) { f.hold(n, "no rule tells how "+n.Op+" moves or mixes positions") }

func constant(f *finder, n *ir.Node) {}

// meet is the rule of element-wise operators of several inputs.
func meet(f *finder, n *ir.Node) {
	var all []string
	for _, v := range n.Inputs {
		if v != "" {
			all = append(all, v)
		}
	}
	out := f.shape(n.Outputs[0])
	axes := make([]label, len(out))
	for axis := range out {
		axes[axis] = f.broadcast(n, all, len(out)-axis, out[axis])
	}
	f.out(n, axes)
}

// broadcast ties the operands' axes that stand fromEnd places from the end (1: the last), as ONNX broadcasts them to size.
func (f *finder) broadcast(n *ir.Node, operands []string, fromEnd int, size ir.Dim) label {
	var acc label
	first := ""
	// Weights come last: they take the description of what they meet.
	for _, weights := range []bool{false, true} {
		for _, v := range operands {
			s := f.shape(v)
			axis := len(s) - fromEnd
			if axis < 0 || f.isWeight(v) != weights {
				continue
			}
			spread := s[axis] == ir.Dim{Size: 1} && size != ir.Dim{Size: 1}
			switch {
			case spread && weights:
				f.give(v, axis, nil, n, "is spread over several positions")
			case spread:
				f.freeze(f.label(v, axis), n, "spreads it over several positions")
			case weights && first != "":
				f.give(v, axis, acc, n, fmt.Sprintf("joins %q with %q", first, v))
			case first != "":
				f.tie(acc, f.label(v, axis), n, fmt.Sprintf("joins %q with %q", first, v))
			default:
				acc, first = f.label(v, axis), v
			}
		}
	}
	return acc
}

func pool(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	f.freezeFrom(in, 2, n, "pools over neighbouring positions")
	axes := make([]label, len(in))
	copy(axes, in[:min(2, len(in))])
	for _, v := range n.Outputs[1:] {
		if v == "" {
			continue
		}
		// MaxPool's second output counts elements through all channels.
		if len(f.consumers[v]) > 0 || f.outputs[v] {
			f.hold(n, "tells where it found its maxima")
			return
		}
		f.axes[v] = axes
	}
	f.out(n, axes)
}

// reduce is for reductions in which a removed position counts even when it is zero.
func reduce(f *finder, n *ir.Node) {
	f.reduce(n, func(axis int, l label) { f.freeze(l, n, "reduces over it, and a zero is not the same as nothing") })
}

// reduceMean is a consumer that divides by the number of positions.
func reduceMean(f *finder, n *ir.Node) {
	f.reduce(n, func(axis int, l label) { f.average(n, axis, l) })
}

// reduceSum is a consumer: a position that is zero adds nothing.
func reduceSum(f *finder, n *ir.Node) {
	f.reduce(n, func(axis int, l label) { f.use(n, 0, axis, l, "", 0, nil) })
}

func (f *finder) reduce(n *ir.Node, over func(axis int, l label)) {
	in := f.in(n, 0)
	axes, keep, err := ir.AxesOf(f.g, n, len(in))
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	gone := make([]bool, len(in))
	for _, a := range axes {
		gone[a] = true
	}
	var out []label
	for a, l := range in {
		switch {
		case !gone[a]:
			out = append(out, l)
		case keep:
			out = append(out, nil)
		}
		if gone[a] {
			over(a, l)
		}
	}
	f.out(n, out)
}

func softmax(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	axis, rest, err := ir.SoftmaxOf(f.g, n, len(in))
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	for a := range in {
		if a == axis || rest && a > axis {
			f.freeze(in[a], n, "normalises over it")
			in[a] = nil
		}
	}
	f.out(n, in)
}

func lrn(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	if len(in) > 1 {
		f.freeze(in[1], n, "normalises over neighbouring channels")
	}
	f.out(n, in)
}
