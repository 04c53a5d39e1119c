package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/wholefile"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
	"github.com/spf13/cobra"
)

func newCompare(c *console) *cobra.Command {
	var out string
	var jobs int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare PLAN.yaml -o RUN",
		Short: "Search with several methods, budgets and seeds, and set the results side by side",
		Long: `compare runs every method of a plan within every budget with every seed, several searches side by side, each on one core, and writes the
means and their spread to RUN as table.txt, table.md, table.csv, table.json and plot.png. RUN/cells holds every smaller network.

Started again with the same plan and folder it goes on where it was stopped; finished cells stay.

A plan:

  title: ResNet-20 without retraining
  model: resnet20.onnx          # paths as seen from where dms is started
  data: cifar10:data/cifar-10
  test_samples: 5000            # also train_samples, weights
  pipeline: p-
  space: {no_depth: true}       # also freeze, only, tie, min, divisor, as in a file of --steer
  settings: {train.steps: 400}  # of every search, as for dms search --config
  tune: {epochs: 4, rate: 0.01} # training after the cut; left out: none. Pipeline np starts it from random weights
  budgets: [macs=60%, macs=50%]
  seeds: [1, 2, 3]
  methods:
    - name: dms
    - name: get, slow           # any name, and settings over those above
      method: get
      rate: 0.002`,
		Example: `  dms compare experiments/t1-resnet20.yaml -o t1
  dms compare plan.yaml -o run -j 1 --json`,
		Args: arguments(1, "a PLAN"),
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "out", "o", "", "folder of the results")
	fl.IntVarP(&jobs, "jobs", "j", 0, "searches side by side (default: as many as there are cores)")
	fl.BoolVar(&asJSON, "json", false, "print the table as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if out == "" {
			return withHint(misuse("dms compare: -o RUN is missing"), "RUN is a folder for the results, such as -o run")
		}
		if jobs < 0 || jobs > 1024 {
			return misuse("--jobs %d: want a count, or 0 for the number of cores", jobs)
		}
		p, err := readPlan(args[0])
		if err != nil {
			return err
		}
		cmp := &comparison{c: c, plan: p, out: out}
		if err := cmp.open(); err != nil {
			return err
		}
		if err := cmp.run(cmd.Context(), jobs); err != nil {
			if cmd.Context().Err() != nil {
				return withHint(errors.New("interrupted; finished cells are kept"), "go on with: %s", shell("dms", "compare", args[0], "-o", out))
			}
			return err
		}
		return cmp.publish(asJSON)
	}
	return cmd
}

// plan is what a comparison runs.
type plan struct {
	planSettings
	removable space.Options
	methods   []planMethod
	tune      *train.Config
}

// planSettings are those of a plan's keys that hold nothing but a value.
type planSettings struct {
	Title        string          `json:"title"`
	Model        string          `json:"model"`
	Weights      string          `json:"weights"`
	Data         string          `json:"data"`
	TrainSamples int             `json:"train_samples"`
	TestSamples  int             `json:"test_samples"`
	Pipeline     string          `json:"pipeline"`
	Space        spaceSettings   `json:"space"`
	Budgets      []search.Budget `json:"budgets"`
	Seeds        []uint64        `json:"seeds"`
}

type planMethod struct {
	name string
	cfg  search.Config
}

// maxCells bounds the searches of one plan.
const maxCells = 10000

