package onnx

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/dms-go/dms/ir"
	"google.golang.org/protobuf/encoding/protowire"
)

// typed tells of every list field of a TensorProto how an element lies on the wire and which types of tensor keep their elements there.
// Types narrower than the field are stored one per element, those of 16-bit floats as their bits.
var typed = map[protowire.Number]struct {
	kind protowire.Type
	of   []ir.DType
}{
	tensorFloats:  {protowire.Fixed32Type, []ir.DType{ir.Float32}},
	tensorDoubles: {protowire.Fixed64Type, []ir.DType{ir.Float64}},
	tensorInt64s:  {protowire.VarintType, []ir.DType{ir.Int64}},
	tensorUint64s: {protowire.VarintType, []ir.DType{ir.Uint32, ir.Uint64}},
	tensorInt32s: {protowire.VarintType, []ir.DType{
		ir.Int32, ir.Int16, ir.Int8, ir.Uint16, ir.Uint8, ir.Bool, ir.Float16, ir.BFloat16}},
	tensorStrings: {protowire.BytesType, []ir.DType{ir.String}},
}

// stored is what a first walk over a TensorProto finds: everything but the elements, which are only counted.
type stored struct {
	name  string
	dtype ir.DType
	shape []int

	source protowire.Number // the field with the elements; 0 where none has any
	count  int              // of a list's elements
	raw    []byte           // tensorRaw
	file   externalRange    // tensorExternal
}

// tensor reads a TensorProto. Nothing is allocated for elements before their number agrees with the shape. t is nil where there was
// a fault, which is reported then.
func (d *decoder) tensor(m message, where place) (name string, t *ir.Tensor) {
	before := len(d.faults)
	s := d.stored(m, where)
	if len(d.faults) > before || d.full() {
		return s.name, nil
	}
	if where.name == "" {
		where.name = s.name
	}
	size := s.dtype.Size()
	if size == 0 && s.dtype != ir.String {
		d.fault(m.at, where, "elements of type %v are not supported", s.dtype)
		return s.name, nil
	}
	n := 1
	if slices.Contains(s.shape, 0) {
		n = 0
	}
	for _, axis := range s.shape {
		if n > 0 && n > math.MaxInt32/axis {
			d.fault(m.at, where, "shape %v has too many elements", s.shape)
			return s.name, nil
		}
		n *= axis
	}
	t = &ir.Tensor{DType: s.dtype, Shape: s.shape}
	switch s.source {
	case tensorExternal:
		if size == 0 {
			d.fault(m.at, where, "strings in external data are not supported")
			return s.name, nil
		}
		if err := d.external.read(t, n*size, s.file); err != nil {
			d.fault(m.at, where, "external data: %w", err)
			return s.name, nil
		}
	case tensorRaw:
		if size == 0 {
			d.fault(m.at, where, "strings in raw data are not supported")
			return s.name, nil
		}
		if len(s.raw) != n*size {
			d.fault(m.at, where, "%d bytes, want %d for %v of shape %v", len(s.raw), n*size, s.dtype, s.shape)
			return s.name, nil
		}
		allocate(t, n)
		fill(t, 0, s.raw)
	default:
		if s.count != n {
			d.fault(m.at, where, "%d elements, want %d for %v of shape %v", s.count, n, s.dtype, s.shape)
			return s.name, nil
		}
		allocate(t, n)
		if n > 0 {
			d.elements(t, m, s.source, where)
		}
	}
	return s.name, t
}

// stored walks over a TensorProto and reports what does not fit together.
func (d *decoder) stored(m message, where place) (s stored) {
	s.shape = []int{}
	located := false
	d.each(m, where, func(f field) {
		switch f.id {
		case tensorName:
			s.name = d.name(f, where)
		case tensorType:
			n := d.int(f, where)
			if n < 0 || n > math.MaxUint8 {
				d.fault(f.at, where, "element type %d does not exist", n)
				return
			}
			s.dtype = ir.DType(n)
		case tensorDims:
			d.list(f, where, protowire.VarintType, func(v uint64) bool {
				switch {
				case len(s.shape) >= maxRank:
					d.fault(f.at, where, "more than %d axes", maxRank)
					return false
				case v > math.MaxInt32:
					d.fault(f.at, where, "an axis of size %d", int64(v))
					return false
				}
				s.shape = append(s.shape, int(v))
				return true
			})
		case tensorSegment:
			d.fault(f.at, where, "tensors in segments are not supported")
		case tensorLocation:
			switch n := d.int(f, where); n {
			case 0:
			case 1:
				located = true
			default:
				d.fault(f.at, where, "data location %d does not exist", n)
			}
		case tensorExternal:
			key, value := d.entry(d.message(f, where), where)
			if err := s.file.set(key, value); err != nil {
				d.fault(f.at, where, "external data: %w", err)
			}
		case tensorRaw:
			d.source(&s, f, where)
			s.raw = d.message(f, where).raw
		default:
			row, ok := typed[f.id]
			if !ok {
				return
			}
			if n := elements(f, row.kind); n > 0 {
				d.source(&s, f, where)
				s.count += n
			}
		}
	})
	if where.name == "" {
		where.name = s.name
	}
	if located {
		if s.source != 0 {
			d.fault(m.at, where, "has values of its own and external data as well")
		}
		s.source = tensorExternal
		return s
	}
	// The type may stand behind the elements, so this waits for the end.
	if row, ok := typed[s.source]; ok {
		if !slices.Contains(row.of, s.dtype) {
			d.fault(m.at, where, "elements of type %v do not belong into field %d", s.dtype, s.source)
		}
	}
	return s
}

