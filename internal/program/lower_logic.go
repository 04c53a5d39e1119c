package program

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// lowerQuotient is Div, which among whole numbers cuts off the fraction.
func lowerQuotient(b *builder, n *ir.Node) error {
	if b.isWhole(n.Outputs[0]) {
		return binary("quotient")(b, n)
	}
	return binary("div")(b, n)
}

// lowerMod is Mod: with the sign of the divisor, or with fmod that of the dividend.
func lowerMod(b *builder, n *ir.Node) error {
	if n.Attrs.Int("fmod", 0) != 0 {
		return binary("fmod")(b, n)
	}
	if !b.isWhole(n.Outputs[0]) {
		return fmt.Errorf("floating-point operands need fmod")
	}
	return binary("mod")(b, n)
}

func lowerMean(b *builder, n *ir.Node) error {
	if err := binary("add")(b, n); err != nil {
		return err
	}
	b.value[n.Outputs[0]] = b.apply("scale", 1/float64(len(n.Inputs)), 0, b.value[n.Outputs[0]])
	return nil
}

// lowerWhere takes the elements of its second operand where the first is true, else those of the third.
func lowerWhere(b *builder, n *ir.Node) error {
	in, err := b.operands(n)
	if err != nil {
		return err
	}
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	layout := b.commonLayout(in, len(sizes))
	for i, v := range in {
		in[i] = b.broadcastTo(v, len(sizes), layout)
	}
	out, err := b.result(n, 0, layout)
	if err != nil {
		return err
	}
	b.emit(Where, nil, []ID{out}, in)
	return nil
}

func lowerSelu(b *builder, n *ir.Node) error {
	return b.lowerUnary(n, UnaryAttr{Function: "selu", A: float64(n.Attrs.Float("alpha", 1.67326319217681884765625)), B: float64(n.Attrs.Float("gamma", 1.05070102214813232421875))})
}

func lowerCelu(b *builder, n *ir.Node) error {
	return b.lowerUnary(n, UnaryAttr{Function: "celu", A: float64(n.Attrs.Float("alpha", 1))})
}

func lowerThresholded(b *builder, n *ir.Node) error {
	return b.lowerUnary(n, UnaryAttr{Function: "thresholded", A: float64(n.Attrs.Float("alpha", 1))})
}
