package ir_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
)

func TestValidateNamesEveryFault(t *testing.T) {
	const head = "opset \"\" 17\ninput x float32 (N, 3)\nweight w float32 (1) = 1\n"
	for _, c := range []struct{ text, want string }{
		{"y = Relu(z)\noutput y float32 (...)", `node "y" (Relu): reads "z", which no input, weight or node provides`},
		{"y = Relu(z)\nz = Relu(x)", `reads "z", which node "z" (Relu) writes at or after it`},
		{"y = Relu(y)", `reads "y", which node "y" (Relu) writes at or after it`},
		{"y = Relu(z)\nz = Relu(y)", "topological order"},
		{"y = Relu(x)\ny = Tanh(x)", `value "y" is written by node "y" (Relu) and by node "y" (Tanh)`},
		{"y, y = Mystery(x)", `value "y" is written by`},
		{"w = Relu(x)", `value "w" is written by a weight and by node "w" (Relu)`},
		{"x = Relu(w)", `value "x" is written by a graph input`},
		{"input w float32 (1)", `value "w" is written by a weight and by a graph input`},
		{"input v float32 (-1)", `input "v": shape (-1) has a size outside`},
		{"output y float32 (...)", `output "y": no input, weight or node provides it`},
		{"output x float32 (...)\noutput x float32 (...)", `output "x" is listed twice`},
		{"y = Relu(x, x)", `node "y" (Relu): 2 inputs, want 1`},
		{"y = Relu()", "0 inputs, want 1"},
		{"y = Add(x, _)", "input 1 is left out"},
		{"y, z = Relu(x)", "2 outputs, want 1"},
		{"y = Elu(x) {alpha=1}", "attribute alpha is a int, want a float"},
		{"y = If(x) captures (z)", `reads "z"`},
		{"= Relu(x)", "writes no value and has no name"},
	} {
		if err := ir.Validate(parse(t, head+c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.text, err, c.want)
		}
	}
	both := ir.Validate(parse(t, head+"y = Relu(z)\nv = Relu(u)"))
	if both == nil || !strings.Contains(both.Error(), `"z"`) || !strings.Contains(both.Error(), `"u"`) {
		t.Errorf("error %v, want both faults", both)
	}
	if err := ir.Validate(parse(t, head+"y = Mystery@org(x, _, w) {a=1}\nz = If(x) captures (y)\noutput z float32 (...)\noutput w float32 (1)")); err != nil {
		t.Errorf("a graph with unknown operators: %v", err)
	}
}

func TestValidateRefusesBrokenValues(t *testing.T) {
	for want, g := range map[string]*ir.Graph{
		"graph is nil":         nil,
		"node 1 is nil":        {Nodes: []*ir.Node{{Op: "Constant", Outputs: []string{"y"}}, nil}},
		`weight "w": is nil`:   {Weights: map[string]*ir.Tensor{"w": nil}},
		`weight "w": float32`:  {Weights: map[string]*ir.Tensor{"w": ir.Floats32(nil, 3)}},
		"the limit is 64":      {Weights: map[string]*ir.Tensor{"w": ir.Floats32(nil, make([]int, 65)...)}},
		"without a value":      {Nodes: []*ir.Node{{Op: "Constant", Outputs: []string{"y"}, Attrs: ir.Attrs{"value": {Kind: ir.AttrTensor}}}}},
		"negative size":        {Nodes: []*ir.Node{{Op: "F", Outputs: []string{"y"}, Attrs: ir.Attrs{"v": ir.TensorAttr(ir.Floats32(nil, -1))}}}},
		"a weight has no name": {Weights: map[string]*ir.Tensor{"": ir.Floats32([]float32{1})}},
		"a graph input has no": {Inputs: []ir.ValueInfo{{}}},
		"has no operator":      {Nodes: []*ir.Node{{Outputs: []string{"y"}}}},
	} {
		if err := ir.Validate(g); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestConsumersAndProducers(t *testing.T) {
	g := parse(t, "input x float32 (1)\na, _ = Dropout(x)\nb = Add(a, a)\nc = If(b) captures (a)\noutput b float32 (1)")
	uses := ir.Consumers(g)
	if u := uses["a"]; len(u) != 3 || u[0].Input != 0 || u[1].Input != 1 || u[1].Node != g.Nodes[1] || u[2].Input != -1 {
		t.Errorf("uses of a: %v", u)
	}
	if len(uses["b"]) != 1 || len(uses["c"]) != 0 || len(uses[""]) != 0 {
		t.Errorf("uses: %v", uses)
	}
	by := ir.Producers(g)
	if by["a"] != g.Nodes[0] || by["x"] != nil || by[""] != nil || len(by) != 3 {
		t.Errorf("producers: %v", by)
	}
}

// TestHostileGraphsAreRefusedOrRead changes valid graphs at random. Validate, InferShapes and Fold may refuse the result, but they
// must not panic, and what Fold returns must be valid and infer.
func TestHostileGraphsAreRefusedOrRead(t *testing.T) {
	folded := 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		g := testkit.RandomConvNet(rng)
		for range 1 + rng.IntN(3) {
			spoil(rng, g)
		}
		if err := try(g, &folded); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, ir.Format(g))
		}
	}
	if folded < 100 {
		t.Errorf("only %d graphs of 3000 were still folded: the changes are too coarse to test Fold", folded)
	}
}

