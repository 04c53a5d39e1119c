package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
)

// file is a file with the given header, unpadded, and so many bytes behind it.
func file(header string, body int) []byte {
	raw := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(raw, header...), make([]byte, body)...)
}

// write is the file of tensors that can be written.
func write(t testing.TB, tensors map[string]*ir.Tensor, meta map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, tensors, meta); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// roundTrip writes what was read and reads it again.
func roundTrip(t testing.TB, tensors map[string]*ir.Tensor, meta map[string]string) {
	t.Helper()
	raw := write(t, tensors, meta)
	again, metaAgain, err := Read(raw)
	if err != nil {
		t.Fatalf("read again: %v\n%q", err, raw)
	}
	if !maps.EqualFunc(again, tensors, (*ir.Tensor).Equal) || !maps.Equal(metaAgain, meta) {
		t.Fatalf("read again they are %v, %q; want %v, %q", again, metaAgain, tensors, meta)
	}
	if !bytes.Equal(raw, write(t, again, metaAgain)) {
		t.Fatal("written twice, a file has other bytes")
	}
}

// random has tensors of all types, scalars and empty ones among them, and any bits.
func random(rng *rand.Rand) (map[string]*ir.Tensor, map[string]string) {
	tensors := map[string]*ir.Tensor{}
	for i := range rng.IntN(2 * len(types)) {
		v := &ir.Tensor{DType: types[i%len(types)].dtype, Shape: []int{}}
		n := 1
		for range rng.IntN(4) {
			v.Shape = append(v.Shape, rng.IntN(5))
			n *= v.Shape[len(v.Shape)-1]
		}
		switch v.DType {
		case ir.Float32:
			v.F32 = make([]float32, n)
			for j := range v.F32 {
				v.F32[j] = math.Float32frombits(rng.Uint32())
			}
		case ir.Int64:
			v.I64 = make([]int64, n)
			for j := range v.I64 {
				v.I64[j] = int64(rng.Uint64())
			}
		default:
			v.Raw = make([]byte, n*v.DType.Size())
			for j := range v.Raw {
				v.Raw[j] = byte(rng.Uint32())
			}
		}
		tensors[name(rng)] = v
	}
	if rng.IntN(2) == 0 {
		return tensors, nil
	}
	return tensors, map[string]string{name(rng): name(rng), "step": "12"}
}

func name(rng *rand.Rand) string {
	letters := []rune("ab./\"\\<>&\x00\n é\u2028�𝄞")
	s := make([]rune, rng.IntN(8))
	for i := range s {
		s[i] = letters[rng.IntN(len(letters))]
	}
	return string(s)
}

func TestReadUndoesWrite(t *testing.T) {
	for seed := range uint64(300) {
		tensors, meta := random(rand.New(rand.NewPCG(seed, 1)))
		roundTrip(t, tensors, meta)
		if n := binary.LittleEndian.Uint64(write(t, tensors, meta)); n%8 != 0 {
			t.Fatalf("seed %d: a header of %d bytes; tensors have to begin at multiples of eight", seed, n)
		}
	}
}

