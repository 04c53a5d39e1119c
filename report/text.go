package report

import (
	"fmt"
	"io"
)

// WriteText writes what a search found: costs, what is left of each group and, where it was measured, the accuracy.
func (r SearchResult) WriteText(w io.Writer) error {
	if err := r.costs().WriteText(w); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := r.groups().WriteText(w); err != nil || r.Score == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\ntop-1 on the test samples %s (%d of %d)\n", Percent(r.Top1), r.Correct, r.Total)
	return err
}
