package data

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cifarFile is a batch of n records: the label 3i, rows of rising red, columns of falling green, one blue.
func cifarFile(n int) []byte {
	var raw []byte
	for i := range n {
		raw = append(raw, byte(3*i%10))
		for c := range 3 {
			for y := range cifarSide {
				for x := range cifarSide {
					raw = append(raw, []byte{byte(8*y + i), byte(255 - 8*x), byte(100 * i)}[c])
				}
			}
		}
	}
	return raw
}

// bzipped is cifarFile(3) as bzip2 -1 packs it; the standard library cannot.
var bzipped = decode64(`
QlpoMTFBWSZTWdYvl5IAAAH///nw8Pbw8PDw8PDw8PTw8PDw8PDw8PDw8PDw8PDw8PD4wAHTcAMgyYATAAEwAAAACYJgAmAACYmAAAmJiAZRUyZNijEeiAAN
GmENBkGgAAyMQ000ANAaBkAAAcmTCYATJgABMQMAAAAmBMAjAAAmAAAARSVIAAAAAAABoAAAAAwaEMyNMA0UxMTExH7zJCSySQb9BDKhLNmWAVAABXUK6xRR
luAAClqUNihuXAAAKaYoXKHBbNVlllVVVFGjmnqKqrrK6vsLKztLW2dvHr75+k6lUrWrl7Fkzatm7l07evn/3BhRIsaPIky5k39/p9GlTq1q9m1bk3b2D/sT
WrePkZOVl5mbnZ+ho6U+kAD9n83TF0xTABu2V2xdsVAAbxleMXjFUAG9ZXrF6xWABvmV8xfMVwAZzKcxOYsAA37K/Yv2LIAOAywGMBiYAHBZYLGCxYZgmkDa
ABwnT4TGExbABw2WGxhsfoAGeynsT2McAGgyoMUGMgAHEZYjGIxkgA4rLFYxWP2ADRZUWKLGUADjMsZjGYywAaTKkxSYzAAabKmxTY/gANRlUYqMZoANVlVY
qsZwANYbm4hubgGs6asxngA12Vdiux/QAbDKwxYY0AAbLKyxZY0QAZmUzEzGkADaZWmLTH+ABtsrbFti2HxDfhwEVGB/xdyRThQkNYvl5IA=`)

func decode64(text string) []byte {
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic("data: " + err.Error())
	}
	return raw
}

func gzipped(raw []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a level that exists
	w.Write(raw)                                          // to memory
	w.Close()
	return b.Bytes()
}

