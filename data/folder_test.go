package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
)

// plainPNG is a picture of one colour.
func plainPNG(t testing.TB, w, h int, c color.Color) string {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, c)
		}
	}
	return string(asPNG(t, m))
}

// colours are pictures whose red tells them apart.
func coloursOf(t testing.TB, names ...string) []string {
	t.Helper()
	var files []string
	for i, name := range names {
		files = append(files, name, plainPNG(t, 10+i, 8, color.RGBA{uint8(10 * i), 100, 200, 255}))
	}
	return files
}

func TestFolderOfClasses(t *testing.T) {
	files := coloursOf(t, "cat/a.png", "cat/b.PNG", "dog/x.png", "dog/y.png", "dog/z.png")
	files = append(files, "dog/notes.txt", "text", "dog/.hidden.png", "x", ".git/a.png", "x", "readme.md", "text", "dog/folder.png/x", "")
	dir := folder(t, files...)
	for _, spec := range []string{dir, "imagefolder:" + dir} {
		src, err := Open(spec, Options{Size: 16})
		if err != nil {
			t.Fatal(err)
		}
		if h, w, c := src.Train.Shape(); h != 16 || w != 16 || c != 3 || src.Name != "imagefolder" {
			t.Errorf("opened as %s of %d×%d×%d", src.Name, h, w, c)
		}
		if got := src.Train.Classes(); !slices.Equal(got, []string{"cat", "dog"}) {
			t.Errorf("classes %q", got)
		}
		if train, test := labels(t, src.Train), labels(t, src.Test); !slices.Equal(train, []int{0, 1, 1}) || !slices.Equal(test, []int{0, 1}) {
			t.Errorf("training labels %v, test labels %v; want one photo of each class set aside", train, test)
		}
		seen := map[byte]bool{}
		for _, ds := range []Dataset{src.Train, src.Test} {
			for i := range ds.Len() {
				pixels, _ := sample(t, ds, i)
				if !bytes.Equal(pixels, bytes.Repeat([]byte{pixels[0], 100, 200}, 256)) {
					t.Errorf("the colour of a plain picture changed")
				}
				seen[pixels[0]] = true
			}
		}
		if len(seen) != 5 {
			t.Errorf("%d photos in both sets together, want 5", len(seen))
		}
	}
}

func TestFolderIsSplitBySeedAndName(t *testing.T) {
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("%s/%02d.png", []string{"a", "b", "c"}[i%3], i))
	}
	files := coloursOf(t, names...)
	test := func(files []string, seed uint64) map[string]bool {
		src, err := Open(folder(t, files...), Options{Seed: seed, Size: 4})
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]bool{}
		for _, f := range src.Test.(*photos).files {
			set[filepath.Base(f.path)] = true
		}
		train := src.Train.(*photos)
		for _, f := range train.files {
			if set[filepath.Base(f.path)] {
				t.Errorf("%s is in both sets", f.path)
			}
		}
		if len(set)+train.Len() != len(files)/2 || len(set) != 6 {
			t.Errorf("%d test and %d training samples of %d", len(set), train.Len(), len(files)/2)
		}
		return set
	}
	one := test(files, 1)
	if again := test(files, 1); fmt.Sprint(again) != fmt.Sprint(one) {
		t.Errorf("one seed sets aside %v, then %v", one, again)
	}
	if other := test(files, 2); fmt.Sprint(other) == fmt.Sprint(one) {
		t.Errorf("two seeds set aside the same %v", one)
	}
}

func TestFolderThatIsSplitAlready(t *testing.T) {
	for what, c := range map[string]struct {
		files       []string
		train, test []int
	}{
		"train and val":     {coloursOf(t, "train/a/1.png", "train/b/1.png", "train/b/2.png", "val/a/1.png", "val/b/1.png"), []int{0, 1, 1}, []int{0, 1}},
		"train and test":    {coloursOf(t, "train/a/1.png", "test/a/1.png"), []int{0}, []int{0}},
		"val before test":   {coloursOf(t, "train/a/1.png", "val/a/1.png", "test/a/1.png", "test/a/2.png"), []int{0}, []int{0}},
		"train alone":       {coloursOf(t, "train/a/1.png", "train/b/1.png"), []int{0, 1}, nil},
		"val alone":         {coloursOf(t, "val/a/1.png", "val/b/1.png"), nil, []int{0, 1}},
		"an empty class":    {append(coloursOf(t, "train/a/1.png", "val/a/1.png"), "train/b/x.txt", "", "val/b/x.txt", ""), []int{0}, []int{0}},
		"classes like sets": {coloursOf(t, "val/train/1.png", "val/val/1.png"), nil, []int{0, 1}},
	} {
		src, err := Open(folder(t, c.files...), Options{Size: 4})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if train, test := labels(t, src.Train), labels(t, src.Test); !slices.Equal(train, c.train) || !slices.Equal(test, c.test) {
			t.Errorf("%s: training labels %v, test labels %v; want %v and %v", what, train, test, c.train, c.test)
		}
	}
}

