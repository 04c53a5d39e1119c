package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/wholefile"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/spf13/cobra"
)

func newCompare(c *console) *cobra.Command {
	var out string
	var jobs int
	var asJSON bool
	var timing string
	cmd := &cobra.Command{
		Use:   "compare PLAN.yaml -o RUN",
		Short: "Search with several methods, budgets and seeds, and set the results side by side",
		Long: `compare runs every method of a plan within every budget with every seed, several searches side by side, each on one core, and writes the
means and their spread to RUN as table.txt, table.md, table.csv, table.json and plot.png. RUN/cells holds every smaller network.

Started again with the same plan and folder it goes on where it was stopped: finished searches stay, others go on from their last checkpoint.

A plan:

  title: ResNet-20 without retraining
  model: resnet20.onnx          # paths as seen from where dms is started
  data: cifar10:data/cifar-10
  test_samples: 5000            # also train_samples, image_size, weights
  teacher: resnet20.onnx        # guides the training after the cut; left out: none
  pipeline: p-
  space: {no_depth: true}       # also freeze, only, tie, min, divisor, as in a file of --steer
  settings: {train.steps: 400}  # of every search, as for dms search --config
  tune: {epochs: 4, rate: 0.01} # training after the cut; left out: none. Pipeline np starts it from random weights
  budgets: [macs=60%, macs=50%]
  seeds: [1, 2, 3]
  methods:
    - name: dms
    - name: get, slow           # any name, and settings over those above; also model
      method: get
      rate: 0.002

` + clockHelp + " It adds a column, and budgets of latency are met by it.",
		Example: `  dms compare experiments/t1-resnet20.yaml -o t1
  dms compare plan.yaml -o run -j 1 --json`,
		Args: arguments(1, "a PLAN"),
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "out", "o", "", "folder of the results")
	fl.IntVarP(&jobs, "jobs", "j", 0, "searches side by side (default: as many as there are cores; 1 where a budget is a latency)")
	fl.StringVar(&timing, "clock", "", "a COMMAND that times the networks beside the original, in addition to this engine")
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
		k := &comparison{c: c, plan: p, out: out, clock: newClock(timing)}
		if err := k.open(); err != nil {
			return err
		}
		if err := k.run(cmd.Context(), jobs); err != nil {
			if cmd.Context().Err() != nil {
				again := []string{"dms", "compare", args[0], "-o", out}
				if timing != "" {
					again = append(again, "--clock", timing)
				}
				return withHint(errors.New("interrupted; what was reached is kept"), "go on with: %s", shell(again...))
			}
			return err
		}
		return k.publish(cmd.Context(), asJSON)
	}
	return cmd
}

