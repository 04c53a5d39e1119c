package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/wholefile"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/train"
	"github.com/dms-go/dms/zoo"
	"github.com/spf13/cobra"
)

// demo is the settings of the demonstration. They fit a small machine. The uniform network trains from random weights for as many steps
// as the search and the fine-tuning take together.
type demo struct {
	out                   string
	budget                search.Budget
	seed                  uint64
	dense, search, refine int // steps of training, searching and fine-tuning
	json                  bool
}

// The dense network: wide enough for the drawings, small enough for two cores and a minute and a half.
const (
	demoModel = "resnet14"
	demoWidth = 0.75
)

func newDemo(c *console) *cobra.Command {
	d := demo{budget: search.Budget{Metric: cost.MACs, Share: 0.5}}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole story in a minute and a half, without any download",
		Long: `demo trains a small residual network on pictures of letters that it draws itself, searches a structure with half of the
multiply-accumulates by gradient, cuts and fine-tunes it. Beside it stands the usual answer: the same network with all widths scaled
down alike, trained from scratch for as many steps as search and fine-tuning take together. The searched network starts from the dense
one's weights, so it has that training behind it as well.

It ends with a table and leaves a folder with the three networks, the table as JSON and a picture of the widths kept per layer.`,
		Example: `  dms demo
  dms demo -o story --seed 2`,
		Args: arguments(0),
	}
	fl := cmd.Flags()
	fl.StringVarP(&d.out, "out", "o", "", "new folder for the results (default: dms-demo, or the first free of dms-demo-2, …)")
	fl.Uint64Var(&d.seed, "seed", 1, "of weights, drawings and batches")
	fl.IntVar(&d.dense, "dense-steps", 850, "steps of training the dense network")
	fl.IntVar(&d.search, "search-steps", 250, "steps of the search")
	fl.IntVar(&d.refine, "tune-steps", 700, "steps of fine-tuning the searched network")
	fl.BoolVar(&d.json, "json", false, "print the table as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if d.dense < 1 || d.search < 1 || d.refine < 1 {
			return misuse("steps are counts from 1")
		}
		out, err := freeFolder(d.out, "dms-demo")
		if err != nil {
			return err
		}
		d.out = out
		return d.run(cmd.Context(), c)
	}
	return cmd
}

// freeFolder makes a new folder: the one asked for, or the first free one after name.
func freeFolder(asked, name string) (string, error) {
	if asked != "" {
		if err := newFile(asked, name); err != nil {
			return "", err
		}
		return asked, os.MkdirAll(asked, 0o777)
	}
	for i := 1; ; i++ {
		folder := name
		if i > 1 {
			folder = fmt.Sprintf("%s-%d", name, i)
		}
		if err := os.Mkdir(folder, 0o777); !errors.Is(err, fs.ErrExist) {
			return folder, err
		}
	}
}

