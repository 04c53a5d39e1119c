package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// runConfig is config.json: everything that decides the bits of a run's results.
type runConfig struct {
	Command        string         `json:"command"` // search or train
	Version        string         `json:"version"`
	InstructionSet string         `json:"instruction_set"` // kernels of different instruction sets differ in last bits
	Model          modelSource    `json:"model"`
	Teacher        *modelSource   `json:"teacher,omitempty"`
	Data           dataSource     `json:"data"`
	Fresh          bool           `json:"from_scratch,omitempty"` // train: start from new random weights
	Space          *space.Options `json:"space,omitempty"`
	Search         *search.Config `json:"search,omitempty"`
	Train          *train.Config  `json:"train,omitempty"`
	Clock          string         `json:"clock,omitempty"` // the command that times networks
}

// settings is the configuration of the step loop, wherever it stands; nil where the settings of the command are missing.
func (c *runConfig) settings() *train.Config {
	switch {
	case c.Command == "search" && c.Search != nil && c.Space != nil:
		return &c.Search.Train
	case c.Command == "train":
		return c.Train
	}
	return nil
}

// stageFlags are what search and train have in common.
type stageFlags struct {
	model, out     string
	resume         string
	weights        string
	inputs         []string
	teacher        string
	teacherWeights string
	data           dataSource
	settings       settingsFlags
	budgets        *[]string // of a search
	json           bool
}

func (f *stageFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.out, "out", "o", "", "new folder for settings, metrics, checkpoints and results")
	fl.StringVar(&f.resume, "resume", "", "go on with the run in this folder")
	fl.StringVar(&f.weights, "weights", "", "a .safetensors or .onnx file with the weights of a zoo MODEL")
	inputFlag(cmd, &f.inputs)
	fl.StringVar(&f.teacher, "teacher", "", "a MODEL whose outputs guide the training")
	fl.StringVar(&f.teacherWeights, "teacher-weights", "", "a .safetensors or .onnx file with the weights of a zoo teacher")
	fl.BoolVar(&f.json, "json", false, "print the result as JSON")
	f.data.flags(cmd)
	f.settings.flags(cmd)
}

const runHint = "RUN is the folder that a search or training was given by -o"

// check takes the arguments and refuses what cannot be meant, before anything large is read.
func (f *stageFlags) check(cmd *cobra.Command, args []string) error {
	if f.resume != "" {
		return f.checkResume(cmd, args)
	}
	if len(args) > 0 {
		f.model = args[0]
	}
	if err := f.settings.read(); err != nil {
		return err
	}
	var missing, hints []string
	need := func(given bool, name, hint string) {
		if !given {
			missing, hints = append(missing, name), append(hints, hint)
		}
	}
	need(len(args) > 0, "MODEL", modelHint)
	need(f.data.Spec != "", "--data DATA", dataHint)
	if f.budgets != nil {
		need(len(*f.budgets) > 0 || f.settings.last("budgets") != nil, "--budget BUDGET", "BUDGET is what the result may cost, such as macs=50%")
	}
	need(f.out != "", "-o RUN", "RUN is a new folder for the results, such as -o run")
	switch n := len(missing); {
	case n == 1:
		return withHint(misuse("%s: %s is missing", cmd.CommandPath(), missing[0]), "%s", hints[0])
	case n > 1:
		return withHint(misuse("%s: %s and %s are missing", cmd.CommandPath(), strings.Join(missing[:n-1], ", "), missing[n-1]), "%s", strings.Join(hints, "\n"))
	case f.teacher == "" && f.teacherWeights != "":
		return withHint(misuse("--teacher-weights without --teacher"), "--teacher takes a MODEL, here one of the zoo")
	case cmd.Flags().Changed("steps") && cmd.Flags().Changed("epochs"):
		return withHint(misuse("--steps and --epochs both say how long to train"), "give one of them")
	}
	if err := f.data.check(); err != nil {
		return err
	}
	return f.checkOut(cmd)
}

