package data

import (
	"math"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
)

// facts are what is known about a data set from elsewhere.
type facts struct {
	counts    []int
	mean, std []float64 // of x/255 per channel; nil: unknown
}

func check(t *testing.T, name string, ds Dataset, want facts) {
	t.Helper()
	counts, mean, std := measure(t, ds)
	if !slices.Equal(counts, want.counts) {
		t.Errorf("%s: samples per class %v, want %v", name, counts, want.counts)
	}
	for k := range want.mean {
		if math.Abs(mean[k]-want.mean[k]) > 6e-5 {
			t.Errorf("%s: means %.5f, want %v", name, mean, want.mean)
			break
		}
	}
	for k := range want.std {
		if math.Abs(std[k]-want.std[k]) > 6e-5 {
			t.Errorf("%s: deviations %.5f, want %v", name, std, want.std)
			break
		}
	}
}

// measure goes over all samples.
func measure(t *testing.T, ds Dataset) (counts []int, mean, std []float64) {
	t.Helper()
	h, w, c := ds.Shape()
	counts, mean, std = make([]int, len(ds.Classes())), make([]float64, c), make([]float64, c)
	var sums, squares [3]uint64
	pixels := make([]uint8, h*w*c)
	for i := range ds.Len() {
		label, err := ds.Read(i, pixels)
		if err != nil {
			t.Fatal(err)
		}
		counts[label]++
		for j, v := range pixels {
			sums[j%c] += uint64(v)
			squares[j%c] += uint64(v) * uint64(v)
		}
	}
	n := float64(ds.Len() * h * w)
	for k := range c {
		mean[k] = float64(sums[k]) / n / 255
		std[k] = math.Sqrt(float64(squares[k])/n/255/255 - mean[k]*mean[k])
	}
	return counts, mean, std
}

func TestRealCIFAR(t *testing.T) {
	src, err := Open(testkit.Shared(t, "data/cifar-10"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if src.Name != "cifar10" || src.Train.Classes()[9] != "truck" {
		t.Fatalf("opened as %s, classes %v", src.Name, src.Train.Classes())
	}
	check(t, "training batch 1", src.Train, facts{
		[]int{1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981}, []float64{.4935, .4834, .4472}, nil})
	check(t, "first half of the test set", src.Test, facts{
		[]int{488, 505, 512, 497, 507, 488, 491, 495, 504, 513}, []float64{.4973, .4882, .4535}, []float64{.2466, .2425, .2619}})
}

func TestRealFashionMNIST(t *testing.T) {
	dir := testkit.Shared(t, "data/fashion-mnist")
	src, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if h, w, c := src.Train.Shape(); h != 28 || w != 28 || c != 1 || src.Name != "fashion-mnist" {
		t.Fatalf("opened as %s of %d×%d×%d", src.Name, h, w, c)
	}
	check(t, "training set", src.Train, facts{slices.Repeat([]int{6000}, 10), []float64{.2860}, []float64{.3530}})
	check(t, "test set", src.Test, facts{slices.Repeat([]int{1000}, 10), []float64{.2868}, nil})
}
