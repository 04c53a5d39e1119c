package data

import "math/rand/v2"

// Subset is the first n samples of ds, or ds itself when it has no more. A negative n counts as zero.
func Subset(ds Dataset, n int) Dataset {
	if n >= ds.Len() {
		return ds
	}
	s := subset{ds, max(n, 0)}
	if c, ok := ds.(Cropper); ok {
		return croppingSubset{s, c}
	}
	return s
}

type subset struct {
	Dataset
	n int
}

func (s subset) Len() int { return s.n }

// croppingSubset is a subset of a data set that crops by itself, and can do so too.
type croppingSubset struct {
	subset
	cropper Cropper
}

func (s croppingSubset) ReadCrop(i int, rng *rand.Rand, dst []uint8) (int, error) {
	return s.cropper.ReadCrop(i, rng, dst)
}