// checkResume lets nothing but the run be named: everything else stands in its settings.
func (f *stageFlags) checkResume(cmd *cobra.Command, args []string) error {
	var others []string
	for _, a := range args {
		others = append(others, clip(a))
	}
	cmd.Flags().Visit(func(fl *pflag.Flag) {
		if fl.Name != "resume" && fl.Name != "json" && fl.Name != "clock" {
			others = append(others, "--"+fl.Name)
		}
	})
	if len(others) == 0 {
		return nil
	}
	return withHint(misuse("--resume goes on with a run as it was started and takes nothing else: %s", strings.Join(others, ", ")),
		"go on with: %s; what should be different wants a new run", shell("dms", cmd.Name(), "--resume", f.resume))
}

// checkOut refuses a folder for results in which something lies already.
func (f *stageFlags) checkOut(cmd *cobra.Command) error {
	entries, err := os.ReadDir(f.out)
	if err != nil {
		if st, err := os.Stat(f.out); err == nil && !st.IsDir() {
			return withHint(misuse("-o %s: it is a file", f.out), "RUN is a new folder for the results, such as -o run")
		}
		return nil // the rest is seen when the folder is made
	}
	if _, err := os.Stat(filepath.Join(f.out, rundir.ConfigName)); err == nil {
		return withHint(misuse("-o %s: there is a run in this folder", f.out), "give another folder, or go on with the run: %s", shell("dms", cmd.Name(), "--resume", f.out))
	}
	if len(entries) > 0 {
		return withHint(misuse("-o %s: the folder is not empty", f.out), "give a new folder")
	}
	return nil
}

// stage is one run, ready to go.
type stage struct {
	c       *console
	cfg     runConfig
	graph   *ir.Graph
	teacher *ir.Graph
	src     *data.Source
	dir     *rundir.Dir
	isNew   bool // this process made the run
	resume  *rundir.Checkpoint
}

// load reads what cfg names.
func (s *stage) load() (err error) {
	if s.graph, err = s.cfg.Model.load(); err != nil {
		return err
	}
	if t := s.cfg.Teacher; t != nil {
		if s.teacher, err = t.load(); err != nil {
			return fmt.Errorf("teacher: %w", err)
		}
	}
	if s.src, err = s.cfg.Data.open(s.graph); err != nil {
		return err
	}
	return checkFit(s.cfg.Model, s.graph, s.src)
}

// begin starts a new run of f with the defaults in cfg. What suits the data set, the settings file, --set and last override, which
// holds the flags of their own, change them in this order. Everything is loaded first, so that a fault leaves no folder behind.
func begin(c *console, cfg runConfig, settings any, f *stageFlags, override func() error) (s *stage, err error) {
	cfg.Version, cfg.InstructionSet = version(), kernel.Active()
	cfg.Data = f.data.pinned()
	cfg.Model = modelSource{Model: f.model, Weights: f.weights, Inputs: f.inputs}
	if f.teacher != "" {
		cfg.Teacher = &modelSource{Model: f.teacher, Weights: f.teacherWeights}
	}
	s = &stage{c: c, cfg: cfg, isNew: true}
	if err := s.load(); err != nil {
		return nil, err
	}
	for _, m := range []*modelSource{&s.cfg.Model, s.cfg.Teacher} {
		if m == nil {
			continue
		}
		if *m, err = m.pinned(); err != nil {
			return nil, err
		}
	}
	if cfg.Space != nil {
		if err := checkPatterns(s.graph, f.model, *cfg.Space); err != nil {
			return nil, misuse("--%w", err)
		}
	}
	t := s.cfg.settings()
	t.Crop, t.Flip = s.src.Augment.Crop, s.src.Augment.Flip
	if err := f.settings.apply(settings); err != nil {
		return nil, err
	}
	if err := override(); err != nil {
		return nil, err
	}
	if t.Normalize, err = resolvedNorm(s.src, normalization(t.Normalize, s.graph)); err != nil {
		return nil, err
	}
	if s.dir, err = rundir.Create(f.out, s.cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// goOn takes up the run in folder path, which command started.
func goOn(c *console, command, path string) (s *stage, err error) {
	s = &stage{c: c}
	if s.dir, err = rundir.Open(path, &s.cfg); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = withHint(err, runHint)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.dir.Close())
		}
	}()
	switch had := s.cfg.Command; {
	case had != command && (had == "search" || had == "train"):
		return s, withHint(fmt.Errorf("%s is a run of dms %s, not of dms %s", path, had, command), "go on with: %s", shell("dms", had, "--resume", path))
	case had != command:
		return s, fmt.Errorf("run %s: %s: unknown command %q", path, rundir.ConfigName, shorten(had, 60))
	case s.cfg.settings() == nil:
		return s, fmt.Errorf("run %s: %s holds no settings of a %s", path, rundir.ConfigName, command)
	}
	for _, m := range []*modelSource{&s.cfg.Model, s.cfg.Teacher} {
		if m == nil {
			continue
		}
		if err := m.check(); err != nil {
			return s, err
		}
	}
	if now := version(); now != s.cfg.Version {
		c.say("the run was started with version %s, this is %s: the last bits of the result may differ", clip(s.cfg.Version), now)
	}
	if now := kernel.Active(); now != s.cfg.InstructionSet {
		c.say("the run was started with %s kernels, this machine runs %s: the last bits of the result may differ", clip(s.cfg.InstructionSet), now)
	}
	if err := s.load(); err != nil {
		return s, withHint(fmt.Errorf("run %s: %w", path, err), "the run was started with this model and data: put them back, or start a new run")
	}
	checkpoint, warnings, err := s.dir.Resume()
	for _, w := range warnings {
		c.say("warning: %s", w)
	}
	switch {
	case errors.Is(err, rundir.ErrNoCheckpoint):
		c.say("no checkpoint yet: %s starts anew", path)
	case err != nil:
		return s, withHint(err, "start a new run; or empty %s, and this one begins again from its first step", shell(s.dir.Path("checkpoint")))
	default:
		s.resume = checkpoint
		c.say("going on with %s at step %d", path, checkpoint.Step)
	}
	return s, nil
}

