package program

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/zoo"
)

// unsupported lists the operators that the graph knows and the engine does not run: they steer shapes and are folded away, or no
// network of this project needs them.
var unsupported = strings.Fields(`Constant ConstantOfShape DequantizeLinear GRU LSTM QuantizeLinear RNN Range Shape
	Size`)

func TestEveryOperatorIsLoweredOrDeclaredUnsupported(t *testing.T) {
	own := Operators()
	for _, op := range ir.Operators() {
		if slices.Contains(own, op) == slices.Contains(unsupported, op) {
			t.Errorf("operator %s has a row: %v, is declared unsupported: %v", op, slices.Contains(own, op), slices.Contains(unsupported, op))
		}
	}
	for _, op := range own {
		if !slices.Contains(ir.Operators(), op) {
			t.Errorf("operator %s has a row here and none in ir", op)
		}
	}
}

func parse(t *testing.T, text string) *ir.Graph {
	t.Helper()
	g, err := ir.Parse("opset \"\" 17\n" + text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ops lists the operations of a program in order.
func ops(p *Program) []Op {
	var out []Op
	for _, in := range p.Instrs {
		out = append(out, in.Op)
	}
	return out
}

func TestBuildNamesEveryFault(t *testing.T) {
	for _, c := range []struct {
		name, graph string
		cfg         Config
		want        []string
	}{
		{"unknown operators, all of them", `
			input x float32 (2, 3)
			a = Frobnicate(x) name f1
			b = Sinc(a) name f2
			y = Wobble@com.example(b) name f3`, Config{}, []string{`"f1" (Frobnicate)`, `"f2" (Sinc)`, `"f3" (Wobble)`}},
		{"several nodes", `
			input x float32 (2, 3, 4, 4, 4)
			input z float32 (2, 3)
			input i float32 (2)
			weight w float32 (4, 3, 1, 1, 1) = 0*12
			weight k int64 (1) = 7
			output y float32 (...)
			a = Conv(x, w) name conv
			y = Relu(a)
			b = Gather(z, k) {axis=1} name gather
			c = Pad(i, k) name pad`, Config{}, []string{"gather"}},
		{"three dimensions", `
			input x float32 (2, 3, 4, 4, 4)
			weight w float32 (4, 3, 1, 1, 1) = 0*12
			output a float32 (...)
			a = Conv(x, w) name conv`, Config{}, []string{`"conv"`, "one- and two-dimensional"}},
		{"an unbound symbol", `
			input x float32 (N, 3)
			output y float32 (...)
			y = Relu(x)`, Config{}, []string{`"x"`, "N"}},
		{"text", `
			input x string (2, 3)
			output y float32 (...)
			y = Relu(x)`, Config{}, []string{`"x"`, "string"}},
		{"a whole number that float32 does not have", `
			input x int64 (2, 3)
			weight w int64 () = 16777217
			output y int64 (...)
			y = Add(x, w) name add`, Config{}, []string{`"add"`, `"w"`, "16777217"}},
		{"a batch far too large", `
			input x float32 (N, 100000, 1000)
			output y float32 (...)
			y = Relu(x)`, Config{Bind: map[string]int{"N": 1 << 20}}, []string{"too large"}},
		{"no such loss", `
			input x float32 (2)
			y = Relu(x)`, Config{Loss: "loss"}, []string{`"loss"`}},
		{"a loss that is no scalar", `
			input x float32 (2)
			y = Relu(x)`, Config{Loss: "y", Wrt: []string{"x"}}, []string{"scalar"}},
		{"no such weight", `
			input x float32 (1)
			y = Relu(x)`, Config{Loss: "y", Wrt: []string{"w"}}, []string{`"w"`}},
		{"no gradient", `
			input x float32 (1, 1, 1, 1)
			weight p int64 (8) = 0 0 1 0 0 0 0 0
			y = Pad(x, p) {mode="edge"} name pad
			l = ReduceSum(y) {keepdims=0}`, Config{Loss: "l", Wrt: []string{"x"}}, []string{"y", "pad.reflect"}},
		{"ways to resize", `
			input x float32 (1, 2, 4, 4)
			input s float32 (4)
			weight r float32 (8) = 0*4 1*4
			weight up float32 (4) = 1 1 2 2
			output a float32 (...)
			a = Resize(x, r, up) {coordinate_transformation_mode="tf_crop_and_resize"} name crop
			d = Resize(x, _, s) name free`, Config{}, []string{
			`"crop" (Resize): coordinate_transformation_mode tf_crop_and_resize`, `"free" (Resize): scales "s" are not constant`,
		}},
		{"computed running statistics", `
			input x float32 (2, 3)
			input m float32 (3)
			weight v float32 (3) = 1*3
			output y float32 (...)
			y = BatchNormalization(x, v, v, m, v) name norm`, Config{Training: true}, []string{"norm", "running statistics"}},
	} {
		_, err := Build(parse(t, c.graph), c.cfg)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not name %q", c.name, err, want)
			}
		}
		var unsupported *UnsupportedError
		if c.name == "unknown operators, all of them" && (!errors.As(err, &unsupported) || len(unsupported.Nodes) != 3) {
			t.Errorf("%s: %T, want an UnsupportedError with three nodes", c.name, err)
		}
	}
}

