package ir

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxParsed bounds the elements that one text may ask for by repetition.
const maxParsed = 1 << 26

// Parse reads the text form of a graph that Format writes. It checks the form alone, not that the graph is valid.
func Parse(text string) (*Graph, error) {
	g := &Graph{Weights: map[string]*Tensor{}}
	room := maxParsed
	for i, line := range strings.Split(text, "\n") {
		p := &parser{rest: line, room: &room}
		p.next()
		if p.err == nil && p.kind == atEnd {
			continue
		}
		p.statement(g)
		if p.err == nil && p.kind != atEnd {
			p.fail("%q after the end of the statement", p.tok)
		}
		if p.err != nil {
			return nil, fmt.Errorf("ir: line %d: %w", i+1, p.err)
		}
	}
	return g, nil
}

// parser reads one line token by token. After the first error every token is empty and nothing is read any more.
type parser struct {
	rest string
	tok  string // the text of the token, of a string without its quotes
	kind byte   // what tok is: atEnd, aMark, aWord or aString
	room *int
	err  error
}

const (
	atEnd byte = iota
	aMark
	aWord
	aString
)

const marks = "=,()[]{}<>@"

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.tok, p.rest, p.kind = "", "", atEnd
}

func (p *parser) next() {
	p.tok, p.kind = "", atEnd
	p.rest = strings.TrimLeft(p.rest, " \t\r")
	switch {
	case p.rest == "" || p.rest[0] == '#':
		p.rest = ""
	case p.rest[0] == '"':
		q, err := strconv.QuotedPrefix(p.rest)
		if err != nil {
			p.fail("a string does not end")
			return
		}
		s, err := strconv.Unquote(q)
		if err != nil {
			p.fail("string %s: %w", q, err)
			return
		}
		p.tok, p.kind, p.rest = s, aString, p.rest[len(q):]
	case strings.IndexByte(marks, p.rest[0]) >= 0:
		p.tok, p.kind, p.rest = p.rest[:1], aMark, p.rest[1:]
	default:
		end := strings.IndexAny(p.rest, marks+" \t\r\"#")
		if end < 0 {
			end = len(p.rest)
		}
		p.tok, p.kind, p.rest = p.rest[:end], aWord, p.rest[end:]
	}
}

// is tells whether the token is this mark or bare word.
func (p *parser) is(s string) bool { return p.kind != aString && p.tok == s }

// take reads the token if it is this mark or bare word.
func (p *parser) take(s string) bool {
	if !p.is(s) {
		return false
	}
	p.next()
	return true
}

func (p *parser) want(s string) {
	if !p.take(s) {
		p.fail("%q where %q should be", p.tok, s)
	}
}

// text reads a word or a string.
func (p *parser) text() string {
	if p.kind != aWord && p.kind != aString {
		p.fail("%q where a name should be", p.tok)
		return ""
	}
	s := p.tok
	p.next()
	return s
}

// name reads a name that a bare "_" leaves out.
func (p *parser) name() string {
	if p.take("_") {
		return ""
	}
	return p.text()
}

func (p *parser) integer() int64 {
	v, err := strconv.ParseInt(p.tok, 10, 64)
	if err != nil || p.kind != aWord {
		p.fail("%q where an integer should be", p.tok)
		return 0
	}
	p.next()
	return v
}

func (p *parser) statement(g *Graph) {
	if p.kind == aWord {
		// A value may be named like a keyword; then "=" or "," follows.
		after := strings.TrimLeft(p.rest, " \t")
		if !strings.HasPrefix(after, "=") && !strings.HasPrefix(after, ",") {
			p.header(g)
			return
		}
	}
	g.Nodes = append(g.Nodes, p.node())
}

func (p *parser) header(g *Graph) {
	switch keyword := p.text(); keyword {
	case "graph":
		g.Name = p.text()
	case "ir_version":
		g.IRVersion = p.integer()
	case "doc":
		g.Doc = p.text()
	case "producer":
		g.Producer = p.text()
		g.ProducerVersion = p.text()
	case "model":
		g.ModelDomain = p.text()
		g.ModelVersion = p.integer()
		g.ModelDoc = p.text()
	case "opset":
		domain := p.text()
		g.Opsets = append(g.Opsets, Opset{domain, p.integer()})
	case "meta":
		key := p.text()
		g.Metadata = append(g.Metadata, KeyValue{key, p.text()})
	case "input":
		g.Inputs = append(g.Inputs, p.info())
	case "output":
		g.Outputs = append(g.Outputs, p.info())
	case "info":
		if g.Info == nil {
			g.Info = map[string]ValueInfo{}
		}
		key := p.text()
		if p.take("=") {
			g.Info[key] = p.info()
		} else {
			g.Info[key] = p.typed(key)
		}
	case "weight":
		name := p.text()
		if g.Weights[name] != nil {
			p.fail("weight %q is there already", name)
		}
		g.Weights[name] = p.tensor()
	default:
		p.fail("%q is no statement: want graph, input, output, weight, opset, ... or a node", keyword)
	}
}

func (p *parser) info() ValueInfo { return p.typed(p.text()) }

// typed reads what follows the name of a value.
func (p *parser) typed(name string) ValueInfo {
	v := ValueInfo{Name: name, DType: p.dtype(), Shape: p.shape()}
	if p.take("doc") {
		v.Doc = p.text()
	}
	return v
}

func (p *parser) dtype() DType {
	s := p.text()
	if i := slices.Index(dtypeNames[:], s); i >= 0 && s != "" {
		return DType(i)
	}
	v, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		p.fail("%q is no type", s)
	}
	return DType(v)
}

