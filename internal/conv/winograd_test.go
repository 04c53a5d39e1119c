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

// randomTiles draws a shape that is computed by tiles.
func randomTiles(rng *rand.Rand) Shape {
	for {
		s := Shape{N: 1 + rng.IntN(9), H: 3 + rng.IntN(30), W: 3 + rng.IntN(30), C: 16 + rng.IntN(60), O: 16 + rng.IntN(60), KH: 3, KW: 3,
			StrideH: 1, StrideW: 1, DilH: 1, DilW: 1, Group: 1,
			PadTop: rng.IntN(3), PadLeft: rng.IntN(3), PadBottom: rng.IntN(3), PadRight: rng.IntN(3)}
		if s.OH, s.OW = s.Out(); s.OH > 0 && s.OW > 0 && s.winograd() {
			return s
		}
	}
}

func rms(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum / float64(len(v)))
}

func widened(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// TestWinogradIsAccurate holds every direction to the stated bound, against direct sums in float64.
func TestWinogradIsAccurate(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	p := parallel.New(2)
	defer p.Close()
	shapes := []Shape{square(4, 32, 16, 16, 3, 1, 1, 1), square(13, 8, 64, 64, 3, 1, 1, 1), square(3, 14, 128, 256, 3, 1, 1, 1)}
	for range 12 {
		shapes = append(shapes, randomTiles(rng))
	}
	for _, s := range shapes {
		if !s.winograd() {
			t.Fatalf("%+v is not computed by tiles", s)
		}
		nx, nw, ny := s.sizes()
		x, okX := guarded32(rng, nx)
		w, okW := guarded32(rng, nw)
		dy, okDy := guarded32(rng, ny)
		y, okY := guarded32(rng, ny)
		dx, okDx := guarded32(rng, nx)
		dw, okDw := guarded32(rng, nw)
		scratch := make([]float32, max(ScratchForward(s, 2), ScratchDataGrad(s, 2), ScratchWeightGrad(s, 2)))
		Forward(p, s, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, scratch)
		DataGrad(p, s, dx, dy, w, scratch)
		WeightGrad(p, s, dw, x, dy, scratch)
		if !okX() || !okW() || !okDy() || !okY() || !okDx() || !okDw() {
			t.Errorf("seed %d, %+v: something was written outside", seed, s)
		}
		wantY, wantDx, wantDw := make([]float64, ny), make([]float64, nx), make([]float64, nw)
		wide := make([]float64, max(ScratchForward(s, 2), ScratchDataGrad(s, 2), ScratchWeightGrad(s, 2)))
		Forward(p, s, wantY, widened(x), Filter[float64]{Raw: widened(w)}, Epilogue[float64]{}, wide)
		DataGrad(p, s, wantDx, widened(dy), widened(w), wide)
		WeightGrad(p, s, wantDw, widened(x), widened(dy), wide)
		for _, c := range []struct {
			what string
			got  []float32
			want []float64
		}{{"forward", y, wantY}, {"data gradient", dx, wantDx}, {"weight gradient", dw, wantDw}} {
			worst, sum := 0.0, 0.0
			for i, v := range c.want {
				d := math.Abs(float64(c.got[i]) - v)
				worst, sum = max(worst, d), sum+d*d
			}
			scale := rms(c.want)
			if worst > 2e-4*scale || math.Sqrt(sum/float64(len(c.want))) > 5e-6*scale {
				t.Errorf("seed %d, %+v: %s: largest error %.2g, rms %.2g of the rms of the result", seed, s, c.what, worst/scale, math.Sqrt(sum/float64(len(c.want)))/scale)
			}
		}
	}
}

// guarded32 is normal numbers between guard zones of NaN.
func guarded32(rng *rand.Rand, n int) ([]float32, func() bool) {
	s, ok := guard[float32](rng, n)
	copy(s, normal(rng, n))
	return s, ok
}

func TestTilesFinishTheirOutputs(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	for _, s := range []Shape{square(1, 32, 16, 16, 3, 1, 1, 1), square(4, 32, 16, 24, 3, 1, 1, 1), square(6, 13, 33, 40, 3, 1, 1, 1)} {
		nx, nw, ny := s.sizes()
		x, w, bias, add := normal(rng, nx), normal(rng, nw), normal(rng, s.O), normal(rng, ny)
		var first []float32
		for _, workers := range []int{1, 2, 8} {
			p := parallel.New(workers)
			plain, y, want := make([]float32, ny), make([]float32, ny), make([]float32, ny)
			scratch, packed := make([]float32, ScratchForward(s, workers)), make([]float32, PackedLen(s))
			Forward(p, s, plain, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, scratch)
			if first == nil {
				first = plain
			} else if !slices.Equal(plain, first) {
				t.Errorf("%+v: %d workers give other bits", s, workers)
			}
			Pack(p, s, packed, w)
			act := kernel.Activation{Kind: kernel.Silu}
			for i, v := range plain {
				want[i] = v + bias[i%s.O]
			}
			m := Moments{Mean: make([]float64, s.O), Squares: make([]float64, s.O)}
			Forward(p, s, y, x, Filter[float32]{Packed: packed}, Epilogue[float32]{Bias: bias, Moments: &m}, scratch)
			if !slices.Equal(y, want) {
				t.Errorf("%+v: bias differs", s)
			}
			if err := checkMoments(y, m, s.O); err != nil {
				t.Errorf("%+v: %v", s, err)
			}
			kernel.Add(want, want, add)
			kernel.Activate(want, want, act)
			Forward(p, s, y, x, Filter[float32]{Packed: packed}, Epilogue[float32]{Bias: bias, Add: add, Act: act}, scratch)
			if !slices.Equal(y, want) {
				t.Errorf("%+v: bias, addend and activation differ", s)
			}
			p.Close()
		}
	}
}

func TestGradientsByTilesHaveTheSameBitsForAnyNumberOfWorkers(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 0))
	for _, s := range []Shape{square(5, 30, 20, 36, 3, 1, 1, 1), square(64, 8, 64, 64, 3, 1, 1, 1)} {
		nx, nw, ny := s.sizes()
		x, w, dy := normal(rng, nx), normal(rng, nw), normal(rng, ny)
		var want []float32
		for _, workers := range []int{1, 2, 3, 8} {
			p := parallel.New(workers)
			dx, dw := make([]float32, nx), make([]float32, nw)
			DataGrad(p, s, dx, dy, w, make([]float32, ScratchDataGrad(s, workers)))
			WeightGrad(p, s, dw, x, dy, make([]float32, ScratchWeightGrad(s, workers)))
			p.Close()
			if got := slices.Concat(dx, dw); want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Fatalf("%+v: %d workers differ from one", s, workers)
			}
		}
	}
}

