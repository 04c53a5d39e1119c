package data

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/gofont/gosmallcaps"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

const (
	glyphSide    = 32
	glyphLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	glyphTrain   = 20000
	glyphTest    = 4000
	stencilSide  = 64 // of the drawn masters
)

var glyphMean, glyphStd = []float32{.5, .5, .5}, []float32{.25, .25, .25}

// stencil is the coverage of one character of one font, 0 to 255.
type stencil [stencilSide * stencilSide]uint8

// stencils draws every character of every font once.
var stencils = sync.OnceValues(func() ([][]stencil, error) {
	var out [][]stencil
	for _, ttf := range [][]byte{
		goregular.TTF, gobold.TTF, goitalic.TTF, gobolditalic.TTF, gomedium.TTF, gomono.TTF, gomonobold.TTF, gosmallcaps.TTF,
	} {
		f, err := opentype.Parse(ttf)
		if err != nil {
			return nil, fmt.Errorf("font: %w", err)
		}
		face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 52, DPI: 72})
		if err != nil {
			return nil, fmt.Errorf("font: %w", err)
		}
		row := make([]stencil, len(glyphLetters))
		for i, letter := range glyphLetters {
			row[i] = cutStencil(face, letter)
		}
		out = append(out, row)
	}
	return out, nil
})

// cutStencil draws a character into the middle of its stencil.
func cutStencil(face font.Face, letter rune) (s stencil) {
	b, _, _ := face.GlyphBounds(letter)
	dst := &image.Alpha{Pix: s[:], Stride: stencilSide, Rect: image.Rect(0, 0, stencilSide, stencilSide)}
	d := font.Drawer{Dst: dst, Src: image.Opaque, Face: face}
	d.Dot.X = fixed.I(stencilSide)/2 - (b.Min.X+b.Max.X)/2
	d.Dot.Y = fixed.I(stencilSide)/2 - (b.Min.Y+b.Max.Y)/2
	d.DrawString(string(letter))
	return s
}

// glyphs draws digits and capitals of the Go fonts: 36 classes, 32×32, in colour. Image i of a seed is always the same.
//
// A letter is turned, sheared, scaled and moved, and lies on a background of two colours among pieces of other letters, lines and
// noise, sometimes with little contrast: a problem on which a wider network does visibly better than a narrow one.
type glyphs struct {
	n        int
	seed     uint64
	stencils [][]stencil
	classes  []string
}

func openGlyphs(_ string, o Options) (*Source, error) {
	all, err := stencils()
	if err != nil {
		return nil, err
	}
	var classes []string
	for _, l := range glyphLetters {
		classes = append(classes, string(l))
	}
	n := o.TrainLen
	if n == 0 {
		n = glyphTrain
	}
	g := glyphs{n: n, seed: o.Seed<<1 | 1, stencils: all, classes: classes}
	test := g
	test.n, test.seed = glyphTest, o.Seed<<1
	return &Source{
		Name: "glyphs", Train: &g, Test: &test, Mean: []float32{.5, .5, .5}, Std: []float32{.25, .25, .25},
	}, nil
}

func (g *glyphs) Len() int             { return g.n }
func (g *glyphs) Shape() (h, w, c int) { return glyphSide, glyphSide, 3 }
func (g *glyphs) Classes() []string    { return g.classes }

// colour is linear, 0 to 1 per channel.
type colour [3]float32

func randomColour(r *rand.Rand) colour { return colour{r.Float32(), r.Float32(), r.Float32()} }

func (c colour) distance(d colour) float32 {
	s := float32(0)
	for i := range c {
		s += (c[i] - d[i]) * (c[i] - d[i])
	}
	return float32(math.Sqrt(float64(s)))
}