// tarred packs files, given as name and content in turn.
func tarred(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}
		if strings.HasSuffix(files[i], "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// folder makes a folder of files, given as name and content in turn.
func folder(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sample reads one sample.
func sample(t testing.TB, ds Dataset, i int) (pixels []uint8, label int) {
	t.Helper()
	h, w, c := ds.Shape()
	pixels = make([]uint8, h*w*c)
	label, err := ds.Read(i, pixels)
	if err != nil {
		t.Fatal(err)
	}
	return pixels, label
}

// labels are those of all samples.
func labels(t testing.TB, ds Dataset) []int {
	t.Helper()
	var all []int
	for i := range ds.Len() {
		_, label := sample(t, ds, i)
		all = append(all, label)
	}
	return all
}

const cifarClassNames = "plane\ncar\nbird\ncat\ndeer\ndog\nfrog\n\nhorse\nship\nlorry\n"

func TestCIFARIsReadFromAllItsForms(t *testing.T) {
	one, three := string(cifarFile(1)), string(cifarFile(3))
	plain := tarred(t, "cifar-10-batches-bin/", "", "cifar-10-batches-bin/test_batch.bin", one, "cifar-10-batches-bin/readme.html", "<html>",
		"cifar-10-batches-bin/data_batch_1.bin", three, "cifar-10-batches-bin/batches.meta.txt", cifarClassNames)
	for what, path := range map[string]string{
		"folder":              folder(t, "data_batch_1.bin", three, "test_batch.bin", one, "batches.meta.txt", cifarClassNames),
		"gzip":                folder(t, "data_batch_1.bin.gz", string(gzipped([]byte(three))), "test_batch.bin.gz", string(gzipped([]byte(one))), "batches.meta.txt", cifarClassNames),
		"bzip2":               folder(t, "data_batch_1.bin.bz2", string(bzipped), "test_batch.bin", one, "batches.meta.txt", cifarClassNames),
		"plain before packed": folder(t, "data_batch_1.bin", three, "data_batch_1.bin.gz", "broken", "test_batch.bin", one, "batches.meta.txt", cifarClassNames),
		"tar":                 filepath.Join(folder(t, "c.tar", string(plain)), "c.tar"),
		"tar.gz":              filepath.Join(folder(t, "c.tar.gz", string(gzipped(plain))), "c.tar.gz"),
		"tgz":                 filepath.Join(folder(t, "c.tgz", string(gzipped(plain))), "c.tgz"),
		"packed twice": filepath.Join(folder(t, "c.tar.gz", string(gzipped(tarred(t, "data_batch_1.bin.bz2", string(bzipped),
			"test_batch.bin.gz", string(gzipped([]byte(one))), "batches.meta.txt", cifarClassNames)))), "c.tar.gz"),
		"archive in a folder": folder(t, "cifar-10-binary.tar.gz", string(gzipped(plain))),
		"opened in a folder":  folder(t, "cifar-10-batches-bin/data_batch_1.bin", three, "cifar-10-batches-bin/test_batch.bin", one, "cifar-10-batches-bin/batches.meta.txt", cifarClassNames),
	} {
		for _, spec := range []string{path, "cifar10:" + path} {
			src, err := Open(spec, Options{})
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if got := labels(t, src.Train); src.Name != "cifar10" || !slices.Equal(got, []int{0, 3, 6}) || src.Test.Len() != 1 {
				t.Errorf("%s: opened as %s with training labels %v and %d test samples", what, src.Name, got, src.Test.Len())
			}
			if got := src.Train.Classes(); got[0] != "plane" || got[9] != "lorry" {
				t.Errorf("%s: classes %q", what, got)
			}
			for i := range src.Train.Len() {
				got, _ := sample(t, src.Train, i)
				for at, v := range got {
					y, x := at/3/cifarSide, at/3%cifarSide
					if want := []byte{byte(8*y + i), byte(255 - 8*x), byte(100 * i)}[at%3]; v != want {
						t.Fatalf("%s: sample %d, row %d, column %d: %d, want %d", what, i, y, x, v, want)
					}
				}
			}
		}
	}
}

func TestCIFARBatchesAreInTheOrderOfTheirNames(t *testing.T) {
	batch := func(label byte) string {
		raw := cifarFile(1)
		raw[0] = label
		return string(raw)
	}
	want := []int{4, 1, 2, 5}
	files := []string{"data_batch_3.bin", batch(2), "data_batch_1.bin", batch(4), "data_batch_5.bin", batch(5), "data_batch_2.bin", batch(1)}
	for what, path := range map[string]string{
		"folder": folder(t, files...),
		"tar":    filepath.Join(folder(t, "c.tar", string(tarred(t, files...))), "c.tar"),
	} {
		src, err := Open("cifar10:"+path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := labels(t, src.Train); !slices.Equal(got, want) {
			t.Errorf("%s: labels %v, want %v", what, got, want)
		}
		if src.Test.Len() != 0 {
			t.Errorf("%s: %d test samples, want an empty set", what, src.Test.Len())
		}
	}
}

func TestCIFARRefusesBrokenFiles(t *testing.T) {
	three := cifarFile(3)
	label10 := bytes.Clone(three)
	label10[2*cifarRecord] = 10
	packed := gzipped(three)
	sum := bytes.Clone(packed)
	sum[len(sum)-5] ^= 1
	for what, c := range map[string]struct{ path, want string }{
		"nothing":           {folder(t, "data_batch_1.bin", ""), "data_batch_1.bin: no records in it"},
		"half a record":     {folder(t, "data_batch_1.bin", string(three[:5000])), "data_batch_1.bin: record 1: 1927 bytes, want 3073; the file is cut short or not CIFAR-10"},
		"label":             {folder(t, "data_batch_1.bin", string(label10)), "data_batch_1.bin: record 2, byte 6146: label 10, want 0 to 9"},
		"cut gzip":          {folder(t, "data_batch_1.bin.gz", string(packed[:len(packed)-20])), "data_batch_1.bin.gz: record 2: "},
		"gzip checksum":     {folder(t, "data_batch_1.bin.gz", string(sum)), "data_batch_1.bin.gz: record 3: gzip: invalid checksum"},
		"gzip header":       {folder(t, "data_batch_1.bin.gz", "\x1f\x8b\x00"), "data_batch_1.bin.gz: gzip header: unexpected EOF"},
		"cut bzip2":         {folder(t, "test_batch.bin.bz2", string(bzipped[:300])), "test_batch.bin.bz2: record 0: unexpected EOF"},
		"names":             {folder(t, "data_batch_1.bin", string(three), "batches.meta.txt", "a\nb\n"), "batches.meta.txt: 2 class names, want 10"},
		"huge names":        {folder(t, "data_batch_1.bin", string(three), "batches.meta.txt", strings.Repeat("a\n", maxTextBytes)), "batches.meta.txt: more than 4194304 bytes"},
		"no archive":        {filepath.Join(folder(t, "c.tar", strings.Repeat("x", 3000)), "c.tar"), "c.tar: near byte 512 of the archive: archive/tar: invalid tar header"},
		"empty archive":     {filepath.Join(folder(t, "c.tar", ""), "c.tar"), "c.tar: no data_batch_*.bin and no test_batch*.bin in it"},
		"cut archive":       {filepath.Join(folder(t, "c.tar", string(tarred(t, "data_batch_1.bin", string(three))[:4000])), "c.tar"), `c.tar: "data_batch_1.bin": record 1: `},
		"record in archive": {filepath.Join(folder(t, "c.tar", string(tarred(t, "a/data_batch_1.bin", string(label10)))), "c.tar"), `c.tar: "a/data_batch_1.bin": record 2, byte 6146: label 10`},
		"batch twice": {filepath.Join(folder(t, "c.tar", string(tarred(t, "data_batch_1.bin", string(three), "a/data_batch_1.bin.gz", string(packed)))), "c.tar"),
			`c.tar: "a/data_batch_1.bin.gz": the same batch as `},
		"another file": {filepath.Join(folder(t, "c.bin", string(three)), "c.bin"), "c.bin: near byte 512 of the archive: "},
		"no folder":    {filepath.Join(t.TempDir(), "missing"), "missing: no such file"},
		"folder in place of a file": {folder(t, "data_batch_1.bin", string(three), "cifar-10-binary.tar.gz/x", "", "test_batch.bin.gz", "\x1f"),
			"test_batch.bin.gz: record 0: 1 bytes, want 3073"},
	} {
		src, err := Open("cifar10:"+c.path, Options{})
		if src != nil || err == nil || !strings.HasPrefix(err.Error(), "data: cifar10: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, c.want)
		}
	}
}

func TestCIFARNumberOfRecordsIsBounded(t *testing.T) {
	_, _, err := readCIFAR(bytes.NewReader(cifarFile(3)), 2)
	if want := fmt.Sprintf("record 2: more than %d records in this split", maxRecords); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
