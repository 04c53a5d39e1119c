package rundir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/safetensors"
	"github.com/dms-go/dms/ir"
)

// Memory that reading takes, garbage included: per byte of the file, and whatever its size. A checkpoint is read, written again for
// its checksum, and its text is escaped and compared.
const (
	checkpointFactor = 120
	textFactor       = 40
	slack            = 128 << 10
)

// replace changes text in the header of a file without moving anything.
func replace(t testing.TB, raw []byte, old, with string) []byte {
	t.Helper()
	if len(old) != len(with) || !bytes.Contains(raw, []byte(old)) {
		t.Fatalf("no %q to replace by %q", old, with)
	}
	return bytes.Replace(raw, []byte(old), []byte(with), 1)
}

// signed is a checkpoint with a fitting checksum and some metadata that Save would not write.
func signed(t testing.TB, step int, change map[string]string) []byte {
	t.Helper()
	c := checkpoint(step)
	meta := map[string]string{stepKey: fmt.Sprint(step), stateKey: string(c.State), metricsKey: "0"}
	maps.Copy(meta, change)
	return sign(t, c.Tensors, meta)
}

func sign(t testing.TB, tensors map[string]*ir.Tensor, meta map[string]string) []byte {
	t.Helper()
	meta[sumKey] = checksum(tensors, meta)
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, meta); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// allocated is the memory that fn takes, garbage included.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func mutants(t testing.TB) int {
	if testing.Short() {
		return 1000
	}
	return 10_000
}

