package data

import (
	"bytes"
	"image/png"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenSaysWhatItWants(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	text := filepath.Join(folder(t, "a.txt", "text"), "a.txt")
	const all = "want one of cifar10:PATH, fashion-mnist:PATH, glyphs, imagefolder:PATH"
	for what, c := range map[string]struct {
		spec string
		o    Options
		want string
	}{
		"nothing":       {"", Options{}, "data: no data set named; " + all},
		"unknown kind":  {"svhn:" + missing, Options{}, `unknown kind of data set "svhn"; ` + all},
		"no path":       {"cifar10", Options{}, "a path is missing; give cifar10:PATH, where PATH is a folder with data_batch_"},
		"empty path":    {"imagefolder:", Options{}, "a path is missing; give imagefolder:PATH"},
		"no file":       {missing, Options{}, "missing: no such file"},
		"a text":        {text, Options{}, "a.txt: not a data set known here; " + all},
		"no folder":     {"imagefolder:" + missing, Options{}, "data: imagefolder: "},
		"negative size": {"glyphs", Options{Size: -1}, "want sizes that are not negative and images of at most 16384 pixels a side"},
		"huge size":     {"glyphs", Options{Size: 1<<14 + 1}, "want sizes that are not negative"},
		"negative part": {"glyphs", Options{TrainLen: -1}, "want sizes that are not negative"},
	} {
		src, err := Open(c.spec, c.o)
		if src != nil || err == nil || !strings.HasPrefix(err.Error(), "data: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, c.want)
		}
	}
}

func TestOpenTakesTheFirstSamples(t *testing.T) {
	dir := folder(t, "data_batch_1.bin", string(cifarFile(5)), "test_batch.bin", string(cifarFile(4)))
	for _, c := range []struct{ askTrain, askTest, train, test int }{{0, 0, 5, 4}, {2, 3, 2, 3}, {9, 9, 5, 4}} {
		src, err := Open(dir, Options{TrainLen: c.askTrain, TestLen: c.askTest})
		if err != nil {
			t.Fatal(err)
		}
		if src.Train.Len() != c.train || src.Test.Len() != c.test {
			t.Errorf("of %d and %d samples asked for there are %d and %d", c.askTrain, c.askTest, src.Train.Len(), src.Test.Len())
		}
		if _, label := sample(t, src.Train, 1); label != 3 {
			t.Errorf("sample 1 has label %d, want 3", label)
		}
	}
	if n := Subset(numbered(t, 3, 1, 1, 1, 2), -1).Len(); n != 0 {
		t.Errorf("a subset of -1 samples has %d", n)
	}
}

func TestMemoryRefusesWhatDoesNotFit(t *testing.T) {
	for what, c := range map[string]struct {
		h, w, c        int
		pixels, labels int
		label          uint8
		want           string
	}{
		"no height":    {0, 2, 1, 0, 0, 0, "images of 0×2 pixels and 1 channels"},
		"too wide":     {1, maxSide + 1, 1, 0, 0, 0, "images of 1×16385 pixels"},
		"two channels": {2, 2, 2, 8, 1, 0, "2 channels; want sides from 1 to 16384 and 1 or 3 channels"},
		"a part":       {2, 2, 1, 5, 1, 0, "5 pixel values and 1 labels for images of 2×2×1"},
		"labels":       {2, 2, 1, 8, 3, 0, "8 pixel values and 3 labels"},
		"label":        {2, 2, 1, 8, 2, 7, "sample 0 has label 7; there are 2 classes"},
	} {
		labels := bytes.Repeat([]byte{c.label}, c.labels)
		if _, err := NewMemory(c.h, c.w, c.c, make([]uint8, c.pixels), labels, []string{"a", "b"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
}

func TestContactSheetShowsEverySample(t *testing.T) {
	ds := numbered(t, 7, 5, 9, 3, 3)
	var b bytes.Buffer
	if err := ContactSheet(ds, 100, &b); err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	// Each sample's first pixel, (i, i+1, i+2), is somewhere on the sheet.
	found := map[uint32]bool{}
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if r, g, b, _ := m.At(x, y).RGBA(); g>>8 == r>>8+1 && b>>8 == r>>8+2 {
				found[r>>8] = true
			}
		}
	}
	for i := range uint32(7) {
		if !found[i] {
			t.Errorf("sample %d is not on the sheet", i)
		}
	}
	if err := ContactSheet(Subset(ds, 0), 5, &b); err == nil {
		t.Error("a sheet of no samples: accepted")
	}
	if err := ContactSheet(broken{ds, 2}, 5, &b); err == nil || !strings.Contains(err.Error(), "data: contact sheet: sample 2: broken") {
		t.Errorf("an unreadable sample: %v", err)
	}
	if err := ContactSheet(ds, 2, failing{}); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errBroken }
