package engine_test

import (
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/dms-go/dms/ir"
)

// The interpreter's rows of operators that choose, order, normalise and attend.

func truthOf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

var moreUnary = map[string]func(x float64, a ir.Attrs) float64{
	"Selu": func(x float64, a ir.Attrs) float64 {
		g := float64(a.Float("gamma", 1.05070102214813232421875))
		return g * (math.Max(0, x) + math.Min(0, float64(a.Float("alpha", 1.67326319217681884765625))*(math.Exp(x)-1)))
	},
	"Celu": func(x float64, a ir.Attrs) float64 {
		k := float64(a.Float("alpha", 1))
		return math.Max(0, x) + math.Min(0, k*(math.Exp(x/k)-1))
	},
	"ThresholdedRelu": func(x float64, a ir.Attrs) float64 {
		if x > float64(a.Float("alpha", 1)) {
			return x
		}
		return 0
	},
	"Softsign": func(x float64, _ ir.Attrs) float64 { return x / (1 + math.Abs(x)) },
	"Mish":     func(x float64, _ ir.Attrs) float64 { return x * math.Tanh(math.Log(1+math.Exp(x))) },
	"Sin":      func(x float64, _ ir.Attrs) float64 { return math.Sin(x) },
	"Cos":      func(x float64, _ ir.Attrs) float64 { return math.Cos(x) },
	"Tan":      func(x float64, _ ir.Attrs) float64 { return math.Sin(x) / math.Cos(x) },
	"Atan":     func(x float64, _ ir.Attrs) float64 { return math.Atan(x) },
	"Sinh":     func(x float64, _ ir.Attrs) float64 { return (math.Exp(x) - math.Exp(-x)) / 2 },
	"Cosh":     func(x float64, _ ir.Attrs) float64 { return (math.Exp(x) + math.Exp(-x)) / 2 },
	"Sign":     func(x float64, _ ir.Attrs) float64 { return truthOf(x > 0) - truthOf(x < 0) },
	"Floor":    func(x float64, _ ir.Attrs) float64 { return math.Floor(x) },
	"Ceil":     func(x float64, _ ir.Attrs) float64 { return math.Ceil(x) },
	"Round":    func(x float64, _ ir.Attrs) float64 { return math.RoundToEven(x) },
	"Not":      func(x float64, _ ir.Attrs) float64 { return 1 - x },
	"IsNaN":    func(x float64, _ ir.Attrs) float64 { return truthOf(math.IsNaN(x)) },
}

var moreBinary = map[string]func(a, b float64) float64{
	"Less":           func(a, b float64) float64 { return truthOf(a < b) },
	"LessOrEqual":    func(a, b float64) float64 { return truthOf(a <= b) },
	"Greater":        func(a, b float64) float64 { return truthOf(a > b) },
	"GreaterOrEqual": func(a, b float64) float64 { return truthOf(a >= b) },
	"Equal":          func(a, b float64) float64 { return truthOf(a == b) },
	"And":            func(a, b float64) float64 { return truthOf(a != 0 && b != 0) },
	"Or":             func(a, b float64) float64 { return truthOf(a != 0 || b != 0) },
	"Xor":            func(a, b float64) float64 { return truthOf((a != 0) != (b != 0)) },
}

// terms lists, for each output element of a reduction, the elements that it is made of.
func (c *call) terms(f func(list []float64) float64) error {
	x := c.in[0]
	axes, keep, err := ir.AxesOf(c.g, c.n, len(x.shape))
	if err != nil {
		return err
	}
	out := newTensor(c.out[0]...)
	lists := make([][]float64, len(out.data))
	each(x.shape, func(at []int) {
		var to []int
		for i, p := range at {
			switch {
			case !slices.Contains(axes, i):
				to = append(to, p)
			case keep:
				to = append(to, 0)
			}
		}
		k, _ := out.offset(to)
		lists[k] = append(lists[k], x.at(at...))
	})
	for i, list := range lists {
		out.data[i] = f(list)
	}
	c.values[c.n.Outputs[0]] = out
	return nil
}

