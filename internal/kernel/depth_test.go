package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomSlide draws a window on a row of an image, with gaps between pixels, outputs and columns, and rows of it. size is the size
// of segs image rows and of the window, as far as they are reached.
func randomSlide(rng *rand.Rand, segs int) (g Slide, rows []WindowRow, xSize, wSize int) {
	g = Slide{N: 1 + rng.IntN(24), Width: 1 + rng.IntN(24), KW: 1 + rng.IntN(8), Stride: 1 + rng.IntN(3), Channels: 1 + rng.IntN(70)}
	if rng.IntN(3) == 0 {
		g.Channels = 16 * (1 + g.Channels/16)
	}
	g.XStep, g.YStep, g.WStep = g.Channels+rng.IntN(3), g.Channels+rng.IntN(3), g.Channels+rng.IntN(3)
	left := rng.IntN(g.KW+4) - 2
	w := 0
	if rng.IntN(2) == 0 {
		w, g.WStep = (g.KW-1)*g.WStep, -g.WStep
	}
	for range rng.IntN(12) {
		rows = append(rows, WindowRow{X: rng.IntN(20), W: w, Left: left})
		w += g.KW * max(g.WStep, -g.WStep)
		if rng.IntN(6) == 0 {
			left++
		}
	}
	return g, rows, 19 + (g.Width-1)*g.XStep + g.Channels, max(1, len(rows)*g.KW*max(g.WStep, -g.WStep))
}

func TestDepthRowMatchesItsTwin(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		const seed = 3
		rng := rand.New(rand.NewPCG(seed, 1))
		for i := range 2000 {
			g, rows, xSize, wSize := randomSlide(rng, 1)
			exact := rng.IntN(2) == 0
			v := normals
			if exact {
				v = integers
			}
			x, w := fill(rng, guarded[float32](t, xSize), v), fill(rng, guarded[float32](t, wSize), v)
			y := fill(rng, guarded[float32](t, (g.N-1)*g.YStep+g.Channels), v)
			var bias []float32
			if rng.IntN(2) == 0 {
				bias = fill(rng, guarded[float32](t, g.Channels), v)
			}
			var f Finish[float32]
			if rng.IntN(3) == 0 {
				f.Bounded, f.Low, f.High = true, -3, 5
			}
			if rng.IntN(3) == 0 {
				f.Pivot = fill(rng, guarded[float32](t, g.Channels), v)
				f.Sum, f.Squares = fill(rng, guarded[float32](t, g.Channels), v), fill(rng, guarded[float32](t, g.Channels), v)
			}
			twin, want := f, slices.Clone(y)
			twin.Sum, twin.Squares = slices.Clone(f.Sum), slices.Clone(f.Squares)
			depthRowGo(&g, want, x, w, bias, rows, twin)
			DepthRow(&g, y, x, w, bias, rows, f)
			n := len(rows)*g.KW + 1
			for c := range f.Sum {
				// What y differs by enters both sums; the rest is the rounding of a sum in another order.
				size := float64(g.N+1) * float64(n) * 20
				if err := differ(f.Sum[c:c+1], twin.Sum[c:c+1], exact, g.N+n, size); err != nil {
					t.Fatalf("seed %d, draw %d: %+v: sum of channel %d: %v", seed, i, g, c, err)
				}
				if err := differ(f.Squares[c:c+1], twin.Squares[c:c+1], exact, g.N+n, size*float64(n)*20); err != nil {
					t.Fatalf("seed %d, draw %d: %+v: squares of channel %d: %v", seed, i, g, c, err)
				}
			}
			if err := differ(y, want, exact, n, float64(n)*20); err != nil {
				t.Fatalf("seed %d, draw %d: %+v, rows %v: %v", seed, i, g, rows, err)
			}
		}
	})
}

func TestDepthSumsMatchesItsTwin(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		const seed = 4
		rng := rand.New(rand.NewPCG(seed, 1))
		for i := range 2000 {
			segs := 1 + rng.IntN(4)
			g, rows, xSize, wSize := randomSlide(rng, segs)
			exact := rng.IntN(2) == 0
			v := normals
			if exact {
				v = integers
			}
			xSeg, ySeg := rng.IntN(100), g.N*g.YStep+rng.IntN(5)
			x := fill(rng, guarded[float32](t, xSize+(segs-1)*xSeg), v)
			dy := fill(rng, guarded[float32](t, (segs-1)*ySeg+(g.N-1)*g.YStep+g.Channels), v)
			dw := fill(rng, guarded[float32](t, wSize), v)
			want := slices.Clone(dw)
			depthSumsGo(&g, want, x, dy, rows, xSeg, ySeg, segs)
			DepthSums(&g, dw, x, dy, rows, xSeg, ySeg, segs)
			n := segs*g.N + 1
			if err := differ(dw, want, exact, n, float64(n)*20); err != nil {
				t.Fatalf("seed %d, draw %d: %+v, rows %v, %d segments: %v", seed, i, g, rows, segs, err)
			}
		}
	})
}

func TestDepthPassesOnNaNAndInf(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		const n, channels = 12, 19
		g := Slide{N: n, Width: n, KW: 3, Stride: 1, Channels: channels, XStep: channels, YStep: channels, WStep: channels}
		x, w, y := make([]float32, n*channels), make([]float32, 3*channels), make([]float32, n*channels)
		for i := range w {
			w[i] = 1
		}
		x[4*channels+17], x[9*channels+2] = float32(math.NaN()), float32(math.Inf(-1))
		rows := []WindowRow{{Left: 1}}
		DepthRow(&g, y, x, w, nil, rows, Finish[float32]{Bounded: true, Low: float32(math.Inf(-1)), High: 1})
		for j := range n {
			for c := range channels {
				v := float64(y[j*channels+c])
				nan, inf := c == 17 && 3 <= j && j <= 5, c == 2 && 8 <= j && j <= 10
				if math.IsNaN(v) != nan || math.IsInf(v, -1) != inf || !nan && !inf && v != 0 {
					t.Errorf("output %d, channel %d: %v", j, c, v)
				}
			}
		}
		dy := make([]float32, n*channels)
		for i := range dy {
			dy[i] = 1
		}
		DepthSums(&g, w, x, dy, rows, 0, 0, 1)
		for i, v := range w {
			nan, inf := i%channels == 17, i%channels == 2
			if math.IsNaN(float64(v)) != nan || math.IsInf(float64(v), -1) != inf || !nan && !inf && v != 1 {
				t.Errorf("column %d, channel %d: %v", i/channels, i%channels, v)
			}
		}
	})
}