func try(g *ir.Graph, folded *int) error {
	ir.Validate(g)
	ir.InferShapes(g, nil)
	ir.InferShapes(g, map[string]int{"N": 1 << 30})
	f, err := ir.Fold(g)
	if err != nil {
		return nil
	}
	*folded++
	if err := ir.Validate(f); err != nil {
		return err
	}
	_, err = ir.InferShapes(f, nil)
	return err
}

var badInts = []int64{0, -1, 1, 2, 3, -2, 7, 1 << 20, 1<<31 - 1, 1 << 31, 1 << 40, 1<<63 - 1, -1 << 63}

// spoil makes one change of the kind that files of unknown origin hold.
func spoil(rng *rand.Rand, g *ir.Graph) {
	bad := func() int64 { return badInts[rng.IntN(len(badInts))] }
	n := g.Nodes[rng.IntN(len(g.Nodes))]
	var names []string
	for _, m := range g.Nodes {
		names = append(names, m.Inputs...)
		names = append(names, m.Outputs...)
	}
	name := names[rng.IntN(len(names))]
	switch rng.IntN(12) {
	case 0: // another input, perhaps a later value, none, or a weight of another kind
		n.Inputs[rng.IntN(len(n.Inputs))] = name
	case 1:
		n.Inputs = append(n.Inputs, name)
	case 2:
		n.Inputs = n.Inputs[:rng.IntN(len(n.Inputs)+1)]
	case 3:
		n.Outputs[0] = name
	case 4, 5: // an attribute's numbers
		for key, a := range n.Attrs {
			for i := range a.Ints {
				if rng.IntN(2) == 0 {
					a.Ints[i] = bad()
				}
			}
			a.Int = bad()
			n.Attrs[key] = a
		}
	case 6:
		for key := range n.Attrs {
			n.Attrs[key] = []ir.Attr{ir.IntAttr(bad()), ir.IntsAttr(bad(), bad()), ir.StringAttr("SAME_UPPER"), {}, {Kind: ir.AttrTensor}}[rng.IntN(5)]
		}
	case 7, 8: // integers that steer a shape
		for _, w := range g.Weights {
			if w.DType == ir.Int64 && rng.IntN(3) == 0 && len(w.I64) > 0 {
				w.I64[rng.IntN(len(w.I64))] = bad()
			}
		}
	case 9: // a weight's shape
		for _, w := range g.Weights {
			if len(w.Shape) > 0 && rng.IntN(10) == 0 {
				w.Shape[rng.IntN(len(w.Shape))] = int(bad())
			}
		}
	case 10: // the input's shape
		s := g.Inputs[0].Shape
		s[rng.IntN(len(s))] = []ir.Dim{{Size: int(bad())}, {Sym: "?"}, {Sym: "3*?1*N"}, {Sym: "*"}, {Sym: "9223372036854775807*N"}}[rng.IntN(5)]
	case 11: // another operator, a shape computed from it
		n.Op = []string{"Shape", "ConstantOfShape", "Range", "Expand", "Gather", "Slice", "Concat", "Transpose", "Tile", "Size", "Reshape",
			"Squeeze", "Cast", "ReduceSum", "Split", "Pad", "Identity", "Dropout", "Constant", "Where"}[rng.IntN(20)]
	}
}

