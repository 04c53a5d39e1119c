package program

import (
	"errors"
	"fmt"
	"math"

	"github.com/dms-go/dms/ir"
)

func unary(function string) lowering {
	return func(b *builder, n *ir.Node) error { return b.lowerUnary(n, UnaryAttr{Function: function}) }
}

func (b *builder) lowerUnary(n *ir.Node, a UnaryAttr) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	out, err := b.result(n, 0, b.val(x).Layout)
	if err != nil {
		return err
	}
	b.emit(Unary, a, []ID{out}, []ID{x})
	return nil
}

func lowerLeaky(b *builder, n *ir.Node) error {
	return b.lowerUnary(n, UnaryAttr{Function: "leaky", A: float64(n.Attrs.Float("alpha", 0.01))})
}

func lowerElu(b *builder, n *ir.Node) error {
	return b.lowerUnary(n, UnaryAttr{Function: "elu", A: float64(n.Attrs.Float("alpha", 1))})
}

func lowerHardSigmoid(b *builder, n *ir.Node) error {
	return b.lowerUnary(n, UnaryAttr{Function: "hardsigmoid", A: float64(n.Attrs.Float("alpha", 0.2)), B: float64(n.Attrs.Float("beta", 0.5))})
}

func lowerGelu(b *builder, n *ir.Node) error {
	function := "gelu"
	switch a := n.Attrs.Str("approximate", "none"); a {
	case "none":
	case "tanh":
		function = "gelutanh"
	default:
		return fmt.Errorf("approximate %q is not one of none, tanh", a)
	}
	return b.lowerUnary(n, UnaryAttr{Function: function})
}

func lowerClip(b *builder, n *ir.Node) error {
	lo, hi, err := ir.ClipOf(b.g, n)
	if err != nil {
		return err
	}
	return b.lowerUnary(n, UnaryAttr{Function: "clip", A: float64(lo), B: float64(hi)})
}

func lowerDropout(b *builder, n *ir.Node) error {
	ratio := float64(ir.DropoutRatio(b.g, n))
	if !b.cfg.Training || ratio == 0 {
		return lowerIdentity(b, n)
	}
	if !(ratio > 0 && ratio < 1) {
		return errors.New("its ratio lies outside [0, 1)")
	}
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	out, err := b.result(n, 0, b.val(x).Layout)
	if err != nil {
		return err
	}
	b.emit(Dropout, DropoutAttr{Ratio: ratio, Index: b.dropout}, []ID{out}, []ID{x})
	b.dropout++
	return nil
}

// binary lowers an operator of two or more operands that broadcast; the operand with the most elements decides the storage order.
func binary(function string) lowering {
	return func(b *builder, n *ir.Node) error {
		var in []ID
		for i := range n.Inputs {
			v, err := b.in(n, i)
			if err != nil {
				return err
			}
			in = append(in, v)
		}
		if len(in) == 1 {
			b.value[n.Outputs[0]] = in[0]
			return nil
		}
		if function == "pow" {
			if done, err := b.lowerPower(n, in[0]); done || err != nil {
				return err
			}
		}
		sizes, err := b.sizes(n.Outputs[0])
		if err != nil {
			return err
		}
		layout := b.commonLayout(in, len(sizes))
		acc := b.broadcastTo(in[0], len(sizes), layout)
		for i, v := range in[1:] {
			v = b.broadcastTo(v, len(sizes), layout)
			var out ID
			if i == len(in)-2 {
				if out, err = b.result(n, 0, layout); err != nil {
					return err
				}
			} else {
				out = b.temp(n.Outputs[0], broadcastShape(b.val(acc).Shape, b.val(v).Shape), normal(layout))
			}
			b.emit(Binary, BinaryAttr{function}, []ID{out}, []ID{acc, v})
			acc = out
		}
		if growing[function] && b.isWhole(n.Outputs[0]) {
			b.value[n.Outputs[0]] = b.whole(acc, b.info[n.Outputs[0]].DType)
		}
		return nil
	}
}

// growing lists functions whose result may leave the range of whole numbers that its operands are in.
var growing = map[string]bool{"add": true, "sub": true, "mul": true, "pow": true, "quotient": true}

// commonLayout is the storage order of the operand that fills most of a result of the given rank.
func (b *builder) commonLayout(in []ID, rank int) []int {
	best, most := []int(nil), -1
	for _, v := range in {
		x := b.val(v)
		if len(x.Shape) == rank && x.Len() > most {
			best, most = x.Layout, x.Len()
		}
	}
	return best
}

func broadcastShape(a, c []int) []int {
	out := make([]int, len(a))
	for i := range out {
		out[i] = max(a[i], c[i])
	}
	return out
}

// lowerPower knows constant exponents, whose gradient needs no logarithm.
func (b *builder) lowerPower(n *ir.Node, x ID) (done bool, err error) {
	t := b.g.Weights[n.Input(1)]
	if t == nil || t.Len() != 1 || b.isWhole(n.Outputs[0]) || len(t.Shape) > len(b.val(x).Shape) {
		return false, nil
	}
	v, err := t.Floats()
	if err != nil {
		return true, err
	}
	if math.IsNaN(float64(v[0])) {
		return true, errors.New("its exponent is NaN")
	}
	return true, b.lowerUnary(n, UnaryAttr{Function: "power", A: float64(v[0])})
}

func lowerPrelu(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	slope, err := b.in(n, 1)
	if err != nil {
		return err
	}
	v := *b.val(x)
	out, err := b.result(n, 0, v.Layout)
	if err != nil {
		return err
	}
	b.emit(Prelu, nil, []ID{out}, []ID{x, b.broadcastTo(slope, len(v.Shape), v.Layout)})
	return nil
}
