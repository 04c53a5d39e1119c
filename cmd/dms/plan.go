package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
)

// plan is what a comparison runs.
type plan struct {
	planSettings
	values    map[string]any // as they were read
	removable space.Options
	methods   []planMethod
	tune      *train.Config
}

// planSettings are those of a plan's keys that hold nothing but a value.
type planSettings struct {
	Title        string          `json:"title"`
	Model        string          `json:"model"`
	Weights      string          `json:"weights"`
	Teacher      string          `json:"teacher"`
	Data         string          `json:"data"`
	TrainSamples int             `json:"train_samples"`
	ImageSize    int             `json:"image_size"`
	TestSamples  int             `json:"test_samples"`
	Pipeline     string          `json:"pipeline"`
	Space        spaceSettings   `json:"space"`
	Budgets      []search.Budget `json:"budgets"`
	Seeds        []uint64        `json:"seeds"`
}

type planMethod struct {
	name  string
	model string // another network than the plan's; "" is the plan's
	cfg   search.Config
}

// maxCells bounds the searches of one plan.
const maxCells = 10000

func readPlan(name string) (*plan, error) {
	values, err := readSettings(name)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(values, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// suited is the plan with the augmentation that suits its data, where it says nothing of it.
func (p *plan) suited(a data.Augment) (*plan, error) { return newPlan(p.values, &a) }

// newPlan leaves values as they are. suits is nil where the data is not known yet; the defaults of training stand then.
func newPlan(values map[string]any, suits *data.Augment) (*plan, error) {
	p := &plan{planSettings: planSettings{Pipeline: string(search.PMinus)}, values: values}
	values = maps.Clone(values)
	take := func(key string) any {
		v := values[key]
		delete(values, key)
		return v
	}
	methods, settings, tune := take("methods"), take("settings"), take("tune")
	if err := merge(values, &p.planSettings); err != nil {
		known := append(keysOf(reflect.TypeFor[planSettings](), ""), "methods", "settings", "tune")
		return nil, withHint(fmt.Errorf("%w", err), "a plan has %s", strings.Join(known, ", "))
	}
	var err error
	if p.removable, err = p.Space.options(); err != nil {
		return nil, fmt.Errorf("space: %w", err)
	}
	defaults := train.Default()
	base := search.Default(search.Pipeline(p.Pipeline))
	for _, t := range []*train.Config{&defaults, &base.Train} {
		if suits != nil {
			t.Crop, t.Flip = suits.Crop, suits.Flip
		}
	}
	if err := mergeGroup(settings, "settings", &base); err != nil {
		return nil, err
	}
	base.Pipeline = search.Pipeline(p.Pipeline)
	if tune != nil {
		t := defaults
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
		m = maps.Clone(m)
		delete(m, "name")
		model := ""
		if v, given := m["model"]; given {
			if model, ok = v.(string); !ok || model == "" {
				return nil, fmt.Errorf("method %q: model: want the path of an .onnx file, or zoo:NAME", clip(name))
			}
			delete(m, "model")
		}
		cfg := base
		if err := merge(m, &cfg); err != nil {
			return nil, fmt.Errorf("method %q: %w", clip(name), err)
		}
		cfg.Train.Workers = 1 // the bits do not depend on it
		if err := cfg.Check(); err != nil {
			return nil, fmt.Errorf("method %q: %w", clip(name), err)
		}
		p.methods = append(p.methods, planMethod{name, model, cfg})
	}
	switch {
	case p.Model == "":
		return nil, withHint(errors.New("model is missing"), modelHint)
	case p.Data == "":
		return nil, withHint(errors.New("data is missing"), dataHint)
	case p.Teacher != "" && p.tune == nil:
		return nil, withHint(errors.New("teacher: nothing is trained after the cut"), "add tune, such as tune: {epochs: 4, rate: 0.01}")
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
