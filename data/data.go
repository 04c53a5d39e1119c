// Package data brings labelled images to the step loop.
//
// In goes the name and place of a data set, out comes a Source: training and test samples as 8-bit pixels, the class names and how
// pixels are normalised. A Loader turns the samples of one Dataset into batches of floats, ahead of their use and with
// augmentation.
//
// What always holds: sample i of a data set has the same pixels whenever it is read; the order of samples and everything random
// about them depend on the seed, the epoch and the sample alone, never on timing or the number of cores, so a stream can be taken
// up at any batch. Files are hostile: sizes are compared with limits before memory is taken, and an error names the file, the
// place in it and the fault.
package data

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dataset is a numbered set of labelled images of one size. It is safe for concurrent use.
type Dataset interface {
	// Len is the number of samples.
	Len() int
	// Shape is the height, width and channels of every sample; channels are 1 (grey) or 3 (red, green, blue).
	Shape() (h, w, c int)
	// Classes are the names of the classes by label. The caller does not change them.
	Classes() []string
	// Read writes the pixels of sample i, 0 ≤ i < Len(), into dst in the order (h, w, c) and returns its label, an index into
	// Classes. dst has h·w·c elements.
	Read(i int, dst []uint8) (label int, err error)
}

// Source is a data set split into training and test samples.
type Source struct {
	Name        string    // such as "cifar10"
	Train, Test Dataset   // of equal shape and classes; one of them may be empty, never nil
	Mean, Std   []float32 // default normalisation of x/255, per channel
	Augment     Augment   // what suits training on it; Flip, for one, would spoil letters
}

// Options choose among what a data set offers. The zero value is the default.
type Options struct {
	Size     int    // side of the images in pixels; photos (imagefolder) are read at it, 0 is 224
	Scale    bool   // images of other sets, which have one size, are scaled to Size as well, where that is not 0
	Seed     uint64 // glyphs: which drawings; imagefolder: which photos of an unsplit folder are test samples
	TrainLen int    // at most this many training samples; 0 is all. glyphs: exactly this many; 0 is 20,000
	TestLen  int    // likewise for test samples; glyphs: 0 is 4,000
}

// format is one kind of data set on disk.
type format struct {
	name   string
	about  string                 // what the path holds, for error messages
	detect func(path string) bool // whether the path looks like one, for a path without a name
	open   func(path string, o Options) (*Source, error)
}

// formats are tried in this order where the name is left out; imagefolder takes every folder and so comes last.
var formats = []format{
	{"cifar10", "a folder with data_batch_*.bin and test_batch*.bin (or .gz, .bz2), or a .tar.gz of them", looksLikeCIFAR, openCIFAR},
	{"fashion-mnist", "a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and their t10k- twins, plain or .gz", looksLikeIDX, openFashion},
	{"glyphs", "nothing: glyphs are drawn", nil, openGlyphs},
	{"imagefolder", "a folder with one folder of JPEG, PNG or GIF files per class, or with labels.tsv", isDir, openFolder},
}

// Open reads a data set: "cifar10:DIR", "fashion-mnist:DIR", "imagefolder:DIR", "glyphs", or a path alone, whose kind is then told
// from the files in it. Images on disk in small formats are read into memory; photos are decoded as they are needed.
func Open(spec string, o Options) (*Source, error) {
	if spec == "" {
		return nil, fmt.Errorf("data: no data set named; want one of %s", known())
	}
	if o.Size < 0 || o.Size > maxSide || o.TrainLen < 0 || o.TestLen < 0 {
		return nil, fmt.Errorf("data: options %+v: want sizes that are not negative and images of at most %d pixels a side", o, maxSide)
	}
	f, path, err := choose(spec)
	if err != nil {
		return nil, err
	}
	src, err := f.open(path, o)
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", f.name, err)
	}
	src.Name = f.name
	if o.Scale && o.Size > 0 {
		src.Train, src.Test = scaleTo(src.Train, o.Size), scaleTo(src.Test, o.Size)
	}
	if o.TrainLen > 0 {
		src.Train = Subset(src.Train, o.TrainLen)
	}
	if o.TestLen > 0 {
		src.Test = Subset(src.Test, o.TestLen)
	}
	return src, nil
}

// choose finds the format that a spec names or that its path looks like.
func choose(spec string) (format, string, error) {
	name, path, named := strings.Cut(spec, ":")
	for _, f := range formats {
		switch {
		case f.name != name:
		case f.detect == nil && path != "":
			return f, "", fmt.Errorf("data: %q: %s needs no path", spec, name)
		case f.detect != nil && path == "":
			return f, "", fmt.Errorf("data: %q: a path is missing; give %s:PATH, where PATH is %s", spec, name, f.about)
		default:
			return f, path, nil
		}
	}
	if _, err := os.Stat(spec); err != nil {
		if named && !errors.Is(err, os.ErrPermission) {
			return format{}, "", fmt.Errorf("data: %q: unknown kind of data set %q; want one of %s", spec, name, known())
		}
		return format{}, "", fmt.Errorf("data: %w", err)
	}
	for _, f := range formats {
		if f.detect != nil && f.detect(spec) {
			return f, spec, nil
		}
	}
	return format{}, "", fmt.Errorf("data: %s: not a data set known here; want one of %s", spec, known())
}

// known lists what Open takes.
func known() string {
	var names []string
	for _, f := range formats {
		if f.detect == nil {
			names = append(names, f.name)
		} else {
			names = append(names, f.name+":PATH")
		}
	}
	return strings.Join(names, ", ")
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// anyFile tells whether a folder has a file that matches one of the patterns.
func anyFile(dir string, patterns ...string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		for _, p := range patterns {
			if ok, _ := filepath.Match(p, e.Name()); ok && !e.IsDir() {
				return true
			}
		}
	}
	return false
}
