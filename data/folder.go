package data

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // decoders of the formats that folders hold
	_ "image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/image/draw"
)

const (
	defaultSide = 224
	// resizeShare is how much larger than the final crop the shorter side is made, ImageNet's 256 to 224.
	resizeShare = 256.0 / 224.0
)

// folder is a list of picture files, each resized and cropped when it is read.
type folder struct {
	side    int
	classes []string
	files   []string
	labels  []int
}

func (f *folder) Len() int             { return len(f.files) }
func (f *folder) Shape() (h, w, c int) { return f.side, f.side, 3 }
func (f *folder) Classes() []string    { return f.classes }

// Read resizes the picture's shorter side to 256/224 of the side, with a triangle filter as wide as the reduction, and takes the
// centre.
func (f *folder) Read(i int, dst []uint8) (int, error) {
	img, err := readImage(f.files[i])
	if err != nil {
		return 0, err
	}
	centre(dst, img, f.side)
	return f.labels[i], nil
}

func readImage(path string) (image.Image, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if st.Size() > maxImageFile {
		return nil, fmt.Errorf("data: %s: %d bytes; pictures of more than %d are refused", path, st.Size(), maxImageFile)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	img, err := decodeImage(raw)
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", path, err)
	}
	return img, nil
}

// decodeImage decodes a picture after looking at the size it claims.
func decodeImage(raw []byte) (image.Image, error) {
	c, format, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("not a JPEG, PNG or GIF picture, or damaged at its head: %w", err)
	}
	if c.Width < 1 || c.Height < 1 || float64(c.Width)*float64(c.Height) > maxImagePixels {
		return nil, fmt.Errorf("a picture of %d by %d; at most %d pixels are read", c.Width, c.Height, maxImagePixels)
	}
	img, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("damaged %s picture: %w", format, err)
	}
	return img, nil
}

// centre writes the middle side·side pixels of the resized picture as (H, W, 3).
func centre(dst []uint8, img image.Image, side int) {
	b := img.Bounds()
	short := int(float64(side)*resizeShare + 0.5)
	w, h := short, short
	if b.Dx() < b.Dy() {
		h = max(side, b.Dy()*short/b.Dx())
	} else {
		w = max(side, b.Dx()*short/b.Dy())
	}
	scaled := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.BiLinear.Scale(scaled, scaled.Bounds(), img, b, draw.Src, nil)
	x0, y0 := (w-side)/2, (h-side)/2
	for y := range side {
		row := scaled.Pix[scaled.PixOffset(x0, y0+y):]
		for x := range side {
			copy(dst[(y*side+x)*3:][:3], row[4*x:])
		}
	}
}

// openFolder reads pictures in one of three arrangements: train/ and val/ (or test/) with a folder for each class; a folder for each
// class, of which every tenth picture is kept for testing; or pictures beside a labels.tsv, which all are the test part.
func openFolder(path string, o Options) (*Source, error) {
	side := o.Size
	if side == 0 {
		side = defaultSide
	}
	if side < 1 || side > 1<<14 {
		return nil, fmt.Errorf("a side of %d pixels", side)
	}
	s := &Source{Name: "imagefolder"}
	var err error
	if s.Mean, s.Std, err = ParseNorm("imagenet"); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, "labels.tsv")); err == nil {
		f, err := readLabels(path, side)
		s.Train, s.Test = f, f
		return s, err
	}
	train := filepath.Join(path, "train")
	if isDir(train) {
		for _, name := range []string{"val", "test"} {
			if test := filepath.Join(path, name); isDir(test) {
				return s, readSplit(s, train, test, side)
			}
		}
		return nil, errors.New("there is a train folder, but neither val nor test beside it")
	}
	all, err := readClasses(path, side)
	if err != nil {
		return nil, err
	}
	a, b := *all, *all
	a.files, a.labels, b.files, b.labels = nil, nil, nil, nil
	for i := range all.files {
		part := &a
		if i%10 == 9 {
			part = &b
		}
		part.files, part.labels = append(part.files, all.files[i]), append(part.labels, all.labels[i])
	}
	if len(b.files) == 0 {
		return nil, fmt.Errorf("%d pictures are too few to keep a tenth for testing; make train and val folders", len(all.files))
	}
	s.Train, s.Test = &a, &b
	return s, nil
}

