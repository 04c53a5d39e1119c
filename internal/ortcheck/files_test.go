package ortcheck_test

import (
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/onnx"
)

var files = flag.String("files", "", "a folder of models for TestFilesComputeWhatONNXRuntimeDoes")

// TestFilesComputeWhatONNXRuntimeDoes runs models that lie in no repository, such as those that export.py makes, in the engine and in
// ONNX Runtime.
func TestFilesComputeWhatONNXRuntimeDoes(t *testing.T) {
	if *files == "" {
		t.Skip("no folder is given: -files FOLDER")
	}
	found, err := filepath.Glob(filepath.Join(*files, "*.onnx"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no models in %s: %v", *files, err)
	}
	for i, path := range found {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".onnx"), func(t *testing.T) {
			g, err := onnx.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			inputs := ortcheck.RandomInputs(t, g, uint64(i))
			want := ortcheck.Run(t, path, inputs)
			ortcheck.Same(t, ortcheck.Run(t, ortcheck.Write(t, g), inputs), want, 0) // as this project writes it
			got, err := ortcheck.Engine(g, inputs)
			if unsupported := new(program.UnsupportedError); errors.As(err, &unsupported) {
				// What the engine cannot run is kept: the file is still cut, and runs.
				t.Logf("not run: %v", err)
				ortcheck.Run(t, ortcheck.Write(t, pruned(t, g, uint64(i))), inputs)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ortcheck.Same(t, got, want, ortcheck.Tolerance)
		})
	}
}
