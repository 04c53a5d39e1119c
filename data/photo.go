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
	"strings"
)

// picture is a decoded photo: red, green and blue bytes, (h, w, 3).
type picture struct {
	h, w   int
	pixels []uint8
}

// photoFormats are the formats of photo files, known by their first bytes.
var photoFormats = []struct {
	name, magic string
	config      func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
	check       func(raw []byte) error // what is wrong before decoding, if anything
	end         func(raw []byte) int   // where the part to decode ends; nil is the file's end
}{
	{"JPEG", "\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode, checkScans, nil},
	{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode, nil, nil},
	{"GIF", "GIF8", gif.DecodeConfig, decodeGIF, nil, firstPicture},
}

// checkScans refuses a JPEG that would take the decoder minutes: a scan of a few bytes may go over all pixels.
func checkScans(raw []byte) error {
	if n := bytes.Count(raw, []byte{0xff, 0xda}); n > maxScans {
		return fmt.Errorf("%d scans; at most %d are read", n, maxScans)
	}
	return nil
}

// decodeGIF decodes a file that was cut behind its first picture.
func decodeGIF(r io.Reader) (image.Image, error) {
	return gif.Decode(io.MultiReader(r, strings.NewReader(";")))
}

// firstPicture is where the first picture of a GIF ends. Of an animation this one counts, and the decoder would go over all the
// others. Damage ends the file where it is found.
//
// Source: Graphics Interchange Format, version 89a, sections 15 to 26 and appendix A.
func firstPicture(raw []byte) int {
	at := 13 // signature and logical screen
	colours := func(flags int) {
		if flags < len(raw) && raw[flags]&0x80 != 0 {
			at += 3 << (raw[flags]&7 + 1)
		}
	}
	colours(10)
	for at < len(raw) {
		picture := raw[at] == ','
		switch {
		case picture:
			at += 10
			colours(at - 1)
			at++ // size of codes
		case raw[at] == '!':
			at += 2
		default:
			return at
		}
		for at < len(raw) && raw[at] != 0 {
			at += 1 + int(raw[at])
		}
		at++
		if picture {
			break
		}
	}
	return min(at, len(raw))
}

// photoEndings are the file names that a folder's photos have, in lower case.
var photoEndings = []string{".jpg", ".jpeg", ".png", ".gif"}

func readPhoto(path string) (*picture, error) {
	f, err := openFile(path)
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
		case w*h/maxPacking > int64(len(raw)), w*h > freePixels && w*h/maxSparse > int64(len(raw)):
			return nil, fmt.Errorf("%s of %d×%d pixels in %d bytes; so few hold no photo of that size", f.name, w, h, len(raw))
		}
		if f.check != nil {
			if err := f.check(raw); err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
		}
		end := len(raw)
		if f.end != nil {
			end = f.end(raw)
		}
		r.Reset(raw[:end])
		img, err := f.decode(r)
		if err != nil {
			return nil, fmt.Errorf("damaged %s, near byte %d of %d: %w", f.name, end-r.Len(), len(raw), err)
		}
		if img.Bounds().Empty() { // a GIF's picture may be smaller than what its header states
			return nil, fmt.Errorf("damaged %s, near byte %d of %d: a picture without pixels", f.name, end-r.Len(), len(raw))
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
