package lint

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/testkit/operators"
	"github.com/dms-go/dms/ir"
)

var update = flag.Bool("update", false, "write docs/operators.md anew")

const operatorsHead = `# Operators

What is known of each operator of ONNX, in operator sets 8 to 23. An operator that is not listed is kept in a file as it stands, and
what it touches is not cut. TestDocsListEveryOperator writes this page from the tables of the program.

- **shape**: its results have types and shapes, in which batch, height, width and lengths may stay symbols.
- **runs**: the engine computes it, or it is computed before the engine runs.
- **gradient**: it can be trained through; the gradient is held against finite differences.
- **compared**: a case of its own agrees with ONNX Runtime. Many of the others are compared as parts of whole networks.

Whole numbers and truth values are computed in floating point: exact up to ±2²⁴, NaN beyond. Not supported are: convolutions and pools
over three axes; the positions of a MaxPool; Resize with tf_crop_and_resize; Einsum with an ellipsis, a repeated letter or more than two
operands; scatters whose indices are smaller than the data beside their axis; layer norms whose parameters differ from row to row; the
matrix of products as an output of Attention; and computing with what NonMaxSuppression or NonZero found.

| operator | shape | runs | gradient | compared |
|---|---|---|---|---|
`

// opsOf are the operators of a case.
func opsOf(t *testing.T, c operators.Case) []string {
	var ops []string
	for line := range strings.SplitSeq(c.Graph, "\n") {
		if _, call, ok := strings.Cut(line, " = "); ok {
			if op, _, ok := strings.Cut(call, "("); ok && !strings.ContainsAny(op, " -") {
				ops = append(ops, op)
			}
		}
	}
	return ops
}

func TestDocsListEveryOperator(t *testing.T) {
	compared := map[string]bool{"NonMaxSuppression": true, "NonZero": true} // in a test of their own
	for _, c := range operators.All() {
		for _, op := range opsOf(t, c) {
			if !ir.Known(op, "") {
				t.Errorf("case %q: %q is no operator", c.Name, op)
			}
			compared[op] = compared[op] || c.NoORT == ""
		}
	}
	mark := func(on bool) string {
		if on {
			return "yes"
		}
		return ""
	}
	var page bytes.Buffer
	page.WriteString(operatorsHead)
	for _, op := range ir.Operators() {
		if strings.HasPrefix(op, ir.DomainDMS+".") {
			continue
		}
		runs := program.Lowers(op, "")
		how := mark(runs)
		if slices.Contains(foldedAway, op) {
			how = "before"
		}
		fmt.Fprintf(&page, "| %s | yes | %s | %s | %s |\n", op, how, mark(runs && !slices.Contains(withoutGradient, op)), mark(compared[op]))
	}
	for _, op := range withoutGradient {
		if !program.Lowers(op, "") {
			t.Errorf("%s is said to have no gradient and does not even run", op)
		}
	}
	path := filepath.Join(root, "docs", "operators.md")
	if *update {
		if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have := read(t, "docs/operators.md"); !bytes.Equal(have, page.Bytes()) {
		t.Error("docs/operators.md is not what the tables say; run this test with -update and look at the difference")
	}
}

// withoutGradient are operators that run and that no gradient passes: positions and truth values, and what no network here trains
// through.
var withoutGradient = strings.Fields(`And ArgMax ArgMin Equal Greater GreaterOrEqual Hardmax IsNaN Less LessOrEqual Mod NonMaxSuppression NonZero
	Not Or ReduceProd Xor`)

// foldedAway are operators that make constants or read sizes.
var foldedAway = strings.Fields("Constant ConstantOfShape Range Shape Size")
