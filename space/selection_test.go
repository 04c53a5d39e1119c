package space_test

import (
	"bytes"
	"reflect"
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
