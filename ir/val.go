package ir

import (
	"math"
)

// val is what the analysis knows of the elements of one value: a constant t, or whole numbers of which some are symbolic sizes.
// A val and what it holds are never changed once made.
type val struct {
	dtype DType
	shape []int
	t     *Tensor
	dims  []Dim // when t is nil
}

func (v *val) len() int {
	n, ok := product(v.shape)
	if !ok {
		return math.MaxInt
	}
	return n
}

func ofTensor(t *Tensor) *val { return &val{dtype: t.DType, shape: t.Shape, t: t} }

// ints are the elements as sizes, which here may be negative; nil where the type is no whole number.
func (v *val) ints() []Dim {
	if v.t == nil {
		return v.dims
	}
	if !v.dtype.IsInt() {
		return nil
	}
	list, err := v.t.Ints()
	if err != nil {
		return nil
	}
	dims := make([]Dim, len(list))
	for i, x := range list {
		dims[i] = num(int(x))
	}
	return dims
}

// ofInts makes a val of whole numbers, a constant where none is symbolic.
func ofInts(d DType, dims []Dim, shape []int) *val {
	ints := make([]int64, len(dims))
	for i, x := range dims {
		if !x.Known() {
			return &val{dtype: d, shape: shape, dims: dims}
		}
		ints[i] = int64(x.Size)
	}
	return ofTensor(fromInts(d, ints, shape))
}

// floats are the elements of a constant Float32 tensor, nil for anything else.
func (v *val) floats() []float32 {
	if v.t == nil {
		return nil
	}
	return v.t.F32
}

// asFloats are the elements of a constant of any numeric type, nil for strings.
func asFloats(t *Tensor) []float64 {
	if t.DType == Float64 {
		return decode(t.Raw, 8, func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) })
	}
	if t.DType.IsInt() {
		list, err := t.Ints()
		if err != nil {
			return nil
		}
		out := make([]float64, len(list))
		for i, x := range list {
			out[i] = float64(x)
		}
		return out
	}
	list, err := t.Floats()
	if err != nil {
		return nil
	}
	out := make([]float64, len(list))
	for i, x := range list {
		out[i] = float64(x)
	}
	return out
}

// fromFloats makes a tensor of any numeric type, nil for others. Whole numbers are truncated towards zero; what does not fit an
// int64 has no meaning in ONNX and becomes the nearest one, NaN zero.
func fromFloats(d DType, v []float64, shape []int) *Tensor {
	switch {
	case d == Float64:
		t := &Tensor{DType: d, Shape: shape, Raw: make([]byte, 0, 8*len(v))}
		for _, x := range v {
			t.Raw = le.AppendUint64(t.Raw, math.Float64bits(x))
		}
		return t
	case d.IsFloat():
		t := &Tensor{DType: d, Shape: shape}
		list := make([]float32, len(v))
		for i, x := range v {
			list[i] = float32(x)
		}
		t.SetFloats(list)
		return t
	case d.IsInt():
		list := make([]int64, len(v))
		for i, x := range v {
			switch {
			case d == Bool && x != 0:
				list[i] = 1
			case x >= math.MaxInt64:
				list[i] = math.MaxInt64
			case x <= math.MinInt64:
				list[i] = math.MinInt64
			case x == x:
				list[i] = int64(x)
			}
		}
		return fromInts(d, list, shape)
	}
	return nil
}

// pick makes a val whose element i is element index[i] of v.
func (v *val) pick(shape, index []int) *val {
	if v.t == nil {
		return ofInts(v.dtype, picked(v.dims, index), shape)
	}
	t := &Tensor{DType: v.dtype, Shape: shape}
	switch v.dtype {
	case Float32:
		t.F32 = picked(v.t.F32, index)
	case Int64:
		t.I64 = picked(v.t.I64, index)
	case String:
		t.Strs = picked(v.t.Strs, index)
	default:
		size := v.dtype.Size()
		t.Raw = make([]byte, 0, len(index)*size)
		for _, i := range index {
			t.Raw = append(t.Raw, v.t.Raw[i*size:(i+1)*size]...)
		}
	}
	return ofTensor(t)
}

func picked[T any](from []T, index []int) []T {
	out := make([]T, len(index))
	for i, j := range index {
		out[i] = from[j]
	}
	return out
}

// retype is v with another shape of as many elements. The elements are copied: what Fold makes of it is a weight of its own.
func (v *val) retype(shape []int) *val {
	if v.t == nil {
		return &val{dtype: v.dtype, shape: shape, dims: v.dims}
	}
	t := v.t.Clone()
	t.Shape = shape
	return ofTensor(t)
}

// strides are the distances in elements between neighbours along each axis of a row-major value.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = step
		step *= shape[i]
	}
	return s
}

// walk lists base + Σ i[a]·step[a] for every index i of shape in row-major order.
func walk(shape, step []int, base int) []int {
	n, _ := product(shape)
	out := make([]int, 0, n)
	if n == 0 {
		return out
	}
	at := make([]int, len(shape))
	for {
		out = append(out, base)
		a := len(shape) - 1
		for ; a >= 0; a-- {
			at[a]++
			base += step[a]
			if at[a] < shape[a] {
				break
			}
			base -= at[a] * step[a]
			at[a] = 0
		}
		if a < 0 {
			return out
		}
	}
}

// broadcastIndex is, for each element of a value of shape out, the element of one of shape from that it reads.
func broadcastIndex(from, out []int) []int {
	step := make([]int, len(out))
	off := len(out) - len(from)
	for i, s := range strides(from) {
		if from[i] != 1 {
			step[off+i] = s
		}
	}
	return walk(out, step, 0)
}
