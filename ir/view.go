package ir

import (
	"fmt"
	"math"
	"slices"
)

// Views read an operator as one typed struct, whatever the opset: what older opsets hold in attributes and newer ones in constant
// inputs looks the same. Inputs that must be constant are looked up among the weights and Constant nodes.

// maxAttr bounds strides, pads, kernel sizes and the like, so that window arithmetic cannot overflow.
const maxAttr = 1 << 30

// fault is an error about one node.
func fault(n *Node, format string, args ...any) error {
	return fmt.Errorf("ir: %s: %w", n.Label(), fmt.Errorf(format, args...))
}

// sizesAttr reads an integer list of want entries, each in lo … maxAttr; def fills a list that is left out.
func sizesAttr(n *Node, name string, want, lo, def int) ([]int, error) {
	out := make([]int, want)
	v := n.Attrs.Ints(name)
	if len(v) == 0 {
		for i := range out {
			out[i] = def
		}
		return out, nil
	}
	if len(v) != want {
		return nil, fault(n, "%s %v has %d entries, want %d", name, v, len(v), want)
	}
	for i, x := range v {
		if x < int64(lo) || x > maxAttr {
			return nil, fault(n, "%s %v is outside %d … %d", name, v, lo, maxAttr)
		}
		out[i] = int(x)
	}
	return out, nil
}

// ConvAttrs are the attributes of a convolution over its spatial axes. Begin and End are the zeros added before and after each.
type ConvAttrs struct {
	Kernel, Strides, Dilations, Begin, End []int
	Group                                  int
}

// ConvOf reads a Conv whose input has shape x (N, C, spatial...) and whose weight has shape w (O, C/Group, kernel...). Channels,
// groups and kernel are checked against both shapes as far as those are known. auto_pad is resolved, for which SAME_* needs known
// spatial sizes where a stride is over one.
func ConvOf(g *Graph, n *Node, x, w Shape) (ConvAttrs, error) {
	a, exact, err := convOf(n, x, w)
	if err == nil && !exact {
		err = fault(n, "auto_pad %q needs the spatial sizes of input %v", n.Attrs.Str("auto_pad", ""), x)
	}
	return a, err
}

func convOf(n *Node, x, w Shape) (a ConvAttrs, exact bool, err error) {
	if len(w) < 3 {
		return a, false, fault(n, "weight %q of shape %v: want (O, C/group, kernel...)", n.Input(1), w)
	}
	if x != nil && len(x) != len(w) {
		return a, false, fault(n, "input %v and weight %v differ in rank", x, w)
	}
	spatial := len(w) - 2
	group := n.Attrs.Int("group", 1)
	if group < 1 || group > maxAttr {
		return a, false, fault(n, "group %d is not positive", group)
	}
	a.Group = int(group)
	if a.Kernel, err = sizesAttr(n, "kernel_shape", spatial, 1, 0); err != nil {
		return a, false, err
	}
	for i, d := range w[2:] {
		switch {
		case a.Kernel[i] == 0 && d.Known() && d.Size > 0 && d.Size <= maxAttr:
			a.Kernel[i] = d.Size
		case a.Kernel[i] == 0 || d.Known() && d.Size != a.Kernel[i]:
			return a, false, fault(n, "kernel_shape %v does not fit weight %v", n.Attrs.Ints("kernel_shape"), w)
		}
	}
	if x != nil && x[1].Known() && w[1].Known() && x[1].Size != w[1].Size*a.Group {
		return a, false, fault(n, "input %v has %d channels, weight %v with group %d wants %d", x, x[1].Size, w, a.Group, w[1].Size*a.Group)
	}
	if w[0].Known() && w[0].Size%a.Group != 0 {
		return a, false, fault(n, "weight %v: group %d does not divide %d output channels", w, a.Group, w[0].Size)
	}
	win := window{kernel: a.Kernel}
	if exact, err = win.read(n, x); err != nil {
		return a, false, err
	}
	a.Strides, a.Dilations, a.Begin, a.End = win.strides, win.dilations, win.begin, win.end
	return a, exact, nil
}

// ConvTransposeAttrs are the attributes of a transposed convolution: those of the convolution whose gradient it is, and the elements
// that each output axis has More at its end.
type ConvTransposeAttrs struct {
	ConvAttrs
	More []int
}

