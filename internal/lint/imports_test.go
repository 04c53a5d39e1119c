package lint

import (
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layer is a package with all that its code, tests aside, may import beyond the standard library.
type layer struct {
	pkg     string
	imports []string // packages of this module, all of them in rows above
	modules []string // other modules
}

// layers is the direction of the tree, from what knows nothing of the others to the command. A package may only import from rows
// above its own; a new one gets a row, and a new arrow a moment's thought.
var layers = []layer{
	{pkg: "topk"},
	{pkg: "internal/parallel"},
	{pkg: "internal/kernel", modules: []string{"golang.org/x/sys"}},
	{pkg: "internal/gemm", imports: list("internal/kernel internal/parallel")},
	{pkg: "internal/conv", imports: list("internal/kernel internal/parallel")},
	{pkg: "internal/optim", imports: list("internal/parallel")},

	{pkg: "internal/wholefile"},
	{pkg: "ir"},
	{pkg: "onnx", imports: list("ir internal/wholefile"), modules: []string{"google.golang.org/protobuf"}},
	{pkg: "internal/safetensors", imports: list("ir")},
	{pkg: "zoo", imports: list("ir")},
	{pkg: "space", imports: list("ir")},
	{pkg: "cost", imports: list("ir space")},
	{pkg: "prune", imports: list("ir space")},
	{pkg: "internal/masked", imports: list("ir space")},
	{pkg: "internal/program", imports: list("ir internal/conv internal/kernel")}, // of them the shape of a convolution and the names of activations
	{pkg: "internal/engine", imports: list("ir internal/conv internal/gemm internal/kernel internal/parallel internal/program")},
	{pkg: "internal/rundir", imports: list("ir internal/safetensors internal/wholefile"), modules: []string{"golang.org/x/sys"}},

	{pkg: "data", imports: list("internal/parallel"), modules: []string{"golang.org/x/image"}},
	{pkg: "train", imports: list("ir data internal/engine internal/optim internal/parallel internal/program internal/rundir")},
	{pkg: "search", imports: list("ir topk space cost prune data train internal/engine internal/masked internal/rundir")},
	{pkg: "report", imports: list("cost space train search internal/rundir"), modules: []string{"golang.org/x/image", "gonum.org/v1/plot"}},

	{pkg: ".", imports: list("ir onnx zoo space prune data train search internal/safetensors")},
	{pkg: "cmd/dms", imports: list(". ir onnx zoo space cost prune data train search report internal/kernel internal/rundir internal/wholefile"),
		modules: []string{"github.com/goccy/go-yaml", "github.com/schollz/progressbar/v3", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term"}},

	{pkg: "bench", imports: list("ir onnx zoo data space cost topk internal/masked internal/program internal/engine internal/gemm internal/kernel internal/optim internal/parallel train report")},

	{pkg: "internal/testkit", imports: list("ir")},
	{pkg: "internal/testkit/nets", imports: list("ir")},
	{pkg: "internal/testkit/operators", imports: list("ir")},
	{pkg: "internal/ortcheck", imports: list("ir onnx internal/engine internal/parallel internal/program internal/testkit")},
	{pkg: "internal/property"},
	{pkg: "internal/lint"},
}

func list(names string) []string { return strings.Fields(names) }

// onlyTests names the packages that nothing but tests and each other imports.
var onlyTests = []string{"testing", module + "/internal/testkit", module + "/internal/testkit/nets", module + "/internal/testkit/operators", module + "/internal/ortcheck"}

func TestImportsPointDown(t *testing.T) {
	row := map[string]int{}
	for i, l := range layers {
		if _, twice := row[l.pkg]; twice {
			t.Errorf("package %s has two rows", l.pkg)
		}
		for _, below := range l.imports {
			if _, above := row[below]; !above {
				t.Errorf("the row of %s lets it import %s, which has no row above it", l.pkg, below)
			}
		}
		row[l.pkg] = i
	}
	for _, s := range sources(t) {
		i, known := row[s.pkg]
		if !known {
			t.Errorf("%s: package %s has no row in the table of layers", s.name, s.pkg)
			row[s.pkg] = -1
			continue
		}
		if i < 0 || s.test() {
			continue
		}
		for _, spec := range s.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			own, inside := strings.CutPrefix(imported+"/", module+"/")
			own = strings.TrimSuffix(own, "/")
			if own == "" {
				own = "."
			}
			switch {
			case slices.Contains(onlyTests, imported):
				if !slices.Contains(onlyTests, module+"/"+s.pkg) {
					t.Errorf("%s: %s is for tests", s.at(spec), imported)
				}
			case inside:
				if !slices.Contains(layers[i].imports, own) {
					t.Errorf("%s: the row of %s does not let it import %s", s.at(spec), s.pkg, own)
				}
			case strings.Contains(strings.Split(imported, "/")[0], "."):
				if !slices.ContainsFunc(layers[i].modules, func(m string) bool { return strings.HasPrefix(imported+"/", m+"/") }) {
					t.Errorf("%s: the row of %s does not let it import %s", s.at(spec), s.pkg, imported)
				}
			}
		}
	}
}

// TestProgramReachesNoNetwork keeps the promise that models and data stay on the machine: no code opens a connection, starts a
// program of its own accord, or comes with C. The harness beside peers, which is no part of the product, has to start them, and a clock is a command that
// the user gave.
func TestProgramReachesNoNetwork(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || slices.Contains(onlyTests, module+"/"+s.pkg) {
			continue
		}
		starts := s.pkg == "bench" || strings.HasSuffix(s.name, "cmd/dms/clock.go")
		for _, spec := range s.file.Imports {
			switch imported, _ := strconv.Unquote(spec.Path.Value); {
			case imported == "net" || strings.HasPrefix(imported, "net/") || imported == "os/exec" && !starts || imported == "plugin" || imported == "C":
				t.Errorf("%s: imports %s", s.at(spec), imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said, first := map[string]bool{}, map[string]token.Position{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.file.Name.Name, "_test") {
			continue
		}
		if _, seen := first[s.pkg]; !seen {
			first[s.pkg] = s.fset.Position(s.file.Package)
		}
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command "
		}
		if strings.HasPrefix(s.file.Doc.Text(), want) {
			said[s.pkg] = true
		}
	}
	for pkg, at := range first {
		if !said[pkg] {
			t.Errorf("%s: package %s has no doc comment that begins with its name", at, pkg)
		}
	}
}