func sumWith(f func(x float64) float64) func(list []float64) float64 {
	return func(list []float64) float64 {
		s := 0.0
		for _, x := range list {
			s += f(x)
		}
		return s
	}
}

func self(x float64) float64 { return x }

func product(list []float64) float64 {
	p := 1.0
	for _, x := range list {
		p *= x
	}
	return p
}

// lines visits every line of x along an axis: a function sees the index with 0 at the axis, and the elements.
func lines(x tensor, axis int, f func(at []int, list []float64)) {
	shape := slices.Clone(x.shape)
	shape[axis] = 1
	each(shape, func(at []int) {
		var list []float64
		p := slices.Clone(at)
		for i := range x.shape[axis] {
			p[axis] = i
			list = append(list, x.at(p...))
		}
		f(slices.Clone(at), list)
	})
}

// ranked are the positions of a list from the most extreme on; equal elements keep their order.
func ranked(list []float64, smallest bool) []int {
	at := make([]int, len(list))
	for i := range at {
		at[i] = i
	}
	sort.SliceStable(at, func(i, j int) bool {
		if smallest {
			return list[at[i]] < list[at[j]]
		}
		return list[at[i]] > list[at[j]]
	})
	return at
}

// index is an element of a value of whole numbers as a position of an axis of n.
func index(v float64, n int) int {
	if v < 0 {
		v += float64(n)
	}
	return int(v)
}

func combined(how string, old, v float64) float64 {
	switch how {
	case "add":
		return old + v
	case "mul":
		return old * v
	case "max":
		return math.Max(old, v)
	case "min":
		return math.Min(old, v)
	}
	return v
}

// moments are mean and variance over all elements that a test picks, for each element.
func (x tensor) moments(same func(a, b []int) bool, at []int) (mean, variance float64) {
	var list []float64
	each(x.shape, func(p []int) {
		if same(p, at) {
			list = append(list, x.at(p...))
		}
	})
	n := float64(len(list))
	mean = sumWith(self)(list) / n
	return mean, sumWith(func(v float64) float64 { return (v - mean) * (v - mean) })(list) / n
}

func (c *call) layerNorm(root bool) error {
	x := c.in[0]
	axis, epsilon, err := ir.LayerNormOf(c.n, len(x.shape))
	if err != nil {
		return err
	}
	same := func(a, b []int) bool { return slices.Equal(a[:axis], b[:axis]) }
	stats := func(at []int) (mean, inv float64) {
		mean, variance := x.moments(same, at)
		if root {
			mean, variance = 0, variance+mean*mean
		}
		return mean, 1 / math.Sqrt(variance+float64(epsilon))
	}
	for o := 1; o < len(c.out); o++ {
		c.values[c.n.Outputs[o]] = build(c.out[o], func(at []int) float64 {
			mean, inv := stats(at)
			return []float64{mean, inv}[o-1]
		})
	}
	return c.set(func(at []int) float64 {
		mean, inv := stats(at)
		y := (x.at(at...) - mean) * inv * c.in[1].broadcast(at)
		if len(c.in) > 2 {
			y += c.in[2].broadcast(at)
		}
		return y
	})
}

func (c *call) arg(smallest bool) error {
	x := c.in[0]
	axis, err := ir.AxisOf(c.n, len(x.shape), 0)
	if err != nil {
		return err
	}
	var out []float64
	lines(x, axis, func(_ []int, list []float64) {
		best := ranked(list, smallest)[0]
		if c.n.Attrs.Int("select_last_index", 0) != 0 {
			for i, v := range list {
				if v == list[best] {
					best = i
				}
			}
		}
		out = append(out, float64(best))
	})
	c.values[c.n.Outputs[0]] = tensor{c.out[0], out}
	return nil
}

