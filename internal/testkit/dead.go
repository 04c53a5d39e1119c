package testkit

import (
	"slices"

	"github.com/dms-go/dms/ir"
)

// DropDead takes nodes out of g that no output depends on, and returns the values that are left with a use. Weights and inputs stay.
func DropDead(g *ir.Graph) (live map[string]bool) {
	live = map[string]bool{}
	for _, v := range g.Outputs {
		live[v.Name] = true
	}
	var nodes []*ir.Node
	for _, n := range slices.Backward(g.Nodes) {
		if slices.ContainsFunc(n.Outputs, func(v string) bool { return live[v] }) {
			nodes = append(nodes, n)
			for _, v := range n.Inputs {
				live[v] = true
			}
		}
	}
	slices.Reverse(nodes)
	g.Nodes = nodes
	return live
}
