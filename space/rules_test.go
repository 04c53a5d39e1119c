package space_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

func TestEveryOperatorWithShapesHasARule(t *testing.T) {
	for _, op := range ir.Operators() {
		if !strings.HasPrefix(op, ir.DomainDMS+".") && !space.Known(op) {
			t.Errorf("%s has a row in ir and none in space", op)
		}
	}
	for _, op := range space.Operators() {
		if !ir.Known(op, "") {
			t.Errorf("%s has a row in space and none in ir", op)
		}
	}
}

// TestFindKnowsWhatOperatorsHandOn: which elements there are around single operators. That they are the right ones is held by the tests of package masked.
func TestFindKnowsWhatOperatorsHandOn(t *testing.T) {
	for _, r := range nets.Rules() {
		g, err := r.Graph(1)
		if err != nil {
			t.Fatal(err)
		}
		s := find(t, g, space.Options{})
		if got := widths(s); !slices.Equal(got, r.Groups) {
			t.Errorf("%s: groups %q, want %q; frozen: %+v", r.Name, got, r.Groups, s.Frozen)
		}
	}
}