// ConvTransposeOf reads a ConvTranspose of an input of shape x (N, C, spatial...) by a weight of shape w (C, O/Group, kernel...).
// Pads that an output_shape or auto_pad leave open are resolved, for which the sizes of x must be known.
func ConvTransposeOf(n *Node, x, w Shape) (a ConvTransposeAttrs, err error) {
	if len(w) < 3 || len(x) != len(w) {
		return a, fault(n, "input %v and weight %v: want (N, C, spatial...) and (C, O/group, kernel...)", x, w)
	}
	spatial := len(w) - 2
	group := n.Attrs.Int("group", 1)
	if group < 1 || group > maxAttr {
		return a, fault(n, "group %d is not positive", group)
	}
	a.Group = int(group)
	if a.Kernel, err = sizesAttr(n, "kernel_shape", spatial, 1, 0); err != nil {
		return a, err
	}
	for i, d := range w[2:] {
		switch {
		case a.Kernel[i] == 0 && d.Known() && d.Size > 0 && d.Size <= maxAttr:
			a.Kernel[i] = d.Size
		case a.Kernel[i] == 0 || d.Known() && d.Size != a.Kernel[i]:
			return a, fault(n, "kernel_shape %v does not fit weight %v", n.Attrs.Ints("kernel_shape"), w)
		}
	}
	if _, err := merge(x[1], w[0]); err != nil {
		return a, fault(n, "input %v and weight %v: %w", x, w, err)
	}
	if w[0].Known() && w[0].Size%a.Group != 0 {
		return a, fault(n, "weight %v: group %d does not divide %d channels", w, a.Group, w[0].Size)
	}
	if a.More, err = sizesAttr(n, "output_padding", spatial, 0, 0); err != nil {
		return a, err
	}
	win := window{kernel: a.Kernel}
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	sizes, err := sizesAttr(n, "output_shape", spatial, 1, 0)
	if err != nil {
		return a, err
	}
	if _, err = win.read(n, x); err != nil {
		return a, err
	}
	a.Strides, a.Dilations, a.Begin, a.End = win.strides, win.dilations, win.begin, win.end
	for i := range a.Kernel {
		eff, ok := mulInt(a.Kernel[i]-1, a.Dilations[i])
		if !ok || eff > maxAttr || a.Strides[i] > maxAttr {
			return a, fault(n, "kernel %v with dilations %v is too wide", a.Kernel, a.Dilations)
		}
		if d := x[i+2]; d.Known() {
			if full, ok := mulInt(a.Strides[i], d.Size); !ok || full > maxDim {
				return a, fault(n, "axis %d of input %v by a stride of %d is too large", i+2, x, a.Strides[i])
			}
		}
		same := auto == "SAME_UPPER" || auto == "SAME_LOWER"
		if sizes[i] == 0 && !same {
			continue
		}
		total := a.More[i] + eff + 1 - a.Strides[i] // what makes the output as large as stride times input
		if sizes[i] != 0 {
			if !x[i+2].Known() {
				return a, fault(n, "output_shape needs the size of axis %d of input %v", i+2, x)
			}
			total = a.Strides[i]*(x[i+2].Size-1) + a.More[i] + eff + 1 - sizes[i]
		}
		if total < 0 { // the output is longer than what the kernels reach
			a.More[i], total = a.More[i]-total, 0
		}
		a.Begin[i] = total - total/2
		if auto == "SAME_UPPER" {
			a.Begin[i] = total / 2
		}
		a.End[i] = total - a.Begin[i]
	}
	return a, nil
}

// PoolAttrs are the attributes of MaxPool and AveragePool over the spatial axes. Ceil rounds output sizes up; CountPad lets an
// average count the padding.
type PoolAttrs struct {
	Kernel, Strides, Dilations, Begin, End []int
	Ceil, CountPad                         bool
}

// PoolOf reads a MaxPool or AveragePool over an input of shape x (N, C, spatial...). auto_pad is resolved as in ConvOf.
func PoolOf(g *Graph, n *Node, x Shape) (PoolAttrs, error) {
	a, exact, err := poolOf(n, x)
	if err == nil && !exact {
		err = fault(n, "auto_pad %q needs the spatial sizes of input %v", n.Attrs.Str("auto_pad", ""), x)
	}
	return a, err
}

