package report

import (
	"errors"
	"fmt"
	"image/color"
	"io"

	gonum "gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Measures of the picture of curves in points.
const (
	curvesWidth  = 560
	curvesHeight = 360
	legendWidth  = 130
	maxCurves    = 64
)

// curveColors tell methods apart, also for most of those who see few colours (Okabe and Ito, 2008). Where there are more methods, shapes do.
var curveColors = []color.RGBA{
	{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, {R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, {R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, {R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
	{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff}, {R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}, {R: 0x55, G: 0x55, B: 0x55, A: 0xff},
}

var curveShapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.PlusGlyph{}}

// errorPoints are points with a spread to both sides.
type errorPoints struct {
	plotter.XYs
	spread []float64
}

func (e errorPoints) YError(i int) (low, high float64) { return e.spread[i], e.spread[i] }

// WritePlot draws, as a PNG, mean accuracy over the share of MACs, a curve for each method, with bars of one standard deviation to both
// sides. The accuracy of the original, where it was measured, is a dashed line. The same standings give the same bytes.
func (s *Standings) WritePlot(w io.Writer) error {
	places := s.Places()
	var methods []string
	curves := map[string]*errorPoints{}
	for _, p := range places {
		c := curves[p.Method]
		if c == nil {
			c = &errorPoints{}
			curves[p.Method], methods = c, append(methods, p.Method)
		}
		c.XYs = append(c.XYs, plotter.XY{X: 100 * p.MACsShare, Y: 100 * p.Top1})
		c.spread = append(c.spread, 100*p.Std)
	}
	switch {
	case len(methods) == 0:
		return errors.New("report: plot: there are no trials to draw")
	case len(methods) > maxCurves:
		return fmt.Errorf("report: plot: %d methods; at most %d are drawn", len(methods), maxCurves)
	}
	p := gonum.New()
	p.Title.Text = shorten(clean(s.Title), 80)
	p.Title.TextStyle = style(12, true, ink)
	p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
	p.X.Label.Text, p.Y.Label.Text = "MACs, % of the original", "top-1, % (mean ± standard deviation)"
	for _, a := range []*gonum.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Label.TextStyle.Handler = style(9, false, ink).Font, style(9, false, ink).Handler
		a.Tick.Label.Font, a.Tick.Label.Handler = style(8, false, ink).Font, style(8, false, ink).Handler
		a.Padding = 4
	}
	key := gonum.NewLegend()
	key.TextStyle = style(9, false, ink)
	key.TextStyle.YAlign = draw.YBottom
	key.Top, key.Left, key.Padding = true, true, 3
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = rule, rule
	p.Add(grid)
	for i, m := range methods {
		c := curves[m]
		line, points, err := plotter.NewLinePoints(c.XYs)
		if err != nil {
			return fmt.Errorf("report: plot: %w", err)
		}
		bars, err := plotter.NewYErrorBars(c)
		if err != nil {
			return fmt.Errorf("report: plot: %w", err)
		}
		tone := curveColors[i%len(curveColors)]
		line.Color, line.Width = tone, 1.2
		points.Color, points.Radius, points.Shape = tone, 2.5, curveShapes[i%len(curveShapes)]
		bars.Color, bars.Width = tone, 0.8
		p.Add(bars, line, points)
		key.Add(shorten(clean(m), 20), line, points)
	}
	if o := s.Original; o.Total > 0 {
		dashes, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: 100 * o.Top1}, {X: p.X.Max, Y: 100 * o.Top1}})
		if err != nil {
			return fmt.Errorf("report: plot: %w", err)
		}
		dashes.Color, dashes.Dashes = faint, []vg.Length{4, 3}
		p.Add(dashes)
		key.Add("original", dashes)
	}
	height := max(curvesHeight, vg.Length(len(methods)+4)*16)
	img := vgimg.NewWith(vgimg.UseWH(curvesWidth, height), vgimg.UseDPI(pictureDPI), vgimg.UseBackgroundColor(color.White))
	whole := draw.New(img)
	p.Draw(draw.Crop(whole, margin/2, -legendWidth, margin/2, -margin/2))
	key.Draw(draw.Crop(whole, curvesWidth-legendWidth+margin/2, 0, 0, -2*margin))
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(w); err != nil {
		return fmt.Errorf("report: plot: %w", err)
	}
	return nil
}
