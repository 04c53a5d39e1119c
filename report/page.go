package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/dms-go/dms/cost"
)

// What a page shows at most; it says how much more there is. Together with the bounds on points and pictures no page is larger than
// maxPage.
const (
	maxGroups   = 300
	maxLayers   = 300
	maxSettings = 300
	maxText     = 160 // runes of a name or value
	maxPage     = 6 << 20
)

//go:embed page
var pageFiles embed.FS

// pageTemplate has style and script in it, so that a page needs no other file.
var pageTemplate = template.Must(template.New("page.html").ParseFS(pageFiles, "page/page.html"))

// page is everything a page shows, decided and bounded before anything is written.
type page struct {
	Style  template.CSS
	Script template.JS

	Title    string // of the window
	Kicker   string // what ran, on what
	Headline string
	Sub      string
	Tiles    []tile
	Progress []*plot
	Ratios   *plot
	Groups   []groupRow
	Depths   []groupRow
	Pictures bool // some group has masks over time
	Layers   *layerSection
	Facts    []fact
	Settings []fact
	More     map[string]int // rows left out, by section
	Lines    int            // of metrics
	Drawn    int            // of them in charts
}

// tile is one number in large type.
type tile struct {
	Name  string
	Value string
	Exact string // the number in full, for programs and for those who point at it
	Note  string
}

type fact struct{ Name, Value string }

