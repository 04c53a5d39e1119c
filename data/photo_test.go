package data

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// coloured fills an image with colours that differ from pixel to pixel, as far as its model lets them.
func coloured(m interface {
	image.Image
	Set(x, y int, c color.Color)
}) image.Image {
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			m.Set(x, y, color.NRGBA{uint8(17*x + 5*y), uint8(40 + 7*x - 3*y), uint8(x*y + 90), uint8(255 - 60*(y%3))})
		}
	}
	return m
}

var palette = color.Palette{color.RGBA{0, 0, 0, 255}, color.RGBA{255, 30, 0, 255}, color.RGBA{0, 200, 90, 255}, color.RGBA{90, 80, 255, 255}}

// drawings are small images of all models that the decoders make.
func drawings() map[string]image.Image {
	r := image.Rect(0, 0, 13, 9)
	return map[string]image.Image{
		"gray":    coloured(image.NewGray(r)),
		"gray16":  coloured(image.NewGray16(r)),
		"rgba":    opaque(coloured(image.NewRGBA(r))),
		"nrgba":   coloured(image.NewNRGBA(r)),
		"nrgba64": coloured(image.NewNRGBA64(r)),
		"palette": coloured(image.NewPaletted(r, palette)),
		"dot":     coloured(image.NewGray(image.Rect(0, 0, 1, 1))),
		"part":    opaque(coloured(image.NewRGBA(image.Rect(-3, -2, 20, 20)))).(*image.RGBA).SubImage(image.Rect(1, 2, 9, 7)),
	}
}

func opaque(m image.Image) image.Image {
	p := m.(*image.RGBA)
	for i := 3; i < len(p.Pix); i += 4 {
		p.Pix[i] = 255
	}
	return p
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 80}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// asGIF is an animation of three pictures, of which the first is m.
func asGIF(t testing.TB, m image.Image) []byte {
	t.Helper()
	first := image.NewPaletted(m.Bounds(), palette)
	for y := range first.Rect.Dy() {
		for x := range first.Rect.Dx() {
			first.Set(x, y, m.At(x, y))
		}
	}
	other := image.NewPaletted(m.Bounds(), color.Palette{color.White, color.Black})
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{first, other, other}, Delay: []int{1, 1, 1}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// check compares a picture with an image, pixel by pixel, by what the image says of itself.
func (p *picture) check(t *testing.T, what string, m image.Image) {
	t.Helper()
	b := m.Bounds()
	if p.w != b.Dx() || p.h != b.Dy() || len(p.pixels) != 3*p.w*p.h {
		t.Fatalf("%s: %d×%d pixels in %d bytes, want %d×%d", what, p.w, p.h, len(p.pixels), b.Dx(), b.Dy())
	}
	for y := range p.h {
		for x := range p.w {
			want := color.NRGBAModel.Convert(m.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
			got := p.pixels[3*(y*p.w+x):][:3]
			if want := []uint8{want.R, want.G, want.B}; !slices.Equal(got, want) {
				t.Fatalf("%s: column %d, row %d is %v, want %v", what, x, y, got, want)
			}
		}
	}
}

func TestPhotosHaveTheirPixels(t *testing.T) {
	for what, m := range drawings() {
		p, err := decodePhoto(asPNG(t, m))
		if err != nil {
			t.Fatalf("%s as PNG: %v", what, err)
		}
		p.check(t, what+" as PNG", m)

		raw := asJPEG(t, m)
		lossy, err := jpeg.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if p, err = decodePhoto(raw); err != nil {
			t.Fatalf("%s as JPEG: %v", what, err)
		}
		p.check(t, what+" as JPEG", lossy)
	}
	// Formats that no encoder here writes.
	p := flatten(coloured(image.NewRGBA64(image.Rect(2, 3, 6, 6))))
	p.check(t, "rgba64", coloured(image.NewRGBA64(image.Rect(2, 3, 6, 6))))
	cmyk := image.NewCMYK(image.Rect(0, 0, 5, 4))
	for i := range cmyk.Pix {
		cmyk.Pix[i] = uint8(13 * i)
	}
	flatten(cmyk).check(t, "CMYK", cmyk)
	for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
		m := image.NewYCbCr(image.Rect(0, 0, 17, 11), ratio)
		for _, plane := range [][]uint8{m.Y, m.Cb, m.Cr} {
			for i := range plane {
				plane[i] = uint8(31*i + len(plane))
			}
		}
		flatten(m).check(t, ratio.String(), m)
		part := m.SubImage(image.Rect(3, 1, 12, 9))
		flatten(part).check(t, "part of "+ratio.String(), part)
	}
}

// TestOfAnAnimationTheFirstPictureCounts and damage behind it does not.
func TestOfAnAnimationTheFirstPictureCounts(t *testing.T) {
	for what, m := range drawings() {
		if m.Bounds().Min != (image.Point{}) {
			continue
		}
		raw := asGIF(t, m)
		want, err := gif.DecodeAll(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		end := firstPicture(raw)
		for cut := end; cut <= len(raw); cut++ {
			p, err := decodePhoto(raw[:cut])
			if err != nil {
				t.Fatalf("%s: %d of %d bytes: %v", what, cut, len(raw), err)
			}
			p.check(t, what, want.Image[0])
		}
		if _, err := decodePhoto(raw[:end-1]); err == nil {
			t.Errorf("%s: a picture without its end: accepted", what)
		}
		if len(raw)-end < 10 {
			t.Errorf("%s: the first picture ends at byte %d of %d", what, end, len(raw))
		}
	}
}

// chunk is one of a PNG, with its checksum.
func chunk(kind string, data []byte) []byte {
	raw := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	raw = append(append(raw, kind...), data...)
	return binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw[4:]))
}

