package lint

import (
	"bytes"
	"go/format"
	"path"
	"regexp"
	"strings"
	"testing"
)

func TestEveryGoFileIsFormatted(t *testing.T) {
	for _, name := range files(t) {
		if !strings.HasSuffix(name, ".go") || strings.Contains(name, "/testdata/") {
			continue
		}
		raw := read(t, name)
		want, err := format.Source(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(raw, want) {
			t.Errorf("%s: run gofmt", name)
		}
	}
}

// generated is the line that tells the go tool, and readers, not to edit a file (go help generate).
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// TestGeneratedFilesAreMarkedAndMadeAnew looks both ways: assembly and *_gen.go are generated and say so, and whatever says so is
// among the files that .ci/gen.sh makes anew and compares.
func TestGeneratedFilesAreMarkedAndMadeAnew(t *testing.T) {
	script := string(read(t, ".ci/gen.sh"))
	for _, name := range files(t) {
		ext := path.Ext(name)
		if ext != ".go" && ext != ".s" {
			continue
		}
		marked := generated.Match(head(read(t, name)))
		if must := ext == ".s" || strings.HasSuffix(name, "_gen.go"); must && !marked {
			t.Errorf("%s: a generated file without the line that says so", name)
		}
		if marked && !strings.Contains(script, path.Base(name)) {
			t.Errorf("%s: says that it is generated, and .ci/gen.sh does not make it anew", name)
		}
	}
}

// head is the first kilobyte, where the line must stand.
func head(raw []byte) []byte { return raw[:min(len(raw), 1024)] }

func TestScriptsStopAtTheFirstError(t *testing.T) {
	for _, name := range files(t) {
		if path.Dir(name) != ".ci" {
			continue
		}
		if raw := string(read(t, name)); strings.HasPrefix(raw, "#!") && !strings.Contains(raw, "\nset -eu") {
			t.Errorf("%s: has no \"set -eu\"", name)
		}
	}
}