// progress starts to report the steps of the run.
func (s *stage) progress() func(train.Metrics) {
	first := 0
	if s.resume != nil {
		first = s.resume.Step
	}
	s.dir.Logf("dms %s %s, %s kernels, from step %d", s.cfg.Command, version(), kernel.Active(), first)
	return newProgress(s.c, s.cfg.settings().StepsFor(s.src.Train.Len()), first, s.dir.Logf).show
}

// end closes the run, which ended with err, and adds to an error what to do about it. A run that failed before its first step leaves
// nothing behind, so that the corrected command may be given the same folder.
func (s *stage) end(ctx context.Context, err error) error {
	if err == nil {
		return s.dir.Close()
	}
	s.dir.Logf("%v", err)
	interrupted := "interrupted; a checkpoint is saved"
	goOn := "go on with: " + shell("dms", s.cfg.Command, "--resume", s.dir.Path())
	if s.isNew && s.dir.Discard() {
		interrupted, goOn = "interrupted before the first step", "start again; nothing of the run is left"
	} else {
		err = errors.Join(err, s.dir.Close())
	}
	var lost *train.NotFiniteError
	switch {
	case ctx.Err() != nil && canceled(err):
		return withHint(errors.New(interrupted), "%s", goOn)
	case errors.As(err, &lost):
		rate := "rate"
		if s.cfg.Command == "search" {
			rate = "train.rate"
		}
		return withHint(err, "start a new run with a smaller rate, such as --set %s=%.3g, or with gradients clipped, --set %sclip_norm=1",
			rate, s.cfg.settings().Rate/10, strings.TrimSuffix(rate, "rate"))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return withHint(err, "make room for files, then %s", goOn)
	}
	return err
}

// canceled tells whether an interruption is all that happened: saving the checkpoint may fail beside it.
func canceled(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range all.Unwrap() {
			if !canceled(e) {
				return false
			}
		}
		return true
	}
	return errors.Is(err, context.Canceled)
}

// writeModel writes the network with its normalisation.
func (s *stage) writeModel(name string, g *ir.Graph) error {
	g.SetMeta(normalizeKey, s.cfg.settings().Normalize)
	return s.dir.WriteFile(name, func(w io.Writer) error { return onnx.Encode(w, g) })
}

func (s *stage) writeJSON(name string, v any) error {
	return s.dir.WriteFile(name, func(w io.Writer) error { return printJSON(w, v) })
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
