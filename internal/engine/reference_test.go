package engine_test

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/dms-go/dms/ir"
)

// An interpreter of ONNX operators in the graph's own order of axes, written for clearness alone: every output element by its formula, in
// float64. The engine, which stores everything otherwise, is held against it.

// tensor is a row-major array.
type tensor struct {
	shape []int
	data  []float64
}

func newTensor(shape ...int) tensor {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return tensor{slices.Clone(shape), make([]float64, n)}
}

// offset is the place of an index, NaN-free: ok is false outside.
func (t tensor) offset(at []int) (int, bool) {
	k := 0
	for i, s := range t.shape {
		if at[i] < 0 || at[i] >= s {
			return 0, false
		}
		k = k*s + at[i]
	}
	return k, true
}

func (t tensor) at(at ...int) float64 {
	k, ok := t.offset(at)
	if !ok {
		panic(fmt.Sprint("reference: index ", at, " of shape ", t.shape))
	}
	return t.data[k]
}

// build makes a tensor from its elements.
func build(shape []int, f func(at []int) float64) tensor {
	t := newTensor(shape...)
	each(shape, func(at []int) {
		k, _ := t.offset(at)
		t.data[k] = f(at)
	})
	return t
}

// each visits every index of a shape in row-major order.
func each(shape []int, f func(at []int)) {
	at := make([]int, len(shape))
	for {
		if slices.Contains(shape, 0) {
			return
		}
		f(at)
		i := len(shape) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < shape[i] {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

// broadcast reads t at an index of a larger shape, by ONNX's rule.
func (t tensor) broadcast(at []int) float64 {
	own := slices.Clone(at[len(at)-len(t.shape):])
	for i, s := range t.shape {
		if s == 1 {
			own[i] = 0
		}
	}
	return t.at(own...)
}

// interpret runs a folded graph on values for its inputs; batch norm uses batch statistics when training. It returns every value.
func interpret(g *ir.Graph, bind map[string]int, inputs map[string]tensor, training bool) (map[string]tensor, error) {
	info, err := ir.InferShapes(g, bind)
	if err != nil {
		return nil, err
	}
	values := map[string]tensor{}
	for name, w := range g.Weights {
		v, err := w.Floats()
		if err != nil {
			continue
		}
		t := newTensor(w.Shape...)
		for i, x := range v {
			t.data[i] = float64(x)
		}
		values[name] = t
	}
	for name, t := range inputs {
		values[name] = t
	}
	for _, n := range g.Nodes {
		c := &call{g: g, n: n, values: values, info: info, training: training}
		for _, name := range n.Inputs {
			c.in = append(c.in, values[name])
		}
		for _, name := range n.Outputs {
			sizes, ok := info[name].Shape.Sizes()
			if !ok {
				return nil, fmt.Errorf("reference: %s: shape %v", n.Label(), info[name].Shape)
			}
			c.out = append(c.out, sizes)
		}
		if err := c.run(); err != nil {
			return nil, fmt.Errorf("reference: %s: %w", n.Label(), err)
		}
	}
	return values, nil
}

// call is one node being run.
type call struct {
	g        *ir.Graph
	n        *ir.Node
	in       []tensor
	out      [][]int // shapes
	values   map[string]tensor
	info     map[string]ir.ValueInfo
	training bool
}

// set writes the first output element by element.
func (c *call) set(f func(at []int) float64) error {
	c.values[c.n.Outputs[0]] = build(c.out[0], f)
	return nil
}

var unaryReference = map[string]func(x float64, a ir.Attrs) float64{
	"Relu":       func(x float64, _ ir.Attrs) float64 { return math.Max(x, 0) },
	"Sigmoid":    func(x float64, _ ir.Attrs) float64 { return 1 / (1 + math.Exp(-x)) },
	"Tanh":       func(x float64, _ ir.Attrs) float64 { return math.Tanh(x) },
	"Exp":        func(x float64, _ ir.Attrs) float64 { return math.Exp(x) },
	"Sqrt":       func(x float64, _ ir.Attrs) float64 { return math.Sqrt(x) },
	"Log":        func(x float64, _ ir.Attrs) float64 { return math.Log(x) },
	"Reciprocal": func(x float64, _ ir.Attrs) float64 { return 1 / x },
	"Erf":        func(x float64, _ ir.Attrs) float64 { return math.Erf(x) },
	"Abs":        func(x float64, _ ir.Attrs) float64 { return math.Abs(x) },
	"Neg":        func(x float64, _ ir.Attrs) float64 { return -x },
	"Softplus":   func(x float64, _ ir.Attrs) float64 { return math.Log(1 + math.Exp(x)) },
	"HardSwish":  func(x float64, _ ir.Attrs) float64 { return x * math.Min(math.Max(x/6+0.5, 0), 1) },
	"Gelu": func(x float64, a ir.Attrs) float64 {
		if a.Str("approximate", "none") == "tanh" {
			return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*math.Pow(x, 3))))
		}
		return 0.5 * x * (1 + math.Erf(x/math.Sqrt(2)))
	},
	"LeakyRelu": func(x float64, a ir.Attrs) float64 {
		if x < 0 {
			return x * float64(a.Float("alpha", 0.01))
		}
		return x
	},
	"Elu": func(x float64, a ir.Attrs) float64 {
		if x < 0 {
			return float64(a.Float("alpha", 1)) * (math.Exp(x) - 1)
		}
		return x
	},
	"HardSigmoid": func(x float64, a ir.Attrs) float64 {
		return math.Min(math.Max(x*float64(a.Float("alpha", 0.2))+float64(a.Float("beta", 0.5)), 0), 1)
	},
}