func readPlan(name string) (*plan, error) {
	values, err := readSettings(name)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(values)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func newPlan(values map[string]any) (*plan, error) {
	take := func(key string) any {
		v := values[key]
		delete(values, key)
		return v
	}
	methods, settings, tune := take("methods"), take("settings"), take("tune")
	p := &plan{planSettings: planSettings{Pipeline: string(search.PMinus)}}
	if err := merge(values, &p.planSettings); err != nil {
		known := append(keysOf(reflect.TypeFor[planSettings](), ""), "methods", "settings", "tune")
		return nil, withHint(fmt.Errorf("%w", err), "a plan has %s", strings.Join(known, ", "))
	}
	var err error
	if p.removable, err = p.Space.options(); err != nil {
		return nil, fmt.Errorf("space: %w", err)
	}
	base := search.Default(search.Pipeline(p.Pipeline))
	if err := mergeGroup(settings, "settings", &base); err != nil {
		return nil, err
	}
	base.Pipeline = search.Pipeline(p.Pipeline)
	if tune != nil {
		t := train.Default()
		if err := mergeGroup(tune, "tune", &t); err != nil {
			return nil, err
		}
		t.Workers = 1
		p.tune = &t
	}
	list, ok := methods.([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("methods: want a list of at least one method, such as - name: dms")
	}
	seen := map[string]bool{}
	for i, v := range list {
		m, ok := v.(map[string]any)
		name, named := m["name"].(string)
		if !ok || !named || name == "" {
			return nil, fmt.Errorf("methods: number %d has no name", i+1)
		}
		if seen[name] {
			return nil, fmt.Errorf("methods: two are called %q", clip(name))
		}
		seen[name] = true
		delete(m, "name")
		cfg := base
		if err := merge(m, &cfg); err != nil {
			return nil, fmt.Errorf("method %q: %w", clip(name), err)
		}
		cfg.Train.Workers = 1 // the bits do not depend on it
		if err := cfg.Check(); err != nil {
			return nil, fmt.Errorf("method %q: %w", clip(name), err)
		}
		p.methods = append(p.methods, planMethod{name, cfg})
	}
	switch {
	case p.Model == "":
		return nil, withHint(errors.New("model is missing"), modelHint)
	case p.Data == "":
		return nil, withHint(errors.New("data is missing"), dataHint)
	case len(p.Budgets) == 0:
		return nil, errors.New("budgets: want at least one, such as [macs=50%]")
	case len(p.Seeds) == 0:
		p.Seeds = []uint64{1}
	}
	if n := len(p.methods) * len(p.Budgets) * len(p.Seeds); n > maxCells {
		return nil, fmt.Errorf("%d searches; at most %d in one plan", n, maxCells)
	}
	return p, nil
}

// mergeGroup writes the settings of one key of a plan over dst.
func mergeGroup(v any, key string, dst any) error {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		return fmt.Errorf("%s: want settings, one KEY: VALUE a line", key)
	}
	if err := merge(m, dst); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// cell is one search.
type cell struct {
	Method string        `json:"method"`
	Budget search.Budget `json:"budget"`
	Seed   uint64        `json:"seed"`
	Search search.Config `json:"search"`
	Tune   *train.Config `json:"tune,omitempty"`
	name   string        // of its files, without ending
}

// comparison is a plan under way.
type comparison struct {
	c    *console
	plan *plan
	out  string

	graph  *ir.Graph
	src    *data.Source
	cells  []cell
	trials []*report.Trial // by cell; nil until done
}

const (
	planName  = "plan.json"
	cellsName = "cells"
)

// open loads network and data, and makes the folder or finds in it what is done.
func (p *comparison) open() error {
	model := modelSource{Model: p.plan.Model, Weights: p.plan.Weights}
	var err error
	if p.graph, err = model.load(); err != nil {
		return err
	}
	if err := checkPatterns(p.graph, model.Model, p.plan.removable); err != nil {
		return fmt.Errorf("space: %w", err)
	}
	if model, err = model.pinned(); err != nil {
		return err
	}
	d := dataSource{Spec: p.plan.Data, Train: p.plan.TrainSamples, Test: p.plan.TestSamples}
	if p.src, err = d.open(p.graph); err != nil {
		return err
	}
	if err := checkFit(model, p.graph, p.src); err != nil {
		return err
	}
	// Seeds outside, methods inside: what is stopped early has something of every method.
	for _, seed := range p.plan.Seeds {
		for _, b := range p.plan.Budgets {
			for _, m := range p.plan.methods {
				cfg := m.cfg
				cfg.Budgets, cfg.Train.Seed = []search.Budget{b}, seed
				cfg.Train.Normalize = normalization(cfg.Train.Normalize, p.graph)
				k := cell{Method: m.name, Budget: b, Seed: seed, Search: cfg}
				if p.plan.tune != nil {
					t := *p.plan.tune
					t.Seed, t.Normalize = seed, cfg.Train.Normalize
					k.Tune = &t
				}
				k.name = fmt.Sprintf("%04d", len(p.cells))
				p.cells = append(p.cells, k)
			}
		}
	}
	p.trials = make([]*report.Trial, len(p.cells))
	whole, err := json.Marshal(struct {
		Model modelSource   `json:"model"`
		Data  dataSource    `json:"data"`
		Space space.Options `json:"space"`
		Cells []cell        `json:"cells"`
	}{model, d.pinned(), p.plan.removable, p.cells})
	if err != nil {
		return err
	}
	name := filepath.Join(p.out, planName)
	old, err := readBounded(name, 64<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if entries, err := os.ReadDir(p.out); err == nil && len(entries) > 0 {
			return fmt.Errorf("%s: the folder is not empty and holds no comparison; give a new one", p.out)
		}
		if err := os.MkdirAll(filepath.Join(p.out, cellsName), 0o777); err != nil {
			return err
		}
		return wholefile.Write(name, func(w io.Writer) error {
			_, err := w.Write(whole)
			return err
		})
	case err != nil:
		return err
	case string(old) != string(whole):
		return withHint(fmt.Errorf("%s: it was begun with another plan, network or data", p.out), "give a new folder, or bring back what was changed")
	}
	return p.readTrials()
}

func (p *comparison) path(k cell, ending string) string {
	return filepath.Join(p.out, cellsName, k.name+ending)
}

// readTrials finds the cells that are done.
func (p *comparison) readTrials() error {
	for i, k := range p.cells {
		raw, err := readBounded(p.path(k, ".json"), 1<<20)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		var t report.Trial
		if err := json.Unmarshal(raw, &t); err != nil || t.Method != k.Method || t.Budget != k.Budget.String() || t.Seed != k.Seed {
			return withHint(fmt.Errorf("%s does not hold the result of this cell", p.path(k, ".json")), "remove it; the cell is then run again")
		}
		p.trials[i] = &t
	}
	return nil
}

// run runs the cells that are not done, jobs at a time.
func (p *comparison) run(ctx context.Context, jobs int) error {
	var todo []int
	for i, t := range p.trials {
		if t == nil {
			todo = append(todo, i)
		}
	}
	if done := len(p.cells) - len(todo); done > 0 {
		p.c.say("%d of %d cells were done before", done, len(p.cells))
	}
	if jobs == 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	start, done := time.Now(), 0
	for range min(jobs, len(todo)) {
		wg.Go(func() {
			for i := range work {
				t, err := p.try(ctx, p.cells[i])
				if err != nil {
					cancel(fmt.Errorf("%s, %v, seed %d: %w", p.cells[i].Method, p.cells[i].Budget, p.cells[i].Seed, err))
					return
				}
				mu.Lock()
				p.trials[i] = t
				done++
				left := time.Duration(float64(time.Since(start)) / float64(done) * float64(len(todo)-done))
				p.c.say("%d/%d  %s, %s, seed %d: %.2f%%  %.0f s, %v left", len(p.cells)-len(todo)+done, len(p.cells), t.Method, t.Budget, t.Seed,
					100*t.Top1, t.Seconds, left.Round(time.Second))
				mu.Unlock()
			}
		})
	}
feed:
	for _, i := range todo {
		select {
		case work <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// try runs one cell and writes its files, the result last.
func (p *comparison) try(ctx context.Context, k cell) (*report.Trial, error) {
	start := time.Now()
	r, err := dms.Search(ctx, p.graph, p.src, k.Search, search.Options{
		Space: p.plan.removable,
	})
	if err != nil {
		return nil, err
	}
	t := &report.Trial{Method: k.Method, Budget: k.Budget.String(), Seed: k.Seed, Cost: r.After, Seconds: time.Since(start).Seconds(), Steps: k.Search.Train.StepsFor(p.src.Train.Len())}
	if stepless(k.Search.Method) {
		t.Steps = 0
	}
	g := r.Graph
	if k.Tune != nil {
		if k.Search.Pipeline == search.NP {
			g = train.Reinit(g, k.Tune.Seed)
		}
		if g, err = dms.Train(ctx, g, p.src, *k.Tune, train.Options{}); err != nil {
			return nil, err
		}
		t.TuneSteps = k.Tune.StepsFor(p.src.Train.Len())
	}
	score, err := dms.Evaluate(ctx, g, p.src, k.Search.Train)
	if err != nil {
		return nil, err
	}
	t.Top1, t.Correct, t.Total = score.Top1, score.Correct, score.Total
	if err := dms.Save(p.path(k, ".onnx"), g); err != nil {
		return nil, err
	}
	return t, p.write(k, t)
}

func stepless(method string) bool {
	for _, m := range search.Methods() {
		if m.Name == method {
			return m.Stepless()
		}
	}
	return false
}

func (p *comparison) write(k cell, t *report.Trial) error {
	return wholefile.Write(p.path(k, ".json"), func(w io.Writer) error { return printJSON(w, t) })
}

// latencyRounds is how many inferences a latency is the median of.
const latencyRounds = 31

// publish measures latencies, one network at a time and not beside searches, and writes the tables.
func (p *comparison) publish(asJSON bool) error {
	s := &report.Standings{Title: cmp.Or(p.plan.Title, modelName(p.plan.Model))}
	latency := func(g *ir.Graph) (float64, error) {
		d, err := train.Latency(g, p.src.Test, 1, latencyRounds, 0)
		return d.Seconds() * 1e3, err
	}
	full, err := cost.Count(p.graph)
	if err != nil {
		return err
	}
	s.Original = report.Trial{Method: "original", Cost: full}
	if s.Original.LatencyMS, err = latency(p.graph); err != nil {
		return err
	}
	if p.plan.Pipeline != string(search.NP) {
		score, err := dms.Evaluate(context.Background(), p.graph, p.src, p.cells[0].Search.Train)
		if err != nil {
			return err
		}
		s.Original.Top1, s.Original.Correct, s.Original.Total = score.Top1, score.Correct, score.Total
	}
	for i, t := range p.trials {
		if t.LatencyMS == 0 {
			g, err := onnx.ReadFile(p.path(p.cells[i], ".onnx"))
			if err != nil {
				return err
			}
			if t.LatencyMS, err = latency(g); err != nil {
				return err
			}
			if err := p.write(p.cells[i], t); err != nil {
				return err
			}
		}
		s.Trials = append(s.Trials, *t)
	}
	for name, write := range map[string]func(io.Writer) error{
		"table.txt": s.WriteText, "table.md": s.WriteMarkdown, "table.csv": s.WriteCSV, "table.json": s.WriteJSON, "plot.png": s.WritePlot,
	} {
		if err := wholefile.Write(filepath.Join(p.out, name), write); err != nil {
			return err
		}
	}
	p.c.say("tables and plot are in %s", strings.TrimSuffix(p.out, "/"))
	if asJSON {
		return s.WriteJSON(p.c.out)
	}
	return s.WriteText(p.c.out)
}
