package ortcheck_test

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/ortcheck"
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
			got, err := ortcheck.Engine(g, inputs)
			if err != nil {
				t.Fatal(err)
			}
			want := ortcheck.Run(t, path, inputs)
			ortcheck.Same(t, got, want, ortcheck.Tolerance)
			ortcheck.Same(t, ortcheck.Run(t, ortcheck.Write(t, g), inputs), want, 0) // as this project writes it
		})
	}
}
