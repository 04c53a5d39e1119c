package report

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"strconv"
	"sync"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/space"
)

// Widths draws, as a PNG, how much of each group a selection keeps: a bar per width group in network order, its whole length light
// and the kept part dark, and below them the residual blocks of each depth group, the removed ones crossed out. A group whose block
// was removed keeps nothing. The selection has passed Check. before and after are the costs for the subtitle.
//
// The same arguments give the same bytes.
func Widths(w io.Writer, title string, s *space.Space, sel space.Selection, before, after cost.Cost) error {
	r := SearchResult{Before: before, After: after, Groups: groups(s, sel)}
	return r.WritePNG(w, title)
}

// WritePNG draws the result as Widths does.
func (r *SearchResult) WritePNG(w io.Writer, title string) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("report: picture: %w", err)
	}
	if len(r.Groups) > maxRows {
		return fmt.Errorf("report: picture: %d groups; at most %d are drawn", len(r.Groups), maxRows)
	}
	if len(r.Groups) == 0 {
		return errors.New("report: picture: there are no groups to draw")
	}
	p := newPicture(title, r)
	img := vgimg.NewWith(vgimg.UseWH(p.width, p.height), vgimg.UseDPI(pictureDPI), vgimg.UseBackgroundColor(color.White))
	p.draw(draw.New(img))
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(w); err != nil {
		return fmt.Errorf("report: picture: %w", err)
	}
	return nil
}

// Measures of the picture in points. At 144 dots per inch a point is two pixels.
const (
	pictureDPI = 144
	maxRows    = 1000 // 32,000 pixels high

	margin     = 18
	headHeight = 64 // title, subtitle and legend
	axisHeight = 30 // numbers and name of the axis
	rowHeight  = 16
	barHeight  = 10
	barWidth   = 380
	column     = 8  // between names, bars and numbers
	section    = 26 // from the axis to the blocks
	maxName    = 36 // runes of a name; what is longer loses its middle
	maxBlock   = 20 // the widest block
)

var (
	strong = color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}
	light  = color.RGBA{R: 0xd3, G: 0xe3, B: 0xf2, A: 0xff}
	ink    = color.RGBA{R: 0x22, G: 0x22, B: 0x22, A: 0xff}
	faint  = color.RGBA{R: 0x77, G: 0x77, B: 0x77, A: 0xff}
	rule   = color.RGBA{R: 0xe4, G: 0xe4, B: 0xe4, A: 0xff}
	cross  = color.RGBA{R: 0xb0, G: 0x4a, B: 0x3a, A: 0xff}
)

// picture is the layout: everything is decided before anything is drawn.
type picture struct {
	title, subtitle string
	widths, depths  []Group

	width, height vg.Length
	left          vg.Length // where bars begin
	most          int       // elements of the widest group
	tick          int       // elements between two lines of the axis

	head, body, bodyRight, small, smallCenter text.Style
}

func newPicture(title string, r *SearchResult) *picture {
	p := &picture{
		title:       shorten(clean(title), 80),
		subtitle:    fmt.Sprintf("MACs %s → %s (%s)", Count(r.Before.MACs), Count(r.After.MACs), Percent(share(r.After.MACs, r.Before.MACs))),
		head:        style(14, true, ink),
		body:        style(9, false, ink),
		bodyRight:   style(9, false, ink),
		small:       style(9, false, faint),
		smallCenter: style(9, false, faint),
	}
	if r.Before.Params > 0 {
		p.subtitle += fmt.Sprintf(", params %s → %s (%s)", Count(r.Before.Params), Count(r.After.Params), Percent(share(r.After.Params, r.Before.Params)))
	}
	p.bodyRight.XAlign = text.XRight
	p.smallCenter.XAlign = text.XCenter
	p.smallCenter.YAlign = text.YTop

	names, numbers := vg.Length(0), vg.Length(0)
	for _, g := range r.Groups {
		names = max(names, p.body.Width(name(g)))
		numbers = max(numbers, p.body.Width(kept(g)))
		if g.Kind == space.Width.String() {
			p.widths = append(p.widths, g)
			p.most = max(p.most, g.N)
		} else {
			p.depths = append(p.depths, g)
		}
	}
	p.left = margin + names + column
	p.width = p.left + barWidth + column + numbers + margin
	p.width = max(p.width, 2*margin+p.head.Width(p.title), 2*margin+p.small.Width(p.subtitle))
	p.height = margin + headHeight + margin
	if len(p.widths) > 0 {
		p.height += vg.Length(len(p.widths))*rowHeight + axisHeight
		p.tick = tick(p.most)
	}
	if len(p.depths) > 0 {
		p.height += section + vg.Length(len(p.depths))*rowHeight
	}
	return p
}

// tick is the power of two that cuts an axis up to most into four to seven parts: sizes of layers are round in that sense.
func tick(most int) int {
	t := 1
	for most/t >= 8 {
		t *= 2
	}
	return t
}

