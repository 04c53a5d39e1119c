package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/train"
)

// full is a valid settings file with every setting of a search.
func full(t testing.TB) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestFullSettingsNameEverySetting(t *testing.T) {
	values, err := parseSettings(full(t))
	if err != nil {
		t.Fatal(err)
	}
	got := search.Default(search.P)
	if err := merge(values, &got); err != nil {
		t.Fatal(err)
	}
	want := search.Config{
		Pipeline: search.PMinus, Method: "dms", Rank: true, Logit: 3, Temperature: 0.1, Rate: 0.005, Balance: 2, BalanceDecay: 0.9, Mu: 1, HoldShare: 0.1, HoldLoss: 0.8, DecayShare: 0.8, Sharpness: 1, Importance: "taylor",
		ImportanceDecay: 0.99, SoftBlocks: true, Sparsity: 1e-3, Structures: 200, Recalibrate: 200,
		Train: train.Config{
			Steps: 1000, Epochs: 30, Batch: 64, Seed: 1<<64 - 1, Optimizer: "sgd", Rate: 0.05, Momentum: 0.9, WeightDecay: 5e-4, Schedule: "cosine",
			Warmup: 16, ClipNorm: 1, LabelSmoothing: 0.1, Crop: 4, Flip: true, Mixup: 0.2, Distill: "kl", Temperature: 4, TeacherLoss: 0.9,
			Normalize: "mean=0.5;std=0.25", Interval: 20, Checkpoint: 200,
		},
	}
	for _, text := range []string{"macs=50%", "params=1.2M"} {
		b, err := search.ParseBudget(text)
		if err != nil {
			t.Fatal(err)
		}
		want.Budgets = append(want.Budgets, b)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	group := values["train"].(map[string]any)
	for _, key := range keysOf(reflect.TypeOf(got), "") {
		inner, isTrain := strings.CutPrefix(key, "train.")
		if _, ok := values[key]; !ok && (!isTrain || group[inner] == nil) {
			t.Errorf("testdata/full.yaml does not have %s", key)
		}
	}
}

// place is what the error about a settings file begins with: a place in the text, a setting, or what is wrong with the whole.
var place = regexp.MustCompile(`^(\[\d+:\d+\] .|setting [a-z_.]+: .|unknown settings: [^ ]|want settings, one KEY: VALUE a line$|there is more than one document$|more than 65536 bytes$)`)

// maxTaken bounds the memory that one settings file of at most maxSettings bytes takes, and maxSaid what is said about it.
const (
	maxTaken = 64 << 20
	maxSaid  = 1000
)

// takeSettings sends a text the way of a settings file and holds what comes out against what must hold of all texts.
func takeSettings(t *testing.T, raw []byte) (accepted bool) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cfg := search.Default(search.P)
	values, err := parseSettings(raw)
	if err == nil {
		err = merge(values, &cfg)
	}
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > maxTaken {
		t.Errorf("%d bytes took %d bytes of memory: %.200q", len(raw), taken, raw)
	}
	if err == nil {
		if _, err := json.Marshal(cfg); err != nil { // as config.json, which holds every setting
			t.Errorf("accepted settings cannot be kept: %v\nof %.300q", err, raw)
		}
		cfg.Train.Check() // whatever it says
		return true
	}
	if !reflect.DeepEqual(cfg, search.Default(search.P)) {
		t.Errorf("refused with %v, and yet settings changed\nof %.300q", err, raw)
	}
	text := err.Error()
	if !place.MatchString(text) {
		t.Errorf("the error names no place and no setting: %s\nof %.300q", text, raw)
	}
	if len(text) > maxSaid || strings.ContainsAny(text, "\x00\x1b\n\r") {
		t.Errorf("the error is not for a terminal: %q\nof %.300q", text, raw)
	}
	return false
}

