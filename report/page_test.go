package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/rundir"
)

// writePage is the page about the run in a folder, checked.
func writePage(t testing.TB, run string) string {
	t.Helper()
	r, err := ReadRun(run)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	checkPage(t, b.Bytes())
	return b.String()
}

// sourced are the attributes from which a browser loads or follows something.
var sourced = []string{"src", "href", "srcset", "data", "action", "formaction", "poster", "background", "ping"}

var scripts = regexp.MustCompile(`(?s)<script>.*?</script>`)

// checkPage holds any page, also one about hostile files, to what all promise: it parses, has one script and one style of its own, no
// handlers, loads nothing from anywhere, and has a bounded size.
func checkPage(t testing.TB, raw []byte) {
	t.Helper()
	if len(raw) > maxPage {
		t.Errorf("%d bytes; a page has at most %d", len(raw), maxPage)
	}
	if n := len(scripts.FindAll(raw, -1)); n != 1 {
		t.Errorf("%d scripts", n)
	}
	d := xml.NewDecoder(bytes.NewReader(scripts.ReplaceAll(raw, nil)))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("the page does not parse: %v", err)
			return
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		name := strings.ToLower(e.Name.Local)
		if slices.Contains([]string{"script", "iframe", "object", "embed", "base", "form", "a"}, name) {
			t.Errorf("an element %s", name)
		}
		for _, a := range e.Attr {
			switch key := strings.ToLower(a.Name.Local); {
			case strings.HasPrefix(key, "on"):
				t.Errorf("%s has a handler %s=%q", name, key, a.Value)
			case slices.Contains(sourced, key) && !strings.HasPrefix(a.Value, "data:image/png;base64,") && a.Value != "data:,":
				t.Errorf("%s loads %s=%q", name, key, a.Value)
			case key == "style" && strings.Contains(a.Value, "url"):
				t.Errorf("%s loads by its style %q", name, a.Value)
			case strings.Contains(a.Value, "ZgotmplZ"):
				t.Errorf("%s: %s was refused by the template", name, key)
			}
		}
	}
}

func TestStyleLoadsNothing(t *testing.T) {
	for _, name := range []string{"page/page.css", "page/page.js"} {
		raw, err := pageFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"url(", "@import", "http:", "https:", "fetch(", "import(", "innerHTML", "</"} {
			if bytes.Contains(raw, []byte(word)) {
				t.Errorf("%s has %s", name, word)
			}
		}
	}
}

func TestPageOfASearchHasEverySection(t *testing.T) {
	page := writePage(t, writeSearch(t, true))
	for _, want := range []string{
		"<title>dms search · resnet20</title>", "<h1>91.0% right with ", " of 7 residual blocks were removed",
		`id="progress"`, "<b>Loss</b> <span>0.02 at first, 0.00667 in the end</span>", "<b>Accuracy</b>", "<b>Multiply-accumulates</b> <span>30.0 M in the end, the target being 24.0 M</span>",
		`id="groups"`, "8 of 16", "went with its block", `class="heat"`, `class="kept"`, "Masks from step 100 to 300",
		`id="blocks"`, "<s>layer2.1</s>", "<li>layer1.0</li>",
		`id="ratios"`, "conv1&#43;3 gives up most, 25.0% of itself",
		`id="layers"`, "conv1 saves most, 221 k", "442 k → 221 k", "a.1/&lt;b&gt;",
		`id="settings"`, "<dt>seed</dt><dd>1</dd>", "<dt>version</dt><dd>v0.1</dd>", "<dt>instruction set</dt><dd>avx2</dd>", "<td>train.batch</td><td>64</td>",
		"<td>data.seed</td><td>9223372036854775809</td>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(scripts.ReplaceAllString(page, ""))
	}
	if len(page) > 100_000 {
		t.Errorf("%d bytes for a small search", len(page))
	}
}

// TestPageHasTheNumbersOfTheResult reads the numbers back that stand in full beside the large ones.
func TestPageHasTheNumbersOfTheResult(t *testing.T) {
	run := writeSearch(t, true)
	raw, err := os.ReadFile(filepath.Join(run, ResultName))
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Top1  json.Number
		After struct{ MACs, Params, Bytes json.Number }
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`<data value="([^"]*)"`).FindAllStringSubmatch(writePage(t, run), -1) {
		got = append(got, m[1])
	}
	want := []string{result.Top1.String(), result.After.MACs.String(), result.After.Params.String(), result.After.Bytes.String()}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// timed gives a search a budget of latency, which it met or missed.
