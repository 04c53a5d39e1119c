package report

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is text in columns. text/tabwriter aligns all of a table to one side; here columns of numbers stand to the right and words to
// the left.
type Table struct {
	Title   string // "" for none
	Columns []string
	Rows    [][]string // a row may be shorter than Columns, not longer
}

// Add appends one row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// gap is what stands between two columns.
const gap = "  "

// WriteText writes the table with aligned columns, one line a row, without blanks at the ends of lines.
func (t *Table) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	if t.Title != "" {
		b.WriteString(clean(t.Title) + "\n")
	}
	width := make([]int, len(t.Columns))
	right := make([]bool, len(t.Columns))
	lines := append([][]string{t.Columns}, t.Rows...)
	for c := range t.Columns {
		right[c] = t.numbers(c)
		for _, row := range lines {
			if c < len(row) {
				width[c] = max(width[c], utf8.RuneCountInString(clean(row[c])))
			}
		}
	}
	for _, row := range lines {
		var line strings.Builder
		for c := range t.Columns {
			cell := ""
			if c < len(row) {
				cell = clean(row[c])
			}
			pad := strings.Repeat(" ", width[c]-utf8.RuneCountInString(cell))
			if c > 0 {
				line.WriteString(gap)
			}
			if right[c] {
				cell = pad + cell
			} else {
				cell += pad
			}
			line.WriteString(cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.Flush()
}

// numbers tells whether a column holds numbers: at least one, and nothing else but blanks and what was not measured.
func (t *Table) numbers(c int) bool {
	some := false
	for _, row := range t.Rows {
		if c >= len(row) || row[c] == "" || row[c] == notMeasured {
			continue
		}
		if !isNumber(row[c]) {
			return false
		}
		some = true
	}
	return some
}

// isNumber tells whether a cell begins like a number; a unit may follow after a blank or directly.
func isNumber(cell string) bool {
	cell = strings.TrimLeft(cell, "+-−×")
	if cell == "" || cell[0] < '0' || cell[0] > '9' {
		return false
	}
	return len(strings.Fields(cell)) <= 2
}
