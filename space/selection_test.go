package space_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/space"
)

func twoGroups() *space.Space {
	return &space.Space{Groups: []space.Group{{Name: "a", N: 4, Min: 1}, {Name: "b/c\"d", N: 2, Kind: space.Depth}}}
}

func TestSelectionSurvivesJSON(t *testing.T) {
	want := space.Selection{Keep: map[string][]int{"a": {0, 3}, "b/c\"d": {}}}
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := space.ReadSelection(&b, twoGroups())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestReadSelectionListsAllFaults(t *testing.T) {
	cases := []struct {
		text string
		want []string
	}{
		{`{"keep": {"a": [0, 0, 9, 2], "z": [1]}}`, []string{`"z": the network has no such group`, "0 stands there twice", "9 is outside of 4", "2 follows 9"}},
		{`{"keep": {"a": []}}`, []string{"keeps 0 elements, at least 1"}},
		{`{"keep": {"a": [0], "a": [1]}}`, []string{`"a" stands there twice`}},
		{`{"keep": {"a": [0]}, "more": 1}`, []string{"unknown field"}},
		{`{"keep": {"a": [0]}} x`, []string{"something follows"}},
		{`{}`, []string{`no "keep"`}},
		{`{"keep": {"a": null}}`, []string{"null"}},
		{`{"keep": {"a": [0.5]}}`, []string{`group "a"`}},
		{`{"keep": [`, []string{"EOF"}},
		{``, []string{"EOF"}},
	}
	for _, c := range cases {
		sel, err := space.ReadSelection(strings.NewReader(c.text), twoGroups())
		if err == nil {
			t.Errorf("%s: no error", c.text)
			continue
		}
		if sel.Keep != nil {
			t.Errorf("%s: gave %v beside the error", c.text, sel)
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", c.text, err, w)
			}
		}
	}
}

// TestReadSelectionBoundsWhatItSays: the faults of a hostile file took hundreds of times its size.
func TestReadSelectionBoundsWhatItSays(t *testing.T) {
	many := make([]string, 50_000)
	for i := range many {
		many[i] = fmt.Sprintf("%q: []", fmt.Sprint("group", i))
	}
	for name, text := range map[string]string{
		"indices":     `{"keep": {"a": [` + strings.Repeat("9,", 1<<19) + `9]}}`,
		"groups":      `{"keep": {` + strings.Join(many, ",") + `}}`,
		"a long name": `{"keep": {"` + strings.Repeat("x", 1<<20) + `": []}}`,
		"long names":  `{"keep": {"` + strings.Repeat("x", 1<<20) + `": [0.5]}}`,
		"a long key":  `{"` + strings.Repeat("x", 1<<20) + `": {}}`,
		"nesting":     `{"keep": {"a": ` + strings.Repeat("[", 1<<20) + `}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := space.ReadSelection(strings.NewReader(text), twoGroups())
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if said := err.Error(); len(said) > 10_000 {
			t.Errorf("%s: an error of %d bytes: %.200s", name, len(said), said)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 50*uint64(len(text)) {
			t.Errorf("%s: %d bytes took %d", name, len(text), taken)
		}
	}
}

// TestMutatedSelections changes bytes of a selection and takes out, doubles and moves pieces of it.
func TestMutatedSelections(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	valid := []byte(`{"keep": {` + "\n" + `  "a": [0, 2, 3],` + "\n" + `  "b/c\"d": [1]` + "\n}}\n")
	pieces := []string{"[", "]", "{", "}", ",", ":", "null", "-1", "1e3", "0.5", "99999999999999999999", `"a"`, `"\u0000"`, `"\ud800"`, "\xff", "keep", "true", " ", `"keep": {}`}
	accepted := 0
	for range 10_000 {
		text := slices.Clone(valid)
		for range 1 + rng.IntN(3) {
			from := rng.IntN(len(text) + 1)
			to := min(len(text), from+rng.IntN(20))
			switch rng.IntN(4) {
			case 0:
				text = slices.Delete(text, from, to)
			case 1:
				text = slices.Insert(text, rng.IntN(len(text)+1), slices.Clone(text[from:to])...)
			case 2:
				text = slices.Insert(text, from, []byte(pieces[rng.IntN(len(pieces))])...)
			case 3:
				if from < len(text) {
					text[from] = byte(rng.Uint32())
				}
			}
		}
		sel, err := space.ReadSelection(bytes.NewReader(text), twoGroups())
		switch {
		case err == nil:
			accepted++
			if err := sel.Check(twoGroups()); err != nil {
				t.Fatalf("seed %d: %q was accepted with %v", seed, text, err)
			}
		case sel.Keep != nil, !strings.HasPrefix(err.Error(), "space: selection: "), len(err.Error()) > 10_000:
			t.Fatalf("seed %d: %q: %v, %v", seed, text, sel, err)
		}
	}
	t.Logf("seed %d: %d of 10000 are still selections", seed, accepted)
}

func FuzzReadSelection(f *testing.F) {
	f.Add([]byte(`{"keep": {"a": [0, 3]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		sel, err := space.ReadSelection(bytes.NewReader(data), twoGroups())
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := sel.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := space.ReadSelection(&b, twoGroups())
		if err != nil || !reflect.DeepEqual(again, sel) {
			t.Fatalf("%v became %v, %v", sel, again, err)
		}
	})
}
