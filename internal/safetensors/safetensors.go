// Package safetensors reads and writes files of named tensors: eight bytes of header length, a JSON header of types, shapes and byte
// ranges, then the bytes (https://github.com/huggingface/safetensors, format section).
//
// Files are untrusted: every length is compared with the file's before memory is taken, so reading needs at most a small multiple
// of the file's size, and an error names the tensor or byte at fault. Writing is deterministic.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"

	"github.com/dms-go/dms/ir"
)

const (
	maxHeader  = 100 << 20 // the format's own limit
	maxTensors = 1 << 20
	maxRank    = 64
	maxFaults  = 16
)

// types pairs the format's names with the graph's.
var types = []struct {
	name  string
	dtype ir.DType
}{
	{"F32", ir.Float32}, {"F64", ir.Float64}, {"F16", ir.Float16}, {"BF16", ir.BFloat16},
	{"I64", ir.Int64}, {"I32", ir.Int32}, {"I16", ir.Int16}, {"I8", ir.Int8},
	{"U64", ir.Uint64}, {"U32", ir.Uint32}, {"U16", ir.Uint16}, {"U8", ir.Uint8}, {"BOOL", ir.Bool},
}

// entry is one tensor in the header.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

const metadataKey = "__metadata__"

// Read decodes a whole file. All faults of its header are reported together, up to a number.
func Read(data []byte) (tensors map[string]*ir.Tensor, meta map[string]string, err error) {
	if len(data) < 8 {
		return nil, nil, fmt.Errorf("safetensors: %d bytes, too few for the length of a header", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader || n > uint64(len(data)-8) {
		return nil, nil, fmt.Errorf("safetensors: a header of %d bytes in a file of %d; the file is cut short or of another kind", n, len(data))
	}
	entries, meta, err := parseHeader(data[8 : 8+n])
	if err != nil {
		return nil, nil, fmt.Errorf("safetensors: header: %w", err)
	}
	body := data[8+n:]
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := entries[names[i]], entries[names[j]]
		if a.Offsets != b.Offsets {
			return a.Offsets[0] < b.Offsets[0] || a.Offsets[0] == b.Offsets[0] && a.Offsets[1] < b.Offsets[1]
		}
		return names[i] < names[j]
	})
	var faults []error
	at := int64(0)
	for _, name := range names {
		e := entries[name]
		if _, err := e.check(); err != nil {
			faults = append(faults, fmt.Errorf("tensor %q: %w", name, err))
		}
		if e.Offsets[0] != at {
			faults = append(faults, fmt.Errorf("tensor %q begins at byte %d, want %d: tensors leave no gaps and do not overlap", name, e.Offsets[0], at))
		}
		at = max(at, e.Offsets[1])
		if len(faults) >= maxFaults {
			break
		}
	}
	if at != int64(len(body)) && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("the tensors end at byte %d, the file has %d behind the header", at, len(body)))
	}
	if faults != nil {
		return nil, nil, fmt.Errorf("safetensors: %w", errors.Join(faults...))
	}
	tensors = make(map[string]*ir.Tensor, len(entries))
	for name, e := range entries {
		dtype, _ := e.check()
		tensors[name] = decode(dtype, e.Shape, body[e.Offsets[0]:e.Offsets[1]])
	}
	return tensors, meta, nil
}

// parseHeader reads the JSON object token by token, because a map would let a repeated name win silently.
func parseHeader(raw []byte) (entries map[string]entry, meta map[string]string, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("not a JSON object")
	}
	entries = map[string]entry{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
		}
		name, _ := t.(string)
		if name == metadataKey {
			if meta != nil {
				return nil, nil, errors.New("two lists of metadata")
			}
			meta = map[string]string{}
			if err := d.Decode(&meta); err != nil {
				return nil, nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		var e entry
		if err := d.Decode(&e); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if _, twice := entries[name]; twice {
			return nil, nil, fmt.Errorf("tensor %q is there twice", name)
		}
		if len(entries) >= maxTensors {
			return nil, nil, fmt.Errorf("more than %d tensors", maxTensors)
		}
		entries[name] = e
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
	}
	if rest := bytes.TrimLeft(raw[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, nil, fmt.Errorf("byte %d: something follows the object", d.InputOffset())
	}
	return entries, meta, nil
}

// check tells the type of an entry whose shape, type and bytes agree.
func (e entry) check() (ir.DType, error) {
	dtype := ir.Undefined
	for _, t := range types {
		if t.name == e.DType {
			dtype = t.dtype
		}
	}
	if dtype == ir.Undefined {
		return dtype, fmt.Errorf("unknown type %q", e.DType)
	}
	if len(e.Shape) > maxRank {
		return dtype, fmt.Errorf("%d axes; at most %d are read", len(e.Shape), maxRank)
	}
	size := int64(dtype.Size())
	for _, s := range e.Shape {
		if s < 0 || s > 0 && size > math.MaxInt64/int64(s) {
			return dtype, fmt.Errorf("impossible shape %v", e.Shape)
		}
		size *= int64(s)
	}
	if e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1]-e.Offsets[0] != size {
		return dtype, fmt.Errorf("bytes %d to %d for %s of shape %v, which has %d", e.Offsets[0], e.Offsets[1], e.DType, e.Shape, size)
	}
	return dtype, nil
}

