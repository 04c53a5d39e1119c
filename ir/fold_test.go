package ir_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

// TestFoldGolden reads graphs from testdata/fold/*.txt, each a graph, a line "---" and the graph that Fold makes of it.
func TestFoldGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/fold/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in, want, _ := strings.Cut(string(text), "---\n")
		g := parse(t, in)
		before := g.Clone()
		f, err := ir.Fold(g)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := ir.EqualGraphs(before, g); err != nil {
			t.Errorf("%s: Fold changed its argument: %v", file, err)
		}
		got := ir.Format(f)
		if *update {
			if err := os.WriteFile(file, []byte(in+"---\n"+got), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if got != want {
			t.Errorf("%s: folded to\n%s\nwant\n%s", file, got, want)
		}
		again, err := ir.Fold(f)
		if err != nil {
			t.Errorf("%s: folding twice: %v", file, err)
		} else if err := ir.EqualGraphs(f, again); err != nil {
			t.Errorf("%s: folding twice changes the graph: %v", file, err)
		}
	}
}

func TestFoldComputes(t *testing.T) {
	const head = `opset "" 17
weight a float32 (3) = -1.5 2 3
weight b float32 (2, 1) = 2 -4
weight i int64 (3) = -7 4 5
weight j int64 (2, 1) = 2 -3
weight k int64 () = 3
weight l int64 (4) = 5 6 7 8
weight m float32 (2, 3) = 1 2 3 4 5 6
weight t bool (3) = raw 010001
weight h float16 (2) = raw 003c0040
`
	for _, c := range []struct{ node, want string }{
		{"y = Add(a, b)", "float32 (2, 3) = 0.5 4 5 -5.5 -2 -1"},
		{"y = Sub(a, b)", "float32 (2, 3) = -3.5 0 1 2.5 6 7"},
		{"y = Mul(i, j)", "int64 (2, 3) = -14 8 10 21 -12 -15"},
		{"y = Div(i, j)", "int64 (2, 3) = -3 2*3 -1*2"},
		{"y = Div(a, b)", "float32 (2, 3) = -0.75 1 1.5 0.375 -0.5 -0.75"},
		{"y = Mod(i, j)", "int64 (2, 3) = 1 0 1 -1 -2 -1"},
		{"y = Mod(i, j) {fmod=1}", "int64 (2, 3) = -1 0 1 -1 1 2"},
		{"y = Pow(m, b)", "float32 (2, 3) = 1 4 9 0.00390625 0.0016 0.00077160494"},
		{"y = Min(i, k)", "int64 (3) = -7 3*2"},
		{"y = Max(a, b)", "float32 (2, 3) = 2*2 3 -1.5 2 3"},
		{"y = Sum(i, i, k)", "int64 (3) = -11 11 13"},
		{"y = Neg(i)", "int64 (3) = 7 -4 -5"},
		{"y = Abs(a)", "float32 (3) = 1.5 2 3"},
		{"y = Floor(a)", "float32 (3) = -2 2 3"},
		{"y = Ceil(a)", "float32 (3) = -1 2 3"},
		{"y = Equal(i, k)", "bool (3) = raw 000000"},
		{"y = Greater(i, k)", "bool (3) = raw 000101"},
		{"y = LessOrEqual(a, b)", "bool (2, 3) = raw 010100000000"},
		{"y = Not(t)", "bool (3) = raw 000100"},
		{"y = And(t, t)", "bool (3) = raw 010001"},
		{"y = Where(t, i, k)", "int64 (3) = -7 3 5"},
		{"y = Where(t, a, b)", "float32 (2, 3) = -1.5 2 3 -1.5 -4 3"},
		{"y = Cast(a) {to=7}", "int64 (3) = -1 2 3"},
		{"y = Cast(i) {to=1}", "float32 (3) = -7 4 5"},
		{"y = Cast(h) {to=1}", "float32 (2) = 1 2"},
		{"y = Cast(a) {to=9}", "bool (3) = raw 010101"},
		{"y = Cast(i) {to=6}", "int32 (3) = raw f9ffffff0400000005000000"},
		{"y = Gather(m, k0) {axis=1}", "float32 (2) = 2 5"},
		{"y = Gather(m, j1)", "float32 (2, 1, 3) = 4 5 6 1 2 3"},
		{"y = Concat(m, b) {axis=1}", "float32 (2, 4) = 1 2 3 2 4 5 6 -4"},
		{"y = Concat(i, l) {axis=0}", "int64 (7) = -7 4 5*2 6 7 8"},
		{"y = Slice(m, s, e, x, st)", "float32 (2, 2) = 3 1 6 4"},
		{"y = Transpose(m)", "float32 (3, 2) = 1 4 2 5 3 6"},
		{"y = Transpose(h)", "float16 (2) = raw 003c0040"},
		{"y = Reshape(m, sh)", "float32 (3, 2) = 1 2 3 4 5 6"},
		{"y = Unsqueeze(a, x)", "float32 (3, 1) = -1.5 2 3"},
		{"y = Squeeze(b)", "float32 (2) = 2 -4"},
		{"y = Flatten(m) {axis=0}", "float32 (1, 6) = 1 2 3 4 5 6"},
		{"y = Expand(a, e23)", "float32 (2, 3) = -1.5 2 3 -1.5 2 3"},
		{"y = ConstantOfShape(sh) {value=<int64 (1) = 9>}", "int64 (3, 2) = 9*6"},
		{"y = ConstantOfShape(sh)", "float32 (3, 2) = 0*6"},
		{"y = Range(k0, k, k0)", "int64 (2) = 1 2"},
		{"y = ReduceSum(m, x) {keepdims=0}", "float32 (2) = 6 15"},
		{"y = ReduceProd(l)", "int64 (1) = 1680"},
		{"y = ReduceMax(m) {axes=[0]}", "float32 (1, 3) = 4 5 6"},
		{"y = ReduceMin(i) {keepdims=0}", "int64 () = -7"},
		{"_, y = Split(l) {axis=0}", "int64 (2) = 7 8"},
		{"_, y = Split(m, sp) {axis=1}", "float32 (2, 2) = 2 3 5 6"},
		{"y = Shape(m)", "int64 (2) = 2 3"},
		{"y = Size(m)", "int64 () = 6"},
	} {
		text := head + `weight k0 int64 () = 1
weight j1 int64 (2, 1) = 1 -2
weight s int64 (1) = -1
weight e int64 (1) = -9223372036854775808
weight x int64 (1) = 1
weight st int64 (1) = -2
weight sh int64 (2) = 3 2
weight e23 int64 (2) = 2 1
weight sp int64 (2) = 1 2
` + c.node + "\nz = Mystery(y)\noutput z float32 (...)"
		f, err := ir.Fold(parse(t, text))
		if err != nil {
			t.Errorf("%s: %v", c.node, err)
			continue
		}
		if got := ir.Format(f); !strings.Contains(got, "weight y "+c.want+"\n") {
			t.Errorf("%s: folded to\n%swant %s", c.node, got, c.want)
		}
	}
}

// TestFoldKeepsShapes: folding a random network changes no shape of a value that was there, and loses no output.
func TestFoldKeepsShapes(t *testing.T) {
	for seed := range uint64(200) {
		g := testkit.RandomConvNet(rand.New(rand.NewPCG(seed, 6)))
		f, err := ir.Fold(g)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		before, err := ir.InferShapes(g, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		after, err := ir.InferShapes(f, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for name, v := range after {
			if _, was := before[name]; was && !slices.Equal(v.Shape, before[name].Shape) {
				t.Fatalf("seed %d: %q has shape %v, before folding %v", seed, name, v.Shape, before[name].Shape)
			}
		}
		if _, ok := after["logits"]; !ok {
			t.Fatalf("seed %d: the output is gone", seed)
		}
	}
}
