package onnx

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

// outside is a model of which the weight w, float32 of shape (2), lies in another file.
func outside(entries ...string) []byte {
	return identity(func(g *parts) {
		g.message(graphInitializer, msg(func(t *parts) {
			t.varint(tensorDims, 2)
			t.varint(tensorType, int64(ir.Float32))
			t.str(tensorName, "w")
			t.varint(tensorLocation, 1)
			for i := 0; i < len(entries); i += 2 {
				t.message(tensorExternal, msg(func(e *parts) { e.str(entryKey, entries[i]); e.str(entryValue, entries[i+1]) }))
			}
		}))
	})
}

func TestExternalData(t *testing.T) {
	const data = "....\x00\x00\x80\x3f\x00\x00\x00\x40" // 1 and 2 from byte 4 on
	above := t.TempDir()
	dir := filepath.Join(above, "model")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "sub"), 0o777),
		os.WriteFile(filepath.Join(above, "secret"), []byte(data), 0o666),
		os.WriteFile(filepath.Join(dir, "w.bin"), []byte(data), 0o666),
		os.WriteFile(filepath.Join(dir, "sub", "w.bin"), []byte(data[4:]), 0o666),
		os.Symlink("../secret", filepath.Join(dir, "out")),
		os.Symlink(filepath.Join(above, "secret"), filepath.Join(dir, "absolute")),
		os.Symlink("..", filepath.Join(dir, "up")),
		os.Symlink("sub/w.bin", filepath.Join(dir, "in")),
		makePipe(filepath.Join(dir, "pipe")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(above, "secret")
	for _, c := range []struct {
		what    string
		entries []string
		want    string // "" for no error
	}{
		{"all keys", []string{"location", "w.bin", "offset", "4", "length", "8", "checksum", "?"}, ""},
		{"no length", []string{"location", "w.bin", "offset", "4"}, ""},
		{"a folder", []string{"location", "sub/w.bin"}, ""},
		{"this folder", []string{"location", "./sub/w.bin"}, ""},
		{"a link that stays inside", []string{"location", "in"}, ""},

		{"missing", []string{"location", "no.bin"}, "no such file"},
		{"nowhere", nil, "no location"},
		{"too short", []string{"location", "w.bin", "offset", "8"}, `8 bytes from byte 8 on, but "w.bin" has 12`},
		{"behind the end", []string{"location", "w.bin", "offset", "9223372036854775807"}, `8 bytes from byte 9223372036854775807 on, but "w.bin" has 12`},
		{"another length", []string{"location", "w.bin", "length", "12"}, "12 bytes, want 8 for float32 of shape [2]"},
		{"negative", []string{"location", "w.bin", "offset", "-4"}, `offset "-4" is not a number of bytes`},
		{"no number", []string{"location", "w.bin", "length", "8 "}, `length "8 " is not a number of bytes`},
		{"absolute path", []string{"location", secret}, "is not a path within the model's folder"},
		{"folder above", []string{"location", "../secret"}, `location "../secret" leads out of the model's folder`},
		{"folder above, hidden", []string{"location", "sub/../../secret"}, "leads out"},
		{"folder above, back again", []string{"location", "sub/../w.bin"}, "leads out"},
		{"folder above, Windows", []string{"location", `..\secret`}, "leads out"},
		{"link outside", []string{"location", "out"}, "out"},
		{"absolute link outside", []string{"location", "absolute"}, "absolute"},
		{"linked folder outside", []string{"location", "up/secret"}, "up/secret"},
		{"pipe", []string{"location", "pipe"}, `"pipe" is not a regular file`},
		{"the folder itself", []string{"location", "sub"}, `"sub" is not a regular file`},
		{"zero byte", []string{"location", "w\x00bin"}, "is not a path"},
	} {
		t.Run(c.what, func(t *testing.T) {
			g, err := Decode(outside(c.entries...), Options{Dir: dir})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if want := ir.Floats32([]float32{1, 2}, 2); !g.Weights["w"].Equal(want) {
					t.Errorf("got %v, want %v", g.Weights["w"], want)
				}
				return
			}
			if err == nil || g != nil {
				t.Fatalf("graph %v, error %v", g, err)
			}
			for _, want := range []string{`external data: `, c.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %s", err, want)
				}
			}
		})
	}
	good := outside("location", "w.bin", "offset", "4")
	if _, err := Decode(good, Options{}); err == nil || !strings.Contains(err.Error(), "not read from a folder") {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Decode(good, Options{Dir: dir, MaxExternal: 7}); err == nil || !strings.Contains(err.Error(), "limit for external data") {
		t.Errorf("limit: %v", err)
	}
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path, good, 0o666); err != nil {
		t.Fatal(err)
	}
	g, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, g)
}