func timed(t *testing.T, run string, after string) {
	t.Helper()
	for name, change := range map[string][2]string{
		ResultName:        {`"groups":`, `"latency":{"before":480000,"after":` + after + `,"target":288000,"again":470000,"divisor":8},"groups":`},
		"metrics.jsonl":   {`"macs":`, `"latency":310500,"macs":`},
		rundir.ConfigName: {`"macs=60%"`, `"macs=60%", "latency=60%"`},
	} {
		file := filepath.Join(run, name)
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), change[0], change[1])
		if text == string(raw) {
			t.Fatalf("%s has no %s", name, change[0])
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPageOfALatencyBudgetIsInTime(t *testing.T) {
	for after, missed := range map[string]bool{"283000": false, "300000": true} {
		run := writeSearch(t, true)
		timed(t, run, after)
		page := writePage(t, run)
		for _, want := range []string{`<data value="` + after + `"`, "of 480 µs", ">Latency<", `data-format="time"`, "310 µs in the end, the target being 310 µs"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		if strings.Contains(page, "is missed") != missed {
			t.Errorf("%s of 288000 ns: the page says missed %t", after, !missed)
		}
		r, err := ReadRun(run)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "310 µs") || strings.Contains(b.String(), "310 k") {
			t.Errorf("the text is\n%s", b.String())
		}
	}
}

func TestPageOfAnUnfinishedSearchShowsHowFarItIs(t *testing.T) {
	page := writePage(t, writeSearch(t, false))
	for _, want := range []string{"<h1>No result yet, step 300 of 400</h1>", "12 of 16", `class="heat"`, `id="ratios"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, no := range []string{`id="layers"`, `id="blocks"`, `class="tiles"`} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %q", no)
		}
	}
}

func TestPageOfATrainingHasWhatThereIs(t *testing.T) {
	files := map[string]string{
		"config.json": `{"command": "train", "model": "folder/small.onnx", "train": {"steps": 20, "seed": 7}}`,
		"metrics.jsonl": `{"step":10,"steps":20,"loss":0.5,"accuracy":0.8,"rate":0.01}` + "\n" +
			`{"step":20,"steps":20,"loss":0.4,"accuracy":0.9,"rate":0.001}` + "\n" + `{"st`,
		"result.json": `{"correct":97,"total":100,"top1":0.97,"top5":1,"loss":0.12}`,
	}
	page := writePage(t, writeFiles(t, files))
	for _, want := range []string{"<h1>97.0% of the test samples right after training</h1>", "dms train of small", "97 of 100", "<b>Learning rate</b> <span>0.01 at most</span>",
		"<dt>seed</dt><dd>7</dd>", "cut short"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, no := range []string{`id="groups"`, `id="ratios"`, `id="layers"`, `id="blocks"`} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %q", no)
		}
	}
	for _, name := range []string{"metrics.jsonl", "result.json"} { // what is left is a page all the same
		delete(files, name)
		writePage(t, writeFiles(t, files))
	}
}

// hostile are names that would break out of some part of a page if they stood there as they are.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</style><svg onload=alert(1)>`, `--><iframe src="http://localhost/">`,
	`javascript:alert(1)`, "\x00\x1b[31m\u202e", `{{.Style}}`, `;background:url(http://localhost/)`, strings.Repeat("long", 10_000),
}

func TestPageEscapesHostileNames(t *testing.T) {
	for _, name := range hostile {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		fill := func(s string) string { return strings.ReplaceAll(s, "NAME", string(quoted)) }
		page := writePage(t, writeFiles(t, map[string]string{
			"config.json": fill(`{"command": "search", "model": {"model": NAME}, "data": {"spec": NAME}, "version": NAME, "instruction_set": NAME, NAME: {NAME: NAME}, "search": {NAME: [NAME]}}`),
			"metrics.jsonl": fill(`{"step":1,"steps":2,"loss":1,"spent":{NAME:5},"target":{NAME:4},"a":{NAME:0.5},"kept":{NAME:2},"masks":{NAME:"AP8A"}}` + "\n" +
				`{"step":2,"steps":2,"loss":2,"spent":{NAME:5},"target":{NAME:4},"a":{NAME:0.7},"kept":{NAME:2},"masks":{NAME:"AP8A"}}`),
			"result.json": fill(`{"before":{"macs":5},"after":{"macs":4},"groups":[{"name":NAME,"kind":"width","n":3,"kept":2},` +
				`{"name":"d","kind":"depth","n":2,"kept":1,"blocks":[{"name":NAME,"kept":true},{"name":NAME}]}],"layers":[{"layer":NAME,"op":NAME,"before":{"macs":5},"after":{"macs":1}}]}`),
			"selection.json": fill(`{"keep":{NAME:[0,2],"d":[0]}}`),
		}))
		if !strings.Contains(page, `class="heat"`) || !strings.Contains(page, `id="layers"`) {
			t.Errorf("%.40q: the page is not whole", name)
		}
		if len(page) > 60_000 {
			t.Errorf("%.40q makes a page of %d bytes", name, len(page))
		}
	}
}

