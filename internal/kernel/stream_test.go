package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Long results go past the caches, if vectors are whole and aligned; they are the same then, and where they are not.
func TestLongColumnsEqualTheirTwins(t *testing.T) {
	if testing.Short() {
		t.Skip("megabytes of results under every variant")
	}
	const n, rows = 32, 1 << 15
	rng := rand.New(rand.NewPCG(14, 1))
	long := func(offset int) []float32 { return Align(make([]float32, n*rows+2*Lanes))[offset : n*rows+offset] }
	x, dy, add := fill(rng, long(0), normals), fill(rng, long(0), normals), fill(rng, long(0), normals)
	p := make([][]float32, 5)
	for i := range p {
		p[i] = fill(rng, make([]float32, n), normals)
	}
	kernels := map[string]func(y []float32){
		"ScaleShift": func(y []float32) { ScaleShift(y, x, p[0], p[1], false) },
		"ScaleTwo":   func(y []float32) { ScaleTwo(y, dy, x, p[0], p[1], p[2]) },
	}
	for _, act := range []Activation{{Kind: Rectify}, {Kind: Clip, A: -0.5, B: 0.75}, {Kind: HardSwish}, {Kind: Silu}} {
		name := fmt.Sprintf("activation %d", act.Kind)
		kernels[name] = func(y []float32) { ScaleShiftAct(y, x, p[0], p[1], nil, act) }
		kernels[name+" of a sum"] = func(y []float32) { ScaleShiftAct(y, x, p[0], p[1], add, act) }
		kernels["gradient of "+name] = func(y []float32) { ScaleTwoAct(y, dy, x, p[0], p[1], act, p[2], p[3], p[4]) }
		if act.FromY() {
			kernels["gradient from the result of "+name] = func(y []float32) {
				sum, products := make([]float32, n), make([]float32, n)
				ActSums(sum, products, y, dy, x, add, p[2], nil, nil, act)
			}
		}
	}
	want := map[string][]float32{}
	for name, f := range kernels {
		want[name] = make([]float32, n*rows)
		twin(func() { f(want[name]) })
	}
	eachVariant(t, func(t *testing.T) {
		for name, f := range kernels {
			for _, offset := range []int{0, 3} {
				y := long(offset)
				f(y)
				sameBits(t, name, y, want[name])
			}
		}
	})
}
