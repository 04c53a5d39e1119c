package space

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
)

// maxBlockNodes bounds how many nodes one residual branch may have.
const maxBlockNodes = 4096

// branch is a residual block before groups exist.
type branch struct {
	add   *ir.Node
	side  int // input of add that is f(x)
	x     string
	nodes []*ir.Node
	in    []int // other branches around this one, ascending
}

// branches finds every Add(x, f(x)), or Sum of two, whose f may be left out: f reads no computed value but x, nobody outside reads what is inside, x has the sum's
// own shape, and f holds a layer.
func (f *finder) branches() []branch {
	var list []branch
	for _, n := range f.g.Nodes {
		if !n.Is("Add", "Sum") || len(n.Inputs) != 2 || f.isWeight(n.Inputs[0]) || f.isWeight(n.Inputs[1]) {
			continue
		}
		for side := range 2 {
			x := n.Inputs[1-side]
			if nodes := f.inside(n, side); nodes != nil && sameShape(f.shape(x), f.shape(n.Outputs[0])) {
				list = append(list, branch{add: n, side: side, x: x, nodes: nodes})
				break
			}
		}
	}
	for i := range list {
		for j := range list {
			if i != j && slices.Contains(list[j].nodes, list[i].add) {
				list[i].in = append(list[i].in, j)
			}
		}
	}
	return list
}

func sameShape(a, b ir.Shape) bool {
	return a != nil && slices.EqualFunc(a, b, ir.Dim.Same)
}

// inside collects the nodes of f for Add(x, f(x)) with f(x) at input side, in graph order; nil when it is not a removable branch.
func (f *finder) inside(add *ir.Node, side int) []*ir.Node {
	x := add.Inputs[1-side]
	start := -1 // nodes up to here cannot depend on x
	if p := f.producers[x]; p != nil {
		start = f.order[p]
	}
	member := map[*ir.Node]bool{}
	pending := []string{add.Inputs[side]}
	fromX, layer := false, false
	for len(pending) > 0 {
		v := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if v == x {
			fromX = true
			continue
		}
		if v == "" || f.isWeight(v) {
			continue
		}
		p := f.producers[v]
		if p == nil || f.order[p] <= start || len(p.Captures) > 0 || len(member) > maxBlockNodes {
			return nil
		}
		if member[p] {
			continue
		}
		member[p] = true
		layer = layer || p.Is("Conv", "Gemm", "MatMul")
		pending = append(pending, p.Inputs...)
	}
	if !fromX || !layer {
		return nil
	}
	nodes := make([]*ir.Node, 0, len(member))
	for i := start + 1; i < f.order[add]; i++ {
		if n := f.g.Nodes[i]; member[n] {
			nodes = append(nodes, n)
		}
	}
	for _, n := range nodes {
		for _, v := range n.Outputs {
			if f.outputs[v] {
				return nil
			}
			for _, u := range f.consumers[v] {
				if !member[u.Node] && u.Node != add {
					return nil
				}
			}
		}
	}
	return nodes
}