func (g *glyphs) Read(i int, dst []uint8) (int, error) {
	if i < 0 || i >= g.n {
		return 0, fmt.Errorf("data: sample %d of %d", i, g.n)
	}
	r := rand.New(rand.NewPCG(g.seed, uint64(i)))
	label := r.IntN(len(glyphLetters))
	var canvas [glyphSide * glyphSide]colour

	// A background that runs from one colour to another.
	from, to := randomColour(r), randomColour(r)
	angle := r.Float64() * 2 * math.Pi
	gx, gy := float32(math.Cos(angle)), float32(math.Sin(angle))
	for y := range glyphSide {
		for x := range glyphSide {
			t := 0.5 + (gx*(float32(x)-15.5)+gy*(float32(y)-15.5))/44
			for c := range 3 {
				canvas[y*glyphSide+x][c] = from[c]*(1-t) + to[c]*t
			}
		}
	}
	middle := colour{(from[0] + to[0]) / 2, (from[1] + to[1]) / 2, (from[2] + to[2]) / 2}

	// Clutter behind: parts of other letters towards the edges, and lines.
	for range 1 + r.IntN(3) {
		a := r.Float64() * 2 * math.Pi
		d := 14 + 5*r.Float64()
		g.stamp(&canvas, r, r.IntN(len(glyphLetters)), 15.5+d*math.Cos(a), 15.5+d*math.Sin(a), 0.2+0.25*r.Float64(), math.Pi*(2*r.Float64()-1), randomColour(r), 0.9)
	}
	for range r.IntN(3) {
		line(&canvas, r)
	}

	// The letter, in a colour that can just be told from the background.
	ink := randomColour(r)
	for ink.distance(middle) < 0.3 {
		ink = randomColour(r)
	}
	g.stamp(&canvas, r, label, 15.5+6*(r.Float64()-0.5), 15.5+6*(r.Float64()-0.5), 0.28+0.22*r.Float64(), 0.9*(r.Float64()-0.5), ink, 1)
	if r.IntN(3) == 0 {
		line(&canvas, r) // across the letter
	}

	noise := 0.02 + 0.1*r.Float32()
	for p := range canvas {
		for c := range 3 {
			v := canvas[p][c] + noise*float32(r.NormFloat64())
			dst[3*p+c] = uint8(min(max(v, 0), 1)*255 + 0.5)
		}
	}
	return label, nil
}

// stamp paints a letter of a random font with its middle at (cx, cy), scaled, turned by angle and sheared at random.
func (g *glyphs) stamp(canvas *[glyphSide * glyphSide]colour, r *rand.Rand, letter int, cx, cy, scale, angle float64, ink colour, opacity float32) {
	s := &g.stencils[r.IntN(len(g.stencils))][letter]
	sin, cos := math.Sincos(angle)
	shear := 0.5 * (r.Float64() - 0.5)
	sx, sy := scale*(0.85+0.3*r.Float64()), scale*(0.85+0.3*r.Float64())
	// canvas = R(angle)·Shear·Scale·stencil; invert it
	a, b := cos*sx, cos*sx*shear-sin*sy
	c, d := sin*sx, sin*sx*shear+cos*sy
	det := a*d - b*c
	ia, ib, ic, id := d/det, -b/det, -c/det, a/det
	const half = (stencilSide - 1) / 2.0
	for y := range glyphSide {
		for x := range glyphSide {
			// four samples a pixel smooth the edges of letters drawn at a quarter of their size
			cover := float32(0)
			for _, o := range [4][2]float64{{-.25, -.25}, {.25, -.25}, {-.25, .25}, {.25, .25}} {
				dx, dy := float64(x)+o[0]-cx, float64(y)+o[1]-cy
				u, v := ia*dx+ib*dy+half, ic*dx+id*dy+half
				if u > 0 && v > 0 && u < stencilSide-1 && v < stencilSide-1 {
					cover += float32(s[int(v)*stencilSide+int(u)])
				}
			}
			if cover == 0 {
				continue
			}
			cover *= opacity / (4 * 255)
			p := &canvas[y*glyphSide+x]
			for ch := range 3 {
				p[ch] += cover * (ink[ch] - p[ch])
			}
		}
	}
}

// line paints a straight stroke of one or two pixels across the canvas.
func line(canvas *[glyphSide * glyphSide]colour, r *rand.Rand) {
	ink := randomColour(r)
	angle := r.Float64() * math.Pi
	sin, cos := math.Sincos(angle)
	offset := 28 * (r.Float64() - 0.5)
	half := 0.5 + 0.5*r.Float64()
	for y := range glyphSide {
		for x := range glyphSide {
			d := math.Abs(cos*(float64(x)-15.5) + sin*(float64(y)-15.5) - offset)
			cover := float32(min(max(half+0.5-d, 0), 1))
			p := &canvas[y*glyphSide+x]
			for ch := range 3 {
				p[ch] += cover * (ink[ch] - p[ch])
			}
		}
	}
}
