package lint

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/program"
)

// Operators of a graph have rows in ir, space and program, operations of a program rows in engine; the tests of those packages hold
// the tables against each other. What is left is the table of gradients.

// forwardOnly are the operations that a network may run and that have no gradient, with the reason.
var forwardOnly = map[program.Op]string{
	program.Arg:        "a position does not change where it can be differentiated",
	program.Suppress:   "which boxes are left does not change where it can be differentiated",
	program.NonZero:    "positions do not change where they can be differentiated",
	program.PadReflect: "no network of this project trains through a mirrored edge",
}

// derived are operations that only gradients use, beside those whose name ends in .grad, and what passes add when gradients are taken.
var derived = []program.Op{program.ConvData, program.ConvWeight, program.SumProduct, program.ConvPack, program.Fold}

func TestEveryOperationHasAGradientOrAReason(t *testing.T) {
	differentiable := program.Differentiable()
	found := 0
	for _, s := range sources(t) {
		if s.name != "internal/program/ops.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Op" {
				return true
			}
			for _, v := range spec.Values {
				name, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				found++
				op := program.Op(name)
				has := slices.Contains(differentiable, op)
				_, excused := forwardOnly[op]
				switch {
				case strings.HasSuffix(name, ".grad") || slices.Contains(derived, op):
				case !has && !excused:
					t.Errorf("%s: operation %s has no gradient and no reason for that", s.at(spec), op)
				case has && excused:
					t.Errorf("%s: operation %s is said to have no gradient and has one", s.at(spec), op)
				}
			}
			return true
		})
	}
	if found < len(differentiable) {
		t.Errorf("%d operations found in the source, fewer than the %d with a gradient", found, len(differentiable))
	}
}
