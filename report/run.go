package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
)

// Limits of what ReadRun takes into memory of the files that rundir does not read.
const (
	maxResult    = 16 << 20
	maxSelection = 64 << 20
)

// Run is the summary of one run's folder.
type Run struct {
	Path    string                     `json:"run"`
	Command string                     `json:"command"` // search or train
	Config  map[string]json.RawMessage `json:"config"`  // config.json as it stands

	// First, Last and Best are lines of metrics, Best the one with the highest accuracy on training samples; nil before the first line.
	Lines int            `json:"lines"`
	Torn  bool           `json:"torn,omitempty"` // the last line was cut short, as by a full disk, and does not count
	First *train.Metrics `json:"first,omitempty"`
	Last  *train.Metrics `json:"last,omitempty"`
	Best  *train.Metrics `json:"best,omitempty"`

	// Search or Train is the result, by Command; both are nil while the run is unfinished.
	Search *SearchResult `json:"search,omitempty"`
	Train  *TrainResult  `json:"train,omitempty"`

	trace    []*train.Metrics // lines of metrics, thinned, without masks
	pictures []*train.Metrics // lines of metrics that hold masks, thinned
	keep     map[string][]int // elements kept by group as selection.json has them
}

// ReadRun reads the folder of a run, which may be unfinished or still going on. selection.json has to agree with the result.
func ReadRun(path string) (*Run, error) {
	r := &Run{Path: path}
	fail := func(name string, err error) (*Run, error) {
		return nil, fmt.Errorf("report: %s: %w", filepath.Join(path, name), err)
	}
	if err := rundir.ReadConfig(path, &r.Config); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	r.Command = r.setting("command")
	if err := r.readMetrics(); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if err := r.readResult(); err != nil {
		return fail(ResultName, err)
	}
	if err := r.checkSelection(); err != nil {
		return fail(rundir.SelectionName, err)
	}
	return r, nil
}

// setting is one value of config.json as text, "" where it is missing. Of a model or data set, which come with details, it is the name.
func (r *Run) setting(key string) string {
	raw, ok := r.Config[key]
	if !ok {
		return ""
	}
	var named struct {
		Model json.RawMessage `json:"model"`
		Spec  json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(raw, &named); err == nil {
		switch {
		case len(named.Model) > 0:
			raw = named.Model
		case len(named.Spec) > 0:
			raw = named.Spec
		}
	}
	var s string
	if err := json.Unmarshal(raw, &s); err == nil {
		return s
	}
	return compact(raw)
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return string(raw)
	}
	return b.String()
}

func (r *Run) readMetrics() error {
	lines, err := rundir.Metrics(r.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, rundir.ErrTorn):
		r.Torn = true
	case err != nil:
		return err
	}
	r.Lines = len(lines)
	pictures := thinner{most: maxPictures}
	for i, line := range lines {
		m := new(train.Metrics)
		if err := json.Unmarshal(line, m); err != nil {
			return fmt.Errorf("%s: line %d: %w", filepath.Join(r.Path, rundir.MetricsName), i+1, err)
		}
		if len(m.Masks) > 0 {
			pictures.add(&train.Metrics{Step: m.Step, Masks: m.Masks})
			m.Masks = nil
		}
		if r.First == nil {
			r.First = m
		}
		if i == len(lines)-1 || onTrace(i, len(lines)) {
			r.trace = append(r.trace, m)
		}
		if r.Best == nil || m.Accuracy > r.Best.Accuracy {
			r.Best = m
		}
		r.Last = m
	}
	r.pictures = pictures.lines
	return nil
}

func (r *Run) readResult() error {
	raw, err := read(filepath.Join(r.Path, ResultName), maxResult)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	switch r.Command {
	case "search":
		r.Search = new(SearchResult)
		if err := json.Unmarshal(raw, r.Search); err != nil {
			return err
		}
		return r.Search.check()
	case "train":
		r.Train = new(TrainResult)
		return json.Unmarshal(raw, r.Train)
	default:
		return fmt.Errorf("unknown command %q in %s; known are search and train", r.Command, rundir.ConfigName)
	}
}

// checkSelection compares the selection of a finished search with its result. The network is not at hand, but the groups of the
// result know enough of it to check names and indices.
func (r *Run) checkSelection() error {
	if r.Search == nil {
		return nil
	}
	raw, err := read(filepath.Join(r.Path, rundir.SelectionName), maxSelection)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	s := &space.Space{}
	for _, g := range r.Search.Groups {
		s.Groups = append(s.Groups, space.Group{Name: g.Name, N: g.N})
	}
	sel, err := space.ReadSelection(bytes.NewReader(raw), s)
	if err != nil {
		return err
	}
	r.keep = sel.Keep
	for _, g := range r.Search.Groups {
		keep, some := sel.Keep[g.Name]
		kept := len(keep)
		if !some {
			kept = g.N
		}
		if kept != g.Kept {
			return fmt.Errorf("group %q keeps %d elements, %d by %s", g.Name, kept, g.Kept, ResultName)
		}
		for e, b := range g.Blocks {
			if _, stays := slices.BinarySearch(keep, e); some && stays != b.Kept {
				return fmt.Errorf("group %q: it disagrees with %s about block %q", g.Name, ResultName, b.Name)
			}
		}
	}
	return nil
}