var binaryReference = map[string]func(a, b float64) float64{
	"Add": func(a, b float64) float64 { return a + b },
	"Sum": func(a, b float64) float64 { return a + b },
	"Sub": func(a, b float64) float64 { return a - b },
	"Mul": func(a, b float64) float64 { return a * b },
	"Pow": math.Pow,
	"Max": math.Max,
	"Min": math.Min,
}

func (c *call) run() error {
	if rare(c.n) {
		return c.filtered()
	}
	if f, ok := moreReferences[c.n.Op]; ok {
		return f(c)
	}
	maps.Copy(unaryReference, moreUnary)
	maps.Copy(binaryReference, moreBinary)
	if f, ok := unaryReference[c.n.Op]; ok {
		return c.set(func(at []int) float64 { return f(c.in[0].at(at...), c.n.Attrs) })
	}
	if f, ok := binaryReference[c.n.Op]; ok {
		return c.set(func(at []int) float64 {
			v := c.in[0].broadcast(at)
			for _, t := range c.in[1:] {
				v = f(v, t.broadcast(at))
			}
			return v
		})
	}
	f, ok := references[c.n.Op]
	if !ok {
		return fmt.Errorf("no reference")
	}
	return f(c)
}

var references = map[string]func(c *call) error{
	"Identity": same, "Dropout": same, "Reshape": same, "Flatten": same, "Squeeze": same, "Unsqueeze": same,
	"Conv": func(c *call) error {
		x, w := c.in[0], c.in[1]
		a, err := ir.ConvOf(c.g, c.n, ir.Fixed(x.shape...), ir.Fixed(w.shape...))
		if err != nil {
			return err
		}
		perGroup := w.shape[0] / a.Group
		return c.set(func(at []int) float64 {
			sum := 0.0
			if len(c.in) > 2 {
				sum = c.in[2].at(at[1])
			}
			each(w.shape[1:], func(tap []int) {
				from := []int{at[0], at[1]/perGroup*w.shape[1] + tap[0]}
				for i, k := range tap[1:] {
					from = append(from, at[i+2]*a.Strides[i]+k*a.Dilations[i]-a.Begin[i])
				}
				if k, ok := x.offset(from); ok {
					sum += x.data[k] * w.at(append([]int{at[1]}, tap...)...)
				}
			})
			return sum
		})
	},
	"MaxPool":     func(c *call) error { return c.pool() },
	"AveragePool": func(c *call) error { return c.pool() },
	"GlobalMaxPool": func(c *call) error {
		return c.set(func(at []int) float64 {
			v := math.Inf(-1)
			each(c.in[0].shape[2:], func(p []int) { v = math.Max(v, c.in[0].at(append([]int{at[0], at[1]}, p...)...)) })
			return v
		})
	},
	"GlobalAveragePool": func(c *call) error {
		return c.set(func(at []int) float64 {
			v, n := 0.0, 0.0
			each(c.in[0].shape[2:], func(p []int) {
				v += c.in[0].at(append([]int{at[0], at[1]}, p...)...)
				n++
			})
			return v / n
		})
	},
	"BatchNormalization": func(c *call) error {
		x := c.in[0]
		epsilon := float64(ir.BatchNormOf(c.n).Epsilon)
		mean, variance := c.in[3], c.in[4]
		if c.training {
			count := float64(len(x.data) / x.shape[1])
			mean, variance = newTensor(x.shape[1]), newTensor(x.shape[1])
			each(x.shape, func(at []int) { mean.data[at[1]] += x.at(at...) / count })
			each(x.shape, func(at []int) { variance.data[at[1]] += math.Pow(x.at(at...)-mean.data[at[1]], 2) / count })
		}
		return c.set(func(at []int) float64 {
			k := at[1]
			return (x.at(at...)-mean.at(k))/math.Sqrt(variance.at(k)+epsilon)*c.in[1].at(k) + c.in[2].at(k)
		})
	},
	"Gemm": func(c *call) error {
		v := ir.GemmOf(c.n)
		get := func(t tensor, i, j int, turned bool) float64 {
			if turned {
				i, j = j, i
			}
			return t.at(i, j)
		}
		k := c.in[0].shape[1]
		if v.TransA {
			k = c.in[0].shape[0]
		}
		return c.set(func(at []int) float64 {
			sum := 0.0
			for i := range k {
				sum += get(c.in[0], at[0], i, v.TransA) * get(c.in[1], i, at[1], v.TransB)
			}
			sum *= float64(v.Alpha)
			if len(c.in) > 2 {
				sum += float64(v.Beta) * c.in[2].broadcast(at)
			}
			return sum
		})
	},
	"PRelu": func(c *call) error {
		return c.set(func(at []int) float64 {
			if v := c.in[0].at(at...); v > 0 {
				return v
			}
			return c.in[0].at(at...) * c.in[1].broadcast(at)
		})
	},
	"Clip": func(c *call) error {
		lo, hi, err := ir.ClipOf(c.g, c.n)
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 { return math.Min(math.Max(c.in[0].at(at...), float64(lo)), float64(hi)) })
	},
	"ReduceMean": func(c *call) error { return c.reduce(true) },
	"ReduceSum":  func(c *call) error { return c.reduce(false) },
	"Softmax":    func(c *call) error { return c.softmax(func(x, sum float64) float64 { return math.Exp(x) / sum }) },
	"LogSoftmax": func(c *call) error { return c.softmax(func(x, sum float64) float64 { return x - math.Log(sum) }) },
	"Transpose": func(c *call) error {
		perm, err := ir.PermOf(c.n, len(c.in[0].shape))
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			from := make([]int, len(at))
			for i, axis := range perm {
				from[axis] = at[i]
			}
			return c.in[0].at(from...)
		})
	},
	"Concat": func(c *call) error {
		axis, err := ir.AxisOf(c.n, len(c.in[0].shape), 0)
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			from := slices.Clone(at)
			for _, t := range c.in {
				if from[axis] < t.shape[axis] {
					return t.at(from...)
				}
				from[axis] -= t.shape[axis]
			}
			panic("reference: past the end")
		})
	},
	"Slice": func(c *call) error {
		s, err := ir.SliceOf(c.g, c.n, ir.Fixed(c.in[0].shape...))
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			from := slices.Clone(at)
			for i := range from {
				from[i] = s.Start[i] + at[i]*s.Step[i]
			}
			return c.in[0].at(from...)
		})
	},
	"Split": func(c *call) error {
		axis, sizes, err := ir.SplitOf(c.g, c.n, ir.Fixed(c.in[0].shape...))
		if err != nil {
			return err
		}
		start := 0
		for o, name := range c.n.Outputs {
			c.values[name] = build(c.out[o], func(at []int) float64 {
				from := slices.Clone(at)
				from[axis] += start
				return c.in[0].at(from...)
			})
			start += sizes[o]
		}
		return nil
	},
	"Pad": func(c *call) error {
		x := c.in[0]
		p, err := ir.PadOf(c.g, c.n, len(x.shape))
		if err != nil {
			return err
		}
		return c.set(func(at []int) float64 {
			from := slices.Clone(at)
			for i := range from {
				from[i] -= p.Begin[i]
				last := x.shape[i] - 1
				switch p.Mode {
				case "wrap":
					from[i] = (from[i]%x.shape[i] + x.shape[i]) % x.shape[i]
				case "edge":
					from[i] = min(max(from[i], 0), last)
				case "reflect":
					for from[i] < 0 || from[i] > last {
						if from[i] < 0 {
							from[i] = -from[i]
						} else {
							from[i] = 2*last - from[i]
						}
					}
				}
			}
			if k, ok := x.offset(from); ok {
				return x.data[k]
			}
			return float64(p.Value)
		})
	},
	"Expand": func(c *call) error { return c.set(func(at []int) float64 { return c.in[0].broadcast(at) }) },
	"Resize": (*call).resize,
	"CrossEntropy": func(c *call) error {
		z, t := c.in[0], c.in[1]
		temperature := float64(c.n.Attrs.Float("temperature", 1))
		loss := 0.0
		for r := range z.shape[0] {
			sum := 0.0
			for k := range z.shape[1] {
				sum += math.Exp(z.at(r, k) / temperature)
			}
			for k := range z.shape[1] {
				loss -= t.at(r, k) * (z.at(r, k)/temperature - math.Log(sum))
			}
		}
		c.values[c.n.Outputs[0]] = tensor{nil, []float64{loss / float64(z.shape[0])}}
		return nil
	},
	"DIST": func(c *call) error {
		temperature := float64(c.n.Attrs.Float("temperature", 1))
		probabilities := func(z tensor) [][]float64 {
			p := make([][]float64, z.shape[0])
			for r := range p {
				sum := 0.0
				for k := range z.shape[1] {
					p[r] = append(p[r], math.Exp(z.at(r, k)/temperature))
					sum += p[r][k]
				}
				for k := range p[r] {
					p[r][k] /= sum
				}
			}
			return p
		}
		s, t := probabilities(c.in[0]), probabilities(c.in[1])
		inter, intra := 0.0, 0.0
		for r := range s {
			inter += (1 - pearson(s[r], t[r])) / float64(len(s))
		}
		for k := range s[0] {
			var a, b []float64
			for r := range s {
				a, b = append(a, s[r][k]), append(b, t[r][k])
			}
			intra += (1 - pearson(a, b)) / float64(len(s[0]))
		}
		square := temperature * temperature
		loss := square * (float64(c.n.Attrs.Float("beta", 1))*inter + float64(c.n.Attrs.Float("gamma", 1))*intra)
		c.values[c.n.Outputs[0]] = tensor{nil, []float64{loss}}
		return nil
	},
}