func TestFolderWithLabels(t *testing.T) {
	files := append(coloursOf(t, "b.png", "sub/a.png", "c.png", "unlisted.png"),
		labelsName, "label\tfile\tnote\tclass_index\r\ndog\tb.png\t\t4\r\n\ncat\tsub/a.png\tx\t1\ndog\tc.png\ty\t4\n")
	src, err := Open(folder(t, files...), Options{Size: 4})
	if err != nil {
		t.Fatal(err)
	}
	if got := labels(t, src.Test); !slices.Equal(got, []int{4, 1, 4}) || src.Train.Len() != 0 {
		t.Errorf("labels %v and %d training samples", got, src.Train.Len())
	}
	if got, want := src.Test.Classes(), []string{"0", "cat", "2", "3", "dog"}; !slices.Equal(got, want) {
		t.Errorf("classes %q, want %q", got, want)
	}
	if pixels, _ := sample(t, src.Test, 1); pixels[0] != 10 {
		t.Errorf("sample 1 is not sub/a.png")
	}
}

func TestFoldersThatAreBrokenAreRefused(t *testing.T) {
	list := func(text string) string { return folder(t, append(coloursOf(t, "a.png"), labelsName, text)...) }
	const head = "file\tclass_index\tlabel\n"
	for what, c := range map[string]struct{ path, want string }{
		"nothing":            {t.TempDir(), "no folders of photos (.jpg, .jpeg, .png, .gif) in it and no labels.tsv"},
		"no photos":          {folder(t, "a/x.txt", ""), "no folders of photos"},
		"empty list":         {list(""), `labels.tsv: line 1: want the names of the columns, file and class_index among them, parted by tabs; got ""`},
		"other columns":      {list("a\tb\n"), `labels.tsv: line 1: want the names of the columns`},
		"header alone":       {list(head), "labels.tsv: no photos listed"},
		"a column too few":   {list(head + "a.png\t1\n"), "labels.tsv: line 2: 2 columns, want 3"},
		"no number":          {list(head + "a.png\tcat\t1\n"), `labels.tsv: line 2: class_index "cat", want 0 to 65535`},
		"too large":          {list(head + "a.png\t65536\tcat\n"), `labels.tsv: line 2: class_index "65536", want 0 to 65535`},
		"outside the folder": {list(head + "../a.png\t1\tcat\n"), `labels.tsv: line 2: file "../a.png", want a name within the folder`},
		"whole path":         {list(head + "/a.png\t1\tcat\n"), `labels.tsv: line 2: file "/a.png", want a name within the folder`},
		"two names":          {list(head + "a.png\t1\tcat\n\na.png\t1\tdog\n"), `labels.tsv: line 4: class 1 is called "dog", before "cat"`},
		"classes differ":     {folder(t, coloursOf(t, "train/a/1.png", "train/b/1.png", "val/a/1.png", "val/c/1.png")...), `differ in their classes: "b" is missing in the second`},
		"an empty split":     {folder(t, append(coloursOf(t, "train/a/1.png"), "val/x.txt", "")...), "val: no folders of photos"},
	} {
		src, err := Open("imagefolder:"+c.path, Options{})
		if src != nil || err == nil || !strings.HasPrefix(err.Error(), "data: imagefolder: "+c.path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, c.want)
		}
	}
}

func TestUnreadablePhotoIsNamed(t *testing.T) {
	dir := folder(t, append(coloursOf(t, "train/a/1.png", "train/a/3.png"), "train/a/2.png", "text", "train/a/4.jpg", "")...)
	src, err := Open(dir, Options{Size: 4})
	if err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, src.Train, Config{Batch: 1})
	var b Batch
	if err := l.Next(&b); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`data: sample 1: %s: starts with "text"; want a JPEG, PNG or GIF picture`, filepath.Join(dir, "train", "a", "2.png"))
	if err := l.Next(&b); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := src.Train.Read(3, make([]uint8, 48)); err == nil || !strings.Contains(err.Error(), `4.jpg: starts with ""`) {
		t.Errorf("an empty file: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "train", "a", "3.png")); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Train.Read(2, make([]uint8, 48)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that went away: %v", err)
	}
}