// WriteHTML writes the run as one page that needs no other file and no network: charts are SVG, and a script only adds what pointing
// at them shows. Text from files is escaped, and shortened where it is long. A page is at most a few megabytes, whatever the run holds;
// usual ones are below 200 kB.
func (r *Run) WriteHTML(w io.Writer) error {
	p, err := r.page()
	if err != nil {
		return fmt.Errorf("report: page: %w", err)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return fmt.Errorf("report: page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

func (r *Run) page() (*page, error) {
	style, err := pageFiles.ReadFile("page/page.css")
	if err != nil {
		return nil, err
	}
	script, err := pageFiles.ReadFile("page/page.js")
	if err != nil {
		return nil, err
	}
	p := &page{Style: template.CSS(style), Script: template.JS(script), More: map[string]int{}, Lines: r.Lines, Drawn: len(r.trace)}
	p.Kicker = "dms " + short(r.Command)
	if r.Command == "" {
		p.Kicker = "dms run"
	}
	model := short(ModelName(r.setting("model")))
	if model == "" {
		model = "the network"
	}
	p.Title = p.Kicker + " · " + model
	p.Kicker += " of " + model
	if v := r.setting("data"); v != "" {
		kind, _, _ := strings.Cut(v, ":")
		p.Kicker += " on " + short(kind)
	}
	p.headline(r)
	p.Progress = r.progressPlots()
	p.Ratios = r.ratioPlot()
	p.groups(r)
	p.layers(r)
	p.settings(r)
	return p, nil
}

// headline says in a sentence what came out, and in tiles with which numbers.
func (p *page) headline(r *Run) {
	switch {
	case r.Search != nil:
		s := r.Search
		left := Percent(share(s.After.MACs, s.Before.MACs))
		p.Headline = left + " of the multiply-accumulates are left"
		if s.Score != nil {
			p.Headline = fmt.Sprintf("%s right with %s of the multiply-accumulates", Percent(s.Top1), left)
			p.Tiles = append(p.Tiles, scoreTile(s.Correct, s.Total, s.Top1))
		}
		for _, m := range costMetrics {
			before, after := s.Before.Of(m.metric), s.After.Of(m.metric)
			if before == 0 && after == 0 {
				continue
			}
			p.Tiles = append(p.Tiles, tile{
				Name: costNames[m.metric], Value: m.write(after), Exact: fmt.Sprint(after),
				Note: fmt.Sprintf("%s of %s", Percent(share(after, before)), m.write(before)),
			})
		}
		if l := s.Latency; l != nil {
			p.Tiles = append(p.Tiles, tile{
				Name: costNames[cost.Latency], Value: Duration(l.After), Exact: fmt.Sprint(int64(l.After)),
				Note: fmt.Sprintf("%s of %s", Percent(share(int64(l.After), int64(l.Before))), Duration(l.Before)),
			})
			if l.After > l.Target {
				p.Sub = fmt.Sprintf("The latency asked for, %s, is missed. ", Duration(l.Target))
			}
		}
		var budgets []string
		for _, b := range s.Budgets {
			budgets = append(budgets, b.String())
		}
		if len(budgets) > 0 {
			p.Sub += "Budget " + short(strings.Join(budgets, ", ")) + ". "
		}
		blocks := 0
		for _, g := range s.Groups {
			blocks += len(g.Blocks)
		}
		switch gone := len(s.Removed()); {
		case gone == 1:
			p.Sub += fmt.Sprintf("One of %d residual blocks was removed. ", blocks)
		case gone > 1:
			p.Sub += fmt.Sprintf("%d of %d residual blocks were removed. ", gone, blocks)
		case blocks > 0:
			p.Sub += "All residual blocks stay. "
		}
	case r.Train != nil:
		p.Headline = fmt.Sprintf("%s of the test samples right after training", Percent(r.Train.Top1))
		p.Tiles = append(p.Tiles, scoreTile(r.Train.Correct, r.Train.Total, r.Train.Top1))
		p.Tiles = append(p.Tiles, tile{Name: "test loss", Value: number(r.Train.Loss), Exact: fmt.Sprint(r.Train.Loss)})
	case r.Last != nil:
		p.Headline = fmt.Sprintf("No result yet, step %d of %d", r.Last.Step, r.Last.Steps)
	default:
		p.Headline = "No result yet, and no line of metrics"
	}
	if r.Last != nil && r.Train != nil {
		p.Tiles = append(p.Tiles, tile{Name: "steps", Value: steps(float64(r.Last.Step)), Exact: fmt.Sprint(r.Last.Step)})
	}
	if r.Torn {
		p.Sub += "The last line of the metrics is cut short and does not count. "
	}
}

func scoreTile(correct, total int, top1 float64) tile {
	return tile{Name: "top-1 on test samples", Value: Percent(top1), Exact: fmt.Sprint(top1), Note: fmt.Sprintf("%d of %d", correct, total)}
}

// settings lists what makes the run again and every setting in effect.
func (p *page) settings(r *Run) {
	for _, f := range []struct{ name, key string }{
		{"command", "command"}, {"model", "model"}, {"data", "data"}, {"version", "version"}, {"instruction set", "instruction_set"},
	} {
		if v := r.setting(f.key); v != "" {
			p.Facts = append(p.Facts, fact{f.name, short(v)})
		}
	}
	rows := r.settings().Rows
	for _, row := range rows {
		if name := row[0]; name == "seed" || name == "train.seed" {
			p.Facts = append(p.Facts, fact{"seed", short(row[1])})
		}
	}
	p.More["settings"] = max(0, len(rows)-maxSettings)
	for _, row := range rows[:min(len(rows), maxSettings)] {
		p.Settings = append(p.Settings, fact{short(row[0]), short(row[1])})
	}
}

// short is text from a file as a page shows it: without control characters, its middle left out where it is long.
func short(s string) string {
	if len(s) > 4*2*maxText { // before runes are counted; both ends are kept
		s = s[:4*maxText] + s[len(s)-4*maxText:]
	}
	return shorten(clean(s), maxText)
}

// ModelName is how headings and pictures call a network: the file without its folder, or the zoo's name.
func ModelName(model string) string {
	model = strings.TrimPrefix(model, "zoo:")
	if at := strings.LastIndexByte(model, '/'); at >= 0 {
		model = model[at+1:]
	}
	return strings.TrimSuffix(model, ".onnx")
}
