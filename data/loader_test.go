package data

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// numbered is a data set whose sample i has the pixels i, i+1, … and the label i mod classes.
func numbered(t testing.TB, n, h, w, c, classes int) *Memory {
	t.Helper()
	pixels, labels := make([]uint8, n*h*w*c), make([]uint8, n)
	for i := range labels {
		labels[i] = uint8(i % classes)
		for j := range h * w * c {
			pixels[i*h*w*c+j] = uint8(i + j)
		}
	}
	names := make([]string, classes)
	for i := range names {
		names[i] = fmt.Sprint("class ", i)
	}
	m, err := NewMemory(h, w, c, pixels, labels, names)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newLoader(t testing.TB, ds Dataset, c Config) *Loader {
	t.Helper()
	l, err := NewLoader(context.Background(), ds, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// bytesOf is everything a batch says, for comparison to the bit.
func bytesOf(b *Batch) []byte {
	var out []byte
	for _, v := range [][]float32{b.X, b.Y} {
		for _, f := range v {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(f))
		}
	}
	return fmt.Appendf(out, "%v %d %d %d", b.Labels, b.N, b.Epoch, b.Index)
}

// take reads n batches.
func take(t *testing.T, l *Loader, n int) [][]byte {
	t.Helper()
	var b Batch
	var out [][]byte
	for range n {
		if err := l.Next(&b); err != nil {
			t.Fatal(err)
		}
		out = append(out, bytesOf(&b))
	}
	return out
}

func TestStartGoesOnWithTheSameStream(t *testing.T) {
	ds := numbered(t, 23, 6, 5, 3, 4)
	for _, c := range []Config{
		{Batch: 5, Seed: 7, Shuffle: true, DropLast: true},
		{Batch: 5, Seed: 7, Shuffle: true},
		{Batch: 5},
		{Batch: 4, Seed: 1 << 63, Shuffle: true, Augment: Augment{Crop: 2, Flip: true, Cutout: 3, Mixup: 0.4}, LabelSmoothing: 0.1},
	} {
		c.Workers = 1
		total := 14
		if !c.Shuffle {
			total = 5
		}
		whole := take(t, newLoader(t, ds, c), total)
		for start := range total {
			for _, workers := range []int{1, 3} {
				c.Start, c.Workers = start, workers
				tail := take(t, newLoader(t, ds, c), total-start)
				for i := range tail {
					if !bytes.Equal(tail[i], whole[start+i]) {
						t.Fatalf("%+v: batch %d differs from the same batch of the whole stream", c, start+i)
					}
				}
			}
		}
	}
}

func TestEverySampleOncePerEpoch(t *testing.T) {
	const n = 23
	ds := numbered(t, n, 1, 1, 1, n)
	l := newLoader(t, ds, Config{Batch: 5, Seed: 3, Shuffle: true})
	var orders [2][]int
	var b Batch
	for i := range 10 {
		if err := l.Next(&b); err != nil {
			t.Fatal(err)
		}
		if want := 5 - 2*(i%5/4); b.N != want || b.Epoch != i/5 || b.Index != i {
			t.Fatalf("batch %d: N %d, epoch %d, index %d; want N %d, epoch %d", i, b.N, b.Epoch, b.Index, want, i/5)
		}
		orders[b.Epoch] = append(orders[b.Epoch], b.Labels[:b.N]...)
	}
	if slices.Equal(orders[0], orders[1]) || slices.IsSorted(orders[0]) {
		t.Errorf("epochs have the orders %v and %v; want two different shuffles", orders[0], orders[1])
	}
	for e, order := range orders {
		slices.Sort(order)
		for i, v := range order {
			if i != v {
				t.Fatalf("epoch %d: sample %d is missing or twice", e, i)
			}
		}
	}
}

func TestPartialBatchIsZeroBehindItsSamples(t *testing.T) {
	l := newLoader(t, numbered(t, 7, 2, 2, 1, 3), Config{Batch: 5, Mean: []float32{0.5}, Augment: Augment{Mixup: 1}})
	var b Batch
	for _, n := range []int{5, 2} {
		if err := l.Next(&b); err != nil {
			t.Fatal(err)
		}
		if b.N != n || len(b.X) != 20 || len(b.Y) != 15 || len(b.Labels) != 5 {
			t.Fatalf("N %d, %d pixels, %d targets, %d labels; want N %d and full slices", b.N, len(b.X), len(b.Y), len(b.Labels), n)
		}
	}
	for name, rest := range map[string][]float32{"X": b.X[8:], "Y": b.Y[6:]} {
		for _, v := range rest {
			if v != 0 {
				t.Errorf("%s behind the last sample: %v, want zeros", name, rest)
				break
			}
		}
	}
	for range 2 {
		if err := l.Next(&b); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last batch: %v, want io.EOF", err)
		}
	}
}

func TestDropLastLeavesOnlyFullBatches(t *testing.T) {
	l := newLoader(t, numbered(t, 13, 1, 1, 1, 2), Config{Batch: 5, DropLast: true})
	var b Batch
	for range 2 {
		if err := l.Next(&b); err != nil || b.N != 5 {
			t.Fatalf("N %d, %v; want a full batch", b.N, err)
		}
	}
	if err := l.Next(&b); !errors.Is(err, io.EOF) {
		t.Fatalf("%v, want io.EOF", err)
	}
}

func TestPixelsAreNormalisedPerChannel(t *testing.T) {
	ds := numbered(t, 2, 2, 2, 3, 2)
	mean, std := []float32{0.1, 0.2, 0.3}, []float32{0.5, 0.25, 2}
	var b Batch
	if err := newLoader(t, ds, Config{Batch: 2, Mean: mean, Std: std}).Next(&b); err != nil {
		t.Fatal(err)
	}
	for i, got := range b.X {
		v := float64(uint8(i/12 + i%12))
		want := float32((v/255 - float64(mean[i%3])) / float64(std[i%3]))
		if got != want {
			t.Fatalf("value %d: %v, want %v", i, got, want)
		}
	}
}

// TestPlacementMatchesItsDefinition compares the fast paths with one pixel at a time.
func TestPlacementMatchesItsDefinition(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		h, w, c := 1+rng.IntN(7), 1+rng.IntN(7), 1+2*rng.IntN(2)
		a := Augment{Crop: rng.IntN(4), Flip: rng.IntN(2) == 0, Cutout: rng.IntN(9)}
		p := a.place(rng, h, w, false)
		pixels, got := make([]uint8, h*w*c), make([]float32, h*w*c)
		for i := range pixels {
			pixels[i] = uint8(rng.Uint32())
		}
		var table []*levels
		for k := range c {
			table = append(table, newLevels(float32(k)/4, 0.5))
		}
		p.normalise(got, pixels, h, w, table)
		if abs(p.dy) > a.Crop || abs(p.dx) > a.Crop || p.flip && !a.Flip {
			t.Fatalf("seed %d: %+v gave %+v", seed, a, p)
		}
		for y := range h {
			for x := range w {
				for k := range c {
					sy, sx := y+p.dy, x+p.dx
					if p.flip {
						sx = w - 1 - x + p.dx
					}
					want := table[k][0]
					if sy >= 0 && sy < h && sx >= 0 && sx < w {
						want = table[k][pixels[(sy*w+sx)*c+k]]
					}
					if y >= p.y0 && y < p.y1 && x >= p.x0 && x < p.x1 {
						want = 0
					}
					if g := got[(y*w+x)*c+k]; g != want {
						t.Fatalf("seed %d: %d×%d×%d, %+v: (%d, %d, %d) is %v, want %v", seed, h, w, c, p, y, x, k, g, want)
					}
				}
			}
		}
	}
}

