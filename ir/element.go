package ir

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Elements of a Tensor: how many, how wide, and as which Go numbers.

var dtypeNames = [...]string{
	Undefined: "undefined", Float32: "float32", Uint8: "uint8", Int8: "int8", Uint16: "uint16", Int16: "int16", Int32: "int32",
	Int64: "int64", String: "string", Bool: "bool", Float16: "float16", Float64: "float64", Uint32: "uint32", Uint64: "uint64",
	BFloat16: "bfloat16",
}

func (d DType) String() string {
	if int(d) < len(dtypeNames) && dtypeNames[d] != "" {
		return dtypeNames[d]
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Size is the width of one element in bytes, 0 for strings and for types this package does not know.
func (d DType) Size() int {
	switch d {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16, Float16, BFloat16:
		return 2
	case Float32, Int32, Uint32:
		return 4
	case Float64, Int64, Uint64:
		return 8
	}
	return 0
}

// IsInt tells whether elements are whole numbers; Bool counts, as 0 and 1.
func (d DType) IsInt() bool {
	switch d {
	case Uint8, Int8, Uint16, Int16, Int32, Int64, Uint32, Uint64, Bool:
		return true
	}
	return false
}

// IsFloat tells whether elements are floating-point numbers.
func (d DType) IsFloat() bool {
	return d == Float32 || d == Float16 || d == Float64 || d == BFloat16
}

// Len is the number of elements that the shape states, math.MaxInt where that number overflows.
func (t *Tensor) Len() int {
	n, ok := product(t.Shape)
	if !ok {
		return math.MaxInt
	}
	return n
}

// product multiplies sizes; it is not ok where a size is negative or the product overflows. Zero sizes make it zero whatever
// stands beside them.
func product(sizes []int) (n int, ok bool) {
	if len(sizes) > 0 && slices.Min(sizes) <= 0 {
		return 0, slices.Min(sizes) == 0
	}
	n = 1
	for _, s := range sizes {
		if n > math.MaxInt/s {
			return 0, false
		}
		n *= s
	}
	return n, true
}

// check tells whether exactly the slice that the type calls for is set, with as many elements as the shape states.
func (t *Tensor) check() error {
	n, ok := product(t.Shape)
	if !ok {
		return fmt.Errorf("shape %v has a negative size or too many elements", t.Shape)
	}
	have, want := 0, n
	switch size := t.DType.Size(); {
	case t.DType == Float32:
		have = len(t.F32)
	case t.DType == Int64:
		have = len(t.I64)
	case t.DType == String:
		have = len(t.Strs)
	case size > 0:
		if n > math.MaxInt/size {
			return fmt.Errorf("shape %v has too many elements", t.Shape)
		}
		have, want = len(t.Raw), n*size
	default:
		return fmt.Errorf("type %v is not supported", t.DType)
	}
	if have != want {
		return fmt.Errorf("%v %v holds %d values where the shape wants %d", t.DType, t.Shape, have, want)
	}
	for _, other := range []struct {
		of  bool
		len int
	}{
		{t.DType == Float32, len(t.F32)}, {t.DType == Int64, len(t.I64)}, {t.DType == String, len(t.Strs)},
		{t.DType != Float32 && t.DType != Int64 && t.DType != String, len(t.Raw)},
	} {
		if !other.of && other.len > 0 {
			return fmt.Errorf("%v tensor holds values of another type", t.DType)
		}
	}
	return nil
}

// Clone is a deep copy.
func (t *Tensor) Clone() *Tensor {
	if t == nil {
		return nil
	}
	c := *t
	c.Shape = slices.Clone(t.Shape)
	c.F32 = slices.Clone(t.F32)
	c.I64 = slices.Clone(t.I64)
	c.Raw = slices.Clone(t.Raw)
	c.Strs = slices.Clone(t.Strs)
	return &c
}

// Equal tells whether two tensors have one type, one shape and the same bits in every element, so a NaN equals itself.
func (t *Tensor) Equal(u *Tensor) bool {
	if t == nil || u == nil {
		return t == u
	}
	sameBits := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
	return t.DType == u.DType && slices.Equal(t.Shape, u.Shape) && slices.EqualFunc(t.F32, u.F32, sameBits) &&
		slices.Equal(t.I64, u.I64) && slices.Equal(t.Raw, u.Raw) && slices.Equal(t.Strs, u.Strs)
}

// Floats are the elements as a new slice of float32, from any floating-point or whole-number type; Float64 and wide integers are
// rounded to the nearest.
func (t *Tensor) Floats() ([]float32, error) {
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("ir: tensor: %w", err)
	}
	if t.DType == Float32 {
		return append(make([]float32, 0, len(t.F32)), t.F32...), nil
	}
	if t.DType.IsFloat() {
		return decode(t.Raw, t.DType.Size(), floatDecoders[t.DType]), nil
	}
	ints, err := t.Ints()
	if err != nil {
		return nil, fmt.Errorf("ir: tensor: %v elements are not numbers", t.DType)
	}
	out := make([]float32, len(ints))
	for i, v := range ints {
		if t.DType == Uint64 {
			out[i] = float32(uint64(v))
		} else {
			out[i] = float32(v)
		}
	}
	return out, nil
}

// Ints are the elements of a whole-number or Bool tensor as a new slice. Uint64 elements over math.MaxInt64 keep their bits.
func (t *Tensor) Ints() ([]int64, error) {
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("ir: tensor: %w", err)
	}
	if t.DType == Int64 {
		return append(make([]int64, 0, len(t.I64)), t.I64...), nil
	}
	if !t.DType.IsInt() {
		return nil, fmt.Errorf("ir: tensor: %v elements are not whole numbers", t.DType)
	}
	return decode(t.Raw, t.DType.Size(), intDecoders[t.DType]), nil
}