func decode(dtype ir.DType, shape []int, raw []byte) *ir.Tensor {
	t := &ir.Tensor{DType: dtype, Shape: append([]int{}, shape...)}
	switch dtype {
	case ir.Float32:
		t.F32 = make([]float32, len(raw)/4)
		for i := range t.F32 {
			t.F32[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case ir.Int64:
		t.I64 = make([]int64, len(raw)/8)
		for i := range t.I64 {
			t.I64[i] = int64(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	default:
		t.Raw = append([]byte{}, raw...)
	}
	return t
}

// Write encodes tensors in order of name.
func Write(w io.Writer, tensors map[string]*ir.Tensor, meta map[string]string) error {
	names := make([]string, 0, len(tensors))
	for name := range tensors {
		names = append(names, name)
	}
	sort.Strings(names)
	header := bytes.NewBufferString("{")
	put := func(key string, v any) error {
		if header.Len() > 1 {
			header.WriteByte(',')
		}
		k, err := json.Marshal(key)
		if err != nil {
			return err
		}
		b, err := json.Marshal(v)
		header.Write(k)
		header.WriteByte(':')
		header.Write(b)
		return err
	}
	if len(meta) > 0 {
		if err := put(metadataKey, meta); err != nil {
			return fmt.Errorf("safetensors: metadata: %w", err)
		}
	}
	at := int64(0)
	for _, name := range names {
		t := tensors[name]
		e := entry{Shape: t.Shape}
		if e.Shape == nil {
			e.Shape = []int{}
		}
		for _, row := range types {
			if row.dtype == t.DType {
				e.DType = row.name
			}
		}
		if e.DType == "" || name == metadataKey {
			return fmt.Errorf("safetensors: tensor %q of type %v cannot be written", name, t.DType)
		}
		e.Offsets = [2]int64{at, at + int64(t.Len())*int64(t.DType.Size())}
		at = e.Offsets[1]
		if err := put(name, e); err != nil {
			return fmt.Errorf("safetensors: tensor %q: %w", name, err)
		}
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 {
		header.WriteByte(' ')
	}
	if header.Len() > maxHeader {
		return fmt.Errorf("safetensors: a header of %d bytes; the format allows %d", header.Len(), maxHeader)
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(header.Len()))); err != nil {
		return err
	}
	if _, err := w.Write(header.Bytes()); err != nil {
		return err
	}
	for _, name := range names {
		if err := encode(w, tensors[name]); err != nil {
			return fmt.Errorf("safetensors: tensor %q: %w", name, err)
		}
	}
	return nil
}

// encode writes the bytes of a tensor in pieces, so that a large one is not held twice.
func encode(w io.Writer, t *ir.Tensor) error {
	const piece = 1 << 14
	buf := make([]byte, 0, 8*piece)
	switch t.DType {
	case ir.Float32:
		for lo := 0; lo < len(t.F32); lo += piece {
			buf = buf[:0]
			for _, v := range t.F32[lo:min(lo+piece, len(t.F32))] {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return nil
	case ir.Int64:
		for lo := 0; lo < len(t.I64); lo += piece {
			buf = buf[:0]
			for _, v := range t.I64[lo:min(lo+piece, len(t.I64))] {
				buf = binary.LittleEndian.AppendUint64(buf, uint64(v))
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return nil
	}
	if len(t.Raw) != t.Len()*t.DType.Size() {
		return fmt.Errorf("%d bytes for %v of shape %v", len(t.Raw), t.DType, t.Shape)
	}
	_, err := w.Write(t.Raw)
	return err
}
