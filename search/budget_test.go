package search

import (
	"math"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
)

func TestParseBudgetReadsSharesAndAmounts(t *testing.T) {
	for _, c := range []struct {
		text string
		want Budget
	}{
		{"macs=50%", Budget{Metric: cost.MACs, Share: 0.5}},
		{"MACs = 33.3 %", Budget{Metric: cost.MACs, Share: 0.333}},
		{"macs=300M", Budget{Metric: cost.MACs, Amount: 300e6}},
		{"params=5.4B", Budget{Metric: cost.Params, Amount: 5400e6}},
		{"bytes=2g", Budget{Metric: cost.Bytes, Amount: 2e9}},
		{"params=64k", Budget{Metric: cost.Params, Amount: 64e3}},
		{"latency=60%", Budget{Metric: cost.Latency, Share: 0.6}},
		{"latency=3ms", Budget{Metric: cost.Latency, Amount: 3e6}},
		{"params=1234", Budget{Metric: cost.Params, Amount: 1234}},
	} {
		got, err := ParseBudget(c.text)
		if err != nil || got.Metric != c.want.Metric || math.Abs(got.Share-c.want.Share) > 1e-12 || got.Amount != c.want.Amount {
			t.Errorf("ParseBudget(%q) = %+v, %v, want %+v", c.text, got, err, c.want)
		}
		again, err := ParseBudget(got.String())
		if err != nil || again != got {
			t.Errorf("%q: written as %q, read back as %+v, %v", c.text, got, again, err)
		}
	}
}

func TestParseBudgetRefusesWhatMakesNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"":             "METRIC=AMOUNT",
		"macs":         "METRIC=AMOUNT",
		"flops=50%":    "unknown metric",
		"latency=3":    "a time from 1us",
		"latency=1ns":  "a time from 1us",
		"macs=0%":      "above 0%",
		"macs=101%":    "at most 100%",
		"macs=NaN%":    "share",
		"macs=-3M":     "number",
		"macs=1e30":    "number",
		"macs=NaN":     "number",
		"macs=M":       "number",
		"params=12x":   "number",
		"params=1e400": "number",
	} {
		if b, err := ParseBudget(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseBudget(%q) = %+v, %v; want an error with %q", text, b, err, want)
		}
	}
}

func TestResolveRefusesOneMetricTwice(t *testing.T) {
	full := cost.Cost{MACs: 1000, Params: 100, Bytes: 10}
	if _, err := resolve([]Budget{{Metric: cost.MACs, Share: 0.5}, {Metric: cost.MACs, Amount: 3}}, full, nil); err == nil {
		t.Error("two MACs budgets were accepted")
	}
	got, err := resolve([]Budget{{Metric: cost.MACs, Share: 0.5}, {Metric: cost.Params, Amount: 70}}, full, nil)
	if err != nil || len(got) != 2 || got[0].final != 500 || got[1].final != 70 || got[1].full != 100 {
		t.Errorf("resolve = %+v, %v", got, err)
	}
}

func TestScheduleFallsExponentiallyFromFullToFinal(t *testing.T) {
	v := target{full: 1600, final: 400}
	for _, c := range []struct {
		fall phase
		step int
		want float64
	}{
		{phase{begin: 0, end: 10}, 0, 1600}, {phase{begin: 0, end: 10}, 5, 800}, {phase{begin: 0, end: 10}, 10, 400}, {phase{begin: 0, end: 10}, 11, 400},
		{phase{begin: 4, end: 10}, 3, 1600}, {phase{begin: 4, end: 10}, 4, 1600}, {phase{begin: 4, end: 10}, 7, 800}, {phase{begin: 4, end: 10}, 10, 400},
		{phase{begin: 10, end: 10}, 9, 1600}, {phase{begin: 10, end: 10}, 10, 400},
		{phase{begin: 0, end: 10, sudden: true}, 0, 400}, {phase{begin: 4, end: 10, sudden: true}, 3, 1600}, {phase{begin: 4, end: 10, sudden: true}, 4, 400},
	} {
		if got := v.at(c.step, c.fall); math.Abs(got-c.want) > 1e-9*c.want {
			t.Errorf("target at step %d of a fall from %d to %d = %v, want %v", c.step, c.fall.begin, c.fall.end, got, c.want)
		}
	}
}