func TestFaultsOfSeveralNodesComeTogether(t *testing.T) {
	g := parse(t, `
		input x float32 (2, 3, 4, 4, 4)
		input z float32 (2, 3)
		weight w float32 (4, 3, 1, 1, 1) = 0*12
		a = Conv(x, w) name first
		b = Relu(a) name innocent
		c = BatchNormalization(z, s, s, m, s) name second
		input m float32 (3)
		weight s float32 (3) = 1*3`)
	_, err := Build(g, Config{Training: true})
	if err == nil || !strings.Contains(err.Error(), "first") || !strings.Contains(err.Error(), "second") || strings.Contains(err.Error(), "innocent") {
		t.Errorf("error %v; want one about the first and the second node alone", err)
	}
}

// chain is a network of two convolutions with batch norm and a loss.
const chain = `
	input x float32 (2, 3, 8, 8)
	input t float32 (2, 4)
	weight w1 float32 (5, 3, 3, 3) = 0*135
	weight w2 float32 (4, 5, 3, 3) = 0*180
	weight g float32 (5) = 1*5
	weight b float32 (5) = 0*5
	weight m float32 (5) = 0*5
	weight v float32 (5) = 1*5
	c1 = Conv(x, w1) {pads=[1 1 1 1]}
	n = BatchNormalization(c1, g, b, m, v)
	r = Relu(n)
	c2 = Conv(r, w2) {pads=[1 1 1 1]}
	p = GlobalAveragePool(c2)
	y = Flatten(p)
	loss = CrossEntropy@dms(y, t)`

func TestOnlyWhatIsAskedForIsDifferentiated(t *testing.T) {
	g := parse(t, chain)
	for _, c := range []struct {
		name string
		wrt  []string
		want []Op
	}{
		{"nothing", nil, nil},
		{"the last kernel", []string{"w2"}, []Op{CrossEntropyGrad, Expand, ConvWeight}},
		{"an affine parameter", []string{"b"}, []Op{CrossEntropyGrad, Expand, ConvData, BatchNormGrad}},
		{"the first kernel", []string{"w1"}, []Op{CrossEntropyGrad, Expand, ConvData, BatchNormGrad, ConvWeight}},
		{"the input, weights frozen", []string{"x"}, []Op{CrossEntropyGrad, Expand, ConvData, BatchNormGrad, ConvData}},
	} {
		p, err := Build(g, Config{Training: true, Loss: "loss", Wrt: c.wrt})
		if err != nil {
			t.Fatal(err)
		}
		if got := ops(p)[p.Forward:]; !slices.Equal(got, c.want) {
			t.Errorf("%s: backward pass %v, want %v", c.name, got, c.want)
		}
		for _, in := range p.Instrs[p.Forward:] {
			if in.Op == BatchNormGrad && c.name == "an affine parameter" && (in.Out[0] != None || in.Out[1] != None || in.Out[2] == None) {
				t.Errorf("%s: batch norm writes %v", c.name, in.Out)
			}
		}
	}
}

