package program

import (
	"errors"
	"fmt"
	"math"

	"github.com/dms-go/dms/ir"
)

// coordinates find for position i of an axis resized by scale, from a length to another, where in the input it lies: ONNX's
// coordinate_transformation_mode. They are in single precision, as in ONNX Runtime, for rounding decides which neighbour is nearest.
var coordinates = map[string]func(i, scale, from, to float32) float32{
	"half_pixel": func(i, scale, _, _ float32) float32 { return (i+0.5)/scale - 0.5 },
	"pytorch_half_pixel": func(i, scale, _, to float32) float32 {
		if to <= 1 {
			return 0
		}
		return (i+0.5)/scale - 0.5
	},
	"align_corners": func(i, _, from, to float32) float32 {
		if to <= 1 {
			return 0
		}
		return i * (from - 1) / (to - 1)
	},
	"asymmetric": func(i, scale, _, _ float32) float32 { return i / scale },
}

// halfway is how far a coordinate may be from the middle of two positions to count as there. ONNX Runtime 1.30 has the same: what ought
// to be 3.5 is 3.4999998 in single precision.
const halfway = 1e-6

// roundings are ONNX's nearest_mode.
var roundings = map[string]func(x float64, scale float32) float64{
	"round_prefer_floor": func(x float64, _ float32) float64 { return math.Ceil(x - 0.5 - halfway) },
	"round_prefer_ceil":  func(x float64, _ float32) float64 { return math.Floor(x + 0.5 + halfway) },
	"floor":              func(x float64, _ float32) float64 { return math.Floor(x) },
	"ceil":               func(x float64, _ float32) float64 { return math.Ceil(x) },
	"simple": func(x float64, scale float32) float64 {
		if scale < 1 {
			return math.Ceil(x)
		}
		return math.Floor(x)
	},
}

// lowerResize takes one axis after the other: the nearest position is a gather, and linear interpolation in several axes is the
// product of those in each.
func lowerResize(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	a, err := ir.ResizeOf(b.g, n, b.shape(n.Input(0)), b.shape(n.Outputs[0]))
	if err != nil {
		return err
	}
	locate := coordinates[a.Coordinates]
	switch {
	case a.Mode == "cubic":
		return errors.New("mode cubic is not supported")
	case locate == nil:
		return fmt.Errorf("coordinate_transformation_mode %s is not supported", a.Coordinates)
	case a.Antialias || a.ExcludeOutside:
		return errors.New("antialias and exclude_outside are not supported")
	}
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	for axis, to := range sizes {
		if a.Kept[axis] {
			continue
		}
		v := *b.val(x)
		p := v.physical(axis)
		from := v.Shape[p]
		shape := append([]int{}, v.Shape...)
		shape[p] = to
		out := b.temp(n.Outputs[0], shape, v.Layout)
		taps := BlendAttr{Axis: p}
		for i := range to {
			at := float64(locate(float32(i), a.Scale[axis], float32(from), float32(to)))
			if a.Mode == "nearest" {
				at = roundings[a.Nearest](at, a.Scale[axis])
			}
			at = min(max(at, 0), float64(from-1))
			low := int(at)
			taps.Low = append(taps.Low, low)
			taps.High = append(taps.High, min(low+1, from-1))
			taps.Share = append(taps.Share, at-float64(low))
		}
		if a.Mode == "nearest" {
			b.emit(Gather, GatherAttr{Axis: p, Indices: taps.Low}, []ID{out}, []ID{x})
		} else {
			b.emit(Blend, taps, []ID{out}, []ID{x})
		}
		x = out
	}
	b.value[n.Outputs[0]] = x
	return nil
}
