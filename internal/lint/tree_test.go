// Package lint keeps the rules that hold for the whole tree as tests: which package may import which, where a panic may stand, what
// no file may say, and that every file is formatted. It has no code of its own.
package lint

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dms-go/dms"

// root is the folder of the module, seen from this package.
var root = filepath.Join("..", "..")

// files lists the files of the project with slashes, relative to the module: what git keeps, so that scratch files are nobody's
// business until they are added. Without git it is everything but what begins with a point; of .ci it is the scripts.
func files(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil {
		var names []string
		for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
			if _, err := os.Stat(filepath.Join(root, name)); err == nil { // one that was just deleted is gone
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			return names
		}
	}
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		installed := strings.HasPrefix(name, ".ci/") && d.IsDir()
		if hidden := strings.HasPrefix(d.Name(), ".") && name != "." && name != ".ci"; hidden || installed {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// source is a parsed Go file.
type source struct {
	name string // relative to the module
	pkg  string // folder relative to the module, "." for the module's own
	file *ast.File
	fset *token.FileSet
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// at is the place of a node for a message.
func (s source) at(n ast.Node) string { return s.fset.Position(n.Pos()).String() }

// sources parses every Go file of the module; the generator of the kernels, a module of its own, is not among them.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	for _, name := range files(t) {
		if !strings.HasSuffix(name, ".go") || slices.ContainsFunc(strings.Split(path.Dir(name), "/"), apart) {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, read(t, name), parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		out = append(out, source{name, path.Dir(name), file, fset})
	}
	if len(out) < 100 {
		t.Fatalf("only %d Go files found; is %s the module?", len(out), root)
	}
	return out
}

// apart tells whether the go tool leaves a folder of this name out of the module.
func apart(folder string) bool {
	return strings.HasPrefix(folder, "_") || strings.HasPrefix(folder, ".") && folder != "." || folder == "testdata"
}

// text tells whether a file is meant to be read.
func text(raw []byte) bool { return !bytes.Contains(raw, []byte{0}) }
