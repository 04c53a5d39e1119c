package onnx

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/zoo"
)

// realFiles are the models among the shared test data.
func realFiles(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{"onnx", "cifar-resnet", "mobilenet"} {
		found, err := filepath.Glob(filepath.Join(testkit.Shared(t, "data/"+dir), "*.onnx"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no models in %s: %v", dir, err)
		}
		files = append(files, found...)
	}
	return files
}

func encoded(t testing.TB, g *ir.Graph) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Encode(&buf, g); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// roundTrip encodes g, and decodes and encodes that again.
func roundTrip(t testing.TB, g *ir.Graph) {
	t.Helper()
	raw := encoded(t, g)
	back, err := Decode(raw, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.EqualGraphs(g, back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, back), raw) {
		t.Fatal("encoding what was decoded gave other bytes")
	}
}

func TestRealFilesSurviveARoundTrip(t *testing.T) {
	for _, path := range realFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			g, err := ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, g)
			copied := filepath.Join(t.TempDir(), "copy.onnx")
			if err := WriteFile(copied, g); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(copied)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(raw, encoded(t, g)) {
				t.Fatal("WriteFile and Encode differ")
			}
		})
	}
}

func TestZooNetworksSurviveARoundTrip(t *testing.T) {
	for _, m := range zoo.List() {
		if testing.Short() && m.Input > 32 {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			g, err := zoo.Build(m.Name + ":width=0.25")
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, g)
		})
	}
}

func TestRandomNetworksSurviveARoundTrip(t *testing.T) {
	for seed := range uint64(200) {
		g := testkit.RandomConvNet(rand.New(rand.NewPCG(seed, 0)))
		raw := encoded(t, g)
		back, err := Decode(raw, Options{})
		if err == nil {
			err = ir.EqualGraphs(g, back)
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
