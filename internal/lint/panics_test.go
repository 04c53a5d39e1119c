package lint

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayPanic names the exported functions whose documentation announces a panic: a slice of the wrong length is the caller's fault and
// shows in the first test.
var mayPanic = []string{"ir.Tensor.SetFloats"}

// hands over what a worker's function panicked with to the goroutine that called it.
var panicsOn = []string{"internal/parallel.Pool.run"}

func TestPanicsStayInside(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, decl := range s.file.Decls {
			function := s.pkg
			if f, ok := decl.(*ast.FuncDecl); ok {
				function += "." + receiver(f) + f.Name.Name
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "panic" || len(call.Args) != 1 {
					return true
				}
				if !strings.HasPrefix(s.pkg, "internal/") && !slices.Contains(mayPanic, function) {
					t.Errorf("%s: %s panics; return an error, or announce the panic and name the function in mayPanic", s.at(call), function)
				}
				if text := message(call.Args[0]); !strings.HasPrefix(text, s.file.Name.Name+": ") && !slices.Contains(panicsOn, function) {
					t.Errorf("%s: the text %q of a panic begins with the name of its package", s.at(call), text)
				}
				return true
			})
		}
	}
}

// receiver is the type of a method's receiver and a point, "" for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	x := f.Recv.List[0].Type
	for {
		switch v := x.(type) {
		case *ast.StarExpr:
			x = v.X
		case *ast.IndexExpr:
			x = v.X
		case *ast.IndexListExpr:
			x = v.X
		case *ast.Ident:
			return v.Name + "."
		default:
			return ""
		}
	}
}

// message is the text that an expression begins with: a literal, or the first argument of a call such as Sprintf.
func message(x ast.Expr) string {
	switch v := x.(type) {
	case *ast.BasicLit:
		if v.Kind == token.STRING {
			s, _ := strconv.Unquote(v.Value)
			return s
		}
	case *ast.BinaryExpr:
		return message(v.X)
	case *ast.CallExpr:
		if len(v.Args) > 0 {
			return message(v.Args[0])
		}
	}
	return ""
}

// TestOnlyTheCommandEndsTheProcess keeps deferred work running: an exit from a package would leave temporary files and half a run.
func TestOnlyTheCommandEndsTheProcess(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || strings.HasPrefix(s.pkg, "cmd/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "os" && sel.Sel.Name == "Exit" || x.Name == "log" && strings.HasPrefix(sel.Sel.Name, "Fatal")) {
				t.Errorf("%s: %s.%s; return an error", s.at(sel), x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}
