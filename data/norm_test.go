package data

import (
	"slices"
	"strings"
	"testing"
)

func TestNormsByNameAndNumber(t *testing.T) {
	for spec, want := range map[string][2][]float32{
		"imagenet":                    {{.485, .456, .406}, {.229, .224, .225}},
		"cifar10":                     {{.485, .456, .406}, {.229, .224, .225}},
		"fashion-mnist":               {{.286}, {.353}},
		"half":                        {{.5}, {.5}},
		"none":                        {{0}, {1}},
		"raw":                         {{0}, {1.0 / 255}},
		"mean=0.1,0.2,0.3;std=0.5":    {{.1, .2, .3}, {.5}},
		" std = 2 ; mean = -1 ":       {{-1}, {2}},
		"std=0.25":                    {{0}, {.25}},
		"mean=1e-3":                   {{.001}, {1}},
		"mean=1,2,3,4;std=.1,1,10,99": {{1, 2, 3, 4}, {.1, 1, 10, 99}},
	} {
		mean, std, err := ParseNorm(spec)
		if err != nil || !slices.Equal(mean, want[0]) || !slices.Equal(std, want[1]) {
			t.Errorf("%q: %v, %v, %v; want %v", spec, mean, std, err, want)
		}
	}
	mean, _, _ := ParseNorm("imagenet")
	mean[0] = 7
	if again, _, _ := ParseNorm("imagenet"); again[0] == 7 {
		t.Error("a norm can be changed by who asked for it")
	}
}

func TestSenselessNormsAreRefused(t *testing.T) {
	for spec, want := range map[string]string{
		"":                "want one of imagenet, cifar10",
		"imagnet":         "want one of imagenet, cifar10",
		"mean=":           `mean: "" is not a number`,
		"mean=0.5,x":      `mean: "x" is not a number`,
		"median=0.5":      `unknown part "median", want mean and std`,
		"mean=0.5;":       `is not a number`,
		"std=0":           "standard deviation 0 is not a sensible positive number",
		"std=-1":          "standard deviation -1 is",
		"std=NaN":         "standard deviation NaN is",
		"std=1,inf":       "standard deviation +Inf is",
		"mean=nan":        "mean NaN is out of range",
		"mean=1e30":       "mean 1e+30 is out of range",
		"mean=1e300":      `"1e300" is not a number`,
		"std=1e-30":       "is not a sensible positive number",
		"mean=0.5;std=0x": `std: "0x" is not a number`,
	} {
		mean, std, err := ParseNorm(spec)
		if err == nil || !strings.HasPrefix(err.Error(), "data: normalisation ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, %v; want %s", spec, mean, std, err, want)
		}
	}
}

func TestNormIsSpreadOverChannels(t *testing.T) {
	grey, coloured := numbered(t, 1, 2, 2, 1, 2), numbered(t, 1, 2, 2, 3, 2)
	src := &Source{Name: "some", Train: coloured, Mean: []float32{.1, .2, .3}, Std: []float32{.4, .5, .6}}
	for spec, want := range map[string][2][]float32{
		"":     {{.1, .2, .3}, {.4, .5, .6}},
		"half": {{.5, .5, .5}, {.5, .5, .5}},
	} {
		mean, std, err := Normalization(src, spec)
		if err != nil || !slices.Equal(mean, want[0]) || !slices.Equal(std, want[1]) {
			t.Errorf("%q: %v, %v, %v; want %v", spec, mean, std, err, want)
		}
	}
	if _, _, err := Normalization(&Source{Name: "grey", Train: grey}, "imagenet"); err == nil || !strings.Contains(err.Error(), `data: normalisation "imagenet" of grey: 3 numbers for 1 channels`) {
		t.Errorf("three numbers for grey images: %v", err)
	}
	if _, _, err := Normalization(src, "what"); err == nil {
		t.Error("an unknown norm: accepted")
	}
}

func FuzzParseNorm(f *testing.F) {
	for _, n := range norms {
		f.Add(n.name)
	}
	f.Add("mean=0.49,0.48,0.45;std=0.25,0.24,0.26")
	f.Fuzz(func(t *testing.T, spec string) {
		mean, std, err := ParseNorm(spec)
		if err == nil && (len(mean) == 0 || len(std) == 0 || checkNorm(mean, std) != nil) || err != nil && mean != nil {
			t.Errorf("%v, %v, %v", mean, std, err)
		}
	})
}
