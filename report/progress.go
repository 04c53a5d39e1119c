package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/train"
)

// costNames is how a page calls the metrics of a cost.
var costNames = map[cost.Metric]string{
	cost.MACs: "multiply-accumulates", cost.Params: "parameters", cost.Bytes: "bytes of activations", cost.Latency: "latency",
}

// costFormat is how a metric is written, by its name in metrics.jsonl.
func costFormat(name string) format {
	switch name {
	case cost.Bytes.String():
		return asBytes
	case cost.Latency.String():
		return asTime
	default:
		return asCount
	}
}

// maxSpent is how many budgets a page has charts of: one of each metric.
const maxSpent = 4

// progressPlots are the charts of loss, accuracy and each budget over the steps. A value that is the same in all lines, as rate often
// is, has no chart.
func (r *Run) progressPlots() []*plot {
	if len(r.trace) == 0 {
		return nil
	}
	var plots []*plot
	add := func(p *plot) {
		if p != nil {
			plots = append(plots, p)
		}
	}
	loss := r.over("loss", "a", func(m *train.Metrics) float64 { return m.Loss })
	add(newPlot("Loss", asNumber, []series{loss}).noted("%s at first, %s in the end", number3(loss.Y[0]), number3(loss.Y[len(loss.Y)-1])))
	right := r.over("accuracy", "a", func(m *train.Metrics) float64 { return m.Accuracy })
	add(newPlot("Accuracy", asPercent, []series{right}).noted("%s at first, %s in the end", Percent(right.Y[0]), Percent(right.Y[len(right.Y)-1])))
	names := slices.Sorted(maps.Keys(r.Last.Spent))
	for _, name := range names[:min(len(names), maxSpent)] {
		spent := r.over("cost", "a", value(name, func(m *train.Metrics) map[string]float64 { return m.Spent }))
		target := r.over("target", "b", value(name, func(m *train.Metrics) map[string]float64 { return m.Target }))
		spent.Direct, target.Direct = true, true
		add(newPlot(costTitle(name), costFormat(name), []series{target, spent}, 0).noted(
			"%s in the end, the target being %s", amount(r.Last.Spent, name), amount(r.Last.Target, name)))
	}
	if rate := r.over("rate", "a", func(m *train.Metrics) float64 { return m.Rate }); slices.Max(rate.Y) > slices.Min(rate.Y) {
		add(newPlot("Learning rate", asNumber, []series{rate}, 0).noted("%s at most", number3(slices.Max(rate.Y))))
	}
	return plots
}

// costTitle is the name of a metric as metrics.jsonl has it, at the beginning of a sentence.
func costTitle(name string) string {
	for metric, title := range costNames {
		if metric.String() == name {
			return strings.ToUpper(title[:1]) + title[1:]
		}
	}
	return short(name)
}

// over is a value of each line of the trace.
func (r *Run) over(name, class string, of func(*train.Metrics) float64) series {
	s := series{Name: name, Class: class}
	for _, m := range r.trace {
		s.X = append(s.X, float64(m.Step))
		s.Y = append(s.Y, of(m))
	}
	return s
}

// value reads one entry of a map of metrics, NaN where it is missing.
func value(name string, of func(*train.Metrics) map[string]float64) func(*train.Metrics) float64 {
	return func(m *train.Metrics) float64 {
		if v, some := of(m)[name]; some {
			return v
		}
		return math.NaN()
	}
}

// maxRatioPoints bounds the points of all ratios together.
const maxRatioPoints = 24_000

// ratios is the prune ratio of one group over the steps, thinned when there are many groups.
func (r *Run) ratios(name string, groups int) series {
	s := r.over(short(name), "a", value(name, func(m *train.Metrics) map[string]float64 { return m.Ratios }))
	stride := (len(s.X)*groups + maxRatioPoints - 1) / maxRatioPoints
	if stride <= 1 {
		return s
	}
	thin := series{Name: s.Name, Class: s.Class}
	for i := range s.X {
		if i%stride == 0 || i == len(s.X)-1 {
			thin.X, thin.Y = append(thin.X, s.X[i]), append(thin.Y, s.Y[i])
		}
	}
	return thin
}

// ratioPlot draws the prune ratio of every group, those of blocks in another colour.
func (r *Run) ratioPlot() *plot {
	if r.Last == nil || len(r.Last.Ratios) == 0 {
		return nil
	}
	depth := map[string]bool{}
	if r.Search != nil {
		for _, g := range r.Search.Groups {
			depth[g.Name] = g.Kind == "depth"
		}
	}
	names := slices.Sorted(maps.Keys(r.Last.Ratios))
	names = names[:min(len(names), maxGroups)]
	var lines, blocks []series
	for _, name := range names {
		s := r.ratios(name, len(names))
		if depth[name] {
			s.Class = "b"
			s.Direct = len(blocks) < 4
			blocks = append(blocks, s)
		} else {
			lines = append(lines, s)
		}
	}
	// The widths that give up most stand out and are named.
	last := func(s series) float64 { return s.Y[len(s.Y)-1] }
	slices.SortStableFunc(lines, func(a, b series) int { return cmp.Compare(last(a), last(b)) })
	for i := max(0, len(lines)-namedRatios); i < len(lines); i++ {
		lines[i].Direct, lines[i].Class = true, "a top"
	}
	p := newPlot("", asPercent, append(lines, blocks...), 0)
	if p == nil {
		return nil
	}
	if n := len(lines); n > 0 {
		p.Title = fmt.Sprintf("%s gives up most, %s of itself", lines[n-1].Name, Percent(last(lines[n-1])))
	}
	return p
}

// namedRatios is how many widths are named in the chart of ratios.
const namedRatios = 3

func number3(v float64) string {
	if !drawable(v) {
		return notMeasured
	}
	return fmt.Sprintf("%.3g", v)
}
