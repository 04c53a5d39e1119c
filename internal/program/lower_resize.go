package program

import (
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
	"asymmetric":           func(i, scale, _, _ float32) float32 { return i / scale },
	"tf_half_pixel_for_nn": func(i, scale, _, _ float32) float32 { return (i + 0.5) / scale },
	"half_pixel_symmetric": func(i, scale, from, to float32) float32 {
		center := from / 2
		return center*(1-to/(scale*from)) + (i+0.5)/scale - 0.5
	},
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

// lowerResize takes one axis after the other: the nearest position is a gather, and interpolation in several axes is the product of
// those in each.
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
	if locate == nil {
		return fmt.Errorf("coordinate_transformation_mode %s is not supported", a.Coordinates)
	}
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	cubic := float64(n.Attrs.Float("cubic_coeff_a", -0.75))
	for axis, to := range sizes {
		if a.Kept[axis] {
			continue
		}
		v := *b.val(x)
		p := v.physical(axis)
		from, scale := v.Shape[p], a.Scale[axis]
		shape := append([]int{}, v.Shape...)
		shape[p] = to
		out := b.temp(n.Outputs[0], shape, v.Layout)
		at := make([]float64, to)
		for i := range at {
			at[i] = float64(locate(float32(i), scale, float32(from), float32(to)))
		}
		switch stretch := max(1, 1/float64(scale)); {
		case a.Mode == "nearest":
			pick := GatherAttr{Axis: p}
			for _, c := range at {
				c = roundings[a.Nearest](c, scale)
				pick.Indices = append(pick.Indices, int(min(max(c, 0), float64(from-1))))
			}
			b.emit(Gather, pick, []ID{out}, []ID{x})
		case a.Mode == "linear" && !(a.Antialias && stretch > 1) && !a.ExcludeOutside:
			b.emit(Blend, between(p, at, from), []ID{out}, []ID{x})
		default:
			k := filter{triangle, 1, stretch, a.ExcludeOutside}
			if a.Mode == "cubic" {
				k.f, k.radius = func(x float64) float64 { return cubicAt(x, cubic) }, 2
			}
			if !a.Antialias {
				k.stretch = 1
			}
			mix := MixAttr{Axis: p, From: from}
			for _, c := range at {
				mix.Taps = append(mix.Taps, k.taps(c, from))
			}
			b.emit(Mix, mix, []ID{out}, []ID{x})
		}
		x = out
	}
	b.value[n.Outputs[0]] = x
	return nil
}

// between interpolates linearly between the two positions beside each coordinate.
func between(axis int, at []float64, from int) BlendAttr {
	a := BlendAttr{Axis: axis}
	for _, c := range at {
		c = min(max(c, 0), float64(from-1))
		low := int(c)
		a.Low = append(a.Low, low)
		a.High = append(a.High, min(low+1, from-1))
		a.Share = append(a.Share, c-float64(low))
	}
	return a
}

// filter is a kernel f that is zero from radius on. Where an axis shrinks and must not alias, it is stretched over more positions.
// inside leaves positions out that do not exist and lets the others add up to one; else the nearest one stands for them.
type filter struct {
	f               func(x float64) float64
	radius, stretch float64
	inside          bool
}

// taps are the shares of an axis of from positions at coordinate c.
func (k filter) taps(c float64, from int) []Tap {
	reach := k.radius * k.stretch
	share := map[int]float64{}
	sum := 0.0
	first, last := int(math.Floor(c-reach))+1, int(math.Ceil(c+reach))-1
	for i := first; i <= last; i++ {
		w := k.f((float64(i) - c) / k.stretch)
		if w == 0 || k.inside && (i < 0 || i >= from) {
			continue
		}
		share[min(max(i, 0), from-1)] += w
		sum += w
	}
	var out []Tap
	for i := max(first, 0); i <= min(max(last, 0), from-1) || i == from-1; i++ {
		if w, ok := share[i]; ok {
			out = append(out, Tap{i, w / sum})
		}
	}
	if out == nil { // the coordinate lies far outside
		out = []Tap{{int(min(max(c, 0), float64(from-1))), 1}}
	}
	return out
}

func triangle(x float64) float64 { return max(0, 1-math.Abs(x)) }

// cubicAt is the convolution kernel of Keys 1981, "Cubic convolution interpolation for digital image processing", with parameter a.
func cubicAt(x, a float64) float64 {
	switch x = math.Abs(x); {
	case x <= 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return ((a*x-5*a)*x+8*a)*x - 4*a
	}
	return 0
}