// pearson is the correlation of two lists.
func pearson(a, b []float64) float64 {
	ma, mb := 0.0, 0.0
	for i := range a {
		ma += a[i] / float64(len(a))
		mb += b[i] / float64(len(a))
	}
	var aa, bb, ab float64
	for i := range a {
		aa += (a[i] - ma) * (a[i] - ma)
		bb += (b[i] - mb) * (b[i] - mb)
		ab += (a[i] - ma) * (b[i] - mb)
	}
	return ab / (math.Sqrt(aa*bb) + 1e-8)
}

// same hands the elements on under the output's shape.
func same(c *call) error {
	c.values[c.n.Outputs[0]] = tensor{c.out[0], c.in[0].data}
	return nil
}

func (c *call) pool() error {
	x := c.in[0]
	a, err := ir.PoolOf(c.g, c.n, ir.Fixed(x.shape...))
	if err != nil {
		return err
	}
	return c.set(func(at []int) float64 {
		most, sum, inside, padded := math.Inf(-1), 0.0, 0.0, 0.0
		each(a.Kernel, func(tap []int) {
			from, within := []int{at[0], at[1]}, true
			for i, k := range tap {
				p := at[i+2]*a.Strides[i] + k*a.Dilations[i] - a.Begin[i]
				within = within && p < x.shape[i+2]+a.End[i]
				from = append(from, p)
			}
			if k, ok := x.offset(from); ok {
				most, sum = math.Max(most, x.data[k]), sum+x.data[k]
				inside++
			}
			if within {
				padded++
			}
		})
		switch {
		case c.n.Op == "MaxPool":
			return most
		case a.CountPad:
			return sum / padded
		}
		return sum / inside
	})
}