func TestOutputsAloneDecideWhatRuns(t *testing.T) {
	g := parse(t, chain+"\noutput r float32 (...)")
	p, err := Build(g, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ops(p), []Op{Fold, ConvPack, Conv}; !slices.Equal(got, want) || p.Prelude != 2 {
		t.Errorf("%v, %d ahead, want %v, two ahead: norm and rectifier are part of the convolution and the rest is dead", got, p.Prelude, want)
	}
}

func TestBatchNormKeepsWhatOthersRead(t *testing.T) {
	g := parse(t, chain+"\noutput n float32 (...)\noutput y float32 (...)")
	p, err := Build(g, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(ops(p), Unary) {
		t.Error("the rectifier was fused into a batch norm whose result is an output")
	}
}

// An image network runs channels-last throughout: nothing is transposed.
func TestImageNetworksNeedNoTranspose(t *testing.T) {
	for _, spec := range []string{"resnet20", "resnet20:shortcut=B", "mobilenetv2:input=64,classes=10", "efficientnet-b0:input=64,classes=10", "resnet50:input=64"} {
		g, err := zoo.Build(spec)
		if err != nil {
			t.Fatal(err)
		}
		if g, err = ir.Fold(g); err != nil {
			t.Fatal(err)
		}
		p, err := Build(g, Config{Bind: map[string]int{"N": 2}, Training: true})
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		if slices.Contains(ops(p), Transpose) {
			t.Errorf("%s: %s", spec, p)
		}
	}
}

// TestLiveValuesHaveMemoryOfTheirOwn checks the plan instruction by instruction.
func TestLiveValuesHaveMemoryOfTheirOwn(t *testing.T) {
	for seed := range uint64(60) {
		g, err := ir.Fold(testkit.RandomConvNet(rand.New(rand.NewPCG(seed, 1))))
		if err != nil {
			t.Fatal(err)
		}
		g.Inputs = append(g.Inputs, ir.ValueInfo{Name: "target", DType: ir.Float32, Shape: g.Outputs[0].Shape})
		g.Nodes = append(g.Nodes, &ir.Node{Op: "CrossEntropy", Domain: ir.DomainDMS, Inputs: []string{g.Outputs[0].Name, "target"}, Outputs: []string{"loss"}})
		var wrt []string
		for name, w := range g.Weights {
			if w.DType.IsFloat() && rand.New(rand.NewPCG(seed, uint64(len(name)))).IntN(3) > 0 {
				wrt = append(wrt, name)
			}
		}
		slices.Sort(wrt)
		p, err := Build(g, Config{Bind: map[string]int{"N": 2}, Training: seed%2 == 0, Loss: "loss", Wrt: wrt})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		last := map[ID]int{}
		for i, in := range p.Instrs {
			for _, id := range append(slices.Clone(in.In), in.Out...) {
				if id != None {
					last[p.Root(id)] = i
				}
			}
		}
		for _, ids := range []map[string]ID{p.Outputs, p.Grads} {
			for _, id := range ids {
				last[p.Root(id)] = len(p.Instrs)
			}
		}
		owner := make([]ID, p.Arena)
		for i := range owner {
			owner[i] = None
		}
		claim := func(id ID, i int) {
			v := &p.Values[id]
			if v.Offset < 0 || v.Offset+v.Len() > p.Arena {
				t.Fatalf("seed %d: value %d lies outside the arena", seed, id)
			}
			for k := range v.Len() {
				other := owner[v.Offset+k]
				if other != None && other != id && last[other] > i {
					t.Fatalf("seed %d: instruction %d (%s) writes value %d over value %d, which is read later", seed, i, p.Instrs[i].Op, id, other)
				}
				owner[v.Offset+k] = id
			}
		}
		for id, v := range p.Values {
			if v.Class == Input {
				last[ID(id)] = len(p.Instrs)
				claim(ID(id), -1)
			}
		}
		for i, in := range p.Instrs {
			for _, id := range in.In {
				if id == None {
					continue
				}
				if root := p.Root(id); p.Values[root].Class == Temp && owner[p.Values[root].Offset] != root {
					t.Fatalf("seed %d: instruction %d (%s) reads value %d, which is gone", seed, i, in.Op, root)
				}
			}
			for _, id := range in.Out {
				if id != None && p.Values[p.Root(id)].Class == Temp {
					claim(p.Root(id), i)
				}
			}
		}
		taken := map[ID]bool{}
		for name, id := range p.Grads {
			if root := p.Root(id); taken[root] || p.Values[root].Class != Temp {
				t.Errorf("seed %d: the gradient of %q shares its memory", seed, name)
			} else {
				taken[root] = true
			}
		}
	}
}

// Building is a function of the graph: maps must not leak their order.
func TestBuildGivesTheSameProgramEveryTime(t *testing.T) {
	g := parse(t, chain+"\noutput y float32 (...)\noutput w1 float32 (...)")
	cfg := Config{Training: true, Loss: "loss", Wrt: []string{"w1", "w2", "g"}, Outputs: []string{"b", "r", "c1"}}
	first, err := Build(g, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		again, err := Build(g, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if again.String() != first.String() || again.Arena != first.Arena {
			t.Fatalf("two programs of one graph:\n%s\n%s", first, again)
		}
	}
}

func TestMemoryIsReused(t *testing.T) {
	g, err := zoo.Build("resnet20")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Build(g, Config{Bind: map[string]int{"N": 64}})
	if err != nil {
		t.Fatal(err)
	}
	// Inference needs the input, and at the widest place a block's input, the convolution's result and its own: three maps of 16 channels.
	// The weights are there once more, packed: for Winograd's tiles, which most layers use, 36 numbers for 9, and room to make them.
	const weights = 5 * 270_000
	if limit := 64*32*32*(3+3*16+1) + weights; p.Arena > limit {
		t.Errorf("inference of 64 images takes %d numbers, want at most %d", p.Arena, limit)
	}
}
