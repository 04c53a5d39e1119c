package optim

import (
	"fmt"
	"math"
)

// Schedule is a value by step; the first step is 0.
type Schedule func(step int) float64

// Constant is v at every step.
func Constant(v float64) Schedule { return func(int) float64 { return v } }

// Cosine falls from one value at step 0 to another at the given step along half a cosine (Loshchilov and Hutter 2017, arXiv 1608.03983,
// without restarts), and stays there.
func Cosine(from, to float64, steps int) Schedule {
	return func(step int) float64 { return to + (from-to)*(1+math.Cos(math.Pi*progress(step, steps)))/2 }
}

// Exponential goes from one positive value to another by equal factors, from^(1−t)·to^t with t = step/steps, and stays there.
func Exponential(from, to float64, steps int) Schedule {
	return func(step int) float64 {
		t := progress(step, steps)
		return math.Pow(from, 1-t) * math.Pow(to, t)
	}
}

// Steps is v, multiplied by factor at each of the given steps.
func Steps(v, factor float64, at ...int) Schedule {
	return func(step int) float64 {
		out := v
		for _, s := range at {
			if step >= s {
				out *= factor
			}
		}
		return out
	}
}

// Warmup rises in equal parts over the first steps, so that the last of them has then's first value, and goes on with then.
func Warmup(steps int, then Schedule) Schedule {
	return func(step int) float64 {
		if step < steps {
			return then(0) * float64(step+1) / float64(steps)
		}
		return then(step - steps)
	}
}

// progress is step/steps, at most 1.
func progress(step, steps int) float64 {
	if step >= steps {
		return 1
	}
	return float64(step) / float64(steps)
}

// schedules are the ways a learning rate may fall over a run, by name.
var schedules = map[string]func(rate float64, steps int) Schedule{
	"constant":    func(rate float64, _ int) Schedule { return Constant(rate) },
	"cosine":      func(rate float64, steps int) Schedule { return Cosine(rate, 0, steps) },
	"exponential": func(rate float64, steps int) Schedule { return Exponential(rate, rate/100, steps) },
	"step":        func(rate float64, steps int) Schedule { return Steps(rate, 0.1, steps/2, steps*3/4) },
}

// NewSchedule is the schedule of that name over the given number of steps, the first warmup of which rise linearly to rate: constant;
// cosine, to zero; exponential, to a hundredth; step, a tenth at the half and again at three quarters of what follows the warm-up.
func NewSchedule(name string, rate float64, warmup, steps int) (Schedule, error) {
	build, ok := schedules[name]
	if !ok {
		return nil, fmt.Errorf("optim: unknown schedule %q; known are %s", name, known(schedules))
	}
	if warmup < 0 || warmup > steps {
		return nil, fmt.Errorf("optim: %d steps of warm-up do not fit into a run of %d steps", warmup, steps)
	}
	s := build(rate, steps-warmup)
	if warmup > 0 {
		s = Warmup(warmup, s)
	}
	return s, nil
}
