package report

import (
	"os"
	"strings"
	"testing"
)

func TestTableAlignsNumbersToTheRightAndWordsToTheLeft(t *testing.T) {
	table := &Table{Title: "two networks", Columns: []string{"network", "MACs", "share", "note"}}
	table.Add("original", "40.8 M", "100.0%")
	table.Add("µ-net", "9.22 k", "–", "3 layers went")
	table.Add("a third", "5")
	var b strings.Builder
	if err := table.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `two networks
network     MACs   share  note
original  40.8 M  100.0%
µ-net     9.22 k       –  3 layers went
a third        5
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTableKeepsControlCharactersFromTheTerminal(t *testing.T) {
	table := &Table{Title: "a\x1b[2Jb", Columns: []string{"c\nd"}, Rows: [][]string{{"e\x07f\u202eg\r"}}}
	var b strings.Builder
	if err := table.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if want := "a�[2Jb\nc�d\ne�f�g�\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func ExampleTable() {
	t := &Table{Columns: []string{"network", "params"}}
	t.Add("resnet20", Count(272_474))
	t.Add("resnet56", Count(855_770))
	t.WriteText(os.Stdout)
	// Output:
	// network   params
	// resnet20   272 k
	// resnet56   856 k
}