func abs(v int) int { return max(v, -v) }

func TestAugmentationChangesFromEpochToEpoch(t *testing.T) {
	ds := numbered(t, 40, 8, 8, 1, 2)
	l := newLoader(t, ds, Config{Batch: 40, Shuffle: true, Augment: Augment{Crop: 2, Flip: true}})
	var first, second Batch
	if err := errors.Join(l.Next(&first), l.Next(&second)); err != nil {
		t.Fatal(err)
	}
	// The same sample in both epochs: its place differs, so look it up by the order the loader has.
	m, err := newMaker(ds, Config{Batch: 40, Shuffle: true})
	if err != nil {
		t.Fatal(err)
	}
	m.order = make([]int32, 40)
	m.arrange(0)
	a := slices.Clone(m.order)
	m.arrange(1)
	same := 0
	for i, s := range a {
		j := slices.Index(m.order, s)
		if slices.Equal(first.X[i*64:(i+1)*64], second.X[j*64:(j+1)*64]) {
			same++
		}
	}
	if same > 12 { // by chance 1 in 50
		t.Errorf("%d of 40 samples look the same in two epochs", same)
	}
}

func TestSmoothedTargets(t *testing.T) {
	var b Batch
	if err := newLoader(t, numbered(t, 3, 1, 1, 1, 2), Config{Batch: 3, LabelSmoothing: 0.2, Classes: 4}).Next(&b); err != nil {
		t.Fatal(err)
	}
	want := []float32{.85, .05, .05, .05, .05, .85, .05, .05, .85, .05, .05, .05}
	for i := range want {
		if math.Abs(float64(b.Y[i]-want[i])) > 1e-6 {
			t.Fatalf("targets %v, want %v", b.Y, want)
		}
	}
}

func TestMixupKeepsTheHeavierLabel(t *testing.T) {
	ds := numbered(t, 64, 2, 2, 1, 8)
	l := newLoader(t, ds, Config{Batch: 16, Shuffle: true, Augment: Augment{Mixup: 1}})
	var b Batch
	mixed := 0
	for range 50 {
		if err := l.Next(&b); err != nil {
			t.Fatal(err)
		}
		for i, label := range b.Labels {
			row := b.Y[i*8 : i*8+8]
			sum := float32(0)
			for _, v := range row {
				sum += v
			}
			if math.Abs(float64(sum-1)) > 1e-5 || row[label] != slices.Max(row) || row[label] < 0.4999 {
				t.Fatalf("label %d has target %v", label, row)
			}
			if row[label] < 0.99 {
				mixed++
			}
		}
	}
	if mixed < 200 {
		t.Errorf("%d of 800 samples are mixtures of classes, want most", mixed)
	}
}

