package ir_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
)

// odd has something in every field, in forms that could be taken for something else.
func odd() *ir.Graph {
	return &ir.Graph{
		Name: "a graph", Doc: "two\nlines", IRVersion: 9, Producer: "p", ProducerVersion: "1.0", ModelDomain: "org", ModelVersion: -3,
		ModelDoc: `"quoted"`, Opsets: []ir.Opset{{Version: 17}, {Domain: "com.microsoft", Version: 1}},
		Metadata: []ir.KeyValue{{Key: "k", Value: ""}, {Key: "", Value: "v # no comment"}},
		Inputs: []ir.ValueInfo{
			{Name: "input", DType: ir.Float32, Shape: ir.Shape{{Sym: "N"}, {Size: 3}, {Sym: "?"}, {Sym: "2*N"}, {Sym: "3"}, {Sym: "..."}}},
			{Name: "graph", DType: ir.Int64, Shape: nil, Doc: "d"}, {Name: "_", DType: 99, Shape: ir.Shape{}},
		},
		Outputs: []ir.ValueInfo{{Name: "weight"}},
		Info:    map[string]ir.ValueInfo{"v": {Name: "v", DType: ir.Bool, Shape: ir.Fixed(2)}, "": {Name: "other"}},
		Weights: map[string]*ir.Tensor{
			"f": ir.Floats32([]float32{0, 0, 0, float32(math.Copysign(0, -1)), 1e-45, math.MaxFloat32, float32(math.Inf(-1)),
				math.Float32frombits(0x7fc00123)}, 2, 4),
			"i": ir.Vector64(1, 1, math.MinInt64), "empty": ir.Floats32(nil, 0, 3), "scalar": ir.Ints64([]int64{5}),
			"h": {DType: ir.Float16, Shape: []int{2}, Raw: []byte{0, 60, 1, 2}}, "h0": {DType: ir.Uint8, Shape: []int{0}},
			"s": {DType: ir.String, Shape: []int{3}, Strs: []string{"", `""`, "=\xff"}},
		},
		Nodes: []*ir.Node{
			{Op: "Conv", Inputs: []string{"input", "", "f"}, Outputs: []string{"graph", "", "opset"}, Name: "node 1", Doc: "doc",
				Attrs: ir.Attrs{
					"int": ir.IntAttr(-1), "float": ir.FloatAttr(1), "tiny": ir.FloatAttr(1e-30), "inf": ir.FloatAttr(float32(math.Inf(1))),
					"nan": ir.FloatAttr(math.Float32frombits(0x7f800001)), "string": ir.StringAttr("ints"), "no string": ir.StringAttr(""),
					"ints": ir.IntsAttr(1, 2), "no ints": ir.IntsAttr(), "floats": ir.FloatsAttr(1, 2.5), "no floats": ir.FloatsAttr(),
					"strings": {Kind: ir.AttrStrings, Strings: []string{"1", ""}}, "no strings": {Kind: ir.AttrStrings},
					"tensor": ir.TensorAttr(ir.Vector64(1, 2)), "bytes": ir.TensorAttr(&ir.Tensor{DType: ir.Uint8, Shape: []int{0}}),
					"raw": {Kind: ir.AttrRaw, Raw: []byte("\x00raw")}, "no raw": {Kind: ir.AttrRaw},
				}},
			{Op: "If", Domain: "ai.onnx", Outputs: []string{"output, y"}, Captures: []string{"x", "y z"}},
			{Op: "Sink", Name: "_", Inputs: []string{"a", ""}},
			{Op: "Nothing", Outputs: []string{""}, Inputs: []string{""}},
		},
	}
}

func TestParseReadsWhatFormatWrites(t *testing.T) {
	graphs := []*ir.Graph{odd(), {}}
	for seed := range uint64(20) {
		graphs = append(graphs, testkit.RandomConvNet(rand.New(rand.NewPCG(seed, 2))))
	}
	for i, g := range graphs {
		text := ir.Format(g)
		back, err := ir.Parse(text)
		if err != nil {
			t.Fatalf("graph %d: %v\n%s", i, err, text)
		}
		if err := ir.EqualGraphs(g, back); err != nil {
			t.Fatalf("graph %d: %v\n%s", i, err, text)
		}
		if ir.Format(back) != text {
			t.Fatalf("graph %d: text changed when written again", i)
		}
	}
}

