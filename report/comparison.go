package report

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"github.com/dms-go/dms/cost"
)

// Comparison is several networks beside each other. The first is what the others are compared with.
type Comparison struct {
	Title string  `json:"title,omitempty"`
	Rows  []Entry `json:"networks"`
}

// Entry is one network of a comparison.
type Entry struct {
	Name     string
	Accuracy float64 // top-1, share in [0, 1]; NaN when not measured
	Cost     cost.Cost
	Latency  time.Duration // of one sample; 0 when not measured
}

// entryJSON is an Entry as JSON, whose numbers know no NaN: what was not measured is left out.
type entryJSON struct {
	Name string   `json:"name"`
	Top1 *float64 `json:"top1,omitempty"`
	cost.Cost
	LatencyMS float64 `json:"latency_ms,omitempty"`
}

// MarshalJSON writes name, top1, macs, params, bytes and latency_ms.
func (e Entry) MarshalJSON() ([]byte, error) {
	v := entryJSON{Name: e.Name, Cost: e.Cost, LatencyMS: float64(e.Latency) / float64(time.Millisecond)}
	if !math.IsNaN(e.Accuracy) {
		v.Top1 = &e.Accuracy
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *Entry) UnmarshalJSON(data []byte) error {
	var v entryJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*e = Entry{Name: v.Name, Accuracy: math.NaN(), Cost: v.Cost, Latency: time.Duration(v.LatencyMS * float64(time.Millisecond))}
	if v.Top1 != nil {
		e.Accuracy = *v.Top1
	}
	return nil
}

// Table is the comparison as a table for people, with MACs and parameters also as shares of the first network's. Latencies are left
// out when nobody measured any.
func (c Comparison) Table() *Table {
	t := &Table{Title: c.Title, Columns: []string{"network", "top-1", "MACs", "", "params", ""}}
	timed := false
	for _, e := range c.Rows {
		timed = timed || e.Latency != 0
	}
	if timed {
		t.Columns = append(t.Columns, "latency")
	}
	for _, e := range c.Rows {
		first := c.Rows[0].Cost
		row := []string{
			e.Name, Percent(e.Accuracy),
			Count(e.Cost.MACs), Percent(share(e.Cost.MACs, first.MACs)),
			Count(e.Cost.Params), Percent(share(e.Cost.Params, first.Params)),
		}
		switch {
		case !timed:
		case e.Latency == 0:
			row = append(row, notMeasured)
		default:
			row = append(row, Duration(e.Latency))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// WriteText writes the comparison as a table.
func (c Comparison) WriteText(w io.Writer) error { return c.Table().WriteText(w) }

// WriteJSON writes the comparison as one indented JSON object.
func (c Comparison) WriteJSON(w io.Writer) error { return writeJSON(w, c) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
