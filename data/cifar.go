package data

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// CIFAR-10, binary version (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): a file is a row of records, a record one
// label byte and then 1,024 red, 1,024 green and 1,024 blue bytes, each plane row by row.
const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarRecord = 1 + 3*cifarPlane
)

var cifarClasses = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

// cifarParts are the names a file of each split has; further endings (.gz, .bz2) may follow.
var cifarParts = []struct{ train, pattern string }{
	{"train", "data_batch_*.bin*"},
	{"test", "test_batch*.bin*"},
}

const cifarNames = "batches.meta.txt"

// Where the files lie below a folder in which the official archive was placed or opened.
const (
	cifarFolder  = "cifar-10-batches-bin"
	cifarArchive = "cifar-10-binary.tar.gz"
)

func looksLikeCIFAR(p string) bool {
	if !isDir(p) {
		return isArchive(p)
	}
	return anyFile(p, "data_batch_*.bin*", "test_batch*.bin*", cifarArchive) || isDir(filepath.Join(p, cifarFolder))
}

func isArchive(p string) bool {
	return strings.HasSuffix(p, ".tar.gz") || strings.HasSuffix(p, ".tgz") || strings.HasSuffix(p, ".tar")
}

// cifarFiles collects the batches of a folder or an archive before they are put in order.
type cifarFiles struct {
	parts   [2][]cifarPart // training, test
	records [2]int         // samples read so far
	classes []string
}

type cifarPart struct {
	stem   string // name without the endings of compression; orders the parts
	name   string
	pixels []uint8 // (n, 32, 32, 3)
	labels []uint8
}

func openCIFAR(p string, _ Options) (*Source, error) {
	st, err := os.Stat(p)
	if err != nil {
		return nil, err
	}
	files := &cifarFiles{classes: cifarClasses}
	if st.IsDir() {
		if !anyFile(p, "data_batch_*.bin*", "test_batch*.bin*") {
			if sub := filepath.Join(p, cifarFolder); isDir(sub) {
				return openCIFAR(sub, Options{})
			}
			if file := filepath.Join(p, cifarArchive); anyFile(p, cifarArchive) {
				return openCIFAR(file, Options{})
			}
		}
		err = files.addFolder(p)
	} else {
		err = files.addArchive(p)
	}
	if err != nil {
		return nil, err
	}
	src := &Source{Augment: Augment{Crop: 4, Flip: true}}
	if src.Mean, src.Std, err = ParseNorm("cifar10"); err != nil {
		return nil, err
	}
	if len(files.parts[0]) == 0 && len(files.parts[1]) == 0 {
		return nil, fmt.Errorf("%s: no data_batch_*.bin and no test_batch*.bin in it (.gz and .bz2 are fine too)", p)
	}
	if src.Train, err = files.join(0); err == nil {
		src.Test, err = files.join(1)
	}
	return src, err
}

// addFolder reads the batches of a folder. Of a batch that is there plain and compressed, the plain file counts.
func (f *cifarFiles) addFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range entries { // sorted, so a plain file comes before its compressed twin
		stem := cifarStem(e.Name())
		if e.IsDir() || seen[stem] || f.wants(e.Name()) < 0 && e.Name() != cifarNames {
			continue
		}
		seen[stem] = true
		if err := f.addFile(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (f *cifarFiles) addFile(p string) error {
	file, err := openFile(p)
	if err != nil {
		return err
	}
	defer file.Close()
	return f.add(p, filepath.Base(p), file)
}

// addArchive reads the batches of a tar file, plain or compressed, whatever folder of it they are in.
func (f *cifarFiles) addArchive(p string) error {
	file, err := openFile(p)
	if err != nil {
		return err
	}
	defer file.Close()
	return f.addTar(p, file)
}

func (f *cifarFiles) addTar(p string, r io.Reader) error {
	r, err := unpack(r)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	place := &counter{r: r}
	for t := tar.NewReader(place); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: near byte %d of the archive: %w", p, place.n, err)
		}
		base := path.Base(h.Name)
		if h.Typeflag != tar.TypeReg || f.wants(base) < 0 && base != cifarNames {
			continue
		}
		name := fmt.Sprintf("%s: %q", p, short(h.Name))
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return fmt.Errorf("%s: a sparse file, which may unpack to any size", name)
			}
		}
		if err := f.add(name, base, t); err != nil {
			return err
		}
	}
}

