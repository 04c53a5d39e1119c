package data

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	defaultSide = 224
	// shorterSide is what a photo's shorter side is made, in units of the crop, before the centre is cut out: 256 to 224.
	shorterSide = 256.0 / 224
	// testShare is the part of each class that becomes test samples where a folder is not split.
	testShare = 0.1
	// photoCache bounds the decoded photos that a Source keeps, in bytes.
	photoCache = 256 << 20
)

// photos is a data set of photo files, scaled and cut when they are read.
type photos struct {
	side    int
	classes []string
	files   []photo
	kept    *atomic.Int64 // bytes of decoded photos in memory, of all splits together
}

type photo struct {
	path    string
	label   int
	decoded *atomic.Pointer[picture] // kept while there is room; which ones is a matter of timing, their pixels are not
}

func (p *photos) Len() int             { return len(p.files) }
func (p *photos) Shape() (h, w, c int) { return p.side, p.side, 3 }
func (p *photos) Classes() []string    { return p.classes }

// Read scales the photo's shorter side to 256/224 of the wanted side and cuts out the centre.
func (p *photos) Read(i int, dst []uint8) (int, error) {
	pic, err := p.picture(i)
	if err != nil {
		return 0, err
	}
	pic.resample(dst, p.side, centre(pic.w, pic.h, p.side))
	return p.files[i].label, nil
}

// ReadCrop scales a random part of the photo to the wanted side.
func (p *photos) ReadCrop(i int, rng *rand.Rand, dst []uint8) (int, error) {
	pic, err := p.picture(i)
	if err != nil {
		return 0, err
	}
	pic.resample(dst, p.side, randomPart(rng, pic.w, pic.h))
	return p.files[i].label, nil
}

func (p *photos) picture(i int) (*picture, error) {
	f := &p.files[i]
	if pic := f.decoded.Load(); pic != nil {
		return pic, nil
	}
	pic, err := readPhoto(f.path)
	if err != nil {
		return nil, err
	}
	size := int64(len(pic.pixels))
	if p.kept.Add(size) > photoCache || !f.decoded.CompareAndSwap(nil, pic) {
		p.kept.Add(-size)
	}
	return pic, nil
}

// centre is the part of a w×h photo that remains when it is scaled and cut to side×side pixels. Sizes are whole pixels after
// scaling, as they are where the two are done one after the other.
func centre(w, h, side int) box {
	short := math.Round(float64(side) * shorterSide)
	scaledW, scaledH := short, math.Floor(short*float64(h)/float64(w))
	if w > h {
		scaledW, scaledH = math.Floor(short*float64(w)/float64(h)), short
	}
	x0, y0 := math.RoundToEven((scaledW-float64(side))/2), math.RoundToEven((scaledH-float64(side))/2)
	perX, perY := float64(w)/scaledW, float64(h)/scaledH
	return box{x0 * perX, y0 * perY, (x0 + float64(side)) * perX, (y0 + float64(side)) * perY}
}

// randomPart is 8 to 100% of a w×h photo's area with sides in a ratio from 3:4 to 4:3 (Szegedy et al. 2015, section 6). A photo so
// long that ten tries find no place for one gives its middle.
func randomPart(rng *rand.Rand, w, h int) box {
	for range 10 {
		area := float64(w) * float64(h) * (0.08 + 0.92*rng.Float64())
		ratio := math.Exp(math.Log(4.0/3) * (2*rng.Float64() - 1))
		pw, ph := math.Round(math.Sqrt(area*ratio)), math.Round(math.Sqrt(area/ratio))
		if pw < 1 || ph < 1 || pw > float64(w) || ph > float64(h) {
			continue
		}
		x, y := float64(rng.IntN(w-int(pw)+1)), float64(rng.IntN(h-int(ph)+1))
		return box{x, y, x + pw, y + ph}
	}
	pw, ph := min(float64(w), float64(h)*4/3), min(float64(h), float64(w)*4/3)
	x, y := (float64(w)-pw)/2, (float64(h)-ph)/2
	return box{x, y, x + pw, y + ph}
}

