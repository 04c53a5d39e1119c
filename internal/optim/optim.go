// Package optim moves weights along gradients.
//
// In go the live buffers of weights and gradients, given once; each Step changes the weights in place. All arithmetic is float32 and element
// by element, so results do not depend on the number of workers. What a rule remembers are named slices, which a checkpoint copies
// out and, to resume with the same bits, copies back in. Rates come from a Schedule, a plain function of the step.
package optim

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/dms-go/dms/internal/parallel"
)

// Param is one weight with its gradient. Value and Grad have equal length and stay where they are as long as the optimiser is used.
type Param struct {
	Name        string
	Value, Grad []float32
	WeightDecay float64 // 0 for what should not decay: biases, scales and shifts of norms
}

// Config holds the constants of all rules; each reads its own. Zero means the default, but a Momentum of zero means none.
type Config struct {
	Momentum     float64 // sgd, rmsprop
	Beta1, Beta2 float64 // adam, adamw: 0.9, 0.999
	Decay        float64 // rmsprop: 0.9, the share of the old mean square
	Epsilon      float64 // adam, adamw: 1e-8; rmsprop: 1e-3, under the root
}

// Optimizer applies one rule to a fixed list of weights.
type Optimizer interface {
	// Step moves every weight once, at the given learning rate.
	Step(rate float64)
	// State is everything the rule remembers, as live buffers by name: overwriting their elements restores it.
	State() map[string][]float32
}

// New is the optimiser of that name: sgd, adam, adamw or rmsprop. Its buffers start as the rule's source says. pool may be nil.
func New(name string, c Config, params []Param, pool *parallel.Pool) (Optimizer, error) {
	r, ok := rules[name]
	if !ok {
		return nil, fmt.Errorf("optim: unknown optimizer %q; known are %s", name, known(rules))
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	d := &descent{rule: r, config: c, params: params, pool: pool, count: make([]float32, 1), starts: make([]int, len(params)+1)}
	seen := map[string]bool{}
	for i, p := range params {
		if len(p.Value) != len(p.Grad) {
			return nil, fmt.Errorf("optim: weight %q has %d values and %d gradients", p.Name, len(p.Value), len(p.Grad))
		}
		if seen[p.Name] {
			return nil, fmt.Errorf("optim: weight %q is listed twice", p.Name)
		}
		seen[p.Name] = true
		d.starts[i+1] = d.starts[i] + len(p.Value)
		var m memory
		for j, s := range r.slots {
			m[j] = make([]float32, len(p.Value))
			if s.start != 0 {
				for k := range m[j] {
					m[j][k] = s.start
				}
			}
		}
		d.memory = append(d.memory, m)
	}
	d.body = d.span
	return d, nil
}

func (c Config) check() error {
	for _, v := range []struct {
		name  string
		value float64
		below float64
	}{
		{"momentum", c.Momentum, 1}, {"beta1", c.Beta1, 1}, {"beta2", c.Beta2, 1}, {"decay", c.Decay, 1}, {"epsilon", c.Epsilon, math.Inf(1)},
	} {
		if !(v.value >= 0 && v.value < v.below) {
			return fmt.Errorf("optim: %s is %v; want a number from 0 to below %v", v.name, v.value, v.below)
		}
	}
	return nil
}

// descent applies a rule to its weights, seen as one long vector so that the work splits evenly.
type descent struct {
	rule   rule
	config Config
	params []Param
	memory []memory
	starts []int     // offset of each weight in the long vector, and its length
	count  []float32 // steps taken: exact up to 2²⁴ of them, where every bias correction has long become 1
	pool   *parallel.Pool

	rate float64   // of the step being taken
	k    constants // the same
	body func(lo, hi int)
}

// grain is the least number of elements worth handing to a worker.
const grain = 1 << 14

func (d *descent) Step(rate float64) {
	d.count[0]++
	d.rate = rate
	d.k = d.rule.constants(d.config, rate, float64(d.count[0]))
	d.pool.For(d.starts[len(d.params)], grain, d.body)
}

// span moves the elements [lo, hi) of the long vector.
func (d *descent) span(lo, hi int) {
	i := sort.SearchInts(d.starts, lo+1) - 1
	for ; lo < hi; i++ {
		from, to := lo-d.starts[i], min(hi, d.starts[i+1])-d.starts[i]
		lo = d.starts[i+1]
		if from == to {
			continue
		}
		p, m := d.params[i], d.memory[i]
		for j := range d.rule.slots {
			m[j] = m[j][from:to]
		}
		k := d.k
		k.decay = float32(p.WeightDecay)
		k.shrink = float32(1 - d.rate*p.WeightDecay)
		d.rule.update(k, p.Value[from:to], p.Grad[from:to], m)
	}
}

func (d *descent) State() map[string][]float32 {
	out := map[string][]float32{"step": d.count}
	for i, p := range d.params {
		for j, s := range d.rule.slots {
			out[s.name+"/"+p.Name] = d.memory[i][j]
		}
	}
	return out
}

// known lists the keys of a table.
func known[T any](table map[string]T) string {
	names := make([]string, 0, len(table))
	for n := range table {
		names = append(names, n)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
