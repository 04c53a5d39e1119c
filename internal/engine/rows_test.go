package engine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/dms-go/dms/internal/program"
)

// TestEveryOperationHasARow reads the list of operations from the source that defines it.
func TestEveryOperationHasARow(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../program/ops.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := binders[float32]()
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != "Op" {
			return true
		}
		for _, v := range spec.Values {
			text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found++
			if rows[program.Op(text)] == nil {
				t.Errorf("operation %s has no row", text)
			}
		}
		return true
	})
	if found != len(rows) {
		t.Errorf("%d operations, %d rows", found, len(rows))
	}
}