// wants is the split (0 training, 1 test) that a file name belongs to, or −1.
func (f *cifarFiles) wants(name string) int {
	return slices.IndexFunc(cifarParts, func(p struct{ train, pattern string }) bool {
		ok, _ := path.Match(p.pattern, name)
		return ok && strings.HasSuffix(cifarStem(name), ".bin")
	})
}

func cifarStem(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".bz2")
}

// add reads one batch or the list of class names, told apart by base. Errors begin with name.
func (f *cifarFiles) add(name, base string, r io.Reader) error {
	r, err := unpack(r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if base == cifarNames {
		f.classes, err = readCIFARNames(r)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	split := f.wants(base)
	part := cifarPart{stem: cifarStem(base), name: name}
	if part.pixels, part.labels, err = readCIFAR(r, maxRecords-f.records[split]); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f.records[split] += len(part.labels)
	f.parts[split] = append(f.parts[split], part)
	return nil
}

// join puts the parts of a split one after the other, in the order of their names.
func (f *cifarFiles) join(split int) (Dataset, error) {
	parts := f.parts[split]
	slices.SortStableFunc(parts, func(a, b cifarPart) int { return strings.Compare(a.stem, b.stem) })
	n := f.records[split]
	pixels, labels := make([]uint8, 0, n*3*cifarPlane), make([]uint8, 0, n)
	for i, p := range parts {
		if i > 0 && parts[i-1].stem == p.stem {
			return nil, fmt.Errorf("%s: the same batch as %s", p.name, parts[i-1].name)
		}
		pixels, labels = append(pixels, p.pixels...), append(labels, p.labels...)
		parts[i].pixels = nil // a whole training set need not be held twice
	}
	return NewMemory(cifarSide, cifarSide, 3, pixels, labels, f.classes)
}

// readCIFAR reads records until the end of r, at most limit of them. pixels are (n, 32, 32, 3).
func readCIFAR(r io.Reader, limit int) (pixels, labels []uint8, err error) {
	var record [cifarRecord]byte
	for n := 0; ; n++ {
		got, err := io.ReadFull(r, record[:])
		switch {
		case errors.Is(err, io.EOF) && got == 0 && n > 0:
			return pixels, labels, nil
		case errors.Is(err, io.EOF) && got == 0:
			return nil, nil, errors.New("no records in it")
		case errors.Is(err, io.ErrUnexpectedEOF) && got > 0:
			return nil, nil, fmt.Errorf("record %d: %d bytes, want %d; the file is cut short or not CIFAR-10", n, got, cifarRecord)
		case err != nil:
			return nil, nil, fmt.Errorf("record %d: %w", n, err)
		case n >= limit:
			return nil, nil, fmt.Errorf("record %d: more than %d records in this split", n, maxRecords)
		case int(record[0]) >= len(cifarClasses):
			return nil, nil, fmt.Errorf("record %d, byte %d: label %d, want 0 to %d", n, n*cifarRecord, record[0], len(cifarClasses)-1)
		}
		labels = append(labels, record[0])
		start := len(pixels)
		pixels = append(pixels, record[1:]...)
		interleave(pixels[start:], record[1:])
	}
}

// interleave turns planes (3, 1024) into pixels (1024, 3).
func interleave(dst, planes []uint8) {
	r, g, b := planes[:cifarPlane], planes[cifarPlane:2*cifarPlane], planes[2*cifarPlane:3*cifarPlane]
	for i := range r {
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = r[i], g[i], b[i]
	}
}

// readCIFARNames reads one class name per line.
func readCIFARNames(r io.Reader) ([]string, error) {
	raw, err := readUpTo(r, maxTextBytes)
	if err != nil {
		return nil, err
	}
	var names []string
	lines := bufio.NewScanner(strings.NewReader(string(raw)))
	for lines.Scan() {
		if s := strings.TrimSpace(lines.Text()); s != "" {
			names = append(names, s)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(names) != len(cifarClasses) {
		return nil, fmt.Errorf("%d class names, want %d", len(names), len(cifarClasses))
	}
	return names, nil
}
