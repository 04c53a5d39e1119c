package data

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	glyphSide    = 32
	glyphLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	glyphTrain   = 20_000
	glyphTest    = 4_000
)

// Measured over 20,000 drawings of seed 0, rounded; other seeds differ in the third decimal. A test holds them.
var (
	glyphMean = []float32{0.5, 0.5, 0.5}
	glyphStd  = []float32{0.27, 0.27, 0.27}
)

// glyphs is a data set that is drawn as it is read and needs no files: digits and capitals of the Go fonts, 36 classes, 32×32 in
// colour.
//
// A letter of a random font is scaled, stretched, turned, sheared and moved. Behind it lies a coloured ground with pieces of other
// letters, strokes and blobs; strokes may cross it; blur and noise come last, and the contrast is sometimes low. That is hard
// enough for accuracy to grow with the capacity of a small network, which is what the set is for: searches and comparisons that
// anybody can run. Sample i of a seed and split is always the same drawing; its class is i mod 36, so any stretch is balanced.
type glyphs struct {
	n       int
	seed    uint64
	split   int
	letters []stencil // font by font
	classes []string
	easels  *sync.Pool                // of *easel
	kept    []atomic.Pointer[drawing] // the first drawings, once drawn: an epoch later they are wanted again
}

// drawing is the pixels of one.
type drawing [glyphSide * glyphSide * 3]uint8

// glyphsKept bounds the drawings that are kept, 3 KiB each.
const glyphsKept = 1 << 15

func openGlyphs(_ string, o Options) (*Source, error) {
	letters, err := stencils()
	if err != nil {
		return nil, err
	}
	if o.TrainLen == 0 {
		o.TrainLen = glyphTrain
	}
	if o.TestLen == 0 {
		o.TestLen = glyphTest
	}
	if o.TrainLen > math.MaxInt32 || o.TestLen > math.MaxInt32 {
		return nil, fmt.Errorf("%d training and %d test drawings; at most %d", o.TrainLen, o.TestLen, math.MaxInt32)
	}
	train := glyphs{
		n: o.TrainLen, seed: o.Seed, letters: letters, classes: strings.Split(glyphLetters, ""),
		easels: &sync.Pool{New: func() any { return &easel{stream: newStream()} }},
	}
	test := train
	test.n, test.split = o.TestLen, 1
	for _, g := range []*glyphs{&train, &test} {
		g.kept = make([]atomic.Pointer[drawing], min(g.n, glyphsKept))
	}
	return &Source{Train: &train, Test: &test, Mean: glyphMean, Std: glyphStd}, nil
}

func (g *glyphs) Len() int             { return g.n }
func (g *glyphs) Shape() (h, w, c int) { return glyphSide, glyphSide, 3 }
func (g *glyphs) Classes() []string    { return g.classes }

// Read draws sample i.
func (g *glyphs) Read(i int, dst []uint8) (int, error) {
	label := i % len(glyphLetters)
	if i < len(g.kept) {
		if p := g.kept[i].Load(); p != nil {
			copy(dst, p[:])
			return label, nil
		}
	}
	e := g.easels.Get().(*easel)
	defer g.easels.Put(e)
	e.at(g.seed, forGlyph, g.split, i)
	e.draw(dst, g.letters, label)
	if i < len(g.kept) {
		p := new(drawing)
		copy(p[:], dst)
		g.kept[i].Store(p)
	}
	return label, nil
}

// easel is where one drawing is made.
type easel struct {
	*stream
	canvas, before [glyphSide * glyphSide]colour // before: the canvas while it is blurred
}

// colour is red, green and blue from 0 to 1.
type colour [3]float32

// uniform draws from lo to hi.
func (e *easel) uniform(lo, hi float32) float32 { return lo + (hi-lo)*e.Float32() }

func (e *easel) chance(p float32) bool { return e.Float32() < p }

func (e *easel) colour() colour { return colour{e.Float32(), e.Float32(), e.Float32()} }

// near is a colour at most spread away per channel.
func (e *easel) near(c colour, spread float32) colour {
	for k := range c {
		c[k] = min(max(c[k]+e.uniform(-spread, spread), 0), 1)
	}
	return c
}

// apart is a colour that differs from c by at least d in brightness.
func (e *easel) apart(c colour, d float32) colour {
	for {
		v := e.colour()
		if diff := v.brightness() - c.brightness(); diff >= d || -diff >= d {
			return v
		}
	}
}

// brightness is the luma of ITU-R BT.601.
func (c colour) brightness() float32 { return 0.299*c[0] + 0.587*c[1] + 0.114*c[2] }

