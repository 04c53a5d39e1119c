package conv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// sites calls f for every product of a convolution: indices into y, x and w. It is the definition the tests compare with.
func sites(s Shape, f func(y, x, w int)) {
	cg, og := s.C/s.Group, s.O/s.Group
	for n := range s.N {
		for i := range s.OH {
			for j := range s.OW {
				for o := range s.O {
					for p := range s.KH {
						for q := range s.KW {
							h, v := i*s.StrideH+p*s.DilH-s.PadTop, j*s.StrideW+q*s.DilW-s.PadLeft
							if h < 0 || h >= s.H || v < 0 || v >= s.W {
								continue
							}
							for c := range cg {
								f(((n*s.OH+i)*s.OW+j)*s.O+o, ((n*s.H+h)*s.W+v)*s.C+o/og*cg+c, ((o*s.KH+p)*s.KW+q)*cg+c)
							}
						}
					}
				}
			}
		}
	}
}

func (s Shape) sizes() (x, w, y int) {
	return s.N * s.H * s.W * s.C, s.O * s.KH * s.KW * s.C / s.Group, s.N * s.OH * s.OW * s.O
}

// shape fills in the output size.
func shape(s Shape) Shape {
	s.OH, s.OW = s.Out()
	return s
}

// square is a square convolution with equal pads.
func square(n, hw, c, o, k, stride, pad, group int) Shape {
	return shape(Shape{N: n, H: hw, W: hw, C: c, O: o, KH: k, KW: k, StrideH: stride, StrideW: stride, DilH: 1, DilW: 1,
		PadTop: pad, PadLeft: pad, PadBottom: pad, PadRight: pad, Group: group})
}

var named = map[string]Shape{
	"one pixel":        square(1, 1, 1, 1, 1, 1, 0, 1),
	"3x3":              square(2, 8, 16, 16, 3, 1, 1, 1),
	"3x3 odd widths":   square(2, 9, 11, 13, 3, 1, 1, 1),
	"3x3 wide":         square(1, 5, 27, 70, 3, 1, 1, 1),
	"3x3 stride 2":     square(2, 8, 5, 33, 3, 2, 1, 1),
	"3x3 stride 2 odd": square(3, 7, 4, 17, 3, 2, 1, 1),
	"first layer":      square(2, 12, 3, 16, 3, 1, 1, 1),
	"1x1":              square(3, 6, 20, 24, 1, 1, 0, 1),
	"1x1 stride 2":     square(2, 7, 6, 18, 1, 2, 0, 1),
	"1x1 stride 3":     square(2, 8, 6, 5, 1, 3, 0, 1),
	"1x1 padded":       square(2, 4, 6, 5, 1, 1, 1, 1),
	"7x7 stride 2":     square(1, 18, 3, 10, 7, 2, 3, 1),
	"no padding":       square(2, 9, 7, 9, 3, 1, 0, 1),
	"groups":           square(2, 6, 12, 18, 3, 1, 1, 3),
	"groups stride 2":  square(2, 6, 40, 20, 3, 2, 1, 2),
	"depthwise":        square(2, 10, 21, 21, 3, 1, 1, 21),
	"depthwise 5x5":    square(1, 9, 32, 32, 5, 2, 2, 32),
	"multiplier":       square(1, 7, 6, 12, 3, 1, 1, 6),
	"long sums":        square(1, 3, 700, 5, 1, 1, 0, 1),
	"large weights":    square(1, 4, 130, 300, 3, 1, 1, 1),
	"asymmetric": shape(Shape{N: 2, H: 9, W: 12, C: 6, O: 10, KH: 3, KW: 2, StrideH: 2, StrideW: 3, DilH: 1, DilW: 2,
		PadTop: 0, PadLeft: 2, PadBottom: 3, PadRight: 1, Group: 2}),
	"dilated": shape(Shape{N: 1, H: 12, W: 11, C: 8, O: 8, KH: 3, KW: 3, StrideH: 1, StrideW: 1, DilH: 2, DilW: 3,
		PadTop: 2, PadLeft: 3, PadBottom: 2, PadRight: 3, Group: 1}),
	"dilated rows": shape(Shape{N: 1, H: 12, W: 11, C: 8, O: 8, KH: 3, KW: 3, StrideH: 2, StrideW: 2, DilH: 2, DilW: 1,
		PadTop: 2, PadLeft: 1, PadBottom: 2, PadRight: 1, Group: 1}),
	"line": shape(Shape{N: 2, H: 1, W: 30, C: 4, O: 6, KH: 1, KW: 5, StrideH: 1, StrideW: 2, DilH: 1, DilW: 1,
		PadLeft: 4, PadRight: 0, Group: 1}),
	"window beyond the image": square(1, 2, 3, 4, 5, 1, 4, 1),
}

