package report

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/zoo"
)

// half keeps every other element of each width group of a small residual network, and no block of its second stage.
func half(t testing.TB) (*space.Space, *cost.Model, space.Selection) {
	t.Helper()
	g, err := zoo.Build("resnet20")
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Find(g, space.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := cost.NewModel(g, s)
	if err != nil {
		t.Fatal(err)
	}
	sel := space.Selection{Keep: map[string][]int{}}
	for _, g := range s.Groups {
		keep := []int{}
		if g.Kind == space.Width {
			for e := 0; e < g.N; e += 2 {
				keep = append(keep, e)
			}
		} else if g.Name != "depth.layer2" {
			continue
		}
		sel.Keep[g.Name] = keep
	}
	if err := sel.Check(s); err != nil {
		t.Fatal(err)
	}
	return s, m, sel
}

func TestWidthsDrawsAPictureOfBoundedSize(t *testing.T) {
	s, m, sel := half(t)
	var b bytes.Buffer
	if err := Widths(&b, "resnet20", s, sel, m.Full(), m.At(sel)); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	if size.X < 900 || size.X > 1600 || size.Y < 2*rowHeight*len(s.Groups) || size.Y > 1200 {
		t.Errorf("a picture of %d groups is %v", len(s.Groups), size)
	}
	// Half of the widths is kept, so the two colours cover areas of the known proportion; text and edges cost some pixels.
	var want [2]int
	for _, g := range groups(s, sel) {
		switch {
		case g.Kind != "width":
		case g.Gone:
			want[1] += g.N
		default:
			want[0] += g.Kept
			want[1] += g.N - g.Kept
		}
	}
	top := img.(interface {
		SubImage(image.Rectangle) image.Image
	}).SubImage(image.Rect(0, 2*(margin+headHeight), size.X, 2*(margin+headHeight+rowHeight*12)))
	dark, pale := count(top, strong), count(top, light)
	if got, want := float64(dark)/float64(pale), float64(want[0])/float64(want[1]); got < 0.95*want || got > 1.05*want {
		t.Errorf("dark to light pixels of the bars are %.3f, want %.3f", got, want)
	}
	if count(img, cross) == 0 {
		t.Error("no block is crossed out")
	}
}

func count(img image.Image, c color.RGBA) int {
	n := 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			if color.RGBAModel.Convert(img.At(x, y)) == c {
				n++
			}
		}
	}
	return n
}

func TestWidthsDrawsTheSameBytesAgain(t *testing.T) {
	s, m, sel := half(t)
	var first []byte
	for range 2 {
		var b bytes.Buffer
		if err := Widths(&b, "resnet20", s, sel, m.Full(), m.At(sel)); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		} else if !bytes.Equal(first, b.Bytes()) {
			t.Error("the second picture differs from the first")
		}
	}
}

func TestWidthsOfARemovedBlockAreGone(t *testing.T) {
	s, _, sel := half(t)
	for _, g := range groups(s, sel) {
		want := g.Name == "layer2.1.conv1" || g.Name == "layer2.2.conv1"
		if g.Gone != want {
			t.Errorf("group %q: gone is %v", g.Name, g.Gone)
		}
	}
}

func TestPictureBearsStrangeResults(t *testing.T) {
	many := make([]Group, 300)
	for i := range many {
		many[i] = Group{Name: fmt.Sprintf("g%d", i), Kind: "width", N: 1 << 60, Kept: i}
	}
	for name, r := range map[string]*SearchResult{
		"one element":   {Groups: []Group{{Name: "x", Kind: "width", N: 1, Kept: 1}}},
		"only depth":    {Groups: []Group{{Name: "x", Kind: "depth", N: 1 << 62, Kept: 3}}},
		"long names":    {Groups: []Group{{Name: strings.Repeat("wörd\n", 1000), Kind: "width", N: 3, Kept: 2}}},
		"many groups":   {Groups: many},
		"no parameters": {After: cost.Cost{MACs: 1}, Groups: []Group{{Name: "x", Kind: "width", N: 3, Kept: 0}}},
	} {
		var b bytes.Buffer
		if err := r.WritePNG(&b, strings.Repeat(name, 100)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c, err := png.DecodeConfig(&b)
		if err != nil || c.Width > 2500 || c.Height > 11000 {
			t.Errorf("%s: %d × %d pixels, %v", name, c.Width, c.Height, err)
		}
	}
	for name, r := range map[string]*SearchResult{
		"nothing":    {},
		"impossible": {Groups: []Group{{Name: "x", Kind: "width", N: 3, Kept: 4}}},
		"too many":   {Groups: make([]Group, maxRows+1)},
	} {
		if err := r.WritePNG(new(bytes.Buffer), name); err == nil {
			t.Errorf("%s was drawn", name)
		}
	}
}

func BenchmarkWidths(b *testing.B) {
	s, m, sel := half(b)
	for b.Loop() {
		if err := Widths(new(bytes.Buffer), "resnet20", s, sel, m.Full(), m.At(sel)); err != nil {
			b.Fatal(err)
		}
	}
}