func readSplit(s *Source, train, test string, side int) error {
	a, err := readClasses(train, side)
	if err != nil {
		return err
	}
	b, err := readClasses(test, side)
	if err != nil {
		return err
	}
	if !slices.Equal(a.classes, b.classes) {
		return fmt.Errorf("%s has the classes %v, %s has %v", train, a.classes, test, b.classes)
	}
	s.Train, s.Test = a, b
	return nil
}

// readClasses lists the pictures of a folder of class folders, in order of name.
func readClasses(path string, side int) (*folder, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	f := &folder{side: side}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		pictures, err := os.ReadDir(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		for _, p := range pictures {
			if isPicture(p.Name()) {
				f.files = append(f.files, filepath.Join(path, e.Name(), p.Name()))
				f.labels = append(f.labels, len(f.classes))
			}
		}
		f.classes = append(f.classes, e.Name())
	}
	if len(f.files) == 0 {
		return nil, fmt.Errorf("%s: no pictures (.jpg, .jpeg, .png, .gif) in folders named after classes, and no labels.tsv", path)
	}
	return f, nil
}

func isPicture(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".gif":
		return true
	}
	return false
}

// readLabels reads labels.tsv: class index, name of the picture without ending or a prefix of it, label; further columns and lines
// that start with # or have no number are passed over. Classes without pictures get their index as a name.
func readLabels(path string, side int) (*folder, error) {
	raw, err := os.Open(filepath.Join(path, "labels.tsv"))
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var pictures []string
	for _, e := range entries {
		if isPicture(e.Name()) {
			pictures = append(pictures, e.Name())
		}
	}
	f := &folder{side: side}
	names := map[int]string{}
	line := 0
	for scan := bufio.NewScanner(raw); ; {
		if !scan.Scan() {
			if err := scan.Err(); err != nil {
				return nil, fmt.Errorf("labels.tsv: line %d: %w", line+1, err)
			}
			break
		}
		line++
		cols := strings.Split(scan.Text(), "\t")
		class, err := strconv.Atoi(strings.TrimSpace(cols[0]))
		if err != nil && line > 1 && strings.TrimSpace(cols[0]) != "" && !strings.HasPrefix(cols[0], "#") {
			return nil, fmt.Errorf("labels.tsv: line %d: %q is not a class index", line, cols[0])
		}
		if err != nil {
			continue
		}
		if len(cols) < 2 || class < 0 || class >= 1<<16 {
			return nil, fmt.Errorf("labels.tsv: line %d: want class index, picture, label, parted by tabs, the index from 0 to 65535", line)
		}
		at := slices.IndexFunc(pictures, func(p string) bool { return strings.HasPrefix(p, cols[1]) })
		if at < 0 {
			return nil, fmt.Errorf("labels.tsv: line %d: no picture begins with %q", line, cols[1])
		}
		f.files = append(f.files, filepath.Join(path, pictures[at]))
		f.labels = append(f.labels, class)
		if len(cols) > 2 {
			names[class] = cols[2]
		}
	}
	if len(f.files) == 0 {
		return nil, errors.New("labels.tsv names no picture")
	}
	f.classes = make([]string, slices.Max(f.labels)+1)
	for i := range f.classes {
		if f.classes[i] = names[i]; f.classes[i] == "" {
			f.classes[i] = strconv.Itoa(i)
		}
	}
	sort.Stable(byFile{f})
	return f, nil
}

type byFile struct{ *folder }

func (b byFile) Less(i, j int) bool { return b.files[i] < b.files[j] }
func (b byFile) Swap(i, j int) {
	b.files[i], b.files[j] = b.files[j], b.files[i]
	b.labels[i], b.labels[j] = b.labels[j], b.labels[i]
}
