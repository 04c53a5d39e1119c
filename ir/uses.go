package ir

// Use is one place where a node reads a value. Input indexes the node's Inputs; it is −1 where a subgraph captures the value.
type Use struct {
	Node  *Node
	Input int
}

// Consumers lists, for every value that some node reads, its uses in the order of the nodes. Graph outputs are not uses.
func Consumers(g *Graph) map[string][]Use {
	uses := make(map[string][]Use)
	for _, n := range g.Nodes {
		for i, name := range n.Inputs {
			if name != "" {
				uses[name] = append(uses[name], Use{n, i})
			}
		}
		for _, name := range n.Captures {
			uses[name] = append(uses[name], Use{n, -1})
		}
	}
	return uses
}

// Producers maps every value that a node writes to that node. Graph inputs and weights have none.
func Producers(g *Graph) map[string]*Node {
	by := make(map[string]*Node)
	for _, n := range g.Nodes {
		for _, name := range n.Outputs {
			if name != "" {
				by[name] = n
			}
		}
	}
	return by
}

// constants finds the constant a value stands for, nil where it is computed.
type constants func(name string) *Tensor

// constantsOf reads weights and, in graphs that Fold has not seen, Constant nodes.
func constantsOf(g *Graph) constants {
	return func(name string) *Tensor {
		if t := g.Weights[name]; t != nil || name == "" {
			return t
		}
		for _, n := range g.Nodes {
			if n.Is("Constant") && len(n.Outputs) == 1 && n.Outputs[0] == name {
				t, _ := constantOf(n)
				return t
			}
		}
		return nil
	}
}
