package program

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dms-go/dms/ir"
)

// lowerLayerNorm normalises every row of what lies behind the first axes. With root it divides by the root of the mean square and
// subtracts nothing.
func lowerLayerNorm(root bool) lowering {
	return func(b *builder, n *ir.Node) error {
		x, err := b.in(n, 0)
		if err != nil {
			return err
		}
		x = b.rowMajor(x)
		s := slices.Clone(b.val(x).Shape)
		axis, epsilon, err := ir.LayerNormOf(n, len(s))
		if err != nil {
			return err
		}
		a := RowNormAttr{Rows: product(s[:axis]), N: product(s[axis:]), Epsilon: float64(epsilon), Root: root}
		in := []ID{x, None, None}
		for i := 1; i < 3 && n.Input(i) != ""; i++ {
			p, err := b.in(n, i)
			if err != nil {
				return err
			}
			p = b.broadcastTo(b.rowMajor(p), len(s), nil)
			if product(b.val(p).Shape[:axis]) != 1 {
				return fmt.Errorf("parameters of shape %v differ from row to row, which is not supported", b.val(p).Shape)
			}
			p = b.view(p, b.val(p).Shape[axis:], nil)
			in[i] = b.view(b.spread(p, s[axis:]), []int{a.N}, nil)
		}
		out, err := b.result(n, 0, nil)
		if err != nil {
			return err
		}
		outs := []ID{out, b.temp("mean", []int{a.Rows}, nil), b.temp("inv", []int{a.Rows}, nil)}
		b.emit(RowNorm, a, outs, in)
		for i := 1; i < len(n.Outputs); i++ {
			if n.Outputs[i] == "" {
				continue
			}
			if b.cfg.Loss != "" && len(b.uses[n.Outputs[i]]) > 0 {
				return errors.New("its statistics cannot be differentiated")
			}
			if err := b.done(n, i, outs[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

// standardise is (x − mean)/√(variance + ε), both taken over the axes in which stat has size one, times gamma, plus beta, which
// broadcast.
func (b *builder) standardise(x ID, stat []int, epsilon float64, gamma, beta ID) ID {
	d := b.join("sub", x, meanOf(b, x, stat))
	inv := b.apply("rsqrt", epsilon, 0, meanOf(b, b.apply("square", 0, 0, d), stat))
	if gamma == None {
		return b.join("mul", d, inv)
	}
	scale := b.join("mul", inv, gamma)
	return b.join("add", b.join("mul", d, scale), beta)
}

// channelRows gives x, stored channels-last, as (N, positions, channels).
func (b *builder) channelRows(x ID) (rows ID, shape []int) {
	x = b.arrange(x, channelsLast(len(b.val(x).Shape)))
	s := b.val(x).Shape
	c := s[len(s)-1]
	shape = []int{s[0], product(s) / (s[0] * c), c}
	return b.view(x, shape, nil), shape
}

// asImage makes v, of the elements of output 0 in channels-last order, its value.
func (b *builder) asImage(n *ir.Node, v ID) error {
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	layout := channelsLast(len(sizes))
	b.value[n.Outputs[0]] = b.view(v, permute(sizes, layout), layout)
	return nil
}

func lowerInstanceNorm(b *builder, n *ir.Node) error {
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	x, s := b.channelRows(in[0])
	channel := []int{1, 1, s[2]}
	y := b.standardise(x, []int{s[0], 1, s[2]}, float64(n.Attrs.Float("epsilon", 1e-5)), b.view(in[1], channel, nil), b.view(in[2], channel, nil))
	return b.asImage(n, y)
}

func lowerGroupNorm(b *builder, n *ir.Node) error {
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	a, err := ir.GroupNormOf(b.g, n, b.shape(n.Input(0)))
	if err != nil {
		return err
	}
	x, s := b.channelRows(in[0])
	x = b.view(x, []int{s[0], s[1], a.Groups, s[2] / a.Groups}, nil)
	channel := []int{1, 1, a.Groups, s[2] / a.Groups}
	if a.PerGroup {
		channel[3] = 1
	}
	for _, p := range in[1:] {
		if b.val(p).Len() != product(channel) {
			return fmt.Errorf("parameters of shape %v for %v", b.val(p).Shape, channel)
		}
	}
	y := b.standardise(x, []int{s[0], 1, a.Groups, 1}, float64(a.Epsilon), b.view(in[1], channel, nil), b.view(in[2], channel, nil))
	return b.asImage(n, y)
}

// lowerLpNorm divides by the norm along an axis; where that is zero everything is, and stays.
func lowerLpNorm(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	axis, err := ir.AxisOf(n, len(v.Shape), -1)
	if err != nil {
		return err
	}
	shape := slices.Clone(v.Shape)
	shape[v.physical(axis)] = 1
	norm := rootOfSquares
	if n.Attrs.Int("p", 2) == 1 {
		norm = sumOfSizes
	}
	length := norm(b, x, shape)
	zero := b.number(0, len(shape))
	length = b.join("add", length, b.join("equal", length, zero))
	b.value[n.Outputs[0]] = b.join("div", x, length)
	return nil
}

// tinyDeviation is what ONNX's definition of MeanVarianceNormalization adds to the standard deviation.
const tinyDeviation = 1e-9

func lowerMeanVariance(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	axes, err := ir.MeanVarianceOf(n, len(v.Shape))
	if err != nil {
		return err
	}
	shape := slices.Clone(v.Shape)
	for _, axis := range axes {
		shape[v.physical(axis)] = 1
	}
	d := b.join("sub", x, meanOf(b, x, shape))
	deviation := b.apply("sqrt", 0, 0, meanOf(b, b.apply("square", 0, 0, d), shape))
	b.value[n.Outputs[0]] = b.join("div", d, b.apply("affine", 1, tinyDeviation, deviation))
	return nil
}

// maxTaps bounds the list of what goes into what: a few bytes of a file may ask for any number.
const maxTaps = 1 << 26

// lowerLRN divides by a power of the sum of squares over neighbouring channels.
func lowerLRN(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	v := *b.val(x)
	size := int(n.Attrs.Int("size", 0))
	if size < 1 || len(v.Shape) < 2 {
		return fmt.Errorf("size %d of an input of shape %v", size, v.logical())
	}
	p := v.physical(1)
	channels := v.Shape[p]
	if size = min(size, 2*channels+1); channels > maxTaps/size {
		return fmt.Errorf("sums over %d of %d channels are too large", size, channels)
	}
	a := MixAttr{Axis: p, From: channels}
	for c := range channels {
		var t []Tap
		for k := max(0, c-(size-1)/2); k <= min(channels-1, c+size/2); k++ {
			t = append(t, Tap{k, 1})
		}
		a.Taps = append(a.Taps, t)
	}
	sum := b.temp(b.node, v.Shape, v.Layout)
	b.emit(Mix, a, []ID{sum}, []ID{b.apply("square", 0, 0, x)})
	alpha, beta := float64(n.Attrs.Float("alpha", 1e-4)), float64(n.Attrs.Float("beta", 0.75))
	base := b.apply("affine", alpha/float64(n.Attrs.Int("size", 0)), float64(n.Attrs.Float("bias", 1)), sum)
	b.value[n.Outputs[0]] = b.join("mul", x, b.apply("power", -beta, 0, base))
	return nil
}
