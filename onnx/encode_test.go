package onnx

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

func TestEverythingSurvivesARoundTrip(t *testing.T) { roundTrip(t, everything()) }

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	long := strings.Repeat("n", maxName+1)
	for _, c := range []struct {
		what   string
		change func(g *ir.Graph)
		want   string
	}{
		{"no version", func(g *ir.Graph) { g.IRVersion = 0 }, "IR version 0 is not supported"},
		{"no operator set", func(g *ir.Graph) { g.Opsets = nil }, "imported 0 times"},
		{"an invalid graph", func(g *ir.Graph) { g.Nodes[0].Inputs[0] = "gone" }, `reads "gone"`},
		{"a training operator", func(g *ir.Graph) { g.Nodes[0].Domain = ir.DomainDMS }, "exist in training only"},
		{"a long name", func(g *ir.Graph) { g.Nodes[0].Name = long }, "a name of 16385 bytes"},
		{"a long symbol", func(g *ir.Graph) { g.Inputs[0].Shape[0].Sym = long }, "a name of 16385 bytes"},
		{"a large axis", func(g *ir.Graph) { g.Outputs[0].Shape = ir.Fixed(math.MaxInt32 + 1) }, `output "y": an axis of size 2147483648`},
		{"a symbol with a size", func(g *ir.Graph) { g.Inputs[0].Shape[0].Size = 1 }, `an axis of size 1 and "N" at once`},
		{"many axes", func(g *ir.Graph) { g.Outputs[0].Shape = make(ir.Shape, maxRank+1) }, "more than 64 axes"},
		{"a large axis of a tensor", func(g *ir.Graph) {
			g.Nodes[0].Attrs["k"] = ir.TensorAttr(&ir.Tensor{DType: ir.Float32, Shape: []int{0, 1 << 40}})
		}, `attribute "k": an axis of size 1099511627776`},
		{"a note under another name", func(g *ir.Graph) { g.Info["a"] = ir.ValueInfo{Name: "b"} }, `the note on value "a" names "b"`},
		{"an attribute without a name", func(g *ir.Graph) { g.Nodes[0].Attrs[""] = ir.IntAttr(1) }, `attribute: has no name`},
		{"an attribute without a kind", func(g *ir.Graph) { g.Nodes[0].Attrs["k"] = ir.Attr{} }, `attribute "k": kind 0 does not exist`},
		{"raw bytes of another name", func(g *ir.Graph) {
			g.Nodes[1].Attrs["k"] = g.Nodes[1].Attrs["then_branch"]
		}, `attribute "k": its bytes name it "then_branch"`},
		{"damaged raw bytes", func(g *ir.Graph) { g.Nodes[1].Attrs["k"] = ir.Attr{Kind: ir.AttrRaw, Raw: []byte{1}} }, `attribute "k": `},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := everything()
			c.change(g)
			var out strings.Builder
			err := Encode(&out, g)
			if err == nil || !strings.HasPrefix(err.Error(), "onnx: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if out.Len() > 0 {
				t.Errorf("%d bytes were written all the same", out.Len())
			}
		})
	}
}

// brokenWriter fails after some bytes.
type brokenWriter struct{ left int }

var errBroken = errors.New("no room")

func (w *brokenWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, errBroken
	}
	w.left -= len(p)
	return len(p), nil
}

func TestEncodeReportsWhatTheWriterReports(t *testing.T) {
	g := everything()
	size := len(encoded(t, g))
	for left := 0; left < size; left += 7 {
		if err := Encode(&brokenWriter{left}, g); !errors.Is(err, errBroken) {
			t.Fatalf("after %d of %d bytes: %v", left, size, err)
		}
	}
	if err := Encode(&brokenWriter{size}, g); err != nil {
		t.Error(err)
	}
}
