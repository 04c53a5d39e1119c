package ir_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
)

// TestFoldUndoesWhatExportersAdd wraps weights and values of random networks in the nodes that exporters write around them. Fold
// must find the plain network again: the same operators on the same constants.
func TestFoldUndoesWhatExportersAdd(t *testing.T) {
	added := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 8))
		g := testkit.RandomConvNet(rng)
		plain, err := ir.Fold(g)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		noisy := &noise{Rand: rng, g: g.Clone()}
		noisy.run()
		if err := ir.Validate(noisy.g); err != nil {
			t.Fatalf("seed %d: the test made a bad graph: %v", seed, err)
		}
		added += len(noisy.g.Nodes) - len(g.Nodes)
		folded, err := ir.Fold(noisy.g)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		want, got := canonical(t, plain), canonical(t, folded)
		if err := ir.EqualGraphs(want, got); err != nil {
			t.Fatalf("seed %d: %v\nwant\n%s\ngot\n%s", seed, err, ir.Format(want), ir.Format(got))
		}
	}
	if added < 300*20 {
		t.Errorf("only %d nodes were added to 300 networks", added)
	}
}

type noise struct {
	*rand.Rand
	g     *ir.Graph
	nodes []*ir.Node
	count int
}

func (r *noise) run() {
	nodes := r.g.Nodes
	for _, n := range nodes {
		for i, name := range n.Inputs {
			w := r.g.Weights[name]
			switch {
			case name == "":
			case n.Op == "Reshape" && i == 1:
				n.Inputs[i] = r.target(n, w)
			case w != nil:
				n.Inputs[i] = r.hide(name, w)
			case r.IntN(8) == 0:
				n.Inputs[i] = r.op("Identity", nil, name)
			}
		}
		r.nodes = append(r.nodes, n)
		if r.IntN(10) == 0 { // nobody reads this
			r.op("Shape", nil, n.Outputs[0])
		}
	}
	r.g.Nodes = r.nodes
}

func (r *noise) op(op string, attrs ir.Attrs, inputs ...string) string {
	r.count++
	out := fmt.Sprintf("noise_%d", r.count)
	r.nodes = append(r.nodes, &ir.Node{Op: op, Inputs: inputs, Outputs: []string{out}, Attrs: attrs})
	return out
}

func (r *noise) list(v ...int64) string {
	return r.op("Constant", ir.Attrs{"value": ir.TensorAttr(ir.Vector64(v...))})
}

// hide gives a value that is computed from w and equal to it.
func (r *noise) hide(name string, w *ir.Tensor) string {
	switch r.IntN(7) {
	case 0:
		return r.op("Constant", ir.Attrs{"value": ir.TensorAttr(w.Clone())})
	case 1:
		return r.op("Identity", nil, name)
	case 2:
		shape := []int64{}
		for _, s := range w.Shape {
			shape = append(shape, int64(s))
		}
		return r.op("Reshape", nil, r.op("Reshape", nil, name, r.list(-1)), r.list(shape...))
	case 3:
		perm := r.Perm(len(w.Shape))
		to, from := make([]int64, len(perm)), make([]int64, len(perm))
		for i, p := range perm {
			to[i], from[p] = int64(p), int64(i)
		}
		if len(perm) == 0 {
			return name
		}
		return r.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(from...)}, r.op("Transpose", ir.Attrs{"perm": ir.IntsAttr(to...)}, name))
	case 4:
		if len(w.Shape) == 0 || w.Shape[0] < 2 {
			return name
		}
		cut := int64(1 + r.IntN(w.Shape[0]-1))
		sizes := []int64{cut, int64(w.Shape[0]) - cut}
		low := ""
		if r.g.Opset("") < 13 {
			low = r.op("Split", ir.Attrs{"axis": ir.IntAttr(0), "split": ir.IntsAttr(sizes...)}, name)
		} else {
			low = r.op("Split", ir.Attrs{"axis": ir.IntAttr(0)}, name, r.list(sizes...))
		}
		split := r.nodes[len(r.nodes)-1]
		split.Outputs = append(split.Outputs, low+"_high")
		return r.op("Concat", ir.Attrs{"axis": ir.IntAttr(0)}, split.Outputs...)
	case 5:
		if w.DType != ir.Int64 || slices.Max(w.I64) > 1<<40 {
			return name
		}
		twice := r.op("Add", nil, name, name)
		return r.op("Div", nil, twice, r.op("Constant", ir.Attrs{"value": ir.TensorAttr(ir.Ints64([]int64{2}))}))
	}
	return name
}

// target computes the target of a Reshape, whose first entry keeps the batch, from the shape of a value with the same batch.
func (r *noise) target(n *ir.Node, w *ir.Tensor) string {
	batch := r.op("Gather", ir.Attrs{"axis": ir.IntAttr(0)}, r.op("Shape", nil, "input"), r.list(0))
	if r.IntN(2) == 0 {
		batch = r.op("Cast", ir.Attrs{"to": ir.IntAttr(int64(ir.Int64))}, r.op("Cast", ir.Attrs{"to": ir.IntAttr(int64(ir.Int32))}, batch))
	}
	return r.op("Concat", ir.Attrs{"axis": ir.IntAttr(0)}, batch, r.list(w.I64[1:]...))
}

// canonical names values by the order in which nodes mention them and states the targets of Reshape nodes in full.
func canonical(t *testing.T, g *ir.Graph) *ir.Graph {
	t.Helper()
	info, err := ir.InferShapes(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := &ir.Graph{Opsets: g.Opsets, Inputs: g.Inputs, Weights: map[string]*ir.Tensor{}}
	names := map[string]string{"": "", "input": "input"}
	rename := func(list []string) {
		for i, name := range list {
			if _, ok := names[name]; !ok {
				names[name] = fmt.Sprint("v", len(names))
			}
			list[i] = names[name]
		}
	}
	for _, n := range g.Clone().Nodes {
		n.Name = ""
		inputs := slices.Clone(n.Inputs)
		var target []int64
		if n.Op == "Reshape" {
			for _, d := range info[n.Outputs[0]].Shape {
				target = append(target, int64(d.Size))
			}
		}
		rename(n.Inputs)
		rename(n.Outputs)
		for i, name := range inputs {
			if w := g.Weights[name]; target != nil && i == 1 {
				out.Weights[n.Inputs[i]] = ir.Vector64(target...)
			} else if w != nil {
				out.Weights[n.Inputs[i]] = w
			}
		}
		out.Nodes = append(out.Nodes, n)
	}
	for _, o := range g.Outputs {
		o.Name = names[o.Name]
		out.Outputs = append(out.Outputs, o)
	}
	return out
}
