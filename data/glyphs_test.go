package data

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

func openGlyphsOf(t testing.TB, o Options) *Source {
	t.Helper()
	src, err := Open("glyphs", o)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestGlyphsHaveAllClassesInEqualNumber(t *testing.T) {
	src := openGlyphsOf(t, Options{TrainLen: 360, TestLen: 72})
	if got := strings.Join(src.Train.Classes(), ""); got != "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t.Errorf("classes %q", got)
	}
	for what, ds := range map[string]Dataset{"training": src.Train, "test": src.Test} {
		counts := make([]int, 36)
		for _, label := range labels(t, ds) {
			counts[label]++
		}
		if want := slices.Repeat([]int{ds.Len() / 36}, 36); !slices.Equal(counts, want) {
			t.Errorf("%s samples per class %v, want %v", what, counts, want)
		}
		if h, w, c := ds.Shape(); h != 32 || w != 32 || c != 3 {
			t.Errorf("%s samples of %d×%d×%d", what, h, w, c)
		}
	}
	src = openGlyphsOf(t, Options{})
	if src.Train.Len() != glyphTrain || src.Test.Len() != glyphTest {
		t.Errorf("%d and %d samples, want %d and %d", src.Train.Len(), src.Test.Len(), glyphTrain, glyphTest)
	}
}

// TestGlyphsFollowTheSeed whatever the order and the number of goroutines that read them.
func TestGlyphsFollowTheSeed(t *testing.T) {
	const n = 500
	o := Options{Seed: 42, TrainLen: n}
	first := openGlyphsOf(t, o).Train
	want := make([][]uint8, n)
	for i := range want {
		want[i], _ = sample(t, first, i)
	}
	again := openGlyphsOf(t, o).Train
	for _, workers := range []int{1, 2, 7} {
		var wait sync.WaitGroup
		for w := range workers {
			wait.Go(func() {
				pixels := make([]uint8, 32*32*3)
				for i := n - 1 - w; i >= 0; i -= workers {
					if label, err := again.Read(i, pixels); err != nil || label != i%36 || !bytes.Equal(pixels, want[i]) {
						t.Errorf("%d goroutines: drawing %d is another one, %v", workers, i, err)
						return
					}
				}
			})
		}
		wait.Wait()
	}
	// The number of samples does not choose the drawings.
	longer := openGlyphsOf(t, Options{Seed: 42, TrainLen: 2 * n}).Train
	if got, _ := sample(t, longer, n-1); !bytes.Equal(got, want[n-1]) {
		t.Error("a longer set has other drawings")
	}
}

func TestGlyphBatchesAreTheSameForAnyWorkersAndAfterAnyResume(t *testing.T) {
	src := openGlyphsOf(t, Options{Seed: 3, TrainLen: 100})
	c := Config{Batch: 16, Seed: 9, Shuffle: true, DropLast: true, Augment: Augment{Crop: 2, Mixup: 0.2}, Mean: src.Mean, Std: src.Std, Workers: 1}
	whole := take(t, newLoader(t, src.Train, c), 14)
	for _, workers := range []int{2, 3, 8} {
		for _, start := range []int{0, 5, 6, 13} {
			c.Workers, c.Start = workers, start
			for i, got := range take(t, newLoader(t, src.Train, c), 14-start) {
				if !bytes.Equal(got, whole[start+i]) {
					t.Fatalf("%d workers from batch %d: batch %d differs", workers, start, start+i)
				}
			}
		}
	}
}

func TestGlyphsOfOtherSeedsAndSplitsAreOthers(t *testing.T) {
	seen := map[[32]byte]string{}
	for _, seed := range []uint64{0, 1, 2, 1 << 63} {
		src := openGlyphsOf(t, Options{Seed: seed, TrainLen: 720, TestLen: 720})
		for what, ds := range map[string]Dataset{"training": src.Train, "test": src.Test} {
			for i := range ds.Len() {
				pixels, _ := sample(t, ds, i)
				sum, name := sha256.Sum256(pixels), fmt.Sprintf("%s drawing %d of seed %d", what, i, seed)
				if other := seen[sum]; other != "" {
					t.Fatalf("%s is %s", name, other)
				}
				seen[sum] = name
			}
		}
	}
}

