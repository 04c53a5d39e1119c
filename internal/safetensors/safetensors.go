// Package safetensors reads and writes files of named tensors: eight bytes of header length, a JSON header of types, shapes and byte
// ranges, then the bytes (https://github.com/huggingface/safetensors, format section).
//
// Files are untrusted: every length is compared with the file's before memory is taken, so reading needs at most memoryFactor times
// the file's size next to a constant, and an error names the tensor or byte at fault. Writing is deterministic.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/dms-go/dms/ir"
)

const (
	prefix     = 8         // bytes before the header
	maxHeader  = 100 << 20 // the format's own limit
	maxTensors = 1 << 20
	maxRank    = 64
	maxFaults  = 16
	maxQuoted  = 80 // characters of a file that an error repeats
)

// memoryFactor bounds the memory that Read takes per byte of a file, garbage included. Headers with many sizes come nearest, with
// three quarters of it; a file of weights takes about one byte per byte.
const memoryFactor = 80

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
	if len(data) < prefix {
		return nil, nil, fmt.Errorf("safetensors: %d bytes, too few for the length of a header", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader || n > uint64(len(data)-prefix) {
		return nil, nil, fmt.Errorf("safetensors: a header of %d bytes in a file of %d; the file is cut short or of another kind", n, len(data))
	}
	entries, meta, err := parseHeader(data[prefix : prefix+n])
	if err != nil {
		return nil, nil, fmt.Errorf("safetensors: header, %w", err)
	}
	body := data[prefix+n:]
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
			faults = append(faults, fmt.Errorf("tensor %.*q: %w", maxQuoted, name, err))
		}
		if e.Offsets[0] != at {
			faults = append(faults, fmt.Errorf("tensor %.*q begins at byte %d, want %d: tensors leave no gaps and do not overlap", maxQuoted, name, e.Offsets[0], at))
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

// parseHeader reads the JSON object token by token, because decoding into maps and structs would let a repeated name win silently and
// take a missing shape for that of a scalar.
func parseHeader(raw []byte) (entries map[string]entry, meta map[string]string, err error) {
	if err := checkText(raw); err != nil {
		return nil, nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	entries = map[string]entry{}
	err = eachField(d, func(name string) (err error) {
		if name == metadataKey {
			if meta != nil {
				return errors.New("two lists of metadata")
			}
			if meta, err = parseMetadata(d); err != nil {
				return fmt.Errorf("metadata: %w", err)
			}
			return nil
		}
		if _, twice := entries[name]; twice {
			return fmt.Errorf("tensor %.*q is there twice", maxQuoted, name)
		}
		if len(entries) >= maxTensors {
			return fmt.Errorf("more than %d tensors", maxTensors)
		}
		if entries[name], err = parseEntry(d); err != nil {
			return fmt.Errorf("tensor %.*q: %w", maxQuoted, name, err)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("before byte %d: %w", prefix+d.InputOffset(), err)
	}
	return entries, meta, nil
}

// checkText tells where a header is no JSON. What follows may count on tokens in a lawful order.
func checkText(raw []byte) error {
	if !utf8.Valid(raw) {
		at := 0
		for r, size := rune(0), 0; ; at += size {
			if r, size = utf8.DecodeRune(raw[at:]); r == utf8.RuneError && size == 1 {
				return fmt.Errorf("byte %d: not UTF-8", prefix+at)
			}
		}
	}
	var whole json.RawMessage
	err := json.Unmarshal(raw, &whole)
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		return fmt.Errorf("before byte %d: %w", prefix+syntax.Offset, err)
	}
	return err
}

// eachField goes over the fields of an object; field reads the value of one.
func eachField(d *json.Decoder, field func(name string) error) error {
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("want an object, not %s", kind(t))
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if err := field(t.(string)); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func parseMetadata(d *json.Decoder) (map[string]string, error) {
	meta := map[string]string{}
	return meta, eachField(d, func(key string) error {
		if _, twice := meta[key]; twice {
			return fmt.Errorf("%.*q is there twice", maxQuoted, key)
		}
		v, err := parseString(d)
		meta[key] = v
		if err != nil {
			return fmt.Errorf("%.*q: %w", maxQuoted, key, err)
		}
		return nil
	})
}

// parseEntry reads the object of one tensor. All three fields are needed, each once; others are passed over, as the format wants.
func parseEntry(d *json.Decoder) (e entry, err error) {
	var dtypes int
	var offsets []int64
	err = eachField(d, func(field string) (err error) {
		twice := false
		switch field {
		case "dtype":
			twice = dtypes > 0
			dtypes++
			e.DType, err = parseString(d)
		case "shape":
			twice = e.Shape != nil
			var sizes []int64
			sizes, err = parseNumbers(d, maxRank)
			e.Shape = make([]int, len(sizes))
			for i, v := range sizes {
				if e.Shape[i] = int(v); int64(e.Shape[i]) != v {
					err = fmt.Errorf("%d is out of range", v)
				}
			}
		case "data_offsets":
			twice = offsets != nil
			offsets, err = parseNumbers(d, len(e.Offsets))
		default:
			var other json.RawMessage
			err = d.Decode(&other)
		}
		if twice {
			return fmt.Errorf("%s is there twice", field)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		return nil
	})
	switch {
	case err != nil:
	case dtypes == 0:
		err = errors.New("no dtype")
	case e.Shape == nil:
		err = errors.New("no shape")
	case len(offsets) != len(e.Offsets):
		err = fmt.Errorf("data_offsets: %d numbers, want the first byte and the one behind the last", len(offsets))
	default:
		copy(e.Offsets[:], offsets)
	}
	return e, err
}

func parseString(d *json.Decoder) (string, error) {
	t, err := d.Token()
	if s, ok := t.(string); ok || err != nil {
		return s, err
	}
	return "", fmt.Errorf("want a string, not %s", kind(t))
}

// parseNumbers reads an array of at most limit whole numbers, and never returns nil without an error.
func parseNumbers(d *json.Decoder, limit int) ([]int64, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('[') {
		return nil, fmt.Errorf("want an array, not %s", kind(t))
	}
	list := []int64{}
	for d.More() {
		if t, err = d.Token(); err != nil {
			return nil, err
		}
		n, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("want whole numbers, not %s", kind(t))
		}
		v, err := strconv.ParseInt(string(n), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("want whole numbers of 64 bits, not %.*s", maxQuoted, n)
		}
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d numbers", limit)
		}
		list = append(list, v)
	}
	_, err = d.Token()
	return list, err
}

// kind is what JSON calls a token.
func kind(t json.Token) string {
	switch t := t.(type) {
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a truth value"
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "an array"
	}
	return "null"
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
		return dtype, fmt.Errorf("unknown type %.*q", maxQuoted, e.DType)
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

// Write encodes tensors in order of name. What Read would refuse is not written.
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
		if !utf8.ValidString(key) {
			return errors.New("its name is not UTF-8")
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
	if len(tensors) > maxTensors {
		return fmt.Errorf("safetensors: %d tensors; at most %d are read", len(tensors), maxTensors)
	}
	if len(meta) > 0 {
		for key, v := range meta {
			// JSON would take a replacement for each wrong byte, and other text would be read than was written.
			if !utf8.ValidString(key) || !utf8.ValidString(v) {
				return fmt.Errorf("safetensors: metadata: %.*q is not UTF-8", maxQuoted, key)
			}
		}
		if err := put(metadataKey, meta); err != nil {
			return fmt.Errorf("safetensors: metadata: %w", err)
		}
	}
	at := int64(0)
	for _, name := range names {
		t := tensors[name]
		if err := whole(t); err != nil || name == metadataKey {
			return fmt.Errorf("safetensors: tensor %.*q cannot be written: %w", maxQuoted, name, cmp.Or(err, errors.New("the name is taken by the format")))
		}
		e := entry{Shape: t.Shape}
		if e.Shape == nil {
			e.Shape = []int{}
		}
		for _, row := range types {
			if row.dtype == t.DType {
				e.DType = row.name
			}
		}
		e.Offsets = [2]int64{at, at + int64(t.Len())*int64(t.DType.Size())}
		at = e.Offsets[1]
		if err := put(name, e); err != nil {
			return fmt.Errorf("safetensors: tensor %.*q: %w", maxQuoted, name, err)
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
	var buf []byte
	for _, name := range names {
		var err error
		if buf, err = encode(w, tensors[name], buf); err != nil {
			return fmt.Errorf("safetensors: tensor %.*q: %w", maxQuoted, name, err)
		}
	}
	return nil
}

// whole tells whether a tensor has a type of the format and exactly the elements that its shape states.
func whole(t *ir.Tensor) error {
	if t == nil {
		return errors.New("it is nil")
	}
	have, size := len(t.Raw), t.DType.Size()
	switch t.DType {
	case ir.Float32:
		have, size = len(t.F32), 1
	case ir.Int64:
		have, size = len(t.I64), 1
	}
	switch {
	case size == 0:
		return fmt.Errorf("type %v", t.DType)
	case len(t.Shape) > maxRank:
		return fmt.Errorf("%d axes; at most %d are read", len(t.Shape), maxRank)
	case have%size != 0 || have/size != t.Len():
		return fmt.Errorf("%d values for %v of shape %v", have/size, t.DType, t.Shape)
	}
	return nil
}

// encode writes the bytes of a tensor in pieces, so that a large one is not held twice. buf is memory to use, and is returned for the
// next tensor.
func encode(w io.Writer, t *ir.Tensor, buf []byte) ([]byte, error) {
	const piece = 1 << 14
	switch t.DType {
	case ir.Float32:
		for list := range slices.Chunk(t.F32, piece) {
			buf = slices.Grow(buf[:0], 4*len(list))
			for _, v := range list {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
			if _, err := w.Write(buf); err != nil {
				return buf, err
			}
		}
		return buf, nil
	case ir.Int64:
		for list := range slices.Chunk(t.I64, piece) {
			buf = slices.Grow(buf[:0], 8*len(list))
			for _, v := range list {
				buf = binary.LittleEndian.AppendUint64(buf, uint64(v))
			}
			if _, err := w.Write(buf); err != nil {
				return buf, err
			}
		}
		return buf, nil
	}
	_, err := w.Write(t.Raw)
	return buf, err
}
