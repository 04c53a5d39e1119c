package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
	"github.com/spf13/cobra"
)

// Names of files of a run beside rundir's.
const (
	resultName = report.ResultName
	widthsName = "widths.png"
)

func newSearch(c *console) *cobra.Command {
	var f stageFlags
	var sp spaceFlags
	var budgets []string
	var pipeline, method string
	var steps int
	var epochs float64
	var seed uint64
	var timing string
	cmd := &cobra.Command{
		Use:   "search MODEL --data DATA --budget BUDGET -o RUN",
		Short: "Find a smaller structure within a budget, by gradient",
		Long: `search learns which widths and blocks a network can do without, cuts the rest out and writes the smaller network to RUN/model.onnx.

Pipelines:
  np   from random weights: weights and structure train together; retrain the result with 'dms train RUN/model.onnx --from-scratch'
  p    from trained weights: weights and structure train together; fine-tune the result with 'dms train RUN/model.onnx'
  p-   from trained weights, which stay as they are: a few hundred steps, and the result needs no retraining

RUN holds config.json (every setting in effect), metrics.jsonl, checkpoint/, selection.json, result.json, widths.png and model.onnx.
Ctrl-C saves a checkpoint; --resume RUN goes on from the last one, with the same bits as if nothing had happened.
Settings of the search are changed by --set KEY=VALUE, those of its training by --set train.KEY=VALUE; a wrong KEY lists them all.
What may go is steered by --no-depth, --freeze, --only, --tie, --min and --divisor, or by a file of --steer; see 'dms inspect --help'.

` + clockHelp,
		Example: `  dms search model.onnx --data cifar10:data/cifar-10 --budget macs=60% --pipeline p- -o run
  dms search zoo:resnet14:width=1.5,channels=1,input=28 --data fashion-mnist:data/fashion-mnist --budget macs=20M --epochs 2 -o run
  dms search model.onnx --data imagefolder:photos --budget macs=300M --budget params=2M --no-depth --divisor 8 -o run
  dms search model.onnx --data cifar10:data/cifar-10 --budget latency=60% --clock "node experiments/clock.js" -o run
  dms search --resume run`,
		Args: arguments(0, "a MODEL"),
	}
	f.flags(cmd)
	sp.flags(cmd)
	fl := cmd.Flags()
	fl.StringArrayVar(&budgets, "budget", nil, "what the result may cost: macs=50%, macs=300M, params=1.2M, bytes=40%, latency=3ms (repeatable)")
	fl.StringVar(&pipeline, "pipeline", "", "np, p or p- (default: np for a zoo network with random weights, else p)")
	fl.StringVar(&method, "method", "dms", "how the structure is found: "+strings.Join(methodNames(), ", "))
	fl.IntVar(&steps, "steps", 0, "steps of the search (default: 400 for p-, else by epochs)")
	fl.Float64Var(&epochs, "epochs", 0, "passes over the training data instead of --steps")
	fl.Uint64Var(&seed, "seed", 1, "of batches, augmentation and random weights")
	fl.StringVar(&timing, "clock", "", "a COMMAND that times networks for a latency budget (default: this engine)")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		f.budgets = &budgets
		if err := f.check(cmd, args); err != nil {
			return err
		}
		var s *stage
		if f.resume != "" {
			s, err = goOn(c, "search", f.resume)
			if err == nil && s.cfg.Clock != timing {
				err = errors.Join(otherClock(s.cfg.Clock, f.resume), s.dir.Close())
			}
		} else {
			if pipeline == "" { // the defaults of the other settings depend on it
				pipeline, _ = f.settings.last("pipeline").(string) // what is no word is refused with the other settings
			}
			if pipeline == "" {
				pipeline = string(defaultPipeline(f.model, f.weights))
			}
			var o space.Options
			if o, err = sp.options(); err != nil {
				return err
			}
			cfg := search.Default(search.Pipeline(pipeline))
			override := func() error {
				cfg.Pipeline = search.Pipeline(pipeline)
				fl := cmd.Flags()
				if fl.Changed("method") {
					if !slices.Contains(methodNames(), method) {
						return withHint(misuse("--method: unknown method %q", method), "known are %s", strings.Join(methodNames(), ", "))
					}
					cfg.Method = method
				}
				if fl.Changed("seed") {
					cfg.Train.Seed = seed
				}
				if fl.Changed("epochs") {
					cfg.Train.Epochs, cfg.Train.Steps = epochs, 0
				}
				if fl.Changed("steps") {
					cfg.Train.Steps = steps
				}
				if err := setBudgets(&cfg, budgets); err != nil {
					return err
				}
				if timing != "" && !cfg.Limits(cost.Latency) {
					return withHint(misuse("--clock without a budget of latency has nothing to time"), "add one, such as --budget latency=60%%")
				}
				return nil
			}
			s, err = begin(c, runConfig{Command: "search", Space: &o, Search: &cfg, Clock: timing}, &cfg, &f, override)
		}
		if err != nil {
			return err
		}
		return s.end(cmd.Context(), s.search(cmd.Context(), f.json))
	}
	return cmd
}

