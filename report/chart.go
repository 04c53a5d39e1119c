package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plot is a chart of lines over steps. Lines are SVG that stretches with the page; all text is HTML at its place in percent, so that it
// stays readable at every width. Both axes grow to the right and upwards; places in percent count from the left and from the top.
type plot struct {
	Title  string
	Note   string
	Lines  []curve
	Labels []mark // at the right end, one for each line that is named directly
	X, Y   []mark
	Scale  string // "x0 x1 y0 y1": the values at the edges, for the script
	Format string // how the script writes a value: the name of a format
	Tall   bool
}

// curve is one line of a chart.
type curve struct {
	Name  string
	Class string
	Path  string
}

// mark is a text beside an axis or a line.
type mark struct {
	At    float64 // percent
	Text  string
	Class string
}

// series is what a curve is drawn from. Points whose value is not drawable are gaps.
type series struct {
	Name   string
	Class  string
	X      []float64
	Y      []float64
	Direct bool // named at its right end
}

// format writes the values of an axis.
type format struct {
	name  string
	write func(float64) string
}

var (
	asPercent = format{"percent", func(v float64) string { return strconv.FormatFloat(100*v, 'f', -1, 64) + "%" }}
	asCount   = format{"count", func(v float64) string { return Count(int64(v)) }}
	asBytes   = format{"bytes", func(v float64) string { return Bytes(int64(v)) }}
	asTime    = format{"time", func(v float64) string { // of nanoseconds
		if v == 0 {
			return "0"
		}
		return Duration(time.Duration(v))
	}}
	asNumber = format{"number", func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }}
)

// labelGap is the least distance of two labels in percent of a low chart.
const labelGap = 11

// fewLines is how many lines a low chart has; with more it is twice as tall.
const fewLines = 3

// drawable leaves out what no axis can show: NaN, infinities and numbers whose difference might overflow.
func drawable(v float64) bool { return math.Abs(v) < 1e18 }

// newPlot lays out lines. The y axis begins at zero where zero is near, and always contains the values in include. Without anything
// to draw it is nil.
func newPlot(title string, f format, lines []series, include ...float64) *plot {
	p := &plot{Title: title, Format: f.name}
	x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, s := range lines {
		for i, y := range s.Y {
			if drawable(y) && drawable(s.X[i]) {
				x0, x1, y0, y1 = min(x0, s.X[i]), max(x1, s.X[i]), min(y0, y), max(y1, y)
			}
		}
	}
	if math.IsInf(x0, 0) {
		return nil
	}
	for _, v := range include {
		y0, y1 = min(y0, v), max(y1, v)
	}
	if y0 > 0 && y0 < y1/2 {
		y0 = 0
	}
	if x0 > 0 && x0 < x1/4 {
		x0 = 0
	}
	x0, x1 = apart(x0, x1)
	y0, y1 = apart(y0, y1)
	xTicks, yTicks := ticks(x0, x1, 5), ticks(y0, y1, 4)
	y0, y1 = min(y0, yTicks[0]), max(y1, yTicks[len(yTicks)-1])
	place := func(v, from, to float64) float64 { return (v - from) / (to - from) }
	for _, v := range xTicks {
		p.X = append(p.X, mark{At: percent(place(v, x0, x1)), Text: steps(v)})
	}
	for _, v := range yTicks {
		p.Y = append(p.Y, mark{At: percent(1 - place(v, y0, y1)), Text: f.write(v)})
	}
	for _, s := range lines {
		var path strings.Builder
		gap, last := true, math.NaN()
		for i, y := range s.Y {
			if !drawable(y) || !drawable(s.X[i]) {
				gap = true
				continue
			}
			command := byte('L')
			if gap {
				command = 'M'
			}
			gap, last = false, y
			path.WriteByte(command)
			path.WriteString(thousandths(place(s.X[i], x0, x1)))
			path.WriteByte(' ')
			path.WriteString(thousandths(1 - place(y, y0, y1)))
		}
		if path.Len() == 0 {
			continue
		}
		p.Lines = append(p.Lines, curve{Name: s.Name, Class: s.Class, Path: path.String()})
		if s.Direct {
			p.Labels = append(p.Labels, mark{At: percent(1 - place(last, y0, y1)), Text: s.Name, Class: s.Class})
		}
	}
	p.Tall = len(lines) > fewLines
	if p.Tall {
		spread(p.Labels, labelGap/2)
	} else {
		spread(p.Labels, labelGap)
	}
	var scale []string
	for _, v := range []float64{x0, x1, y0, y1} {
		scale = append(scale, strconv.FormatFloat(v, 'g', 8, 64))
	}
	p.Scale = strings.Join(scale, " ")
	return p
}

// noted adds what the chart shows in a few words; without a chart it does nothing.
func (p *plot) noted(format string, args ...any) *plot {
	if p != nil {
		p.Note = fmt.Sprintf(format, args...)
	}
	return p
}

// steps writes a number of steps, as far as possible in full.
func steps(v float64) string {
	if math.Abs(v) < 1e4 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return Count(int64(v))
}

// apart makes room around a range that is a single value.
func apart(low, high float64) (float64, float64) {
	if high-low > 1e-9*max(math.Abs(low), math.Abs(high)) {
		return low, high
	}
	room := max(math.Abs(low)/2, 1e-3)
	if low >= 0 {
		return max(0, low-room), high + room
	}
	return low - room, high + room
}

// ticks are up to about most+1 round values, one, two or five times a power of ten apart, of which the last is at or above high.
func ticks(low, high float64, most int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/float64(most))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(m*step) <= float64(most) {
			step *= m
			break
		}
	}
	first, last := math.Floor(low/step+1e-9), math.Floor(high/step+1e-9)
	if low/step-first > 1e-6 { // the range may begin between two
		first++
	}
	var out []float64
	for i := first; i <= last && len(out) < 2*most+4; i++ {
		v := i * step
		digits := max(0, -int(math.Floor(math.Log10(step)))) // 3·0.1 is not 0.3
		if digits < 15 {
			v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		out = []float64{low}
	}
	return out
}

// spread moves marks until they are at least gap percent apart, in the order of their places, and within the chart where they fit.
func spread(marks []mark, gap float64) {
	order := make([]int, len(marks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case marks[a].At < marks[b].At:
			return -1
		case marks[a].At > marks[b].At:
			return 1
		}
		return 0
	})
	for k := 1; k < len(order); k++ {
		m, above := &marks[order[k]], marks[order[k-1]].At
		m.At = max(m.At, above+gap)
	}
	limit := 100.0
	for k := len(order) - 1; k >= 0; k-- {
		m := &marks[order[k]]
		m.At = min(m.At, limit)
		limit = m.At - gap
	}
}

// percent is a share in percent with two digits after the point.
func percent(share float64) float64 { return math.Round(share*1e4) / 100 }

// thousandths is a share of the chart in its coordinates, 0 to 1000 with one digit after the point.
func thousandths(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e4)/10, 'f', -1, 64)
}
