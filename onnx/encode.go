package onnx

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/dms-go/dms/ir"
)

// Encode writes a model that Decode reads back as a graph equal to g, or refuses with an error that joins the reasons. The
// same graph always gives the same bytes. Elements stand in raw_data and are not copied as a whole.
func Encode(w io.Writer, g *ir.Graph) error {
	e, err := encode(g, nil)
	if err != nil {
		return err
	}
	if err := e.writeTo(w); err != nil {
		return fmt.Errorf("onnx: %w", err)
	}
	return nil
}

// encode checks g and lays out the file, and the one beside it where that is not nil.
func encode(g *ir.Graph, beside *dataFile) (*parts, error) {
	if err := ir.Validate(g); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	if err := writable(g); err != nil {
		return nil, err
	}
	file := model(g, beside)
	if file.size > maxFile {
		return nil, fmt.Errorf("onnx: the model takes %d bytes; a model file has at most %d: %w", file.size, maxFile, errTooLarge)
	}
	return file, nil
}

// errTooLarge is for models whose weights must stand in a file beside them.
var errTooLarge = errors.New("WriteFile puts the weights into a file beside it")

func model(g *ir.Graph, beside *dataFile) *parts {
	p := &parts{}
	p.int(modelIRVersion, g.IRVersion)
	p.str(modelProducer, g.Producer)
	p.str(modelProducerVersion, g.ProducerVersion)
	p.str(modelDomain, g.ModelDomain)
	p.int(modelVersion, g.ModelVersion)
	p.str(modelDoc, g.ModelDoc)
	p.message(modelGraph, graph(g, beside))
	for _, o := range g.Opsets {
		m := &parts{}
		m.str(opsetDomain, o.Domain)
		m.int(opsetVersion, o.Version)
		p.message(modelOpset, m)
	}
	for _, kv := range g.Metadata {
		m := &parts{}
		m.str(entryKey, kv.Key)
		m.str(entryValue, kv.Value)
		p.message(modelMetadata, m)
	}
	return p
}

func graph(g *ir.Graph, beside *dataFile) *parts {
	p := &parts{}
	for _, n := range g.Nodes {
		p.message(graphNode, node(n))
	}
	p.str(graphName, g.Name)
	weights := slices.Sorted(maps.Keys(g.Weights))
	for _, name := range weights {
		t := g.Weights[name]
		if beside.takes(t) {
			p.message(graphInitializer, beside.add(name, t))
			continue
		}
		p.message(graphInitializer, tensor(name, t))
	}
	p.str(graphDoc, g.Doc)
	for _, v := range g.Inputs {
		p.message(graphInput, info(v))
	}
	if g.IRVersion < 4 {
		// Before IR version 4 every initializer had to be an input as well. Decode knows them by their names.
		for _, name := range weights {
			t := g.Weights[name]
			p.message(graphInput, info(ir.ValueInfo{Name: name, DType: t.DType, Shape: ir.Fixed(t.Shape...)}))
		}
	}
	for _, v := range g.Outputs {
		p.message(graphOutput, info(v))
	}
	for _, name := range slices.Sorted(maps.Keys(g.Info)) {
		p.message(graphValueInfo, info(g.Info[name]))
	}
	return p
}

func node(n *ir.Node) *parts {
	p := &parts{}
	for _, s := range n.Inputs {
		p.bytes(nodeInput, s)
	}
	for _, s := range n.Outputs {
		p.bytes(nodeOutput, s)
	}
	p.str(nodeName, n.Name)
	p.str(nodeOp, n.Op)
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		a := n.Attrs[name]
		if a.Kind == ir.AttrRaw {
			p.bytes(nodeAttribute, string(a.Raw))
			continue
		}
		p.message(nodeAttribute, attribute(name, a))
	}
	p.str(nodeDoc, n.Doc)
	p.str(nodeDomain, n.Domain)
	return p
}

func attribute(name string, a ir.Attr) *parts {
	p := &parts{}
	p.str(attrName, name)
	switch a.Kind {
	case ir.AttrFloat:
		p.fixed32(attrFloat, a.Float)
	case ir.AttrInt:
		p.varint(attrInt, a.Int)
	case ir.AttrString:
		p.bytes(attrString, a.String)
	case ir.AttrTensor:
		p.message(attrTensor, tensor("", a.Tensor))
	case ir.AttrFloats:
		for _, v := range a.Floats {
			p.fixed32(attrFloats, v)
		}
	case ir.AttrInts:
		for _, v := range a.Ints {
			p.varint(attrInts, v)
		}
	case ir.AttrStrings:
		for _, s := range a.Strings {
			p.bytes(attrStrings, s)
		}
	}
	p.int(attrType, int64(a.Kind))
	return p
}

func tensor(name string, t *ir.Tensor) *parts {
	p := &parts{}
	for _, n := range t.Shape {
		p.varint(tensorDims, int64(n))
	}
	p.int(tensorType, int64(t.DType))
	for _, s := range t.Strs {
		p.bytes(tensorStrings, s)
	}
	p.str(tensorName, name)
	if t.DType != ir.String {
		p.elements(tensorRaw, t)
	}
	return p
}

func info(v ir.ValueInfo) *parts {
	p := &parts{}
	p.str(infoName, v.Name)
	if v.DType != ir.Undefined || v.Shape != nil {
		t := &parts{}
		t.int(tensorTypeElem, int64(v.DType))
		if v.Shape != nil {
			s := &parts{}
			for _, dim := range v.Shape {
				m := &parts{}
				switch dim.Sym {
				case "?": // a size without a value
				case "":
					m.varint(dimValue, int64(dim.Size))
				default:
					m.str(dimParam, dim.Sym)
				}
				s.message(shapeDim, m)
			}
			t.message(tensorTypeShape, s)
		}
		outer := &parts{}
		outer.message(typeTensor, t)
		p.message(infoType, outer)
	}
	p.str(infoDoc, v.Doc)
	return p
}
