// Package testkit holds what tests of several packages share: test data, tolerances and random networks. Only tests import it.
package testkit

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Shared is the path of a file or folder of the shared test data, such as "data/onnx/mnist8.onnx". The data lies in $DMS_SHARED or
// beside the repository, in ../shared; where it does not, the test is skipped.
func Shared(t testing.TB, rel string) string {
	t.Helper()
	dir := os.Getenv("DMS_SHARED")
	if dir == "" {
		root, err := root()
		if err != nil {
			t.Skipf("shared test data: %v; set DMS_SHARED to its folder", err)
		}
		dir = filepath.Join(root, "..", "shared")
	}
	path := filepath.Join(dir, filepath.FromSlash(rel))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("shared test data: %v; set DMS_SHARED to its folder", err)
	}
	return path
}

// root is the folder of this module's go.mod, found upwards from the working directory, which for a test is its package.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module github.com/dms-go/dms\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod of this module above the working directory")
		}
		dir = up
	}
}

// Close compares two slices. Every element of got must be within rel times the largest magnitude in want of its partner; values
// that are not finite must be equal. The error names the worst element.
func Close(got, want []float32, rel float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d values, want %d", len(got), len(want))
	}
	largest := 0.0
	for _, w := range want {
		if a := math.Abs(float64(w)); a > largest && !math.IsInf(a, 0) {
			largest = a
		}
	}
	worst, at := -1.0, 0
	for i := range got {
		g, w := float64(got[i]), float64(want[i])
		d := math.Abs(g - w)
		switch {
		case g == w || g != g && w != w:
			d = 0
		case d != d || math.IsInf(d, 0):
			return fmt.Errorf("value %d of %d is %v, want %v", i, len(got), g, w)
		}
		if d > worst {
			worst, at = d, i
		}
	}
	if worst > rel*largest {
		return fmt.Errorf("value %d of %d is %v, want %v: off by %.3g, tolerance %.3g (%.3g of the largest magnitude %.3g)",
			at, len(got), got[at], want[at], worst, rel*largest, rel, largest)
	}
	return nil
}
