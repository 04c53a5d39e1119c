package report

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dms-go/dms/cost"
)

var twoNetworks = Comparison{
	Title: "glyphs",
	Rows: []Entry{
		{Name: "original", Accuracy: 0.9731, Cost: cost.Cost{MACs: 40_813_184, Params: 272_474, Bytes: 900_000}, Latency: 3210 * time.Microsecond},
		{Name: "searched", Accuracy: math.NaN(), Cost: cost.Cost{MACs: 20_400_000, Params: 130_000, Bytes: 500_000}},
	},
}

func TestComparisonShowsSharesOfTheFirstNetwork(t *testing.T) {
	var b strings.Builder
	if err := twoNetworks.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `glyphs
network   top-1    MACs          params          latency
original  97.3%  40.8 M  100.0%   272 k  100.0%  3.21 ms
searched      –  20.4 M   50.0%   130 k   47.7%        –
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestComparisonAsJSONLeavesOutWhatWasNotMeasured(t *testing.T) {
	var b strings.Builder
	if err := twoNetworks.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"title": "glyphs",
		"networks": []any{
			map[string]any{"name": "original", "top1": 0.9731, "macs": 40_813_184.0, "params": 272_474.0, "bytes": 900_000.0, "latency_ms": 3.21},
			map[string]any{"name": "searched", "macs": 20_400_000.0, "params": 130_000.0, "bytes": 500_000.0},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	var again Comparison
	if err := json.Unmarshal([]byte(b.String()), &again); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(again.Rows[1].Accuracy) {
		t.Errorf("an accuracy nobody measured came back as %v", again.Rows[1].Accuracy)
	}
	again.Rows[1].Accuracy = 0
	wantRows := []Entry{twoNetworks.Rows[0], twoNetworks.Rows[1]}
	wantRows[1].Accuracy = 0
	if !reflect.DeepEqual(again.Rows, wantRows) {
		t.Errorf("got back %+v, want %+v", again.Rows, wantRows)
	}
}

func TestComparisonWithoutNetworksIsATableWithoutRows(t *testing.T) {
	var b strings.Builder
	if err := (Comparison{}).WriteText(&b); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("got %q, %v", b.String(), err)
	}
}
