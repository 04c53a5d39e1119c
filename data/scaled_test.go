package data

import (
	"bytes"
	"testing"
)

func TestScaledResamplesWholeImages(t *testing.T) {
	for _, c := range []int{1, 3} {
		small := make([]uint8, 2*4*4*c) // one image of a step from left to right, one all white
		for y := range 4 {
			for x := range 4 {
				for k := range c {
					if x >= 2 {
						small[(4*y+x)*c+k] = 200
					}
					small[(16+4*y+x)*c+k] = 255
				}
			}
		}
		ds, err := NewMemory(4, 4, c, small, []uint8{1, 0}, []string{"white", "step"})
		if err != nil {
			t.Fatal(err)
		}
		if scaleTo(ds, 4) != Dataset(ds) {
			t.Errorf("%d channels: images of the size asked for are wrapped", c)
		}
		large := scaleTo(ds, 12)
		if h, w, k := large.Shape(); h != 12 || w != 12 || k != c || large.Len() != 2 {
			t.Fatalf("%d channels: %d images of (%d, %d, %d), want 2 of (12, 12, %d)", c, large.Len(), h, w, k, c)
		}
		step, label := sample(t, large, 0)
		if label != 1 {
			t.Errorf("%d channels: label %d, want 1", c, label)
		}
		for y := range 12 {
			row := step[y*12*c:][:12*c]
			if !bytes.Equal(row, step[:12*c]) {
				t.Errorf("%d channels: row %d differs from row 0 of an image without vertical change", c, y)
			}
			if left, right := row[0], row[11*c]; left != 0 || right != 200 {
				t.Errorf("%d channels: the step goes from %d to %d, want 0 to 200", c, left, right)
			}
			if m := int(row[5*c]) + int(row[6*c]); m < 196 || m > 204 {
				t.Errorf("%d channels: beside its middle the step has %d and %d, want them to add to 200", c, row[5*c], row[6*c])
			}
		}
		if white, _ := sample(t, large, 1); !bytes.Equal(white, bytes.Repeat([]uint8{255}, 12*12*c)) {
			t.Errorf("%d channels: white does not stay white", c)
		}
	}
}

func TestOpenScales(t *testing.T) {
	dir := folder(t, "data_batch_1.bin", string(cifarFile(3)), "test_batch.bin", string(cifarFile(2)))
	src, err := Open(dir, Options{Size: 48, Scale: true, TrainLen: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, ds := range []Dataset{src.Train, src.Test} {
		if h, w, c := ds.Shape(); h != 48 || w != 48 || c != 3 || ds.Len() != 2 {
			t.Errorf("%d images of (%d, %d, %d), want 2 of (48, 48, 3)", ds.Len(), h, w, c)
		}
	}
	if as, err := Open(dir, Options{Size: 48}); err != nil {
		t.Error(err)
	} else if h, _, _ := as.Train.Shape(); h != 32 {
		t.Errorf("unasked, images of 32 pixels became %d", h)
	}
	if _, label := sample(t, src.Train, 1); label != 3 {
		t.Errorf("sample 1 has label %d, want 3", label)
	}
}