// TestCropsGoOnWithTheSameStream: photos have a crop of their own, whose numbers come from the same streams.
func TestCropsGoOnWithTheSameStream(t *testing.T) {
	var files []string
	for i := range 11 {
		name := fmt.Sprintf("train/%c/%d.png", 'a'+i%2, i)
		files = append(files, name, string(asPNG(t, opaque(coloured(image.NewRGBA(image.Rect(0, 0, 20+i, 30-i)))))))
	}
	src, err := Open(folder(t, files...), Options{Size: 9})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Batch: 3, Seed: 5, Shuffle: true, DropLast: true, Augment: src.Augment, Mean: src.Mean, Std: src.Std, Workers: 1}
	whole := take(t, newLoader(t, src.Train, c), 9)
	for _, start := range []int{1, 4, 8} {
		c.Start, c.Workers = start, 3
		for i, got := range take(t, newLoader(t, Subset(src.Train, 11), c), 9-start) {
			if !bytes.Equal(got, whole[start+i]) {
				t.Fatalf("from batch %d: batch %d differs from the same batch of the whole stream", start, start+i)
			}
		}
	}
	if bytes.Equal(whole[0], whole[3]) {
		t.Error("two epochs show the same crops")
	}
	ds := Subset(src.Train, 5)
	if _, ok := ds.(Cropper); !ok || ds.Len() != 5 {
		t.Errorf("a subset of %d photos that can crop: %v", ds.Len(), ok)
	}
	if _, ok := Subset(numbered(t, 9, 1, 1, 1, 2), 5).(Cropper); ok {
		t.Error("a subset crops what cannot crop")
	}
}

// TestRealPhotos reads 20 JPEG files that other tools wrote.
func TestRealPhotos(t *testing.T) {
	dir := testkit.Shared(t, "data/photos")
	src, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ds := src.Test.(*photos)
	if h, w, c := ds.Shape(); ds.Len() != 20 || src.Train.Len() != 0 || h != 224 || w != 224 || c != 3 {
		t.Fatalf("%d photos of %d×%d×%d, %d to train on; want 20 of 224×224×3", ds.Len(), h, w, c, src.Train.Len())
	}
	for i := range ds.Len() {
		pixels, label := sample(t, ds, i)
		name := filepath.Base(ds.files[i].path)
		if class := ds.Classes()[label]; !strings.HasSuffix(name, "_"+class+".JPEG") {
			t.Errorf("%s has label %d, %q", name, label, class)
		}
		raw, err := os.ReadFile(ds.files[i].path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := jpeg.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		// The middle square of 224/256 of the shorter side, by its mean colour in each quarter.
		b := m.Bounds()
		side := float64(min(b.Dx(), b.Dy())) * 224 / 256
		x0, y0 := (float64(b.Dx())-side)/2, (float64(b.Dy())-side)/2
		for quarter := range 4 {
			qx, qy := quarter%2, quarter/2
			var want, got [3]float64
			n := 0.0
			for y := y0 + side/2*float64(qy); y < y0+side/2*float64(qy+1); y++ {
				for x := x0 + side/2*float64(qx); x < x0+side/2*float64(qx+1); x++ {
					r, g, b, _ := m.At(b.Min.X+int(x), b.Min.Y+int(y)).RGBA()
					want[0], want[1], want[2], n = want[0]+float64(r>>8), want[1]+float64(g>>8), want[2]+float64(b>>8), n+1
				}
			}
			for y := 112 * qy; y < 112*(qy+1); y++ {
				for x := 112 * qx; x < 112*(qx+1); x++ {
					for k := range 3 {
						got[k] += float64(pixels[3*(224*y+x)+k])
					}
				}
			}
			for k := range 3 {
				if g, w := got[k]/112/112, want[k]/n; math.Abs(g-w) > 1.5 {
					t.Errorf("%s, quarter %d, channel %d: mean %.2f, want %.2f", name, quarter, k, g, w)
				}
			}
		}
	}
	l, err := NewLoader(context.Background(), ds, Config{Batch: 8, Mean: src.Mean, Std: src.Std})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var b Batch
	n := 0
	for {
		if err := l.Next(&b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n += b.N
	}
	if n != 20 {
		t.Errorf("%d photos in batches, want 20", n)
	}
}