// fonts reads the typeface when the first picture is drawn: it takes longer than most commands do.
var fonts = sync.OnceValue(func() *font.Cache { return font.NewCache(liberation.Collection()) })

// style is a font of the size in the project's one typeface, centred on its line.
func style(size font.Length, bold bool, c color.Color) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return text.Style{Color: c, Font: font.From(f, size), YAlign: text.YCenter, Handler: text.Plain{Fonts: fonts()}}
}

func name(g Group) string { return shorten(clean(g.Name), maxName) }

func kept(g Group) string {
	if g.Gone {
		return "with its block"
	}
	return fmt.Sprintf("%d of %d", g.Kept, g.N)
}

// shorten takes out the middle of a text: names of layers differ at both ends.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := (n - 1) / 2
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}

func (p *picture) draw(c draw.Canvas) {
	y := p.height - margin
	c.FillText(p.head, vg.Point{X: margin, Y: y - 8}, p.title)
	c.FillText(p.small, vg.Point{X: margin, Y: y - 27}, p.subtitle)
	p.legend(c, y-45)
	y -= headHeight
	if len(p.widths) > 0 {
		y = p.bars(c, y)
	}
	if len(p.depths) > 0 {
		p.blocks(c, y)
	}
}

// legend says what the colours mean.
func (p *picture) legend(c draw.Canvas, y vg.Length) {
	x := vg.Length(margin)
	for _, v := range []struct {
		what string
		fill color.Color
	}{{"kept", strong}, {"removed", light}} {
		box(c, v.fill, x, y, barHeight, barHeight)
		x += barHeight + 5
		c.FillText(p.small, vg.Point{X: x, Y: y}, v.what)
		x += p.small.Width(v.what) + 14
	}
}

// bars draws the width groups below y and the axis below them; it returns where the axis ends.
func (p *picture) bars(c draw.Canvas, y vg.Length) vg.Length {
	scale := barWidth / vg.Length(p.most)
	bottom := y - vg.Length(len(p.widths))*rowHeight
	for i := 0; i <= p.most/p.tick; i++ {
		x := p.left + vg.Length(i)*vg.Length(p.tick)*scale
		c.StrokeLine2(draw.LineStyle{Color: rule, Width: 0.75}, x, bottom-3, x, y)
		c.FillText(p.smallCenter, vg.Point{X: x, Y: bottom - 5}, strconv.Itoa(i*p.tick))
	}
	c.FillText(p.smallCenter, vg.Point{X: p.left + barWidth/2, Y: bottom - 17}, "elements")
	for i, g := range p.widths {
		middle := y - (vg.Length(i)+0.5)*rowHeight
		p.label(c, g, middle)
		box(c, light, p.left, middle, vg.Length(g.N)*scale, barHeight)
		if !g.Gone {
			box(c, strong, p.left, middle, vg.Length(g.Kept)*scale, barHeight)
		}
	}
	return bottom - axisHeight
}

// blocks draws the depth groups below y.
func (p *picture) blocks(c draw.Canvas, y vg.Length) {
	c.FillText(p.small, vg.Point{X: p.left, Y: y - section/2}, "residual blocks, in network order")
	y -= section
	for i, g := range p.depths {
		middle := y - (vg.Length(i)+0.5)*rowHeight
		p.label(c, g, middle)
		if len(g.Blocks) == 0 { // which ones went is not known
			whole := min(vg.Length(g.N)*maxBlock, barWidth)
			box(c, light, p.left, middle, whole, barHeight)
			box(c, strong, p.left, middle, whole*vg.Length(g.Kept)/vg.Length(g.N), barHeight)
			continue
		}
		step := min(maxBlock, barWidth/vg.Length(len(g.Blocks)))
		for e, b := range g.Blocks {
			x := p.left + vg.Length(e)*step
			side := step * 0.85
			if b.Kept {
				box(c, strong, x, middle, side, barHeight)
				continue
			}
			box(c, light, x, middle, side, barHeight)
			line := draw.LineStyle{Color: cross, Width: 1}
			top, low := middle+barHeight/2-2, middle-barHeight/2+2
			inset := side * 0.25
			c.StrokeLine2(line, x+inset, low, x+side-inset, top)
			c.StrokeLine2(line, x+inset, top, x+side-inset, low)
		}
	}
}

// label writes a group's name left of the bars and its numbers right of them.
func (p *picture) label(c draw.Canvas, g Group, y vg.Length) {
	c.FillText(p.bodyRight, vg.Point{X: p.left - column, Y: y}, name(g))
	c.FillText(p.small, vg.Point{X: p.left + barWidth + column, Y: y}, kept(g))
}

// box fills a rectangle from x to the right, centred on y.
func box(c draw.Canvas, fill color.Color, x, y, width, height vg.Length) {
	c.FillPolygon(fill, []vg.Point{{X: x, Y: y - height/2}, {X: x + width, Y: y - height/2}, {X: x + width, Y: y + height/2}, {X: x, Y: y + height/2}})
}