// randomShape draws a small convolution of any kind.
func randomShape(rng *rand.Rand) Shape {
	for {
		s := Shape{N: 1 + rng.IntN(3), H: 1 + rng.IntN(12), W: 1 + rng.IntN(12), KH: 1 + rng.IntN(4), KW: 1 + rng.IntN(4),
			StrideH: 1 + rng.IntN(3), StrideW: 1 + rng.IntN(3), DilH: 1 + rng.IntN(2), DilW: 1 + rng.IntN(2),
			PadTop: rng.IntN(3), PadLeft: rng.IntN(3), PadBottom: rng.IntN(3), PadRight: rng.IntN(3), Group: 1 + rng.IntN(3)}
		s.C, s.O = s.Group*(1+rng.IntN(20)), s.Group*(1+rng.IntN(20))
		if rng.IntN(4) == 0 {
			s.C = 2 + rng.IntN(40)
			s.O, s.Group = s.C, s.C
		}
		if s.OH, s.OW = s.Out(); s.H+s.PadTop+s.PadBottom >= (s.KH-1)*s.DilH+1 && s.W+s.PadLeft+s.PadRight >= (s.KW-1)*s.DilW+1 {
			return s
		}
	}
}

// guard returns n elements of small integers between guard zones of NaN, and a check that those are untouched.
func guard[T kernel.Float](rng *rand.Rand, n int) ([]T, func() bool) {
	const zone = 64
	all := make([]T, n+2*zone)
	for i := range all {
		all[i] = T(math.NaN())
	}
	s := all[zone : zone+n : zone+n]
	for i := range s {
		s[i] = T(rng.IntN(7) - 3)
	}
	return s, func() bool {
		for i := range zone {
			if all[i] == all[i] || all[zone+n+i] == all[zone+n+i] {
				return false
			}
		}
		return true
	}
}

// checkShape compares all three directions with the definition, on small integers, whose sums are exact in any order.
func checkShape[T kernel.Float](s Shape, rng *rand.Rand, p *parallel.Pool) error {
	nx, nw, ny := s.sizes()
	x, okX := guard[T](rng, nx)
	w, okW := guard[T](rng, nw)
	dy, okDy := guard[T](rng, ny)
	bias, _ := guard[T](rng, s.O)
	y, okY := guard[T](rng, ny)
	dx, okDx := guard[T](rng, nx)
	dw, okDw := guard[T](rng, nw)
	wantY, wantDx, wantDw := make([]T, ny), make([]T, nx), make([]T, nw)
	sites(s, func(iy, ix, iw int) {
		wantY[iy] += x[ix] * w[iw]
		wantDx[ix] += dy[iy] * w[iw]
		wantDw[iw] += dy[iy] * x[ix]
	})
	workers := p.Workers()
	scratch := func(n int) []T { s, _ := guard[T](rng, n); return s }
	Forward(p, s, y, x, Filter[T]{Raw: w}, Epilogue[T]{}, scratch(ScratchForward(s, workers)))
	if !slices.Equal(y, wantY) {
		return fmt.Errorf("forward differs")
	}
	for i := range wantY {
		wantY[i] += bias[i%s.O]
	}
	Forward(p, s, y, x, Filter[T]{Raw: w}, Epilogue[T]{Bias: bias}, scratch(ScratchForward(s, workers)))
	if !slices.Equal(y, wantY) {
		return fmt.Errorf("forward with bias differs")
	}
	if err := checkEpilogue(s, rng, p, x, w, bias, wantY); err != nil {
		return err
	}
	DataGrad(p, s, dx, dy, w, scratch(ScratchDataGrad(s, workers)))
	if !slices.Equal(dx, wantDx) {
		return fmt.Errorf("data gradient differs")
	}
	WeightGrad(p, s, dw, x, dy, scratch(ScratchWeightGrad(s, workers)))
	if !slices.Equal(dw, wantDw) {
		return fmt.Errorf("weight gradient differs")
	}
	if !okX() || !okW() || !okDy() || !okY() || !okDx() || !okDw() {
		return fmt.Errorf("a write outside the slices")
	}
	return nil
}

// eachVariant runs a test with every implementation of the kernels this processor has.
func eachVariant(t *testing.T, f func(t *testing.T)) {
	for _, name := range kernel.Variants() {
		t.Run(name, func(t *testing.T) {
			defer kernel.Use(name)()
			f(t)
		})
	}
}

func TestConvolutionMatchesTheDefinition(t *testing.T) {
	p := parallel.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		for name, s := range named {
			t.Run(name, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 1))
				if err := checkShape[float32](s, rng, p); err != nil {
					t.Errorf("float32: %v", err)
				}
				if err := checkShape[float64](s, rng, p); err != nil {
					t.Errorf("float64: %v", err)
				}
			})
		}
	})
}

