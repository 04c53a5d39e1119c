package ir

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// maxFolded bounds the elements that one Fold computes: a few bytes of a file may ask for any number of them. What goes over it
// stays a node.
const maxFolded = 1 << 26

// Fold gives an equal graph in which everything that does not depend on the inputs is a weight. g is not changed and nothing is
// shared with it.
//
//   - Constant nodes become weights, and so does what can be computed from constants and from the shapes of values.
//   - Sizes may be symbolic: a Shape-Gather-Concat chain into a Reshape becomes a constant target with 0 and −1 where one exists.
//   - Other lists of sizes that are computed in part become a Concat of constants and of the sizes that only a run knows.
//   - A Reshape, a Transpose and a Reshape that permute the positions of one axis become a Gather.
//   - What exporters write of a network in training mode goes: the running statistics that a BatchNormalization hands out to nobody, and modes that are
//     constantly training. Whether a run trains is for the run to say; a file that says it always does gives other numbers for every batch.
//   - Identity nodes go, and Dropout nodes that never drop: ratio 0, or a training mode that is constantly false. A Dropout that
//     leaves its mode to the run stays, because training needs it. Names of graph inputs and outputs are kept.
//   - Nodes and weights that no output depends on go.
//
// A weight that an Identity copies becomes a weight of its own: exporters write equal parameters of separate layers so, and those
// must be free to differ. A floating-point weight with several readers, though, is one shared parameter and is not computed on.
// g must be valid and its shapes free of contradiction, or the error says where.
func Fold(g *Graph) (*Graph, error) {
	if err := Validate(g); err != nil {
		return nil, err
	}
	out := g.Clone()
	if err := foldConstants(out); err != nil {
		return nil, err
	}
	leaveModes(out)
	foldIdentities(out)
	a := newAnalysis(out, limits{each: maxFolded, total: maxFolded})
	shared := sharedWeights(out)
	a.held = func(n *Node, name string) bool { return shared[name] && n.Op != "Identity" }
	if err := a.run(nil); err != nil {
		return nil, err
	}
	f := &folder{analysis: a, outputs: outputNames(out), names: taken(out)}
	f.computed()
	for _, n := range out.Nodes {
		f.target(n)
	}
	f.statedSizes()
	dropDead(out) // what read shapes inside of shuffles
	f.shuffles()
	dropDead(out)
	return out, nil
}

// leaveModes takes the training modes out of BatchNormalization and Dropout, with their second outputs, where nothing reads those.
func leaveModes(g *Graph) {
	read := outputNames(g)
	for _, n := range g.Nodes {
		for _, name := range slices.Concat(n.Inputs, n.Captures) {
			read[name] = true
		}
	}
	delete(read, "")
	for _, n := range g.Nodes {
		if !n.Is("BatchNormalization") && !n.Is("Dropout") || slices.ContainsFunc(n.Outputs[1:], func(v string) bool { return read[v] }) {
			continue
		}
		for _, v := range n.Outputs[1:] {
			delete(g.Info, v)
		}
		n.Outputs = n.Outputs[:1]
		delete(n.Attrs, "training_mode")
		if t := g.Weights[n.Input(2)]; n.Op == "Dropout" && t != nil {
			if mode := ofTensor(t).ints(); len(mode) == 1 && mode[0].Size == 1 {
				n.Inputs = n.Inputs[:2]
			}
		}
	}
}

// foldConstants turns Constant nodes into weights. Those that write a graph output stay nodes.
func foldConstants(g *Graph) error {
	outputs := outputNames(g)
	var kept []*Node
	for _, n := range g.Nodes {
		if !n.Is("Constant") || outputs[n.Outputs[0]] {
			kept = append(kept, n)
			continue
		}
		t, err := constantOf(n)
		if err != nil {
			return fault(n, "%w", err)
		}
		if err := checkWeight(n.Outputs[0], t); err != nil {
			return err
		}
		if g.Weights == nil {
			g.Weights = map[string]*Tensor{}
		}
		g.Weights[n.Outputs[0]] = t
	}
	g.Nodes = kept
	return nil
}

// foldIdentities takes out nodes that hand on their input as it is, except copies of weights, which are computed like any other
// constant.
func foldIdentities(g *Graph) {
	outputs, captured := outputNames(g), map[string]bool{}
	for _, n := range g.Nodes {
		for _, name := range n.Captures {
			captured[name] = true // the subgraph's bytes hold the name: it cannot change
		}
	}
	producers := Producers(g)
	alias := map[string]string{} // value → the value that replaces it
	var kept []*Node
	for _, n := range g.Nodes {
		for i, name := range n.Inputs {
			if to, ok := alias[name]; ok {
				n.Inputs[i] = to
			}
		}
		if !handsOn(g, n) {
			kept = append(kept, n)
			continue
		}
		x, y := n.Inputs[0], n.Outputs[0]
		p := producers[x]
		switch {
		case captured[y] || g.Weights[x] != nil:
			kept = append(kept, n)
		case !outputs[y]:
			alias[y] = x
		case p == nil || outputs[x] || captured[x]:
			kept = append(kept, n)
		default:
			// The producer writes the output itself; everything that reads x before or after reads y.
			p.Outputs[slices.Index(p.Outputs, x)] = y
			producers[y] = p
			alias[x] = y
			for _, m := range kept {
				for i, name := range m.Inputs {
					if name == x {
						m.Inputs[i] = y
					}
				}
			}
			for from, to := range alias {
				if to == x {
					alias[from] = y
				}
			}
		}
	}
	g.Nodes = kept
}