// TestFileHasTheBytesOfTheFormat pins the layout on a file written out by hand.
func TestFileHasTheBytesOfTheFormat(t *testing.T) {
	const header = `{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}`
	want := append(file(header+strings.Repeat(" ", 7-(len(header)-1)%8), 0), 0, 0, 128, 63, 0, 0, 32, 192, 7)
	got := write(t, map[string]*ir.Tensor{
		"b": {DType: ir.Uint8, Raw: []byte{7}},
		"a": ir.Floats32([]float32{1, -2.5}, 2),
	}, map[string]string{"k": "v"})
	if !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestReadTakesOtherWritersFiles reads files of the format's reference implementation.
func TestReadTakesOtherWritersFiles(t *testing.T) {
	for rel, want := range map[string]int{
		"data/cifar-resnet/resnet20.safetensors":          269722 + 2*688, // parameters, and a mean and variance per channel
		"data/cifar-resnet/resnet32.safetensors":          464154 + 2*1136,
		"data/llama-stories260k/model.safetensors":        260032,
		"data/mobilenet/mobilenet_v1_025_224.safetensors": -1,
	} {
		t.Run(rel, func(t *testing.T) {
			raw, err := os.ReadFile(testkit.Shared(t, rel))
			if err != nil {
				t.Fatal(err)
			}
			tensors, meta, err := Read(raw)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, v := range tensors {
				n += v.Len()
			}
			if n != want && want >= 0 {
				t.Errorf("%d values, want %d", n, want)
			}
			roundTrip(t, tensors, meta)
		})
	}
}

func TestReadAcceptsWhatTheFormatAllows(t *testing.T) {
	for what, raw := range map[string][]byte{
		"nothing":               file(`{}`, 0),
		"padding":               file("{} \n\t ", 0),
		"other order of fields": file(`{"a":{"data_offsets":[0,2],"shape":[1],"dtype":"F16"}}`, 2),
		"fields of later days":  file(`{"a":{"dtype":"U8","new":{"shape":[{}]},"shape":[1],"data_offsets":[0,1]}}`, 1),
		"empty beside full":     file(`{"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
		"the tensors' order":    file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2),
	} {
		if _, _, err := Read(raw); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReadRefusesBrokenFiles(t *testing.T) {
	const (
		a = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
		b = `"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}`
	)
	tooLong := binary.LittleEndian.AppendUint64(nil, maxHeader+1)
	cases := []struct {
		what string
		raw  []byte
		want string // the whole error, or with an ellipsis its beginning
	}{
		{"no byte", nil, "safetensors: 0 bytes, too few for the length of a header"},
		{"seven bytes", make([]byte, 7), "safetensors: 7 bytes, too few for the length of a header"},
		{"header beyond the file", append(file("{}", 0), 0)[:9], "safetensors: a header of 2 bytes in a file of 9; the file is cut short or of another kind"},
		{"header beyond the limit", append(tooLong, make([]byte, maxHeader+1)...), "safetensors: a header of 104857601 bytes in a file of 104857609; …"},
		{"header of all bits", bytes.Repeat([]byte{255}, 16), "safetensors: a header of 18446744073709551615 bytes in a file of 16; …"},
		{"no header", make([]byte, 8), "safetensors: header, before byte 8: unexpected end of JSON input"},
		{"no object", file(`[]`, 0), "safetensors: header, before byte 9: want an object, not an array"},
		{"null", file(`null`, 0), "safetensors: header, before byte 12: want an object, not null"},
		{"cut header", file(`{"a":{"dtype":"F32","sha`, 0), "safetensors: header, before byte 32: unexpected end of JSON input"},
		{"bad syntax", file(`{`+a+`,}`, 8), "safetensors: header, before byte 63: invalid character '}' looking for beginning of object key string"},
		{"two objects", file(`{}{}`, 0), "safetensors: header, before byte 11: invalid character '{' after top-level value"},
		{"not UTF-8", file("{\"\xff\":0}", 0), "safetensors: header, byte 10: not UTF-8"},
		{"deep nesting", file(strings.Repeat("[", 20000), 0), "safetensors: header, before byte 10009: invalid character '[' exceeded max depth"},
		{"metadata of another kind", file(`{"__metadata__":[]}`, 0), "safetensors: header, before byte 25: metadata: want an object, not an array"},
		{"metadata that is no text", file(`{"__metadata__":{"step":12}}`, 0), `safetensors: header, before byte 34: metadata: "step": want a string, not a number`},
		{"metadata null", file(`{"__metadata__":{"step":null}}`, 0), `safetensors: header, before byte 36: metadata: "step": want a string, not null`},
		{"metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`, 0), "safetensors: header, before byte 41: two lists of metadata"},
		{"a key of metadata twice", file(`{"__metadata__":{"k":"1","k":"2"}}`, 0), `safetensors: header, before byte 36: metadata: "k" is there twice`},
		{"tensor twice", file(`{`+a+`,`+a+`}`, 8), `safetensors: header, before byte 65: tensor "a" is there twice`},
		{"tensor twice by escapes", file(`{`+a+`,"\u0061":{}}`, 8), `safetensors: header, before byte 70: tensor "a" is there twice`},
		{"entry of another kind", file(`{"a":[1]}`, 0), `safetensors: header, before byte 14: tensor "a": want an object, not an array`},
		{"no dtype", file(`{"a":{"shape":[0],"data_offsets":[0,0]}}`, 0), `safetensors: header, before byte 47: tensor "a": no dtype`},
		{"no shape", file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), `safetensors: header, before byte 49: tensor "a": no shape`},
		{"no offsets", file(`{"a":{"dtype":"F32","shape":[0]}}`, 0), `safetensors: header, before byte 40: tensor "a": data_offsets: 0 numbers, want the first byte and the one behind the last`},
		{"one offset", file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0]}}`, 0), `safetensors: header, before byte 59: tensor "a": data_offsets: 1 numbers, …`},
		{"three offsets", file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0,0]}}`, 0), `safetensors: header, before byte 61: tensor "a": data_offsets: more than 2 numbers`},
		{"dtype is a number", file(`{"a":{"dtype":32}}`, 0), `safetensors: header, before byte 24: tensor "a": dtype: want a string, not a number`},
		{"shape is a number", file(`{"a":{"shape":3}}`, 0), `safetensors: header, before byte 23: tensor "a": shape: want an array, not a number`},
		{"shape null", file(`{"a":{"shape":null}}`, 0), `safetensors: header, before byte 26: tensor "a": shape: want an array, not null`},
		{"size null", file(`{"a":{"shape":[null]}}`, 0), `safetensors: header, before byte 27: tensor "a": shape: want whole numbers, not null`},
		{"half a size", file(`{"a":{"shape":[1.5]}}`, 0), `safetensors: header, before byte 26: tensor "a": shape: want whole numbers of 64 bits, not 1.5`},
		{"huge size", file(`{"a":{"shape":[18446744073709551616]}}`, 0), `safetensors: header, before byte 43: tensor "a": shape: want whole numbers of 64 bits, not 18446744073709551616`},
		{"65 axes", file(`{"a":{"shape":[`+strings.Repeat("1,", 64)+`1]}}`, 0), `safetensors: header, before byte 152: tensor "a": shape: more than 64 numbers`},
		{"shape twice", file(`{"a":{"dtype":"U8","shape":[1],"shape":[0],"data_offsets":[0,0]}}`, 0), `safetensors: header, before byte 50: tensor "a": shape is there twice`},
		{"dtype twice", file(`{"a":{"dtype":"","dtype":"U8"}}`, 0), `safetensors: header, before byte 37: tensor "a": dtype is there twice`},
		{"offsets twice", file(`{"a":{"data_offsets":[0,0],"data_offsets":[0,0]}}`, 0), `safetensors: header, before byte 55: tensor "a": data_offsets is there twice`},
		{"fields in capitals", file(`{"a":{"DTYPE":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), `safetensors: header, before byte 60: tensor "a": no dtype`},

		{"unknown type", file(`{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}`, 1), `safetensors: tensor "a": unknown type "F8_E4M3"`},
		{"negative size", file(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, 1), `safetensors: tensor "a": impossible shape [-1]`},
		{"product overflows", file(`{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0), `safetensors: tensor "a": impossible shape [4294967296 4294967296]`},
		{"bytes for another shape", file(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), `safetensors: tensor "a": bytes 0 to 8 for F32 of shape [3], which has 12`},
		{"negative offset", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[-1,1]}}`, 1), "safetensors: tensor \"a\": bytes -1 to 1 for U8 of shape [2], which has 2\ntensor \"a\" begins at byte -1, want 0: …"},
		{"ends before it begins", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[9223372036854775807,-9223372036854775807]}}`, 1), `safetensors: tensor "a": bytes 9223372036854775807 to -9223372036854775807 for U8 of shape [2], which has 2…`},
		{"gap", file(`{`+a+`,"b":{"dtype":"U8","shape":[2],"data_offsets":[9,11]}}`, 11), `safetensors: tensor "b" begins at byte 9, want 8: tensors leave no gaps and do not overlap`},
		{"overlap", file(`{`+a+`,"b":{"dtype":"U8","shape":[4],"data_offsets":[7,11]}}`, 11), `safetensors: tensor "b" begins at byte 7, want 8: tensors leave no gaps and do not overlap`},
		{"shared bytes", file(`{`+a+`,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), `safetensors: tensor "b" begins at byte 0, want 8: …`},
		{"file cut short", file(`{`+a+`,`+b+`}`, 10), "safetensors: the tensors end at byte 11, the file has 10 behind the header"},
		{"bytes at the end", file(`{`+a+`,`+b+`}`, 12), "safetensors: the tensors end at byte 11, the file has 12 behind the header"},
		{"all faults", file(`{"a":{"dtype":"F9","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[8,11]}}`, 11),
			"safetensors: tensor \"a\": unknown type \"F9\"\ntensor \"b\": bytes 8 to 11 for U8 of shape [4], which has 4"},
		{"a name without end", file(`{"`+strings.Repeat("n", 5000)+`":0}`, 0), `safetensors: header, before byte 5013: tensor "` + strings.Repeat("n", 80) + `": want an object, not a number`},
	}
	for _, c := range cases {
		tensors, meta, err := Read(c.raw)
		if err == nil || tensors != nil || meta != nil {
			t.Errorf("%s: tensors %v, metadata %v, error %v; want an error alone", c.what, tensors, meta, err)
			continue
		}
		want, begins := strings.CutSuffix(c.want, "…")
		if got := err.Error(); got != want && (!begins || !strings.HasPrefix(got, want)) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.what, got, c.want)
		}
	}
}

