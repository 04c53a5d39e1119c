package onnx

import (
	"errors"
	"fmt"

	"github.com/dms-go/dms/ir"
	"google.golang.org/protobuf/encoding/protowire"
)

// message is the body of a protobuf message and where in the file it begins.
type message struct {
	raw []byte
	at  int
}

// field is one field of a message. A varint or fixed value is in num; the bytes of a length-delimited one are in body.
type field struct {
	id   protowire.Number
	kind protowire.Type
	num  uint64
	body message
	at   int // of the field's tag
}

// decoder collects faults while it walks. After maxFaults it walks no further.
type decoder struct {
	file     string // for errors, "" where there is none
	faults   []error
	external external
}

// place names what is being read, outermost first: `node "conv1" (Conv): attribute "pads"`. It is put into words only where there is
// a fault: a file may have a place in every few bytes.
type place struct {
	node  *ir.Node // nil outside nodes
	index int      // of node
	what  string
	name  string // of what
}

func in(what string) place { return place{what: what} }

func (p place) String() string {
	s := ""
	if p.node != nil {
		name := fmt.Sprint(p.index)
		if p.node.Name != "" {
			name = quote(p.node.Name)
		} else if id := p.node.ID(); id != "" {
			name = quote(id)
		}
		s = "node " + name
		if p.node.Op != "" {
			s += " (" + clip(p.node.Op) + ")"
		}
		if p.what != "" {
			s += ": "
		}
	}
	s += p.what
	if p.name != "" {
		s += " " + quote(p.name)
	}
	return s
}

// fault reports what is wrong at a byte of the file.
func (d *decoder) fault(at int, p place, format string, args ...any) {
	if d.full() {
		return
	}
	err := fmt.Errorf(format, args...)
	if where := p.String(); where != "" {
		err = fmt.Errorf("%s: %w", where, err)
	}
	d.report(fmt.Errorf("byte %d: %w", at, err))
}

// report is fault for what lies at no byte in particular.
func (d *decoder) report(err error) {
	if !d.full() {
		d.faults = append(d.faults, d.wrap(err))
	}
}

// wrap names the package and the file.
func (d *decoder) wrap(err error) error {
	if d.file != "" {
		err = fmt.Errorf("%s: %w", d.file, err)
	}
	return fmt.Errorf("onnx: %w", err)
}

func (d *decoder) full() bool { return len(d.faults) >= maxFaults }

func (d *decoder) err() error {
	if d.full() {
		return errors.Join(append(d.faults, d.wrap(fmt.Errorf("stopped after %d faults", maxFaults)))...)
	}
	return errors.Join(d.faults...)
}

const maxShown = 100 // bytes of a name in an error: a hostile file may hold long ones

func quote(name string) string {
	if len(name) > maxShown {
		return fmt.Sprintf("%q…", name[:maxShown])
	}
	return fmt.Sprintf("%q", name)
}

func clip(s string) string { return s[:min(len(s), maxShown)] }

// count is how many fields of m have the number id. It reports no faults; what follows one does not count.
func count(m message, id protowire.Number) (n int) {
	walk(m, func(f field) bool {
		if f.id == id {
			n++
		}
		return true
	})
	return n
}

// each calls f on every field of m in order, groups left out. The wire format's own faults are reported here; f is not called on
// what follows one.
func (d *decoder) each(m message, p place, f func(field)) {
	if bad, err := walk(m, func(fd field) bool { f(fd); return !d.full() }); err != nil {
		d.fault(bad, p, "%w", err)
	}
}

// walk is each for those who report faults themselves. It ends early where f returns false.
func walk(m message, f func(field) bool) (at int, err error) {
	for pos := 0; pos < len(m.raw); {
		fd := field{at: m.at + pos}
		id, kind, n := protowire.ConsumeTag(m.raw[pos:])
		if n < 0 {
			return fd.at, fmt.Errorf("not a protobuf field: %w", protowire.ParseError(n))
		}
		fd.id, fd.kind = id, kind
		pos += n
		rest := m.raw[pos:]
		switch kind {
		case protowire.VarintType:
			fd.num, n = protowire.ConsumeVarint(rest)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(rest)
			fd.num = uint64(v)
		case protowire.Fixed64Type:
			fd.num, n = protowire.ConsumeFixed64(rest)
		case protowire.BytesType:
			var b []byte
			if b, n = protowire.ConsumeBytes(rest); n >= 0 {
				fd.body = message{b, m.at + pos + n - len(b)}
			}
		default:
			n = protowire.ConsumeFieldValue(id, kind, rest)
		}
		if n < 0 {
			return fd.at, fmt.Errorf("field %d is cut short or damaged: %w", id, protowire.ParseError(n))
		}
		pos += n
		if kind == protowire.StartGroupType {
			continue
		}
		if !f(fd) {
			return 0, nil
		}
	}
	return 0, nil
}

// is tells whether the field has the wire type that its number calls for, and reports the fault where not.
func (d *decoder) is(f field, p place, want protowire.Type) bool {
	if f.kind != want {
		d.fault(f.at, p, "field %d has wire type %d, want %d", f.id, f.kind, want)
	}
	return f.kind == want
}

func (d *decoder) int(f field, p place) int64 {
	d.is(f, p, protowire.VarintType)
	return int64(f.num)
}

func (d *decoder) str(f field, p place) string {
	d.is(f, p, protowire.BytesType)
	return string(f.body.raw)
}

// name is str for what errors repeat.
func (d *decoder) name(f field, p place) string {
	if len(f.body.raw) > maxName {
		d.fault(f.at, p, "a name of %d bytes, the limit is %d", len(f.body.raw), maxName)
		return ""
	}
	return d.str(f, p)
}

// message is the body of a length-delimited field, empty with a fault where the field is of another kind.
func (d *decoder) message(f field, p place) message {
	d.is(f, p, protowire.BytesType)
	return f.body
}