// claimPNG is a PNG of the given size, depth and kind of colour, with packed pixels.
func claimPNG(w, h uint32, depth, colour byte, packed []byte) []byte {
	size := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	raw := []byte("\x89PNG\r\n\x1a\n")
	raw = append(raw, chunk("IHDR", append(size, depth, colour, 0, 0, 0))...)
	raw = append(raw, chunk("IDAT", packed)...)
	return append(raw, chunk("IEND", nil)...)
}

// zlibbed is packed as in a PNG, as tightly as it gets.
func zlibbed(raw []byte) []byte {
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, zlib.BestCompression) // a level that exists
	w.Write(raw)                                          // to memory
	w.Close()
	return b.Bytes()
}

// claimGIF is a GIF whose picture of w×h pixels lies on a screen of the given size.
func claimGIF(screenW, screenH, w, h uint16, packed string) []byte {
	raw := []byte("GIF89a")
	raw = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(raw, screenW), screenH)
	raw = append(raw, "\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00"...)
	raw = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(raw, w), h)
	return append(raw, "\x00\x02"+packed+"\x00;"...)
}

// resize16 states another size in the frame header of a JPEG.
func resize16(raw []byte, w, h uint16) []byte {
	raw = bytes.Clone(raw)
	at := bytes.Index(raw, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(raw[at+5:], h)
	binary.BigEndian.PutUint16(raw[at+7:], w)
	return raw
}

func TestPhotosThatAreBrokenAreRefused(t *testing.T) {
	drawing := drawings()["rgba"]
	asP, asJ, asG := asPNG(t, drawing), asJPEG(t, drawing), asGIF(t, drawing)
	flip := func(raw []byte, at int) []byte {
		raw = bytes.Clone(raw)
		raw[at] ^= 0x40
		return raw
	}
	for what, c := range map[string]struct {
		raw  []byte
		want string // with an ellipsis: its beginning
	}{
		"nothing":           {nil, `starts with ""; want a JPEG, PNG or GIF picture`},
		"text":              {[]byte("<html>"), `starts with "<htm"; want a JPEG, PNG or GIF picture`},
		"PNG magic":         {asP[:8], "PNG header, near byte 8: unexpected EOF"},
		"PNG header sum":    {flip(asP, 30), "PNG header, near byte 33: png: invalid format: invalid checksum"},
		"PNG cut":           {asP[:len(asP)-30], "damaged PNG, near byte …"},
		"PNG pixels":        {flip(asP, len(asP)/2), "damaged PNG, near byte …"},
		"PNG without data":  {claimPNG(4, 4, 8, 2, nil), "damaged PNG, near byte …"},
		"PNG of no width":   {claimPNG(0, 4, 8, 2, nil), "PNG header, near byte 29: png: invalid format: non-positive dimension"},
		"PNG too large":     {claimPNG(1<<13, 1<<13+1, 8, 2, make([]byte, 1<<20)), "PNG of 8192×8193 pixels; at most 67108864 are read"},
		"PNG side":          {claimPNG(1<<31-1, 1<<31-1, 1, 0, nil), "PNG header, near byte 29: png: unsupported feature: dimension overflow"},
		"PNG long side":     {claimPNG(1<<31-1, 1, 1, 0, nil), "PNG of 2147483647×1 pixels; at most 67108864 are read"},
		"PNG of few bytes":  {claimPNG(1<<12, 1<<10, 1, 0, nil), "PNG of 4096×1024 pixels in 57 bytes; so few hold no photo of that size"},
		"JPEG magic":        {asJ[:3], "JPEG header, near byte 3: unexpected EOF"},
		"JPEG cut":          {asJ[:len(asJ)/2], "JPEG header, near byte …"},
		"JPEG without end":  {asJ[:len(asJ)-20], "damaged JPEG, near byte …"},
		"JPEG of no width":  {resize16(asJ, 0, 9), "JPEG of 0×9 pixels"},
		"JPEG of no height": {resize16(asJ, 9, 0), "JPEG of 9×0 pixels"},
		"JPEG too large":    {resize16(asJ, 65535, 65535), "JPEG of 65535×65535 pixels; at most 67108864 are read"},
		"JPEG of few bytes": {resize16(asJ, 8191, 8192), "JPEG of 8191×8192 pixels in …"},
		"GIF magic":         {asG[:6], "GIF header, near byte 6: …"},
		"GIF cut":           {asG[:40], "damaged GIF, near byte 40 of 40: gif: …"},
		"GIF too wide":      {claimGIF(4, 4, 5, 4, "\x01\x00"), "damaged GIF, near byte …"},
		"GIF of no pixels":  {claimGIF(0, 0, 0, 0, "\x01\x05"), "GIF of 0×0 pixels"},
		"GIF picture empty": {claimGIF(4, 4, 0, 4, "\x02\x2c\x00"), "damaged GIF, near byte 34 of 35: a picture without pixels"},
		"GIF without data":  {claimGIF(4, 4, 4, 4, ""), "damaged GIF, near byte …"},
		"GIF of few bytes":  {claimGIF(65000, 1000, 4, 4, ""), "GIF of 65000×1000 pixels in 32 bytes; so few hold no photo of that size"},
	} {
		p, err := decodePhoto(c.raw)
		want, begins := strings.CutSuffix(c.want, "…")
		if got := fmt.Sprint(err); p != nil || got != want && (!begins || !strings.HasPrefix(got, want)) {
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, c.want)
		}
	}
}

