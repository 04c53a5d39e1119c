package ir

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestFloat16RoundTripsEveryNumber(t *testing.T) {
	for h := range 1 << 16 {
		x := fromFloat16(uint16(h))
		back := toFloat16(x)
		if x != x {
			if f := fromFloat16(back); f == f {
				t.Fatalf("%#04x: NaN became %v", h, f)
			}
			continue
		}
		if back != uint16(h) {
			t.Fatalf("%#04x: %v became %#04x", h, x, back)
		}
	}
	// Values from IEEE 754: one, the least subnormal, the largest number, minus infinity.
	for h, want := range map[uint16]float32{0x3c00: 1, 1: 0x1p-24, 0x7bff: 65504, 0xfc00: float32(math.Inf(-1)), 0xc500: -5, 0x3555: 0.33325195} {
		if got := fromFloat16(h); got != want {
			t.Errorf("%#04x is %v, want %v", h, got, want)
		}
	}
}

// TestFloat16RoundsToNearestEven compares with a search among both neighbours.
func TestFloat16RoundsToNearestEven(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 200000 {
		x := math.Float32frombits(rng.Uint32N(0x47800000)) // 0 … 65536
		if rng.IntN(2) == 0 {                              // the middle between two neighbours
			h := uint16(rng.UintN(0x7bff))
			x = float32((float64(fromFloat16(h)) + float64(fromFloat16(h+1))) / 2)
		}
		got := toFloat16(x)
		if x >= 65520 {
			if got != 0x7c00 {
				t.Fatalf("%v became %#04x, want infinity", x, got)
			}
			continue
		}
		best := got
		off := func(h uint16) float64 { return math.Abs(float64(fromFloat16(h)) - float64(x)) }
		for _, h := range []uint16{got - 1, got + 1} {
			if h < 0x7c00 && (off(h) < off(best) || off(h) == off(best) && h%2 == 0) {
				best = h
			}
		}
		if best != got {
			t.Fatalf("%v became %#04x, %#04x is nearer", x, got, best)
		}
	}
}

func TestBFloat16RoundsToNearestEven(t *testing.T) {
	for _, c := range []struct{ x, want float32 }{
		{1, 1}, {1 + 0x1p-8, 1}, {1 + 0x1p-8 + 0x1p-20, 1 + 0x1p-7}, {1 + 3*0x1p-8, 1 + 0x1p-6}, {-3.140625, -3.140625},
		{math.MaxFloat32, float32(math.Inf(1))},
	} {
		if got := math.Float32frombits(uint32(toBFloat16(c.x)) << 16); got != c.want {
			t.Errorf("%v became %v, want %v", c.x, got, c.want)
		}
	}
	if h := toBFloat16(float32(math.NaN())); h&0x7f == 0 {
		t.Errorf("NaN became %#04x", h)
	}
}

func TestTensorReadsAndWritesEveryType(t *testing.T) {
	for _, d := range []DType{Float32, Float16, BFloat16, Float64} {
		want := []float32{0, -1.5, 2, 96}
		x := fromFloats(d, []float64{9, 9, 9, 9}, []int{2, 2})
		x.SetFloats(want)
		got, err := x.Floats()
		if err != nil || !slices.Equal(got, want) || x.check() != nil {
			t.Errorf("%v: %v, %v; want %v", d, got, err, want)
		}
		if _, err := x.Ints(); err == nil {
			t.Errorf("%v: read as whole numbers", d)
		}
		got[0] = 7
		if again, _ := x.Floats(); again[0] != 0 {
			t.Errorf("%v: Floats shares its memory with the tensor", d)
		}
	}
	for d, want := range map[DType][]int64{
		Int8: {-128, 127}, Uint8: {0, 255}, Int16: {-1, 7}, Uint16: {0, 65535}, Int32: {-5, 5}, Uint32: {0, math.MaxUint32},
		Int64: {math.MinInt64, 3}, Bool: {0, 1},
	} {
		x := fromInts(d, want, []int{2})
		got, err := x.Ints()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %v, %v; want %v", d, got, err, want)
		}
		if f, err := x.Floats(); err != nil || f[1] != float32(want[1]) {
			t.Errorf("%v: %v, %v", d, f, err)
		}
	}
	big := &Tensor{DType: Uint64, Raw: slices.Repeat([]byte{255}, 8)}
	if f, err := big.Floats(); err != nil || f[0] != 0x1p64 {
		t.Errorf("the largest uint64 is %v, %v", f, err)
	}
}

