package onnx

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"google.golang.org/protobuf/encoding/protowire"
)

// msg writes a message by hand, so that tests can say what Encode never would.
func msg(fill func(p *parts)) *parts {
	p := &parts{}
	fill(p)
	return p
}

func (p *parts) raw() []byte {
	var buf bytes.Buffer
	if err := p.writeTo(&buf); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// file is a model of IR version 8 and operator set 17 around a graph.
func file(fill func(g *parts)) []byte {
	return msg(func(p *parts) {
		p.varint(modelIRVersion, 8)
		p.message(modelOpset, msg(func(o *parts) { o.varint(opsetVersion, 17) }))
		p.message(modelGraph, msg(fill))
	}).raw()
}

func putNode(g *parts, name, op string, inputs, outputs []string, attrs ...*parts) {
	g.message(graphNode, msg(func(n *parts) {
		for _, s := range inputs {
			n.bytes(nodeInput, s)
		}
		for _, s := range outputs {
			n.bytes(nodeOutput, s)
		}
		n.str(nodeName, name)
		n.str(nodeOp, op)
		for _, a := range attrs {
			n.message(nodeAttribute, a)
		}
	}))
}

func putInfo(g *parts, id protowire.Number, name string) {
	g.message(id, info(ir.ValueInfo{Name: name, DType: ir.Float32, Shape: ir.Fixed(1, 4)}))
}

// identity is a graph from x to y with whatever fill adds before the node that writes y.
func identity(fill func(g *parts)) []byte {
	return file(func(g *parts) {
		putInfo(g, graphInput, "x")
		putInfo(g, graphOutput, "y")
		fill(g)
		putNode(g, "copy", "Identity", []string{"x"}, []string{"y"})
	})
}

// branch is the attribute of a name whose subgraph reads outer values, through another subgraph too.
func branch(name string, reads ...string) []byte {
	inner := msg(func(g *parts) {
		putNode(g, "", "Add", []string{reads[0], "local"}, []string{"deep"})
		putInfo(g, graphOutput, "deep")
	})
	return msg(func(a *parts) {
		a.str(attrName, name)
		a.message(attrGraph, msg(func(g *parts) {
			putInfo(g, graphInput, "fed")
			g.message(graphInitializer, tensor("w", ir.Floats32([]float32{1}, 1)))
			putNode(g, "", "Add", []string{"fed", "w"}, []string{"local"})
			putNode(g, "", "If", []string{"c"}, []string{"z"}, msg(func(a *parts) {
				a.str(attrName, "then_branch")
				a.message(attrGraph, inner)
				a.varint(attrType, 5)
			}))
			for _, r := range reads {
				putNode(g, "", "Add", []string{"z", r}, []string{r + "'"})
			}
			putInfo(g, graphOutput, "z")
		}))
		a.varint(attrType, 5)
	}).raw()
}

// everything is a graph that uses all of what a graph can hold.
func everything() *ir.Graph {
	every := func(dtype ir.DType, raw ...byte) *ir.Tensor {
		return &ir.Tensor{DType: dtype, Shape: []int{len(raw) / dtype.Size()}, Raw: raw}
	}
	g := &ir.Graph{
		Name: "all", Doc: "of it", IRVersion: 9, Opsets: []ir.Opset{{Domain: "", Version: 18}, {Domain: "com.example", Version: 3}},
		Producer: "p", ProducerVersion: "1.2", ModelDomain: "org.example", ModelVersion: -7, ModelDoc: "two\nlines",
		Metadata: []ir.KeyValue{{Key: "b", Value: "1"}, {Key: "a", Value: ""}, {Key: "b", Value: "again"}},
		Inputs: []ir.ValueInfo{
			{Name: "x", DType: ir.Float32, Shape: ir.Shape{{Sym: "N"}, {Size: 0}, {Sym: "?"}, {Size: math.MaxInt32}}, Doc: "fed"},
			{Name: "c", DType: ir.Bool, Shape: ir.Shape{}},
			{Name: "untyped"},
			{Name: "unranked", DType: ir.Int8},
			{Name: "shaped", Shape: ir.Fixed(2)},
		},
		Outputs: []ir.ValueInfo{{Name: "y"}, {Name: "second", DType: ir.Float32, Doc: "doc"}},
		Info:    map[string]ir.ValueInfo{"hidden": {Name: "hidden", DType: ir.BFloat16, Shape: ir.Fixed(1, 2)}, "other": {Name: "other"}},
		Weights: map[string]*ir.Tensor{
			"floats":  ir.Floats32([]float32{1, float32(math.Inf(-1)), math.Float32frombits(0x7fc00123), 0, 0, -1}, 2, 3),
			"ints":    ir.Ints64([]int64{math.MinInt64, -1, math.MaxInt64}, 3),
			"scalar":  ir.Floats32([]float32{3}),
			"empty":   {DType: ir.Float32, Shape: []int{0, 5}},
			"nothing": {DType: ir.Uint8, Shape: []int{3, 0}},
			"strings": {DType: ir.String, Shape: []int{3}, Strs: []string{"", "b", "\xff\x00"}},
			"u8":      every(ir.Uint8, 0, 255), "i8": every(ir.Int8, 0, 255), "bool": every(ir.Bool, 0, 1),
			"u16": every(ir.Uint16, 1, 255), "i16": every(ir.Int16, 1, 255), "f16": every(ir.Float16, 1, 255), "bf16": every(ir.BFloat16, 1, 255),
			"i32": every(ir.Int32, 1, 2, 3, 255), "u32": every(ir.Uint32, 1, 2, 3, 255),
			"u64": every(ir.Uint64, 1, 2, 3, 4, 5, 6, 7, 255), "f64": every(ir.Float64, 1, 2, 3, 4, 5, 6, 7, 255),
		},
	}
	g.Nodes = []*ir.Node{
		{Name: "first", Op: "Unknown", Domain: "com.example", Inputs: []string{"x", "", "floats", ""}, Outputs: []string{"hidden", ""}, Doc: "a node",
			Attrs: ir.Attrs{
				"int": ir.IntAttr(-5), "zero": ir.IntAttr(0), "float": ir.FloatAttr(float32(math.NaN())), "nought": ir.FloatAttr(0),
				"string": ir.StringAttr("s\x00"), "blank": ir.StringAttr(""),
				"ints": ir.IntsAttr(1, -1, math.MinInt64), "none": ir.IntsAttr(),
				"floats": ir.FloatsAttr(0, 1.5), "few": ir.FloatsAttr(), "strings": {Kind: ir.AttrStrings, Strings: []string{"", "a"}},
				"tensor": ir.TensorAttr(ir.Vector64(1, 2)), "f16": ir.TensorAttr(every(ir.Float16, 1, 2, 3, 4)),
			}},
		{Name: "", Op: "If", Inputs: []string{"c"}, Outputs: []string{"y"},
			Attrs: ir.Attrs{
				"then_branch": {Kind: ir.AttrRaw, Raw: branch("then_branch", "x", "hidden")},
				"else_branch": {Kind: ir.AttrRaw, Raw: branch("else_branch", "unranked", "floats")},
			},
			Captures: []string{"c", "floats", "hidden", "unranked", "x"}},
		{Name: "first", Op: "Relu", Domain: "ai.onnx", Inputs: []string{"hidden"}, Outputs: []string{"second"}},
	}
	return g
}

// small are valid models of a few hundred bytes to a few kilobytes.
func small(t testing.TB) [][]byte {
	t.Helper()
	files := [][]byte{
		encoded(t, everything()),
		typedFile(),
		identity(func(*parts) {}),
	}
	for seed := range uint64(8) {
		g := testkit.RandomConvNet(rand.New(rand.NewPCG(seed, 1)))
		for _, w := range g.Weights {
			if w.Len() > 64 { // the elements are not what is tried here
				*w = ir.Tensor{DType: ir.Float32, Shape: []int{0}}
			}
		}
		files = append(files, encoded(t, g))
	}
	return files
}

// typedFile holds a tensor of every type, with elements in the fields of their type: packed, one by one, and both.
func typedFile() []byte {
	packed := func(values ...uint64) string {
		var b []byte
		for _, v := range values {
			b = protowire.AppendVarint(b, v)
		}
		return string(b)
	}
	one := func(name string, dtype ir.DType, n int64, fill func(t *parts)) func(g *parts) {
		return func(g *parts) {
			g.message(graphInitializer, msg(func(t *parts) {
				fill(t) // before the type and the shape: a file may state them late
				t.varint(tensorDims, n)
				t.varint(tensorType, int64(dtype))
				t.str(tensorName, name)
			}))
		}
	}
	minus := ^uint64(0) // −1
	return identity(func(g *parts) {
		for _, put := range []func(*parts){
			one("f32", ir.Float32, 3, func(t *parts) {
				t.bytes(tensorFloats, "\x00\x00\x80\x3f\x00\x00\x00\x40")
				t.fixed32(tensorFloats, 3)
			}),
			one("f64", ir.Float64, 1, func(t *parts) { t.bytes(tensorDoubles, "\x00\x00\x00\x00\x00\x00\xf0\x3f") }),
			one("i64", ir.Int64, 3, func(t *parts) { t.varint(tensorInt64s, -1); t.bytes(tensorInt64s, packed(5, minus)) }),
			one("u64", ir.Uint64, 1, func(t *parts) { t.bytes(tensorUint64s, packed(minus)) }),
			one("u32", ir.Uint32, 1, func(t *parts) { t.bytes(tensorUint64s, packed(1<<32-1)) }),
			one("i32", ir.Int32, 2, func(t *parts) { t.bytes(tensorInt32s, packed(minus, 1<<31-1)) }),
			one("i16", ir.Int16, 2, func(t *parts) { t.bytes(tensorInt32s, packed(minus, 1<<15-1)) }),
			one("i8", ir.Int8, 2, func(t *parts) { t.bytes(tensorInt32s, packed(minus, 127)) }),
			one("u16", ir.Uint16, 1, func(t *parts) { t.bytes(tensorInt32s, packed(1<<16-1)) }),
			one("u8", ir.Uint8, 1, func(t *parts) { t.bytes(tensorInt32s, packed(255)) }),
			one("bool", ir.Bool, 2, func(t *parts) { t.bytes(tensorInt32s, packed(1, 0)) }),
			one("f16", ir.Float16, 1, func(t *parts) { t.bytes(tensorInt32s, packed(0xbc00)) }),
			one("bf16", ir.BFloat16, 1, func(t *parts) { t.varint(tensorInt32s, 0xbf80) }),
			one("str", ir.String, 2, func(t *parts) { t.bytes(tensorStrings, "a"); t.bytes(tensorStrings, "") }),
			one("none", ir.Float32, 0, func(t *parts) { t.bytes(tensorFloats, "") }),
		} {
			put(g)
		}
	})
}