func TestGlyphsHaveTheirNorm(t *testing.T) {
	_, mean, std := measure(t, openGlyphsOf(t, Options{TrainLen: 8000}).Train)
	for k := range 3 {
		if math.Abs(mean[k]-float64(glyphMean[k])) > 0.01 || math.Abs(std[k]-float64(glyphStd[k])) > 0.01 {
			t.Errorf("means %.4f, deviations %.4f; want %v, %v within 0.01", mean, std, glyphMean, glyphStd)
			break
		}
	}
}

// TestLettersShowOnGlyphs: the letter's ink stands out from its ground somewhere in the middle of nearly every drawing.
func TestLettersShowOnGlyphs(t *testing.T) {
	ds := openGlyphsOf(t, Options{TrainLen: 720}).Train
	flat := 0
	for i := range ds.Len() {
		pixels, _ := sample(t, ds, i)
		lo, hi := 255.0, 0.0
		for y := 8; y < 24; y++ {
			for x := 8; x < 24; x++ {
				p := pixels[3*(32*y+x):]
				light := 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])
				lo, hi = min(lo, light), max(hi, light)
			}
		}
		if hi-lo < 40 {
			flat++
		}
	}
	if flat > 7 {
		t.Errorf("%d of %d drawings are flat in their middle", flat, ds.Len())
	}
}

func TestStencilsAreOfDifferentLetters(t *testing.T) {
	all, err := stencils()
	if err != nil {
		t.Fatal(err)
	}
	if len(all)%36 != 0 || len(all) < 36 {
		t.Fatalf("%d stencils", len(all))
	}
	seen := map[stencil]int{}
	for i, s := range all {
		if before, ok := seen[s]; ok {
			t.Errorf("stencils %d and %d are the same", before, i)
		}
		seen[s] = i
		for k := range stencilSide {
			if s[k]|s[k*stencilSide]|s[(stencilSide-1)*stencilSide+k]|s[k*stencilSide+stencilSide-1] != 0 {
				t.Errorf("stencil %d is cut off at its edge", i)
				break
			}
		}
	}
}

func TestGlyphsKeepTheirDrawings(t *testing.T) {
	once, again := openGlyphsOf(t, Options{TrainLen: glyphsKept + 40}).Train, openGlyphsOf(t, Options{TrainLen: glyphsKept + 40}).Train
	for _, i := range []int{0, 39, glyphsKept - 1, glyphsKept, glyphsKept + 39} {
		first, kept, other := make([]uint8, 32*32*3), make([]uint8, 32*32*3), make([]uint8, 32*32*3)
		for _, v := range []struct {
			ds  Dataset
			dst []uint8
		}{{once, first}, {once, kept}, {again, other}} {
			label, err := v.ds.Read(i, v.dst)
			if err != nil || label != i%36 {
				t.Fatal(i, label, err)
			}
		}
		if !slices.Equal(first, kept) || !slices.Equal(first, other) {
			t.Errorf("drawing %d differs when it is read again", i)
		}
	}
}

func TestGlyphsNeedNoPath(t *testing.T) {
	if _, err := Open("glyphs:here", Options{}); err == nil || err.Error() != `data: "glyphs:here": glyphs needs no path` {
		t.Errorf("%v", err)
	}
	if _, err := Open("glyphs", Options{TrainLen: 1 << 31}); err == nil || !strings.Contains(err.Error(), "at most 2147483647") {
		t.Errorf("%v", err)
	}
}

func BenchmarkGlyphs(b *testing.B) {
	const more = 4096 // beyond those that are kept
	ds := openGlyphsOf(b, Options{TrainLen: glyphsKept + more}).Train
	pixels := make([]uint8, 32*32*3)
	i := 0
	for b.Loop() {
		if _, err := ds.Read(glyphsKept+i%more, pixels); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