// draw paints a drawing of one letter.
func (e *easel) draw(dst []uint8, letters []stencil, label int) {
	const middle = (glyphSide - 1) / 2.0
	ground := e.ground()
	for range e.IntN(3) { // pieces of other letters, around the one that counts
		a, d := float64(e.uniform(0, 2*math.Pi)), e.uniform(14, 20)
		sin, cos := math.Sincos(a)
		e.stamp(e.letter(letters, e.IntN(len(glyphLetters))), pose{
			x: middle + d*float32(cos), y: middle + d*float32(sin),
			height: e.uniform(10, 24), stretch: e.uniform(0.8, 1.25), turn: e.uniform(0, 2*math.Pi), shear: e.uniform(-0.3, 0.3),
		}, e.colour(), e.colour(), e.uniform(0.5, 1))
	}
	for range e.IntN(3) {
		e.blob(e.near(ground, 0.4))
	}
	for range e.IntN(3) {
		e.stroke(e.colour(), e.uniform(0.5, 1.5), e.uniform(0.4, 1))
	}
	ink := e.apart(ground, e.uniform(0.2, 0.5))
	e.stamp(e.letter(letters, label), pose{
		x: middle + e.uniform(-3, 3), y: middle + e.uniform(-3, 3),
		height: e.uniform(14, 24), stretch: e.uniform(0.8, 1.25), turn: e.uniform(-0.35, 0.35), shear: e.uniform(-0.25, 0.25),
	}, ink, e.near(ink, 0.2), e.uniform(0.8, 1))
	if e.chance(0.25) {
		e.stroke(e.colour(), e.uniform(0.4, 1), e.uniform(0.5, 1))
	}
	if e.chance(0.3) {
		e.blur()
	}
	e.develop(dst, e.uniform(0.01, 0.07))
}

// letter is the stencil of a character in a random font.
func (e *easel) letter(letters []stencil, label int) *stencil {
	fonts := len(letters) / len(glyphLetters)
	return &letters[e.IntN(fonts)*len(glyphLetters)+label]
}

// ground covers the canvas with colours that run between its corners and with soft patches, and returns the colour around which
// they lie.
func (e *easel) ground() colour {
	base := e.colour()
	spread := e.uniform(0, 0.25)
	var corner [4]colour
	for i := range corner {
		corner[i] = e.near(base, spread)
	}
	const cells = 5
	var patch [cells][cells]float32
	rough := e.uniform(0, 0.1)
	for y := range patch {
		for x := range patch[y] {
			patch[y][x] = e.uniform(-rough, rough)
		}
	}
	for y := range glyphSide {
		fy := float32(y) / (glyphSide - 1)
		gy := fy * (cells - 1) * 0.999
		for x := range glyphSide {
			fx := float32(x) / (glyphSide - 1)
			gx := fx * (cells - 1) * 0.999
			iy, ix := int(gy), int(gx)
			ty, tx := gy-float32(iy), gx-float32(ix)
			light := (patch[iy][ix]*(1-tx)+patch[iy][ix+1]*tx)*(1-ty) + (patch[iy+1][ix]*(1-tx)+patch[iy+1][ix+1]*tx)*ty
			p := &e.canvas[y*glyphSide+x]
			for k := range p {
				p[k] = (corner[0][k]*(1-fx)+corner[1][k]*fx)*(1-fy) + (corner[2][k]*(1-fx)+corner[3][k]*fx)*fy + light
			}
		}
	}
	return base
}

// pose is how a letter stands on the canvas, in pixels and radians.
type pose struct {
	x, y    float32 // of its middle
	height  float32 // of a capital
	stretch float32 // of the width, and inversely of the height
	turn    float32
	shear   float32
}

// stamp paints a letter whose ink runs from one colour at its top to another at its foot.
func (e *easel) stamp(s *stencil, p pose, top, foot colour, opacity float32) {
	// The canvas is gone over in its own pixels; the inverse of the pose tells where in the stencil each one lies.
	sin64, cos64 := math.Sincos(float64(p.turn))
	sin, cos := float32(sin64), float32(cos64)
	scale := float32(stencilCapital) / p.height
	across, down := scale/p.stretch, scale*p.stretch
	ux, uy := across*(cos-p.shear*sin), across*(sin+p.shear*cos) // stencil column per canvas column, per canvas row
	vx, vy := -down*sin, down*cos
	// The stencil is a square that the inverse of the pose maps within reach of its middle.
	det := ux*vy - uy*vx
	half := float32(stencilSide) / 2
	reachX, reachY := half*(abs32(vy)+abs32(uy))/abs32(det), half*(abs32(vx)+abs32(ux))/abs32(det)
	x0, x1 := max(int(p.x-reachX), 0), min(int(p.x+reachX)+1, glyphSide-1)
	y0, y1 := max(int(p.y-reachY), 0), min(int(p.y+reachY)+1, glyphSide-1)
	for y := y0; y <= y1; y++ {
		dx, dy := float32(x0)-p.x, float32(y)-p.y
		u, v := ux*dx+uy*dy+half-0.5, vx*dx+vy*dy+half-0.5
		for x := x0; x <= x1; x++ {
			if u >= 0 && v >= 0 && u < stencilSide-1 && v < stencilSide-1 {
				iu, iv := int(u), int(v)
				if a := s[iv*stencilSide+iu:][:stencilSide+2]; a[0]|a[1]|a[stencilSide]|a[stencilSide+1] != 0 {
					tu, tv := u-float32(iu), v-float32(iv)
					cover := (float32(a[0])*(1-tu)+float32(a[1])*tu)*(1-tv) + (float32(a[stencilSide])*(1-tu)+float32(a[stencilSide+1])*tu)*tv
					cover *= opacity / 255
					t := v / stencilSide
					q := &e.canvas[y*glyphSide+x]
					for k := range q {
						q[k] += cover * (top[k] + t*(foot[k]-top[k]) - q[k])
					}
				}
			}
			u += ux
			v += vx
		}
	}
}