// A weight of another type than float32 and one longer than a piece take other paths.
func TestExternalDataOfLargeAndNarrowWeights(t *testing.T) {
	dir := t.TempDir()
	data := make([]byte, 3*40_000*8)
	for i := range data {
		data[i] = byte(i * 7)
	}
	if err := os.WriteFile(filepath.Join(dir, "w"), data, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, dtype := range []ir.DType{ir.Float32, ir.Int64, ir.Float16, ir.Uint8} {
		put := func(external bool) *ir.Tensor {
			n := 40_000
			g, err := Decode(identity(func(g *parts) {
				g.message(graphInitializer, msg(func(t *parts) {
					t.varint(tensorDims, int64(n))
					t.varint(tensorType, int64(dtype))
					t.str(tensorName, "w")
					if external {
						t.varint(tensorLocation, 1)
						t.message(tensorExternal, msg(func(e *parts) { e.str(entryKey, "location"); e.str(entryValue, "w") }))
						t.message(tensorExternal, msg(func(e *parts) { e.str(entryKey, "offset"); e.str(entryValue, "3") }))
					} else {
						t.bytes(tensorRaw, string(data[3:3+n*dtype.Size()]))
					}
				}))
			}), Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			return g.Weights["w"]
		}
		if !put(true).Equal(put(false)) {
			t.Errorf("%v: other elements than from the file itself", dtype)
		}
	}
}

func TestReadFileNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, raw []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	huge := write("huge.onnx", nil)
	if err := os.Truncate(huge, math.MaxInt32+1); err != nil { // takes no room on the disk
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "no.onnx"):        "no such file",
		dir:                                  "is not a regular file",
		huge:                                 "2147483648 bytes; a model file has at most 2147483647",
		write("empty.onnx", nil):             "the file is empty",
		write("text.onnx", []byte("no\n\n")): "byte 0: ",
	} {
		g, err := ReadFile(path)
		if err == nil || g != nil {
			t.Fatalf("%s: graph %v, error %v", path, g, err)
		}
		if text := err.Error(); !strings.HasPrefix(text, "onnx: ") || !strings.Contains(text, path) || !strings.Contains(text, want) {
			t.Errorf("got %v, want %s: %s", err, path, want)
		}
	}
}

func TestWriteFileLeavesNothingBehindOnFailure(t *testing.T) {
	dir := t.TempDir()
	good, err := Decode(identity(func(*parts) {}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(dir, "taken") // a folder that is not empty cannot be replaced
	if err := os.MkdirAll(filepath.Join(taken, "x"), 0o777); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "old.onnx")
	if err := WriteFile(old, good); err != nil {
		t.Fatal(err)
	}
	bad := good.Clone()
	bad.Outputs[0].Name = "gone"
	for what, err := range map[string]error{
		"an invalid graph":  WriteFile(old, bad),
		"a folder in place": WriteFile(taken, good),
		"no folder":         WriteFile(filepath.Join(dir, "no", "m.onnx"), good),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "onnx: ") {
			t.Errorf("%s: error %v", what, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "taken" && e.Name() != "old.onnx" {
			t.Errorf("%s was left behind", e.Name())
		}
	}
	back, err := ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.EqualGraphs(good, back); err != nil {
		t.Error(err)
	}
}

func BenchmarkReadFile(b *testing.B) {
	const n = 25 << 20 // 100 MiB of weights
	g, err := Decode(identity(func(*parts) {}), Options{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 50 {
		g.Weights[string(rune('A'+i))] = ir.Floats32(make([]float32, n/50), n/50)
	}
	path := filepath.Join(b.TempDir(), "m.onnx")
	if err := WriteFile(path, g); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4 * n)
	for b.Loop() {
		if _, err := ReadFile(path); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	const n = 25 << 20
	g, err := Decode(identity(func(*parts) {}), Options{})
	if err != nil {
		b.Fatal(err)
	}
	g.Weights["w"] = ir.Floats32(make([]float32, n), n)
	b.SetBytes(4 * n)
	for b.Loop() {
		if err := Encode(io.Discard, g); err != nil {
			b.Fatal(err)
		}
	}
}
