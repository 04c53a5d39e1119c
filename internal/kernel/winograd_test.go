package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// winogradTransforms lists the transforms with the sides of their squares.
func winogradTransforms[T Float]() map[string]struct {
	run     func(dst, src Squares[T], count, n int, room *WinogradRoom[T])
	in, out int
} {
	return map[string]struct {
		run     func(dst, src Squares[T], count, n int, room *WinogradRoom[T])
		in, out int
	}{
		"input": {WinogradInput[T], 6, 6}, "output": {WinogradOutput[T], 6, 4}, "spread": {WinogradSpread[T], 4, 6},
		"filter": {WinogradFilter[T], 3, 6}, "filter gradient": {WinogradFilterGrad[T], 6, 3},
	}
}

func TestWinogradTransformsEqualTheirTwins(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(11, 1))
		var room WinogradRoom[float32]
		for name, f := range winogradTransforms[float32]() {
			for _, n := range []int{1, 7, 8, 15, 16, 17, 40, 64} {
				const count = 3
				src := fill(rng, guarded[float32](t, count*f.in*f.in*n), odd)
				got, want := guarded[float32](t, count*f.out*f.out*n), make([]float32, count*f.out*f.out*n)
				from := Squares[float32]{src, 0, f.in * n, n, f.in * f.in * n}
				if n%2 == 1 { // turned around
					from = Squares[float32]{src, (f.in*f.in - 1) * n, -f.in * n, -n, f.in * f.in * n}
				}
				twin(func() { f.run(Squares[float32]{want, 0, f.out * n, n, f.out * f.out * n}, from, count, n, &room) })
				f.run(Squares[float32]{got, 0, f.out * n, n, f.out * f.out * n}, from, count, n, &room)
				sameBits(t, fmt.Sprintf("%s of %d", name, n), got, want)
			}
		}
	})
}

// The transforms are what they are for: in float64 they give a convolution and its weight gradient.
func TestWinogradTransformsConvolve(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 1))
	draw := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return v
	}
	square := func(v []float64, side int) Squares[float64] { return Squares[float64]{v, 0, side, 1, 0} }
	d, g, dy := draw(36), draw(9), draw(16)
	v, u, e, m := make([]float64, 36), make([]float64, 36), make([]float64, 36), make([]float64, 36)
	var room WinogradRoom[float64]
	WinogradInput(square(v, 6), square(d, 6), 1, 1, &room)
	WinogradFilter(square(u, 6), square(g, 3), 1, 1, &room)
	WinogradSpread(square(e, 6), square(dy, 4), 1, 1, &room)
	y, dg := make([]float64, 16), make([]float64, 9)
	for i := range m {
		m[i] = v[i] * u[i]
	}
	WinogradOutput(square(y, 4), square(m, 6), 1, 1, &room)
	for i := range m {
		m[i] = v[i] * e[i]
	}
	WinogradFilterGrad(square(dg, 3), square(m, 6), 1, 1, &room)
	wantY, wantG := make([]float64, 16), make([]float64, 9)
	for i := range 4 {
		for j := range 4 {
			for p := range 3 {
				for q := range 3 {
					wantY[i*4+j] += d[(i+p)*6+j+q] * g[p*3+q]
					wantG[p*3+q] += d[(i+p)*6+j+q] * dy[i*4+j]
				}
			}
		}
	}
	for i, want := range append(wantY, wantG...) {
		if got := append(y, dg...)[i]; got-want > 1e-12 || want-got > 1e-12 {
			t.Errorf("element %d is %v, want %v", i, got, want)
		}
	}
}

func BenchmarkWinogradTransforms(b *testing.B) {
	const n = 64
	var room WinogradRoom[float32]
	for name, f := range winogradTransforms[float32]() {
		src, dst := make([]float32, 36*n), make([]float32, 36*n)
		for _, variant := range Variants() {
			b.Run(name+"/"+variant, func(b *testing.B) {
				defer Use(variant)()
				for b.Loop() {
					f.run(Squares[float32]{dst, 0, f.out * n, n, 0}, Squares[float32]{src, 0, f.in * n, n, 0}, 1, n, &room)
				}
			})
		}
	}
}