func abs32(v float32) float32 { return max(v, -v) }

// stroke paints a straight line of some width from one place to another, both on the canvas or a little outside.
func (e *easel) stroke(ink colour, width, opacity float32) {
	ax, ay := e.uniform(-4, glyphSide+4), e.uniform(-4, glyphSide+4)
	bx, by := e.uniform(-4, glyphSide+4), e.uniform(-4, glyphSide+4)
	dx, dy := bx-ax, by-ay
	length := float32(math.Sqrt(float64(dx*dx + dy*dy)))
	if length < 1 {
		return
	}
	dx, dy = dx/length, dy/length
	reach := width + 1
	x0, x1 := max(int(min(ax, bx)-reach), 0), min(int(max(ax, bx)+reach), glyphSide-1)
	y0, y1 := max(int(min(ay, by)-reach), 0), min(int(max(ay, by)+reach), glyphSide-1)
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			px, py := float32(x)-ax, float32(y)-ay
			along, aside := px*dx+py*dy, abs32(px*dy-py*dx)
			cover := min(width+0.5-aside, along+0.5, length-along+0.5, 1) * opacity
			if cover > 0 {
				e.blend(y*glyphSide+x, ink, cover)
			}
		}
	}
}

// blob paints a soft ellipse.
func (e *easel) blob(ink colour) {
	cx, cy := e.uniform(0, glyphSide), e.uniform(0, glyphSide)
	rx, ry := e.uniform(3, 10), e.uniform(3, 10)
	opacity := e.uniform(0.3, 1)
	x0, x1 := max(int(cx-rx), 0), min(int(cx+rx), glyphSide-1)
	y0, y1 := max(int(cy-ry), 0), min(int(cy+ry), glyphSide-1)
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			px, py := (float32(x)-cx)/rx, (float32(y)-cy)/ry
			if cover := min(3*(1-px*px-py*py), 1) * opacity; cover > 0 {
				e.blend(y*glyphSide+x, ink, cover)
			}
		}
	}
}

func (e *easel) blend(at int, ink colour, cover float32) {
	p := &e.canvas[at]
	for k := range p {
		p[k] += cover * (ink[k] - p[k])
	}
}

// blur averages every pixel with its neighbours, weights 1 2 1 in both directions; the edge is repeated outwards.
func (e *easel) blur() {
	e.before = e.canvas
	for y := range glyphSide {
		for x := range glyphSide {
			l, r := y*glyphSide+max(x-1, 0), y*glyphSide+min(x+1, glyphSide-1)
			i := y*glyphSide + x
			for k := range 3 {
				e.canvas[i][k] = (e.before[l][k] + 2*e.before[i][k] + e.before[r][k]) / 4
			}
		}
	}
	e.before = e.canvas
	for y := range glyphSide {
		u, d := max(y-1, 0)*glyphSide, min(y+1, glyphSide-1)*glyphSide
		for x := range glyphSide {
			i := y*glyphSide + x
			for k := range 3 {
				e.canvas[i][k] = (e.before[u+x][k] + 2*e.before[i][k] + e.before[d+x][k]) / 4
			}
		}
	}
}

// develop adds noise and rounds to bytes.
func (e *easel) develop(dst []uint8, noise float32) {
	for i := range e.canvas {
		// One draw of 64 bits is cut into three numbers of 21; two halves of each, added, are noise enough like a bell: a triangle.
		bits := e.Uint64()
		for k, v := range e.canvas[i] {
			n := float32(bits&0x3ff) + float32(bits>>10&0x3ff) - 1023
			bits >>= 21
			v += noise * n * (1.0 / 418) // 418: the deviation of n
			dst[3*i+k] = uint8(min(max(v, 0), 1)*255 + 0.5)
		}
	}
}
