package ir

// DType is the type of an element. The numbers are ONNX's TensorProto.DataType.
type DType uint8

const (
	Undefined DType = 0
	Float32   DType = 1
	Uint8     DType = 2
	Int8      DType = 3
	Uint16    DType = 4
	Int16     DType = 5
	Int32     DType = 6
	Int64     DType = 7
	String    DType = 8
	Bool      DType = 9
	Float16   DType = 10
	Float64   DType = 11
	Uint32    DType = 12
	Uint64    DType = 13
	BFloat16  DType = 16
)

// Tensor is a constant: row-major, in the order of its shape. Exactly one of the slices is set for a tensor that is not empty.
type Tensor struct {
	DType DType
	Shape []int     // every size ≥ 0; empty for a scalar
	F32   []float32 // Float32
	I64   []int64   // Int64
	Raw   []byte    // every other type: little-endian, as in ONNX's raw_data
	Strs  []string  // String
}

// Floats32 makes a Float32 tensor that owns data.
func Floats32(data []float32, shape ...int) *Tensor {
	return &Tensor{DType: Float32, Shape: shape, F32: data}
}

// Ints64 makes an Int64 tensor that owns data.
func Ints64(data []int64, shape ...int) *Tensor {
	return &Tensor{DType: Int64, Shape: shape, I64: data}
}

// Vector64 makes a one-dimensional Int64 tensor, the form of axes, pads and shapes.
func Vector64(data ...int64) *Tensor { return Ints64(data, len(data)) }

// Dim is the size of one axis: a number, or a symbol such as the batch "N" that is bound when a program is built.
type Dim struct {
	Size int    // meaningful when Sym is empty
	Sym  string // "" for a number; "?" for a size nobody knows
}

// Shape is a list of axis sizes; nil means that not even the rank is known.
type Shape []Dim

// Fixed makes a Shape of numbers.
func Fixed(sizes ...int) Shape {
	s := make(Shape, len(sizes))
	for i, n := range sizes {
		s[i].Size = n
	}
	return s
}

// Known tells whether the size is a number.
func (d Dim) Known() bool { return d.Sym == "" }
