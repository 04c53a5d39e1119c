package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
)

// picture is a decoded photo: red, green and blue bytes, (h, w, 3).
type picture struct {
	h, w   int
	pixels []uint8
}

// photoFormats are the formats of photo files, known by their first bytes. Of an animation the first picture counts.
var photoFormats = []struct {
	name, magic string
	config      func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
}{
	{"JPEG", "\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode},
	{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
	{"GIF", "GIF8", gif.DecodeConfig, gif.Decode},
}

// photoEndings are the file names that a folder's photos have, in lower case.
var photoEndings = []string{".jpg", ".jpeg", ".png", ".gif"}

func readPhoto(path string) (*picture, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := readUpTo(f, maxImageFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p, err := decodePhoto(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// decodePhoto decodes a JPEG, PNG or GIF after comparing the size it claims with what may be and with what its bytes can hold.
// Orientation tags and colour profiles are not applied, as in the pipelines that ImageNet networks are trained with.
func decodePhoto(raw []byte) (*picture, error) {
	for _, f := range photoFormats {
		if !bytes.HasPrefix(raw, []byte(f.magic)) {
			continue
		}
		r := bytes.NewReader(raw)
		c, err := f.config(r)
		if err != nil {
			return nil, fmt.Errorf("%s header, near byte %d: %w", f.name, len(raw)-r.Len(), err)
		}
		switch w, h := int64(c.Width), int64(c.Height); {
		case w < 1 || h < 1:
			return nil, fmt.Errorf("%s of %d×%d pixels", f.name, w, h)
		case w > maxImagePixels/h:
			return nil, fmt.Errorf("%s of %d×%d pixels; at most %d are read", f.name, w, h, maxImagePixels)
		case w*h/maxPacking > int64(len(raw)):
			return nil, fmt.Errorf("%s of %d×%d pixels in %d bytes; so few cannot hold them", f.name, w, h, len(raw))
		}
		r.Reset(raw)
		img, err := f.decode(r)
		if err != nil {
			return nil, fmt.Errorf("damaged %s, near byte %d of %d: %w", f.name, len(raw)-r.Len(), len(raw), err)
		}
		return flatten(img), nil
	}
	return nil, fmt.Errorf("starts with %q; want a JPEG, PNG or GIF picture", raw[:min(4, len(raw))])
}

// flatten makes an image three bytes per pixel. Transparency is left out, not blended: what colour lies behind is nowhere said.
func flatten(img image.Image) *picture {
	b := img.Bounds()
	p := &picture{h: b.Dy(), w: b.Dx(), pixels: make([]uint8, 3*b.Dx()*b.Dy())}
	for y := range p.h {
		row := p.pixels[3*p.w*y : 3*p.w*(y+1)]
		flattenRow(row, img, b.Min.X, b.Min.Y+y)
	}
	return p
}

// flattenRow writes the row of img that starts at (x0, y); the formats that decoders give often are done without an interface
// call per pixel.
func flattenRow(row []uint8, img image.Image, x0, y int) {
	w := len(row) / 3
	switch m := img.(type) {
	case *image.YCbCr:
		for x := range w {
			yi, ci := m.YOffset(x0+x, y), m.COffset(x0+x, y)
			row[3*x], row[3*x+1], row[3*x+2] = color.YCbCrToRGB(m.Y[yi], m.Cb[ci], m.Cr[ci])
		}
	case *image.Gray:
		for x, v := range m.Pix[m.PixOffset(x0, y):][:w] {
			row[3*x], row[3*x+1], row[3*x+2] = v, v, v
		}
	case *image.RGBA: // what the PNG decoder makes of pictures without transparency
		dropAlpha(row, m.Pix[m.PixOffset(x0, y):])
	case *image.NRGBA:
		dropAlpha(row, m.Pix[m.PixOffset(x0, y):])
	default:
		for x := range w {
			c := color.NRGBAModel.Convert(m.At(x0+x, y)).(color.NRGBA)
			row[3*x], row[3*x+1], row[3*x+2] = c.R, c.G, c.B
		}
	}
}

func dropAlpha(row, rgba []uint8) {
	for i, j := 0, 0; i+2 < len(row); i, j = i+3, j+4 {
		row[i], row[i+1], row[i+2] = rgba[j], rgba[j+1], rgba[j+2]
	}
}
