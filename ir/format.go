package ir

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The text form: one line per thing, nodes in order, everything else sorted, so that a test can hold a whole graph and a change of
// it reads well in a review. Parse(Format(g)) equals g.
//
//	graph small
//	opset "" 17
//	input x float32 (N, 3, 8, 8)
//	output y float32 (N, 4, 8, 8)
//	weight w float32 (4, 3, 1, 1) = 0.5*12
//	c = Conv(x, w, _) {group=1, kernel_shape=[1 1]} name conv1
//	y = Relu(c)
//
// Names that are not plain words are quoted; "_" is an input or output left out. 0.5*12 is twelve times 0.5. Attributes are ints (1),
// floats (1.0), strings ("x"), lists of them in brackets, tensors (<int64 (2) = 1 2>) and raw bytes (raw 0a0b). Op@domain names an
// operator of another domain, (...) a shape of unknown rank. "#" starts a comment.

// Format writes a graph as text. The graph must have no nil nodes or weights.
func Format(g *Graph) string {
	var p printer
	p.line("graph ", word(g.Name))
	if g.IRVersion != 0 {
		p.line("ir_version ", strconv.FormatInt(g.IRVersion, 10))
	}
	if g.Doc != "" {
		p.line("doc ", strconv.Quote(g.Doc))
	}
	if g.Producer != "" || g.ProducerVersion != "" {
		p.line("producer ", strconv.Quote(g.Producer), " ", strconv.Quote(g.ProducerVersion))
	}
	if g.ModelDomain != "" || g.ModelVersion != 0 || g.ModelDoc != "" {
		p.line("model ", strconv.Quote(g.ModelDomain), " ", strconv.FormatInt(g.ModelVersion, 10), " ", strconv.Quote(g.ModelDoc))
	}
	for _, o := range g.Opsets {
		p.line("opset ", strconv.Quote(o.Domain), " ", strconv.FormatInt(o.Version, 10))
	}
	for _, kv := range g.Metadata {
		p.line("meta ", strconv.Quote(kv.Key), " ", strconv.Quote(kv.Value))
	}
	for _, v := range g.Inputs {
		p.line("input ", formatInfo(v))
	}
	for _, v := range g.Outputs {
		p.line("output ", formatInfo(v))
	}
	for _, name := range sortedKeys(g.Info) {
		if v := g.Info[name]; v.Name == name {
			p.line("info ", formatInfo(v))
		} else {
			p.line("info ", word(name), " = ", formatInfo(v))
		}
	}
	for _, name := range sortedKeys(g.Weights) {
		p.line("weight ", word(name), " ", formatTensor(g.Weights[name]))
	}
	for _, n := range g.Nodes {
		p.line(formatNode(n))
	}
	return p.String()
}

type printer struct{ strings.Builder }

func (p *printer) line(parts ...string) {
	for _, s := range parts {
		p.WriteString(s)
	}
	p.WriteByte('\n')
}

// word is a name as it stands in the text: bare where it cannot be taken for something else.
func word(s string) string {
	plain := s != "" && s != "_"
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '/' || c == '?'
		plain = plain && (letter || i > 0 && (c >= '0' && c <= '9' || c == '.' || c == ':' || c == '-'))
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}

func optional(s string) string {
	if s == "" {
		return "_"
	}
	return word(s)
}

func formatInfo(v ValueInfo) string {
	s := word(v.Name) + " " + formatDType(v.DType) + " " + formatShape(v.Shape)
	if v.Doc != "" {
		s += " doc " + strconv.Quote(v.Doc)
	}
	return s
}

// formatDType names a type; one without a name is its number.
func formatDType(d DType) string {
	if s := d.String(); !strings.HasPrefix(s, "dtype(") {
		return s
	}
	return strconv.Itoa(int(d))
}