// depths makes depth groups of the branches: blocks that follow one another with nothing but element-wise operators and norms between, inside the
// same outer blocks, share one scalar.
func (f *finder) depths(s *Space) {
	list := f.branches()
	byAdd := map[*ir.Node]int{}
	for i, b := range list {
		byAdd[b.add] = i
	}
	var chains [][]int
	chainOf := make([]int, len(list))
	for i, b := range list {
		prev := -1
		for p := f.producers[b.x]; p != nil; {
			if j, ok := byAdd[p]; ok {
				if slices.Equal(list[j].in, b.in) {
					prev = j
				}
				break
			}
			if !passes(p) {
				break
			}
			p = f.producers[p.Inputs[0]]
		}
		if prev < 0 {
			chainOf[i] = len(chains)
			chains = append(chains, []int{i})
			continue
		}
		chainOf[i] = chainOf[prev]
		chains[chainOf[i]] = append(chains[chainOf[i]], i)
	}
	var groups []Group
	for _, chain := range chains {
		g := Group{Kind: Depth, N: len(chain), Sharpness: 4, Divisor: 1}
		if g.N == 1 {
			g.Sharpness = 8
		}
		var names []string
		for _, i := range chain {
			b := list[i]
			names = append(names, f.blockName(b))
			block := Block{Name: names[len(names)-1], Add: b.add.ID(), Branch: b.side}
			for _, n := range b.nodes {
				block.Nodes = append(block.Nodes, n.ID())
			}
			g.Blocks = append(g.Blocks, block)
		}
		for k := 1; k < len(chain); k++ {
			g.Ties = append(g.Ties, "block "+names[k]+" follows block "+names[k-1]+" on the same residual stream")
		}
		g.Name = commonStem(names)
		groups = append(groups, g)
	}
	// What the blocks' names have in common names the group, unless it would name several.
	stems := map[string]int{}
	for _, g := range groups {
		stems[g.Name]++
	}
	for i := range groups {
		g := &groups[i]
		switch {
		case g.N == 1:
			g.Name = g.Blocks[0].Name
		case g.Name == "" || stems[g.Name] > 1:
			g.Name = fmt.Sprintf("%s+%d", g.Blocks[0].Name, g.N-1)
		}
		g.Name = "depth." + g.Name
	}
	// Options decide after naming, so that a frozen chain does not change the names of others.
	uniqueNames(groups)
	for c := range groups {
		g := &groups[c]
		names := []string{g.Name}
		for _, b := range g.Blocks {
			names = append(names, b.Name)
		}
		g.Min = f.o.least(names, 0)
		reason := f.o.excludes(names)
		if reason == "" && g.N <= g.Min {
			reason = fmt.Sprintf("there are %d, and at least %d must stay", g.N, g.Min)
		}
		if reason != "" {
			for _, b := range g.Blocks {
				s.Frozen = append(s.Frozen, Frozen{Value: b.Add, Size: 1, Node: f.producers[b.Add].Label(), Op: f.producers[b.Add].Op, Reason: reason})
			}
			continue
		}
		at := int32(len(s.Groups))
		s.Groups = append(s.Groups, *g)
		for k, i := range chains[c] {
			ref := BlockRef{at, int32(k)}
			s.BlockOf[list[i].add.ID()] = append(s.BlockOf[list[i].add.ID()], ref)
			for _, n := range list[i].nodes {
				s.BlockOf[n.ID()] = append(s.BlockOf[n.ID()], ref)
			}
		}
	}
}

// passes tells whether a node hands its first input on position by position.
func passes(n *ir.Node) bool {
	return n.Is("Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Softplus", "Gelu", "Identity", "Dropout", "Cast",
		"BatchNormalization", "PRelu")
}

// blockName is what the names of a block's layers have in common, "layer1.0" for layer1.0.conv1 and layer1.0.conv2.
func (f *finder) blockName(b branch) string {
	var names []string
	for _, n := range b.nodes {
		for _, v := range n.Inputs {
			if w, ok := f.g.Weights[v]; ok && len(w.Shape) > 1 {
				names = append(names, f.layerName(n, v))
			}
		}
	}
	if stem := commonStem(names); stem != "" {
		return stem
	}
	if b.add.Name != "" {
		return b.add.Name
	}
	return b.add.ID()
}

// commonStem is the longest common prefix of names that ends before a separator.
func commonStem(names []string) string {
	if len(names) == 0 {
		return ""
	}
	stem := names[0]
	if len(names) == 1 {
		return strings.TrimRight(stem[:max(0, strings.LastIndexAny(stem, "./"))], "./")
	}
	for _, n := range names[1:] {
		for !strings.HasPrefix(n+".", stem+".") && !strings.HasPrefix(n+"/", stem+"/") {
			cut := strings.LastIndexAny(stem, "./")
			if cut < 0 {
				return ""
			}
			stem = stem[:cut]
		}
	}
	return strings.TrimRight(stem, "./")
}