func TestPageBearsNumbersThatNoAxisShows(t *testing.T) {
	for _, v := range []string{"1e308", "-1e308", "5e-324", "0", "-0.0", "9.3e17", "1e-300"} {
		writePage(t, writeFiles(t, map[string]string{
			"config.json": `{"command": "search"}`,
			"metrics.jsonl": strings.ReplaceAll(`{"step":9223372036854775807,"steps":-1,"loss":V,"accuracy":V,"rate":V,"spent":{"macs":V},"target":{"macs":V},"a":{"g":V},"kept":{"g":-5}}`+"\n"+
				`{"step":-9223372036854775808,"loss":-1e308,"a":{"g":1e308},"kept":{"g":9223372036854775807}}`+"\n"+`{"a":{"g":V},"kept":{"g":1}}`, "V", v),
		}))
	}
}

// TestPageOfALargeRunIsBounded fills every section beyond what is shown.
func TestPageOfALargeRunIsBounded(t *testing.T) {
	lines, groups := 1500, 400
	if testing.Short() {
		lines = 600
	}
	var a, kept, masks []string
	result := SearchResult{Before: cost.Cost{MACs: 9}, After: cost.Cost{MACs: 3}}
	mask, err := json.Marshal(bytes.Repeat([]byte{0, 17, 255, 80}, 100))
	if err != nil {
		t.Fatal(err)
	}
	for g := range groups {
		name := fmt.Sprintf("group.%d.%s", g, strings.Repeat("x", 150))
		a = append(a, fmt.Sprintf("%q:0.%d", name, g))
		kept = append(kept, fmt.Sprintf("%q:3", name))
		masks = append(masks, fmt.Sprintf("%q:%s", name, mask))
		result.Groups = append(result.Groups, Group{Name: name, Kind: "width", N: 400, Kept: 400})
		result.Layers = append(result.Layers, Layer{Name: name, Op: "Conv", Before: cost.Cost{MACs: 5}, After: cost.Cost{MACs: 2}})
	}
	path := writeFiles(t, map[string]string{"config.json": `{"command":"search","search":{` + strings.Join(a, ",") + `}}`})
	f, err := os.Create(filepath.Join(path, rundir.MetricsName))
	if err != nil {
		t.Fatal(err)
	}
	for i := range lines {
		more := ""
		if i%8 == 0 {
			more = `,"masks":{` + strings.Join(masks, ",") + "}"
		}
		fmt.Fprintf(f, `{"step":%d,"steps":%d,"loss":%d.5,"a":{%s},"kept":{%s}%s}`+"\n", i+1, lines, i*7%13, strings.Join(a, ","), strings.Join(kept, ","), more)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, ResultName), raw, 0o666); err != nil {
		t.Fatal(err)
	}
	page := writePage(t, path)
	t.Logf("%d bytes", len(page))
	for _, want := range []string{"100 more groups", "100 more layers", "100 more settings", fmt.Sprintf("of %d lines of metrics are drawn", lines)} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestLayersPairByNameAndOperator(t *testing.T) {
	c := func(n int64) cost.Cost { return cost.Cost{MACs: n} }
	got := Layers(
		[]cost.Layer{{Node: "a", Op: "Conv", Cost: c(9)}, {Node: "gone", Op: "Conv", Cost: c(8)}, {Node: "a", Op: "Conv", Cost: c(7)}, {Node: "a", Op: "Relu", Cost: c(1)}},
		[]cost.Layer{{Node: "a", Op: "Conv", Cost: c(4)}, {Node: "new", Op: "Gather", Cost: c(2)}, {Node: "a", Op: "Conv", Cost: c(3)}})
	want := []Layer{{"a", "Conv", c(9), c(4)}, {"gone", "Conv", c(8), c(0)}, {"a", "Conv", c(7), c(3)}, {"a", "Relu", c(1), c(0)}, {"new", "Gather", c(0), c(2)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestNamesOfLayersLoseWhatExportersRepeat(t *testing.T) {
	for name, want := range map[string]string{
		"/layer1/layer1.0/conv1/Conv": "layer1.0/conv1", "/conv1/Conv": "conv1", "fc": "fc", "/Conv": "Conv", "": "Conv", "Conv": "Conv", "///": "Conv",
	} {
		if got := layerName(Layer{Name: name, Op: "Conv"}); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