func TestRandomConvolutionsMatchTheDefinition(t *testing.T) {
	p := parallel.New(3)
	defer p.Close()
	const seed = 11
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0))
		for i := range 200 {
			s := randomShape(rng)
			if err := checkShape[float32](s, rng, p); err != nil {
				t.Fatalf("seed %d, draw %d: %+v: %v", seed, i, s, err)
			}
		}
	})
}

func TestBitsDoNotDependOnTheWorkers(t *testing.T) { eachVariant(t, testBits) }

func testBits(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	shapes := []Shape{named["3x3"], named["3x3 odd widths"], named["groups stride 2"], named["depthwise"], named["large weights"], square(9, 6, 8, 8, 3, 1, 1, 1)}
	for range 20 {
		shapes = append(shapes, randomShape(rng))
	}
	for _, s := range shapes {
		nx, nw, ny := s.sizes()
		x, w, dy := normal(rng, nx), normal(rng, nw), normal(rng, ny)
		var want []float32
		for _, workers := range []int{1, 2, 3, 8} {
			p := parallel.New(workers)
			y, dx, dw := make([]float32, ny), make([]float32, nx), make([]float32, nw)
			Forward(p, s, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, make([]float32, ScratchForward(s, workers)))
			DataGrad(p, s, dx, dy, w, make([]float32, ScratchDataGrad(s, workers)))
			WeightGrad(p, s, dw, x, dy, make([]float32, ScratchWeightGrad(s, workers)))
			m := Moments{Mean: make([]float64, s.O), Squares: make([]float64, s.O)}
			Forward(p, s, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{Moments: &m}, make([]float32, ScratchForward(s, workers)))
			p.Close()
			moments := make([]float32, 0, 4*s.O) // both halves of the numbers
			for _, v := range slices.Concat(m.Mean, m.Squares) {
				moments = append(moments, float32(v), float32(v-float64(float32(v))))
			}
			if got := slices.Concat(y, dx, dw, moments); want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Fatalf("seed %d: %+v: %d workers differ from one", seed, s, workers)
			}
		}
	}
}

// Results too large for any cache take a way of their own.
func TestManyOutputsMatchTheDefinition(t *testing.T) {
	if testing.Short() {
		t.Skip("millions of outputs")
	}
	p := parallel.New(2)
	defer p.Close()
	for _, s := range []Shape{square(4, 150, 4, 96, 1, 1, 0, 1), square(2, 150, 2, 192, 2, 1, 1, 1), square(2, 200, 112, 2, 1, 1, 0, 1)} {
		if f, d := forwardGrid(s.flat()), dataGrid(s.flat()); !f.apart && !d.apart {
			t.Fatalf("%+v has too few outputs", s)
		}
		if err := checkShape[float32](s, rand.New(rand.NewPCG(6, 0)), p); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestNaNPassesThroughWhereItBelongs(t *testing.T) {
	s := square(1, 6, 11, 13, 3, 1, 1, 1)
	nx, nw, ny := s.sizes()
	rng := rand.New(rand.NewPCG(1, 0))
	x, w, y := normal(rng, nx), normal(rng, nw), make([]float32, ny)
	x[(2*6+3)*11+4] = float32(math.NaN()) // pixel (2, 3)
	Forward(nil, s, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, make([]float32, ScratchForward(s, 1)))
	for i := range s.OH {
		for j := range s.OW {
			near := 1 <= i && i <= 3 && 2 <= j && j <= 4
			for o := range s.O {
				if v := y[(i*s.OW+j)*s.O+o]; (v != v) != near {
					t.Fatalf("pixel (%d, %d), channel %d: %v", i, j, o, v)
				}
			}
		}
	}
}

func TestCallsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	p := parallel.New(2)
	defer p.Close()
	for _, s := range []Shape{square(2, 8, 16, 16, 3, 2, 1, 1), square(2, 8, 16, 16, 3, 2, 1, 16), square(2, 3, 16, 16, 5, 1, 2, 16)} {
		nx, nw, ny := s.sizes()
		x, w, y := make([]float32, nx), make([]float32, nw), make([]float32, ny)
		scratch := make([]float32, max(ScratchForward(s, 2), ScratchDataGrad(s, 2), ScratchWeightGrad(s, 2)))
		if n := testing.AllocsPerRun(50, func() {
			Forward(p, s, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, scratch)
			DataGrad(p, s, x, y, w, scratch)
			WeightGrad(p, s, w, x, y, scratch)
		}); n >= 1 {
			t.Errorf("%+v: %v allocations", s, n)
		}
	}
}

func normal(rng *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(rng.NormFloat64())
	}
	return s
}
