package search

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/topk"
)

// scored is a network whose elements get importances from its weights alone.
type scored struct {
	g      *ir.Graph
	s      *space.Space
	groups []group
	seed   uint64
}

// l1 is the mean absolute weight of everything an element has in matrices and kernels, over its group's mean.
func (v scored) l1() {
	v.weights(math.Abs, func(_ string, w *ir.Tensor) bool { return len(w.Shape) > 1 })
}

// l2 is the same with squares.
func (v scored) l2() {
	v.weights(func(x float64) float64 { return x * x }, func(_ string, w *ir.Tensor) bool { return len(w.Shape) > 1 })
}

// scale is the mean absolute scale of an element's batch norms, over its group's mean (Liu et al., arXiv 1708.06519).
func (v scored) scale() {
	names := scales(v.g)
	v.weights(math.Abs, func(name string, _ *ir.Tensor) bool { return slices.Contains(names, name) })
}

// scales are the weights that batch norms multiply with.
func scales(g *ir.Graph) []string {
	var names []string
	for _, n := range g.Nodes {
		if name := n.Input(1); n.Is("BatchNormalization") && g.Weights[name] != nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// random draws importances.
func (v scored) random() {
	rng := rand.New(rand.NewPCG(v.seed, 0x5c0ed))
	for i := range v.groups {
		for e := range v.groups[i].c {
			v.groups[i].c[e] = rng.Float64()
		}
	}
}

// weights averages f over all weights that an element takes part in and that count.
func (v scored) weights(f func(float64) float64, counts func(name string, w *ir.Tensor) bool) {
	sum, number := make([][]float64, len(v.groups)), make([][]float64, len(v.groups))
	for i := range v.groups {
		sum[i], number[i] = make([]float64, len(v.groups[i].c)), make([]float64, len(v.groups[i].c))
	}
	names := make([]string, 0, len(v.s.Axes))
	for name := range v.s.Axes {
		if w := v.g.Weights[name]; w != nil && w.F32 != nil && counts(name, w) {
			names = append(names, name)
		}
	}
	slices.Sort(names) // sums of floats depend on the order
	for _, name := range names {
		w := v.g.Weights[name]
		inner := 1
		for axis := len(w.Shape) - 1; axis >= 0; axis-- {
			size := w.Shape[axis]
			a := v.s.Axis(name, axis)
			for p := range a.Len() {
				at, n := 0.0, 0.0
				for o := 0; o < w.Len(); o += size * inner {
					for _, x := range w.F32[o+p*inner : o+(p+1)*inner] {
						at += f(float64(x))
						n++
					}
				}
				for _, layer := range a {
					if r := layer[p]; !r.Fixed() {
						sum[r.Group][r.Elem] += at
						number[r.Group][r.Elem] += n
					}
				}
			}
			inner *= size
		}
	}
	for i := range v.groups {
		c, mean := v.groups[i].c, 0.0
		for e := range c {
			if c[e] = 0; number[i][e] > 0 {
				c[e] = sum[i][e] / number[i][e]
			}
			mean += c[e] / float64(len(c))
		}
		for e := range c {
			if mean > 0 {
				c[e] /= mean
			}
		}
	}
}

// scoredCopy has weights and importances of its own, so that elements may be weighed during a search.
func scoredCopy(g *ir.Graph, s *space.Space, groups []group) *scored {
	v := &scored{g: &ir.Graph{Weights: map[string]*ir.Tensor{}}, s: s}
	for name, w := range g.Weights {
		v.g.Weights[name] = w.Clone()
	}
	for _, at := range groups {
		v.groups = append(v.groups, group{c: make([]float64, len(at.c))})
	}
	return v
}

// weigh is the mean absolute weight of every element as the weights are now, by group.
func (v scored) weigh(m *engine.Machine[float32]) ([][]float64, error) {
	if err := m.WriteTo(v.g); err != nil {
		return nil, err
	}
	v.l1()
	norms := make([][]float64, len(v.groups))
	for i := range norms {
		norms[i] = v.groups[i].c
	}
	return norms, nil
}

// rankAll asks for what lies above one threshold over the importances of all width groups. The shift of the ratios, from 0 to 1, becomes the share of
// elements below the threshold. What is asked for beyond the whole number is the place of the next element, below ½, so that the solver's rest goes to
// the best of those that are out.
func (v *solver) rankAll(uint64) {
	var all []float64
	places := make([][]float64, len(v.order))
	for i, g := range v.space.Groups {
		if g.Kind == space.Width {
			all = append(all, v.importance[i]...)
		}
	}
	rank := make([]float64, len(all))
	topk.Rank(rank, all)
	at := 0
	for i, g := range v.space.Groups {
		if g.Kind == space.Width {
			places[i] = make([]float64, g.N)
			for r, e := range v.order[i] {
				places[i][r] = rank[at+e]
			}
			at += g.N
		}
	}
	v.want = func(i int, shift float64) float64 {
		k := 0
		for k < len(places[i]) && places[i][k] >= shift {
			k++
		}
		if k == len(places[i]) {
			return float64(k)
		}
		return float64(k) + places[i][k]*0.49
	}
}

// evolved takes blocks, too, from the ratios.
func (v *solver) evolved(uint64) {
	for i, g := range v.space.Groups {
		if g.Kind == space.Depth {
			v.depth[i] = max(v.min[i], g.N-int(math.Round(v.ratio[i]*float64(g.N))))
		}
	}
}

// same asks for the same share of every group.
func (v *solver) same(uint64) { clear(v.ratio) }

// random draws the share of every group.
func (v *solver) random(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0x4a7105))
	for i := range v.ratio {
		v.ratio[i] = rng.Float64()
	}
}