// TestFaultsAreReportedTogether up to a number.
func TestFaultsAreReportedTogether(t *testing.T) {
	var entries []string
	for i := range 1000 {
		entries = append(entries, fmt.Sprintf(`"t%d":{"dtype":"F9","shape":[1],"data_offsets":[%d,%d]}`, i, i, i+1))
	}
	_, _, err := Read(file("{"+strings.Join(entries, ",")+"}", 1000))
	if n := strings.Count(fmt.Sprint(err), "\n") + 1; n < maxFaults || n > maxFaults+1 {
		t.Errorf("%d faults, want about %d", n, maxFaults)
	}
}

func TestWriteRefusesWhatReadWould(t *testing.T) {
	for what, c := range map[string]struct {
		tensors map[string]*ir.Tensor
		meta    map[string]string
		want    string
	}{
		"nil":              {map[string]*ir.Tensor{"a": nil}, nil, `safetensors: tensor "a" cannot be written: it is nil`},
		"strings":          {map[string]*ir.Tensor{"a": {DType: ir.String, Shape: []int{0}}}, nil, `safetensors: tensor "a" cannot be written: type string`},
		"no type":          {map[string]*ir.Tensor{"a": {}}, nil, `safetensors: tensor "a" cannot be written: type undefined`},
		"too few values":   {map[string]*ir.Tensor{"a": ir.Floats32(make([]float32, 5), 2, 3)}, nil, `safetensors: tensor "a" cannot be written: 5 values for float32 of shape [2 3]`},
		"too many values":  {map[string]*ir.Tensor{"a": ir.Ints64(make([]int64, 2))}, nil, `safetensors: tensor "a" cannot be written: 2 values for int64 of shape []`},
		"half a value":     {map[string]*ir.Tensor{"a": {DType: ir.Float16, Shape: []int{2}, Raw: make([]byte, 5)}}, nil, `safetensors: tensor "a" cannot be written: 2 values for float16 of shape [2]`},
		"shape overflows":  {map[string]*ir.Tensor{"a": {DType: ir.Float64, Shape: []int{1 << 61}}}, nil, `safetensors: tensor "a" cannot be written: 0 values for float64 of shape [2305843009213693952]`},
		"negative size":    {map[string]*ir.Tensor{"a": {DType: ir.Uint8, Shape: []int{-1}}}, nil, `safetensors: tensor "a" cannot be written: 0 values for uint8 of shape [-1]`},
		"too many axes":    {map[string]*ir.Tensor{"a": ir.Floats32([]float32{1}, slices.Repeat([]int{1}, 65)...)}, nil, `safetensors: tensor "a" cannot be written: 65 axes; at most 64 are read`},
		"name not UTF-8":   {map[string]*ir.Tensor{"a\xff": ir.Floats32(nil, 0)}, nil, `safetensors: tensor "a\xff": its name is not UTF-8`},
		"the format's own": {map[string]*ir.Tensor{metadataKey: ir.Floats32(nil, 0)}, nil, `safetensors: tensor "__metadata__" cannot be written: the name is taken by the format`},
		"metadata":         {nil, map[string]string{"k": "\xff"}, `safetensors: metadata: "k" is not UTF-8`},
	} {
		var b bytes.Buffer
		if err := Write(&b, c.tensors, c.meta); fmt.Sprint(err) != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, c.want)
		}
		if b.Len() > 0 {
			t.Errorf("%s: wrote %d bytes before it was refused", what, b.Len())
		}
	}
}

// failing takes so many bytes and then fails.
type failing struct{ left int }

var errFailing = errors.New("no more room")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return max(len(p)+f.left, 0), errFailing
	}
	return len(p), nil
}

func TestWriteHandsOnTheWritersError(t *testing.T) {
	tensors, meta := random(rand.New(rand.NewPCG(4, 1)))
	size := len(write(t, tensors, meta))
	for room := range size {
		if err := Write(&failing{room}, tensors, meta); !errors.Is(err, errFailing) {
			t.Fatalf("room for %d of %d bytes: %v", room, size, err)
		}
	}
}