func (p *parser) shape() Shape {
	p.want("(")
	if p.take("...") {
		p.want(")")
		return nil
	}
	s := Shape{}
	for p.err == nil && !p.is(")") {
		if len(s) > 0 {
			p.want(",")
		}
		if n, err := strconv.Atoi(p.tok); err == nil && p.kind == aWord {
			s = append(s, num(n))
			p.next()
		} else if sym := p.text(); sym == "" {
			p.fail("a symbolic size is empty")
		} else {
			s = append(s, Dim{Sym: sym})
		}
	}
	p.want(")")
	return s
}

func (p *parser) tensor() *Tensor {
	t := &Tensor{DType: p.dtype()}
	sizes, ok := p.shape().Sizes()
	if !ok {
		p.fail("a tensor's sizes are numbers")
	}
	t.Shape = sizes
	p.want("=")
	switch t.DType {
	case Float32:
		t.F32 = elements(p, parseFloat)
	case Int64:
		t.I64 = elements(p, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	case String:
		for p.kind == aString {
			t.Strs = append(t.Strs, p.text())
		}
	default:
		t.Raw = p.raw()
	}
	if p.err == nil {
		if err := t.check(); err != nil {
			p.fail("%w", err)
		}
	}
	return t
}

// elements reads values and value*count until something else than a word stands there.
func elements[T any](p *parser, parse func(string) (T, error)) []T {
	var out []T
	for p.kind == aWord {
		value, times, repeated := strings.Cut(p.tok, "*")
		n := 1
		if repeated {
			var err error
			if n, err = strconv.Atoi(times); err != nil || n < 1 {
				p.fail("%q is no count", times)
				return nil
			}
		}
		v, err := parse(value)
		if err != nil {
			p.fail("%q is no element of this type", value)
			return nil
		}
		if *p.room -= n; *p.room < 0 {
			p.fail("more than %d elements in one text", maxParsed)
			return nil
		}
		out = append(out, slices.Repeat([]T{v}, n)...)
		p.next()
	}
	return out
}

func parseFloat(s string) (float32, error) {
	if bits, ok := strings.CutPrefix(s, "nan:"); ok {
		v, err := strconv.ParseUint(bits, 16, 32)
		return math.Float32frombits(uint32(v)), err
	}
	v, err := strconv.ParseFloat(s, 32)
	return float32(v), err
}

// raw reads "raw" and bytes in hexadecimal.
func (p *parser) raw() []byte {
	p.want("raw")
	if p.kind == atEnd || p.kind == aMark {
		return nil
	}
	s := p.text()
	b, err := hex.DecodeString(s)
	if err != nil {
		p.fail("%q are no bytes: %w", s, err)
	}
	return b
}

func (p *parser) node() *Node {
	n := &Node{}
	for p.err == nil && !p.is("=") {
		if len(n.Outputs) > 0 {
			p.want(",")
		}
		n.Outputs = append(n.Outputs, p.name())
	}
	p.want("=")
	n.Op = p.text()
	if p.take("@") {
		n.Domain = p.text()
	}
	n.Inputs = p.names()
	if p.take("{") {
		n.Attrs = Attrs{}
		for p.err == nil && !p.is("}") {
			if len(n.Attrs) > 0 {
				p.want(",")
			}
			name := p.text()
			p.want("=")
			if _, ok := n.Attrs[name]; ok {
				p.fail("attribute %q is there already", name)
			}
			n.Attrs[name] = p.attr()
		}
		p.want("}")
	}
	if p.take("name") {
		n.Name = p.text()
	}
	if p.take("doc") {
		n.Doc = p.text()
	}
	if p.take("captures") {
		n.Captures = p.names()
	}
	return n
}

// names reads a list of names in parentheses.
func (p *parser) names() []string {
	var out []string
	p.want("(")
	for p.err == nil && !p.is(")") {
		if len(out) > 0 {
			p.want(",")
		}
		out = append(out, p.name())
	}
	p.want(")")
	return out
}

func (p *parser) attr() Attr {
	switch {
	case p.kind == aString:
		return StringAttr(p.text())
	case p.is("raw"):
		return Attr{Kind: AttrRaw, Raw: p.raw()}
	case p.take("<"):
		t := p.tensor()
		p.want(">")
		return TensorAttr(t)
	case p.is("ints"), p.is("floats"), p.is("strings"):
		kind := map[string]AttrKind{"ints": AttrInts, "floats": AttrFloats, "strings": AttrStrings}[p.tok]
		p.next()
		p.want("[")
		p.want("]")
		return Attr{Kind: kind}
	case p.take("["):
		return p.list()
	}
	return p.number()
}

// number reads an integer, or a float, which is marked by a point, an exponent or a name.
func (p *parser) number() Attr {
	s := p.text()
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return IntAttr(v)
	}
	v, err := parseFloat(s)
	if err != nil {
		p.fail("%q is no attribute value", s)
	}
	return FloatAttr(v)
}

// list reads the rest of a list, whose first entry tells the kind.
func (p *parser) list() Attr {
	var a Attr
	for p.err == nil && !p.is("]") {
		e := StringAttr("")
		if p.kind == aString {
			e.String = p.text()
		} else {
			e = p.number()
		}
		kind := map[AttrKind]AttrKind{AttrInt: AttrInts, AttrFloat: AttrFloats, AttrString: AttrStrings}[e.Kind]
		switch {
		case a.Kind != 0 && a.Kind != kind:
			p.fail("a list of %v has an entry of another kind", a.Kind)
		case kind == AttrInts:
			a.Ints = append(a.Ints, e.Int)
		case kind == AttrFloats:
			a.Floats = append(a.Floats, e.Float)
		default:
			a.Strings = append(a.Strings, e.String)
		}
		a.Kind = kind
	}
	if a.Kind == 0 {
		p.fail("an empty list states its kind: ints[], floats[] or strings[]")
	}
	p.want("]")
	return a
}