func (d *demo) run(ctx context.Context, c *console) error {
	src, err := data.Open("glyphs", data.Options{Seed: d.seed})
	if err != nil {
		return err
	}
	start := time.Now()
	c.say("1/4  training the dense network, %s: %d steps on drawings of %d letters and digits", demoModel, d.dense, len(src.Train.Classes()))
	dense, err := d.build(1)
	if err != nil {
		return err
	}
	if dense, err = d.train(ctx, c, dense, src, d.settings(d.dense, d.dense/4, demoRate)); err != nil {
		return err
	}
	c.say("2/4  searching %s by gradient: %d steps", d.budget, d.search)
	cfg := search.Default(search.P)
	cfg.Budgets = []search.Budget{d.budget}
	cfg.Train = d.settings(d.search, 0, demoSearchRate)
	found, err := dms.Search(ctx, dense, src, cfg, search.Options{Progress: newProgress(c, d.search, 0, nil).show})
	if err != nil {
		return err
	}
	c.say("3/4  fine-tuning the smaller network: %d steps", d.refine)
	small, err := d.train(ctx, c, found.Graph, src, d.settings(d.refine, 0, demoTuneRate))
	if err != nil {
		return err
	}
	uniform, scale, err := d.uniform(found.Before)
	if err != nil {
		return err
	}
	all := d.search + d.refine
	c.say("4/4  training the usual answer, every width × %.2f: %d steps", scale, all)
	if uniform, err = d.train(ctx, c, uniform, src, d.settings(all, all/4, demoRate)); err != nil {
		return err
	}

	norm, err := resolvedNorm(src, "")
	if err != nil {
		return err
	}
	times, err := train.Latencies([]*ir.Graph{dense, uniform, small}, src.Test, 1, 200, 1)
	if err != nil {
		return err
	}
	table := report.Comparison{Title: fmt.Sprintf("%s on drawn letters and digits, %d test samples", demoModel, src.Test.Len())}
	for i, n := range []struct {
		name, file string
		g          *ir.Graph
	}{
		{"dense", "dense.onnx", dense},
		{fmt.Sprintf("uniform, widths × %.2f", scale), "uniform.onnx", uniform},
		{"dms", "dms.onnx", small},
	} {
		row := report.Entry{Name: n.name, Latency: times[i]}
		score, err := dms.Evaluate(ctx, n.g, src, train.Default())
		if err != nil {
			return err
		}
		row.Accuracy = score.Top1
		if row.Cost, err = cost.Count(n.g); err != nil {
			return err
		}
		table.Rows = append(table.Rows, row)
		n.g.SetMeta(normalizeKey, norm)
		if err := dms.Save(filepath.Join(d.out, n.file), n.g); err != nil {
			return err
		}
	}
	if err := d.save(table, found); err != nil {
		return err
	}
	c.say("done in %v; networks, table and %s are in %s", time.Since(start).Round(time.Second), widthsName, d.out)
	if d.json {
		return table.WriteJSON(c.out)
	}
	return table.WriteText(c.out)
}

// Peak learning rates: from random weights, while the structure moves, and after the cut. From random weights the drawings are not learned at all at such a
// rate, unless a quarter of the steps leads up to it.
const (
	demoRate       = 0.2
	demoSearchRate = 0.02
	demoTuneRate   = 0.05
)

func (d *demo) settings(steps, warmup int, rate float64) train.Config {
	cfg := train.Default()
	cfg.Steps, cfg.Warmup, cfg.Rate, cfg.Seed = steps, warmup, rate, d.seed
	cfg.Crop, cfg.Flip = 0, false // every drawing is another one already
	return cfg
}

func (d *demo) train(ctx context.Context, c *console, g *ir.Graph, src *data.Source, cfg train.Config) (*ir.Graph, error) {
	return dms.Train(ctx, g, src, cfg, train.Options{Progress: newProgress(c, cfg.Steps, 0, nil).show})
}

func (d *demo) build(width float64) (*ir.Graph, error) {
	return zoo.Build(fmt.Sprintf("%s:classes=36,seed=%d,width=%g", demoModel, d.seed, demoWidth*width))
}

// uniform is the widest network with all widths scaled alike that keeps the budget.
func (d *demo) uniform(full cost.Cost) (g *ir.Graph, scale float64, err error) {
	limit := int64(d.budget.Share * float64(full.MACs))
	for scale = 1; scale > 0; scale -= 0.01 {
		scale = math.Round(scale*100) / 100
		if g, err = d.build(scale); err != nil {
			return nil, 0, err
		}
		spent, err := cost.Count(g)
		if err != nil {
			return nil, 0, err
		}
		if spent.MACs <= limit {
			return g, scale, nil
		}
	}
	return nil, 0, search.ErrBudgetTooSmall
}

// save writes the table and the picture.
func (d *demo) save(table report.Comparison, found *search.Result) error {
	write := func(name string, write func(io.Writer) error) error {
		return wholefile.Write(filepath.Join(d.out, name), write)
	}
	if err := write("table.json", table.WriteJSON); err != nil {
		return err
	}
	return write(widthsName, func(w io.Writer) error {
		return report.Widths(w, demoModel+" on drawn letters and digits", found.Space, found.Selection, found.Before, found.After)
	})
}