// read is a whole file of at most limit bytes. Anything but a file is refused: a pipe would be waited for without end.
func read(name string, limit int64) ([]byte, error) {
	st, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, errors.New("it is not a plain file")
	case st.Size() > limit:
		return nil, fmt.Errorf("%d bytes; at most %d are read", st.Size(), limit)
	}
	return os.ReadFile(name)
}

// WriteJSON writes the summary as one indented JSON object.
func (r *Run) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

// WriteText writes the summary for people: what ran, what came out, how it went, with which settings.
func (r *Run) WriteText(w io.Writer) error {
	var tables []*Table
	if _, err := fmt.Fprintln(w, clean(r.headline())); err != nil {
		return err
	}
	if r.Search != nil {
		tables = r.Search.tables()
	} else if r.Last != nil && len(r.Last.Kept) > 0 {
		tables = append(tables, r.unfinished())
	}
	if r.Train != nil {
		tables = append(tables, score(r.Train.Score))
	}
	if r.Last != nil {
		tables = append(tables, r.progress())
	}
	tables = append(tables, r.settings())
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return writeTables(w, tables)
}

// headline says what ran, on what, and how far it came.
func (r *Run) headline() string {
	s := r.Command
	if s == "" {
		s = "run"
	}
	for _, part := range []struct{ before, key string }{{" of ", "model"}, {" on ", "data"}, {", version ", "version"}, {", kernels ", "instruction_set"}} {
		if v := r.setting(part.key); v != "" {
			s += part.before + v
		}
	}
	if r.Search == nil && r.Train == nil {
		s += ": no result yet"
		if r.Last != nil {
			s += fmt.Sprintf(", step %d of %d", r.Last.Step, r.Last.Steps)
		}
	}
	if r.Torn {
		s += ", last line of metrics cut short"
	}
	return s
}

// unfinished lists the groups of a search that has no result yet as its last line of metrics has them, by name.
func (r *Run) unfinished() *Table {
	t := &Table{Title: fmt.Sprintf("kept at step %d", r.Last.Step), Columns: []string{"group", "kept", "prune ratio"}}
	for _, name := range slices.Sorted(maps.Keys(r.Last.Kept)) {
		t.Add(name, strconv.Itoa(r.Last.Kept[name]), fmt.Sprintf("%.3f", r.Last.Ratios[name]))
	}
	return t
}

// progress shows the first, best and last line of metrics.
func (r *Run) progress() *Table {
	t := &Table{Title: "on training samples, as augmented", Columns: []string{"", "step", "loss", "accuracy", "rate"}}
	spent := slices.Sorted(maps.Keys(r.Last.Spent))
	for _, name := range spent {
		t.Columns = append(t.Columns, name, "target")
	}
	for _, l := range []struct {
		name string
		m    *train.Metrics
	}{{"first", r.First}, {"best", r.Best}, {"last", r.Last}} {
		row := []string{l.name, strconv.Itoa(l.m.Step), number(l.m.Loss), Percent(l.m.Accuracy), number(l.m.Rate)}
		for _, name := range spent {
			row = append(row, amount(l.m.Spent, name), amount(l.m.Target, name))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// settings lists config.json but for what the headline says, nested names joined by points. The settings of the command itself come
// last and have the names by which the command line takes them.
func (r *Run) settings() *Table {
	t := &Table{Title: "settings", Columns: []string{"setting", "value"}}
	for _, key := range slices.Sorted(maps.Keys(r.Config)) {
		switch key {
		case "command", "version", "instruction_set", r.Command:
		default:
			flatten(t, key, r.Config[key], 0)
		}
	}
	if own, ok := r.Config[r.Command]; ok {
		flatten(t, "", own, 0)
	}
	return t
}

// maxDepth is how far nested settings are taken apart; each level reads all below it once more. Real ones have two levels.
const maxDepth = 8

func flatten(t *Table, name string, raw json.RawMessage, depth int) {
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(raw, &inner); err != nil || inner == nil || depth == maxDepth {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil || s == "" {
			s = compact(raw)
		}
		t.Add(name, s)
		return
	}
	if name != "" {
		name += "."
	}
	for _, key := range slices.Sorted(maps.Keys(inner)) {
		flatten(t, name+key, inner[key], depth+1)
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func amount(m map[string]float64, name string) string {
	v, ok := m[name]
	if !ok || !(v > -1e18 && v < 1e18) {
		return notMeasured
	}
	return costFormat(name).write(v)
}
