// Package parallel spreads loops over the cores. It is the one home of worker goroutines.
//
// In goes a number of items and a function on a range of them; the range is cut into contiguous spans, one per worker, and
// For returns when all spans are done. The cut is fixed by the item count, the grain and the number of workers, never by
// timing. A loop whose items write separate outputs therefore gives the same bits for any number of workers.
//
// Between loops the workers spin for a short while, since the loops of a training step follow each other closely and waking
// a sleeping goroutine costs a hundred times more than noticing a new loop, and then they park.
package parallel

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// spinFor is how long a worker waits for the next loop before it parks.
	spinFor = 200 * time.Microsecond
	// polls is the number of looks at the shared word between two yields to the scheduler.
	polls = 256
)

// Pool is a fixed set of workers, one of which is the goroutine that calls For. A nil *Pool is a pool of one worker.
type Pool struct {
	workers int
	spin    time.Duration
	busy    atomic.Bool // a loop is running

	// The loop being run: written before epoch moves, read by the workers after.
	fn    func(worker, lo, hi int) // of ForWorker, or nil
	plain func(lo, hi int)         // of For, or nil
	n     int
	grain int
	spans int
	stop  bool

	epoch   atomic.Uint32 // moves by one for each loop
	pending atomic.Int32  // workers that still have to finish it
	waiting atomic.Bool   // the caller has parked on done
	done    chan struct{}
	sleep   []sleeper // per worker
	fault   atomic.Pointer[fault]
	exited  sync.WaitGroup
}

// sleeper is where one worker parks. It fills a cache line so that workers do not disturb each other.
type sleeper struct {
	parked atomic.Bool
	wake   chan struct{}
	_      [48]byte
}

// fault carries a panic of a worker to the caller of For.
type fault struct{ value any }

// New returns a pool of the given number of workers, or of GOMAXPROCS when workers is below one. Close ends its goroutines.
func New(workers int) *Pool { return newPool(workers, spinFor) }

func newPool(workers int, spin time.Duration) *Pool {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{workers: workers, spin: spin, done: make(chan struct{}, 1), sleep: make([]sleeper, workers)}
	p.exited.Add(workers - 1)
	for w := 1; w < workers; w++ {
		p.sleep[w].wake = make(chan struct{}, 1)
		go p.work(w)
	}
	return p
}

// Workers returns the number of workers, at least one.
func (p *Pool) Workers() int {
	if p == nil {
		return 1
	}
	return p.workers
}

// Close ends the workers and returns when they are gone. The pool must be idle and may not be used afterwards.
func (p *Pool) Close() {
	if p == nil || p.workers == 1 {
		return
	}
	if !p.busy.CompareAndSwap(false, true) {
		panic("parallel: Close of a pool that is running a loop or is closed")
	}
	p.stop = true
	p.publish()
	p.exited.Wait()
}

// For calls fn on contiguous ranges [lo, hi) that together cover [0, n), at most one per worker, and returns when all are done.
// Ranges start at multiples of grain, so no worker gets fewer than grain items; a grain below one means one.
// When the pool is already running a loop, because fn itself calls For or another goroutine does, the ranges run one after
// the other on the calling goroutine. A panic in fn reaches the caller. No memory is allocated.
func (p *Pool) For(n, grain int, fn func(lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	spans := p.Spans(n, grain)
	if spans == 1 || !p.busy.CompareAndSwap(false, true) {
		for s := range spans {
			fn(span(n, grain, spans, s))
		}
		return
	}
	p.run(n, grain, spans, nil, fn)
}

// ForWorker is For for a function that needs memory of its own: worker is below Workers and no two ranges that run at the
// same time share it.
func (p *Pool) ForWorker(n, grain int, fn func(worker, lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	spans := p.Spans(n, grain)
	if spans == 1 || !p.busy.CompareAndSwap(false, true) {
		for s := range spans {
			lo, hi := span(n, grain, spans, s)
			fn(s, lo, hi)
		}
		return
	}
	p.run(n, grain, spans, fn, nil)
}

// Spans returns into how many ranges a loop of n items is cut: no more than the workers, none shorter than grain but the last.
func (p *Pool) Spans(n, grain int) int {
	grain = max(grain, 1)
	return max(1, min(p.Workers(), (n+grain-1)/grain))
}

// span returns range s of [0, n) cut into the given number of spans at multiples of grain.
func span(n, grain, spans, s int) (lo, hi int) {
	blocks := (n + grain - 1) / grain
	return min(n, s*blocks/spans*grain), min(n, (s+1)*blocks/spans*grain)
}

// run hands a loop to the workers, does span 0 itself and waits. The caller holds busy.
func (p *Pool) run(n, grain, spans int, fn func(worker, lo, hi int), plain func(lo, hi int)) {
	p.fn, p.plain, p.n, p.grain, p.spans = fn, plain, n, grain, spans
	p.pending.Store(int32(p.workers - 1))
	p.publish()
	p.do(0)
	p.wait()
	p.fn, p.plain = nil, nil
	f := p.fault.Swap(nil)
	p.busy.Store(false)
	if f != nil {
		panic(f.value)
	}
}

// publish starts the loop on every worker, waking those that have parked.
func (p *Pool) publish() {
	p.epoch.Add(1)
	for w := 1; w < p.workers; w++ {
		if s := &p.sleep[w]; s.parked.CompareAndSwap(true, false) {
			s.wake <- struct{}{}
		}
	}
}

// do runs one worker's span and keeps its panic for the caller.
func (p *Pool) do(worker int) {
	if worker >= p.spans {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			if worker > 0 {
				v = fmt.Sprintf("%v [on worker %d]", v, worker)
			}
			p.fault.CompareAndSwap(nil, &fault{v})
		}
	}()
	lo, hi := span(p.n, p.grain, p.spans, worker)
	if p.plain != nil {
		p.plain(lo, hi)
		return
	}
	p.fn(worker, lo, hi)
}

// wait returns when no worker is pending: it spins, then parks on done. A worker that was slow to leave the loop before may wake it
// too early, hence the repetition.
func (p *Pool) wait() {
	for !p.poll(func() bool { return p.pending.Load() == 0 }) {
		p.waiting.Store(true)
		if p.pending.Load() == 0 && p.waiting.CompareAndSwap(true, false) {
			return
		}
		<-p.done // whoever clears waiting sends
	}
}

// work is the life of one worker.
func (p *Pool) work(worker int) {
	defer p.exited.Done()
	s := &p.sleep[worker]
	for seen := uint32(0); ; seen++ {
		moved := func() bool { return p.epoch.Load() != seen }
		for !p.poll(moved) { // a wake-up for a loop this worker has already noticed and done may come late: look again
			s.parked.Store(true)
			if !moved() || !s.parked.CompareAndSwap(true, false) {
				<-s.wake
			}
		}
		if p.stop {
			return
		}
		p.do(worker)
		if p.pending.Add(-1) == 0 && p.waiting.CompareAndSwap(true, false) {
			p.done <- struct{}{}
		}
	}
}

// poll asks ready for about as long as p.spin, letting other goroutines run now and then, and reports whether it came true.
func (p *Pool) poll(ready func() bool) bool {
	for range polls {
		if ready() {
			return true
		}
	}
	for start := time.Now(); time.Since(start) < p.spin; {
		for range polls {
			if ready() {
				return true
			}
		}
		runtime.Gosched()
	}
	return false
}
