package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/zoo"
	"github.com/spf13/cobra"
)

// normalizeKey is the model metadata that says how pixels become inputs, so that a file that dms wrote is evaluated as it was trained.
const normalizeKey = "dms.normalize"

// modelSource names a network and where its weights come from.
type modelSource struct {
	Model   string `json:"model"`
	Weights string `json:"weights,omitempty"`
	SHA256  string `json:"sha256,omitempty"` // of the files' bytes

	Inputs []string `json:"inputs,omitempty"` // shapes for inputs whose sizes the file leaves open, as NAME=Nx3x224x224
}

// inputFlag is for the commands that need to know what a network costs.
func inputFlag(cmd *cobra.Command, inputs *[]string) {
	cmd.Flags().StringArrayVar(inputs, "input", nil, "shape of an input whose sizes the file leaves open: NAME=Nx3x224x224, or Nx3x224x224 for the only one, N for any batch (repeatable)")
}

func (s modelSource) load() (*ir.Graph, error) {
	if s.Model == "" {
		return nil, withHint(misuse("MODEL is empty"), modelHint)
	}
	g, err := dms.Load(s.Model, s.Weights)
	if err == nil {
		return sized(g, s.Inputs)
	}
	name, _, _ := strings.Cut(s.Model, ":")
	var missing *fs.PathError
	switch {
	case slices.Contains(zoo.Names(), strings.ToLower(name)):
		return nil, withHint(err, "did you mean zoo:%s?", s.Model)
	case errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) && missing.Path == s.Model:
		return nil, withHint(err, modelHint)
	}
	return nil, err
}

// sized gives inputs the shapes that are stated, where these agree with the file, and folds again what follows from them.
func sized(g *ir.Graph, inputs []string) (*ir.Graph, error) {
	if len(inputs) == 0 {
		return g, nil
	}
	for _, text := range inputs {
		name, shape := "", text
		if at := strings.LastIndexByte(text, '='); at >= 0 {
			name, shape = text[:at], text[at+1:]
		} else if len(g.Inputs) == 1 {
			name = g.Inputs[0].Name
		}
		at := slices.IndexFunc(g.Inputs, func(v ir.ValueInfo) bool { return v.Name == name })
		if at < 0 {
			return nil, withHint(misuse("--input %s: the network has no input %q", clip(text), clip(name)), "%s", statedInputs(g))
		}
		in := &g.Inputs[at]
		sizes := strings.Split(shape, "x")
		if in.Shape != nil && len(sizes) != len(in.Shape) {
			return nil, withHint(misuse("--input %s: %d axes, the network's %q has %d", clip(text), len(sizes), name, len(in.Shape)), "%s", statedInputs(g))
		}
		fresh := make(ir.Shape, len(sizes))
		for i, size := range sizes {
			if i == 0 && size == "N" { // any batch
				fresh[i] = ir.Dim{Sym: size}
				if in.Shape != nil && in.Shape[i].Known() {
					fresh[i] = in.Shape[i]
				}
				continue
			}
			n, err := strconv.Atoi(size)
			if err != nil || n < 1 || n > 1<<30 {
				return nil, withHint(misuse("--input %s: want sizes from 1, as in 1x3x224x224, or N for any batch", clip(text)), "%s", statedInputs(g))
			}
			if in.Shape != nil && in.Shape[i].Known() && in.Shape[i].Size != n {
				return nil, withHint(misuse("--input %s: the file fixes axis %d of %q to %d", clip(text), i, name, in.Shape[i].Size), "%s", statedInputs(g))
			}
			fresh[i] = ir.Dim{Size: n}
		}
		in.Shape = fresh
	}
	folded, err := ir.Fold(g)
	if err != nil {
		return nil, fmt.Errorf("with the inputs as stated: %w", err)
	}
	return folded, nil
}

// statedInputs is how --input could state the inputs of g.
func statedInputs(g *ir.Graph) string {
	var list []string
	for _, in := range g.Inputs {
		sizes := make([]string, len(in.Shape))
		for i, d := range in.Shape {
			switch {
			case d.Known():
				sizes[i] = strconv.Itoa(d.Size)
			case i == 0:
				sizes[i] = "N"
			default:
				sizes[i] = "224"
			}
		}
		list = append(list, "--input "+shell(in.Name+"="+strings.Join(sizes, "x")))
	}
	return "state the shapes of the inputs, such as " + strings.Join(list, " ")
}