// TestPhotoOfManyScansIsRefused: a few bytes of a JPEG may go over all of its pixels again.
func TestPhotoOfManyScansIsRefused(t *testing.T) {
	raw := asJPEG(t, drawings()["gray"])
	scan := raw[bytes.Index(raw, []byte{0xff, 0xda}):]
	for range maxScans {
		raw = append(raw, scan...)
	}
	start := time.Now()
	if _, err := decodePhoto(raw); err == nil || err.Error() != "JPEG: 257 scans; at most 256 are read" {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("refused after %v", took)
	}
}

func TestResamplingFollowsItsDefinition(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p := &picture{h: 1 + rng.IntN(40), w: 1 + rng.IntN(40)}
		p.pixels = make([]uint8, 3*p.h*p.w)
		for i := range p.pixels {
			p.pixels[i] = uint8(rng.Uint32())
		}
		side := 1 + rng.IntN(20)
		b := randomPart(rng, p.w, p.h)
		if seed%2 == 0 {
			b = centre(p.w, p.h, side)
		}
		if b.x0 < 0 || b.y0 < 0 || b.x1 > float64(p.w)+1e-9 || b.y1 > float64(p.h)+1e-9 || b.x0 >= b.x1 || b.y0 >= b.y1 {
			t.Fatalf("seed %d: part %+v of %d×%d pixels", seed, b, p.w, p.h)
		}
		got := make([]uint8, 3*side*side)
		p.resample(got, side, b)
		for i, v := range got {
			want := p.at(b, side, i/3%side, i/3/side, i%3)
			// Rows are rounded before columns, which moves a value by half a level times the sum of the filter's magnitudes.
			if diff := float64(v) - min(max(want, 0), 255); diff > 1.3 || diff < -1.3 {
				t.Fatalf("seed %d: %d×%d to %d, part %+v: value %d is %d, want %.2f", seed, p.w, p.h, side, b, i, v, want)
			}
		}
	}
}

// at is one value of p resampled, by the definition: the weighted mean of all pixels within the filter's reach.
func (p *picture) at(b box, side, x, y, channel int) float64 {
	weights := func(i, size int, lo, hi float64) []float64 {
		scale := (hi - lo) / float64(side)
		w, sum := make([]float64, size), 0.0
		for j := range w {
			w[j] = filter((float64(j) + 0.5 - lo - (float64(i)+0.5)*scale) / max(scale, 1))
			sum += w[j]
		}
		for j := range w {
			w[j] /= sum
		}
		return w
	}
	across, down := weights(x, p.w, b.x0, b.x1), weights(y, p.h, b.y0, b.y1)
	total := 0.0
	for r, wy := range down {
		row := 0.0
		for c, wx := range across {
			row += wx * float64(p.pixels[3*(r*p.w+c)+channel])
		}
		total += wy * min(max(row, 0), 255)
	}
	return total
}

func TestResamplingKeepsFlatColours(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 500}, {500, 1}, {300, 200}, {7, 3}} {
		p := &picture{w: size[0], h: size[1]}
		p.pixels = bytes.Repeat([]byte{255, 0, 77}, p.w*p.h)
		out := make([]uint8, 3*24*24)
		for _, b := range []box{centre(p.w, p.h, 24), randomPart(rand.New(rand.NewPCG(1, 1)), p.w, p.h)} {
			p.resample(out, 24, b)
			if !bytes.Equal(out, bytes.Repeat([]byte{255, 0, 77}, 24*24)) {
				t.Errorf("%d×%d, part %+v: the colour changed", p.w, p.h, b)
			}
		}
	}
}

func TestRandomPartsAreWithinThePhoto(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 20_000 {
		w, h := 1+rng.IntN(50), 1+rng.IntN(50)
		if rng.IntN(10) == 0 {
			w *= 1 << rng.IntN(20)
		}
		b := randomPart(rng, w, h)
		if b.x0 < 0 || b.y0 < 0 || b.x1 > float64(w) || b.y1 > float64(h) || b.x1 <= b.x0 || b.y1 <= b.y0 {
			t.Fatalf("%+v of %d×%d", b, w, h)
		}
	}
}
