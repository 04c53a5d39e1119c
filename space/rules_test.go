package space_test

import (
	"strings"
	"testing"

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