func TestTensorRefusesWhatItDoesNotHold(t *testing.T) {
	for name, x := range map[string]*Tensor{
		"too few":       {DType: Float32, Shape: []int{2}, F32: []float32{1}},
		"negative":      {DType: Float32, Shape: []int{-1, -1}, F32: []float32{1}},
		"overflow":      {DType: Float32, Shape: []int{1 << 40, 1 << 40}},
		"byte overflow": {DType: Float64, Shape: []int{1 << 61}},
		"half a value":  {DType: Float16, Shape: []int{1}, Raw: []byte{1}},
		"two slices":    {DType: Float32, Shape: []int{1}, F32: []float32{1}, I64: []int64{1}},
		"no type":       {},
	} {
		if f, err := x.Floats(); err == nil || f != nil {
			t.Errorf("%s: Floats = %v, %v", name, f, err)
		}
		if v, err := x.Ints(); err == nil || v != nil {
			t.Errorf("%s: Ints = %v, %v", name, v, err)
		}
	}
	if n := (&Tensor{Shape: []int{1 << 40, 1 << 40}}).Len(); n != math.MaxInt {
		t.Errorf("a length that overflows is %d", n)
	}
	if n := (&Tensor{Shape: []int{1 << 40, 1 << 40, 0}}).Len(); n != 0 {
		t.Errorf("the length of an empty tensor is %d", n)
	}
}

func TestDimArithmetic(t *testing.T) {
	n, h := Dim{Sym: "N"}, Dim{Sym: "H"}
	for _, c := range []struct {
		got  Dim
		want string
	}{
		{productOf([]Dim{n, num(3), h, num(2)}).dim(), "6*H*N"},
		{productOf([]Dim{n, num(0)}).dim(), "0"},
		{productOf([]Dim{n, unknown}).dim(), "?"},
		{productOf([]Dim{num(1 << 40), num(1 << 40)}).dim(), "?"},
		{addDims(n, n), "2*N"}, {addDims(n, negDim(n)), "0"}, {addDims(n, h), "?"}, {addDims(n, num(1)), "?"}, {addDims(n, num(0)), "N"},
		{addDims(num(math.MaxInt), num(1)), "?"}, {addDims(num(math.MinInt), num(-1)), "?"},
		{divDims(Dim{Sym: "6*H*N"}, Dim{Sym: "2*N"}), "3*H"}, {divDims(n, n), "1"}, {divDims(n, num(2)), "?"}, {divDims(n, h), "?"},
		{divDims(num(-7), num(2)), "-3"}, {divDims(num(7), num(0)), "?"},
		{negDim(n), "-1*N"}, {negDim(negDim(n)), "N"},
		{bindDim(Dim{Sym: "6*H*N"}, map[string]int{"H": 2}), "12*N"}, {bindDim(n, map[string]int{"N": 0}), "0"},
		{equalDims(n, n), "1"}, {equalDims(n, num(-1)), "0"}, {equalDims(n, num(1)), "?"}, {equalDims(unknown, num(-1)), "?"},
		{equalDims(unknown, unknown), "?"}, {lessDims(num(-1), n), "1"}, {lessDims(n, num(0)), "0"}, {lessDims(n, h), "?"},
	} {
		if c.got.String() != c.want {
			t.Errorf("got %v, want %s", c.got, c.want)
		}
	}
}
