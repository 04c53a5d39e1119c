package onnx

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

func TestDecodeReadsEveryFieldOfEveryType(t *testing.T) {
	g, err := Decode(typedFile(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	raw := func(b ...byte) *ir.Tensor { return &ir.Tensor{Raw: b} }
	want := map[string]*ir.Tensor{
		"f32": ir.Floats32([]float32{1, 2, 3}, 3), "i64": ir.Ints64([]int64{-1, 5, -1}, 3),
		"str": {DType: ir.String, Shape: []int{2}, Strs: []string{"a", ""}}, "none": {DType: ir.Float32, Shape: []int{0}},
		"f64": raw(0, 0, 0, 0, 0, 0, 0xf0, 0x3f), "u64": raw(255, 255, 255, 255, 255, 255, 255, 255), "u32": raw(255, 255, 255, 255),
		"i32": raw(255, 255, 255, 255, 255, 255, 255, 127), "i16": raw(255, 255, 255, 127), "i8": raw(255, 127),
		"u16": raw(255, 255), "u8": raw(255), "bool": raw(1, 0), "f16": raw(0, 0xbc), "bf16": raw(0x80, 0xbf),
	}
	if len(g.Weights) != len(want) {
		t.Errorf("%d weights, want %d", len(g.Weights), len(want))
	}
	for name, w := range want {
		got := g.Weights[name]
		if got == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if w.Raw != nil {
			w.DType, w.Shape = got.DType, got.Shape
		}
		if !got.Equal(w) {
			t.Errorf("%s: got %+v, want %+v", name, got, w)
		}
	}
	roundTrip(t, g)
}

func TestDecodeTakesInitializersThatAreInputsForWeights(t *testing.T) {
	g, err := Decode(identity(func(g *parts) {
		putInfo(g, graphInput, "w")
		g.message(graphInitializer, tensor("w", ir.Floats32([]float32{1}, 1)))
	}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Inputs) != 1 || g.Inputs[0].Name != "x" || g.Weights["w"] == nil {
		t.Errorf("inputs %v, weights %v", g.Inputs, g.Weights)
	}
}

func TestEncodeListsWeightsAsInputsBeforeIRVersion4(t *testing.T) {
	for version, want := range map[int64]int{3: 2, 4: 1} {
		g, err := Decode(identity(func(g *parts) { g.message(graphInitializer, tensor("w", ir.Floats32([]float32{1}, 1))) }), Options{})
		if err != nil {
			t.Fatal(err)
		}
		g.IRVersion = version
		inputs := 0
		walk(message{encoded(t, g), 0}, func(f field) bool {
			if f.id == modelGraph {
				inputs = count(f.body, graphInput)
			}
			return true
		})
		if inputs != want {
			t.Errorf("IR version %d: %d inputs, want %d", version, inputs, want)
		}
		roundTrip(t, g)
	}
}

// A size nobody knows is left open by some writers and −1 by others.
func TestDecodeReadsUnknownSizes(t *testing.T) {
	g, err := Decode(identity(func(g *parts) {
		g.message(graphInput, msg(func(v *parts) {
			v.str(infoName, "in")
			v.message(infoType, msg(func(ty *parts) {
				ty.message(typeTensor, msg(func(tt *parts) {
					tt.varint(tensorTypeElem, 1)
					tt.message(tensorTypeShape, msg(func(s *parts) {
						s.message(shapeDim, msg(func(d *parts) { d.varint(dimValue, -1) }))
						s.message(shapeDim, &parts{})
						s.message(shapeDim, msg(func(d *parts) { d.bytes(dimParam, "") }))
						s.message(shapeDim, msg(func(d *parts) { d.varint(dimValue, 3) }))
						s.message(shapeDim, msg(func(d *parts) { d.str(dimParam, "H") }))
					}))
				}))
			}))
		}))
	}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := ir.Shape{{Sym: "?"}, {Sym: "?"}, {Sym: "?"}, {Size: 3}, {Sym: "H"}}
	if got := g.Inputs[1].Shape; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCapturesAreWhatSubgraphsReadFromOutside(t *testing.T) {
	g := everything()
	back, err := Decode(encoded(t, g), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"c", "floats", "hidden", "unranked", "x"}
	if got := back.Nodes[1].Captures; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	back.Weights["floats"] = nil
	delete(back.Weights, "floats")
	if err := Encode(&strings.Builder{}, back); err == nil || !strings.Contains(err.Error(), "floats") {
		t.Errorf("a captured value is gone: %v", err)
	}
}

func TestDecodeNamesPlaceAndCause(t *testing.T) {
	put := func(fill func(t *parts)) []byte {
		return identity(func(g *parts) { g.message(graphInitializer, msg(fill)) })
	}
	weight := func(dtype ir.DType, dims []int64, rest func(t *parts)) []byte {
		return put(func(t *parts) {
			t.str(tensorName, "w")
			t.varint(tensorType, int64(dtype))
			for _, n := range dims {
				t.varint(tensorDims, n)
			}
			rest(t)
		})
	}
	attr := func(fill func(a *parts)) []byte {
		return file(func(g *parts) { putNode(g, "n", "O", nil, []string{"y"}, msg(fill)) })
	}
	versions := func(irVersion int64, opsets ...int64) []byte {
		return msg(func(p *parts) {
			p.varint(modelIRVersion, irVersion)
			for _, v := range opsets {
				p.message(modelOpset, msg(func(o *parts) { o.varint(opsetVersion, v) }))
			}
			p.message(modelGraph, &parts{})
		}).raw()
	}
	good := identity(func(*parts) {})
	for _, c := range []struct {
		what string
		raw  []byte
		want []string
	}{
		{"nothing", nil, []string{"onnx: the file is empty"}},
		{"text", []byte("hello, world"), []string{"onnx: byte 2: field 13 is cut short or damaged"}},
		{"another format", []byte("\x89PNG\r\n\x1a\n"), []string{"onnx: byte 0: "}},
		{"one zero", []byte{0}, []string{"onnx: byte 0: not a protobuf field"}},
		{"no graph", good[:2], []string{"byte 0: there is no graph; this is not an ONNX model"}},
		{"cut short", good[:len(good)-1], []string{"byte 6: field 7 is cut short or damaged"}},
		{"second graph", append(slices.Clone(good), good...), []string{"a second graph"}},
		{"functions", msg(func(p *parts) { p.message(modelFunctions, &parts{}) }).raw(), []string{"functions of its own"}},
		{"wire type", []byte{1<<3 | 1, 0, 0, 0, 0, 0, 0, 0, 0}, []string{"byte 0: IR version: field 1 has wire type 1, want 0"}},
		{"IR version", versions(2, 17), []string{"onnx: IR version 2 is not supported, want 3 to 11"}},
		{"newer IR version", versions(12, 17), []string{"IR version 12 is not supported"}},
		{"operator set", versions(8, 7), []string{"operator set 7 is not supported, want 8 to 23"}},
		{"newer operator set", versions(8, 24), []string{"operator set 24 is not supported"}},
		{"no operator set", versions(8), []string{"ONNX's operator set is imported 0 times, want once"}},
		{"two operator sets", versions(8, 17, 17), []string{"imported 2 times"}},
		{"both versions", versions(1, 1), []string{"IR version 1 ", "operator set 1 "}},

		{"too few bytes", weight(ir.Float32, []int64{2, 2}, func(t *parts) { t.bytes(tensorRaw, "four") }),
			[]string{`initializer "w": 4 bytes, want 16 for float32 of shape [2 2]`}},
		{"too many bytes", weight(ir.Uint8, nil, func(t *parts) { t.bytes(tensorRaw, "four") }),
			[]string{`initializer "w": 4 bytes, want 1 for uint8 of shape []`}},
		{"too few elements", weight(ir.Float32, []int64{3}, func(t *parts) { t.fixed32(tensorFloats, 1) }),
			[]string{`initializer "w": 1 elements, want 3 for float32 of shape [3]`}},
		{"no elements", weight(ir.Int64, []int64{1 << 30}, func(*parts) {}), []string{`initializer "w": 0 elements, want 1073741824`}},
		{"huge shape", weight(ir.Float32, []int64{1 << 30, 2}, func(*parts) {}), []string{`initializer "w": shape [1073741824 2] has too many`}},
		{"negative axis", weight(ir.Float32, []int64{-1}, func(*parts) {}), []string{`initializer: an axis of size -1`}},
		{"huge axis", weight(ir.Float32, []int64{1 << 40}, func(*parts) {}), []string{`initializer: an axis of size 1099511627776`}},
		{"axes", weight(ir.Float32, make([]int64, 65), func(*parts) {}), []string{"more than 64 axes"}},
		{"wrong field", weight(ir.Float32, []int64{1}, func(t *parts) { t.varint(tensorInt64s, 1) }),
			[]string{`initializer "w": elements of type float32 do not belong into field 7`}},
		{"two fields", weight(ir.Float32, []int64{1}, func(t *parts) { t.fixed32(tensorFloats, 1); t.bytes(tensorRaw, "four") }),
			[]string{"initializer: elements in field 4 and in field 9"}},
		{"element type", weight(14, []int64{1}, func(t *parts) { t.bytes(tensorRaw, "12345678") }), []string{`initializer "w": elements of type `, " are not supported"}},
		{"no element type", weight(0, []int64{1}, func(t *parts) { t.bytes(tensorRaw, "1") }), []string{`initializer "w": elements of type undefined are not supported`}},
		{"strange element type", put(func(t *parts) { t.varint(tensorType, 1000) }), []string{"element type 1000 does not exist"}},
		{"no bool", weight(ir.Bool, []int64{2}, func(t *parts) { t.bytes(tensorInt32s, "\x01\x02") }),
			[]string{`initializer "w": element 1 is 2, which bool does not hold`}},
		{"no int8", weight(ir.Int8, []int64{1}, func(t *parts) { t.varint(tensorInt32s, 128) }), []string{"element 0 is 128, which int8 does not hold"}},
		{"cut list", weight(ir.Int64, []int64{1}, func(t *parts) { t.bytes(tensorInt64s, "\x01\x80") }), []string{"a list in field 7 is cut short or damaged"}},
		{"cut floats", weight(ir.Float32, []int64{1}, func(t *parts) { t.bytes(tensorFloats, "12345") }), []string{"a list in field 4 is cut short"}},
		{"raw strings", weight(ir.String, []int64{1}, func(t *parts) { t.bytes(tensorRaw, "s") }), []string{`"w": strings in raw data are not supported`}},
		{"segments", weight(ir.Float32, nil, func(t *parts) { t.message(tensorSegment, &parts{}) }), []string{"tensors in segments are not supported"}},
		{"location", weight(ir.Float32, nil, func(t *parts) { t.varint(tensorLocation, 2) }), []string{"data location 2 does not exist"}},
		{"no name", put(func(t *parts) { t.varint(tensorType, 1); t.fixed32(tensorFloats, 1) }), []string{"initializer: has no name"}},
		{"twice", identity(func(g *parts) {
			for range 2 {
				g.message(graphInitializer, tensor("w", ir.Floats32([]float32{1}, 1)))
			}
		}), []string{`initializer "w" is there twice`}},
		{"sparse", identity(func(g *parts) { g.message(graphSparseInitializer, &parts{}) }), []string{"sparse initializers are not supported"}},

		{"no tensor", identity(func(g *parts) {
			g.message(graphInput, msg(func(v *parts) {
				v.str(infoName, "list")
				v.message(infoType, msg(func(t *parts) { t.message(4, &parts{}) }))
			}))
		}), []string{`input "list" is not a tensor`}},
		{"size", identity(func(g *parts) {
			g.message(graphInput, info(ir.ValueInfo{Name: "in", Shape: ir.Shape{{Size: -2}}}))
		}), []string{`input "in": an axis of size -2`}},
		{"huge size", identity(func(g *parts) {
			g.message(graphInput, info(ir.ValueInfo{Name: "in", Shape: ir.Shape{{Size: math.MaxInt32 + 1}}}))
		}), []string{`input "in": an axis of size 2147483648`}},
		{"rank", identity(func(g *parts) {
			g.message(graphInput, info(ir.ValueInfo{Name: "in", Shape: make(ir.Shape, 65)}))
		}), []string{`input "in": more than 64 axes`}},
		{"nameless note", identity(func(g *parts) { g.message(graphValueInfo, &parts{}) }), []string{"value: has no name"}},

		{"no operator", file(func(g *parts) { putNode(g, "n", "", nil, []string{"y"}) }), []string{`node "n": has no operator`}},
		{"own operator", file(func(g *parts) {
			g.message(graphNode, msg(func(n *parts) { n.str(nodeName, "n"); n.str(nodeOp, "Loss"); n.str(nodeDomain, ir.DomainDMS) }))
		}), []string{`node "n" (Loss): operators of domain "dms" exist in training only`}},
		{"overload", file(func(g *parts) {
			g.message(graphNode, msg(func(n *parts) { n.str(nodeOp, "O"); n.str(nodeOverload, "o") }))
		}), []string{"node 0 (O): names an overload"}},
		{"long name", file(func(g *parts) { putNode(g, strings.Repeat("n", maxName+1), "O", nil, []string{"y"}) }), []string{"a name of 16385 bytes, the limit is 16384"}},
		{"attribute without name", attr(func(a *parts) { a.varint(attrInt, 1) }), []string{`node "n" (O): attribute: has no name`}},
		{"attribute without value", attr(func(a *parts) { a.str(attrName, "a") }), []string{`node "n" (O): attribute "a": has no value`}},
		{"attribute of two kinds", attr(func(a *parts) { a.str(attrName, "a"); a.varint(attrInt, 1); a.fixed32(attrFloat, 1) }),
			[]string{`node "n" (O): attribute "a": has values of two kinds`}},
		{"attribute of another kind", attr(func(a *parts) { a.str(attrName, "a"); a.varint(attrInt, 1); a.varint(attrType, 1) }),
			[]string{`attribute "a": is stated to be of type 1 and holds a value of kind int`}},
		{"attribute of a function", attr(func(a *parts) { a.str(attrName, "a"); a.str(attrRef, "b") }), []string{"refers to a parameter of a function"}},
		{"attribute tensor", attr(func(a *parts) {
			a.str(attrName, "a")
			a.message(attrTensor, msg(func(t *parts) { t.varint(tensorType, 1); t.varint(tensorDims, 2) }))
		}), []string{`node "n" (O): attribute "a": 0 elements, want 2`}},
		{"attribute twice", file(func(g *parts) {
			putNode(g, "n", "O", nil, []string{"y"}, attribute("a", ir.IntAttr(1)), attribute("a", ir.IntAttr(1)))
		}), []string{`attribute "a": is there twice`}},
		{"damaged subgraph", attr(func(a *parts) {
			a.str(attrName, "a")
			a.bytes(attrGraph, "\x0a\xff")
		}), []string{`node "n" (O): attribute "a": field 1 is cut short`}},
		{"deep subgraphs", attr(func(a *parts) {
			inner := &parts{}
			for range maxDepth + 1 {
				outer := inner
				inner = msg(func(g *parts) { putNode(g, "", "If", nil, nil, msg(func(a *parts) { a.message(attrGraph, outer) })) })
			}
			a.str(attrName, "a")
			a.message(attrGraph, inner)
		}), []string{"subgraphs lie more than 32 deep"}},

		{"order", file(func(g *parts) {
			putNode(g, "n", "Relu", []string{"later"}, []string{"y"})
			putNode(g, "m", "Relu", []string{"gone"}, []string{"later"})
		}), []string{`onnx: ir: node "n" (Relu): reads "later", which node "m" (Relu) writes at or after it`,
			`onnx: ir: node "m" (Relu): reads "gone", which no input, weight or node provides`}},
		{"written twice", file(func(g *parts) {
			putNode(g, "n", "O", nil, []string{"y"})
			putNode(g, "m", "O", nil, []string{"y"})
		}), []string{`onnx: ir: value "y" is written by node "n" (O) and by node "m" (O)`}},
		{"output", file(func(g *parts) { putInfo(g, graphOutput, "y") }), []string{`output "y": no input, weight or node provides it`}},
		{"operands", file(func(g *parts) { putNode(g, "n", "Add", nil, []string{"y"}) }), []string{`onnx: ir: node "n" (Add): 0 inputs, want 2`}},
	} {
		t.Run(c.what, func(t *testing.T) {
			g, err := frugal(t, c.raw)
			if err == nil {
				t.Fatal("no error")
			}
			if g != nil {
				t.Error("a graph with an error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
		})
	}
}

func TestDecodeStopsAfterManyFaults(t *testing.T) {
	_, err := Decode(identity(func(g *parts) {
		for i := range 100 {
			putNode(g, fmt.Sprint("n", i), "", nil, []string{fmt.Sprint("v", i)})
		}
	}), Options{})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxFaults+1 || !strings.Contains(lines[0], `node "n0": has no operator`) || lines[maxFaults] != "onnx: stopped after 32 faults" {
		t.Errorf("%d lines: %v", len(lines), err)
	}
}

// TestShapesAgreeWithWhatFilesState folds every real model and holds the shapes inferred for its outputs against those stated in it.
func TestShapesAgreeWithWhatFilesState(t *testing.T) {
	for _, path := range realFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			g, err := ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			folded, err := ir.Fold(g)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, folded)
			values, err := ir.InferShapes(folded, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range g.Outputs {
				got := values[out.Name]
				t.Logf("%s: inferred %v, stated %v", out.Name, got.Shape, out.Shape)
				if got.DType != out.DType {
					t.Errorf("%s: type %v, stated %v", out.Name, got.DType, out.DType)
				}
				if out.Shape == nil {
					continue
				}
				if len(got.Shape) != len(out.Shape) {
					t.Errorf("%s: shape %v, stated %v", out.Name, got.Shape, out.Shape)
					continue
				}
				for i, dim := range out.Shape {
					if dim.Known() && got.Shape[i].Known() && dim.Size != got.Shape[i].Size {
						t.Errorf("%s: shape %v, stated %v", out.Name, got.Shape, out.Shape)
					}
				}
			}
		})
	}
}