// comparison is a plan under way.
type comparison struct {
	c     *console
	plan  *plan
	out   string
	clock clock

	graph   *ir.Graph
	teacher *ir.Graph
	src     *data.Source
	cells   []cell
	trials  []*report.Trial // by cell; nil until done

	talking sync.Mutex
	told    time.Time // when something was last said
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
	d := dataSource{Spec: p.plan.Data, Size: p.plan.ImageSize, Train: p.plan.TrainSamples, Test: p.plan.TestSamples}
	if p.src, err = d.open(p.graph); err != nil {
		return err
	}
	if err := checkFit(model, p.graph, p.src); err != nil {
		return err
	}
	if p.plan, err = p.plan.suited(p.src.Augment); err != nil {
		return err
	}
	var teacher *modelSource
	if p.plan.Teacher != "" {
		t := modelSource{Model: p.plan.Teacher}
		if p.teacher, err = t.load(); err != nil {
			return fmt.Errorf("teacher: %w", err)
		}
		if t, err = t.pinned(); err != nil {
			return fmt.Errorf("teacher: %w", err)
		}
		teacher = &t
	}
	graphs, models := make([]*ir.Graph, len(p.plan.methods)), make([]*modelSource, len(p.plan.methods))
	for i, m := range p.plan.methods {
		if m.model == "" {
			graphs[i] = p.graph
			continue
		}
		own := modelSource{Model: m.model}
		if graphs[i], err = own.load(); err != nil {
			return fmt.Errorf("method %q: %w", clip(m.name), err)
		}
		if own, err = own.pinned(); err != nil {
			return fmt.Errorf("method %q: %w", clip(m.name), err)
		}
		if err := checkFit(own, graphs[i], p.src); err != nil {
			return fmt.Errorf("method %q: %w", clip(m.name), err)
		}
		models[i] = &own
	}
	// Seeds outside, methods inside: what is stopped early has something of every method.
	for _, seed := range p.plan.Seeds {
		for _, b := range p.plan.Budgets {
			for i, m := range p.plan.methods {
				cfg := m.cfg
				cfg.Budgets, cfg.Train.Seed = []search.Budget{b}, seed
				if cfg.Limits(cost.Latency) {
					cfg.Train.Workers = 0 // the times are those of all cores, as in the table
				}
				cfg.Train.Normalize = normalization(cfg.Train.Normalize, graphs[i])
				k := cell{Method: m.name, Model: models[i], Budget: b, Seed: seed, Search: cfg, graph: graphs[i]}
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
	var decides clock // times alone may be added later; what a structure was found by may not change
	if p.timed() {
		decides = p.clock
	}
	whole, err := json.Marshal(struct {
		Model   modelSource   `json:"model"`
		Teacher *modelSource  `json:"teacher,omitempty"`
		Data    dataSource    `json:"data"`
		Space   space.Options `json:"space"`
		Clock   clock         `json:"clock,omitempty"`
		Cells   []cell        `json:"cells"`
	}{model, teacher, d.pinned(), p.plan.removable, decides, p.cells})
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
		return withHint(fmt.Errorf("%s: it was begun with another plan, network, data or clock", p.out), "give a new folder, or bring back what was changed")
	}
	return p.readTrials()
}

// readTrials finds the cells that are done.
func (p *comparison) readTrials() error {
	versions := map[string]bool{} // others than this
	for i, k := range p.cells {
		raw, err := readBounded(p.path(k, ".json"), maxTrial)
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
		if now := version(); t.Version != now {
			versions[cmp.Or(t.Version, "an older version")] = true
		}
		if now := kernel.Active(); t.InstructionSet != now && t.InstructionSet != "" {
			versions[t.InstructionSet+" kernels"] = true
		}
	}
	if len(versions) > 0 {
		p.c.say("warning: some cells were run by %s, this is %s with %s kernels: the last bits may differ", clip(strings.Join(slices.Sorted(maps.Keys(versions)), ", ")), version(), kernel.Active())
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
	switch {
	case jobs == 0 && p.timed():
		jobs = 1 // another search would be in the times
	case jobs == 0:
		jobs = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan int)
	var wg sync.WaitGroup
	start, done := time.Now(), 0
	p.told = start
	for range min(jobs, len(todo)) {
		wg.Go(func() {
			for i := range work {
				t, err := p.try(ctx, p.cells[i])
				if err != nil {
					cancel(fmt.Errorf("%v: %w", p.cells[i], err))
					return
				}
				p.talking.Lock()
				p.trials[i] = t
				done++
				left := time.Duration(float64(time.Since(start)) / float64(done) * float64(len(todo)-done))
				p.c.say("%d/%d  %v: %.2f%%  %v left", len(p.cells)-len(todo)+done, len(p.cells), p.cells[i], 100*t.Top1, left.Round(time.Second))
				p.told = time.Now()
				p.talking.Unlock()
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

// timed tells whether a budget of the plan is a latency.
func (p *comparison) timed() bool {
	return slices.ContainsFunc(p.plan.Budgets, func(b search.Budget) bool { return b.Metric == cost.Latency })
}

// publish measures latencies, one network at a time and not beside searches, and writes the tables.
func (p *comparison) publish(ctx context.Context, asJSON bool) error {
	s := &report.Standings{Title: cmp.Or(p.plan.Title, report.ModelName(p.plan.Model))}
	full, err := cost.Count(p.graph)
	if err != nil {
		return err
	}
	s.Original = report.Trial{Method: "original", Cost: full}
	if p.plan.Pipeline != string(search.NP) {
		score, err := dms.Evaluate(ctx, p.graph, p.src, p.cells[0].Search.Train)
		if err != nil {
			return err
		}
		s.Original.Top1, s.Original.Correct, s.Original.Total = score.Top1, score.Correct, score.Total
	}
	for i, t := range p.trials {
		if err := p.time(ctx, p.cells[i], t); err != nil {
			return err
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