// fragments are what mutated files get pieces of.
var fragments = []string{
	"[", "]", "{", "}", ":", ": ", "- ", "? ", "#", "&a ", "*a", "!!int ", "!!binary ", "<<: ", "%YAML 1.2\n", "---\n", "...\n", "|\n", ">-\n", "'", `"`, `\x1b`, "\t", "\x00",
	"\x1b[31m", "\xff", "\u2028", "\ufeff", "\r", "\r\n", "\n", "  ", " ", ",", "~", "null", "true", "yes", ".nan", ".inf", "-.inf", "1e400", "-1", "0x", "1e3", "1e-3", "99999999999999999999",
	"2001-01-01", "macs=50%", "train", "train.", "rate: 1\n", "train: 1\n", "train: [1]\n", "budgets: {a: 1}\n", "budgets:\n- - macs=1\n", "a: &a [*a]\n",
	"rate: *rate\n", "? [a]\n: b\n", `"":`, `" ": 1` + "\n", `"\u0000": 1` + "\n", "[[[[[[[[[[[[[[[[[[[[", "- - - - - - - - - - - - - - - - - - - - a\n", strings.Repeat(" ", 100),
	strings.Repeat("x", 300), strings.Repeat("x: ", 50), strings.Repeat("- ", 3000), strings.Repeat("[", 3000), strings.Repeat("{a: ", 3000), strings.Repeat(`["]",`, 1000),
	strings.Repeat("!", 1000), strings.Repeat("&a ", 1000), strings.Repeat("'", 3001), strings.Repeat("\n", 3000), strings.Repeat("k: v\n", 1000),
}

// mutated is text with a few changes: bytes flipped, pieces taken out, put elsewhere or twice, and fragments put in.
func mutated(rng *rand.Rand, text []byte) []byte {
	out := bytes.Clone(text)
	for range 1 + rng.IntN(4) {
		from := rng.IntN(len(out) + 1)
		to := min(len(out), from+rng.IntN(1+rng.IntN(80)))
		switch rng.IntN(6) {
		case 0:
			if from < len(out) {
				out[from] ^= 1 << rng.IntN(8)
			}
		case 1:
			out = append(out[:from], out[to:]...)
		case 2:
			at := rng.IntN(len(out) + 1)
			out = append(append(bytes.Clone(out[:at]), out[from:to]...), out[at:]...)
		case 3:
			out = out[:from]
		default:
			fragment := fragments[rng.IntN(len(fragments))]
			if rng.IntN(2) == 0 { // instead of the rest of a line's value
				if colon := bytes.IndexByte(out[from:], ':'); colon >= 0 {
					from += colon + 1
					fragment = " " + fragment
					to = from + max(0, bytes.IndexByte(out[from:], '\n'))
				}
			}
			out = append(append(bytes.Clone(out[:from]), fragment...), out[max(from, to):]...)
		}
	}
	return out
}

