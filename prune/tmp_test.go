package prune_test

import (
	"errors"
	"reflect"

	"github.com/dms-go/dms/ir"
)

func equalForNow(a, b *ir.Graph) error {
	if !reflect.DeepEqual(a, b) {
		return errors.New("differ")
	}
	return nil
}
