package data

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// A sheet's measures in pixels.
const (
	sheetSamples = 1024 // at most
	sheetCell    = 96   // small images are enlarged to fill about this
	sheetText    = 14
	sheetGap     = 4
)

// ContactSheet writes a PNG of the first n samples of ds in rows, the class under each, for looking at what a network will see. n is
// cut to the size of the data set and to 1,024.
func ContactSheet(ds Dataset, n int, w io.Writer) error {
	n = min(n, ds.Len(), sheetSamples)
	if n < 1 {
		return fmt.Errorf("data: contact sheet of %d samples", n)
	}
	ih, iw, c := ds.Shape()
	zoom := max(1, sheetCell/max(ih, iw))
	cw, ch := max(iw*zoom, sheetCell)+sheetGap, ih*zoom+sheetText+sheetGap
	columns := int(math.Ceil(math.Sqrt(float64(n) * float64(ch) / float64(cw))))
	rows := (n + columns - 1) / columns
	if int64(columns)*int64(cw) > maxImagePixels/(int64(rows)*int64(ch)) {
		return fmt.Errorf("data: contact sheet of %d images of %d×%d pixels: too large, ask for fewer", n, iw, ih)
	}
	sheet := image.NewRGBA(image.Rect(0, 0, columns*cw+sheetGap, rows*ch+sheetGap))
	draw.Draw(sheet, sheet.Rect, image.NewUniform(color.Gray{32}), image.Point{}, draw.Src)
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return fmt.Errorf("data: contact sheet: font: %w", err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: sheetText - 3, DPI: 72})
	if err != nil {
		return fmt.Errorf("data: contact sheet: font: %w", err)
	}
	text := font.Drawer{Dst: sheet, Src: image.NewUniform(color.Gray{220}), Face: face}
	pixels := make([]uint8, ih*iw*c)
	cell := image.NewRGBA(image.Rect(0, 0, iw, ih))
	for i := range n {
		label, err := ds.Read(i, pixels)
		if err != nil {
			return fmt.Errorf("data: contact sheet: sample %d: %w", i, err)
		}
		for p := range ih * iw {
			for k := range 3 {
				cell.Pix[4*p+k] = pixels[p*c+k%c]
			}
			cell.Pix[4*p+3] = 255
		}
		x, y := sheetGap+i%columns*cw, sheetGap+i/columns*ch
		draw.NearestNeighbor.Scale(sheet, image.Rect(x, y, x+iw*zoom, y+ih*zoom), cell, cell.Rect, draw.Src, nil)
		text.Dot = fixed.P(x, y+ih*zoom+sheetText-3)
		text.DrawString(fit(text.Face, ds.Classes()[label], cw-sheetGap))
	}
	if err := png.Encode(w, sheet); err != nil {
		return fmt.Errorf("data: contact sheet: %w", err)
	}
	return nil
}

// fit cuts a name to a width in pixels.
func fit(face font.Face, name string, width int) string {
	runes := []rune(name)
	for len(runes) > 0 && font.MeasureString(face, string(runes)).Ceil() > width {
		runes = runes[:len(runes)-1]
	}
	return string(runes)
}