func TestBetaHasItsMeanAndVariance(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, alpha := range []float64{0.001, 0.2, 1, 4} {
		const n = 40000
		var sum, squares float64
		for range n {
			v := beta(rng, alpha)
			if !(v >= 0 && v <= 1) {
				t.Fatalf("seed %d: Beta(%v) gave %v", seed, alpha, v)
			}
			sum, squares = sum+v, squares+v*v
		}
		mean := sum / n
		variance, want := squares/n-mean*mean, 1/(4*(2*alpha+1))
		if math.Abs(mean-0.5) > 0.015 || math.Abs(variance-want) > 0.01 {
			t.Errorf("seed %d: Beta(%v): mean %.4f, variance %.4f; want 0.5, %.4f", seed, alpha, mean, variance, want)
		}
	}
}

// TestBatchesAreReused holds the promise of no garbage per batch.
func TestBatchesAreReused(t *testing.T) {
	l := newLoader(t, numbered(t, 4096, 8, 8, 3, 10), Config{Batch: 64, Shuffle: true, DropLast: true, Augment: Augment{Crop: 2, Flip: true, Cutout: 2, Mixup: 1}})
	var b Batch
	next := func() {
		if err := l.Next(&b); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		next()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 200 {
		next()
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 200*1024 {
		t.Errorf("200 batches of %d bytes left %d bytes of garbage", 4*len(b.X), n)
	}
}

// broken fails at one sample.
type broken struct {
	*Memory
	at int
}

var errBroken = errors.New("broken")

func (b broken) Read(i int, dst []uint8) (int, error) {
	if i >= b.at {
		return 0, errBroken
	}
	return b.Memory.Read(i, dst)
}

func TestUnreadableSampleEndsTheStream(t *testing.T) {
	l := newLoader(t, broken{numbered(t, 20, 2, 2, 1, 2), 9}, Config{Batch: 4, Workers: 4})
	var b Batch
	for range 2 {
		if err := l.Next(&b); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := l.Next(&b); !errors.Is(err, errBroken) || err.Error() != "data: sample 9: broken" {
			t.Fatalf("error %v, want the one of sample 9", err)
		}
	}
}

func TestCloseAndCancelLeaveNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	ds := numbered(t, 100, 4, 4, 3, 5)
	for i := range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		l, err := NewLoader(ctx, ds, Config{Batch: 8, Shuffle: true, Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		for range i % 4 {
			if err := l.Next(&b); err != nil {
				t.Fatal(err)
			}
		}
		if i%2 == 0 {
			cancel()
			if err := l.Next(&b); !errors.Is(err, context.Canceled) {
				t.Fatalf("after the context's end: %v", err)
			}
		}
		l.Close()
		l.Close()
		if err := l.Next(&b); !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
			t.Fatalf("after Close: %v", err)
		}
		cancel()
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestLoaderRefusesSenselessSettings(t *testing.T) {
	ds := numbered(t, 10, 2, 2, 3, 4)
	for name, c := range map[string]Config{
		"no batch":             {},
		"negative start":       {Batch: 1, Start: -1},
		"huge batch":           {Batch: 1 << 40},
		"batch over the set":   {Batch: 11, DropLast: true},
		"smoothing of 1":       {Batch: 1, LabelSmoothing: 1},
		"smoothing NaN":        {Batch: 1, LabelSmoothing: float32(math.NaN())},
		"two means":            {Batch: 1, Mean: []float32{0, 0}},
		"no deviation":         {Batch: 1, Std: []float32{0}},
		"negative crop":        {Batch: 1, Augment: Augment{Crop: -1}},
		"negative mixup":       {Batch: 1, Augment: Augment{Mixup: -1}},
		"fewer classes":        {Batch: 1, Classes: 3},
		"classes beyond count": {Batch: 1, Classes: 1 << 40},
		"negative workers":     {Batch: 1, Workers: -1},
	} {
		if l, err := NewLoader(context.Background(), ds, c); err == nil {
			l.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewLoader(context.Background(), Subset(ds, 0), Config{Batch: 1}); err == nil {
		t.Error("an empty data set: accepted")
	}
}

func BenchmarkLoader(b *testing.B) {
	ds := numbered(b, 10000, 32, 32, 3, 10)
	l := newLoader(b, ds, Config{Batch: 64, Shuffle: true, Augment: Augment{Crop: 4, Flip: true}, Mean: []float32{.485, .456, .406}})
	var batch Batch
	for b.Loop() {
		if err := l.Next(&batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(64*float64(b.N)/b.Elapsed().Seconds(), "images/s")
}
