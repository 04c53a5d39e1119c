package data

import (
	"archive/tar"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// maxFile bounds one decompressed file of a packed data set: 1 GiB, six times the largest one that is read (CIFAR-10 whole).
const maxFile = 1 << 30

// readBounded reads at most limit bytes and says so when there are more.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("more than %d bytes after decompression", limit)
	}
	return raw, nil
}

// readPart reads a file, decompressed by its ending.
func readPart(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := decompress(path, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	raw, err := readBounded(r, maxFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), truncated(err))
	}
	return raw, nil
}

func decompress(name string, r io.Reader) (io.Reader, error) {
	switch {
	case strings.HasSuffix(name, ".gz"), strings.HasSuffix(name, ".tgz"):
		return gzip.NewReader(r)
	case strings.HasSuffix(name, ".bz2"):
		return bzip2.NewReader(r), nil
	}
	return r, nil
}

// truncated names the usual cause of an unexpected end.
func truncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the compressed file is cut short: %w", err)
	}
	return err
}

// part is one file of a data set by its name without folder and compression.
type part struct {
	name string
	raw  []byte
}

// readParts reads the files of dir, or of a tar archive, whose bare name wanted accepts, in order of name.
func readParts(path string, wanted func(name string) bool) ([]part, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return readArchive(path, wanted)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var out []part
	for _, e := range entries {
		bare := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".bz2")
		if e.IsDir() || !wanted(bare) {
			continue
		}
		raw, err := readPart(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, part{bare, raw})
	}
	return out, sortParts(out)
}

func readArchive(path string, wanted func(name string) bool) ([]part, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := decompress(path, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	var out []part
	var total int64
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), truncated(err))
		}
		name := filepath.Base(h.Name)
		if h.Typeflag != tar.TypeReg || !wanted(name) {
			continue
		}
		raw, err := readBounded(t, maxFile-total)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", filepath.Base(path), name, truncated(err))
		}
		total += int64(len(raw))
		out = append(out, part{name, raw})
	}
	return out, sortParts(out)
}

// sortParts orders files by name; the same file in two forms is refused.
func sortParts(parts []part) error {
	sort.Slice(parts, func(i, j int) bool { return parts[i].name < parts[j].name })
	for i := 1; i < len(parts); i++ {
		if parts[i].name == parts[i-1].name {
			return fmt.Errorf("%s is there twice, compressed and not; keep one", parts[i].name)
		}
	}
	return nil
}
