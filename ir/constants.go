package ir

// Constants computes the values of a graph that are the same in every run once symbols have the numbers of bind, by name: sizes, and
// what is made of them. What Fold had to leave because the batch was a symbol is among them. Floating-point weights of more than one
// element are not computed with: training changes them. The error is that of InferShapes; g keeps its tensors to itself.
func Constants(g *Graph, bind map[string]int) (map[string]*Tensor, error) {
	a := newAnalysis(g, limits{each: maxFolded, total: maxFolded})
	a.held = func(_ *Node, name string) bool {
		t := g.Weights[name]
		return t != nil && t.DType.IsFloat() && t.Len() > 1
	}
	if err := a.run(bind); err != nil {
		return nil, err
	}
	out := map[string]*Tensor{}
	for name, v := range a.vals {
		if v.t != nil {
			out[name] = v.t.Clone()
		}
	}
	return out, nil
}
