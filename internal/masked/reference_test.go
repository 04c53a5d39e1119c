package masked_test

import (
	"fmt"
	"math"

	"github.com/dms-go/dms/ir"
)

// This file runs a graph the slow and obvious way, in float64, one loop over the output of each node. It knows the operators of
// internal/testkit/nets and shares no code with the engine, so that a fault in one does not hide one in the other.

type array struct {
	shape []int
	data  []float64
}

func zeros(shape ...int) array {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return array{shape, make([]float64, n)}
}

// index is the place of the element at, which may have more axes than a; axes of size 1 are spread.
func (a array) index(at []int) int {
	i := 0
	for k, d := range a.shape {
		p := at[len(at)-len(a.shape)+k]
		if d == 1 {
			p = 0
		}
		i = i*d + p
	}
	return i
}

// each makes an array of the given shape from a function of the position.
func each(shape []int, f func(at []int) float64) array {
	out := zeros(shape...)
	at := make([]int, len(shape))
	for i := range out.data {
		rest := i
		for k := len(shape) - 1; k >= 0; k-- {
			at[k] = rest % shape[k]
			rest /= shape[k]
		}
		out.data[i] = f(at)
	}
	return out
}

// evaluate runs g on the inputs and returns its outputs by name.
func evaluate(g *ir.Graph, inputs map[string]array) (map[string]array, error) {
	values := map[string]array{}
	for name, w := range g.Weights {
		f, err := w.Floats()
		if err != nil {
			return nil, err
		}
		a := array{w.Shape, make([]float64, len(f))}
		for i, v := range f {
			a.data[i] = float64(v)
		}
		values[name] = a
	}
	bind := map[string]int{}
	for _, v := range g.Inputs {
		values[v.Name] = inputs[v.Name]
		for i, d := range v.Shape {
			if !d.Known() {
				bind[d.Sym] = inputs[v.Name].shape[i]
			}
		}
	}
	shapes, err := ir.InferShapes(g, bind)
	if err != nil {
		return nil, err
	}
	for _, n := range g.Nodes {
		for i, out := range n.Outputs {
			if i > 0 && n.Op != "Split" {
				continue // nobody reads it
			}
			shape, ok := shapes[out].Shape.Sizes()
			if !ok {
				return nil, fmt.Errorf("%s: shape %v", n.Label(), shapes[out].Shape)
			}
			f, err := element(g, n, i, values)
			if err != nil {
				return nil, err
			}
			if f == nil {
				values[out] = array{shape, values[n.Inputs[0]].data}
				continue
			}
			values[out] = each(shape, f)
		}
	}
	out := map[string]array{}
	for _, v := range g.Outputs {
		out[v.Name] = values[v.Name]
	}
	return out, nil
}