// openHint says what to do about a network whose cost depends on sizes that its file leaves open.
func openHint(g *ir.Graph, err error) error {
	if errors.Is(err, cost.ErrOpen) {
		return withHint(err, "%s", statedInputs(g))
	}
	return err
}

const modelHint = "MODEL is the path of an .onnx file, or zoo:NAME; 'dms zoo' lists the names"

// pinned is s with absolute paths and a digest, which names the same network from any folder.
func (s modelSource) pinned() (modelSource, error) {
	h := sha256.New()
	var files []string
	if !strings.HasPrefix(s.Model, "zoo:") {
		files = append(files, s.Model)
	}
	if s.Weights != "" {
		files = append(files, s.Weights)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return s, err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(files) > 0 {
		s.SHA256 = hex.EncodeToString(h.Sum(nil))
	}
	if !strings.HasPrefix(s.Model, "zoo:") {
		s.Model = absolute(s.Model)
	}
	if s.Weights != "" {
		s.Weights = absolute(s.Weights)
	}
	return s, nil
}

// check holds the files against the digest that a run was started with.
func (s modelSource) check() error {
	now, err := s.pinned()
	if err == nil && now.SHA256 != s.SHA256 {
		name := s.Model
		if s.Weights != "" {
			name += " or " + s.Weights
		}
		err = fmt.Errorf("%s is not the file that the run was started with", name)
	}
	return withHint(err, "put the old file back, or start a new run")
}

func absolute(path string) string {
	if p, err := filepath.Abs(path); err == nil {
		return p
	}
	return path
}

// dataSource names a data set.
type dataSource struct {
	Spec  string `json:"spec"`
	Size  int    `json:"size,omitempty"`  // side of the images; 0 follows the network
	Seed  uint64 `json:"seed,omitempty"`  // of drawn or split data sets
	Train int    `json:"train,omitempty"` // at most so many training samples; 0 is all
	Test  int    `json:"test,omitempty"`
}

func (s *dataSource) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.Spec, "data", "", "data set: cifar10:DIR, fashion-mnist:DIR, imagefolder:DIR, a path, or glyphs")
	f.IntVar(&s.Size, "image-size", 0, "side in pixels that images are read at (default: photos as the network takes them, others as they are)")
	f.IntVar(&s.Train, "train-samples", 0, "use at most so many training samples (default: all)")
	f.IntVar(&s.Test, "test-samples", 0, "use at most so many test samples (default: all)")
}

