package main

import (
	"context"
	"fmt"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/train"
	"github.com/spf13/cobra"
)

func newTrain(c *console) *cobra.Command {
	var f stageFlags
	var steps int
	var epochs float64
	var seed uint64
	var fresh bool
	cmd := &cobra.Command{
		Use:   "train MODEL --data DATA -o RUN",
		Short: "Train, retrain or fine-tune a classifier",
		Long: `train runs the step loop on a network and writes it to RUN/model.onnx with its new weights. The accuracy on the test samples is printed
at the end and stands in RUN/result.json.

The network starts from the weights it has, or from new random ones with --from-scratch. With --teacher the outputs of another network
guide it (set distill=kl or dist). Ctrl-C saves a checkpoint; --resume RUN goes on from the last one, with the same bits.
Settings are changed by --set KEY=VALUE or a YAML file; a wrong KEY lists them all.`,
		Example: `  dms train zoo:resnet20 --data cifar10:data/cifar-10 --epochs 30 -o dense
  dms train run/model.onnx --data cifar10:data/cifar-10 --epochs 10 --set rate=0.01 --teacher dense/model.onnx -o tuned
  dms train run/model.onnx --from-scratch --data glyphs --set label_smoothing=0.1 -o retrained
  dms train --resume tuned`,
		Args: arguments(0, "a MODEL"),
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.IntVar(&steps, "steps", 0, "number of updates (default: by epochs)")
	fl.Float64Var(&epochs, "epochs", 0, "passes over the training data (default 30)")
	fl.Uint64Var(&seed, "seed", 1, "of batches, augmentation and random weights")
	fl.BoolVar(&fresh, "from-scratch", false, "start from new random weights")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := f.check(cmd, args); err != nil {
			return err
		}
		var s *stage
		if f.resume != "" {
			s, err = goOn(c, "train", f.resume)
		} else {
			cfg := train.Default()
			override := func() error {
				fl := cmd.Flags()
				if fl.Changed("seed") {
					cfg.Seed = seed
				}
				if fl.Changed("epochs") {
					cfg.Epochs, cfg.Steps = epochs, 0
				}
				if fl.Changed("steps") {
					cfg.Steps = steps
				}
				return nil
			}
			s, err = begin(c, runConfig{Command: "train", Fresh: fresh, Train: &cfg}, &cfg, &f, override)
		}
		if err != nil {
			return err
		}
		return s.end(cmd.Context(), s.train(cmd.Context(), f.json))
	}
	return cmd
}

// train runs the training of the stage and writes its results.
func (s *stage) train(ctx context.Context, asJSON bool) error {
	g := s.graph
	if s.cfg.Fresh {
		g = train.Reinit(g, s.cfg.Train.Seed)
	}
	g, err := dms.Train(ctx, g, s.src, *s.cfg.Train, train.Options{
		Teacher: s.teacher, Journal: s.dir, Resume: s.resume, Progress: s.progress(),
	})
	if err != nil {
		return err
	}
	score, err := dms.Evaluate(ctx, g, s.src, *s.cfg.Train)
	if err != nil {
		return err
	}
	if err := s.writeModel(rundir.ModelName, g); err != nil {
		return err
	}
	if err := s.writeJSON(resultName, report.TrainResult{Score: score}); err != nil { // last: where it stands, the run is complete
		return err
	}
	s.dir.Logf("done: top-1 %.2f%%", 100*score.Top1)
	if asJSON {
		return printJSON(s.c.out, report.TrainResult{Score: score})
	}
	s.c.say("the trained network is %s", s.dir.Path(rundir.ModelName))
	return printScore(s.c, score)
}

func printScore(c *console, s train.Score) error {
	_, err := fmt.Fprintf(c.out, "correct %d of %d\ntop-1   %.2f%%\ntop-5   %.2f%%\nloss    %.4f\n", s.Correct, s.Total, 100*s.Top1, 100*s.Top5, s.Loss)
	return err
}

func newEval(c *console) *cobra.Command {
	var src modelSource
	var d dataSource
	var asJSON bool
	cfg := train.Default()
	cmd := &cobra.Command{
		Use:   "eval MODEL --data DATA",
		Short: "Measure the accuracy of a classifier on test samples",
		Long: `eval runs a network over the test samples of a data set: correct answers, top-1, top-5 and mean cross-entropy.

Pixels become inputs as the file says where dms wrote it, else as is usual for the data set; --normalize overrides both:
  imagenet, cifar10, fashion-mnist, glyphs   mean and deviation of that data set
  half, none, raw                            x/127.5-1, x/255, 0..255
  mean=0.49,0.48,0.45;std=0.25,0.24,0.26     of x/255, one number for each channel or one for all`,
		Example: `  dms eval model.onnx --data cifar10:data/cifar-10
  dms eval zoo:resnet20 --weights resnet20.safetensors --data cifar10:data/cifar-10 --json
  dms eval mobilenet.onnx --data imagefolder:photos --normalize half`,
		Args: arguments(1, "a MODEL"),
	}
	d.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&src.Weights, "weights", "", "a .safetensors or .onnx file with the weights of a zoo MODEL")
	fl.StringVar(&cfg.Normalize, "normalize", "", "how pixels become inputs")
	fl.IntVar(&cfg.Batch, "batch", cfg.Batch, "samples at a time")
	fl.IntVar(&cfg.Workers, "workers", 0, "cores to use (default: all)")
	fl.BoolVar(&asJSON, "json", false, "print correct, total, top1, top5, loss, macs, params and bytes as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case d.Spec == "":
			return withHint(misuse("dms eval: --data DATA is missing"), dataHint)
		case cfg.Batch < 1 || cfg.Batch > 1<<16:
			return misuse("--batch %d: want a count from 1 to 65536", cfg.Batch)
		case cfg.Workers < 0 || cfg.Workers > 1<<10:
			return misuse("--workers %d: want a count up to 1024, or 0 for all cores", cfg.Workers)
		}
		if err := d.check(); err != nil {
			return err
		}
		src.Model = args[0]
		g, err := src.load()
		if err != nil {
			return err
		}
		samples, err := d.open(g)
		if err != nil {
			return err
		}
		if err := checkFit(src, g, samples); err != nil {
			return err
		}
		cfg.Normalize = normalization(cfg.Normalize, g)
		score, err := dms.Evaluate(cmd.Context(), g, samples, cfg)
		if err != nil {
			return err
		}
		if !asJSON {
			return printScore(c, score)
		}
		spent, err := cost.Count(g)
		if err != nil {
			return err
		}
		return printJSON(c.out, struct {
			report.TrainResult
			cost.Cost
		}{report.TrainResult{Score: score}, spent})
	}
	return cmd
}
