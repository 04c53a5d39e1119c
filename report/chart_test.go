package report

import (
	"math"
	"reflect"
	"testing"

	"github.com/dms-go/dms/train"
)

func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		most      int
		want      []float64
	}{
		{0, 1, 4, []float64{0, 0.5, 1}},
		{0, 0.66, 4, []float64{0, 0.2, 0.4, 0.6}},
		{0, 400, 5, []float64{0, 100, 200, 300, 400}},
		{0.835, 0.99, 4, []float64{0.85, 0.9, 0.95}},
		{0, 39e6, 4, []float64{0, 10e6, 20e6, 30e6}},
		{-3, 3, 4, []float64{-2, 0, 2}},
		{7, 7.0001, 4, []float64{7, 7.00005, 7.0001}},
	} {
		if got := ticks(c.low, c.high, c.most); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v to %v: got %v, want %v", c.low, c.high, got, c.want)
		}
	}
}

func TestPlotPlacesPointsAndLeavesGaps(t *testing.T) {
	p := newPlot("t", asNumber, []series{
		{Name: "s", Class: "a", X: []float64{0, 25, 50, 75, 100}, Y: []float64{0, 10, math.NaN(), 20, 5}, Direct: true},
		{Name: "none", X: []float64{0, 1}, Y: []float64{math.Inf(1), 1e300}},
	})
	if len(p.Lines) != 1 || p.Lines[0].Path != "M0 1000L250 500M750 0L1000 750" {
		t.Errorf("lines %+v", p.Lines)
	}
	if p.Scale != "0 100 0 20" || p.Tall {
		t.Errorf("scale %q", p.Scale)
	}
	if want := []mark{{75, "s", "a"}}; !reflect.DeepEqual(p.Labels, want) {
		t.Errorf("labels %+v, want %+v", p.Labels, want)
	}
	if p := newPlot("t", asNumber, []series{{X: []float64{1}, Y: []float64{math.NaN()}}}); p != nil {
		t.Errorf("a chart of nothing: %+v", p)
	}
	if p := newPlot("t", asNumber, []series{{X: []float64{5}, Y: []float64{3}}}); p == nil || len(p.X) == 0 || len(p.Y) == 0 {
		t.Errorf("a chart of one point: %+v", p)
	}
}

func TestLabelsKeepApart(t *testing.T) {
	marks := []mark{{At: 99}, {At: 98}, {At: 10}, {At: 97}}
	spread(marks, 10)
	if want := []mark{{At: 100}, {At: 90}, {At: 10}, {At: 80}}; !reflect.DeepEqual(marks, want) {
		t.Errorf("got %+v, want %+v", marks, want)
	}
}

func TestTraceIsThinnedEvenlyWithBothEnds(t *testing.T) {
	for _, n := range []int{1, 2, maxTrace, maxTrace + 1, 12_345} {
		var at []int
		for i := range n {
			if i == n-1 || onTrace(i, n) {
				at = append(at, i)
			}
		}
		if len(at) < min(n, maxTrace/2) || len(at) > maxTrace+1 || at[0] != 0 || at[len(at)-1] != n-1 {
			t.Errorf("%d lines: %d drawn, from %d to %d", n, len(at), at[0], at[len(at)-1])
		}
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] > n/(maxTrace-1)+1 {
				t.Errorf("%d lines: a gap from %d to %d", n, at[i-1], at[i])
			}
		}
	}
}

func TestThinnerKeepsAStreamEvenlyWithItsEnd(t *testing.T) {
	for n := 1; n <= 300; n++ {
		thin := thinner{most: 8}
		for i := range n {
			thin.add(&train.Metrics{Step: i})
		}
		last := len(thin.lines) - 1
		if len(thin.lines) < min(n, 8) || len(thin.lines) > 16 || thin.lines[0].Step != 0 || thin.lines[last].Step != n-1 {
			t.Fatalf("%d lines: kept %d, from %d to %d", n, len(thin.lines), thin.lines[0].Step, thin.lines[last].Step)
		}
		for i := 1; i < last; i++ {
			if thin.lines[i].Step != i*thin.stride {
				t.Fatalf("%d lines: line %d is %d, want every %d", n, i, thin.lines[i].Step, thin.stride)
			}
		}
	}
}