func TestParseNamesLineAndFault(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"graph g\nwight w", `line 2: "wight" is no statement`},
		{"weight w float32 (2) = 1", "holds 1 values where the shape wants 2"},
		{"weight w float32 (N) = 1", "sizes are numbers"},
		{"weight w float32 (1) = x", `"x" is no element`},
		{"weight w float32 (1) = 0*99999999999", "more than"},
		{"weight w float32 (1) = 0*-1", "is no count"},
		{"weight w float32 (1) = 1\nweight w float32 (1) = 1", "line 2: weight \"w\" is there already"},
		{"weight w uint8 (1) = raw 0g", "are no bytes"},
		{"input x float33 (1)", `"float33" is no type`},
		{"input x float32 (1", `"" where "," should be`},
		{"y = Relu(x", `"" where "," should be`},
		{"y = Relu(x) {a=[]}", "an empty list states its kind"},
		{"y = Relu(x) {a=[1 2.0]}", "entry of another kind"},
		{"y = Relu(x) {a=1, a=2}", `attribute "a" is there already`},
		{"y = Relu(x) z", `"z" after the end`},
		{`y = Relu("x`, "does not end"},
		{"opset x y", "where an integer should be"},
	} {
		if g, err := ir.Parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) || g != nil {
			t.Errorf("Parse(%q) = %v, %v; want an error with %q", c.text, g, err, c.want)
		}
	}
}

func TestEqualGraphsNamesTheDifference(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*ir.Graph)
	}{
		{"name", func(g *ir.Graph) { g.Name = "" }},
		{"opsets", func(g *ir.Graph) { g.Opsets[0].Version++ }},
		{"metadata", func(g *ir.Graph) { g.Metadata[0].Value = "x" }},
		{"inputs", func(g *ir.Graph) { g.Inputs[1].Shape = ir.Shape{} }},
		{"outputs", func(g *ir.Graph) { g.Outputs[0].Name = "x" }},
		{`note on value "v"`, func(g *ir.Graph) { g.Info["v"] = ir.ValueInfo{} }},
		{"number of nodes", func(g *ir.Graph) { g.Nodes = g.Nodes[1:] }},
		{`node 0: node "node 1" (Conv): inputs`, func(g *ir.Graph) { g.Nodes[0].Inputs[1] = "x" }},
		{`attribute "nan"`, func(g *ir.Graph) { g.Nodes[0].Attrs["nan"] = ir.FloatAttr(math.Float32frombits(0x7f800002)) }},
		{`attribute "tensor"`, func(g *ir.Graph) { g.Nodes[0].Attrs["tensor"].Tensor.I64[0] = 9 }},
		{`attribute "new": only in the second`, func(g *ir.Graph) { g.Nodes[0].Attrs["new"] = ir.IntAttr(1) }},
		{`weight "f"`, func(g *ir.Graph) { g.Weights["f"].F32[3] = 0 }}, // from −0
		{`weight "s": only in the first`, func(g *ir.Graph) { delete(g.Weights, "s") }},
	} {
		a, b := odd(), odd().Clone()
		if err := ir.EqualGraphs(a, b); err != nil {
			t.Fatal(err)
		}
		c.change(b)
		if err := ir.EqualGraphs(a, b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("EqualGraphs = %v, want an error with %q", err, c.want)
		}
		if err := ir.EqualGraphs(a, odd()); err != nil {
			t.Errorf("change of %q reached the graph that Clone copied: %v", c.want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ir.Format(odd()))
	f.Add(ir.Format(testkit.RandomConvNet(rand.New(rand.NewPCG(1, 2)))))
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ir.Parse(text)
		if err != nil {
			return
		}
		back, err := ir.Parse(ir.Format(g))
		if err != nil {
			t.Fatal(err)
		}
		if err := ir.EqualGraphs(g, back); err != nil {
			t.Fatal(err)
		}
		// Whatever parses may be hostile to the analyses: they must not panic.
		ir.Validate(g)
		ir.InferShapes(g, nil)
		ir.Fold(g)
	})
}
