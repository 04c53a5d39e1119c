package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// naive is the definition of Gemm in float64.
func naive[T kernel.Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	for i := range m {
		for j := range n {
			var sum float64
			for l := range k {
				x, y := i*lda+l, l*ldb+j
				if transA {
					x = l*lda + i
				}
				if transB {
					y = j*ldb + l
				}
				sum += float64(a[x]) * float64(b[y])
			}
			old := float64(0)
			if beta != 0 {
				old = float64(beta) * float64(c[i*ldc+j])
			}
			c[i*ldc+j] = T(float64(alpha)*sum + old)
		}
	}
}

func random[T kernel.Float](rng *rand.Rand, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = T(rng.IntN(9) - 4)
	}
	return s
}

var sizes = []struct{ m, n, k int }{
	{1, 1, 1}, {3, 5, 7}, {4, 4, 4}, {8, 16, 9}, {9, 17, 33}, {64, 10, 64}, {5, 100, 3}, {97, 49, 257}, {200, 33, 20},
	{2, 1100, 9}, {33, 20, 600}, {1, 1000, 300}, {16, 70, 40}, {7, 64, 5}, {0, 3, 3}, {3, 0, 3}, {3, 3, 0},
}

func TestGemmMatchesTheDefinition(t *testing.T) {
	for _, name := range kernel.Variants() {
		t.Run("float32/"+name, func(t *testing.T) {
			defer kernel.Use(name)()
			testDefinition[float32](t)
		})
	}
	t.Run("float64", testDefinition[float64])
}

func testDefinition[T kernel.Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := parallel.New(2)
	defer p.Close()
	for _, s := range sizes {
		for f := range 4 {
			transA, transB := f&1 != 0, f&2 != 0
			for _, scale := range []struct{ alpha, beta T }{{1, 0}, {2, 1}, {-1, 3}, {0, 2}} {
				lda, ldb, ldc := s.k+3, s.n+1, s.n+2
				rowsA, rowsB := s.m, s.k
				if transA {
					lda, rowsA = s.m+3, s.k
				}
				if transB {
					ldb, rowsB = s.k+1, s.n
				}
				a, b, c := random[T](rng, rowsA*lda), random[T](rng, rowsB*ldb), random[T](rng, s.m*ldc)
				if scale.beta == 0 {
					for i := range s.m {
						for j := range s.n {
							c[i*ldc+j] = T(math.NaN())
						}
					}
				}
				want := slices.Clone(c)
				naive(transA, transB, s.m, s.n, s.k, scale.alpha, a, lda, b, ldb, scale.beta, want, ldc)
				Gemm(p, transA, transB, s.m, s.n, s.k, scale.alpha, a, lda, b, ldb, scale.beta, c, ldc)
				if !slices.Equal(c, want) { // small integers: every order of the sum is exact
					t.Fatalf("%v transA=%v transB=%v alpha=%v beta=%v differs", s, transA, transB, scale.alpha, scale.beta)
				}
			}
		}
	}
}

func TestGemmDoesNotDependOnTheWorkers(t *testing.T) {
	for _, name := range kernel.Variants() {
		t.Run(name, func(t *testing.T) {
			defer kernel.Use(name)()
			testWorkers(t)
		})
	}
}

func testWorkers(t *testing.T) {
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 8 {
		m, n, k := 1+rng.IntN(150), 1+rng.IntN(150), 1+rng.IntN(400)
		a, b := make([]float32, m*k), make([]float32, k*n)
		for i := range a {
			a[i] = float32(rng.NormFloat64())
		}
		for i := range b {
			b[i] = float32(rng.NormFloat64())
		}
		var want []float32
		for _, workers := range []int{1, 2, 3, 8} {
			p := parallel.New(workers)
			c := make([]float32, m*n)
			Gemm(p, false, false, m, n, k, 1, a, k, b, n, 0, c, n)
			p.Close()
			if want == nil {
				want = c
			} else if !slices.Equal(c, want) {
				t.Fatalf("seed %d: %d×%d×%d with %d workers differs from one worker", seed, m, n, k, workers)
			}
		}
	}
}

func TestGemmRefusesShortSlices(t *testing.T) {
	defer func() {
		if v := recover(); v != "gemm: b: 5 elements do not hold 2×3 with rows of 3" {
			t.Errorf("recovered %v", v)
		}
	}()
	Gemm(nil, false, false, 2, 3, 2, 1, make([]float32, 4), 2, make([]float32, 5), 3, 0, make([]float32, 6), 3)
}

func BenchmarkGemm(b *testing.B) {
	for _, s := range []struct {
		m, n, k        int
		transA, transB bool
	}{{512, 512, 512, false, false}, {1024, 1024, 1024, false, false}, {512, 512, 512, true, true}, {64, 10, 64, false, true}, {64, 1000, 512, false, true}} {
		for i := range 2 * len(kernel.Variants()) {
			name, workers := kernel.Variants()[i/2], i%2+1
			b.Run(fmt.Sprintf("%dx%dx%d/transA=%v/transB=%v/%s/workers=%d", s.m, s.n, s.k, s.transA, s.transB, name, workers), func(b *testing.B) {
				defer kernel.Use(name)()
				p := parallel.New(workers)
				defer p.Close()
				x, y, z := make([]float32, s.m*s.k), make([]float32, s.k*s.n), make([]float32, s.m*s.n)
				lda, ldb := s.k, s.n
				if s.transA {
					lda = s.m
				}
				if s.transB {
					ldb = s.k
				}
				for b.Loop() {
					Gemm(p, s.transA, s.transB, s.m, s.n, s.k, 1, x, lda, y, ldb, 0, z, s.n)
				}
				b.ReportMetric(2*float64(s.m*s.n*s.k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
			})
		}
	}
}
