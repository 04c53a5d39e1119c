package lint

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// The words below stand in pieces, or this file would hold what it looks for.

// machinePaths are places of one machine. Tests may speak of the temporary folder.
var machinePaths = []string{"/ho" + "me/", "/ro" + "ot/", "/wo" + "rk/", "/Us" + "ers/"}

const temporary = "/t" + "mp/"

// registries are hosts whose address belongs in a user's settings, not in a program or script.
var registries = []string{
	"proxy.gol" + "ang.org", "sum.gol" + "ang.org", "py" + "pi.org", "pythonho" + "sted.org", "registry.np" + "mjs.org", "crates" + ".io/", "anaconda" + ".org",
}

// tooling are words about whoever or whatever typed the text; what a file says has to stand by itself.
var tooling = regexp.MustCompile(`(?i)\b(` + strings.Join([]string{
	"age" + "nts?", "suba" + "gents?", "clau" + "de", "anthr" + "opic", "chat" + "gpt", "open" + "ai", "copi" + "lot", "gemi" + "ni",
	"ai-gen" + "erated", "language mo" + "del wrote", "as an a" + "i", "sand" + "box",
}, "|") + `)\b`)

func TestNoFileSpeaksOfOneMachine(t *testing.T) {
	for _, name := range files(t) {
		raw := read(t, name)
		if !text(raw) {
			continue
		}
		places := machinePaths
		if !strings.HasSuffix(name, "_test.go") {
			places = append(places[:len(places):len(places)], temporary)
		}
		for _, place := range places {
			report(t, name, raw, place, "the path of one machine")
		}
		for _, host := range registries {
			if !strings.HasSuffix(name, "go.sum") {
				report(t, name, raw, host, "the host of a registry")
			}
		}
	}
}

func report(t *testing.T, name string, raw []byte, what, why string) {
	t.Helper()
	if i := bytes.Index(raw, []byte(what)); i >= 0 {
		t.Errorf("%s:%d: %q is %s", name, line(raw, i), what, why)
	}
}

func line(raw []byte, i int) int { return 1 + bytes.Count(raw[:i], []byte("\n")) }

func TestNoFileSpeaksOfItsTools(t *testing.T) {
	for _, name := range files(t) {
		raw := read(t, name)
		if !text(raw) || name == "LICENSE" || strings.HasSuffix(name, "go.sum") {
			continue
		}
		raw = bytes.ReplaceAll(raw, []byte("--no-sand"+"box"), nil) // an option of Chromium, which the tests of the report start
		for _, at := range tooling.FindAllIndex(raw, -1) {
			t.Errorf("%s:%d: says %q", name, line(raw, at[0]), raw[at[0]:at[1]])
		}
	}
}