func poolOf(n *Node, x Shape) (a PoolAttrs, exact bool, err error) {
	spatial := len(n.Attrs.Ints("kernel_shape"))
	if spatial == 0 || x != nil && len(x) != spatial+2 {
		return a, false, fault(n, "kernel_shape %v does not fit input %v", n.Attrs.Ints("kernel_shape"), x)
	}
	if a.Kernel, err = sizesAttr(n, "kernel_shape", spatial, 1, 0); err != nil {
		return a, false, err
	}
	a.Ceil = n.Attrs.Int("ceil_mode", 0) != 0
	a.CountPad = n.Attrs.Int("count_include_pad", 0) != 0
	win := window{kernel: a.Kernel}
	if exact, err = win.read(n, x); err != nil {
		return a, false, err
	}
	a.Strides, a.Dilations, a.Begin, a.End = win.strides, win.dilations, win.begin, win.end
	for i, k := range a.Kernel {
		if eff := (k-1)*a.Dilations[i] + 1; a.Begin[i] >= eff || a.End[i] >= eff {
			return a, false, fault(n, "pads %v ... %v reach a whole window %v", a.Begin, a.End, a.Kernel)
		}
	}
	return a, exact, nil
}

// window is a sliding window over spatial axes.
type window struct{ kernel, strides, dilations, begin, end []int }

// read fills everything but the kernel. It is not exact where SAME padding depends on a size of x that is not known; the padding
// of such an axis is left at zero.
func (w *window) read(n *Node, x Shape) (exact bool, err error) {
	spatial := len(w.kernel)
	if w.strides, err = sizesAttr(n, "strides", spatial, 1, 1); err != nil {
		return false, err
	}
	if w.dilations, err = sizesAttr(n, "dilations", spatial, 1, 1); err != nil {
		return false, err
	}
	w.begin, w.end = make([]int, spatial), make([]int, spatial)
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	switch auto {
	case "", "NOTSET":
		pads, err := sizesAttr(n, "pads", 2*spatial, 0, 0)
		if err != nil {
			return false, err
		}
		w.begin, w.end = pads[:spatial], pads[spatial:]
		return true, nil
	case "VALID":
		return true, nil
	case "SAME_UPPER", "SAME_LOWER":
	default:
		return false, fault(n, "auto_pad %q is not one of NOTSET, VALID, SAME_UPPER, SAME_LOWER", auto)
	}
	exact = true
	for i := range w.kernel {
		eff, ok := mulInt(w.kernel[i]-1, w.dilations[i])
		if !ok || eff > maxAttr {
			return false, fault(n, "kernel %v with dilations %v is too wide", w.kernel, w.dilations)
		}
		total := eff // what stride 1 needs, whatever the size
		if w.strides[i] > 1 {
			if x == nil || !x[i+2].Known() {
				exact = false
				continue
			}
			in := x[i+2].Size
			out := (in + w.strides[i] - 1) / w.strides[i]
			total = max(0, (out-1)*w.strides[i]+eff+1-in)
		}
		w.begin[i] = total / 2
		if auto == "SAME_LOWER" {
			w.begin[i] = total - total/2
		}
		w.end[i] = total - w.begin[i]
	}
	return exact, nil
}

// GemmAttrs are the attributes of Gemm: Alpha·A'·B' + Beta·C, where a dash transposes if TransA, TransB say so.
type GemmAttrs struct {
	Alpha, Beta    float32
	TransA, TransB bool
}

// GemmOf reads a Gemm.
func GemmOf(n *Node) GemmAttrs {
	return GemmAttrs{
		Alpha: n.Attrs.Float("alpha", 1), Beta: n.Attrs.Float("beta", 1),
		TransA: n.Attrs.Int("transA", 0) != 0, TransB: n.Attrs.Int("transB", 0) != 0,
	}
}

// BatchNormAttrs are the attributes of BatchNormalization. Momentum is ONNX's: new running statistic = Momentum·old + (1−Momentum)·batch.
type BatchNormAttrs struct{ Epsilon, Momentum float32 }

// BatchNormOf reads a BatchNormalization.
func BatchNormOf(n *Node) BatchNormAttrs {
	return BatchNormAttrs{Epsilon: n.Attrs.Float("epsilon", 1e-5), Momentum: n.Attrs.Float("momentum", 0.9)}
}

// ClipOf reads the bounds of a Clip, infinite where open.
func ClipOf(g *Graph, n *Node) (lo, hi float32, err error) {
	inf := float32(math.Inf(1))
	lo, hi = n.Attrs.Float("min", -inf), n.Attrs.Float("max", inf)
	for i, bound := range []*float32{&lo, &hi} {
		name := n.Input(i + 1)
		if name == "" {
			continue
		}
		v, err := scalar(constantsOf(g)(name))
		if err != nil {
			return 0, 0, fault(n, "bound %q: %w", name, err)
		}
		*bound = v
	}
	if lo != lo || hi != hi {
		return 0, 0, fault(n, "bounds %v, %v are not numbers", lo, hi)
	}
	return lo, hi, nil
}