// handsOn tells whether a node's first output is its input in every run, and its only output.
func handsOn(g *Graph, n *Node) bool {
	if !Standard(n.Domain) || len(n.Captures) > 0 {
		return false
	}
	switch n.Op {
	case "Identity":
		return true
	case "Dropout":
		if n.Outputs[0] == "" || slices.ContainsFunc(n.Outputs[1:], func(s string) bool { return s != "" }) {
			return false
		}
		if t := g.Weights[n.Input(2)]; t != nil {
			if mode := ofTensor(t).ints(); len(mode) == 1 && mode[0].Size == 0 {
				return true
			}
		}
		return DropoutRatio(g, n) == 0
	}
	return false
}

// sharedWeights are floating-point weights with several readers, scalars apart.
func sharedWeights(g *Graph) map[string]bool {
	shared := map[string]bool{}
	uses := Consumers(g)
	for name, t := range g.Weights {
		copies := 0
		for _, u := range uses[name] {
			if u.Node.Is("Identity") {
				copies++
			}
		}
		shared[name] = t.DType.IsFloat() && t.Len() > 1 && len(uses[name])-copies > 1
	}
	return shared
}

func outputNames(g *Graph) map[string]bool {
	names := map[string]bool{}
	for _, out := range g.Outputs {
		names[out.Name] = true
	}
	return names
}

// taken are all names of values.
func taken(g *Graph) map[string]bool {
	names := map[string]bool{}
	for name := range g.Weights {
		names[name] = true
	}
	for _, in := range g.Inputs {
		names[in.Name] = true
	}
	for _, n := range g.Nodes {
		for _, name := range n.Outputs {
			names[name] = true
		}
		for _, name := range n.Captures {
			names[name] = true
		}
	}
	return names
}

// folder writes what an analysis found into its graph.
type folder struct {
	*analysis
	outputs map[string]bool
	names   map[string]bool
}

// computed replaces nodes all of whose outputs are constants by weights. A graph output keeps its node.
func (f *folder) computed() {
	g := f.g
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *Node) bool {
		for _, name := range n.Outputs {
			if v := f.vals[name]; name != "" && (v == nil || v.t == nil || f.outputs[name]) {
				return false
			}
		}
		for _, name := range n.Outputs {
			if name != "" {
				if g.Weights == nil {
					g.Weights = map[string]*Tensor{}
				}
				g.Weights[name] = f.vals[name].t
			}
		}
		return true
	})
}

// target gives a Reshape whose target is computed from symbolic sizes a constant one, where 0 (the input's size) and at most one
// −1 can say the same.
func (f *folder) target(n *Node) {
	if !n.Is("Reshape") || f.g.Weights[n.Inputs[1]] != nil {
		return
	}
	x, y := f.info[n.Inputs[0]].Shape, f.info[n.Outputs[0]].Shape
	if x == nil || y == nil {
		return
	}
	target := make([]int64, len(y))
	open := 0
	for i, d := range y {
		switch {
		case d.Known() && d.Size > 0:
			target[i] = int64(d.Size)
		case !d.Known() && i < len(x) && d.Same(x[i]):
			target[i] = 0
		case !d.Known():
			target[i] = -1
			open++
		default:
			return // an empty axis reads as "copy"
		}
	}
	if open > 1 {
		return
	}
	n.Inputs[1] = f.constant(n.ID()+"_shape", Vector64(target...))
	delete(n.Attrs, "allowzero")
}

func (f *folder) unique(name string) string {
	try := name
	for i := 2; f.names[try]; i++ {
		try = fmt.Sprint(name, "_", strconv.Itoa(i))
	}
	f.names[try] = true
	return try
}

// dropDead removes nodes, weights and notes on values that no graph output depends on.
func dropDead(g *Graph) {
	live := outputNames(g)
	var kept []*Node
	for _, n := range slices.Backward(g.Nodes) {
		if !slices.ContainsFunc(n.Outputs, func(name string) bool { return live[name] }) {
			continue
		}
		kept = append(kept, n)
		for _, name := range slices.Concat(n.Inputs, n.Captures) {
			if name != "" {
				live[name] = true
			}
		}
	}
	slices.Reverse(kept)
	g.Nodes = kept
	maps.DeleteFunc(g.Weights, func(name string, _ *Tensor) bool { return !live[name] })
	written := Producers(g)
	maps.DeleteFunc(g.Info, func(name string, _ ValueInfo) bool { return written[name] == nil })
}
