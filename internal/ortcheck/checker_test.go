package ortcheck_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/onnx"
)

// checked runs ONNX's own checker, with its shape inference, over a file.
func checked(t *testing.T, path string) {
	t.Helper()
	const script = `import sys, onnx; onnx.checker.check_model(sys.argv[1], full_check=True)`
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-I", "-c", "import onnx.checker").Run() != nil {
			continue
		}
		if out, err := exec.Command(python, "-I", "-c", script, path).CombinedOutput(); err != nil {
			t.Errorf("onnx.checker: %v: %s", err, out)
		}
		return
	}
	t.Skip("no python3 with the package onnx")
}

// TestWrittenFilesPassTheChecker writes every real file anew, whole and pruned.
func TestWrittenFilesPassTheChecker(t *testing.T) {
	for i, path := range realFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".onnx"), func(t *testing.T) {
			g, err := onnx.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checked(t, ortcheck.Write(t, g))
			small := pruned(t, g, uint64(i))
			checked(t, ortcheck.Write(t, small))
			for k, in := range g.Inputs {
				if s := small.Inputs[k]; s.Name != in.Name || s.DType != in.DType || s.Shape.String() != in.Shape.String() {
					t.Errorf("input %v became %v", in, s)
				}
			}
			for k, out := range g.Outputs {
				if s := small.Outputs[k]; s.Name != out.Name || s.DType != out.DType || s.Shape.String() != out.Shape.String() {
					t.Errorf("output %v became %v", out, s)
				}
			}
			if small.Opset("") != g.Opset("") || small.IRVersion != g.IRVersion || small.Producer != g.Producer {
				t.Errorf("opset %d, IR version %d, producer %q became %d, %d, %q", g.Opset(""), g.IRVersion, g.Producer, small.Opset(""), small.IRVersion, small.Producer)
			}
			names := map[string]bool{}
			for _, n := range g.Nodes {
				names[n.Name] = true
			}
			for _, n := range small.Nodes {
				if n.Name != "" && !names[n.Name] {
					t.Logf("node %q is new", n.Name)
				}
			}
		})
	}
}
