package train

import (
	"math"
	"testing"
)

func TestCrossEntropyOfLargeLogits(t *testing.T) {
	for _, shift := range []float32{0, -1 << 63, 1 << 63} {
		row := []float32{shift, shift - 1<<45, shift, shift, shift}
		if got, want := crossEntropy(row, 2), math.Log(4); got != want {
			t.Errorf("logits moved by %g: loss %v, want %v", shift, got, want)
		}
	}
}
