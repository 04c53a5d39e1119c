package report

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
)

// groupRow is one group on a page.
type groupRow struct {
	Name    string
	N, Kept int
	Note    string
	Whole   float64 // percent of the widest group
	Left    float64 // kept, in percent of the widest group
	Spark   string  // the prune ratio over time as a path, from 0 to 1
	Ratio   string  // the last prune ratio
	Blocks  []Block

	Masks      template.URL // over time
	MaskHeight int          // of that picture on the page, in pixels
	From, To   int          // its first and last step
	Row        template.URL // the elements kept
	Open       bool         // shown from the start
}

// Last is the index of the last element.
func (g groupRow) Last() int { return g.N - 1 }

// groups lists the groups of a search: of a finished one from its result, otherwise as the last line of metrics has them.
func (p *page) groups(r *Run) {
	var all []Group
	switch {
	case r.Search != nil:
		all = r.Search.Groups
	case r.Last != nil:
		for _, name := range slices.Sorted(maps.Keys(r.Last.Kept)) {
			g := Group{Name: name, Kind: space.Width.String(), Kept: max(0, r.Last.Kept[name])}
			g.N = max(1, g.Kept)
			for _, m := range r.trace {
				g.N = max(g.N, m.Kept[name])
			}
			for _, m := range r.pictures {
				g.N = max(g.N, len(m.Masks[name]))
			}
			all = append(all, g)
		}
	}
	p.More["groups"] = max(0, len(all)-maxGroups)
	all = all[:min(len(all), maxGroups)]
	widest := 1
	for _, g := range all {
		if g.Kind == space.Width.String() {
			widest = max(widest, g.N)
		}
	}
	for _, g := range all {
		row := groupRow{Name: short(g.Name), N: g.N, Kept: g.Kept}
		if g.Gone {
			row.Kept, row.Note = 0, "went with its block"
		}
		row.Whole, row.Left = percent(float64(row.N)/float64(widest)), percent(float64(row.Kept)/float64(widest))
		row.spark(r.ratios(g.Name, len(all)))
		if g.Kind == space.Depth.String() {
			for _, b := range g.Blocks[:min(len(g.Blocks), maxLayers)] {
				row.Blocks = append(row.Blocks, Block{Name: short(b.Name), Kept: b.Kept})
			}
			p.Depths = append(p.Depths, row)
			continue
		}
		var rows int
		row.From, row.To = pictured(r.pictures, g.Name)
		if row.Masks, rows = maskPicture(r.pictures, g.Name); rows > 0 {
			row.MaskHeight = min(max(4*rows, 48), 224)
			p.Pictures = true
		}
		if !g.Gone {
			if keep, some := r.keep[g.Name]; some {
				row.Row = keptPicture(keep, g.N)
			}
		}
		p.Groups = append(p.Groups, row)
	}
	open := -1 // the group of which most went
	for i, g := range p.Groups {
		if g.Masks != "" && g.Kept > 0 && (open < 0 || g.N-g.Kept > p.Groups[open].N-p.Groups[open].Kept) {
			open = i
		}
	}
	if open >= 0 {
		p.Groups[open].Open = true
	}
}

// spark draws the ratio into the row, on an axis from 0 to 1 that is the same for all rows.
func (g *groupRow) spark(s series) {
	if p := newPlot("", asPercent, []series{s}, 0, 1); p != nil && len(p.Lines) > 0 {
		g.Spark = p.Lines[0].Path
		if v := s.Y[len(s.Y)-1]; drawable(v) {
			g.Ratio = fmt.Sprintf("%.2f", v)
		}
	}
}

// pictured is the first and last step whose line of metrics holds masks of the group.
func pictured(lines []*train.Metrics, group string) (from, to int) {
	for i, m := range lines {
		if _, some := m.Masks[group]; some {
			if to = m.Step; i == 0 {
				from = m.Step
			}
		}
	}
	return from, to
}

// layerSection is the cost of each layer that multiplies.
type layerSection struct {
	Title string
	Rows  []layerRow
}

type layerRow struct {
	Name, Full    string
	Before, After string
	Share         string
	Whole, Left   float64 // percent of the most expensive layer
}

func (p *page) layers(r *Run) {
	if r.Search == nil {
		return
	}
	var all []Layer
	for _, l := range r.Search.Layers {
		if l.Before.MACs > 0 || l.After.MACs > 0 {
			all = append(all, l)
		}
	}
	if len(all) == 0 {
		return
	}
	p.More["layers"] = max(0, len(all)-maxLayers)
	all = all[:min(len(all), maxLayers)]
	most := int64(1)
	best := all[0]
	saved := func(l Layer) float64 { return float64(l.Before.MACs) - float64(l.After.MACs) }
	for _, l := range all {
		most = max(most, l.Before.MACs, l.After.MACs)
		if saved(l) > saved(best) {
			best = l
		}
	}
	s := &layerSection{Title: "Each layer's multiply-accumulates"}
	if saved(best) > 0 {
		s.Title = fmt.Sprintf("%s saves most, %s multiply-accumulates", short(layerName(best)), Count(int64(saved(best))))
	}
	for _, l := range all {
		row := layerRow{
			Name: short(layerName(l)), Full: short(l.Name), Before: Count(l.Before.Of(cost.MACs)), After: Count(l.After.Of(cost.MACs)),
			Share: Percent(share(l.After.MACs, l.Before.MACs)),
			Whole: percent(float64(l.Before.MACs) / float64(most)), Left: percent(float64(l.After.MACs) / float64(most)),
		}
		s.Rows = append(s.Rows, row)
	}
	p.Layers = s
}

// layerName takes out of a layer's name what an exporter repeats in it: "/layer1/layer1.0/conv1/Conv" is "layer1.0/conv1".
func layerName(l Layer) string {
	parts := strings.Split(strings.TrimSuffix(strings.Trim(l.Name, "/"), "/"+l.Op), "/")
	for len(parts) > 1 && strings.HasPrefix(parts[1], parts[0]+".") {
		parts = parts[1:]
	}
	if name := strings.Join(parts, "/"); name != "" {
		return name
	}
	return l.Op
}
