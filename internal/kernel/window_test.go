package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestWindowMaxAndItsGradientMatchPlainLoops(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		const seed = 6
		rng := rand.New(rand.NewPCG(seed, 0))
		odd := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Copysign(0, -1)), 0, -math.MaxFloat32}
		for i := range 2000 {
			n, taps := 1+rng.IntN(70), make([]int, 1+rng.IntN(12))
			for k := 1; k < len(taps); k++ {
				taps[k] = taps[k-1] + n + rng.IntN(2)
			}
			rng.Shuffle(len(taps), func(i, k int) { taps[i], taps[k] = taps[k], taps[i] })
			size := slices.Max(taps) + n
			x, dx := fill(rng, guarded[float32](t, size), integers), fill(rng, guarded[float32](t, size), normals)
			for range rng.IntN(20) {
				x[rng.IntN(size)] = odd[rng.IntN(len(odd))]
			}
			y, dy := guarded[float32](t, n), fill(rng, guarded[float32](t, n), normals)
			wantY, wantDx := make([]float32, n), slices.Clone(dx)
			for c := range n {
				at := taps[0] + c
				for _, t := range taps {
					if v := x[t+c]; v > x[at] || v != v {
						at = t + c
					}
				}
				wantY[c] = x[at]
				wantDx[at] += dy[c]
			}
			WindowMax(y, x, taps)
			WindowMaxGrad(dx, dy, x, taps)
			what := fmt.Sprintf("seed %d, draw %d: taps %v", seed, i, taps)
			sameBits(t, what, y, wantY)
			sameBits(t, "gradient, "+what, dx, wantDx)
		}
	})
}
