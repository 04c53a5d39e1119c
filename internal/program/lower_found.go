package program

import (
	"errors"
	"fmt"
	"math"

	"github.com/dms-go/dms/ir"
)

// What these operators write has as many rows as they find, so no operator of a program can read it; a caller can.

func lowerSuppression(b *builder, n *ir.Node) error {
	boxes, err := b.in(n, 0)
	if err != nil {
		return err
	}
	scores, err := b.in(n, 1)
	if err != nil {
		return err
	}
	boxes, scores = b.rowMajor(boxes), b.rowMajor(scores)
	bs, ss := b.val(boxes).Shape, b.val(scores).Shape
	if len(bs) != 3 || len(ss) != 3 || bs[2] != 4 || bs[0] != ss[0] || bs[1] != ss[2] {
		return fmt.Errorf("boxes %v and scores %v", bs, ss)
	}
	a := SuppressAttr{Batch: ss[0], Classes: ss[1], Boxes: ss[2], Score: math.Inf(-1), Center: n.Attrs.Int("center_point_box", 0) != 0}
	most := 0.0
	for i, to := range []*float64{&most, &a.IoU, &a.Score} {
		name := n.Input(2 + i)
		if name == "" {
			continue
		}
		t := b.g.Weights[name]
		if t == nil {
			return fmt.Errorf("%q is not constant", name)
		}
		v, err := t.Floats()
		if err != nil || len(v) != 1 {
			return fmt.Errorf("%q is no number", name)
		}
		*to = float64(v[0])
	}
	if a.Max = int(min(most, float64(a.Boxes))); a.Max < 1 {
		return errors.New("it leaves no box")
	}
	out := b.temp(n.Outputs[0], []int{a.Batch * a.Classes * a.Max, 3}, nil)
	b.emit(Suppress, a, []ID{out}, []ID{boxes, scores})
	b.value[n.Outputs[0]] = out
	return nil
}

func lowerNonZero(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	x = b.rowMajor(x)
	rank := len(b.val(x).Shape)
	if rank == 0 {
		return errors.New("its operand has no axes")
	}
	out := b.temp(n.Outputs[0], []int{rank, b.val(x).Len()}, nil)
	b.emit(NonZero, nil, []ID{out}, []ID{x})
	b.value[n.Outputs[0]] = out
	return nil
}
