package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
	"github.com/spf13/cobra"
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
}

// settings is the configuration of the step loop, wherever it stands.
func (c *runConfig) settings() *train.Config {
	if c.Search != nil {
		return &c.Search.Train
	}
	return c.Train
}

// stageFlags are what search and train have in common.
type stageFlags struct {
	model, out     string
	resume         string
	weights        string
	teacher        string
	teacherWeights string
	data           dataSource
	settings       settingsFlags
	json           bool
}

func (f *stageFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.out, "out", "o", "", "new folder for settings, metrics, checkpoints and results")
	fl.StringVar(&f.resume, "resume", "", "go on with the run in this folder")
	fl.StringVar(&f.weights, "weights", "", "a .safetensors file with the weights of a zoo MODEL")
	fl.StringVar(&f.teacher, "teacher", "", "a MODEL whose outputs guide the training")
	fl.StringVar(&f.teacherWeights, "teacher-weights", "", "a .safetensors file with the weights of a zoo teacher")
	fl.BoolVar(&f.json, "json", false, "print the result as JSON")
	f.data.flags(cmd)
	f.settings.flags(cmd)
}

// check takes the arguments and refuses what cannot be meant.
func (f *stageFlags) check(args []string, command string) error {
	if len(args) > 0 {
		f.model = args[0]
	}
	switch {
	case f.resume != "" && (len(args) > 0 || f.out != ""):
		return withHint(misuse("--resume goes on with a run as it was started; it takes neither a MODEL nor -o"), "dms %s --resume %s", command, f.resume)
	case f.resume != "":
		return nil
	case len(args) == 0:
		return withHint(misuse("dms %s wants a MODEL", command), "an .onnx file, or zoo:NAME; 'dms %s --help' shows examples", command)
	case f.out == "":
		return withHint(misuse("-o RUN is missing"), "give a new folder for the results, such as -o run")
	case f.data.Spec == "":
		return withHint(misuse("--data is missing"), "give a data set such as --data cifar10:DIR, or --data glyphs, which needs no download")
	case f.teacher == "" && f.teacherWeights != "":
		return misuse("--teacher-weights without --teacher")
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
	return nil
}

// begin starts a new run of f with the defaults in cfg. What suits the data set, the settings file, --set and last override, which
// holds the flags of their own, change them in this order. Everything is loaded first, so that a fault leaves no folder behind.
func begin(c *console, cfg runConfig, settings any, f *stageFlags, override func() error) (s *stage, err error) {
	cfg.Version, cfg.InstructionSet = version(), kernel.Active()
	cfg.Data = f.data.pinned()
	if cfg.Model, err = (modelSource{Model: f.model, Weights: f.weights}).pinned(); err != nil {
		return nil, err
	}
	if f.teacher != "" {
		t, err := modelSource{Model: f.teacher, Weights: f.teacherWeights}.pinned()
		if err != nil {
			return nil, fmt.Errorf("teacher: %w", err)
		}
		cfg.Teacher = &t
	}
	s = &stage{c: c, cfg: cfg}
	if err := s.load(); err != nil {
		return nil, err
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
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.dir.Close())
		}
	}()
	if s.cfg.Command != command {
		return s, withHint(fmt.Errorf("run %s is not one of dms %s", path, command), "dms %s --resume %s", s.cfg.Command, path)
	}
	if s.cfg.settings() == nil {
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
	if now := kernel.Active(); now != s.cfg.InstructionSet {
		c.say("the run was started with %s kernels, this machine runs %s: the last bits of the result may differ", s.cfg.InstructionSet, now)
	}
	if err := s.load(); err != nil {
		return s, err
	}
	checkpoint, warnings, err := s.dir.Resume()
	for _, w := range warnings {
		c.say("warning: %s", w)
	}
	switch {
	case errors.Is(err, rundir.ErrNoCheckpoint):
		c.say("no checkpoint yet: %s starts anew", path)
	case err != nil:
		return s, err
	default:
		s.resume = checkpoint
		c.say("going on with %s at step %d", path, checkpoint.Step)
	}
	return s, nil
}

func (s *stage) close() error { return s.dir.Close() }

// progress starts to report the steps of the run.
func (s *stage) progress() func(train.Metrics) {
	first := 0
	if s.resume != nil {
		first = s.resume.Step
	}
	s.dir.Logf("dms %s %s, %s kernels, from step %d", s.cfg.Command, version(), kernel.Active(), first)
	return newProgress(s.c, s.cfg.settings().StepsFor(s.src.Train.Len()), first, s.dir.Logf).show
}

// failed adds to the error of an interrupted run how to go on.
func (s *stage) failed(ctx context.Context, err error) error {
	s.dir.Logf("%v", err)
	resume := fmt.Sprintf("dms %s --resume %s", s.cfg.Command, s.dir.Path())
	var n *train.NotFiniteError
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return withHint(fmt.Errorf("interrupted; a checkpoint is saved"), "go on with: %s", resume)
	case errors.As(err, &n):
		return withHint(err, "a smaller rate (--set rate=…, in a search --set train.rate=…) or clip_norm=1 helps; the checkpoints of %s are from before the fault", s.dir.Path())
	case strings.Contains(err.Error(), "no space left"):
		return withHint(err, "free some space, then go on with: %s", resume)
	}
	return err
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
