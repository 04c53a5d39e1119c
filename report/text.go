package report

import (
	"fmt"
	"io"
	"strconv"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/train"
)

// WriteText writes what a search found: costs, what is left of each group and, where it was measured, the accuracy.
func (r SearchResult) WriteText(w io.Writer) error { return writeTables(w, r.tables()) }

func (r *SearchResult) tables() []*Table {
	tables := []*Table{r.costs(), r.groups()}
	if r.Score != nil {
		tables = append(tables, score(*r.Score))
	}
	return tables
}

func score(s train.Score) *Table {
	t := &Table{Title: "on the test samples", Columns: []string{"top-1", "correct", "of", "loss"}}
	t.Add(Percent(s.Top1), strconv.Itoa(s.Correct), strconv.Itoa(s.Total), number(s.Loss))
	return t
}

// writeTables writes those that have rows, with a blank line between two.
func writeTables(w io.Writer, tables []*Table) error {
	first := true
	for _, t := range tables {
		if len(t.Rows) == 0 {
			continue
		}
		if !first {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		first = false
		if err := t.WriteText(w); err != nil {
			return err
		}
	}
	return nil
}

// costs compares the network before and after a search with the budgets.
func (r *SearchResult) costs() *Table {
	t := &Table{Title: "cost of one sample", Columns: []string{"", "before", "after", "", "budget"}}
	for _, m := range costMetrics {
		before, after, budget := r.Before.Of(m.metric), r.After.Of(m.metric), ""
		for _, b := range r.Budgets {
			if b.Metric == m.metric {
				target := b.Amount
				if b.Share > 0 {
					target = int64(b.Share * float64(before))
				}
				budget = m.write(target)
			}
		}
		t.Add(search.MetricName(m.metric), m.write(before), m.write(after), Percent(share(after, before)), budget)
	}
	if l := r.Latency; l != nil {
		t.Add(search.MetricName(cost.Latency), Duration(l.Before), Duration(l.After), Percent(share(int64(l.After), int64(l.Before))), Duration(l.Target))
	}
	return t
}

// groups lists what is left of each group.
func (r *SearchResult) groups() *Table {
	t := &Table{Title: "kept", Columns: []string{"group", "kind", "kept", "of", "", ""}}
	if l := r.Latency; l != nil && l.Divisor > 0 {
		t.Title = fmt.Sprintf("kept, in multiples of %d: the clock found others slower", l.Divisor)
	}
	for _, g := range r.Groups {
		if g.Gone {
			t.Add(g.Name, g.Kind, "0", strconv.Itoa(g.N), Percent(0), "went with its block")
			continue
		}
		note := ""
		for _, b := range g.Blocks {
			if b.Kept {
				continue
			}
			if note == "" {
				note = "without " + b.Name
			} else {
				note += ", " + b.Name
			}
		}
		t.Add(g.Name, g.Kind, strconv.Itoa(g.Kept), strconv.Itoa(g.N), Percent(share(int64(g.Kept), int64(g.N))), note)
	}
	return t
}