// scalar is the one element of a constant.
func scalar(t *Tensor) (float32, error) {
	if t == nil {
		return 0, fmt.Errorf("not a constant")
	}
	v, err := t.Floats()
	if err != nil {
		return 0, err
	}
	if len(v) != 1 {
		return 0, fmt.Errorf("shape %v, want one element", t.Shape)
	}
	return v[0], nil
}

// DropoutRatio is the share of elements that a Dropout sets to zero while training; 0.5, ONNX's default, where the node does not
// state a constant.
func DropoutRatio(g *Graph, n *Node) float32 {
	if v, err := scalar(constantsOf(g)(n.Input(1))); err == nil {
		return v
	}
	return n.Attrs.Float("ratio", 0.5)
}

// SoftmaxOf reads a Softmax or LogSoftmax over a value of rank. Before opset 13 the value counts as a matrix whose rows are the
// axes before axis and whose columns are all axes from it on: rest is true. From opset 13 the sum runs over that one axis alone.
func SoftmaxOf(g *Graph, n *Node, rank int) (axis int, rest bool, err error) {
	if rest = g.Opset("") < 13; rest {
		axis, err = AxisOf(n, rank, 1)
	} else {
		axis, err = AxisOf(n, rank, -1)
	}
	return axis, rest, err
}

// AxisOf reads the attribute axis, def where it is left out, as 0 … rank−1. Flatten's may be rank itself.
func AxisOf(n *Node, rank int, def int) (int, error) {
	v := n.Attrs.Int("axis", int64(def))
	if n.Op == "Flatten" && v == int64(rank) {
		return rank, nil
	}
	axis, err := normalAxis(v, rank)
	if err != nil {
		return 0, fault(n, "%w", err)
	}
	return axis, nil
}

// PermOf reads the order of axes of a Transpose: output axis i is input axis perm[i]. Left out, it reverses the axes.
func PermOf(n *Node, rank int) ([]int, error) {
	v := n.Attrs.Ints("perm")
	perm := make([]int, rank)
	if len(v) == 0 {
		for i := range perm {
			perm[i] = rank - 1 - i
		}
		return perm, nil
	}
	seen := make([]bool, rank)
	for i, p := range v {
		if len(v) != rank || p < 0 || p >= int64(rank) || seen[p] {
			return nil, fault(n, "perm %v does not order the axes of a value of rank %d", v, rank)
		}
		perm[i], seen[p] = int(p), true
	}
	return perm, nil
}

// AxesOf reads the axes of a Reduce operator, Squeeze or Unsqueeze, sorted, as 0 … rank−1, where rank is that of the input. The
// axes of Unsqueeze count in the output, whose rank is rank plus their number. A reduction without axes covers all (none where
// noop_with_empty_axes is set); a Squeeze without axes gives nil and means every axis of size one.
func AxesOf(g *Graph, n *Node, rank int) (axes []int, keepDims bool, err error) {
	return axesOf(constantsOf(g), n, rank)
}

func axesOf(constant constants, n *Node, rank int) (axes []int, keepDims bool, err error) {
	keepDims = n.Attrs.Int("keepdims", 1) != 0
	v := n.Attrs.Ints("axes")
	if name := n.Input(1); name != "" {
		if v, err = intsOf(constant, name); err != nil {
			return nil, false, fault(n, "axes %q: %w", name, err)
		}
	}
	switch n.Op {
	case "Squeeze":
		if len(v) == 0 {
			return nil, keepDims, nil
		}
	case "Unsqueeze":
		if len(v) == 0 || len(v) > maxRank {
			return nil, false, fault(n, "%d axes", len(v))
		}
		rank += len(v)
	default:
		if len(v) == 0 && n.Attrs.Int("noop_with_empty_axes", 0) == 0 {
			for i := range rank {
				axes = append(axes, i)
			}
			return axes, keepDims, nil
		}
	}
	for _, a := range v {
		axis, err := normalAxis(a, rank)
		if err != nil {
			return nil, false, fault(n, "%w", err)
		}
		if slices.Contains(axes, axis) {
			return nil, false, fault(n, "axes %v name axis %d twice", v, axis)
		}
		axes = append(axes, axis)
	}
	slices.Sort(axes)
	return axes, keepDims, nil
}

// intsOf is a constant as a list of whole numbers.
func intsOf(constant constants, name string) ([]int64, error) {
	t := constant(name)
	if t == nil {
		return nil, fmt.Errorf("not a constant")
	}
	if len(t.Shape) > 1 {
		return nil, fmt.Errorf("shape %v, want a list", t.Shape)
	}
	return t.Ints()
}
