package report

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/train"
)

// writeSearch makes the folder of a search the way the command line does; a finished one has its result.
func writeSearch(t testing.TB, finished bool) string {
	t.Helper()
	s, m, sel := half(t)
	cfg := search.Default(search.PMinus)
	budget, err := search.ParseBudget("macs=60%")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Budgets = []search.Budget{budget}
	path := filepath.Join(t.TempDir(), "run")
	d, err := rundir.Create(path, map[string]any{
		"command": "search", "version": "v0.1", "instruction_set": "avx2",
		"model": map[string]any{"model": "zoo:resnet20"}, "data": map[string]any{"spec": "glyphs", "seed": uint64(1<<63 + 1)}, "search": cfg,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for step := 100; step <= 300; step += 100 {
		masks := map[string][]byte{}
		for _, g := range s.Groups {
			mask := bytes.Repeat([]byte{255}, g.N)
			for e := range mask[:g.N*step/600] {
				mask[2*e] = byte(300 - step)
			}
			masks[g.Name] = mask
		}
		err := d.AppendMetrics(train.Metrics{
			Step: step, Steps: 400, Loss: 2 / float64(step), Accuracy: 0.9 - float64(step-200)*float64(step-200)/1e6, Rate: 0.1,
			Spent: map[string]float64{"macs": 30e6}, Target: map[string]float64{"macs": 24e6},
			Ratios: map[string]float64{"conv1+3": 0.25}, Kept: map[string]int{"conv1+3": 12}, Masks: masks,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !finished {
		return path
	}
	if err := d.WriteFile(rundir.SelectionName, sel.Write); err != nil {
		t.Fatal(err)
	}
	result := NewSearchResult(&search.Result{Space: s, Selection: sel, Before: m.Full(), After: m.At(sel)}, cfg.Budgets)
	result.Layers = Layers(
		[]cost.Layer{{Node: "conv1", Op: "Conv", Cost: cost.Cost{MACs: 442_368}}, {Node: "/a/a.1/<b>/Conv", Op: "Conv", Cost: cost.Cost{MACs: 2_000}}},
		[]cost.Layer{{Node: "conv1", Op: "Conv", Cost: cost.Cost{MACs: 221_184}}, {Node: "new", Op: "Gather", Cost: cost.Cost{Bytes: 4}}})
	result.Score = &train.Score{Correct: 91, Total: 100, Top1: 0.91, Loss: 0.3}
	if err := d.WriteFile(ResultName, func(w io.Writer) error { return json.NewEncoder(w).Encode(result) }); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunSumsUpASearch(t *testing.T) {
	r, err := ReadRun(writeSearch(t, true))
	if err != nil {
		t.Fatal(err)
	}
	if r.Lines != 3 || r.First.Step != 100 || r.Best.Step != 200 || r.Last.Step != 300 {
		t.Errorf("%d lines, first %+v, best %+v, last %+v", r.Lines, r.First, r.Best, r.Last)
	}
	if got := strings.Join(r.Search.Removed(), " "); got != "layer2.1 layer2.2" {
		t.Errorf("removed blocks %q", got)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"search of zoo:resnet20 on glyphs, version v0.1, kernels avx2\n",
		"\ndata.seed 9223372036854775809\n",
		"\non the test samples\ntop-1 correct of loss\n91.0% 91 100 0.3\n",
		"\ncost of one sample\n",
		"\nlayer1.0.conv1 width 8 16 50.0%\n",
		"\nlayer2.1.conv1 width 0 32 0.0% went with its block\n",
		"\ndepth.layer2 depth 0 2 0.0% without layer2.1, layer2.2\n",
		"\nbest 200 0.01 90.0% 0.1 30.0 M 24.0 M\n",
		"\ntrain.batch 64\n",
		"\nbudgets [\"macs=60%\"]\n",
	} {
		if !strings.Contains(oneBlank(b.String()), want) {
			t.Errorf("the text lacks %q:\n%s", want, b.String())
		}
	}
	macs := strings.Fields(b.String()[max(0, strings.Index(b.String(), "\nmacs ")):])
	if got, want := strings.Join(macs[1:3], " "), Count(r.Search.Before.MACs); got != want {
		t.Errorf("MACs before are %q, want %q", got, want)
	}
}

// oneBlank takes the alignment out of a text.
func oneBlank(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}

func TestRunAsJSONKeepsEveryNumber(t *testing.T) {
	path := writeSearch(t, true)
	r, err := ReadRun(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Run     string `json:"run"`
		Command string `json:"command"`
		Last    struct{ A map[string]float64 }
		Search  SearchResult `json:"search"`
		Config  struct {
			Data   struct{ Seed uint64 }
			Search search.Config `json:"search"`
		} `json:"config"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Run != path || got.Command != "search" || got.Config.Data.Seed != 1<<63+1 || got.Config.Search.Train.Batch != train.Default().Batch ||
		got.Last.A["conv1+3"] != 0.25 || got.Search.After != r.Search.After || got.Search.Score == nil || got.Search.Top1 != 0.91 || len(got.Search.Groups) != len(r.Search.Groups) {
		t.Errorf("got %+v", got)
	}
}

func TestRunSumsUpAnUnfinishedSearch(t *testing.T) {
	r, err := ReadRun(writeSearch(t, false))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"no result yet, step 300 of 400\n", "\nkept at step 300\n", "\nconv1+3 12 0.250\n"} {
		if !strings.Contains(oneBlank(b.String()), want) {
			t.Errorf("the text lacks %q:\n%s", want, b.String())
		}
	}
}

func TestRunSumsUpATraining(t *testing.T) {
	path := writeFiles(t, map[string]string{
		"config.json":   `{"command": "train", "model": "small.onnx", "train": {"steps": 10}}`,
		"metrics.jsonl": `{"step":10,"steps":10,"loss":0.5,"accuracy":0.8,"rate":0.01}` + "\n",
		"result.json":   `{"correct":97,"total":100,"top1":0.97,"top5":1,"loss":0.12}`,
	})
	r, err := ReadRun(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `train of small.onnx

on the test samples
top-1  correct   of  loss
97.0%       97  100  0.12

on training samples, as augmented
       step  loss  accuracy  rate
first    10   0.5     80.0%  0.01
best     10   0.5     80.0%  0.01
last     10   0.5     80.0%  0.01

settings
setting  value
model    small.onnx
steps    10
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func writeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	path := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestRunRefusesFilesThatDoNotHoldTogether(t *testing.T) {
	const config = `{"command": "search"}`
	group := func(s string) string { return `{"before":{"macs":5},"after":{"macs":4},"groups":[` + s + `]}` }
	const block = `{"name":"d","kind":"depth","n":2,"kept":1,"blocks":[{"name":"b0","kept":true},{"name":"b1","kept":false}]}`
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":              {nil, "config.json"},
		"config is no object":  {map[string]string{"config.json": `[1]`}, "config.json"},
		"config is cut":        {map[string]string{"config.json": `{"command": "sea`}, "config.json"},
		"metrics no JSON":      {map[string]string{"config.json": config, "metrics.jsonl": "{}\n{\n"}, "line 2"},
		"metrics of words":     {map[string]string{"config.json": config, "metrics.jsonl": `{"step":"x"}`}, "line 1"},
		"metrics too large":    {map[string]string{"config.json": config, "metrics.jsonl": `{"loss":1e999}`}, "line 1"},
		"unknown command":      {map[string]string{"config.json": `{"command":"dance"}`, "result.json": "{}"}, `"dance"`},
		"result no JSON":       {map[string]string{"config.json": config, "result.json": "{"}, "result.json"},
		"result too long":      {map[string]string{"config.json": config, "result.json": strings.Repeat(" ", maxResult+1)}, "at most"},
		"negative cost":        {map[string]string{"config.json": config, "result.json": `{"before":{"macs":-1}}`}, "negative"},
		"budget":               {map[string]string{"config.json": config, "result.json": `{"budgets":["macs=0%"]}`}, "macs=0%"},
		"group without a name": {map[string]string{"config.json": config, "result.json": group(`{"kind":"width","n":1,"kept":1}`)}, "no name"},
		"group twice":          {map[string]string{"config.json": config, "result.json": group(block + "," + block)}, "twice"},
		"kind":                 {map[string]string{"config.json": config, "result.json": group(`{"name":"x","n":1}`)}, "kind"},
		"more than all":        {map[string]string{"config.json": config, "result.json": group(`{"name":"x","kind":"width","n":3,"kept":4}`)}, "4 of 3"},
		"blocks":               {map[string]string{"config.json": config, "result.json": group(`{"name":"x","kind":"depth","n":3,"kept":1,"blocks":[{}]}`)}, "blocks"},
		"blocks kept":          {map[string]string{"config.json": config, "result.json": group(`{"name":"x","kind":"depth","n":1,"kept":1,"blocks":[{}]}`)}, "blocks"},
		"other selection":      {map[string]string{"config.json": config, "result.json": group(block), "selection.json": `{"keep":{"d":[0,1]}}`}, "keeps 2"},
		"selects all":          {map[string]string{"config.json": config, "result.json": group(block), "selection.json": `{"keep":{}}`}, "keeps 2"},
		"other block":          {map[string]string{"config.json": config, "result.json": group(block), "selection.json": `{"keep":{"d":[1]}}`}, "block"},
		"foreign selection":    {map[string]string{"config.json": config, "result.json": group(block), "selection.json": `{"keep":{"e":[1]}}`}, "no such group"},
		"selection no JSON":    {map[string]string{"config.json": config, "result.json": group(block), "selection.json": `keep`}, "selection"},
	} {
		r, err := ReadRun(writeFiles(t, c.files))
		if err == nil || r != nil || !strings.HasPrefix(err.Error(), "report: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %+v, %v; want an error with %q", name, r, err, c.want)
		}
	}
	folder := writeFiles(t, map[string]string{"config.json": config})
	if err := os.Mkdir(filepath.Join(folder, "result.json"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRun(folder); err == nil || !strings.Contains(err.Error(), "plain file") {
		t.Errorf("a folder in place of a result: %v", err)
	}
}

func TestRunBearsATornLastLine(t *testing.T) {
	r, err := ReadRun(writeFiles(t, map[string]string{
		"config.json":   `{"command": "train"}`,
		"metrics.jsonl": `{"step":10,"steps":30}` + "\n" + `{"step":20,"ste`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.headline(), "train: no result yet, step 10 of 30, last line of metrics cut short"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunTakesNestedSettingsApartOnlySoFar(t *testing.T) {
	const deep = 5000
	path := writeFiles(t, map[string]string{"config.json": `{"x":` + strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep) + "}"})
	r, err := ReadRun(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "a.a.a") {
		t.Errorf("got %.100q, %v", b.String(), err)
	}
}

func FuzzReadRun(f *testing.F) {
	path := writeSearch(f, true)
	var seed [4][]byte
	names := [4]string{rundir.ConfigName, rundir.MetricsName, ResultName, rundir.SelectionName}
	for i, name := range names {
		raw, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			f.Fatal(err)
		}
		seed[i] = raw
	}
	f.Add(seed[0], seed[1], seed[2], seed[3])
	f.Add([]byte(`{"command":"train","model":{"model":1},"train":{"a":{"b":[1]}}}`), []byte(`{"a":{"g":1},"kept":{"g":2},"spent":{"macs":1e300},"masks":{"g":"AA8="}}`), []byte(`{"top1":2}`), []byte(`{"keep":{}}`))
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, config, metrics, result, selection []byte) {
		for i, raw := range [4][]byte{config, metrics, result, selection} {
			if err := os.WriteFile(filepath.Join(folder, names[i]), raw, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		r, err := ReadRun(folder)
		if err != nil {
			if r != nil {
				t.Errorf("an error and a run: %v", err)
			}
			return
		}
		var page, text, one, two bytes.Buffer
		if err := r.WriteHTML(&page); err != nil {
			t.Error(err)
		}
		checkPage(t, page.Bytes())
		if err := r.WriteText(&text); err != nil {
			t.Error(err)
		}
		if strings.ContainsAny(text.String(), "\x00\x07\x08\r\x1b\x7f") {
			t.Errorf("control characters in %q", text.String())
		}
		if err := r.WriteJSON(&one); err != nil {
			t.Error(err)
		}
		var again Run
		if err := json.Unmarshal(one.Bytes(), &again); err != nil {
			t.Error(err)
		}
		if err := again.WriteJSON(&two); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Errorf("written again it is different:\n%s\n%s\n%v", one.Bytes(), two.Bytes(), err)
		}
	})
}
