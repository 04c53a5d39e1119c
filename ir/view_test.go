package ir_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

// view parses a graph and gives its last node, whose view is to be read.
func view(t *testing.T, text string) (*ir.Graph, *ir.Node) {
	t.Helper()
	g := parse(t, text)
	return g, g.Nodes[len(g.Nodes)-1]
}

func TestConvOfResolvesPadding(t *testing.T) {
	x, w := ir.Fixed(1, 4, 7, 8), ir.Fixed(6, 2, 3, 2)
	for _, c := range []struct{ attrs, want string }{
		{"group=2", "{[3 2] [1 1] [1 1] [0 0] [0 0] 2}"},
		{"group=2, strides=[2 3], pads=[1 0 2 1], dilations=[2 1], kernel_shape=[3 2]", "{[3 2] [2 3] [2 1] [1 0] [2 1] 2}"},
		{`group=2, auto_pad="VALID", pads=[9 9 9 9]`, "{[3 2] [1 1] [1 1] [0 0] [0 0] 2}"},
		// in 7, stride 2: 4 places reach over 9, two more than there are; in 8, stride 3, kernel 2: 3 places reach over 8.
		{`group=2, auto_pad="SAME_UPPER", strides=[2 3]`, "{[3 2] [2 3] [1 1] [1 0] [1 0] 2}"},
		{`group=2, auto_pad="SAME_UPPER"`, "{[3 2] [1 1] [1 1] [1 0] [1 1] 2}"},
		{`group=2, auto_pad="SAME_LOWER"`, "{[3 2] [1 1] [1 1] [1 1] [1 0] 2}"},
	} {
		g, n := view(t, "y = Conv(x, w) {"+c.attrs+"}")
		a, err := ir.ConvOf(g, n, x, w)
		if got := fmt.Sprint(a); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.attrs, got, err, c.want)
		}
	}
	g, n := view(t, `y = Conv(x, w) {group=2, auto_pad="SAME_UPPER", strides=[2 2]}`)
	if _, err := ir.ConvOf(g, n, ir.Shape{{Sym: "N"}, {Size: 4}, {Sym: "H"}, {Size: 8}}, w); err == nil {
		t.Error("padding of an unknown size was resolved")
	}
	if _, err := ir.ConvOf(g, n, x, nil); err == nil {
		t.Error("a weight of unknown rank was read")
	}
}