// A NaN shows in every output that depends on it, and reaches no tile that does not.
func TestNaNReachesItsTiles(t *testing.T) {
	s := square(4, 20, 16, 16, 3, 1, 1, 1)
	nx, nw, ny := s.sizes()
	rng := rand.New(rand.NewPCG(5, 0))
	x, w, y := normal(rng, nx), normal(rng, nw), make([]float32, ny)
	x[(6*20+9)*16+3] = float32(math.NaN()) // image 0, pixel (6, 9)
	Forward(nil, s, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, make([]float32, ScratchForward(s, 1)))
	for i, v := range y {
		pixel := i / 16
		n, r, c := pixel/400, pixel/20%20, pixel%20
		depends := n == 0 && 5 <= r && r <= 7 && 8 <= c && c <= 10
		may := n == 0 && 1 <= r && r <= 11 && 4 <= c && c <= 14
		if depends && v == v || !may && v != v {
			t.Fatalf("image %d, pixel (%d, %d): %v", n, r, c, v)
		}
	}
}

func BenchmarkTiles(b *testing.B) {
	for _, s := range []Shape{
		square(64, 32, 16, 16, 3, 1, 1, 1), square(64, 16, 32, 32, 3, 1, 1, 1), square(64, 8, 64, 64, 3, 1, 1, 1), // ResNet-20
		square(1, 32, 16, 16, 3, 1, 1, 1), square(4, 16, 32, 32, 3, 1, 1, 1),
		square(8, 56, 64, 64, 3, 1, 1, 1), square(8, 28, 128, 128, 3, 1, 1, 1), square(8, 14, 256, 256, 3, 1, 1, 1), square(8, 7, 512, 512, 3, 1, 1, 1), // ResNet-50
		square(1, 56, 64, 64, 3, 1, 1, 1), square(1, 28, 128, 128, 3, 1, 1, 1),
	} {
		nx, nw, ny := s.sizes()
		rng := rand.New(rand.NewPCG(1, 1))
		x, w, dy := normal(rng, nx), normal(rng, nw), normal(rng, ny)
		y, dx, dw := make([]float32, ny), make([]float32, nx), make([]float32, nw)
		p := parallel.New(2)
		scratch := make([]float32, 4*max(ScratchForward(s, 2), ScratchDataGrad(s, 2), ScratchWeightGrad(s, 2), 100*s.C*s.O))
		for _, f := range []struct {
			name         string
			tiles, plain func()
		}{
			{"forward", func() {
				j := getTiles[float32](s, false, 2)
				j.run(p, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, scratch)
				j.put()
			}, func() {
				j := get[float32]()
				j.forward(s.flat())
				j.run(p, y, x, Filter[float32]{Raw: w}, nil, scratch)
				put(j)
			}},
			{"data", func() {
				j := getTiles[float32](s, true, 2)
				j.run(p, dx, dy, Filter[float32]{Raw: w}, Epilogue[float32]{}, scratch)
				j.put()
			}, func() {
				j := get[float32]()
				j.dataGrad(s.flat())
				j.run(p, dx, dy, Filter[float32]{Raw: w}, nil, scratch)
				put(j)
			}},
			{"weights", func() { weightGradByTiles(p, s, dw, x, dy, scratch) }, func() { weightGrad(p, s.flat(), dw, x, dy, scratch) }},
		} {
			for how, run := range map[string]func(){"tiles": f.tiles, "direct": f.plain} {
				b.Run(fmt.Sprintf("%dx%dx%d %d-%d/%s/%s", s.N, s.H, s.W, s.C, s.O, f.name, how), func(b *testing.B) {
					for b.Loop() {
						run()
					}
				})
			}
		}
		p.Close()
	}
}