// source notes that f holds the elements of s. Only one field may.
func (d *decoder) source(s *stored, f field, where place) {
	if s.source != 0 && s.source != f.id {
		d.fault(f.at, where, "elements in field %d and in field %d", s.source, f.id)
	}
	s.source = f.id
}

// allocate makes room for n elements.
func allocate(t *ir.Tensor, n int) {
	switch t.DType {
	case ir.Float32:
		t.F32 = make([]float32, n)
	case ir.Int64:
		t.I64 = make([]int64, n)
	case ir.String:
		t.Strs = make([]string, n)
	default:
		t.Raw = make([]byte, n*t.DType.Size())
	}
}

// fill copies whole little-endian elements to t from element at on. Strings have no such form.
func fill(t *ir.Tensor, at int, raw []byte) {
	switch t.DType {
	case ir.Float32:
		dst := t.F32[at:]
		for i := range len(raw) / 4 {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case ir.Int64:
		dst := t.I64[at:]
		for i := range len(raw) / 8 {
			dst[i] = int64(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	default:
		copy(t.Raw[at*t.DType.Size():], raw)
	}
}

// elements reads the list field id of m into t, which has room for just that many.
func (d *decoder) elements(t *ir.Tensor, m message, id protowire.Number, where place) {
	i := 0
	d.each(m, where, func(f field) {
		if f.id != id {
			return
		}
		if id == tensorStrings {
			t.Strs[i] = d.str(f, where)
			i++
			return
		}
		d.list(f, where, typed[id].kind, func(v uint64) bool {
			at := i
			i++
			switch t.DType {
			case ir.Float32:
				t.F32[at] = math.Float32frombits(uint32(v))
				return true
			case ir.Int64:
				t.I64[at] = int64(v)
				return true
			case ir.Float64, ir.Uint64:
				binary.LittleEndian.PutUint64(t.Raw[8*at:], v)
				return true
			}
			if !fits(t.DType, int64(v)) {
				d.fault(f.at, where, "element %d is %d, which %v does not hold", at, int64(v), t.DType)
				return false
			}
			switch t.DType.Size() {
			case 1:
				t.Raw[at] = byte(v)
			case 2:
				binary.LittleEndian.PutUint16(t.Raw[2*at:], uint16(v))
			case 4:
				binary.LittleEndian.PutUint32(t.Raw[4*at:], uint32(v))
			}
			return true
		})
	})
}

// fits tells whether v is a value of a type that is narrower than the list it stands in. Floats are there as their bits.
func fits(dtype ir.DType, v int64) bool {
	switch dtype {
	case ir.Int8:
		return v == int64(int8(v))
	case ir.Int16:
		return v == int64(int16(v))
	case ir.Int32:
		return v == int64(int32(v))
	case ir.Bool:
		return v == 0 || v == 1
	case ir.Uint8:
		return v == int64(uint8(v))
	case ir.Uint16, ir.Float16, ir.BFloat16:
		return v == int64(uint16(v))
	case ir.Uint32:
		return v == int64(uint32(v))
	}
	return false
}

// elements counts what a field of a list adds to it, where each element is of kind: one, or as many as are packed.
func elements(f field, kind protowire.Type) int {
	if f.kind != protowire.BytesType || kind == protowire.BytesType {
		return 1
	}
	switch kind {
	case protowire.Fixed32Type:
		return len(f.body.raw) / 4
	case protowire.Fixed64Type:
		return len(f.body.raw) / 8
	}
	n := 0
	for _, b := range f.body.raw {
		if b < 0x80 { // the last byte of a varint
			n++
		}
	}
	return n
}

// list calls yield on what a field of a list adds to it, until that returns false.
func (d *decoder) list(f field, where place, kind protowire.Type, yield func(uint64) bool) {
	if f.kind != protowire.BytesType {
		if d.is(f, where, kind) {
			yield(f.num)
		}
		return
	}
	for rest := f.body.raw; len(rest) > 0; {
		var v uint64
		var n int
		switch kind {
		case protowire.Fixed32Type:
			var v32 uint32
			v32, n = protowire.ConsumeFixed32(rest)
			v = uint64(v32)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(rest)
		default:
			v, n = protowire.ConsumeVarint(rest)
		}
		if n < 0 {
			at := f.body.at + len(f.body.raw) - len(rest)
			d.fault(at, where, "a list in field %d is cut short or damaged: %w", f.id, protowire.ParseError(n))
			return
		}
		if !yield(v) {
			return
		}
		rest = rest[n:]
	}
}