func TestMutatedSettings(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 2000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	text, accepted := full(t), 0
	for range n {
		if takeSettings(t, mutated(rng, text)) {
			accepted++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d are still settings", accepted, n)
}

func TestHostileSettings(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%[1]c [%s*%[3]c]\n", c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 8), c-1)
	}
	deeper := ""
	for i := range 300 {
		deeper += strings.Repeat(" ", i) + "a:\n"
	}
	escaped, words := "", ""
	for i := range 20 {
		escaped += fmt.Sprintf(`"%02d`, i) + strings.Repeat(`\x01`, 58) + `": 1` + "\n"
	}
	for _, key := range []string{"rate", "pipeline", "method", "importance", "budgets", "rank", "logit", "mu", "balance", "structures"} {
		words += key + `: "` + strings.Repeat(`\x01`, 300) + `"` + "\n"
	}
	for name, text := range map[string]string{
		"aliases":        bomb,
		"dashes":         strings.Repeat("- ", maxSettings/2),
		"brackets":       strings.Repeat("[", maxSettings),
		"quoted closers": strings.Repeat(`["]",`, maxSettings/5),
		"braces":         strings.Repeat("{a: ", maxSettings/4),
		"questions":      strings.Repeat("? ", maxSettings/2),
		"tags":           strings.Repeat("!!a ", maxSettings/4),
		"steps":          deeper,
		"one long line":  "rate: " + strings.Repeat("x", maxSettings-6),
		"one long key":   strings.Repeat("x", maxSettings-3) + ": 1",
		"many keys":      strings.Repeat("k: v\n", maxSettings/5),
		"too long":       strings.Repeat("# \n", maxSettings/2),
		"NUL":            "rate: \x00",
		"control codes":  "\x1b[31mrate\x1b[0m: 1",
		"not a number":   "rate: .nan",
		"no value":       "rate:",
		"a tag":          "rate: !!float 1",
		"merged":         "<<: {rate: 1}",
		"binary":         "rate: !!binary abc",
		"empty key":      `"":`,
		"escaped keys":   escaped,
		"escaped words":  words,
		"return":         "rate: [\r1",
		"return in word": "budgets: \"\\r\"",
	} {
		t.Run(name, func(t *testing.T) {
			if takeSettings(t, []byte(text)) {
				t.Errorf("accepted: %.200q", text)
			}
		})
	}
	many := "budgets: [" + strings.Repeat("macs=50%,", 7000) + "]"
	if !takeSettings(t, []byte(many)) {
		t.Error("a long list is still a list")
	}
}

func FuzzSettings(f *testing.F) {
	f.Add(full(f))
	for _, s := range fragments {
		f.Add([]byte("rate: " + s))
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { takeSettings(t, raw) })
}

// TestMutatedConfig resumes a run whose config.json was changed: pieces of its structure are missing, doubled, exchanged or of another
// kind. Whatever it says must not end in a panic or take a lot of memory, and an error must say of which file.
func TestMutatedConfig(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 400
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	run := filepath.Join(t.TempDir(), "run")
	cfg := search.Default(search.P)
	valid := runConfig{
		Command: "search", Version: version(), Model: modelSource{Model: "zoo:resnet8:width=0.25,classes=36,input=32"},
		Data: dataSource{Spec: "glyphs", Train: 64, Test: 36}, Search: &cfg, Train: &cfg.Train,
	}
	dir, err := rundir.Create(run, valid)
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(run, rundir.ConfigName)
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	tree["space"] = map[string]any{"min": map[string]any{"*": 1.0}, "divisor": 1.0, "only": []any{"*"}, "no_depth": false}
	untouched, err := json.Marshal(valid.Model) // models and data may be as large as somebody wants
	if err != nil {
		t.Fatal(err)
	}
	taken, accepted := uint64(0), 0
	for i := range n {
		text, err := json.Marshal(mutatedTree(rng, tree, rng.IntN(12)))
		if err != nil {
			t.Fatal(err)
		}
		if changed := mutated(rng, text); i%4 == 0 && bytes.Count(changed, []byte("zoo:")) == 1 && bytes.Contains(changed, untouched) {
			text = changed
		}
		if err := os.WriteFile(name, text, 0o666); err != nil {
			t.Fatal(err)
		}
		command := []string{"search", "train"}[i%2]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var talk bytes.Buffer
		s, err := goOn(&console{out: &talk, talk: &talk}, command, run)
		runtime.ReadMemStats(&after)
		taken = max(taken, after.TotalAlloc-before.TotalAlloc)
		if err == nil {
			accepted++
			if s.cfg.settings() == nil || s.graph == nil || s.src == nil {
				t.Errorf("%s: accepted without settings, network or data", text)
			}
			s.dir.Close()
			continue
		}
		if said := err.Error(); len(said) > maxSaid || !strings.Contains(said, run) {
			t.Errorf("%s\nof %s", said, text)
		}
	}
	if taken > 256<<20 {
		t.Errorf("one of them took %d bytes", taken)
	}
	t.Logf("%d of %d were accepted, up to %d kB each", accepted, n, taken>>10)
}

// mutatedTree is a copy of a JSON tree with some nodes up to a depth exchanged, but for models and data.
func mutatedTree(rng *rand.Rand, v any, more int) any {
	other := func() any {
		return []any{nil, true, -1.0, 0.0, 1.5, 1e18, 1e300, "", "search", "train", "\x00\x1b", strings.Repeat("x", 5000), []any{}, []any{nil},
			map[string]any{}, map[string]any{"a": nil}}[rng.IntN(16)]
	}
	if more == 0 {
		return other()
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			switch {
			case key == "model" || key == "data" || rng.IntN(len(v)) > 0:
				out[key] = inner
			case rng.IntN(3) == 0: // it is missing
			case rng.IntN(8) == 0:
				out[key+"x"] = inner
			default:
				out[key] = mutatedTree(rng, inner, more-1)
			}
		}
		return out
	case []any:
		var out []any
		for _, inner := range v {
			out = append(out, mutatedTree(rng, inner, more-1))
		}
		return append(out, other())
	default:
		if rng.IntN(2) == 0 {
			return other()
		}
		return v
	}
}
