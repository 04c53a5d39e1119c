package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

// slack is the memory that reading takes whatever the size of the file, faults included.
const slack = 64 << 10

// frugal reads and holds all that was allocated on the way, which is more than what was needed at any time, against memoryFactor.
func frugal(t testing.TB, raw []byte) (map[string]*ir.Tensor, map[string]string, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tensors, meta, err := Read(raw)
	runtime.ReadMemStats(&after)
	if err != nil && (tensors != nil || meta != nil) || err == nil && tensors == nil {
		t.Errorf("tensors %v, metadata %v, error %v", tensors, meta, err)
	}
	took := after.TotalAlloc - before.TotalAlloc
	if limit := uint64(memoryFactor*len(raw) + slack); took > limit {
		t.Errorf("reading %d bytes allocated %d, want at most %d; error %.200v", len(raw), took, limit, err)
	}
	if err != nil {
		place(t, err)
	} else if testing.Verbose() && len(raw) > 1<<20 {
		t.Logf("%d bytes: %.1f bytes allocated for each", len(raw), float64(took)/float64(len(raw)))
	}
	return tensors, meta, err
}

// place holds an error to its form: the package, a place in the file, and not so much of the file that it cannot be read.
func place(t testing.TB, err error) {
	t.Helper()
	text := err.Error()
	if !strings.HasPrefix(text, "safetensors: ") || !strings.Contains(text, "byte") && !strings.Contains(text, `tensor "`) || len(text) > 30000 {
		t.Errorf("error %.300q names no place or is too long (%d bytes)", text, len(text))
	}
}

// seeds are small valid files.
func seeds(t testing.TB) [][]byte {
	var files [][]byte
	for seed := range uint64(20) {
		tensors, meta := random(rand.New(rand.NewPCG(seed, 1)))
		files = append(files, write(t, tensors, meta))
	}
	return append(files, file("{}", 0))
}

func FuzzRead(f *testing.F) {
	for _, raw := range seeds(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tensors, meta, err := Read(raw)
		if err != nil {
			if tensors != nil || meta != nil {
				t.Errorf("an error and a result: %v", err)
			}
			place(t, err)
			return
		}
		if meta != nil && len(meta) == 0 {
			meta = nil // an empty list is not written
		}
		roundTrip(t, tensors, meta)
	})
}

