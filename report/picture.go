package report

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"slices"

	"github.com/dms-go/dms/train"
)

// Sizes of pictures in pixels; a browser stretches them.
const (
	maxRowsOfMasks = 128     // elements of a group that are drawn; of more, evenly many
	maxMask        = 1 << 20 // elements of a group whose masks are drawn at all
	maxElements    = 2048    // elements of a group whose kept ones are drawn in a row
)

// maskPicture draws the masks of one group over time: a column for each line of metrics that holds them, a row for each element, those
// that stay longest on top. The more of an element is there, the less transparent its place is, so the picture fits any background.
func maskPicture(lines []*train.Metrics, group string) (template.URL, int) {
	var columns [][]byte
	for _, m := range lines {
		if b, some := m.Masks[group]; some && len(b) > 0 && len(b) <= maxMask && (len(columns) == 0 || len(b) == len(columns[0])) {
			columns = append(columns, b)
		}
	}
	if len(columns) < 2 {
		return "", 0
	}
	n := len(columns[0])
	sum, order := make([]int, n), make([]int, n)
	for e := range n {
		order[e] = e
		for _, c := range columns {
			sum[e] += int(c[e])
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sum[b], sum[a]) })
	rows := min(n, maxRowsOfMasks)
	img := newStencil(len(columns), rows, shades)
	for y := range rows {
		e := order[y*n/rows]
		for x, c := range columns {
			img.SetColorIndex(x, y, uint8((int(c[e])*(shades-1)+127)/255))
		}
	}
	return dataURL(img), rows
}

// keptPicture draws the elements of a group in a row, in the order of the network, the removed ones transparent.
func keptPicture(keep []int, n int) template.URL {
	if n < 1 || n > maxElements {
		return ""
	}
	img := newStencil(n, 1, 2)
	for _, e := range keep {
		if e >= 0 && e < n {
			img.SetColorIndex(e, 0, 1)
		}
	}
	return dataURL(img)
}

// stencilColor is dark enough for a white page and light enough for a black one.
var stencilColor = color.NRGBA{R: 0x2f, G: 0x86, B: 0xc8}

// shades is how many opacities a mask is drawn in: four bits a pixel, which is finer than eyes tell apart here.
const shades = 16

// newStencil is a picture of one colour in n opacities, from nothing to all.
func newStencil(width, height, n int) *image.Paletted {
	palette := make(color.Palette, n)
	for i := range palette {
		c := stencilColor
		c.A = uint8(255 * i / (n - 1))
		palette[i] = c
	}
	return image.NewPaletted(image.Rect(0, 0, width, height), palette)
}

// dataURL is a picture as part of a page. Its text is base64 alone, so it needs no escaping.
func dataURL(img image.Image) template.URL {
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	if err := e.Encode(&b, img); err != nil { // not in memory, with sizes from 1
		return ""
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()))
}
