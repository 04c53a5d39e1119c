package data

import (
	"fmt"
	"image"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomediumitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/gomonobolditalic"
	"golang.org/x/image/font/gofont/gomonoitalic"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

const (
	stencilSide    = 48
	stencilCapital = 28 // height of a capital on its stencil; the widest letters just fit
	capitalShare   = 0.722
)

// stencil is the coverage, 0 to 255, of one character with its middle in the middle. Letters are stamped at half this size or so,
// which interpolation between four of its pixels renders smoothly.
type stencil [stencilSide * stencilSide]uint8

// stencils are the letters of all fonts, font by font. They are drawn once, in some 20 ms. The small capitals among the Go fonts
// are left out: their capitals and digits are those of the regular font.
var stencils = sync.OnceValues(func() ([]stencil, error) {
	fonts := [][]byte{
		goregular.TTF, gobold.TTF, goitalic.TTF, gobolditalic.TTF, gomedium.TTF, gomediumitalic.TTF,
		gomono.TTF, gomonobold.TTF, gomonoitalic.TTF, gomonobolditalic.TTF,
	}
	letters := make([]stencil, 0, len(fonts)*len(glyphLetters))
	for _, ttf := range fonts {
		f, err := opentype.Parse(ttf)
		if err != nil {
			return nil, fmt.Errorf("font: %w", err)
		}
		// Twice as large as the stencil, so that averaging four pixels softens the edges a little more than coverage alone does.
		face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 2 * stencilCapital / capitalShare, DPI: 72})
		if err != nil {
			return nil, fmt.Errorf("font: %w", err)
		}
		for _, letter := range glyphLetters {
			letters = append(letters, cut(face, letter))
		}
	}
	return letters, nil
})

// cut draws one character and halves its size.
func cut(face font.Face, letter rune) (s stencil) {
	const side = 2 * stencilSide
	large := image.NewAlpha(image.Rect(0, 0, side, side))
	bounds, _, _ := face.GlyphBounds(letter)
	d := font.Drawer{Dst: large, Src: image.Opaque, Face: face}
	d.Dot = fixed.Point26_6{
		X: fixed.I(side)/2 - (bounds.Min.X+bounds.Max.X)/2,
		Y: fixed.I(side)/2 - (bounds.Min.Y+bounds.Max.Y)/2,
	}
	d.DrawString(string(letter))
	for y := range stencilSide {
		for x := range stencilSide {
			at := large.Pix[2*y*side+2*x:]
			s[y*stencilSide+x] = uint8((int(at[0]) + int(at[1]) + int(at[side]) + int(at[side+1]) + 2) / 4)
		}
	}
	return s
}
