package zoo

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits of what a specification may ask for: it may come from a command line or a file.
const (
	maxSide       = 1 << 13
	maxChannels   = 1 << 10
	maxClasses    = 1 << 20
	maxMultiplier = 64
	maxParameters = 1 << 30
)

// setting reads one key of a specification.
type setting struct {
	key string
	set func(o *Options, value string) error
}

var settings = []setting{
	{"input", func(o *Options, s string) error { return count(&o.Input, s) }},
	{"channels", func(o *Options, s string) error { return count(&o.Channels, s) }},
	{"classes", func(o *Options, s string) error { return count(&o.Classes, s) }},
	{"width", func(o *Options, s string) error { return multiplier(&o.Width, s) }},
	{"depth", func(o *Options, s string) error { return multiplier(&o.Depth, s) }},
	{"shortcut", func(o *Options, s string) error {
		o.Shortcut = s
		return nil
	}},
	{"stem", func(o *Options, s string) error { return count(&o.Stem, s) }},
	{"dropout", func(o *Options, s string) error {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || !(v >= 0 && v < 1) {
			return errors.New("want a ratio in [0, 1)")
		}
		if o.Dropout = v; v == 0 {
			o.Dropout = -1
		}
		return nil
	}},
	{"seed", func(o *Options, s string) (err error) {
		if o.Seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			return errors.New("want a whole number that is not negative")
		}
		return nil
	}},
}

func count(dst *int, s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < 1 {
		return errors.New("want a whole number above 0")
	}
	*dst = v
	return nil
}

func multiplier(dst *float64, s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0) {
		return errors.New("want a number above 0")
	}
	*dst = v
	return nil
}

// parse reads "k=v,k=v". All faults are reported together.
func parse(text string) (o Options, err error) {
	if text == "" {
		return o, nil
	}
	var faults []error
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("setting %q: want key=value", part))
			continue
		case seen[key]:
			faults = append(faults, fmt.Errorf("setting %s is given twice", key))
			continue
		}
		seen[key] = true
		if err := apply(&o, key, value); err != nil {
			faults = append(faults, err)
		}
	}
	return o, errors.Join(faults...)
}

func apply(o *Options, key, value string) error {
	var known []string
	for _, s := range settings {
		if s.key == key {
			if err := s.set(o, value); err != nil {
				return fmt.Errorf("setting %s=%s: %w", key, value, err)
			}
			return nil
		}
		known = append(known, s.key)
	}
	return fmt.Errorf("unknown setting %q; known are %s", key, strings.Join(known, ", "))
}

// with fills in the defaults and refuses what no network can have. smallest is the least side of an input.
func (o Options) with(input, classes, smallest int) (Options, error) {
	o.Input = or(o.Input, input)
	o.Channels = or(o.Channels, 3)
	o.Classes = or(o.Classes, classes)
	o.Width = or(o.Width, 1)
	o.Depth = or(o.Depth, 1)
	o.Stem = or(o.Stem, 2)
	var faults []error
	for _, v := range []struct {
		name string
		ok   bool
		want string
	}{
		{"input", o.Input >= smallest && o.Input <= maxSide, fmt.Sprintf("a side of %d to %d pixels", smallest, maxSide)},
		{"channels", o.Channels > 0 && o.Channels <= maxChannels, fmt.Sprintf("1 to %d", maxChannels)},
		{"classes", o.Classes > 0 && o.Classes <= maxClasses, fmt.Sprintf("1 to %d", maxClasses)},
		{"width", o.Width > 0 && o.Width <= maxMultiplier, fmt.Sprintf("above 0, at most %d", maxMultiplier)},
		{"depth", o.Depth > 0 && o.Depth <= maxMultiplier, fmt.Sprintf("above 0, at most %d", maxMultiplier)},
		{"stem", o.Stem == 1 || o.Stem == 2, "a stride of 1 or 2"},
		{"dropout", o.Dropout < 1, "a ratio below 1"},
	} {
		if !v.ok {
			faults = append(faults, fmt.Errorf("setting %s: want %s", v.name, v.want))
		}
	}
	return o, errors.Join(faults...)
}

// or is v, or def where v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// width scales a width to the nearest whole number, at least one.
func (o Options) width(n int) int { return max(1, int(math.Round(float64(n)*o.Width))) }

// width8 scales a width to a multiple of eight.
func (o Options) width8(n int) int { return divisible(float64(n) * o.Width) }

// blocks scales a number of blocks, rounding up. The small term keeps 10 × 1.1 from becoming 12.
func (o Options) blocks(n int) int { return max(1, int(math.Ceil(float64(n)*o.Depth-1e-9))) }

// dropout is the ratio of a dropout layer whose own ratio is given, 0 for none.
func (o Options) dropout(own float64) float64 { return max(0, or(o.Dropout, own)) }

// divisible rounds a width to the nearest multiple of eight that is not below nine tenths of it, the rule of the MobileNet and
// EfficientNet papers' code.
func divisible(v float64) int {
	n := max(8, int(v+4)/8*8)
	if float64(n) < 0.9*v {
		n += 8
	}
	return n
}