// pinned is s with an absolute path.
func (s dataSource) pinned() dataSource {
	kind, path, found := strings.Cut(s.Spec, ":")
	switch {
	case found && path != "" && !strings.ContainsAny(kind, `/\`) && len(kind) > 1:
		s.Spec = kind + ":" + absolute(path)
	case s.Spec != "glyphs":
		s.Spec = absolute(s.Spec)
	}
	return s
}

const dataHint = "DATA is cifar10:DIR, fashion-mnist:DIR, imagefolder:DIR, or glyphs, which needs no download"

// check refuses what cannot be meant, before anything is read.
func (s dataSource) check() error {
	for _, v := range []struct {
		flag string
		n    int
	}{{"image-size", s.Size}, {"train-samples", s.Train}, {"test-samples", s.Test}} {
		if v.n < 0 || v.n > 1<<40 {
			return misuse("--%s %d: want a count, or 0 for the default", v.flag, v.n)
		}
	}
	return nil
}

// open reads the data set in the size that g takes.
func (s dataSource) open(g *ir.Graph) (*data.Source, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	o := data.Options{Size: s.Size, Scale: s.Size > 0, Seed: s.Seed, TrainLen: s.Train, TestLen: s.Test}
	if in := g.Inputs; o.Size == 0 && len(in) > 0 && len(in[0].Shape) == 4 && in[0].Shape[2].Known() {
		o.Size = in[0].Shape[2].Size
	}
	return data.Open(s.Spec, o)
}

// checkFit refuses a zoo network that was built for other images or classes than the data set has, and says which one fits. Other
// networks are as they are; the step loop tells what does not fit.
func checkFit(m modelSource, g *ir.Graph, src *data.Source) error {
	in, out := g.Inputs[0].Shape, g.Outputs[0].Shape
	if !isZoo(m.Model) || len(in) != 4 || len(out) != 2 {
		return nil
	}
	h, w, channels := src.Train.Shape()
	classes := len(src.Train.Classes())
	name, text, _ := strings.Cut(strings.TrimPrefix(m.Model, "zoo:"), ":")
	settings := strings.Split(text, ",")
	set := func(key string, value int) {
		settings = slices.DeleteFunc(settings, func(s string) bool { return s == "" || strings.HasPrefix(strings.ToLower(s), key+"=") })
		settings = append(settings, fmt.Sprint(key, "=", value))
	}
	if in[1].Size != channels {
		set("channels", channels)
	}
	if in[2].Size != h && h == w {
		set("input", h)
	}
	if out[1].Size < classes {
		set("classes", classes)
	}
	if strings.Join(settings, ",") == text {
		return nil
	}
	hint := fmt.Sprintf("this network fits: zoo:%s:%s", name, strings.Join(settings, ","))
	if in[2].Size != h {
		hint += fmt.Sprintf("; or scale the images with --image-size %d", in[2].Size)
	}
	return withHint(misuse("%s takes %d×%d×%d images and has %d outputs; %s has %d×%d×%d images of %d classes", m.Model,
		in[2].Size, in[3].Size, in[1].Size, out[1].Size, src.Name, h, w, channels, classes), "%s", hint)
}

// normalization is the spec that holds for g on src: what was asked for, else what the file says, else the data set's own.
func normalization(asked string, g *ir.Graph) string {
	if asked != "" {
		return asked
	}
	return g.Meta(normalizeKey)
}

// resolvedNorm is spec in numbers, which mean the same whatever the data set.
func resolvedNorm(src *data.Source, spec string) (string, error) {
	mean, std, err := data.Normalization(src, spec)
	if err != nil {
		return "", err
	}
	return "mean=" + numbers(mean) + ";std=" + numbers(std), nil
}

func numbers(v []float32) string {
	var parts []string
	for _, x := range v {
		parts = append(parts, strconv.FormatFloat(float64(x), 'g', -1, 32))
	}
	return strings.Join(parts, ",")
}

// spaceFlags steer what may be removed: a file, and flags on top of it.
type spaceFlags struct {
	file           string
	noDepth        bool
	freeze, only   []string
	tie            []string
	mins, divisors []string
}

func (s *spaceFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.file, "steer", "", "read no_depth, freeze, only, tie, min and divisor from a YAML file")
	f.BoolVar(&s.noDepth, "no-depth", false, "leave residual blocks alone: widths only")
	f.StringArrayVar(&s.freeze, "freeze", nil, "leave groups whose layers match PATTERN alone (* and ?; repeatable)")
	f.StringArrayVar(&s.only, "only", nil, "touch only groups whose layers match PATTERN (repeatable)")
	f.StringArrayVar(&s.tie, "tie", nil, "make one group of all width groups whose layers match PATTERN (repeatable)")
	f.StringArrayVar(&s.mins, "min", nil, "keep at least N elements of groups that match: N or PATTERN=N (repeatable)")
	f.StringArrayVar(&s.divisors, "divisor", nil, "keep a multiple of N elements where possible: N or PATTERN=N (repeatable)")
}

// spaceSettings are what a file of --steer has, and a plan's space.
type spaceSettings struct {
	NoDepth bool     `json:"no_depth"`
	Freeze  []string `json:"freeze"`
	Only    []string `json:"only"`
	Tie     []string `json:"tie"`
	Min     counts   `json:"min"`
	Divisor counts   `json:"divisor"`
}

// counts are numbers by pattern. One number without a pattern stands under "*".
type counts map[string]int

// add reads N or PATTERN=N.
func (c *counts) add(text string) error {
	pattern, count := "*", text
	if at := strings.LastIndexByte(text, '='); at >= 0 {
		pattern, count = text[:at], text[at+1:]
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return errors.New("want N or PATTERN=N with a count N")
	}
	if *c == nil {
		*c = counts{}
	}
	(*c)[pattern] = n
	return nil
}

// check bounds the counts from below and above.
func (c counts) check(key string, least int) error {
	for _, p := range slices.Sorted(maps.Keys(c)) {
		if n := c[p]; n < least || n > 1<<30 {
			what := "a count N"
			if least > 0 {
				what = "a positive count N"
			}
			return fmt.Errorf("%s: %d for %s: want N or PATTERN=N with %s", key, n, clip(p), what)
		}
	}
	return nil
}

func (s spaceSettings) options() (space.Options, error) {
	o := space.Options{NoDepth: s.NoDepth, Freeze: s.Freeze, Only: s.Only, Tie: s.Tie}
	if err := s.Min.check("min", 0); err != nil {
		return o, err
	}
	if err := s.Divisor.check("divisor", 1); err != nil {
		return o, err
	}
	if len(s.Min) > 0 {
		o.Min = maps.Clone(s.Min)
	}
	for p, n := range s.Divisor {
		if p == "*" { // what no other pattern matches
			o.Divisor = n
			continue
		}
		if o.Divisors == nil {
			o.Divisors = map[string]int{}
		}
		o.Divisors[p] = n
	}
	return o, nil
}

func (s *spaceFlags) options() (space.Options, error) {
	var set spaceSettings
	if s.file != "" {
		values, err := readSettings(s.file)
		if err != nil {
			return space.Options{}, err
		}
		if err := merge(values, &set); err != nil {
			return space.Options{}, fmt.Errorf("%s: %w", s.file, err)
		}
		if o, err := set.options(); err != nil {
			return o, fmt.Errorf("%s: %w", s.file, err)
		}
	}
	set.NoDepth = set.NoDepth || s.noDepth
	set.Freeze = append(set.Freeze, s.freeze...)
	set.Only = append(set.Only, s.only...)
	set.Tie = append(set.Tie, s.tie...)
	for _, text := range s.mins {
		if err := set.Min.add(text); err != nil {
			return space.Options{}, misuse("--min %s: %w", clip(text), err)
		}
	}
	for _, text := range s.divisors {
		if err := set.Divisor.add(text); err != nil {
			return space.Options{}, misuse("--divisor %s: %w", clip(text), err)
		}
	}
	o, err := set.options()
	if err != nil { // the file was checked before
		return o, misuse("--%w", err)
	}
	return o, nil
}

// checkPatterns refuses patterns that match no group of g, or fewer than can be tied: they are misspelt, and a search would quietly do something
// else.
func checkPatterns(g *ir.Graph, model string, o space.Options) error {
	check := func(setting, pattern string) error {
		if pattern == "*" { // a plain --min N, which means every group there is
			return nil
		}
		s, err := dms.Inspect(g, space.Options{Only: []string{pattern}})
		if err != nil {
			return err
		}
		hint := func(err error) error {
			return withHint(err, "'%s' lists the groups and their layers", shell("dms", "inspect", model))
		}
		if len(s.Groups) == 0 {
			return hint(fmt.Errorf("%s %s: it matches no group that could shrink", setting, clip(pattern)))
		}
		widths := 0
		for _, group := range s.Groups {
			if group.Kind == space.Width {
				widths++
			}
		}
		if setting == "tie" && widths < 2 {
			return hint(fmt.Errorf("tie %s: it matches %s, and two or more can be tied", clip(pattern), counted(widths, "width", "widths")))
		}
		return nil
	}
	for _, list := range []struct {
		setting  string
		patterns []string
	}{
		{"freeze", o.Freeze}, {"only", o.Only}, {"tie", o.Tie},
		{"min", slices.Sorted(maps.Keys(o.Min))}, {"divisor", slices.Sorted(maps.Keys(o.Divisors))},
	} {
		for _, p := range list.patterns {
			if err := check(list.setting, p); err != nil {
				return err
			}
		}
	}
	return nil
}
