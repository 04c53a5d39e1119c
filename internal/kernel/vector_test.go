package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// twin runs f on the Go twins.
func twin(f func()) {
	defer Use("go")()
	f()
}

// sameBits compares bit patterns, so that the signs of zeros count, and lets any NaN equal any other.
func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			t.Fatalf("%s of %d, element %d: got %v, want %v", what, len(want), i, got[i], want[i])
		}
	}
}

// odd draws normal numbers and now and then a special one.
func odd(r *rand.Rand) float32 {
	special := []float32{0, float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, 1e-45}
	if r.IntN(8) == 0 {
		return special[r.IntN(len(special))]
	}
	return float32(r.NormFloat64())
}

func TestVectorKernelsEqualTheirTwins(t *testing.T) {
	kernels := map[string]func(dst, a, b []float32){
		"Add":       Add[float32],
		"Sub":       Sub[float32],
		"Mul":       Mul[float32],
		"AddScaled": func(dst, a, b []float32) { AddScaled(dst, a, 0.3, b) },
		"Scale":     func(dst, a, b []float32) { Scale(dst, -1.7, a) },
		"Relu":      func(dst, a, b []float32) { Relu(dst, a) },
		"ReluGrad":  ReluGrad[float32],
	}
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(6, 1))
		for name, f := range kernels {
			for n := range 151 {
				if n == 150 {
					n = 70001 // several stretches of assembly
				}
				a, b, got := fill(rng, guarded[float32](t, n), odd), fill(rng, guarded[float32](t, n), odd), guarded[float32](t, n)
				want := make([]float32, n)
				twin(func() { f(want, a, b) })
				f(got, a, b)
				sameBits(t, name, got, want)
				f(a, a, b)
				sameBits(t, name+" in place", a, want)
			}
		}
	})
}

func TestColumnMapsEqualTheirTwins(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 1))
		for _, n := range append(widths, 64, 100, 5000) {
			for _, rows := range []int{0, 1, 3, 4, 5, 9, 300} {
				if n*rows > 1<<16 {
					continue
				}
				x, dy, got := fill(rng, guarded[float32](t, n*rows), odd), fill(rng, guarded[float32](t, n*rows), odd), guarded[float32](t, n*rows)
				p, q, s := fill(rng, guarded[float32](t, n), odd), fill(rng, guarded[float32](t, n), odd), fill(rng, guarded[float32](t, n), odd)
				want := make([]float32, n*rows)
				for _, rectify := range []bool{false, true} {
					twin(func() { ScaleShift(want, x, p, q, rectify) })
					ScaleShift(got, x, p, q, rectify)
					sameBits(t, "ScaleShift", got, want)
				}
				twin(func() { ScaleTwo(want, dy, x, p, q, s) })
				ScaleTwo(got, dy, x, p, q, s)
				sameBits(t, "ScaleTwo", got, want)
				ScaleTwo(dy, dy, x, p, q, s)
				sameBits(t, "ScaleTwo in place", dy, want)
			}
		}
	})
}

func TestColumnSumsMatchTheirTwins(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(8, 1))
		for _, n := range append(widths, 64, 100, 5000) {
			for _, rows := range []int{0, 1, 3, 4, 5, 9, 300} {
				if n*rows > 1<<16 {
					continue
				}
				for _, exact := range []bool{true, false} {
					v := normals
					if exact {
						v = integers
					}
					x, dy := fill(rng, guarded[float32](t, n*rows), v), fill(rng, guarded[float32](t, n*rows), v)
					pivot, sum, product := fill(rng, guarded[float32](t, n), v), fill(rng, guarded[float32](t, n), v), fill(rng, guarded[float32](t, n), v)
					wantSum, wantProduct := append([]float32(nil), sum...), append([]float32(nil), product...)
					for name, f := range map[string]func(sum, product []float32){
						"Moments":     func(s, p []float32) { Moments(s, p, x, pivot) },
						"ProductSums": func(s, p []float32) { ProductSums(s, p, dy, x, pivot) },
					} {
						twin(func() { f(wantSum, wantProduct) })
						f(sum, product)
						size := float64(rows+1) * 60
						if err := differ(sum, wantSum, exact, 2*rows, size); err != nil {
							t.Fatalf("%s of %d×%d: sums: %v", name, rows, n, err)
						}
						if err := differ(product, wantProduct, exact, 2*rows, size); err != nil {
							t.Fatalf("%s of %d×%d: products: %v", name, rows, n, err)
						}
					}
				}
			}
		}
	})
}

func BenchmarkVector(b *testing.B) {
	const rows = 1024
	for _, n := range []int{16, 27, 64} {
		x, y, z := make([]float32, rows*n), make([]float32, rows*n), make([]float32, rows*n)
		p, q, s := make([]float32, n), make([]float32, n), make([]float32, n)
		for _, k := range []struct {
			name string
			run  func()
		}{
			{"Add", func() { Add(z, x, y) }},
			{"ReluGrad", func() { ReluGrad(z, x, y) }},
			{"ScaleShift", func() { ScaleShift(z, x, p, q, true) }},
			{"ScaleTwo", func() { ScaleTwo(z, y, x, p, q, s) }},
			{"Moments", func() { Moments(p, q, x, s) }},
			{"ProductSums", func() { ProductSums(p, q, y, x, s) }},
		} {
			for _, variant := range Variants() {
				b.Run(k.name+"/"+variant+"/"+map[int]string{16: "16", 27: "27", 64: "64"}[n], func(b *testing.B) {
					defer Use(variant)()
					b.SetBytes(int64(4 * len(x)))
					for b.Loop() {
						k.run()
					}
				})
			}
		}
	}
}
