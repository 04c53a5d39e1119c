package onnx

import (
	"math"
	"slices"

	"github.com/dms-go/dms/ir"
	"google.golang.org/protobuf/encoding/protowire"
)

// node reads a NodeProto. index counts nodes for the sake of those without a name.
func (d *decoder) node(m message, index int) *ir.Node {
	n := &ir.Node{}
	if k := count(m, nodeInput); k > 0 {
		n.Inputs = make([]string, 0, k)
	}
	if k := count(m, nodeOutput); k > 0 {
		n.Outputs = make([]string, 0, k)
	}
	attrs := 0
	where := place{node: n, index: index}
	d.each(m, where, func(f field) {
		switch f.id {
		case nodeInput:
			n.Inputs = append(n.Inputs, d.name(f, where))
		case nodeOutput:
			n.Outputs = append(n.Outputs, d.name(f, where))
		case nodeName:
			n.Name = d.name(f, where)
		case nodeOp:
			n.Op = d.name(f, where)
		case nodeDomain:
			n.Domain = d.name(f, where)
		case nodeDoc:
			n.Doc = d.str(f, where)
		case nodeOverload:
			if len(f.body.raw) > 0 {
				d.fault(f.at, where, "names an overload of a function, which is not supported")
			}
		case nodeAttribute:
			attrs++
		}
	})
	if n.Op == "" {
		d.fault(m.at, where, "has no operator")
	}
	if n.Domain == ir.DomainDMS {
		d.fault(m.at, where, "operators of domain %q exist in training only", ir.DomainDMS)
	}
	if attrs == 0 || d.full() {
		return n
	}
	n.Attrs = make(ir.Attrs)
	var outer captures
	d.each(m, where, func(f field) {
		if f.id == nodeAttribute {
			d.attribute(n, d.message(f, where), where, &outer)
		}
	})
	slices.Sort(outer.names) // the order of attributes is not kept
	n.Captures = outer.names
	return n
}

// attributeKinds gives every field that holds a value the kind of attribute it belongs to.
var attributeKinds = map[protowire.Number]ir.AttrKind{
	attrFloat: ir.AttrFloat, attrInt: ir.AttrInt, attrString: ir.AttrString, attrTensor: ir.AttrTensor,
	attrFloats: ir.AttrFloats, attrInts: ir.AttrInts, attrStrings: ir.AttrStrings,
	attrGraph: ir.AttrRaw, attrTensors: ir.AttrRaw, attrGraphs: ir.AttrRaw, attrTypeOf: ir.AttrRaw, attrTypes: ir.AttrRaw,
	attrSparse: ir.AttrRaw, attrSparses: ir.AttrRaw,
}

// attribute reads an AttributeProto into n.
func (d *decoder) attribute(n *ir.Node, m message, where place, outer *captures) {
	var name string
	var stated int64
	var kind ir.AttrKind // as the fields say; 0 where none holds a value
	var count counts
	where.what = "attribute"
	d.each(m, where, func(f field) {
		switch f.id {
		case attrName:
			name = d.name(f, where)
		case attrType:
			stated = d.int(f, where)
		case attrRef:
			d.fault(f.at, where, "an attribute refers to a parameter of a function, outside any function")
		default:
			k := attributeKinds[f.id]
			if k == 0 {
				return
			}
			if kind != 0 && kind != k {
				where.name = name
				d.fault(f.at, where, "has values of two kinds, %v and %v", kind, k)
			}
			kind = k
			switch f.id {
			case attrFloats:
				count.floats += elements(f, protowire.Fixed32Type)
			case attrInts:
				count.ints += elements(f, protowire.VarintType)
			case attrStrings:
				count.strings++
			}
		}
	})
	if d.full() {
		return
	}
	where.name = name
	if name == "" {
		d.fault(m.at, where, "has no name")
		return
	}
	if _, twice := n.Attrs[name]; twice {
		d.fault(m.at, where, "is there twice")
		return
	}
	if stated != 0 {
		want := ir.AttrRaw
		if stated > 0 && stated <= 8 && stated != 5 {
			want = ir.AttrKind(stated)
		}
		if kind != 0 && kind != want {
			d.fault(m.at, where, "is stated to be of type %d and holds a value of kind %v", stated, kind)
			return
		}
		// A writer may leave out zeros and empty lists: the stated kind alone is a value then.
		kind = want
	}
	a := ir.Attr{Kind: kind}
	switch kind {
	case 0:
		d.fault(m.at, where, "has no value")
	case ir.AttrRaw:
		a.Raw = append([]byte{}, m.raw...)
		d.captureAttribute(m, where, outer)
	default:
		d.value(&a, m, where, count)
	}
	n.Attrs[name] = a
}

// counts are the elements in the list fields of an attribute.
type counts struct{ floats, ints, strings int }

// value reads the value of an attribute whose kind is known and of whose list fields the elements are counted.
func (d *decoder) value(a *ir.Attr, m message, where place, n counts) {
	if n.floats > 0 {
		a.Floats = make([]float32, 0, n.floats)
	}
	if n.ints > 0 {
		a.Ints = make([]int64, 0, n.ints)
	}
	if n.strings > 0 {
		a.Strings = make([]string, 0, n.strings)
	}
	d.each(m, where, func(f field) {
		switch f.id {
		case attrFloat:
			if d.is(f, where, protowire.Fixed32Type) {
				a.Float = math.Float32frombits(uint32(f.num))
			}
		case attrInt:
			a.Int = d.int(f, where)
		case attrString:
			a.String = d.str(f, where)
		case attrStrings:
			a.Strings = append(a.Strings, d.str(f, where))
		case attrFloats:
			d.list(f, where, protowire.Fixed32Type, func(v uint64) bool {
				a.Floats = append(a.Floats, math.Float32frombits(uint32(v)))
				return true
			})
		case attrInts:
			d.list(f, where, protowire.VarintType, func(v uint64) bool {
				a.Ints = append(a.Ints, int64(v))
				return true
			})
		case attrTensor:
			_, a.Tensor = d.tensor(d.message(f, where), where)
		}
	})
	if a.Kind == ir.AttrTensor && a.Tensor == nil {
		d.fault(m.at, where, "has no tensor")
	}
}
