// Package ir is the one representation of a network in this project: a graph of ONNX-level operators with their weights.
//
// What comes in is a file's graph or a zoo's function; what goes out is read by every other stage. Operators keep ONNX's
// meaning and the opset they were written in, so that a file survives a round trip; views such as ConvOf read an operator of any
// supported opset as one typed struct. Values are named by strings, each written once (SSA), and nodes stand in topological order.
package ir

import (
	"slices"
	"strconv"
	"strings"
)

// Graph is a network. A Graph is a plain value: whoever changes one owns it; Clone gives a private copy.
type Graph struct {
	Name string
	Doc  string

	IRVersion       int64
	Opsets          []Opset
	Producer        string
	ProducerVersion string
	ModelDomain     string
	ModelVersion    int64
	ModelDoc        string
	Metadata        []KeyValue

	// External tells that the file kept weights in a file beside it, and that a file written of this graph should too. It is no part of
	// what the graph means: EqualGraphs does not look at it.
	External bool

	// Inputs are what a caller feeds; weights are never listed here. Outputs are what the network returns.
	Inputs  []ValueInfo
	Outputs []ValueInfo

	// Info holds the types and shapes that the file states for inner values. It is advice: InferShapes computes them anew.
	Info map[string]ValueInfo

	// Nodes are in topological order.
	Nodes []*Node

	// Weights are the constants of the graph by value name (ONNX initializers and, after Fold, Constant nodes).
	Weights map[string]*Tensor
}

// Opset is one operator set the graph imports; Domain "" or DomainONNX is ONNX's own.
type Opset struct {
	Domain  string
	Version int64
}

// KeyValue is one line of a model's metadata.
type KeyValue struct{ Key, Value string }

// ValueInfo is the type of one value.
type ValueInfo struct {
	Name  string
	DType DType
	Shape Shape // nil: rank unknown; Shape{}: scalar
	Doc   string
}

// Node applies one operator. An empty string in Inputs is an optional input left out, one in Outputs an output nobody reads.
type Node struct {
	Name    string
	Op      string // ONNX operator type, such as "Conv"
	Domain  string // "" or DomainONNX is ONNX's own, DomainDMS this project's training operators
	Inputs  []string
	Outputs []string
	Attrs   Attrs
	Doc     string

	// Captures are outer values read by subgraphs inside Attrs (If, Loop, Scan). They are uses like Inputs.
	Captures []string
}

// DomainDMS is the domain of operators that exist only while training (losses); no file ever holds them.
const DomainDMS = "dms"

// DomainONNX is the other name of ONNX's own domain, "".
const DomainONNX = "ai.onnx"

// Standard tells whether a domain is ONNX's own.
func Standard(domain string) bool { return domain == "" || domain == DomainONNX }

// Is tells whether the node applies one of these operators of ONNX.
func (n *Node) Is(ops ...string) bool { return Standard(n.Domain) && slices.Contains(ops, n.Op) }

// ID names the node uniquely within a graph: the first value it writes.
func (n *Node) ID() string {
	for _, o := range n.Outputs {
		if o != "" {
			return o
		}
	}
	return n.Name
}

// Label is how messages name the node: its name where it has one, else the value it writes, and its operator. What is too long to
// read is cut in its middle.
func (n *Node) Label() string {
	name := n.Name
	if name == "" {
		name = n.ID()
	}
	return `node "` + clip(name) + `" (` + clip(n.Op) + `)`
}

// maxShown is how many bytes of a name stand in a message: a message is made for every fault, and names of hostile files are long.
const maxShown = 200

// clip cuts a long name in its middle, for the names of exporters differ at their ends.
func clip(name string) string {
	if len(name) <= maxShown {
		return name
	}
	return strings.ToValidUTF8(name[:maxShown/2], "") + "…" + strings.ToValidUTF8(name[len(name)-maxShown/2:], "")
}

func quote(name string) string { return strconv.Quote(clip(name)) }

// Input is the i-th input, or "" when it is left out.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// AttrKind tells which field of an Attr holds its value. The numbers are ONNX's AttributeProto.AttributeType.
type AttrKind uint8

const (
	AttrFloat   AttrKind = 1
	AttrInt     AttrKind = 2
	AttrString  AttrKind = 3
	AttrTensor  AttrKind = 4
	AttrFloats  AttrKind = 6
	AttrInts    AttrKind = 7
	AttrStrings AttrKind = 8
	AttrRaw     AttrKind = 255 // anything else (subgraphs, sparse tensors): the bytes of the AttributeProto, kept as they were
)

// Attr is one attribute of a node.
type Attr struct {
	Kind    AttrKind
	Int     int64
	Float   float32
	String  string
	Tensor  *Tensor
	Ints    []int64
	Floats  []float32
	Strings []string
	Raw     []byte
}

// Attrs are a node's attributes by name.
type Attrs map[string]Attr

func IntAttr(v int64) Attr         { return Attr{Kind: AttrInt, Int: v} }
func FloatAttr(v float32) Attr     { return Attr{Kind: AttrFloat, Float: v} }
func StringAttr(v string) Attr     { return Attr{Kind: AttrString, String: v} }
func IntsAttr(v ...int64) Attr     { return Attr{Kind: AttrInts, Ints: v} }
func FloatsAttr(v ...float32) Attr { return Attr{Kind: AttrFloats, Floats: v} }
func TensorAttr(t *Tensor) Attr    { return Attr{Kind: AttrTensor, Tensor: t} }

// Int is the integer attribute name, or def where the node does not have it.
func (a Attrs) Int(name string, def int64) int64 {
	if v, ok := a[name]; ok && v.Kind == AttrInt {
		return v.Int
	}
	return def
}

// Float is the float attribute name, or def where the node does not have it.
func (a Attrs) Float(name string, def float32) float32 {
	if v, ok := a[name]; ok && v.Kind == AttrFloat {
		return v.Float
	}
	return def
}

// Str is the string attribute name, or def where the node does not have it.
func (a Attrs) Str(name, def string) string {
	if v, ok := a[name]; ok && v.Kind == AttrString {
		return v.String
	}
	return def
}

// Ints is the integer-list attribute name, or nil where the node does not have it.
func (a Attrs) Ints(name string) []int64 {
	if v, ok := a[name]; ok && v.Kind == AttrInts {
		return v.Ints
	}
	return nil
}

// Opset is the version of the operator set of domain that the graph imports, 0 when it imports none.
func (g *Graph) Opset(domain string) int64 {
	for _, o := range g.Opsets {
		if o.Domain == domain || Standard(domain) && Standard(o.Domain) {
			return o.Version
		}
	}
	return 0
}

// Meta is the metadata value of key, or "".
func (g *Graph) Meta(key string) string {
	for _, kv := range g.Metadata {
		if kv.Key == key {
			return kv.Value
		}
	}
	return ""
}

// SetMeta writes one metadata value, in place where the key exists.
func (g *Graph) SetMeta(key, value string) {
	for i := range g.Metadata {
		if g.Metadata[i].Key == key {
			g.Metadata[i].Value = value
			return
		}
	}
	g.Metadata = append(g.Metadata, KeyValue{key, value})
}