// matrix reads an operand of attention by batch, head, position and element.
func matrix(t tensor, heads int) tensor {
	if len(t.shape) == 4 {
		return t
	}
	size := t.shape[2] / heads
	return build([]int{t.shape[0], heads, t.shape[1], size}, func(at []int) float64 { return t.at(at[0], at[2], at[1]*size+at[3]) })
}

func (c *call) attention() error {
	a, err := ir.AttentionOf(c.n, ir.Fixed(c.in[0].shape...))
	if err != nil {
		return err
	}
	q, k, v := matrix(c.in[0], a.Heads), matrix(c.in[1], a.KVHeads), matrix(c.in[2], a.KVHeads)
	past := 0
	if len(c.in) > 5 && c.n.Inputs[4] != "" {
		past = c.in[4].shape[2]
		behind := func(old, t tensor) tensor {
			shape := slices.Clone(t.shape)
			shape[2] += past
			return build(shape, func(at []int) float64 {
				if at[2] < past {
					return old.at(at...)
				}
				return t.at(at[0], at[1], at[2]-past, at[3])
			})
		}
		k, v = behind(c.in[4], k), behind(c.in[5], v)
	}
	for o, t := range []tensor{k, v} {
		if len(c.out) > o+1 {
			c.values[c.n.Outputs[o+1]] = t
		}
	}
	group := q.shape[1] / k.shape[1]
	scale := float64(a.Scale)
	if scale == 0 {
		scale = float64(float32(1 / math.Sqrt(float64(q.shape[3])))) // as the attribute would state it
	}
	attend := func(n, h, i, e int) float64 {
		sum, y := 0.0, 0.0
		for j := range k.shape[2] {
			s := 0.0
			for d := range q.shape[3] {
				s += q.at(n, h, i, d) * k.at(n, h/group, j, d) * scale
			}
			if len(c.in) > 3 && c.n.Inputs[3] != "" {
				m := c.in[3].broadcast([]int{n, h, i, j})
				if c.info[c.n.Inputs[3]].DType == ir.Bool {
					m = math.Log(m)
				}
				s += m
			}
			if a.Causal && j > i+past {
				continue
			}
			if cap := float64(a.Softcap); cap != 0 {
				s = cap * math.Tanh(s/cap)
			}
			sum += math.Exp(s)
			y += math.Exp(s) * v.at(n, h/group, j, e)
		}
		return y / sum
	}
	size := v.shape[3]
	return c.set(func(at []int) float64 {
		if a.Packed {
			return attend(at[0], at[2]/size, at[1], at[2]%size)
		}
		return attend(at[0], at[1], at[2], at[3])
	})
}

func (c *call) rotary() error {
	x := c.in[0]
	a, err := ir.RotaryOf(c.n, ir.Fixed(x.shape...))
	if err != nil {
		return err
	}
	size := x.shape[len(x.shape)-1]
	if len(x.shape) == 3 {
		size /= a.Heads
	}
	turned := a.Dim
	if turned == 0 {
		turned = size
	}
	return c.set(func(at []int) float64 {
		l := len(at) - 1
		e := at[l] % size
		if e >= turned {
			return x.at(at...)
		}
		pair, second := e%(turned/2), e >= turned/2
		other := e + turned/2
		if second {
			other = e - turned/2
		}
		if a.Interleaved {
			pair, second = e/2, e%2 == 1
			other = e ^ 1
		}
		angle := func(t tensor) float64 {
			p := at[l-1] // position
			if l == 2 {
				p = at[1]
			}
			if len(c.in) > 3 {
				return t.at(int(c.in[3].at(at[0], p)), pair)
			}
			return t.at(at[0], p, pair)
		}
		from := slices.Clone(at)
		from[l] += other - e
		if second {
			return x.at(at...)*angle(c.in[1]) + x.at(from...)*angle(c.in[2])
		}
		return x.at(at...)*angle(c.in[1]) - x.at(from...)*angle(c.in[2])
	})
}