func TestPoolOf(t *testing.T) {
	g, n := view(t, "y = AveragePool(x) {kernel_shape=[3 2], strides=[2 1], pads=[1 0 1 1], ceil_mode=1, count_include_pad=1}")
	a, err := ir.PoolOf(g, n, ir.Fixed(1, 4, 7, 8))
	if got := fmt.Sprint(a); err != nil || got != "{[3 2] [2 1] [1 1] [1 0] [1 1] true true}" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestViewsHideTheOpset(t *testing.T) {
	const lists = `
weight ax int64 (2) = -1 1
weight lo float32 () = -2
weight six float32 (1) = 6
weight pads int64 (6) = 0 1 2 3 4 5
weight some int64 (2) = 1 2
weight last int64 (1) = -1
weight starts int64 (2) = 1 -1
weight ends int64 (2) = 9223372036854775807 -9223372036854775808
weight steps int64 (2) = 2 -1
weight sp int64 (2) = 1 3
`
	x := ir.Shape{{Sym: "N"}, {Size: 5}, {Size: 4}}
	for _, c := range []struct {
		name, old, new string
		read           func(*ir.Graph, *ir.Node) (any, error)
		want           string
	}{
		{"axes", "y = ReduceMean(x) {axes=[-1 1], keepdims=0}", "y = ReduceMean(x, ax) {keepdims=0}", func(g *ir.Graph, n *ir.Node) (any, error) {
			axes, keep, err := ir.AxesOf(g, n, 3)
			return fmt.Sprint(axes, keep), err
		}, "[1 2] false"},
		{"clip", "y = Clip(x) {min=-2.0, max=6.0}", "y = Clip(x, lo, six)", func(g *ir.Graph, n *ir.Node) (any, error) {
			lo, hi, err := ir.ClipOf(g, n)
			return fmt.Sprint(lo, hi), err
		}, "-2 6"},
		{"pad", "y = Pad(x) {pads=[0 1 2 3 4 5], value=6.0}", "y = Pad(x, pads, six)", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.PadOf(g, n, 3)
		}, "{[0 1 2] [3 4 5] constant 6}"},
		{"pad of one axis", "y = Pad(x) {pads=[0 0 1 0 0 2]}", "y = Pad(x, some, _, last)", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.PadOf(g, n, 3)
		}, "{[0 0 1] [0 0 2] constant 0}"},
		{"slice", "y = Slice(x) {starts=[1 2], ends=[-1 99], axes=[1 -1]}", "", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.SliceOf(g, n, x)
		}, "{[0 1 2] [-1 4 4] [1 1 1]}"},
		{"slice with steps", "", "y = Slice(x, starts, ends, ax2, steps)\n", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.SliceOf(g, n, x)
		}, "{[0 1 3] [-1 5 -1] [1 2 -1]}"},
		{"split", "y, z = Split(x) {axis=-1, split=[1 3]}", "y, z = Split(x, sp) {axis=2}", func(g *ir.Graph, n *ir.Node) (any, error) {
			axis, sizes, err := ir.SplitOf(g, n, x)
			return fmt.Sprint(axis, sizes), err
		}, "2 [1 3]"},
		{"even split", "y, z = Split(x) {axis=2}", "y, z = Split(x) {axis=2, num_outputs=2}", func(g *ir.Graph, n *ir.Node) (any, error) {
			axis, sizes, err := ir.SplitOf(g, n, x)
			return fmt.Sprint(axis, sizes), err
		}, "2 [2 2]"},
		{"uneven split", "", "y, z = Split(x) {axis=1, num_outputs=2}", func(g *ir.Graph, n *ir.Node) (any, error) {
			axis, sizes, err := ir.SplitOf(g, n, x)
			return fmt.Sprint(axis, sizes), err
		}, "1 [3 2]"},
		{"dropout", "y = Dropout(x) {ratio=6.0}", "y = Dropout(x, six)", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.DropoutRatio(g, n), nil
		}, "6"},
		{"dropout's default", "y = Dropout(x)", "y = Dropout(x)", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.DropoutRatio(g, n), nil
		}, "0.5"},
		{"reshape", "", "k = Constant() {value_ints=[0 -1]}\ny = Reshape(x, k)", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.ReshapeOf(g, n, x)
		}, "(N, 20)"},
		{"transpose", "y = Transpose(x)", "y = Transpose(x) {perm=[2 1 0]}", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.PermOf(n, 3)
		}, "[2 1 0]"},
		{"gemm", "y = Gemm(x, x) {alpha=2.0, transB=1}", "", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.GemmOf(n), nil
		}, "{2 1 false true}"},
		{"batch norm", "y = BatchNormalization(x, x, x, x, x)", "", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.BatchNormOf(n), nil
		}, "{1e-05 0.9}"},
		{"flatten at the end", "y = Flatten(x) {axis=3}", "", func(g *ir.Graph, n *ir.Node) (any, error) {
			return ir.AxisOf(n, 3, 1)
		}, "3"},
	} {
		for _, node := range []string{c.old, c.new} {
			if node == "" {
				continue
			}
			g, n := view(t, lists+"weight ax2 int64 (2) = 1 2\n"+node)
			if got, err := c.read(g, n); err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("%s: %s: %v, %v; want %s", c.name, node, got, err, c.want)
			}
		}
	}
}

