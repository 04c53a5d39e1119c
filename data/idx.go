package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// IDX (LeCun, Cortes, Burges: the MNIST database): a big-endian header of a magic number and one size per axis, then the values.
// The magic's third byte is the type (8: unsigned byte), its fourth the number of axes.
const (
	idxImages = 0x0803 // (n, rows, columns)
	idxLabels = 0x0801 // (n)
)

var fashionClasses = []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}

// idxStems are what the names of the images' and labels' files of a split start with.
var idxStems = [2]string{"train", "t10k"}

func looksLikeIDX(p string) bool {
	return isDir(p) && anyFile(p, "train-images*idx3-ubyte*", "t10k-images*idx3-ubyte*")
}

func openFashion(dir string, _ Options) (*Source, error) {
	src := &Source{Augment: Augment{Crop: 2, Flip: true}}
	var err error
	if src.Mean, src.Std, err = ParseNorm("fashion-mnist"); err != nil {
		return nil, err
	}
	var sets [2]*Memory
	for i, stem := range idxStems {
		if sets[i], err = openIDX(dir, stem, fashionClasses); err != nil {
			return nil, err
		}
	}
	h, w, _ := sets[0].Shape()
	if th, tw, _ := sets[1].Shape(); th != h || tw != w {
		return nil, fmt.Errorf("%s: training images of %d×%d pixels, test images of %d×%d", dir, h, w, th, tw)
	}
	src.Train, src.Test = sets[0], sets[1]
	return src, nil
}

// openIDX reads the images and labels of one split.
func openIDX(dir, stem string, classes []string) (*Memory, error) {
	imagesAt, err := findIDX(dir, stem, "images", "idx3")
	if err != nil {
		return nil, err
	}
	labelsAt, err := findIDX(dir, stem, "labels", "idx1")
	if err != nil {
		return nil, err
	}
	dims, pixels, err := readIDXFile(imagesAt, idxImages)
	if err != nil {
		return nil, err
	}
	_, labels, err := readIDXFile(labelsAt, idxLabels)
	if err != nil {
		return nil, err
	}
	if len(labels) != dims[0] {
		return nil, fmt.Errorf("%s: %d labels, but %d images in %s", labelsAt, len(labels), dims[0], imagesAt)
	}
	m, err := NewMemory(dims[1], dims[2], 1, pixels, labels, classes)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", imagesAt, labelsAt, err)
	}
	return m, nil
}

// findIDX is the first of the names that mirrors of these data sets use.
func findIDX(dir, stem, kind, rank string) (string, error) {
	for _, mark := range []string{"-", "."} {
		for _, end := range []string{"", ".gz"} {
			p := filepath.Join(dir, stem+"-"+kind+mark+rank+"-ubyte"+end)
			if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
				return p, nil
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
	}
	return "", fmt.Errorf("%s: no %s-%s-%s-ubyte in it, plain or .gz", dir, stem, kind, rank)
}

func readIDXFile(p string, magic uint32) (dims []int, values []uint8, err error) {
	f, err := openFile(p)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	r, err := unpack(f)
	if err == nil {
		dims, values, err = readIDX(r, magic)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p, err)
	}
	return dims, values, nil
}

// readIDX reads one array of bytes; len(values) is the product of dims.
func readIDX(r io.Reader, magic uint32) (dims []int, values []uint8, err error) {
	var word [4]byte
	next := func(what string) (uint32, error) {
		if _, err := io.ReadFull(r, word[:]); err != nil {
			return 0, fmt.Errorf("header, %s: %w", what, err)
		}
		return binary.BigEndian.Uint32(word[:]), nil
	}
	got, err := next("magic number")
	if err != nil {
		return nil, nil, err
	}
	if got != magic {
		return nil, nil, fmt.Errorf("byte 0: magic number %d, want %d", got, magic)
	}
	size := int64(1)
	for axis := range int(magic & 0xff) {
		d, err := next(fmt.Sprintf("size of axis %d", axis))
		if err != nil {
			return nil, nil, err
		}
		limit := uint32(maxSide)
		if axis == 0 {
			limit = maxRecords
		}
		if d == 0 || d > limit {
			return nil, nil, fmt.Errorf("byte %d: axis %d has size %d, want 1 to %d", 4+4*axis, axis, d, limit)
		}
		dims = append(dims, int(d))
		if size *= int64(d); size > maxIDXBytes {
			return nil, nil, fmt.Errorf("byte %d: sizes %v ask for more than %d bytes", 4+4*axis, dims, int64(maxIDXBytes))
		}
	}
	if values, err = readUpTo(r, size); err != nil {
		return nil, nil, fmt.Errorf("values of shape %v: %w", dims, err)
	}
	if int64(len(values)) != size {
		return nil, nil, fmt.Errorf("%d values, want %d for shape %v; the file is cut short", len(values), size, dims)
	}
	return dims, values, nil
}