func TestMutationsNeitherPanicNorTakeMemory(t *testing.T) {
	count := 10_000
	if testing.Short() {
		count = 1000
	}
	files := seeds(t)
	good := 0
	for seed := range uint64(count) {
		rng := rand.New(rand.NewPCG(seed, 2))
		raw := bytes.Clone(files[rng.IntN(len(files))])
		for range 1 + rng.IntN(3) {
			raw = mutations[rng.IntN(len(mutations))](rng, raw)
		}
		tensors, meta, err := frugal(t, raw)
		if err == nil {
			good++
			if len(meta) == 0 {
				meta = nil
			}
			roundTrip(t, tensors, meta)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d mutated files are still valid", good, count)
	if good == 0 || good > count/2 {
		t.Error("the mutations are too strong or too weak to be of use")
	}
}

// mutations damage a file, which they may change in place.
var mutations = []func(rng *rand.Rand, raw []byte) []byte{
	func(rng *rand.Rand, raw []byte) []byte { return raw[:rng.IntN(len(raw)+1)] },
	func(rng *rand.Rand, raw []byte) []byte { return append(raw, make([]byte, rng.IntN(10))...) },
	func(rng *rand.Rand, raw []byte) []byte {
		if len(raw) > 0 {
			raw[rng.IntN(len(raw))] ^= 1 << rng.IntN(8)
		}
		return raw
	},
	func(rng *rand.Rand, raw []byte) []byte { // another length of the header
		if len(raw) < prefix {
			return raw
		}
		n := binary.LittleEndian.Uint64(raw)
		lies := []uint64{0, 1, n - 1, n + 1, uint64(len(raw)), uint64(len(raw) - prefix), math.MaxInt64, math.MaxUint64, maxHeader, 1 << 32}
		binary.LittleEndian.PutUint64(raw, lies[rng.IntN(len(lies))])
		return raw
	},
	edit, edit, edit, edit,
}

// edit changes the text of the header and mends its length, so that most of what comes out is still read as JSON.
func edit(rng *rand.Rand, raw []byte) []byte {
	if len(raw) < prefix || binary.LittleEndian.Uint64(raw) > uint64(len(raw)-prefix) {
		return raw
	}
	end := prefix + int(binary.LittleEndian.Uint64(raw))
	header, body := string(raw[prefix:end]), raw[end:]
	if rng.IntN(4) == 0 { // one piece in place of another
		pieces := []string{
			`"F32"`, `"I64"`, `"BOOL"`, `"F8"`, "[", "]", "{", "}", ",", ":", "[]", "{}", `"`, `\`, "\\u0000", "null", "-1", "0", "1", "2", "1e3", "0.5",
			"9223372036854775807", "18446744073709551616", `"dtype"`, `"shape"`, `"data_offsets"`, `"__metadata__"`, " ", "\xff",
		}
		at := rng.IntN(len(header) + 1)
		until := at + rng.IntN(min(len(header)-at, 12)+1)
		header = header[:at] + pieces[rng.IntN(len(pieces))] + header[until:]
	} else { // another number
		var digits []int
		for i, c := range header {
			if c >= '0' && c <= '9' {
				digits = append(digits, i)
			}
		}
		if len(digits) == 0 {
			return raw
		}
		at := digits[rng.IntN(len(digits))]
		header = header[:at] + fmt.Sprint(rng.IntN(12)) + header[at+1:]
	}
	return append(file(header, 0), body...)
}

// TestWorstFilesStayWithinTheFactor builds the files that take most memory per byte.
func TestWorstFilesStayWithinTheFactor(t *testing.T) {
	const many = 10_000
	list := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for what, raw := range map[string][]byte{
		"empty tensors":       file("{"+list(many, `"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)+"}", 0),
		"empty, unpadded":     file("{"+list(many, `"%x":{"shape":[0],"dtype":"","data_offsets":[0,0]}`)+"}", 0),
		"tensors of 64 axes":  file("{"+list(many/10, `"%x":{"dtype":"F32","shape":[`+strings.Repeat("0,", 63)+`0],"data_offsets":[0,0]}`)+"}", 0),
		"metadata":            file(`{"__metadata__":{`+list(many, `"%x":""`)+"}}", 0),
		"metadata of escapes": file(`{"__metadata__":{"a":"`+strings.Repeat(`\"`, 10*many)+`"}}`, 0),
		"a long shape":        file(`{"a":{"shape":[`+strings.Repeat("0,", 10*many)+`0]}}`, 0),
		"a long type":         file(`{"a":{"dtype":"`+strings.Repeat("\x7f", 10*many)+`","shape":[],"data_offsets":[0,0]}}`, 0),
		"long names":          file(`{`+list(20, `"%x`+strings.Repeat("\u0080", many)+`":{"dtype":"","shape":[],"data_offsets":[0,0]}`)+"}", 0),
		"an unknown field":    file(`{"a":{"x":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+`}}`, 0),
		"unknown fields":      file(`{"a":{`+list(many, `"%x":0`)+`}}`, 0),
		"nothing but values":  file(`{"a":{"dtype":"U8","shape":[1000000],"data_offsets":[0,1000000]}}`, 1_000_000),
		"floats":              file(`{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}`, 4_000_000),
		"one value short":     file(`{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}`, 3_999_999),
		"a lie about values":  file(`{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}`, 10),
		"white space":         file("{}"+strings.Repeat(" ", 10*many), 0),
	} {
		t.Run(what, func(t *testing.T) { frugal(t, raw) })
	}
}