func (c *call) reduce(mean bool) error {
	x := c.in[0]
	axes, keep, err := ir.AxesOf(c.g, c.n, len(x.shape))
	if err != nil {
		return err
	}
	out := newTensor(c.out[0]...)
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
		out.data[k] += x.at(at...)
	})
	if mean {
		for i := range out.data {
			out.data[i] *= float64(len(out.data)) / float64(len(x.data))
		}
	}
	c.values[c.n.Outputs[0]] = out
	return nil
}

// resize looks at every axis of every element anew. Coordinates are in single precision, as ONNX Runtime has them.
func (c *call) resize() error {
	x, y := c.in[0], c.out[0]
	opset := c.g.Opset("")
	where := c.n.Attrs.Str("coordinate_transformation_mode", "half_pixel")
	nearest := c.n.Attrs.Str("nearest_mode", "round_prefer_floor")
	scales := c.n.Input(2)
	if opset < 11 {
		where, nearest, scales = "asymmetric", "simple", c.n.Input(1)
	}
	scale := func(axis int) float32 {
		i := axis
		if axes := c.n.Attrs.Ints("axes"); axes != nil {
			i = slices.IndexFunc(axes, func(a int64) bool { return (int(a)+len(y))%len(y) == axis })
			if i < 0 {
				return 1
			}
		}
		if scales != "" {
			return c.g.Weights[scales].F32[i]
		}
		return float32(y[axis]) / float32(x.shape[axis])
	}
	return c.set(func(at []int) float64 {
		sum := 0.0
		corners := make([]int, len(at))
		for i := range corners {
			corners[i] = 2
		}
		each(corners, func(corner []int) {
			share, from := 1.0, slices.Clone(at)
			for axis, p := range at {
				s, in, out := scale(axis), float32(x.shape[axis]), float32(y[axis])
				q := float32(p)
				switch {
				case s == 1:
				case where == "asymmetric":
					q = q / s
				case where == "half_pixel", where == "pytorch_half_pixel" && out > 1:
					q = (q+0.5)/s - 0.5
				case where == "align_corners" && out > 1:
					q = q * (in - 1) / (out - 1)
				default:
					q = 0
				}
				last := x.shape[axis] - 1
				if c.n.Attrs.Str("mode", "nearest") == "nearest" {
					v := float64(q)
					switch {
					case nearest == "floor", nearest == "simple" && s >= 1:
						v = math.Floor(v)
					case nearest == "ceil", nearest == "simple":
						v = math.Ceil(v)
					case math.Abs(v-math.Floor(v)-0.5) > 1e-6:
						v = math.Round(v)
					case nearest == "round_prefer_ceil":
						v = math.Ceil(v)
					default:
						v = math.Floor(v)
					}
					from[axis] = min(max(int(v), 0), last)
					if corner[axis] == 1 {
						share = 0
					}
					continue
				}
				v := math.Min(math.Max(float64(q), 0), float64(last))
				low := math.Floor(v)
				if corner[axis] == 0 {
					from[axis], share = int(low), share*(1-(v-low))
				} else {
					from[axis], share = min(int(low)+1, last), share*(v-low)
				}
			}
			sum += share * x.at(from...)
		})
		return sum
	})
}

func (c *call) softmax(f func(x, sum float64) float64) error {
	x := c.in[0]
	axis, rest, err := ir.SoftmaxOf(c.g, c.n, len(x.shape))
	if err != nil {
		return err
	}
	return c.set(func(at []int) float64 {
		sum := 0.0
		each(x.shape, func(p []int) {
			for i := range p {
				if p[i] != at[i] && i != axis && !(rest && i > axis) {
					return
				}
			}
			sum += math.Exp(x.at(p...))
		})
		return f(x.at(at...), sum)
	})
}