// element is the function that gives one element of an output of n; nil stands for the first input in another shape.
func element(g *ir.Graph, n *ir.Node, output int, values map[string]array) (func(at []int) float64, error) {
	in := func(i int) array { return values[n.Input(i)] }
	x := in(0)
	shape := ir.Fixed(x.shape...)
	moved := func(at []int, axis, to int) float64 {
		p := append([]int(nil), at...)
		p[axis] = to
		return x.data[x.index(p)]
	}
	switch n.Op {
	case "Reshape", "Flatten", "Identity", "Dropout":
		return nil, nil
	case "Relu":
		return func(at []int) float64 { return max(0, x.data[x.index(at)]) }, nil
	case "Sigmoid":
		return func(at []int) float64 { return 1 / (1 + math.Exp(-x.data[x.index(at)])) }, nil
	case "Add", "Sum": // two inputs, as the nets write it
		y := in(1)
		return func(at []int) float64 { return x.data[x.index(at)] + y.data[y.index(at)] }, nil
	case "Mul":
		y := in(1)
		return func(at []int) float64 { return x.data[x.index(at)] * y.data[y.index(at)] }, nil
	case "BatchNormalization":
		eps := float64(ir.BatchNormOf(n).Epsilon)
		return func(at []int) float64 {
			c := at[1]
			return (x.data[x.index(at)]-in(3).data[c])/math.Sqrt(in(4).data[c]+eps)*in(1).data[c] + in(2).data[c]
		}, nil
	case "InstanceNormalization":
		return func(at []int) float64 {
			area := x.shape[2] * x.shape[3]
			plane := x.data[(at[0]*x.shape[1]+at[1])*area:][:area]
			mean, variance := 0.0, 0.0
			for _, v := range plane {
				mean += v / float64(area)
			}
			for _, v := range plane {
				variance += (v - mean) * (v - mean) / float64(area)
			}
			return (x.data[x.index(at)]-mean)/math.Sqrt(variance+1e-5)*in(1).data[at[1]] + in(2).data[at[1]]
		}, nil
	case "GlobalAveragePool":
		return func(at []int) float64 {
			sum, area := 0.0, x.shape[2]*x.shape[3]
			for k := range area {
				sum += x.data[(at[0]*x.shape[1]+at[1])*area+k]
			}
			return sum / float64(area)
		}, nil
	case "MaxPool": // windows of 2×2, one apart, as the nets write it
		return func(at []int) float64 {
			p := append([]int(nil), at...)
			best := math.Inf(-1)
			for k := range 4 {
				p[2], p[3] = at[2]+k/2, at[3]+k%2
				best = max(best, x.data[x.index(p)])
			}
			return best
		}, nil
	case "Resize": // to twice the height and width, as the nets write it
		linear := n.Attrs.Str("mode", "nearest") == "linear"
		return func(at []int) float64 {
			p := append([]int(nil), at...)
			sum := 0.0
			for k := range 4 {
				share := 1.0
				for i, step := range []int{k / 2, k % 2} {
					axis := 2 + i
					// Position 2j lies a quarter before j, position 2j+1 a quarter behind it.
					near := at[axis] / 2
					far := min(max(near-1+at[axis]%2*2, 0), x.shape[axis]-1)
					switch {
					case step == 0 && linear:
						p[axis], share = near, share*0.75
					case step == 0:
						p[axis] = near
					case linear:
						p[axis], share = far, share*0.25
					default:
						p[axis], share = near, 0
					}
				}
				sum += share * x.data[x.index(p)]
			}
			return sum
		}, nil
	case "ReduceSum":
		axes, _, err := ir.AxesOf(g, n, len(x.shape))
		return func(at []int) float64 {
			sum := 0.0
			for k := range x.shape[axes[0]] {
				sum += moved(at, axes[0], k)
			}
			return sum
		}, err
	case "Softmax":
		return func(at []int) float64 {
			sum, last := 0.0, len(at)-1
			for k := range x.shape[last] {
				sum += math.Exp(moved(at, last, k) - x.data[x.index(at)])
			}
			return 1 / sum
		}, nil
	case "Gemm":
		w, b := in(1), in(2)
		return func(at []int) float64 {
			sum := b.data[at[1]]
			for k := range x.shape[1] {
				sum += x.data[at[0]*x.shape[1]+k] * w.data[at[1]*w.shape[1]+k] // transB, as the nets write it
			}
			return sum
		}, nil
	case "MatMul":
		y := in(1)
		return func(at []int) float64 {
			sum := 0.0
			p, q := append([]int(nil), at...), append([]int(nil), at...)
			for k := range x.shape[len(x.shape)-1] {
				p[len(p)-1], q[len(q)-2] = k, k
				sum += x.data[x.index(p)] * y.data[y.index(q)]
			}
			return sum
		}, nil
	case "Conv":
		w := in(1)
		attrs, err := ir.ConvOf(g, n, shape, ir.Fixed(w.shape...))
		return func(at []int) float64 {
			o, per := at[1], w.shape[1]
			first := o / (w.shape[0] / attrs.Group) * per
			sum := 0.0
			if b := n.Input(2); b != "" {
				sum = values[b].data[o]
			}
			for c := range per {
				for kh := range w.shape[2] {
					for kw := range w.shape[3] {
						h, v := at[2]*attrs.Strides[0]+kh-attrs.Begin[0], at[3]*attrs.Strides[1]+kw-attrs.Begin[1]
						if h >= 0 && h < x.shape[2] && v >= 0 && v < x.shape[3] {
							sum += x.data[x.index([]int{at[0], first + c, h, v})] * w.data[w.index([]int{o, c, kh, kw})]
						}
					}
				}
			}
			return sum
		}, err
	case "Transpose":
		perm, err := ir.PermOf(n, len(x.shape))
		return func(at []int) float64 {
			p := make([]int, len(at))
			for i, a := range perm {
				p[a] = at[i]
			}
			return x.data[x.index(p)]
		}, err
	case "Concat":
		axis, err := ir.AxisOf(n, len(x.shape), 0)
		return func(at []int) float64 {
			p := append([]int(nil), at...)
			i := 0
			for ; p[axis] >= in(i).shape[axis]; i++ {
				p[axis] -= in(i).shape[axis]
			}
			return in(i).data[in(i).index(p)]
		}, err
	case "Slice":
		attrs, err := ir.SliceOf(g, n, shape)
		return func(at []int) float64 {
			p := make([]int, len(at))
			for i := range at {
				p[i] = attrs.Start[i] + at[i]*attrs.Step[i]
			}
			return x.data[x.index(p)]
		}, err
	case "Split":
		axis, sizes, err := ir.SplitOf(g, n, shape)
		begin := 0
		for i := range output {
			begin += sizes[i]
		}
		return func(at []int) float64 { return moved(at, axis, begin+at[axis]) }, err
	case "Gather":
		axis, err := ir.AxisOf(n, len(x.shape), 0)
		if err != nil {
			return nil, err
		}
		return func(at []int) float64 {
			i := int(in(1).data[at[axis]])
			if i < 0 {
				i += x.shape[axis]
			}
			return moved(at, axis, i)
		}, nil
	case "Pad":
		attrs, err := ir.PadOf(g, n, len(x.shape))
		return func(at []int) float64 {
			p := make([]int, len(at))
			for i := range at {
				if p[i] = at[i] - attrs.Begin[i]; p[i] < 0 || p[i] >= x.shape[i] {
					return float64(attrs.Value)
				}
			}
			return x.data[x.index(p)]
		}, err
	}
	return nil, fmt.Errorf("%s: not known here", n.Label())
}
