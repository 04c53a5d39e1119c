package search

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dms-go/dms/cost"
)

// ErrBudgetTooSmall means that even the smallest structure the space allows costs more than the budget.
var ErrBudgetTooSmall = errors.New("search: budget too small")

// Budget is the most that one metric of the final network may reach.
//
// It is written METRIC=AMOUNT: an amount is a share of the original ("macs=50%") or a number with an optional decimal suffix
// K, M, G or B ("macs=300M", "params=5.4B", "bytes=2G"; G and B are both 10⁹), or for latency a time ("latency=3ms").
type Budget struct {
	Metric cost.Metric
	Share  float64 // of the original, in (0, 1]; 0 when Amount is set
	Amount int64   // MACs, parameters, bytes or nanoseconds of one sample; 0 when Share is set
}

var metricNames = []struct {
	name   string
	metric cost.Metric
}{
	{"macs", cost.MACs},
	{"params", cost.Params},
	{"bytes", cost.Bytes},
	{"latency", cost.Latency},
}

// MetricName is the word for a metric on the command line, in JSON and in messages.
func MetricName(k cost.Metric) string {
	for _, m := range metricNames {
		if m.metric == k {
			return m.name
		}
	}
	return fmt.Sprintf("metric(%d)", k)
}

// ParseBudget reads one budget as a user writes it.
func ParseBudget(text string) (Budget, error) {
	name, amount, found := strings.Cut(text, "=")
	if !found {
		return Budget{}, fmt.Errorf("search: budget %q: want METRIC=AMOUNT, such as macs=50%% or params=5.4M", text)
	}
	name = strings.ToLower(strings.TrimSpace(name))
	b := Budget{}
	known := false
	for _, m := range metricNames {
		if m.name == name {
			b.Metric, known = m.metric, true
		}
	}
	if !known {
		return Budget{}, fmt.Errorf("search: budget %q: unknown metric %q; known are macs, params, bytes and latency", text, name)
	}
	amount = strings.TrimSpace(amount)
	if share, ok := strings.CutSuffix(amount, "%"); ok {
		v, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
		if err != nil || !(v > 0 && v <= 100) {
			return Budget{}, fmt.Errorf("search: budget %q: a share lies above 0%% and is at most 100%%", text)
		}
		b.Share = v / 100
		return b, nil
	}
	if b.Metric == cost.Latency {
		d, err := time.ParseDuration(amount)
		if err != nil || d < time.Microsecond || d > time.Hour {
			return Budget{}, fmt.Errorf("search: budget %q: want a share such as 60%% or a time from 1us to 1h such as 3ms", text)
		}
		b.Amount = int64(d)
		return b, nil
	}
	scale := 1.0
	if n := len(amount); n > 0 {
		switch amount[n-1] {
		case 'k', 'K':
			scale = 1e3
		case 'm', 'M':
			scale = 1e6
		case 'g', 'G', 'b', 'B':
			scale = 1e9
		}
		if scale > 1 {
			amount = amount[:n-1]
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(amount), 64)
	if err != nil || !(v*scale >= 1 && v*scale < 1e18) {
		return Budget{}, fmt.Errorf("search: budget %q: want a share such as 50%% or a number from 1 to 1e18 such as 300M", text)
	}
	b.Amount = int64(math.Round(v * scale))
	return b, nil
}

// String is the budget in the form ParseBudget reads.
func (b Budget) String() string {
	if b.Share > 0 {
		return fmt.Sprintf("%s=%s%%", MetricName(b.Metric), strconv.FormatFloat(b.Share*100, 'g', -1, 64))
	}
	if b.Metric == cost.Latency {
		return fmt.Sprintf("%s=%v", MetricName(b.Metric), time.Duration(b.Amount))
	}
	return fmt.Sprintf("%s=%d", MetricName(b.Metric), b.Amount)
}

// MarshalText and UnmarshalText write a budget in settings files the way a user would.
func (b Budget) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b *Budget) UnmarshalText(text []byte) error {
	v, err := ParseBudget(string(text))
	if err == nil {
		*b = v
	}
	return err
}

// target is the budget of one metric as numbers: what the whole network costs and what the final one may cost.
type target struct {
	metric      cost.Metric
	full, final int64
	clock       *clock // of latency
}

// eval is the cost at soft masks; it adds the derivative by the masks to grad, where that is not nil.
func (t target) eval(m *cost.Model, masks, grad [][]float64) float64 {
	if t.clock != nil {
		return t.clock.eval(masks, grad)
	}
	return m.Eval(t.metric, masks, grad)
}

// resolve turns budgets into numbers for a network whose cost is full. One metric may be named once.
// c tells times, where a budget asks for it.
func resolve(budgets []Budget, full cost.Cost, c *clock) ([]target, error) {
	if len(budgets) == 0 {
		return nil, errors.New("search: no budget; give at least one, such as macs=50%")
	}
	var out []target
	for _, b := range budgets {
		t := target{metric: b.Metric, full: amount(full, b.Metric), final: b.Amount}
		if b.Metric == cost.Latency {
			t.full, t.clock = int64(c.full), c
		}
		if b.Share > 0 {
			t.final = int64(b.Share * float64(t.full))
		}
		for _, o := range out {
			if o.metric == t.metric {
				return nil, fmt.Errorf("search: two budgets for %s; give one", MetricName(t.metric))
			}
		}
		if t.full <= 0 {
			return nil, fmt.Errorf("search: budget %s: the network has no %s to save", b, MetricName(b.Metric))
		}
		out = append(out, t)
	}
	return out, nil
}

func amount(c cost.Cost, k cost.Metric) int64 {
	switch k {
	case cost.MACs:
		return c.MACs
	case cost.Params:
		return c.Params
	default:
		return c.Bytes
	}
}

// phase is a range of steps.
type phase struct {
	begin, end int
	sudden     bool // no fall: the budget is the target from the first step of the phase
}

// fall is the phase of a search in which the target falls from the full cost to the budget.
func fall(cfg Config, steps int) phase {
	return phase{int(cfg.HoldShare * float64(steps)), max(1, int(cfg.DecayShare*float64(steps))), cfg.SuddenBudget}
}

// at is the target of the schedule at a step, x being the part of the fall that has passed: r_full^(1−x) · r_final^x, r_full before and r_final after it
// (arXiv 2405.07194, resource constraint scheduling).
func (t target) at(step int, fall phase) float64 {
	if step >= fall.end || t.final >= t.full {
		return float64(t.final)
	}
	if step < fall.begin {
		return float64(t.full)
	}
	if fall.sudden {
		return float64(t.final)
	}
	x := float64(step-fall.begin) / float64(fall.end-fall.begin)
	return math.Exp((1-x)*math.Log(float64(t.full)) + x*math.Log(float64(t.final)))
}