func TestViewsRefuseWhatIsNotConstant(t *testing.T) {
	x := ir.Shape{{Sym: "N"}, {Size: 4}}
	for node, read := range map[string]func(*ir.Graph, *ir.Node) error{
		"y = ReduceSum(x, v)":    func(g *ir.Graph, n *ir.Node) error { _, _, err := ir.AxesOf(g, n, 2); return err },
		"y = Clip(x, v)":         func(g *ir.Graph, n *ir.Node) error { _, _, err := ir.ClipOf(g, n); return err },
		"y = Pad(x, v)":          func(g *ir.Graph, n *ir.Node) error { _, err := ir.PadOf(g, n, 2); return err },
		"y = Slice(x, v, v)":     func(g *ir.Graph, n *ir.Node) error { _, err := ir.SliceOf(g, n, x); return err },
		"y, z = Split(x, v)":     func(g *ir.Graph, n *ir.Node) error { _, _, err := ir.SplitOf(g, n, x); return err },
		"y = Reshape(x, v)":      func(g *ir.Graph, n *ir.Node) error { _, err := ir.ReshapeOf(g, n, x); return err },
		"y = Squeeze(x, v)":      func(g *ir.Graph, n *ir.Node) error { _, _, err := ir.AxesOf(g, n, 2); return err },
		"y = Unsqueeze(x, v)":    func(g *ir.Graph, n *ir.Node) error { _, _, err := ir.AxesOf(g, n, 2); return err },
		"y = Slice(x, one, two)": func(g *ir.Graph, n *ir.Node) error { _, err := ir.SliceOf(g, n, x); return err }, // cuts N
	} {
		g, n := view(t, "input v int64 (1)\nweight one int64 (1) = 1\nweight two int64 (1) = 2\n"+node)
		if err := read(g, n); err == nil || !strings.HasPrefix(err.Error(), "ir: node ") {
			t.Errorf("%s: error %v", node, err)
		}
	}
}

func TestClipOfIsOpenWhereNothingIsStated(t *testing.T) {
	for _, node := range []string{"y = Clip(x)", "y = Clip(x, _, _)"} {
		g, n := view(t, node)
		lo, hi, err := ir.ClipOf(g, n)
		if err != nil || !math.IsInf(float64(lo), -1) || !math.IsInf(float64(hi), 1) {
			t.Errorf("%s: %v, %v, %v", node, lo, hi, err)
		}
	}
}

func TestSoftmaxOfKnowsTheOpset(t *testing.T) {
	for _, c := range []struct {
		opset, node string
		axis        int
		rest        bool
	}{
		{"12", "y = Softmax(x)", 1, true}, {"12", "y = Softmax(x) {axis=-2}", 2, true},
		{"13", "y = Softmax(x)", 3, false}, {"13", "y = LogSoftmax(x) {axis=1}", 1, false},
	} {
		g, n := view(t, "opset \"\" "+c.opset+"\n"+c.node)
		if axis, rest, err := ir.SoftmaxOf(g, n, 4); err != nil || axis != c.axis || rest != c.rest {
			t.Errorf("opset %s: %s: axis %d, rest %v, %v", c.opset, c.node, axis, rest, err)
		}
	}
}

// TestSliceAttrsCountIndices compares with Python's slices, the indices of list(range(n))[start:end:step]; but a start before the
// first element is the first element in ONNX for negative steps too.
func TestSliceAttrsCountIndices(t *testing.T) {
	for n := range 6 {
		for start := -8; start <= 8; start++ {
			for end := -8; end <= 8; end++ {
				for _, step := range []int{-3, -2, -1, 1, 2, 3} {
					g, node := view(t, fmt.Sprintf("y = Slice(x, s, e, a, st)\nweight a int64 (1) = 0\nweight s int64 (1) = %d\nweight e int64 (1) = %d\nweight st int64 (1) = %d", start, end, step))
					a, err := ir.SliceOf(g, node, ir.Fixed(n))
					if err != nil {
						t.Fatal(err)
					}
					var got []int
					for i := range a.Len(0) {
						got = append(got, a.Start[0]+i*a.Step[0])
					}
					if want := sliced(n, start, end, step); fmt.Sprint(got) != fmt.Sprint(want) {
						t.Fatalf("range(%d)[%d:%d:%d] = %v, want %v", n, start, end, step, got, want)
					}
				}
			}
		}
	}
}

// sliced walks from the start element by element.
func sliced(n, start, end, step int) (out []int) {
	at := func(i int) int {
		if i < 0 {
			return i + n
		}
		return i
	}
	start, end = at(start), at(end)
	if step > 0 {
		for i := max(start, 0); i < min(end, n); i += step {
			out = append(out, i)
		}
		return out
	}
	for i := min(max(start, 0), n-1); i > max(end, -1); i += step {
		out = append(out, i)
	}
	return out
}