// TestMutatedCheckpointsAreRefused unless the damage changes nothing that was saved.
func TestMutatedCheckpointsAreRefused(t *testing.T) {
	good := signed(t, 4, nil)
	want := checkpoint(4)
	taken := 0
	for seed := range uint64(mutants(t)) {
		raw := mutant(seed, good)
		var c *Checkpoint
		var metrics int64
		var err error
		took := allocated(func() { c, metrics, err = parseCheckpoint(raw) })
		switch {
		case err != nil && (c != nil || metrics != 0 || err.Error() == "" || len(err.Error()) > 10_000):
			t.Errorf("checkpoint %v, %d bytes of metrics and error %.300v", c, metrics, err)
		case err == nil:
			taken++
			if !same(c, want) || metrics != 0 {
				t.Errorf("a damaged checkpoint was taken: %+v", c)
			}
		}
		if limit := uint64(checkpointFactor*len(raw) + slack); took > limit {
			t.Errorf("reading %d bytes allocated %d, want at most %d", len(raw), took, limit)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d mutated files mean the same", taken)
}

func mutant(seed uint64, good []byte) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	raw := bytes.Clone(good)
	for range 1 + rng.IntN(2) {
		raw = mutate(rng, raw, good)
	}
	return raw
}

// TestMutatedNewestCheckpointIsPassedOver goes the whole way from files: the damaged checkpoint is named with a cause, and the one
// before is taken.
func TestMutatedNewestCheckpointIsPassedOver(t *testing.T) {
	d := create(t)
	goTo(t, d, 0, 2)
	goTo(t, d, 2, 4)
	metrics := read(t, d.Path(MetricsName))
	name, good := d.checkpointName(4), read(t, d.checkpointName(4))
	want, older := checkpoint(4), checkpoint(2)
	for seed := range uint64(mutants(t) / 20) {
		raw := mutant(seed, good)
		write(t, name, raw)
		write(t, d.Path(MetricsName), metrics)
		var c *Checkpoint
		var warnings []string
		var err error
		took := allocated(func() { c, warnings, err = d.Resume() })
		switch {
		case err != nil:
			t.Errorf("%v; want the older checkpoint", err)
		case warnings == nil:
			if !same(c, want) {
				t.Errorf("a damaged checkpoint was taken: %+v", c)
			}
		default:
			cause, ok := strings.CutPrefix(warnings[0], "checkpoint "+name+" is damaged and passed over: ")
			if len(warnings) > 1 || !ok || cause == "" || !same(c, older) {
				t.Errorf("warnings %q, checkpoint %+v; want one warning that names file and cause, and step 2", warnings, c)
			}
			if _, err := os.Stat(name); err == nil {
				t.Error("the damaged checkpoint is still there")
			}
		}
		// The checkpoint of step 2 is read too.
		if limit := uint64(checkpointFactor*(len(raw)+len(good)) + slack); took > limit {
			t.Errorf("resuming from %d bytes allocated %d, want at most %d", len(raw), took, limit)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// mutate damages a file, which it may change in place; from is another one to take pieces of.
func mutate(rng *rand.Rand, raw, from []byte) []byte {
	if len(raw) == 0 {
		return bytes.Clone(from)
	}
	at := rng.IntN(len(raw))
	switch rng.IntN(6) {
	case 0:
		return raw[:at]
	case 1:
		raw[at] ^= 1 << rng.IntN(8)
	case 2:
		raw[at] = byte(rng.Uint32())
	case 3:
		return slices.Insert(raw, at, byte(rng.Uint32()))
	case 4:
		end := min(at+1+rng.IntN(20), len(raw))
		return slices.Delete(raw, at, end)
	case 5:
		lo := rng.IntN(len(from))
		copy(raw[at:], from[lo:min(lo+1+rng.IntN(64), len(from))])
	}
	return raw
}

// TestForgedCheckpointsDoNoHarm: a checksum is no signature, so what fits one may still be anything.
func TestForgedCheckpointsDoNoHarm(t *testing.T) {
	texts := []string{"", "-1", "0", "4", "5", "1e3", "99999999999999999999", "9223372036854775807", "{}", "{", "null", "\x00", "é", strings.Repeat("<", 300), strings.Repeat("[", 20000)}
	keys := []string{stepKey, stateKey, metricsKey, "other"}
	good := 0
	for seed := range uint64(mutants(t) / 10) {
		rng := rand.New(rand.NewPCG(seed, 4))
		change := map[string]string{}
		for range 1 + rng.IntN(2) {
			change[keys[rng.IntN(len(keys))]] = texts[rng.IntN(len(texts))]
		}
		raw := signed(t, 4, change)
		var c *Checkpoint
		var err error
		took := allocated(func() { c, _, err = parseCheckpoint(raw) })
		if (c == nil) == (err == nil) {
			t.Errorf("checkpoint %v and error %v", c, err)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if err == nil {
			good++
		}
		if limit := uint64(checkpointFactor*len(raw) + slack); took > limit {
			t.Errorf("reading %d bytes allocated %d, want at most %d", len(raw), took, limit)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %q", seed, change)
		}
	}
	t.Logf("%d forged checkpoints are lawful", good)
}

// TestLargeCheckpointsTakeLittleMore holds the memory for files that are large in one respect.
func TestLargeCheckpointsTakeLittleMore(t *testing.T) {
	many := map[string]*ir.Tensor{}
	for i := range 5000 {
		many[fmt.Sprint(i)] = ir.Floats32(nil, 0)
	}
	for what, raw := range map[string][]byte{
		"weights":      sign(t, map[string]*ir.Tensor{"a": ir.Floats32(make([]float32, 1<<20), 1<<20)}, map[string]string{stepKey: "1", metricsKey: "0"}),
		"many tensors": sign(t, many, map[string]string{stepKey: "1", metricsKey: "0"}),
		"long state":   signed(t, 1, map[string]string{stateKey: `"` + strings.Repeat("<", 1<<18) + `"`}),
		"deep state":   signed(t, 1, map[string]string{stateKey: strings.Repeat("[", 9000) + strings.Repeat("]", 9000)}),
	} {
		took := allocated(func() {
			if _, _, err := parseCheckpoint(raw); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
		t.Logf("%s: %.1f bytes allocated per byte", what, float64(took)/float64(len(raw)))
		if limit := uint64(checkpointFactor*len(raw) + slack); took > limit {
			t.Errorf("%s: reading %d bytes allocated %d, want at most %d", what, len(raw), took, limit)
		}
	}
}

// mutateText is mutate with a liking for what means something in JSON.
func mutateText(rng *rand.Rand, raw, from []byte) []byte {
	if len(raw) == 0 || rng.IntN(3) == 0 {
		return mutate(rng, raw, from)
	}
	pieces := []string{"{", "}", "[", "]", ",", ":", `"`, "\\", "\n", "\n\n", "null", "-", "1e999", `"seed"`, `"SEED":1,`, "\xff", "\x00", strings.Repeat("[", 11000), "99999999999999999999"}
	at := rng.IntN(len(raw))
	return slices.Insert(raw, at, []byte(pieces[rng.IntN(len(pieces))])...)
}

// mutateTexts hands mutations of a small file to parse, and some of them, as files, to readIt, whose error is to begin with place.
func mutateTexts(t *testing.T, name, place string, parse func(raw []byte) error, readIt func() error) {
	seed := read(t, name)
	good := 0
	for i := range uint64(mutants(t)) {
		rng := rand.New(rand.NewPCG(i, 5))
		raw := bytes.Clone(seed)
		for range 1 + rng.IntN(2) {
			raw = mutateText(rng, raw, seed)
		}
		var err error
		took := allocated(func() { err = parse(raw) })
		if limit := uint64(textFactor*len(raw) + slack); took > limit {
			t.Errorf("reading %d bytes allocated %d, want at most %d", len(raw), took, limit)
		}
		if err == nil {
			good++
		}
		if i%20 == 0 {
			write(t, name, raw)
			want := "<nil>"
			if err != nil {
				want = place + err.Error()
			}
			if got := fmt.Sprint(readIt()); got != want || len(got) > len(place)+400 {
				t.Errorf("error %q, want %q", got, want)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d: %.2000q", i, raw)
		}
	}
	t.Logf("%d are still lawful", good)
}

func TestMutatedSettingsAreReadOrRefused(t *testing.T) {
	d := create(t)
	name := d.Path(ConfigName)
	mutateTexts(t, name, "run: "+name+": ", func(raw []byte) error {
		var s settings
		return parseConfig(raw, &s)
	}, func() error {
		var s settings
		return ReadConfig(d.Path(), &s)
	})
}

func TestMutatedMetricsAreReadOrRefused(t *testing.T) {
	d := create(t)
	goTo(t, d, 0, 5)
	name := d.Path(MetricsName)
	mutateTexts(t, name, "run: "+name+": ", func(raw []byte) error {
		lines, err := parseMetrics(raw)
		if (lines == nil) == (err == nil || errors.Is(err, ErrTorn)) {
			t.Errorf("lines %q and error %v", lines, err)
		}
		return err
	}, func() error {
		_, err := Metrics(d.Path())
		return err
	})
}

func TestMetricsOfNothingButLineEnds(t *testing.T) {
	raw := bytes.Repeat([]byte("\n"), 1<<20)
	if took := allocated(func() { parseMetrics(raw) }); took > textFactor<<20 {
		t.Errorf("reading %d bytes allocated %d", len(raw), took)
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(signed(f, 4, nil))
	f.Add(signed(f, 0, map[string]string{stateKey: ""}))
	f.Add(signed(f, 4, map[string]string{metricsKey: "-1"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tensors, meta, err := safetensors.Read(raw)
		if err == nil && meta != nil {
			raw = sign(t, tensors, meta) // else no input would get past the checksum
		}
		c, metrics, err := parseCheckpoint(raw)
		if err != nil {
			if c != nil || metrics != 0 {
				t.Errorf("checkpoint %v, %d bytes of metrics and error %v", c, metrics, err)
			}
			return
		}
		again, m, err := parseCheckpoint(sign(t, c.Tensors, map[string]string{
			stepKey: fmt.Sprint(c.Step), stateKey: string(c.State), metricsKey: fmt.Sprint(metrics),
		}))
		if err != nil || !same(again, c) || m != metrics {
			t.Errorf("written again it is %+v, %v; want %+v", again, err, c)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"seed":9223372036854775809,"data":{"spec":"glyphs"},"rate":0.1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s, again settings
		if err := parseConfig(raw, &s); err != nil {
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := parseConfig(text, &again); err != nil || fmt.Sprint(again) != fmt.Sprint(s) {
			t.Errorf("written again it is %+v, %v; want %+v", again, err, s)
		}
	})
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte("{\"step\":1}\n{\"step\":2}\n{\"st"))
	f.Add([]byte("\n\n1\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		lines, err := parseMetrics(raw)
		if err != nil {
			if lines != nil && !errors.Is(err, ErrTorn) {
				t.Errorf("lines %q and error %v", lines, err)
			}
			return
		}
		var text []byte
		for _, l := range lines {
			text = append(append(text, l...), '\n')
		}
		again, err := parseMetrics(text)
		if err != nil || len(again) != len(lines) {
			t.Errorf("written again they are %q, %v; want %q", again, err, lines)
		}
	})
}
