package optim

import (
	"fmt"
	"math"
	"testing"
)

func TestSchedulesAtTheirCorners(t *testing.T) {
	byName := func(name string, warmup, steps int) Schedule {
		s, err := NewSchedule(name, 2, warmup, steps)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, tc := range []struct {
		name string
		s    Schedule
		want map[int]float64
	}{
		{"constant", Constant(3), map[int]float64{0: 3, 1 << 40: 3}},
		{"cosine", Cosine(2, 0.5, 100), map[int]float64{0: 2, 50: 1.25, 100: 0.5, 200: 0.5, 25: 0.5 + 0.75*(1+math.Sqrt2/2)}},
		{"exponential", Exponential(8, 2, 10), map[int]float64{0: 8, 5: 4, 10: 2, 11: 2}},
		{"steps", Steps(1, 0.5, 10, 20), map[int]float64{0: 1, 9: 1, 10: 0.5, 19: 0.5, 20: 0.25}},
		{"warm-up", Warmup(4, Steps(1, 0.1, 6)), map[int]float64{0: 0.25, 3: 1, 4: 1, 9: 1, 10: 0.1}},
		{"no steps", Cosine(2, 0.5, 0), map[int]float64{0: 0.5}},
		{"named constant", byName("constant", 2, 10), map[int]float64{0: 1, 1: 2, 9: 2}},
		{"named cosine", byName("cosine", 0, 10), map[int]float64{0: 2, 5: 1, 10: 0}},
		{"named cosine after warm-up", byName("cosine", 10, 20), map[int]float64{0: 0.2, 9: 2, 10: 2, 15: 1, 20: 0}},
		{"named step", byName("step", 0, 100), map[int]float64{49: 2, 50: 0.2, 74: 0.2, 75: 0.02}},
		{"named exponential", byName("exponential", 0, 100), map[int]float64{0: 2, 50: 0.2, 100: 0.02}},
	} {
		for step, want := range tc.want {
			if got := tc.s(step); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: %v at step %d, want %v", tc.name, got, step, want)
			}
		}
	}
}

func TestNewScheduleRefusesWhatCannotWork(t *testing.T) {
	if _, err := NewSchedule("linear", 1, 0, 10); err == nil {
		t.Error("no error for an unknown name")
	}
	for _, warmup := range []int{-1, 11} {
		if _, err := NewSchedule("cosine", 1, warmup, 10); err == nil {
			t.Errorf("no error for %d steps of warm-up in 10", warmup)
		}
	}
}

func ExampleWarmup() {
	rate := Warmup(4, Cosine(0.1, 0, 8))
	for step := range 12 {
		fmt.Printf("%.3f ", rate(step))
	}
	// Output: 0.025 0.050 0.075 0.100 0.100 0.096 0.085 0.069 0.050 0.031 0.015 0.004
}
