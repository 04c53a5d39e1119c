package lint

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Pages that nobody runs go out of date unnoticed, so what they name is looked up: packages, tests, and files behind links.

var (
	namedTest = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]+\b`)
	link      = regexp.MustCompile(`\]\(([^)#:]+)\)`) // not to other sites, which have a colon
)

func TestPagesNameWhatExists(t *testing.T) {
	names := files(t)
	tests := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test() {
				tests[f.Name.Name] = true
			}
		}
	}
	for _, name := range names {
		if path.Ext(name) != ".md" {
			continue
		}
		raw := read(t, name)
		for _, at := range namedTest.FindAllIndex(raw, -1) {
			if test := string(raw[at[0]:at[1]]); !tests[test] {
				t.Errorf("%s:%d: there is no %s", name, line(raw, at[0]), test)
			}
		}
		for _, at := range link.FindAllSubmatchIndex(raw, -1) {
			target := path.Join(path.Dir(name), string(raw[at[2]:at[3]]))
			if !slices.ContainsFunc(names, func(n string) bool { return n == target || strings.HasPrefix(n, target+"/") }) {
				t.Errorf("%s:%d: there is no %s", name, line(raw, at[0]), target)
			}
		}
	}
}

func TestTheDesignHasAParagraphOnEveryPackage(t *testing.T) {
	page := string(read(t, "docs/design.md"))
	for _, l := range layers {
		name := l.pkg
		switch name {
		case ".":
			name = path.Base(module)
		case "internal/testkit/nets": // in that of testkit
			continue
		}
		if !strings.Contains(page, "**"+name+"**") {
			t.Errorf("docs/design.md has nothing on **%s**", name)
		}
	}
}
