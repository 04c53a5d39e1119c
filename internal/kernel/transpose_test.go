package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestTransposeTurnsEverything(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(13, 1))
		for _, rows := range []int{1, 7, 8, 9, 16, 30} {
			for _, cols := range []int{1, 5, 8, 15, 16, 24, 100, 6000} {
				for _, more := range []int{0, 3} {
					lds, ldd := cols+more, rows+more
					src := fill(rng, guarded[float32](t, rows*lds-more), odd)
					got := fill(rng, guarded[float32](t, cols*ldd-more), odd)
					want := append([]float32(nil), got...)
					for r := range rows {
						for c := range cols {
							want[c*ldd+r] = src[r*lds+c]
						}
					}
					Transpose(got, ldd, src, lds, rows, cols)
					sameBits(t, fmt.Sprintf("%d×%d with %d between", rows, cols, more), got, want)
				}
			}
		}
	})
}

func BenchmarkTranspose(b *testing.B) {
	const rows, cols = 48, 1024
	src, dst := make([]float32, rows*cols), make([]float32, rows*cols)
	for _, variant := range Variants() {
		b.Run(variant, func(b *testing.B) {
			defer Use(variant)()
			b.SetBytes(8 * rows * cols)
			for b.Loop() {
				Transpose(dst, rows, src, cols, rows, cols)
			}
		})
	}
}
