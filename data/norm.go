package data

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// norms are the normalisations known by name, of x/255 per channel.
var norms = []struct {
	name      string
	mean, std []float32
}{
	{"imagenet", []float32{0.485, 0.456, 0.406}, []float32{0.229, 0.224, 0.225}},
	// The published CIFAR ResNets were trained with ImageNet's constants rather than with CIFAR's own (.4914 .4822 .4465, .2470
	// .2435 .2616), so networks found in the wild mostly expect these.
	{"cifar10", []float32{0.485, 0.456, 0.406}, []float32{0.229, 0.224, 0.225}},
	{"fashion-mnist", []float32{0.2860}, []float32{0.3530}},
	{"glyphs", glyphMean, glyphStd},
	{"half", []float32{0.5}, []float32{0.5}},      // x/127.5 − 1, in [−1, 1]
	{"none", []float32{0}, []float32{1}},          // x/255, in [0, 1]
	{"raw", []float32{0}, []float32{1.0 / 255.0}}, // x, in [0, 255]
}

// ParseNorm reads how pixels are normalised: a name (imagenet, cifar10, fashion-mnist, glyphs, half for x/127.5−1, none for x/255,
// raw for 0..255) or numbers, "mean=0.49,0.48,0.45;std=0.25,0.24,0.26". Means and deviations are of x/255, one per channel or one
// for all; what is left out is 0 or 1.
func ParseNorm(spec string) (mean, std []float32, err error) {
	for _, n := range norms {
		if n.name == spec {
			return slices.Clone(n.mean), slices.Clone(n.std), nil
		}
	}
	if !strings.Contains(spec, "=") {
		var names []string
		for _, n := range norms {
			names = append(names, n.name)
		}
		return nil, nil, fmt.Errorf("data: normalisation %q: want one of %s, or numbers as in mean=0.49,0.48,0.45;std=0.25,0.24,0.26", spec, strings.Join(names, ", "))
	}
	mean, std = []float32{0}, []float32{1}
	for part := range strings.SplitSeq(spec, ";") {
		key, list, _ := strings.Cut(part, "=")
		v, err := numbers(list)
		if err != nil {
			return nil, nil, fmt.Errorf("data: normalisation %q: %s: %w", spec, strings.TrimSpace(key), err)
		}
		switch strings.TrimSpace(key) {
		case "mean":
			mean = v
		case "std":
			std = v
		default:
			return nil, nil, fmt.Errorf("data: normalisation %q: unknown part %q, want mean and std", spec, key)
		}
	}
	if err := checkNorm(mean, std); err != nil {
		return nil, nil, fmt.Errorf("data: normalisation %q: %w", spec, err)
	}
	return mean, std, nil
}

// Normalization is the mean and deviation per channel of src for a spec of ParseNorm; "" is the default of src.
func Normalization(src *Source, spec string) (mean, std []float32, err error) {
	mean, std = src.Mean, src.Std
	if spec != "" {
		if mean, std, err = ParseNorm(spec); err != nil {
			return nil, nil, err
		}
	}
	_, _, c := src.Train.Shape()
	if mean, err = spread(mean, c); err == nil {
		std, err = spread(std, c)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("data: normalisation %q of %s: %w", spec, src.Name, err)
	}
	return mean, std, nil
}

// spread gives each of c channels a number; one number serves all.
func spread(v []float32, c int) ([]float32, error) {
	switch len(v) {
	case c:
		return v, nil
	case 1:
		return slices.Repeat(v, c), nil
	}
	return nil, fmt.Errorf("%d numbers for %d channels", len(v), c)
}

func numbers(list string) ([]float32, error) {
	var v []float32
	for s := range strings.SplitSeq(list, ",") {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 32)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", s)
		}
		v = append(v, float32(f))
	}
	return v, nil
}

// checkNorm refuses constants that would make inputs infinite or lose them.
func checkNorm(mean, std []float32) error {
	for _, m := range mean {
		if !(math.Abs(float64(m)) <= 1e6) {
			return fmt.Errorf("mean %v is out of range", m)
		}
	}
	for _, s := range std {
		if !(s >= 1e-6 && s <= 1e6) {
			return fmt.Errorf("standard deviation %v is not a sensible positive number", s)
		}
	}
	return nil
}