// openFolder reads a folder of photos in one of three arrangements: labels.tsv beside the photos; train, val or test with a folder
// per class in each; or a folder per class, of which a tenth is set aside for testing.
func openFolder(dir string, o Options) (*Source, error) {
	if o.Size == 0 {
		o.Size = defaultSide
	}
	src := &Source{Augment: Augment{Crop: 1, Flip: true}}
	var err error
	if src.Mean, src.Std, err = ParseNorm("imagenet"); err != nil {
		return nil, err
	}
	var train, test *photos
	switch {
	case exists(filepath.Join(dir, labelsName)):
		train = new(photos)
		test, err = readLabels(dir)
		if err == nil {
			train.classes = test.classes
		}
	case isDir(filepath.Join(dir, "train")), isDir(filepath.Join(dir, "val")), isDir(filepath.Join(dir, "test")):
		train, test, err = readSplits(dir)
	default:
		train, err = readClasses(dir)
		if err == nil {
			train, test = train.split(o.Seed)
		}
	}
	if err != nil {
		return nil, err
	}
	kept := new(atomic.Int64)
	for _, p := range []*photos{train, test} {
		p.side, p.kept = o.Size, kept
		for i := range p.files {
			p.files[i].decoded = new(atomic.Pointer[picture])
		}
	}
	src.Train, src.Test = train, test
	return src, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readSplits reads train and val, or test where there is no val. One of them may be missing and is empty then.
func readSplits(dir string) (train, test *photos, err error) {
	trainAt, testAt := filepath.Join(dir, "train"), filepath.Join(dir, "val")
	if !isDir(testAt) {
		testAt = filepath.Join(dir, "test")
	}
	if train, err = readClasses(trainAt); errors.Is(err, fs.ErrNotExist) {
		train = nil
	} else if err != nil {
		return nil, nil, err
	}
	if test, err = readClasses(testAt); errors.Is(err, fs.ErrNotExist) {
		test = nil
	} else if err != nil {
		return nil, nil, err
	}
	switch {
	case train == nil && test == nil:
		return nil, nil, fmt.Errorf("%s: neither photos to train on nor to test with", dir)
	case train == nil:
		train = &photos{classes: test.classes}
	case test == nil:
		test = &photos{classes: train.classes}
	}
	if !slices.Equal(train.classes, test.classes) {
		return nil, nil, fmt.Errorf("%s and %s differ in their classes: %s", trainAt, testAt, firstDifference(train.classes, test.classes))
	}
	return train, test, nil
}

// firstDifference names a class that one of two sorted lists lacks.
func firstDifference(a, b []string) string {
	for _, v := range []struct {
		have, want []string
		at         string
	}{{a, b, "second"}, {b, a, "first"}} {
		for _, name := range v.have {
			if _, ok := slices.BinarySearch(v.want, name); !ok {
				return fmt.Sprintf("%q is missing in the %s", name, v.at)
			}
		}
	}
	return "none"
}

// readClasses lists the photos of a folder with one folder per class; classes and photos are in the order of their names.
func readClasses(dir string) (*photos, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	p := new(photos)
	for _, e := range entries {
		class := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") || !isDir(class) {
			continue
		}
		files, err := os.ReadDir(class)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if isPhoto(f.Name()) && !f.IsDir() {
				p.files = append(p.files, photo{path: filepath.Join(class, f.Name()), label: len(p.classes)})
			}
		}
		p.classes = append(p.classes, e.Name())
		if len(p.files) > maxFiles || len(p.classes) > maxClasses {
			return nil, fmt.Errorf("%s: more than %d photos or %d classes", dir, maxFiles, maxClasses)
		}
	}
	if len(p.files) == 0 {
		return nil, fmt.Errorf("%s: no folders of photos (%s) in it and no %s", dir, strings.Join(photoEndings, ", "), labelsName)
	}
	return p, nil
}

func isPhoto(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains(photoEndings, strings.ToLower(filepath.Ext(name)))
}

// split sets a tenth of every class aside, at least one photo where there are two. Which ones depends on the seed and their names
// alone, so that photos added later leave most of the others where they are.
func (p *photos) split(seed uint64) (train, test *photos) {
	train, test = &photos{classes: p.classes}, &photos{classes: p.classes}
	rank := func(f photo) uint64 {
		h := fnv.New64a()
		h.Write([]byte(filepath.Base(f.path)))
		return scramble(h.Sum64() ^ scramble(seed+forSplit))
	}
	for lo := 0; lo < len(p.files); {
		hi := lo
		for hi < len(p.files) && p.files[hi].label == p.files[lo].label {
			hi++
		}
		class := slices.Clone(p.files[lo:hi])
		slices.SortStableFunc(class, func(a, b photo) int {
			if ra, rb := rank(a), rank(b); ra != rb {
				if ra < rb {
					return -1
				}
				return 1
			}
			return 0
		})
		n := int(math.Round(testShare * float64(len(class))))
		if n == 0 && len(class) > 1 {
			n = 1
		}
		for _, part := range []struct {
			to    *photos
			files []photo
		}{{test, class[:n]}, {train, class[n:]}} {
			slices.SortFunc(part.files, func(a, b photo) int { return strings.Compare(a.path, b.path) })
			part.to.files = append(part.to.files, part.files...)
		}
		lo = hi
	}
	return train, test
}
