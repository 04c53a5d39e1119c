package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// idxFile is an IDX file of counting bytes below limit.
func idxFile(limit int, sizes ...uint32) []byte {
	raw := binary.BigEndian.AppendUint32(nil, 0x0800|uint32(len(sizes)))
	n := 1
	for _, s := range sizes {
		raw = binary.BigEndian.AppendUint32(raw, s)
		n *= int(s)
	}
	for i := range n {
		raw = append(raw, byte(i%limit))
	}
	return raw
}

func TestIDXIsReadFromAllItsForms(t *testing.T) {
	images, labelled := idxFile(256, 12, 4, 3), idxFile(10, 12)
	few, fewLabels := idxFile(256, 2, 4, 3), idxFile(10, 2)
	for what, path := range map[string]string{
		"plain": folder(t, "train-images-idx3-ubyte", string(images), "train-labels-idx1-ubyte", string(labelled),
			"t10k-images-idx3-ubyte", string(few), "t10k-labels-idx1-ubyte", string(fewLabels)),
		"gzip": folder(t, "train-images-idx3-ubyte.gz", string(gzipped(images)), "train-labels-idx1-ubyte.gz", string(gzipped(labelled)),
			"t10k-images-idx3-ubyte.gz", string(gzipped(few)), "t10k-labels-idx1-ubyte.gz", string(gzipped(fewLabels))),
		"points in names": folder(t, "train-images.idx3-ubyte", string(images), "train-labels.idx1-ubyte.gz", string(gzipped(labelled)),
			"t10k-images.idx3-ubyte", string(few), "t10k-labels-idx1-ubyte", string(fewLabels)),
		"misnamed gzip": folder(t, "train-images-idx3-ubyte", string(gzipped(images)), "train-labels-idx1-ubyte.gz", string(labelled),
			"t10k-images-idx3-ubyte", string(few), "t10k-labels-idx1-ubyte", string(fewLabels)),
	} {
		for _, spec := range []string{path, "fashion-mnist:" + path} {
			src, err := Open(spec, Options{})
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			h, w, c := src.Train.Shape()
			if src.Name != "fashion-mnist" || h != 4 || w != 3 || c != 1 || src.Test.Len() != 2 {
				t.Errorf("%s: opened as %s of %d×%d×%d with %d test samples", what, src.Name, h, w, c, src.Test.Len())
			}
			if got, want := labels(t, src.Train), []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1}; !slices.Equal(got, want) {
				t.Errorf("%s: labels %v, want %v", what, got, want)
			}
			if got, _ := sample(t, src.Train, 2); !slices.Equal(got, images[16+24:16+36]) {
				t.Errorf("%s: sample 2 is %v", what, got)
			}
		}
	}
}

func TestIDXRefusesBrokenFiles(t *testing.T) {
	images, labelled := string(idxFile(256, 5, 2, 2)), string(idxFile(10, 5))
	header := func(sizes ...uint32) string { return string(idxFile(1, sizes...)[:4+4*len(sizes)]) }
	claim := func(sizes ...uint32) string {
		raw := binary.BigEndian.AppendUint32(nil, idxImages)
		for _, s := range sizes {
			raw = binary.BigEndian.AppendUint32(raw, s)
		}
		return string(raw)
	}
	for what, c := range map[string]struct{ images, labels, want string }{
		"nothing":          {"", labelled, "train-images-idx3-ubyte: header, magic number: EOF"},
		"half a number":    {images[:3], labelled, "train-images-idx3-ubyte: header, magic number: unexpected EOF"},
		"another kind":     {labelled, labelled, "train-images-idx3-ubyte: byte 0: magic number 2049, want 2051"},
		"cut header":       {images[:10], labelled, "train-images-idx3-ubyte: header, size of axis 1: unexpected EOF"},
		"no images":        {claim(0, 2, 2), labelled, "byte 4: axis 0 has size 0, want 1 to 131072"},
		"too many images":  {claim(1<<17+1, 1, 1), labelled, "byte 4: axis 0 has size 131073, want 1 to 131072"},
		"too wide":         {claim(1, 1, 1<<31), labelled, "byte 12: axis 2 has size 2147483648, want 1 to 16384"},
		"too much":         {claim(1<<17, 1<<14, 1), labelled, "byte 8: sizes [131072 16384] ask for more than 1073741824 bytes"},
		"cut short":        {images[:len(images)-1], labelled, "19 values, want 20 for shape [5 2 2]; the file is cut short"},
		"no values":        {header(5, 2, 2), labelled, "0 values, want 20 for shape [5 2 2]"},
		"one more":         {images + "x", labelled, "values of shape [5 2 2]: more than 20 bytes"},
		"fewer labels":     {images, string(idxFile(10, 4)), "train-labels-idx1-ubyte: 4 labels, but 5 images in "},
		"label 10":         {images, string(idxFile(11, 5)[:8]) + "\x00\x01\x0a\x03\x04", "train-labels-idx1-ubyte: data: sample 2 has label 10; there are 10 classes"},
		"images as labels": {images, images, "train-labels-idx1-ubyte: byte 0: magic number 2051, want 2049"},
		"cut gzip":         {string(gzipped([]byte(images))[:25]), labelled, "train-images-idx3-ubyte: "},
	} {
		path := folder(t, "train-images-idx3-ubyte", c.images, "train-labels-idx1-ubyte", c.labels, "t10k-images-idx3-ubyte", images, "t10k-labels-idx1-ubyte", labelled)
		src, err := Open(path, Options{})
		if src != nil || err == nil || !strings.HasPrefix(err.Error(), "data: fashion-mnist: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, c.want)
		}
	}
	path := folder(t, "train-images-idx3-ubyte", images, "train-labels-idx1-ubyte", labelled)
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "no t10k-images-idx3-ubyte in it, plain or .gz") {
		t.Errorf("no test set: %v", err)
	}
	path = folder(t, "train-images-idx3-ubyte", images, "train-labels-idx1-ubyte", labelled, "t10k-images-idx3-ubyte", string(idxFile(9, 5, 2, 1)), "t10k-labels-idx1-ubyte", labelled)
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "training images of 2×2 pixels, test images of 2×1") {
		t.Errorf("test images of another size: %v", err)
	}
}

func TestIDXValuesAreThoseOfTheFile(t *testing.T) {
	raw := idxFile(251, 3, 5, 7)
	dims, values, err := readIDX(bytes.NewReader(raw), idxImages)
	if err != nil || fmt.Sprint(dims) != "[3 5 7]" || !bytes.Equal(values, raw[16:]) {
		t.Errorf("%v, %d values, %v", dims, len(values), err)
	}
}
