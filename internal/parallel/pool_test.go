package parallel

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestForCoversEveryItemOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 8} {
		p := New(workers)
		for _, n := range []int{0, 1, 2, 7, 8, 9, 100, 1001} {
			for _, grain := range []int{-1, 0, 1, 3, 16, 5000} {
				hits := make([]int, n)
				calls := make([]int, 0, workers)
				var mu sync.Mutex
				p.For(n, grain, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						hits[i]++
					}
					mu.Lock()
					calls = append(calls, lo)
					mu.Unlock()
				})
				for i, h := range hits {
					if h != 1 {
						t.Fatalf("workers %d, n %d, grain %d: item %d ran %d times", workers, n, grain, i, h)
					}
				}
				for _, lo := range calls {
					if grain > 0 && lo%grain != 0 {
						t.Errorf("workers %d, n %d, grain %d: a range starts at %d", workers, n, grain, lo)
					}
				}
				if len(calls) > workers {
					t.Errorf("workers %d, n %d, grain %d: %d ranges", workers, n, grain, len(calls))
				}
			}
		}
		p.Close()
	}
}

func TestForWorkerGivesEachRangeItsOwnWorker(t *testing.T) {
	p := New(4)
	defer p.Close()
	var mu sync.Mutex
	var seen []int
	p.ForWorker(100, 1, func(worker, lo, hi int) {
		mu.Lock()
		seen = append(seen, worker)
		mu.Unlock()
	})
	slices.Sort(seen)
	if want := []int{0, 1, 2, 3}; !slices.Equal(seen, want) {
		t.Errorf("workers %v, want %v", seen, want)
	}
}

func TestForRunsInlineWhenNested(t *testing.T) {
	p := New(3)
	defer p.Close()
	sum := make([]int, 30)
	p.For(3, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			p.For(10, 1, func(l, h int) {
				for k := l; k < h; k++ {
					sum[i*10+k]++
				}
			})
		}
	})
	for i, s := range sum {
		if s != 1 {
			t.Fatalf("item %d ran %d times", i, s)
		}
	}
}

func TestForWakesParkedWorkers(t *testing.T) {
	p := New(2)
	defer p.Close()
	for range 5 {
		time.Sleep(4 * spinFor)
		total := make([]int, 2)
		p.ForWorker(2, 1, func(worker, lo, hi int) { total[worker] = hi - lo })
		if total[0] != 1 || total[1] != 1 {
			t.Fatalf("got %v", total)
		}
	}
}

func TestForWaitsForASlowWorker(t *testing.T) {
	p := New(2)
	defer p.Close()
	for range 3 {
		var slow bool
		p.ForWorker(2, 1, func(worker, _, _ int) {
			if worker == 1 {
				time.Sleep(5 * spinFor)
				slow = true
			}
		})
		if !slow {
			t.Fatal("For returned before its worker")
		}
	}
}

// Loops of uneven length, one right after the other, on more workers than cores and without spinning, so that callers and workers
// park and wake in every order.
func TestForWaitsForAllWorkersUnderStress(t *testing.T) {
	for _, spin := range []time.Duration{0, time.Microsecond, spinFor} {
		p := newPool(8, spin)
		var items [8]int
		fn := func(worker, lo, hi int) {
			if worker%3 == 1 {
				runtime.Gosched()
			}
			for i := lo; i < hi; i++ {
				items[i]++
			}
		}
		for loop := range 1000 {
			p.ForWorker(len(items), 1, fn)
			for i, n := range items {
				if n != loop+1 {
					t.Fatalf("spin %v: after %d loops item %d ran %d times", spin, loop+1, i, n)
				}
			}
		}
		p.Close()
	}
}

func TestForPassesOnAPanic(t *testing.T) {
	for _, item := range []int{0, 9} {
		p := New(2)
		func() {
			defer func() {
				if v, ok := recover().(string); !ok || !strings.HasPrefix(v, "conv: bad") {
					t.Errorf("item %d: recovered %v", item, v)
				}
			}()
			p.For(10, 1, func(lo, hi int) {
				if lo <= item && item < hi {
					panic("conv: bad")
				}
			})
		}()
		ran := 0
		p.For(1, 1, func(lo, hi int) { ran++ })
		if ran != 1 {
			t.Errorf("item %d: the pool does not work after a panic", item)
		}
		p.Close()
	}
}

func TestCloseEndsTheWorkers(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 10 {
		p := New(4)
		p.For(100, 1, func(lo, hi int) {})
		p.Close()
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

func TestNilPoolIsOneWorker(t *testing.T) {
	var p *Pool
	sum := 0
	p.For(10, 1, func(lo, hi int) { sum += hi - lo })
	if sum != 10 || p.Workers() != 1 {
		t.Errorf("sum %d, workers %d", sum, p.Workers())
	}
	p.Close()
}

func TestForDoesNotAllocate(t *testing.T) {
	p := New(2)
	defer p.Close()
	var sink [2]int
	fn := func(worker, lo, hi int) { sink[worker] += hi - lo }
	if n := testing.AllocsPerRun(100, func() { p.ForWorker(64, 1, fn) }); n != 0 {
		t.Errorf("ForWorker: %v allocations a loop", n)
	}
	plain := func(lo, hi int) { sink[lo*2/64] += hi - lo }
	if n := testing.AllocsPerRun(100, func() { p.For(64, 1, plain) }); n != 0 {
		t.Errorf("For: %v allocations a loop", n)
	}
}

func BenchmarkFor(b *testing.B) {
	p := New(2)
	defer p.Close()
	var sink [2]int
	fn := func(worker, lo, hi int) { sink[worker] += hi - lo }
	for b.Loop() {
		p.ForWorker(64, 1, fn)
	}
}
