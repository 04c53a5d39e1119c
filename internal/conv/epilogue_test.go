package conv

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// checkEpilogue compares Forward with packed weights and each kind of epilogue with plain loops over biased, the sums with their bias.
func checkEpilogue[T kernel.Float](s Shape, rng *rand.Rand, p *parallel.Pool, x, w, bias, biased []T) error {
	scratch := func() []T { s, _ := guard[T](rng, ScratchForward(s, p.Workers())); return s }
	y, okY := guard[T](rng, len(biased))
	packed, okPacked := guard[T](rng, PackedLen(s))
	Pack(p, s, packed, w)
	add, _ := guard[T](rng, len(biased))
	want := make([]T, len(biased))
	for _, act := range []kernel.Activation{{}, {Kind: kernel.Rectify}, {Kind: kernel.Clip, A: -2, B: 6}} {
		for i, v := range biased {
			want[i] = v + add[i]
		}
		kernel.Activate(want, want, act)
		Forward(p, s, y, x, Filter[T]{Packed: packed}, Epilogue[T]{Bias: bias, Add: add, Act: act}, scratch())
		if !slices.Equal(y, want) {
			return fmt.Errorf("forward with addend and activation %d differs", act.Kind)
		}
		kernel.Activate(want, biased, act)
		Forward(p, s, y, x, Filter[T]{Raw: w}, Epilogue[T]{Bias: bias, Act: act}, scratch())
		if !slices.Equal(y, want) {
			return fmt.Errorf("forward with activation %d differs", act.Kind)
		}
	}
	got := Moments{Mean: make([]float64, s.O), Squares: make([]float64, s.O)}
	Forward(p, s, y, x, Filter[T]{Packed: packed}, Epilogue[T]{Bias: bias, Moments: &got}, scratch())
	if !slices.Equal(y, biased) || !okY() || !okPacked() {
		return errors.New("forward with moments differs or wrote outside")
	}
	return checkMoments(y, got, s.O)
}

// checkMoments compares the moments of channels with those of y in float64.
func checkMoments[T kernel.Float](y []T, got Moments, channels int) error {
	n := float64(len(y) / channels)
	for c := range channels {
		var mean, squares float64
		for i := c; i < len(y); i += channels {
			mean += float64(y[i]) / n
		}
		for i := c; i < len(y); i += channels {
			squares += (float64(y[i]) - mean) * (float64(y[i]) - mean)
		}
		if math.Abs(got.Mean[c]-mean) > 1e-4*(1+math.Abs(mean)) || math.Abs(got.Squares[c]-squares) > 1e-4*(1+squares) {
			return fmt.Errorf("channel %d: mean %g and squares %g, want %g and %g", c, got.Mean[c], got.Squares[c], mean, squares)
		}
	}
	return nil
}