// SetFloats writes v, one value per element, in the tensor's own floating-point type: Float16 and BFloat16 round to nearest even.
// It panics when the lengths differ or the tensor is not of a floating-point type.
func (t *Tensor) SetFloats(v []float32) {
	if len(v) != t.Len() || !t.DType.IsFloat() {
		panic(fmt.Sprintf("ir: SetFloats: %d values for a %v tensor of shape %v", len(v), t.DType, t.Shape))
	}
	if t.DType == Float32 {
		t.F32 = append(t.F32[:0], v...)
		return
	}
	t.Raw = t.Raw[:0]
	for _, x := range v {
		switch t.DType {
		case Float16:
			t.Raw = binary.LittleEndian.AppendUint16(t.Raw, toFloat16(x))
		case BFloat16:
			t.Raw = binary.LittleEndian.AppendUint16(t.Raw, toBFloat16(x))
		case Float64:
			t.Raw = binary.LittleEndian.AppendUint64(t.Raw, math.Float64bits(float64(x)))
		}
	}
}

// fromInts makes a whole-number tensor that keeps the low bits of every value.
func fromInts(d DType, v []int64, shape []int) *Tensor {
	t := &Tensor{DType: d, Shape: shape}
	if d == Int64 {
		t.I64 = v
		return t
	}
	size := d.Size()
	t.Raw = make([]byte, 0, len(v)*size)
	for _, x := range v {
		if d == Bool && x != 0 {
			x = 1
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(x))
		t.Raw = append(t.Raw, b[:size]...)
	}
	return t
}

func decode[T any](raw []byte, size int, f func([]byte) T) []T {
	out := make([]T, len(raw)/size)
	for i := range out {
		out[i] = f(raw[i*size:])
	}
	return out
}

var le = binary.LittleEndian

var floatDecoders = map[DType]func([]byte) float32{
	Float16:  func(b []byte) float32 { return fromFloat16(le.Uint16(b)) },
	BFloat16: func(b []byte) float32 { return math.Float32frombits(uint32(le.Uint16(b)) << 16) },
	Float64:  func(b []byte) float32 { return float32(math.Float64frombits(le.Uint64(b))) },
}

var intDecoders = map[DType]func([]byte) int64{
	Uint8:  func(b []byte) int64 { return int64(b[0]) },
	Bool:   func(b []byte) int64 { return int64(b[0]) },
	Int8:   func(b []byte) int64 { return int64(int8(b[0])) },
	Uint16: func(b []byte) int64 { return int64(le.Uint16(b)) },
	Int16:  func(b []byte) int64 { return int64(int16(le.Uint16(b))) },
	Uint32: func(b []byte) int64 { return int64(le.Uint32(b)) },
	Int32:  func(b []byte) int64 { return int64(int32(le.Uint32(b))) },
	Uint64: func(b []byte) int64 { return int64(le.Uint64(b)) },
}

// fromFloat16 widens an IEEE 754 binary16 number; every one of them is a float32.
func fromFloat16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp, frac := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero and subnormals: frac · 2⁻²⁴
		v := float32(frac) * 0x1p-24
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// toFloat16 rounds to the nearest binary16 number, ties to even; what is too large becomes infinite and NaN stays NaN.
func toFloat16(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits>>16) & 0x8000
	abs := bits &^ (1 << 31)
	switch {
	case abs > 0x7f800000: // NaN: keep it quiet
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520 and more round to infinity
		return sign | 0x7c00
	case abs < 0x38800000: // below 2⁻¹⁴, the smallest normal: the result counts units of 2⁻²⁴
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(abs))*0x1p24))
	}
	// Adding half a unit less one, plus the last kept bit, rounds ties to even; a carry moves into the exponent as it should.
	abs += 0xfff + abs>>13&1
	return sign | uint16((abs-(127-15)<<23)>>13)
}

// toBFloat16 rounds to the nearest bfloat16 number, ties to even.
func toBFloat16(x float32) uint16 {
	bits := math.Float32bits(x)
	if x != x {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