func formatShape(s Shape) string {
	if s == nil {
		return "(...)"
	}
	parts := make([]string, len(s))
	for i, d := range s {
		if d.Known() {
			parts[i] = strconv.Itoa(d.Size)
		} else {
			parts[i] = word(d.Sym)
		}
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func formatTensor(t *Tensor) string {
	return formatDType(t.DType) + " " + formatShape(Fixed(t.Shape...)) + " =" + formatElements(t)
}

func formatElements(t *Tensor) string {
	switch t.DType {
	case Float32:
		return runs(t.F32, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }, func(v float32) string {
			if v != v {
				return "nan:" + strconv.FormatUint(uint64(math.Float32bits(v)), 16)
			}
			return strconv.FormatFloat(float64(v), 'g', -1, 32)
		})
	case Int64:
		return runs(t.I64, func(a, b int64) bool { return a == b }, func(v int64) string { return strconv.FormatInt(v, 10) })
	case String:
		var b strings.Builder
		for _, s := range t.Strs {
			b.WriteString(" " + strconv.Quote(s))
		}
		return b.String()
	}
	return " raw " + hex.EncodeToString(t.Raw)
}

// runs writes values with repeated ones as value*count.
func runs[T any](v []T, same func(a, b T) bool, format func(T) string) string {
	var b strings.Builder
	for i := 0; i < len(v); {
		j := i + 1
		for j < len(v) && same(v[i], v[j]) {
			j++
		}
		b.WriteString(" " + format(v[i]))
		if j-i > 1 {
			b.WriteString("*" + strconv.Itoa(j-i))
		}
		i = j
	}
	return b.String()
}

func formatNode(n *Node) string {
	var b strings.Builder
	for i, o := range n.Outputs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(optional(o))
	}
	if len(n.Outputs) > 0 {
		b.WriteByte(' ')
	}
	b.WriteString("= " + word(n.Op))
	if n.Domain != "" {
		b.WriteString("@" + word(n.Domain))
	}
	b.WriteString("(" + formatNames(n.Inputs) + ")")
	if len(n.Attrs) > 0 {
		var attrs []string
		for _, name := range sortedKeys(n.Attrs) {
			attrs = append(attrs, word(name)+"="+formatAttr(n.Attrs[name]))
		}
		b.WriteString(" {" + strings.Join(attrs, ", ") + "}")
	}
	if n.Name != "" {
		b.WriteString(" name " + word(n.Name))
	}
	if n.Doc != "" {
		b.WriteString(" doc " + strconv.Quote(n.Doc))
	}
	if len(n.Captures) > 0 {
		b.WriteString(" captures (" + formatNames(n.Captures) + ")")
	}
	return b.String()
}

func formatNames(names []string) string {
	parts := make([]string, len(names))
	for i, s := range names {
		parts[i] = optional(s)
	}
	return strings.Join(parts, ", ")
}

func formatAttr(a Attr) string {
	switch a.Kind {
	case AttrInt:
		return strconv.FormatInt(a.Int, 10)
	case AttrFloat:
		return formatFloat(a.Float)
	case AttrString:
		return strconv.Quote(a.String)
	case AttrTensor:
		return "<" + formatTensor(a.Tensor) + ">"
	case AttrInts:
		return formatList("ints", a.Ints, func(v int64) string { return strconv.FormatInt(v, 10) })
	case AttrFloats:
		return formatList("floats", a.Floats, formatFloat)
	case AttrStrings:
		return formatList("strings", a.Strings, strconv.Quote)
	}
	return fmt.Sprintf("raw %q", hex.EncodeToString(a.Raw))
}

// formatFloat marks a float by a point, an exponent or a name, so that it is never taken for an integer.
func formatFloat(v float32) string {
	switch s := strconv.FormatFloat(float64(v), 'g', -1, 32); {
	case v != v:
		return "nan:" + strconv.FormatUint(uint64(math.Float32bits(v)), 16)
	case strings.ContainsAny(s, ".eI"):
		return s
	default:
		return s + ".0"
	}
}

// formatList writes a list in brackets; an empty one states its kind before them.
func formatList[T any](kind string, v []T, format func(T) string) string {
	if len(v) == 0 {
		return kind + "[]"
	}
	parts := make([]string, len(v))
	for i, x := range v {
		parts[i] = format(x)
	}
	return "[" + strings.Join(parts, " ") + "]"
}
