package program

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// Whole numbers and truth values live in the engine's floating-point numbers: false is 0 and true is 1. A float32 holds every whole
// number up to ±2²⁴ exactly. Constants and inputs beyond that are refused; where arithmetic on whole numbers or a cast leaves that
// range, or the range of its type, the result is NaN rather than a number that is nearly right.

// maxWhole is the largest whole number that the engine holds.
const maxWhole = 1 << 24

// wholeRange is what an element of a type may be.
func wholeRange(d ir.DType) (lo, hi float64) {
	switch d {
	case ir.Bool:
		return 0, 1
	case ir.Uint8:
		return 0, 255
	case ir.Int8:
		return -128, 127
	case ir.Uint16:
		return 0, 65535
	case ir.Int16:
		return -32768, 32767
	case ir.Uint32, ir.Uint64:
		return 0, maxWhole
	}
	return -maxWhole, maxWhole
}

// isWhole tells whether a value of the graph holds whole numbers.
func (b *builder) isWhole(name string) bool {
	d := b.info[name].DType
	return d.IsInt() && d != ir.Bool
}

// whole cuts off fractions and gives NaN for what the type cannot hold.
func (b *builder) whole(v ID, d ir.DType) ID {
	lo, hi := wholeRange(d)
	return b.apply("whole", lo, hi, v)
}

// wholeConstant is a constant of whole numbers.
func (b *builder) wholeConstant(name string, t *ir.Tensor) (ID, error) {
	list, err := t.Ints()
	if err != nil {
		return None, fmt.Errorf("constant %q: %w", name, err)
	}
	data := make([]float32, len(list))
	for i, v := range list {
		if v < -maxWhole || v > maxWhole {
			return None, fmt.Errorf("constant %q holds %d; the engine keeps whole numbers of up to ±%d only", name, v, maxWhole)
		}
		data[i] = float32(v)
	}
	id := b.constant(data, t.Shape...)
	b.value[name] = id
	return id, nil
}

// lowerCast changes nothing between floating-point types: the engine computes in one.
func lowerCast(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	from, to := b.info[n.Input(0)].DType, b.info[n.Outputs[0]].DType
	lo, hi := wholeRange(from)
	least, most := wholeRange(to)
	switch {
	case to.IsFloat() || to == from || to == ir.Undefined:
	case to == ir.Bool:
		x = b.apply("nonzero", 0, 0, x)
	case to.IsInt() && from.IsInt() && least <= lo && hi <= most:
	case to.IsInt():
		x = b.whole(x, to)
	default:
		return fmt.Errorf("its output is %v; the engine computes with numbers only", to)
	}
	b.value[n.Outputs[0]] = x
	return nil
}
