package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// eachActivation calls f with every kind and parameters that suit it.
func eachActivation(f func(name string, act Activation)) {
	for kind := range activationKinds {
		for _, p := range [][2]float64{{0.1, 0.5}, {-0.75, 1.25}} {
			f(fmt.Sprintf("activation %d with %v", kind, p), Activation{Kind: kind, A: p[0], B: p[1]})
		}
	}
}

func TestActivationsEqualTheirTwins(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 1))
		wide := func(r *rand.Rand) float32 { // beyond the range of every bend
			if r.IntN(3) == 0 {
				return 100 * float32(r.NormFloat64())
			}
			return 3 * odd(r)
		}
		eachActivation(func(name string, act Activation) {
			for _, n := range []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 100, 20001} {
				x, dy, got := fill(rng, guarded[float32](t, n), wide), fill(rng, guarded[float32](t, n), odd), guarded[float32](t, n)
				want := make([]float32, n)
				twin(func() { Activate(want, x, act) })
				Activate(got, x, act)
				sameBits(t, name, got, want)
				twin(func() { ActivateGrad(want, dy, x, act) })
				ActivateGrad(got, dy, x, act)
				sameBits(t, "gradient of "+name, got, want)
				ActivateGrad(dy, dy, x, act)
				sameBits(t, "gradient in place of "+name, dy, want)
			}
		})
	})
}

// The bounds that Activate states, on every 997th float32 and near zero.
func TestActivationsAreAccurate(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		var x []float32
		for bits := uint64(0); bits < 1<<32; bits += 9973 {
			if v := math.Float32frombits(uint32(bits)); v-v == 0 {
				x = append(x, v)
			}
		}
		for v := float32(-100); v < 100; v += 0.0071 {
			x = append(x, v)
		}
		y := make([]float32, len(x))
		for _, c := range []struct {
			act   Activation
			f     func(x float64) float64
			bound func(x float64) float64
		}{
			{Activation{Kind: Sigmoid}, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, func(float64) float64 { return 2e-7 }},
			{Activation{Kind: Silu}, func(x float64) float64 { return x / (1 + math.Exp(-x)) }, func(x float64) float64 { return 2e-7 * math.Max(1, math.Abs(x)) }},
		} {
			Activate(y, x, c.act)
			for i, v := range x {
				if got, want := float64(y[i]), c.f(float64(v)); math.Abs(got-want) > c.bound(float64(v)) {
					t.Fatalf("activation %d of %v is %v, want %v", c.act.Kind, v, got, want)
				}
			}
		}
	})
}

// ActivateGrad is the derivative of Activate in float64, by differences.
func TestActivationsHaveTheirGradients(t *testing.T) {
	eachActivation(func(name string, act Activation) {
		for x := -4.0312; x < 4; x += 0.1113 {
			const h = 1e-6
			y, dx := make([]float64, 2), make([]float64, 1)
			Activate(y, []float64{x - h, x + h}, act)
			ActivateGrad(dx, []float64{1}, []float64{x}, act)
			if want := (y[1] - y[0]) / (2 * h); math.Abs(dx[0]-want) > 1e-7 {
				t.Errorf("%s: derivative at %v is %v, difference %v", name, x, dx[0], want)
			}
		}
	})
}

func TestColumnsWithActivationsEqualTheirParts(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(10, 1))
		for _, n := range []int{1, 10, 16, 24, 40, 1024, 1030, 2500} {
			for _, rows := range []int{0, 1, 3, 50} {
				size := n * rows
				x, dy, add := fill(rng, guarded[float32](t, size), normals), fill(rng, guarded[float32](t, size), normals), fill(rng, guarded[float32](t, size), normals)
				p, q := fill(rng, guarded[float32](t, n), normals), fill(rng, guarded[float32](t, n), normals)
				a, b, d := fill(rng, guarded[float32](t, n), normals), fill(rng, guarded[float32](t, n), normals), fill(rng, guarded[float32](t, n), normals)
				z, want, got := make([]float32, size), make([]float32, size), guarded[float32](t, size)
				eachActivation(func(name string, act Activation) {
					ScaleShift(z, x, p, q, false)
					Activate(want, z, act)
					ScaleShiftAct(got, x, p, q, nil, act)
					sameBits(t, name, got, want)
					dz := make([]float32, size)
					ActivateGrad(dz, dy, z, act)
					ScaleTwo(want, dz, x, a, b, d)
					ScaleTwoAct(got, dy, x, p, q, act, a, b, d)
					sameBits(t, "gradient of "+name, got, want)
					sums, sought := [2][]float32{make([]float32, n), make([]float32, n)}, [2][]float32{make([]float32, n), make([]float32, n)}
					ProductSums(sought[0], sought[1], dz, x, d)
					ActSums(sums[0], sums[1], got, dy, x, nil, d, p, q, act)
					sameBits(t, "gradient before the sums of "+name, got, dz)
					again := [2][]float32{make([]float32, n), make([]float32, n)}
					ActSums(again[0], again[1], nil, dy, x, nil, d, p, q, act)
					if act.FromY() {
						y, stored := make([]float32, size), guarded[float32](t, size)
						Activate(y, z, act)
						ActivateGrad(dz, dy, y, act)
						other := [2][]float32{make([]float32, n), make([]float32, n)}
						ActSums(other[0], other[1], stored, dy, x, y, d, nil, nil, act)
						sameBits(t, "gradient from the result of "+name, stored, dz)
						for i := range other {
							if err := differ(other[i], sought[i], false, 4*rows, 60*float64(rows+1)); err != nil {
								t.Fatalf("%s from its result: sums of %d×%d: %v", name, rows, n, err)
							}
						}
					}
					for i := range sums {
						if err := differ(again[i], sought[i], false, 4*rows, 60*float64(rows+1)); err != nil {
							t.Fatalf("%s: sums alone of %d×%d: %v", name, rows, n, err)
						}
						if err := differ(sums[i], sought[i], false, 4*rows, 60*float64(rows+1)); err != nil {
							t.Fatalf("%s: sums of %d×%d: %v", name, rows, n, err)
						}
					}
					Add(z, z, add)
					Activate(want, z, act)
					ScaleShiftAct(got, x, p, q, add, act)
					sameBits(t, name+" of a sum", got, want)
					ScaleShiftAct(add, x, p, q, add, act)
					sameBits(t, name+" of a sum, in place", add, want)
					fill(rng, add, normals)
				})
			}
		}
	})
}

func BenchmarkActivations(b *testing.B) {
	const n = 1 << 12
	x, y := make([]float32, n), make([]float32, n)
	rng := rand.New(rand.NewPCG(1, 1))
	fill(rng, x, normals)
	for _, kind := range []ActivationKind{Clip, HardSwish, Sigmoid, Silu} {
		for _, variant := range Variants() {
			b.Run(fmt.Sprintf("%d/%s", kind, variant), func(b *testing.B) {
				defer Use(variant)()
				b.SetBytes(8 * n)
				for b.Loop() {
					Activate(y, x, Activation{Kind: kind, A: 0, B: 6})
				}
			})
			b.Run(fmt.Sprintf("grad %d/%s", kind, variant), func(b *testing.B) {
				defer Use(variant)()
				b.SetBytes(12 * n)
				for b.Loop() {
					ActivateGrad(y, x, x, Activation{Kind: kind, A: 0, B: 6})
				}
			})
		}
	}
}
