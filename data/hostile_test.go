package data

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Memory that decoders take, garbage included. It grows with the bytes of a file, of which gzip and bzip2 make more, and for photos
// with the pixels that a file may state.
const (
	listFactor  = 40      // per byte of labels.tsv
	valueFactor = 12      // per byte of CIFAR and IDX, unpacked
	fileFactor  = 8       // per byte of a photo's file
	pixelFactor = 32      // per pixel of a photo; limits.go says so
	slack       = 1 << 18 // whatever the file
	bzipSlack   = 1 << 22 // of bzip2, which sorts blocks of 900,000 bytes
)

// allocated is the memory that fn takes, garbage included.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// placed is what an error about a file's content says: where, or how much of it there is.
var placed = regexp.MustCompile(`byte \d+|record \d+|line \d+|sample \d+|after \d+ bytes|\d+ (values|bytes|labels|class names|pixels)|\d+×\d+ pixels|header|starts with|no (records|photos)|same batch`)

// mutants runs a test over many mutations of some files and reports how many of them are still good. try decodes one, or one that
// lies in a file when path is not "".
func mutants(t *testing.T, seeds [][]byte, mutations []func(*rand.Rand, []byte) []byte, limit func(raw []byte) uint64, try func(raw []byte, path string) error) {
	t.Helper()
	count := 10_000
	if testing.Short() {
		count = 1000
	}
	// With so small a heap, buffers would start the collector every few files.
	defer debug.SetGCPercent(debug.SetGCPercent(2000))
	goroutines := runtime.NumGoroutine()
	dir := t.TempDir()
	good := 0
	for seed := range uint64(count) {
		rng := rand.New(rand.NewPCG(seed, 7))
		raw := bytes.Clone(seeds[rng.IntN(len(seeds))])
		for range 1 + rng.IntN(2) {
			raw = mutations[rng.IntN(len(mutations))](rng, raw)
		}
		path := ""
		if seed%20 == 0 {
			path = filepath.Join(dir, "file")
			if err := os.WriteFile(path, raw, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		took := allocated(func() { err = try(raw, path) })
		if took > slack { // most take less, and the limit may take unpacking
			if most := limit(raw); took > most {
				t.Errorf("decoding %d bytes allocated %d, want at most %d; error %.200v", len(raw), took, most, err)
			}
		}
		if err == nil {
			good++
		} else if text := err.Error(); !strings.HasPrefix(text, path) || !placed.MatchString(text[len(path):]) || len(text) > 500 {
			t.Errorf("error %.600q, want file, place and cause", text)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d mutated files are still valid", good, count)
	if good == 0 || good == count {
		t.Error("the mutations are too strong or too weak to be of use")
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}

// plain are mutations of any bytes, which may be changed in place.
var plain = []func(rng *rand.Rand, raw []byte) []byte{
	func(rng *rand.Rand, raw []byte) []byte { return raw[:rng.IntN(len(raw)+1)] },
	func(rng *rand.Rand, raw []byte) []byte { return append(raw, make([]byte, rng.IntN(20))...) },
	flip, flip, flip,
	func(rng *rand.Rand, raw []byte) []byte {
		if len(raw) == 0 {
			return raw
		}
		at := rng.IntN(len(raw))
		return slices.Delete(raw, at, min(at+1+rng.IntN(30), len(raw)))
	},
	func(rng *rand.Rand, raw []byte) []byte {
		if len(raw) == 0 {
			return raw
		}
		lo := rng.IntN(len(raw))
		return slices.Insert(raw, rng.IntN(len(raw)), raw[lo:min(lo+rng.IntN(30), len(raw))]...)
	},
}

// flip changes a byte, more often one of the first.
func flip(rng *rand.Rand, raw []byte) []byte {
	if len(raw) > 0 {
		at := rng.IntN(len(raw))
		if rng.IntN(2) == 0 {
			at %= 64
		}
		if raw[at] ^= 1 << rng.IntN(8); rng.IntN(2) == 0 {
			raw[at] = byte(rng.Uint32())
		}
	}
	return raw
}

// size32 puts an unlikely number where a number of 32 bits may be.
func size32(rng *rand.Rand, raw []byte) []byte {
	if len(raw) < 16 {
		return raw
	}
	sizes := []uint32{0, 1, 2, 255, maxSide, maxSide + 1, maxRecords, maxRecords + 1, 1 << 24, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	binary.BigEndian.PutUint32(raw[4*rng.IntN(4):], sizes[rng.IntN(len(sizes))])
	return raw
}

// unpackedLen is how many bytes a packed file gives before it ends or breaks.
func unpackedLen(raw []byte) int64 {
	r, err := unpack(bytes.NewReader(raw))
	if err != nil {
		return 0
	}
	n, _ := io.Copy(io.Discard, r) // damage ends it
	return n
}

// valueLimit bounds the memory of decoders that keep bytes.
func valueLimit(raw []byte) uint64 {
	return uint64(valueFactor*unpackedLen(raw)) + slack + bzipSlack
}

func TestMutatedIDXFilesAreReadOrRefused(t *testing.T) {
	images, labelled := idxFile(256, 6, 5, 4), idxFile(10, 6)
	seeds := [][]byte{images, labelled, gzipped(images), gzipped(labelled)}
	mutants(t, seeds, append(slices.Clip(plain), size32, size32), valueLimit, func(raw []byte, path string) error {
		var errs [2]error
		for i, magic := range []uint32{idxImages, idxLabels} {
			var dims []int
			var values []uint8
			if path != "" {
				dims, values, errs[i] = readIDXFile(path, magic)
			} else if r, err := unpack(bytes.NewReader(raw)); err != nil {
				errs[i] = err
			} else {
				dims, values, errs[i] = readIDX(r, magic)
			}
			checkIDX(t, dims, values, errs[i])
		}
		if errs[0] != nil && errs[1] != nil {
			return errs[rand.IntN(2)]
		}
		return nil
	})
}

func checkIDX(t testing.TB, dims []int, values []uint8, err error) {
	t.Helper()
	n := 1
	for _, d := range dims {
		n *= d
	}
	if err != nil && (dims != nil || values != nil) || err == nil && (len(dims) == 0 || len(values) != n) {
		t.Errorf("sizes %v, %d values and error %v", dims, len(values), err)
	}
}

func FuzzIDX(f *testing.F) {
	f.Add(idxFile(256, 6, 5, 4), false)
	f.Add(idxFile(10, 6), true)
	f.Add(gzipped(idxFile(256, 6, 5, 4)), false)
	f.Fuzz(func(t *testing.T, raw []byte, labelled bool) {
		magic := uint32(idxImages)
		if labelled {
			magic = idxLabels
		}
		r, err := unpack(bytes.NewReader(raw))
		if err != nil {
			return
		}
		dims, values, err := readIDX(r, magic)
		checkIDX(t, dims, values, err)
		if err != nil {
			return
		}
		again := binary.BigEndian.AppendUint32(nil, magic)
		for _, d := range dims {
			again = binary.BigEndian.AppendUint32(again, uint32(d))
		}
		again = append(again, values...)
		if r, err = unpack(bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		if want, err := io.ReadAll(r); err != nil || !bytes.Equal(again, want) {
			t.Errorf("written again it has %d bytes, %v; want the same %d", len(again), err, len(want))
		}
	})
}

func TestMutatedCIFARFilesAreReadOrRefused(t *testing.T) {
	three := cifarFile(3)
	archive := tarred(t, "a/data_batch_1.bin", string(three), "a/batches.meta.txt", cifarClassNames)
	packed := gzipped(three)
	batches := [][]byte{three, packed, cifarFile(1), packed, three, packed, three, packed, three, bzipped} // which needs much memory and so time
	mutations := append(slices.Clip(plain), func(rng *rand.Rand, raw []byte) []byte {                      // a label
		if len(raw) > 0 {
			raw[rng.IntN((len(raw)+cifarRecord-1)/cifarRecord)*cifarRecord] = byte(rng.IntN(12))
		}
		return raw
	})
	t.Run("batches", func(t *testing.T) {
		mutants(t, batches, mutations, valueLimit, func(raw []byte, path string) error {
			f := &cifarFiles{classes: cifarClasses}
			err := f.add("data_batch_1.bin", "data_batch_1.bin", bytes.NewReader(raw))
			if path != "" {
				f = &cifarFiles{classes: cifarClasses}
				file, fail := openFile(path)
				if fail != nil {
					t.Fatal(fail)
				}
				defer file.Close()
				err = f.add(path, "data_batch_1.bin", file)
			}
			return checkCIFAR(t, f, err)
		})
	})
	t.Run("archives", func(t *testing.T) {
		mutations := append(slices.Clip(mutations), retar, retar, retar)
		mutants(t, [][]byte{archive, gzipped(archive), tarred(t, "test_batch.bin.gz", string(gzipped(three)))}, mutations, func(raw []byte) uint64 {
			return valueLimit(raw) + valueFactor*uint64(len(three)) // of which a packed batch is a part
		}, func(raw []byte, path string) error {
			f := &cifarFiles{classes: cifarClasses}
			err := f.addTar("archive", bytes.NewReader(raw))
			if path != "" {
				f = &cifarFiles{classes: cifarClasses}
				err = f.addArchive(path)
			}
			return checkCIFAR(t, f, err)
		})
	})
}

// checkCIFAR joins what was read.
func checkCIFAR(t testing.TB, f *cifarFiles, err error) error {
	t.Helper()
	if err != nil {
		return err
	}
	n := [2]int{f.records[0], f.records[1]}
	for split := range 2 {
		ds, err := f.join(split)
		if err != nil {
			return err
		}
		if ds.Len() != n[split] {
			t.Errorf("%d samples, want %d", ds.Len(), n[split])
		}
		for _, label := range labels(t, ds) {
			if label < 0 || label > 9 {
				t.Errorf("label %d", label)
			}
		}
	}
	return nil
}

// retar changes a field in a header of a tar file and mends its checksum.
func retar(rng *rand.Rand, raw []byte) []byte {
	if len(raw) < 512 || len(raw)%512 != 0 {
		return raw
	}
	headers := []int{0}
	for at := 512; at < len(raw); at += 512 {
		if string(raw[at+257:at+262]) == "ustar" {
			headers = append(headers, at)
		}
	}
	h := raw[headers[rng.IntN(len(headers))]:][:512]
	switch rng.IntN(4) {
	case 0:
		copy(h[124:], fmt.Sprintf("%011o", rng.Uint64()>>(31+rng.IntN(33)))) // size
	case 1:
		h[156] = "0123456gxLKSV\x00"[rng.IntN(14)] // kind of file
	case 2:
		copy(h, []string{"test_batch.bin\x00", "data_batch_2.bin\x00", "data_batch_1.bin.gz\x00", "batches.meta.txt\x00"}[rng.IntN(4)])
	case 3:
		h[rng.IntN(512)] ^= 1 << rng.IntN(8)
	}
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return raw
}

func FuzzCIFAR(f *testing.F) {
	three := cifarFile(2)
	f.Add(three, false)
	f.Add(gzipped(three), false)
	f.Add(bzipped, false)
	f.Add(tarred(f, "data_batch_1.bin", string(three[:cifarRecord]), "batches.meta.txt", cifarClassNames), true)
	f.Add(gzipped(tarred(f, "test_batch.bin.gz", string(gzipped(three)))), true)
	f.Fuzz(func(t *testing.T, raw []byte, archive bool) {
		files := &cifarFiles{classes: cifarClasses}
		if archive {
			checkCIFAR(t, files, files.addTar("archive", bytes.NewReader(raw)))
			return
		}
		if err := files.add("b", "test_batch.bin", bytes.NewReader(raw)); err != nil {
			return
		}
		ds, err := files.join(1)
		if err != nil {
			t.Fatal(err)
		}
		var again []byte
		for i := range ds.Len() {
			pixels, label := sample(t, ds, i)
			again = append(again, byte(label))
			for c := range 3 {
				for p := range cifarPlane {
					again = append(again, pixels[3*p+c])
				}
			}
		}
		r, err := unpack(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := io.ReadAll(r); err != nil || !bytes.Equal(again, want) {
			t.Errorf("written again it has %d bytes, %v; want the same %d", len(again), err, len(want))
		}
	})
}

func photoSeeds(t testing.TB) [][]byte {
	var seeds [][]byte
	all := drawings()
	for _, name := range []string{"gray", "gray16", "rgba", "nrgba", "nrgba64", "palette", "dot"} {
		seeds = append(seeds, asPNG(t, all[name]), asJPEG(t, all[name]))
	}
	return append(seeds, asGIF(t, all["palette"]), asGIF(t, all["dot"]))
}

// photoLimit bounds the memory of decoding a photo by the pixels that its header states, when so many are let through. JPEG is done in
// blocks of up to 32×16 pixels, which counts for narrow photos.
func photoLimit(raw []byte) uint64 {
	limit := uint64(fileFactor*len(raw) + slack)
	for _, f := range photoFormats {
		if !bytes.HasPrefix(raw, []byte(f.magic)) {
			continue
		}
		if c, err := f.config(bytes.NewReader(raw)); err == nil {
			w, h, n := int64(c.Width), int64(c.Height), int64(len(raw))
			if w > 0 && h > 0 && w <= maxImagePixels/h && w*h <= max(min(maxPacking*(n+1), freePixels), maxSparse*(n+1)) {
				limit += pixelFactor * uint64((w+31)*(h+31))
			}
		}
	}
	return limit
}

// tryPhoto decodes and scales a photo.
func tryPhoto(t testing.TB, raw []byte, path string) (*picture, error) {
	t.Helper()
	var p *picture
	var err error
	if path != "" {
		p, err = readPhoto(path)
	} else {
		p, err = decodePhoto(raw)
	}
	if (p == nil) == (err == nil) || p != nil && (p.w < 1 || p.h < 1 || len(p.pixels) != 3*p.w*p.h) {
		t.Errorf("picture %+v and error %v", p, err)
	}
	if p != nil {
		const side = 8
		var out [3 * side * side]uint8
		p.resample(out[:], side, centre(p.w, p.h, side))
		p.resample(out[:], side, randomPart(rand.New(rand.NewPCG(1, 1)), p.w, p.h))
	}
	return p, err
}

func TestMutatedPhotosAreReadOrRefused(t *testing.T) {
	mutations := append(slices.Clip(plain), rechunk, rechunk, rechunk, remark, remark, remark, rescreen)
	mutants(t, photoSeeds(t), mutations, photoLimit, func(raw []byte, path string) error {
		_, err := tryPhoto(t, raw, path)
		return err
	})
}

// rechunk changes the chunks of a PNG and mends their checksums, or other files not at all.
func rechunk(rng *rand.Rand, raw []byte) []byte {
	if !bytes.HasPrefix(raw, []byte("\x89PNG\r\n\x1a\n")) {
		return raw
	}
	var at []int
	for i := 8; i+12 <= len(raw); {
		n := int(binary.BigEndian.Uint32(raw[i:]))
		if n > len(raw)-i-12 {
			break
		}
		at = append(at, i)
		i += 12 + n
	}
	if len(at) == 0 {
		return raw
	}
	i := at[rng.IntN(len(at))]
	n := int(binary.BigEndian.Uint32(raw[i:]))
	c := raw[i : i+12+n]
	switch rng.IntN(5) {
	case 0: // leave one out
		return slices.Delete(raw, i, i+len(c))
	case 1: // twice
		return slices.Insert(raw, i, bytes.Clone(c)...)
	case 2: // another kind
		copy(c[4:8], []string{"IDAT", "PLTE", "tRNS", "IHDR", "IEND", "zTXt", "abcd"}[rng.IntN(7)])
	case 3: // the size, and what the header says about pixels
		if h := raw[8:]; len(h) >= 25 {
			sizes := []uint32{0, 1, 2, 7, 14, 300, 5000, 1 << 13, 1 << 20, 1 << 26, 1<<31 - 1, 1 << 31}
			if rng.IntN(2) == 0 {
				binary.BigEndian.PutUint32(h[8+4*rng.IntN(2):], sizes[rng.IntN(len(sizes))])
			} else {
				h[16+rng.IntN(5)] = byte(rng.IntN(17))
			}
			c = h[:25]
		}
	case 4:
		if n > 0 {
			c[8+rng.IntN(n)] ^= 1 << rng.IntN(8)
		}
	}
	binary.BigEndian.PutUint32(c[len(c)-4:], crc32.ChecksumIEEE(c[4:len(c)-4]))
	return raw
}

// remark changes the frame header of a JPEG, makes it progressive, or leaves out, repeats or shortens one of its segments.
func remark(rng *rand.Rand, raw []byte) []byte {
	if !bytes.HasPrefix(raw, []byte("\xff\xd8\xff")) {
		return raw
	}
	var at []int
	for i := 2; i+4 < len(raw) && raw[i] == 0xff; i += 2 + int(binary.BigEndian.Uint16(raw[i+2:])) {
		at = append(at, i)
		if raw[i+1] == 0xda {
			break
		}
	}
	frame := bytes.Index(raw, []byte{0xff, 0xc0})
	scan := bytes.Index(raw, []byte{0xff, 0xda})
	if frame < 0 || scan < 0 || frame+20 > len(raw) || scan+14 > len(raw) {
		return raw
	}
	switch rng.IntN(4) {
	case 0:
		sizes := []uint16{0, 1, 8, 17, 300, 4000, 1 << 15, 1<<16 - 1}
		binary.BigEndian.PutUint16(raw[frame+5+2*rng.IntN(2):], sizes[rng.IntN(len(sizes))])
	case 1: // progressive, with the first or all of the scan's numbers
		raw[frame+1] = 0xc2
		last := scan + 1 + int(binary.BigEndian.Uint16(raw[scan+2:]))
		if last < len(raw) && last > scan+3 {
			raw[last-1] = byte(rng.IntN(2) * 63)
		}
	case 2:
		raw[frame+10+rng.IntN(10)] = byte(rng.IntN(0x45))
	case 3:
		i := at[rng.IntN(len(at))]
		n := min(2+int(binary.BigEndian.Uint16(raw[i+2:])), len(raw)-i)
		switch rng.IntN(3) {
		case 0:
			return slices.Delete(raw, i, i+n)
		case 1:
			return slices.Insert(raw, i, bytes.Clone(raw[i:i+n])...)
		}
		raw[i+3] = byte(rng.Uint32())
	}
	return raw
}

// rescreen changes the sizes of a GIF.
func rescreen(rng *rand.Rand, raw []byte) []byte {
	if !bytes.HasPrefix(raw, []byte("GIF8")) || len(raw) < 13 {
		return raw
	}
	sizes := []uint16{0, 1, 13, 200, 3000, 1<<16 - 1}
	at := 6
	if picture := bytes.IndexByte(raw[13:], ','); picture >= 0 && rng.IntN(2) == 0 && len(raw) > 13+picture+9 {
		at = 13 + picture + 5
	}
	binary.LittleEndian.PutUint16(raw[at+2*rng.IntN(2):], sizes[rng.IntN(len(sizes))])
	return raw
}

func FuzzImage(f *testing.F) {
	for _, raw := range photoSeeds(f) {
		f.Add(raw)
	}
	f.Add(claimGIF(4, 4, 0, 4, "\x02\x2c\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := tryPhoto(t, raw, "")
		if err != nil {
			return
		}
		if p.w*p.h > 1<<20 {
			return // encoding would take long
		}
		m := image.NewNRGBA(image.Rect(0, 0, p.w, p.h))
		for i := range p.w * p.h {
			copy(m.Pix[4*i:], []uint8{p.pixels[3*i], p.pixels[3*i+1], p.pixels[3*i+2], 255})
		}
		again, err := decodePhoto(asPNG(t, m))
		if err != nil || again.w != p.w || again.h != p.h || !bytes.Equal(again.pixels, p.pixels) {
			t.Errorf("written again it is different: %v", err)
		}
	})
}

func TestMutatedLabelListsAreReadOrRefused(t *testing.T) {
	seed := []byte("file\tclass_index\twnid\tlabel\na.png\t3\tn01\tcat\nb/c.jpg\t5\tn02\tdog\r\nd.png\t3\tn01\tcat\n\n")
	mutations := append(slices.Clip(plain), func(rng *rand.Rand, raw []byte) []byte {
		pieces := []string{"\t", "\n", "\r\n", "../", "/", "65535", "65536", "-1", "99999999999999999999", "file", "class_index", "label", "\x00", "\xff", strings.Repeat("x", 300)}
		return slices.Insert(raw, rng.IntN(len(raw)+1), []byte(pieces[rng.IntN(len(pieces))])...)
	})
	mutants(t, [][]byte{seed}, mutations, func(raw []byte) uint64 {
		return uint64(listFactor*len(raw)) + slack + maxClasses*48 // one photo may be of the last class
	}, func(raw []byte, path string) error {
		if path != "" {
			dir := filepath.Join(filepath.Dir(path), "list")
			list := filepath.Join(dir, labelsName)
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(list, raw, 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := readLabels(dir)
			if text, named := strings.CutPrefix(fmt.Sprint(err), list); err != nil && named {
				return fmt.Errorf("%s%s", path, text)
			}
			return err
		}
		return checkLabels(t, string(raw))
	})
}

func checkLabels(t testing.TB, text string) error {
	t.Helper()
	p, err := parseLabels(text)
	if (p == nil) == (err == nil) {
		t.Errorf("photos %v and error %v", p, err)
	}
	if err != nil {
		return err
	}
	for _, f := range p.files {
		if f.label < 0 || f.label >= len(p.classes) || !filepath.IsLocal(f.path) {
			t.Errorf("photo %+v of %d classes", f, len(p.classes))
		}
	}
	return nil
}

func FuzzLabels(f *testing.F) {
	f.Add("file\tclass_index\twnid\tlabel\na.png\t3\tn01\tcat\nb/c.jpg\t5\tn02\tdog\n")
	f.Add("class_index\tfile\r\n1\tx\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		checkLabels(t, text)
	})
}

// bomb is some bytes and 30 MB of zeros, packed in pieces, of which gzip lets a file have many.
func bomb(head []byte) []byte {
	return append(gzipped(head), bytes.Repeat(gzipped(make([]byte, 1_000_000)), 30)...)
}

// zeros are 100 MB of zeros as bzip2 -9 packs them.
var zeros = decode64(`QlpoOTFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZDgni3wFfjkAAwAAACCAAMIBNRkKgJakKgJcxQVkmU1nEYApVAD7RQALAAABAAAggADDMCapppUiDaipEHi7kinChIcCoiS4=`)

// TestBombsAreRefused: files that are small and would take all memory, or minutes.
func TestBombsAreRefused(t *testing.T) {
	header := binary.BigEndian.AppendUint32(nil, idxImages)
	for _, d := range []uint32{6400, 125, 125} {
		header = binary.BigEndian.AppendUint32(header, d)
	}
	sparse := func() []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		// A map of one hole and one piece of 512 bytes at the end of 300 MB, as PAX 0.1 states it.
		records := "GNU.sparse.map=307299488,512"
		for _, r := range []string{"GNU.sparse.numblocks=1", "GNU.sparse.size=307300000", records} {
			body := " " + r + "\n"
			n := len(body) + 2
			for len(strconv.Itoa(n))+len(body) != n {
				n++
			}
			b.WriteString(strconv.Itoa(n) + body)
		}
		pax := b.String()
		b.Reset()
		for _, h := range []struct {
			name, body string
			kind       byte
		}{{"PaxHeaders/x", pax, tar.TypeXHeader}, {"data_batch_1.bin", strings.Repeat("\x00", 512), tar.TypeReg}} {
			// The writer refuses to write such headers, so they are put together by hand and mended.
			if err := w.WriteHeader(&tar.Header{Name: h.name, Size: int64(len(h.body)), Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
				t.Fatal(err)
			}
			w.Write([]byte(h.body)) // to memory
			w.Flush()
			raw := b.Bytes()
			at := len(raw) - 512 - (len(h.body)+511)/512*512
			raw[at+156] = h.kind
			copy(raw[at+148:], "        ")
			sum := 0
			for _, v := range raw[at : at+512] {
				sum += int(v)
			}
			copy(raw[at+148:], fmt.Sprintf("%06o\x00 ", sum))
		}
		w.Close()
		return b.Bytes()
	}()
	if h, err := secondHeader(sparse); err != nil || h.Size != 307300000 {
		t.Fatalf("the sparse file is not one: %+v, %v", h, err)
	}
	for what, c := range map[string]struct {
		name string
		raw  []byte
		want string
	}{
		"IDX, gzip":     {"train-images-idx3-ubyte.gz", bomb(header), "bytes unpacked; more than 256 for one are refused"},
		"CIFAR, gzip":   {"data_batch_1.bin.gz", bomb(nil), "bytes unpacked; more than 256 for one are refused"},
		"CIFAR, bzip2":  {"data_batch_1.bin.bz2", zeros, "bytes unpacked; more than 256 for one are refused"},
		"CIFAR, tar":    {"c.tar.gz", bomb(tarred(t, "readme", string(make([]byte, 30_000_000)))[:512]), "bytes unpacked; more than 256 for one are refused"},
		"CIFAR, nested": {"c.tar", tarred(t, "data_batch_1.bin", string(zeros)), "bytes unpacked; more than 256 for one are refused"},
		"CIFAR, sparse": {"c.tar", sparse, `"data_batch_1.bin": a sparse file, which may unpack to any size`},
	} {
		dir := folder(t, c.name, string(c.raw))
		path := filepath.Join(dir, c.name)
		var err error
		start := time.Now()
		took := allocated(func() {
			switch {
			case strings.HasPrefix(what, "IDX"):
				_, _, err = readIDXFile(path, idxImages)
			case strings.HasPrefix(c.name, "c."):
				_, err = openCIFAR(path, Options{})
			default:
				_, err = openCIFAR(dir, Options{})
			}
		})
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want the file and %s", what, err, c.want)
		}
		if most := uint64(valueFactor*freeUnpacked + bzipSlack); took > most {
			t.Errorf("%s: %d bytes took %d before they were refused, want at most %d", what, len(c.raw), took, most)
		}
		t.Logf("%s: %d bytes, refused after %v and %d MB", what, len(c.raw), time.Since(start).Round(time.Millisecond), took>>20)
	}

	for what, raw := range map[string][]byte{
		"PNG that claims 64 million pixels of 64 bits": claimPNG(1<<13, 1<<13, 16, 6, make([]byte, 9000)),
		"PNG of 60 million empty pixels":               claimPNG(30_000, 2000, 1, 0, zlibbed(make([]byte, 2000*(1+30_000/8)))),
		"GIF that claims 60 million pixels":            claimGIF(30_000, 2000, 30_000, 2000, strings.Repeat("\xff"+strings.Repeat("a", 255), 40)),
		"JPEG that claims 60 million pixels":           append(resize16(asJPEG(t, drawings()["rgba"]), 30_000, 2000), make([]byte, 9000)...),
	} {
		var err error
		took := allocated(func() { _, err = decodePhoto(raw) })
		if err == nil || !strings.Contains(err.Error(), "so few hold no photo of that size") {
			t.Errorf("%s: %v", what, err)
		}
		if took > slack {
			t.Errorf("%s: %d bytes took %d before they were refused", what, len(raw), took)
		}
	}
}

func secondHeader(raw []byte) (*tar.Header, error) { return tar.NewReader(bytes.NewReader(raw)).Next() }

// TestManyPicturesOfAnAnimationCostNothing though the decoder would go over all.
func TestManyPicturesOfAnAnimationCostNothing(t *testing.T) {
	raw := asGIF(t, coloured(image.NewPaletted(image.Rect(0, 0, 400, 400), palette)))
	end := firstPicture(raw)
	rest := raw[end : len(raw)-1]
	long := append(bytes.Clone(raw[:end]), bytes.Repeat(rest, 200)...)
	for _, raw := range [][]byte{raw, long} {
		if took := allocated(func() {
			if _, err := decodePhoto(raw); err != nil {
				t.Error(err)
			}
		}); took > pixelFactor*400*400+slack {
			t.Errorf("%d bytes took %d", len(raw), took)
		}
	}
}

func TestPipesAreNoFiles(t *testing.T) {
	// A folder stands for everything that is not a file, since not all systems have pipes with names.
	dir := folder(t, "train-images-idx3-ubyte/x", "", "data_batch_1.bin.gz/x", "", labelsName+"/x", "", "a.png/x", "")
	for what, try := range map[string]func() error{
		"IDX": func() error {
			_, _, err := readIDXFile(filepath.Join(dir, "train-images-idx3-ubyte"), idxImages)
			return err
		},
		"CIFAR":  func() error { return new(cifarFiles).addFile(filepath.Join(dir, "data_batch_1.bin.gz")) },
		"labels": func() error { _, err := readLabels(dir); return err },
		"photo":  func() error { _, err := readPhoto(filepath.Join(dir, "a.png")); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
