package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// eachVariant runs a test under every implementation this processor has.
func eachVariant(t *testing.T, f func(t *testing.T)) {
	for _, name := range Variants() {
		t.Run(name, func(t *testing.T) {
			defer Use(name)()
			f(t)
		})
	}
}

// values is what random fills a slice with.
type values func(*rand.Rand) float32

var (
	integers values = func(r *rand.Rand) float32 { return float32(r.IntN(7) - 3) }
	normals  values = func(r *rand.Rand) float32 { return float32(r.NormFloat64()) }
)

func fill(rng *rand.Rand, s []float32, v values) []float32 {
	for i := range s {
		s[i] = v(rng)
	}
	return s
}

// differ compares exactly for integers, whose sums are exact, and else with the bound |got−want| ≤ 2·n·ε·Σ|terms| of a sum of n
// terms in any order; size is at least that sum.
func differ(got, want []float32, exact bool, n int, size float64) error {
	bound := 2 * float64(n+1) * 0x1p-24 * size
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if exact && got[i] != want[i] || !(d <= bound) {
			return fmt.Errorf("element %d: got %v, want %v", i, got[i], want[i])
		}
	}
	return nil
}

// widths are channel counts below, at and above the tiles.
var widths = []int{1, 3, 4, 5, 8, 11, 15, 16, 17, 27, 31, 32, 33, 47, 48}

func TestDotMatchesItsTwin(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		for _, cols := range widths {
			nr := PanelWidth[float32](cols)
			cols := min(cols, nr)
			for _, rows := range []int{1, 2, 5, 6, 7, 8, 9, 16, 19} {
				for _, kc := range []int{1, 2, 3, 4, 5, 9, 33} {
					taps := []int{0, 3*kc + 1, kc}[:1+rng.IntN(3)]
					var aRow, cRow []int
					for r := range rows {
						aRow = append(aRow, (rows-1-r)*7)
						cRow = append(cRow, r*(cols+2))
					}
					for _, exact := range []bool{true, false} {
						v := normals
						if exact {
							v = integers
						}
						add := rng.IntN(2) == 0
						a := fill(rng, guarded[float32](t, aRow[0]+slices.Max(taps)+kc), v)
						b := fill(rng, guarded[float32](t, len(taps)*kc*nr), v)
						c := fill(rng, guarded[float32](t, (rows-1)*(cols+2)+cols), v)
						want := slices.Clone(c)
						dotGo(want, cRow, a, aRow, taps, kc, b, nr, cols, add)
						Dot(c, cRow, a, aRow, taps, kc, b, nr, cols, add)
						if err := differ(c, want, exact, kc*len(taps), float64(kc*len(taps)+1)*20); err != nil {
							t.Fatalf("cols %d rows %d kc %d taps %d add %v: %v", cols, rows, kc, len(taps), add, err)
						}
						row := fill(rng, guarded[float32](t, cols), v)
						for _, r := range cRow {
							copy(c[r:], row)
						}
						Dot(c, cRow, a, aRow, taps, kc, b, nr, cols, true)
						from := slices.Clone(c)
						for i := range cRow {
							clear(from[cRow[i]:][:cols])
						}
						DotFrom(from, cRow, row, a, aRow, taps, kc, b, nr, cols)
						sameBits(t, "sums from a row", from, c)
					}
				}
			}
		}
	})
}

func TestOuterMatchesItsTwin(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(2, 1))
		for _, cols := range widths {
			nr := PanelWidth[float32](cols)
			cols := min(cols, nr)
			for _, rows := range []int{1, 3, 4, 5, 8, 9, 12, 13, 16, 17, 24, 25, 50} {
				for _, exact := range []bool{true, false} {
					v := normals
					if exact {
						v = integers
					}
					segs, n, add := 1+rng.IntN(3), 1+rng.IntN(9), rng.IntN(2) == 0
					aStep, bStep := rows+rng.IntN(3), cols+rng.IntN(3)
					aSeg, bSeg := n*aStep+5, n*bStep+1
					a := fill(rng, guarded[float32](t, (segs-1)*aSeg+(n-1)*aStep+rows+Slack), v)
					for i := range Slack {
						a[len(a)-1-i] = float32(math.NaN())
					}
					b := fill(rng, guarded[float32](t, (segs-1)*bSeg+(n-1)*bStep+cols), v)
					c := fill(rng, guarded[float32](t, (rows-1)*(nr+3)+nr), v)
					want := slices.Clone(c)
					outerGo(want, nr+3, a, aStep, aSeg, b, bStep, bSeg, segs, n, rows, nr, cols, add)
					Outer(c, nr+3, a, aStep, aSeg, b, bStep, bSeg, segs, n, rows, nr, cols, add)
					if err := differ(c, want, exact, segs*n, float64(segs*n+1)*20); err != nil {
						t.Fatalf("cols %d rows %d segs %d n %d add %v: %v", cols, rows, segs, n, add, err)
					}
				}
			}
		}
	})
}

func TestDotPassesOnNaNAndInf(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		const kc, cols = 6, 5
		nr := PanelWidth[float32](cols)
		a, b := make([]float32, 3*kc), make([]float32, 3*kc*48)
		for i := range b {
			b[i] = 1
		}
		a[kc+2] = float32(math.Inf(1))
		a[2*kc+5] = float32(math.NaN())
		c := make([]float32, 3*cols)
		for col := 0; col < cols; col += nr {
			Dot(c[col:], []int{0, cols, 2 * cols}, a, []int{0, kc, 2 * kc}, []int{0}, kc, b[:kc*nr], nr, min(nr, cols-col), false)
		}
		for i, x := range c {
			if y := float64(x); i < cols && y != 0 || i >= cols && i < 2*cols && !math.IsInf(y, 1) || i >= 2*cols && !math.IsNaN(y) {
				t.Errorf("element %d: %v", i, x)
			}
		}
	})
}

func TestDotDoesNotDependOnTheCutOfTheRows(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 1))
		const rows, kc = 13, 37
		for _, cols := range []int{16, 32, 48} {
			nr := PanelWidth[float32](cols)
			a, b := fill(rng, make([]float32, rows*kc), normals), fill(rng, make([]float32, kc*nr), normals)
			var row, out []int
			for r := range rows {
				row, out = append(row, r*kc), append(out, r*nr)
			}
			whole, cut := make([]float32, rows*nr), make([]float32, rows*nr)
			Dot(whole, out, a, row, []int{0}, kc, b, nr, nr, false)
			for r := 0; r < rows; r += 3 {
				e := min(r+3, rows)
				Dot(cut, out[r:e], a, row[r:e], []int{0}, kc, b, nr, nr, false)
			}
			if !slices.Equal(whole, cut) {
				t.Errorf("%d columns: the bits differ", cols)
			}
		}
	})
}

func TestPanelWidthCoversTheColumns(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		for cols := 1; cols < 300; cols++ {
			sum := 0
			for sum < cols {
				nr := PanelWidth[float32](cols - sum)
				if nr < 1 || nr > 3*Lanes {
					t.Fatalf("%d columns: a panel of %d", cols-sum, nr)
				}
				sum += nr
			}
			if sum > (cols+Lanes-1)/Lanes*Lanes {
				t.Errorf("%d columns take panels of %d", cols, sum)
			}
		}
	})
}

func TestAlignReturnsTheStartOfACacheLine(t *testing.T) {
	s := make([]float32, 64)
	for i := range 32 {
		got := Align(s[i:])
		if d := len(s[i:]) - len(got); d >= Lanes {
			t.Errorf("offset %d: dropped %d", i, d)
		}
	}
	if got := Align([]float32(nil)); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