// otherClock is the error of going on with another clock. A command that stands in a folder is never started because it stands there.
func otherClock(had, run string) error {
	if had == "" {
		return withHint(misuse("the run was started without --clock"), "go on with: %s", shell("dms", "search", "--resume", run))
	}
	return withHint(misuse("the run was started with a clock"), "if you trust it, go on with: %s", shell("dms", "search", "--resume", run, "--clock", had))
}

func methodNames() []string {
	var names []string
	for _, m := range search.Methods() {
		names = append(names, m.Name)
	}
	return names
}

// setBudgets takes the budgets of the command line, which replace those of a settings file.
func setBudgets(cfg *search.Config, texts []string) error {
	if len(texts) > 0 {
		cfg.Budgets = nil
	}
	for _, text := range texts {
		b, err := search.ParseBudget(text)
		if err != nil {
			return &usageError{err}
		}
		cfg.Budgets = append(cfg.Budgets, b)
	}
	return nil
}

func defaultPipeline(model, weights string) search.Pipeline {
	if isZoo(model) && weights == "" {
		return search.NP
	}
	return search.P
}

// search runs the search of the stage and writes its results.
func (s *stage) search(ctx context.Context, asJSON bool) error {
	if s.cfg.Space == nil {
		return fmt.Errorf("run %s: %s holds no options of the space", s.dir.Path(), rundir.ConfigName)
	}
	opt := search.Options{Space: *s.cfg.Space, Teacher: s.teacher, Journal: s.dir, Resume: s.resume, Progress: s.progress()}
	if c := newClock(s.cfg.Clock); c != nil {
		opt.Clock = c.measure
	}
	if s.resume == nil && s.cfg.Search.Limits(cost.Latency) {
		s.c.say("timing cuts of the network to price latency, for up to half a minute")
	}
	r, err := dms.Search(ctx, s.graph, s.src, *s.cfg.Search, opt)
	if err != nil {
		return err
	}
	score, err := train.Evaluate(ctx, r.Graph, s.src, s.src.Test, s.cfg.Search.Train)
	if err != nil {
		return err
	}
	for _, warning := range latencyWarnings(r.Latency) {
		s.c.say("warning: %s", warning)
	}
	result := report.NewSearchResult(r, s.cfg.Search.Budgets)
	result.Score = &score
	if result.Layers, err = layerCosts(s.graph, r.Graph); err != nil {
		return err
	}
	if err := s.dir.WriteFile(rundir.SelectionName, r.Selection.Write); err != nil {
		return err
	}
	if err := s.dir.WriteFile(widthsName, func(w io.Writer) error {
		return report.Widths(w, report.ModelName(s.cfg.Model.Model), r.Space, r.Selection, r.Before, r.After)
	}); err != nil {
		return err
	}
	if err := s.writeModel(rundir.ModelName, r.Graph); err != nil {
		return err
	}
	if err := s.writeJSON(resultName, result); err != nil { // last: where it stands, the run is complete
		return err
	}
	s.dir.Logf("done: top-1 %.2f%%, %d MACs", 100*score.Top1, r.After.MACs)
	if asJSON {
		return printJSON(s.c.out, result)
	}
	s.c.say("the smaller network is %s, its structure %s", s.dir.Path(rundir.ModelName), s.dir.Path(widthsName))
	if s.cfg.Search.Pipeline == search.NP {
		s.c.say("its weights are those of the search; retrain it: %s -o RUN", shell("dms", "train", s.dir.Path(rundir.ModelName), "--from-scratch", "--data", s.cfg.Data.Spec))
	}
	return result.WriteText(s.c.out)
}

// latencyWarnings says what a user should know of a latency before relying on it; l is nil where none was asked for.
func latencyWarnings(l *search.Latency) (out []string) {
	if l == nil {
		return nil
	}
	if l.After > l.Target {
		out = append(out, fmt.Sprintf("the budget of latency is missed: %s of %s, the best of several structures that were timed", report.Duration(l.After), report.Duration(l.Target)))
	}
	if !l.Quiet() {
		out = append(out, fmt.Sprintf("the whole network took %s before the search and %s after it; the machine was busy at one of the two, and the latencies may be wrong",
			report.Duration(l.Before), report.Duration(l.Again)))
	}
	return out
}

// layerCosts pairs the costs of the layers before and after a search.
func layerCosts(before, after *ir.Graph) ([]report.Layer, error) {
	var both [2][]cost.Layer
	for i, g := range []*ir.Graph{before, after} {
		layers, err := cost.Layers(g)
		if err != nil {
			return nil, err
		}
		for j := range layers {
			layers[j].Node = layerName(layers[j].Node)
		}
		both[i] = layers
	}
	return report.Layers(both[0], both[1]), nil
}