func TestFoldStopsAtItsLimit(t *testing.T) {
	g := parse(t, `opset "" 17
input x float32 (N)
weight s int64 (3) = 100000 100000 2
weight zero int64 (3) = 2000000000 0 2000000000
weight a int64 () = 0
weight b int64 () = 2000000000
weight c int64 () = 1
big = ConstantOfShape(s)
empty = ConstantOfShape(zero)
t = Transpose(empty)
g = Gather(t, zero) {axis=1}
r = Range(a, b, c)
e = Expand(x, s)
y = Mystery(big, t, r, e)
output y float32 (...)
`)
	if _, err := ir.Fold(g); err == nil || !strings.Contains(err.Error(), "index 2000000000") {
		t.Fatalf("error %v, want the index that Gather cannot read", err)
	}
	g.Nodes = append(g.Nodes[:3], g.Nodes[4:]...)
	f, err := ir.Fold(g)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Nodes) != 4 || f.Weights["t"] == nil || f.Weights["big"] != nil {
		t.Errorf("folded graph:\n%s", ir.Format(f))
	}
}

func TestValidateStopsAfterManyFaults(t *testing.T) {
	for what, fill := range map[string]func(g *ir.Graph, name string){
		"weights": func(g *ir.Graph, name string) { g.Weights[name] = nil },
		"inputs":  func(g *ir.Graph, _ string) { g.Inputs = append(g.Inputs, ir.ValueInfo{}) },
		"nodes":   func(g *ir.Graph, name string) { g.Nodes = append(g.Nodes, &ir.Node{Outputs: []string{name}}) },
		"reads": func(g *ir.Graph, name string) {
			g.Nodes = append(g.Nodes, &ir.Node{Op: "O", Inputs: []string{"no " + name}, Outputs: []string{name}})
		},
		"writes":  func(g *ir.Graph, _ string) { g.Nodes = append(g.Nodes, &ir.Node{Op: "O", Outputs: []string{"y"}}) },
		"outputs": func(g *ir.Graph, name string) { g.Outputs = append(g.Outputs, ir.ValueInfo{Name: name}) },
	} {
		g := &ir.Graph{Weights: map[string]*ir.Tensor{}}
		for i := range 100 {
			fill(g, fmt.Sprint("v", i))
		}
		err := ir.Validate(g)
		if err == nil {
			t.Fatalf("%s: no error", what)
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != 33 || lines[32] != "ir: stopped after 32 faults" {
			t.Errorf("%s: %d lines: %v", what, len(lines), err)
		}
	}
}

// TestValidateTakesLittleMemory gives the names that graphs repeat most the length of a page: what it allocates must stay near what
// the graph itself holds.
func TestValidateTakesLittleMemory(t *testing.T) {
	long := strings.Repeat("n", 16<<10)
	var outputs, unknown []string
	for i := range 5000 {
		outputs = append(outputs, strconv.Itoa(i))
		unknown = append(unknown, long)
	}
	for what, n := range map[string]*ir.Node{
		"outputs":            {Name: long, Op: "O", Outputs: outputs},
		"outputs, long type": {Op: long, Outputs: outputs},
		"one output, often":  {Name: long, Op: "O", Outputs: unknown},
		"unknown inputs":     {Name: long, Op: "O", Inputs: unknown, Outputs: outputs},
		"captures":           {Name: long, Op: "O", Captures: unknown, Outputs: outputs},
		"attributes":         {Name: long, Op: "O", Outputs: outputs, Attrs: ir.Attrs{long: {Kind: ir.AttrTensor}}},
	} {
		g := &ir.Graph{Nodes: []*ir.Node{n}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := ir.Validate(g)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 {
			t.Errorf("%s: allocated %d bytes", what, took)
		}
		if err != nil && len(err.Error()) > 64<<10 {
			t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
		}
	}
}

func TestLabelsAreShort(t *testing.T) {
	long := strings.Repeat("é", 5000)
	n := &ir.Node{Name: "first " + long + " last", Op: "O" + long}
	label := n.Label()
	if len(label) > 500 || !utf8.ValidString(label) || !strings.HasPrefix(label, `node "first é`) || !strings.Contains(label, `é last" (Oé`) {
		t.Errorf("label of %d bytes: %s", len(label), label)
	}
}