// weights are the shares of the positions of an axis of n in one at coordinate q, for a mode of Resize other than nearest.
func shares(q float64, n int, reach, stretch float64, f func(float64) float64, exclude bool) map[int]float64 {
	out, sum := map[int]float64{}, 0.0
	for i := -200; i < n+200; i++ {
		w := 0.0
		if d := math.Abs(float64(i)-q) / stretch; d < reach {
			w = f(d)
		}
		if w == 0 || exclude && (i < 0 || i >= n) {
			continue
		}
		out[min(max(i, 0), n-1)] += w
		sum += w
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// filtered is Resize in cubic mode, without aliases, or from the rarer coordinates, one axis after the other.
func (c *call) filtered() error {
	x := c.in[0]
	where := c.n.Attrs.Str("coordinate_transformation_mode", "half_pixel")
	mode := c.n.Attrs.Str("mode", "nearest")
	for axis, to := range c.out[0] {
		n := x.shape[axis]
		scale := float32(to) / float32(n)
		if name := c.n.Input(2); name != "" {
			scale = c.g.Weights[name].F32[axis]
		}
		if scale == 1 {
			continue
		}
		shape := slices.Clone(x.shape)
		shape[axis] = to
		old := x
		x = build(shape, func(at []int) float64 {
			p := float32(at[axis])
			q := (p+0.5)/scale - 0.5
			switch where {
			case "asymmetric":
				q = p / scale
			case "align_corners":
				q = p * float32(n-1) / float32(to-1)
			case "tf_half_pixel_for_nn":
				q = (p + 0.5) / scale
			case "half_pixel_symmetric":
				q = float32(n)/2*(1-float32(to)/(scale*float32(n))) + (p+0.5)/scale - 0.5
			}
			from := slices.Clone(at)
			if mode == "nearest" {
				v := math.Ceil(float64(q) - 0.5 - 1e-6)
				if c.n.Attrs.Str("nearest_mode", "") == "floor" {
					v = math.Floor(float64(q))
				}
				from[axis] = min(max(int(v), 0), n-1)
				return old.at(from...)
			}
			smooth := c.n.Attrs.Int("antialias", 0) != 0
			stretch := 1.0
			if smooth {
				stretch = math.Max(1, 1/float64(scale))
			}
			a := float64(c.n.Attrs.Float("cubic_coeff_a", -0.75))
			f, reach := func(d float64) float64 { return 1 - d }, 1.0
			if mode == "cubic" {
				reach = 2
				f = func(d float64) float64 {
					if d <= 1 {
						return (a+2)*d*d*d - (a+3)*d*d + 1
					}
					return a*d*d*d - 5*a*d*d + 8*a*d - 4*a
				}
			}
			sum := 0.0
			for i, w := range shares(float64(q), n, reach, stretch, f, c.n.Attrs.Int("exclude_outside", 0) != 0) {
				from[axis] = i
				sum += w * old.at(from...)
			}
			return sum
		})
	}
	c.values[c.n.Outputs[0]] = x
	return nil
}

func (c *call) upsample() error {
	x := c.in[0]
	return c.set(func(at []int) float64 {
		corners := make([]int, len(at))
		for i := range corners {
			corners[i] = 2
		}
		sum := 0.0
		each(corners, func(corner []int) {
			share, from := 1.0, slices.Clone(at)
			for axis, p := range at {
				q := float64(float32(p) / (float32(c.out[0][axis]) / float32(x.shape[axis])))
				low := math.Floor(q + 1e-9)
				if c.n.Attrs.Str("mode", "nearest") == "nearest" {
					from[axis], share = int(low), share*truthOf(corner[axis] == 0)
				} else if corner[axis] == 0 {
					from[axis], share = int(low), share*(1-(q-low))
				} else {
					from[axis], share = min(int(low)+1, x.shape[axis]-1), share*(q-low)
				}
			}
			sum += share * x.at(from...)
		})
		return sum
	})
}

var moreReferences = map[string]func(c *call) error{
	"Upsample": (*call).upsample,
	"Div": func(c *call) error {
		whole := c.info[c.n.Outputs[0]].DType.IsInt()
		return c.set(func(at []int) float64 {
			q := c.in[0].broadcast(at) / c.in[1].broadcast(at)
			if whole {
				q = math.Trunc(q)
			}
			return q
		})
	},
	"Mod": func(c *call) error {
		return c.set(func(at []int) float64 {
			a, b := c.in[0].broadcast(at), c.in[1].broadcast(at)
			if c.n.Attrs.Int("fmod", 0) != 0 {
				return a - b*math.Trunc(a/b)
			}
			return a - b*math.Floor(a/b)
		})
	},
	"Shape": func(c *call) error {
		return c.set(func(at []int) float64 { return float64(c.in[0].shape[at[0]]) })
	},
	"Size": func(c *call) error {
		return c.set(func([]int) float64 { return float64(len(c.in[0].data)) })
	},
	"ConstantOfShape": func(c *call) error { return c.set(func([]int) float64 { return 0 }) },
	"Range": func(c *call) error {
		return c.set(func(at []int) float64 { return c.in[0].data[0] + float64(at[0])*c.in[2].data[0] })
	},
	"Mean": func(c *call) error {
		return c.set(func(at []int) float64 {
			s := 0.0
			for _, t := range c.in {
				s += t.broadcast(at) / float64(len(c.in))
			}
			return s
		})
	},
	"Where": func(c *call) error {
		return c.set(func(at []int) float64 {
			if c.in[0].broadcast(at) != 0 {
				return c.in[1].broadcast(at)
			}
			return c.in[2].broadcast(at)
		})
	},
	"Cast": func(c *call) error {
		to := c.info[c.n.Outputs[0]].DType
		return c.set(func(at []int) float64 {
			v := c.in[0].at(at...)
			switch {
			case to == ir.Bool:
				return truthOf(v != 0)
			case to.IsInt():
				return math.Trunc(v)
			}
			return v
		})
	},
	"ReduceMax":       func(c *call) error { return c.terms(slices.Max[[]float64]) },
	"ReduceMin":       func(c *call) error { return c.terms(slices.Min[[]float64]) },
	"ReduceProd":      func(c *call) error { return c.terms(product) },
	"ReduceL1":        func(c *call) error { return c.terms(sumWith(math.Abs)) },
	"ReduceSumSquare": func(c *call) error { return c.terms(sumWith(func(x float64) float64 { return x * x })) },
	"ReduceL2": func(c *call) error {
		return c.terms(func(l []float64) float64 { return math.Sqrt(sumWith(func(x float64) float64 { return x * x })(l)) })
	},
	"ReduceLogSum": func(c *call) error { return c.terms(func(l []float64) float64 { return math.Log(sumWith(self)(l)) }) },
	"ReduceLogSumExp": func(c *call) error {
		return c.terms(func(l []float64) float64 { return math.Log(sumWith(math.Exp)(l)) })
	},
	"ArgMax": func(c *call) error { return c.arg(false) },
	"ArgMin": func(c *call) error { return c.arg(true) },
	"TopK": func(c *call) error {
		x := c.in[0]
		a, err := ir.TopKOf(c.g, c.n, ir.Fixed(x.shape...))
		if err != nil {
			return err
		}
		values, positions := newTensor(c.out[0]...), newTensor(c.out[0]...)
		lines(x, a.Axis, func(at []int, list []float64) {
			for k, i := range ranked(list, !a.Largest)[:a.K] {
				at[a.Axis] = k
				to, _ := values.offset(at)
				values.data[to], positions.data[to] = list[i], float64(i)
			}
		})
		c.values[c.n.Outputs[0]], c.values[c.n.Outputs[1]] = values, positions
		return nil
	},
	"CumSum": func(c *call) error {
		x := c.in[0]
		axis, err := ir.CumSumOf(c.g, c.n, len(x.shape))
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			s := 0.0
			for i := range x.shape[axis] {
				before := i < at[axis]
				if c.n.Attrs.Int("reverse", 0) != 0 {
					before = i > at[axis]
				}
				if before || i == at[axis] && c.n.Attrs.Int("exclusive", 0) == 0 {
					p := slices.Clone(at)
					p[axis] = i
					s += x.at(p...)
				}
			}
			return s
		})
	},
	"Hardmax": func(c *call) error {
		x := c.in[0]
		axis, rest, err := ir.SoftmaxOf(c.g, c.n, len(x.shape))
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			first, most := []int(nil), math.Inf(-1)
			each(x.shape, func(p []int) {
				for i := range p {
					if p[i] != at[i] && i != axis && !(rest && i > axis) {
						return
					}
				}
				if v := x.at(p...); v > most {
					first, most = slices.Clone(p), v
				}
			})
			return truthOf(slices.Equal(first, at))
		})
	},
	"LayerNormalization": func(c *call) error { return c.layerNorm(false) },
	"RMSNormalization":   func(c *call) error { return c.layerNorm(true) },
	"InstanceNormalization": func(c *call) error {
		x := c.in[0]
		return c.set(func(at []int) float64 {
			mean, variance := x.moments(func(a, b []int) bool { return a[0] == b[0] && a[1] == b[1] }, at)
			return (x.at(at...)-mean)/math.Sqrt(variance+float64(c.n.Attrs.Float("epsilon", 1e-5)))*c.in[1].at(at[1]) + c.in[2].at(at[1])
		})
	},
	"GroupNormalization": func(c *call) error {
		x := c.in[0]
		a, err := ir.GroupNormOf(c.g, c.n, ir.Fixed(x.shape...))
		if err != nil {
			return err
		}
		per := x.shape[1] / a.Groups
		return c.set(func(at []int) float64 {
			mean, variance := x.moments(func(a, b []int) bool { return a[0] == b[0] && a[1]/per == b[1]/per }, at)
			k := at[1]
			if a.PerGroup {
				k /= per
			}
			return (x.at(at...)-mean)/math.Sqrt(variance+float64(a.Epsilon))*c.in[1].at(k) + c.in[2].at(k)
		})
	},
	"LpNormalization": func(c *call) error {
		x := c.in[0]
		axis, err := ir.AxisOf(c.n, len(x.shape), -1)
		if err != nil {
			return err
		}
		out := newTensor(x.shape...)
		lines(x, axis, func(at []int, list []float64) {
			norm := sumWith(math.Abs)(list)
			if c.n.Attrs.Int("p", 2) == 2 {
				norm = math.Sqrt(sumWith(func(x float64) float64 { return x * x })(list))
			}
			for i, v := range list {
				at[axis] = i
				k, _ := out.offset(at)
				out.data[k] = v / norm
			}
		})
		c.values[c.n.Outputs[0]] = out
		return nil
	},
	"MeanVarianceNormalization": func(c *call) error {
		x := c.in[0]
		axes, err := ir.MeanVarianceOf(c.n, len(x.shape))
		if err != nil {
			return err
		}
		same := func(a, b []int) bool {
			for i := range a {
				if a[i] != b[i] && !slices.Contains(axes, i) {
					return false
				}
			}
			return true
		}
		return c.set(func(at []int) float64 {
			mean, variance := x.moments(same, at)
			return (x.at(at...) - mean) / (math.Sqrt(variance) + 1e-9)
		})
	},
	"LRN": func(c *call) error {
		x := c.in[0]
		size := float64(c.n.Attrs.Int("size", 0))
		return c.set(func(at []int) float64 {
			s := 0.0
			for k := range x.shape[1] {
				if lo, hi := at[1]-int(math.Floor((size-1)/2)), at[1]+int(math.Ceil((size-1)/2)); k >= lo && k <= hi {
					p := slices.Clone(at)
					p[1] = k
					s += x.at(p...) * x.at(p...)
				}
			}
			base := float64(c.n.Attrs.Float("bias", 1)) + float64(c.n.Attrs.Float("alpha", 1e-4))/size*s
			return x.at(at...) / math.Pow(base, float64(c.n.Attrs.Float("beta", 0.75)))
		})
	},
	"Gather": func(c *call) error {
		x, s := c.in[0], c.in[1]
		axis, err := ir.AxisOf(c.n, len(x.shape), 0)
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			p := index(s.at(at[axis:axis+len(s.shape)]...), x.shape[axis])
			return x.at(append(append(slices.Clone(at[:axis]), p), at[axis+len(s.shape):]...)...)
		})
	},
	"GatherElements": func(c *call) error {
		axis, err := ir.AxisOf(c.n, len(c.in[0].shape), 0)
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			from := slices.Clone(at)
			from[axis] = index(c.in[1].at(at...), c.in[0].shape[axis])
			return c.in[0].at(from...)
		})
	},
	"GatherND": func(c *call) error {
		x, s := c.in[0], c.in[1]
		batch, depth, err := ir.GatherNDOf(c.n, ir.Fixed(x.shape...), ir.Fixed(s.shape...))
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			k := len(s.shape) - 1
			from := slices.Clone(at[:batch])
			for i := range depth {
				from = append(from, index(s.at(append(slices.Clone(at[:k]), i)...), x.shape[batch+i]))
			}
			return x.at(append(from, at[k:]...)...)
		})
	},
	"ScatterElements": func(c *call) error { return c.scatterElements() },
	"Scatter":         func(c *call) error { return c.scatterElements() },
	"ScatterND": func(c *call) error {
		x, s := c.in[0], c.in[1]
		out := tensor{x.shape, slices.Clone(x.data)}
		k := len(s.shape) - 1
		each(c.in[2].shape, func(at []int) {
			var to []int
			for i := range s.shape[k] {
				to = append(to, index(s.at(append(slices.Clone(at[:k]), i)...), x.shape[i]))
			}
			p, _ := out.offset(append(to, at[k:]...))
			out.data[p] = combined(c.n.Attrs.Str("reduction", "none"), out.data[p], c.in[2].at(at...))
		})
		c.values[c.n.Outputs[0]] = out
		return nil
	},
	"OneHot": func(c *call) error {
		axis, err := ir.OneHotOf(c.n, len(c.out[0]))
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			i := index(c.in[0].at(slices.Delete(slices.Clone(at), axis, axis+1)...), c.out[0][axis])
			return c.in[2].data[int(truthOf(i == at[axis]))]
		})
	},
	"Trilu": func(c *call) error {
		diagonal, upper, err := ir.TriluOf(c.g, c.n)
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			d := int64(at[len(at)-1] - at[len(at)-2])
			if upper && d < diagonal || !upper && d > diagonal {
				return 0
			}
			return c.in[0].at(at...)
		})
	},
	"Tile": func(c *call) error {
		return c.set(func(at []int) float64 {
			from := slices.Clone(at)
			for i := range from {
				from[i] %= c.in[0].shape[i]
			}
			return c.in[0].at(from...)
		})
	},
	"DepthToSpace": func(c *call) error {
		b := int(c.n.Attrs.Int("blocksize", 0))
		channels := c.out[0][1]
		return c.set(func(at []int) float64 {
			i, j := at[2]%b, at[3]%b
			k := (i*b+j)*channels + at[1]
			if c.n.Attrs.Str("mode", "DCR") == "CRD" {
				k = at[1]*b*b + i*b + j
			}
			return c.in[0].at(at[0], k, at[2]/b, at[3]/b)
		})
	},
	"SpaceToDepth": func(c *call) error {
		b := int(c.n.Attrs.Int("blocksize", 0))
		channels := c.in[0].shape[1]
		return c.set(func(at []int) float64 {
			k := at[1] / channels
			return c.in[0].at(at[0], at[1]%channels, at[2]*b+k/b, at[3]*b+k%b)
		})
	},
	"ConvTranspose": func(c *call) error {
		x, w := c.in[0], c.in[1]
		a, err := ir.ConvTransposeOf(c.n, ir.Fixed(x.shape...), ir.Fixed(w.shape...))
		if err != nil {
			return err
		}
		out := newTensor(c.out[0]...)
		perGroup := x.shape[1] / a.Group
		each(x.shape, func(from []int) {
			each(w.shape[1:], func(tap []int) {
				to := []int{from[0], from[1]/perGroup*w.shape[1] + tap[0]}
				for i, k := range tap[1:] {
					to = append(to, from[i+2]*a.Strides[i]+k*a.Dilations[i]-a.Begin[i])
				}
				if p, ok := out.offset(to); ok {
					out.data[p] += x.at(from...) * w.at(append([]int{from[1]}, tap...)...)
				}
			})
		})
		if len(c.in) > 2 {
			each(out.shape, func(at []int) {
				p, _ := out.offset(at)
				out.data[p] += c.in[2].at(at[1])
			})
		}
		c.values[c.n.Outputs[0]] = out
		return nil
	},
	"MatMul": func(c *call) error {
		a, b := c.in[0], c.in[1]
		row, col := len(a.shape) > 1, len(b.shape) > 1
		if !row {
			a = tensor{append([]int{1}, a.shape...), a.data}
		}
		if !col {
			b = tensor{append(slices.Clone(b.shape), 1), b.data}
		}
		return c.set(func(at []int) float64 {
			at = slices.Clone(at)
			if !col {
				at = append(at, 0)
			}
			if !row {
				at = slices.Insert(at, len(at)-1, 0)
			}
			n := len(at)
			sum := 0.0
			for i := range a.shape[len(a.shape)-1] {
				sum += a.broadcast(append(slices.Clone(at[:n-1]), i)) * b.broadcast(append(slices.Clone(at[:n-2]), i, at[n-1]))
			}
			return sum
		})
	},
	"Einsum": func(c *call) error {
		ranks := make([]int, len(c.in))
		for i, t := range c.in {
			ranks[i] = len(t.shape)
		}
		a, err := ir.EinsumOf(c.n, ranks)
		if err != nil {
			return err
		}
		letters, sizes := "", []int{}
		for i, term := range a.In {
			for k, l := range term {
				if !strings.ContainsRune(letters, l) {
					letters, sizes = letters+string(l), append(sizes, c.in[i].shape[k])
				}
			}
		}
		out := newTensor(c.out[0]...)
		each(sizes, func(at []int) {
			of := func(names string) []int {
				var p []int
				for _, l := range names {
					p = append(p, at[strings.IndexRune(letters, l)])
				}
				return p
			}
			v := 1.0
			for i, t := range c.in {
				v *= t.at(of(a.In[i])...)
			}
			k, _ := out.offset(of(a.Out))
			out.data[k] += v
		})
		c.values[c.n.Outputs[0]] = out
		return nil
	},
	"Attention":       (*call).attention,
	"RotaryEmbedding": (*call).rotary,
}

func (c *call) scatterElements() error {
	x := c.in[0]
	axis, err := ir.AxisOf(c.n, len(x.shape), 0)
	if err != nil {
		return err
	}
	out := tensor{x.shape, slices.Clone(x.data)}
	each(c.in[1].shape, func(at []int) {
		to := slices.Clone(at)
		to[axis] = index(c.in[1].at(at...), x.shape[axis])
		p, _ := out.offset(to)
		out.data[p] = combined(c.n.Attrs.Str("reduction", "none"), out.data[p], c.in[2].at(at...))
	})
	c.values[c.n.Outputs[0]] = out
	return nil
}

// rare tells whether a Resize is one that resize does not know.
func rare(n *ir.Node) bool {
	where := n.Attrs.Str("coordinate_transformation_mode", "")
	return n.Op == "Resize" && (n.Attrs.Str("mode", "") == "cubic" || n.Attrs.Int("antialias", 0) != 0 || strings.HasPrefix(where, "tf_") || where == "half_pixel_symmetric")
}
