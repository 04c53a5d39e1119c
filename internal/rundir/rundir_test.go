package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dms-go/dms/internal/wholefile"
	"github.com/dms-go/dms/ir"
)

// settings stand for those of a command.
type settings struct {
	Seed uint64            `json:"seed"`
	Data map[string]string `json:"data"`
	Rate float64           `json:"rate"`
}

var some = settings{Seed: 1<<63 + 1, Data: map[string]string{"spec": "glyphs<&>"}, Rate: 0.1}

// line is one line of metrics.
type line struct {
	Step int     `json:"step"`
	Loss float64 `json:"loss"`
}

func create(t testing.TB) *Dir {
	t.Helper()
	d, err := Create(filepath.Join(t.TempDir(), "runs", "one"), some)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// reopen closes a run and takes it up again, as another process would.
func reopen(t testing.TB, d *Dir) *Dir {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var s settings
	again, err := Open(d.Path(), &s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	return again
}

// goTo writes a line of metrics for each step behind from and up to to, and then a checkpoint.
func goTo(t testing.TB, d *Dir, from, to int) {
	t.Helper()
	for step := from + 1; step <= to; step++ {
		if err := d.AppendMetrics(line{step, 1 / float64(step)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Save(checkpoint(to)); err != nil {
		t.Fatal(err)
	}
}

// checkpoint is one whose content follows from the step.
func checkpoint(step int) *Checkpoint {
	return &Checkpoint{
		Step:  step,
		State: fmt.Appendf(nil, `{"step":%d,"text":"<é>"}`, step),
		Tensors: map[string]*ir.Tensor{
			"conv1.weight":       ir.Floats32([]float32{float32(step), 0.5, -1, 2, 3, 4}, 2, 3),
			"conv1.weight/first": ir.Floats32([]float32{1, 2, 3}, 3),
			"importance":         {DType: ir.Float64, Shape: []int{1}, Raw: []byte{byte(step), 1, 2, 3, 4, 5, 6, 7}},
			"steps":              ir.Ints64([]int64{int64(step)}),
		},
	}
}

func same(a, b *Checkpoint) bool {
	if a.Step != b.Step || string(a.State) != string(b.State) || len(a.Tensors) != len(b.Tensors) {
		return false
	}
	for name, v := range a.Tensors {
		if !v.Equal(b.Tensors[name]) {
			return false
		}
	}
	return true
}

// steps are the steps of the lines of metrics.
func steps(t testing.TB, path string) []int {
	t.Helper()
	lines, err := Metrics(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, raw := range lines {
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Step)
	}
	return out
}

func upTo(n int) []int {
	var out []int
	for i := range n {
		out = append(out, i+1)
	}
	return out
}

// files are the names in a folder of the run.
func files(t testing.TB, d *Dir, folder ...string) []string {
	t.Helper()
	entries, err := os.ReadDir(d.Path(folder...))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSettingsComeBack(t *testing.T) {
	d := create(t)
	if got := files(t, d); !slices.Equal(got, []string{checkpointFolder, ConfigName, lockName, LogName, MetricsName}) {
		t.Errorf("a new run has the files %v", got)
	}
	path := d.Path()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var got settings
	d, err := Open(path, &got)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if fmt.Sprint(got) != fmt.Sprint(some) {
		t.Errorf("settings %+v, want %+v", got, some)
	}
}

func TestCreateRefusesWhatIsThereAlready(t *testing.T) {
	d := create(t)
	if _, err := Create(d.Path(), some); err == nil || !strings.Contains(err.Error(), "not empty") || !strings.Contains(err.Error(), "--resume "+d.Path()) {
		t.Errorf("a run: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, []byte("text"))
	if _, err := Create(file, some); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file: %v", err)
	}
	empty, err := Create(t.TempDir(), some)
	if err != nil {
		t.Fatalf("an empty folder: %v", err)
	}
	empty.Close()
}

func TestCreateLeavesNothingWhenItFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	if _, err := Create(path, func() {}); err == nil {
		t.Error("settings that are no JSON: accepted")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("settings that are no JSON left a folder: %v", err)
	}
}

func TestOpenRefusesWhatIsNoRun(t *testing.T) {
	var s settings
	if _, err := Open(t.TempDir(), &s); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no run to go on with") {
		t.Errorf("an empty folder: %v", err)
	}
	d := create(t)
	d.Close()
	for what, c := range map[string]struct{ text, want string }{
		"nothing":       {"", "before byte 0: unexpected end of JSON input"},
		"cut short":     {`{"seed":1,`, "before byte 10: unexpected end of JSON input"},
		"syntax":        {`{"seed":1;}`, "before byte 10: invalid character ';' after object key:value pair"},
		"two values":    {`{"seed":1}{}`, "before byte 11: invalid character '{' after top-level value"},
		"another kind":  {`{"seed":1,"rate":"fast"}`, "before byte 23: json: cannot unmarshal string into Go struct field settings.rate of type float64"},
		"out of range":  {`{"seed":-1}`, "before byte 10: json: cannot unmarshal number -1 into Go struct field settings.seed of type uint64"},
		"unknown field": {`{"sede":1}`, `json: unknown field "sede"`},
		"no object":     {`[]`, "before byte 1: json: cannot unmarshal array into Go value of type rundir.settings"},
	} {
		write(t, d.Path(ConfigName), []byte(c.text))
		_, err := Open(d.Path(), &s)
		if want := "run: " + d.Path(ConfigName) + ": " + c.want; fmt.Sprint(err) != want {
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, want)
		}
	}
	write(t, d.Path(ConfigName), make([]byte, maxConfig+1))
	if err := ReadConfig(d.Path(), &s); err == nil || !strings.Contains(err.Error(), "config.json: 16777217 bytes; at most 16777216 are read") {
		t.Errorf("a huge file: %v", err)
	}
	if err := os.Remove(d.Path(ConfigName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.Path(ConfigName), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := ReadConfig(d.Path(), &s); err == nil || !strings.Contains(err.Error(), "config.json: not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestMetricsKeepTheirLines(t *testing.T) {
	d := create(t)
	goTo(t, d, 0, 3)
	d = reopen(t, d)
	goTo(t, d, 3, 5)
	if got := steps(t, d.Path()); !slices.Equal(got, upTo(5)) {
		t.Errorf("steps %v, want 1 to 5", got)
	}
	if err := d.AppendMetrics(func() {}); err == nil || !strings.HasPrefix(err.Error(), "run: metrics: json: ") {
		t.Errorf("what is no JSON: %v", err)
	}
}

func TestTornLastLineOfMetrics(t *testing.T) {
	d := create(t)
	goTo(t, d, 0, 2)
	whole := read(t, d.Path(MetricsName))
	for _, torn := range []string{`{"step":3,"lo`, `{`, `{"step":3,"loss":1}`, "\x00\x00"} {
		write(t, d.Path(MetricsName), append(slices.Clip(whole), torn...))
		lines, err := Metrics(d.Path())
		if strings.HasSuffix(torn, "}") { // only the line end is missing
			if err != nil || len(lines) != 3 {
				t.Errorf("%s: %d lines, %v; want 3", torn, len(lines), err)
			}
		} else if want := "run: " + d.Path(MetricsName) + ": line 3: it is cut short"; !errors.Is(err, ErrTorn) || err.Error() != want || len(lines) != 2 {
			t.Errorf("%q: %d lines, %v; want 2 lines and %s", torn, len(lines), err, want)
		}
		d = reopen(t, d)
		if _, _, err := d.Resume(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, d.Path(MetricsName)); string(got) != string(whole) {
			t.Errorf("%q: after Resume the metrics are %q, want %q", torn, got, whole)
		}
	}
	write(t, d.Path(MetricsName), []byte("{}\n\n{]\n"))
	if _, err := Metrics(d.Path()); err == nil || err.Error() != "run: "+d.Path(MetricsName)+": line 3 is not JSON" {
		t.Errorf("a line that is no JSON: %v", err)
	}
	if _, err := Metrics(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no metrics: %v", err)
	}
}

func TestResumeWithoutCheckpointStartsAnew(t *testing.T) {
	d := create(t)
	if err := d.AppendMetrics(line{1, 1}); err != nil {
		t.Fatal(err)
	}
	d = reopen(t, d)
	if c, warnings, err := d.Resume(); c != nil || warnings != nil || !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("%v, %v, %v; want ErrNoCheckpoint", c, warnings, err)
	}
	if got := read(t, d.Path(MetricsName)); len(got) > 0 {
		t.Errorf("metrics %q are left of a run that starts anew", got)
	}
}

func TestResumeCutsMetricsBackToTheCheckpoint(t *testing.T) {
	d := create(t)
	goTo(t, d, 0, 4)
	want := read(t, d.Path(MetricsName))
	for step := 5; step < 9; step++ {
		if err := d.AppendMetrics(line{step, 7}); err != nil {
			t.Fatal(err)
		}
	}
	d = reopen(t, d)
	c, warnings, err := d.Resume()
	if err != nil || warnings != nil || !same(c, checkpoint(4)) {
		t.Fatalf("%v, %v, %v; want the checkpoint of step 4", c, warnings, err)
	}
	if got := read(t, d.Path(MetricsName)); string(got) != string(want) {
		t.Errorf("metrics %q, want %q", got, want)
	}
	goTo(t, d, 4, 6)
	if got := steps(t, d.Path()); !slices.Equal(got, upTo(6)) {
		t.Errorf("steps %v, want 1 to 6", got)
	}
}

func TestOnlyTheLastCheckpointsAreKept(t *testing.T) {
	d := create(t)
	for step := range 6 {
		goTo(t, d, step, step+1)
	}
	want := []string{"step-000000004.safetensors", "step-000000005.safetensors", "step-000000006.safetensors"}
	if got := files(t, d, checkpointFolder); !slices.Equal(got, want) {
		t.Errorf("checkpoints %v, want %v", got, want)
	}
	goTo(t, d, 6, 6)
	if got := files(t, d, checkpointFolder); !slices.Equal(got, want) {
		t.Errorf("saved twice: checkpoints %v, want %v", got, want)
	}
}

// TestStepsAreOrderedAsNumbers where their names are of unequal length.
func TestStepsAreOrderedAsNumbers(t *testing.T) {
	d := create(t)
	for _, step := range []int{999_999_998, 999_999_999, 1_000_000_000, 1_000_000_001} {
		if err := d.Save(checkpoint(step)); err != nil {
			t.Fatal(err)
		}
	}
	if c, _, err := d.Resume(); err != nil || c.Step != 1_000_000_001 {
		t.Errorf("%v, %v; want step 1000000001", c, err)
	}
	if got := files(t, d, checkpointFolder); len(got) != keepCheckpoints || slices.Contains(got, "step-999999998.safetensors") {
		t.Errorf("checkpoints %v, want the newest %d", got, keepCheckpoints)
	}
}

// TestPathIsNoPattern: brackets and stars are lawful in names of folders.
func TestPathIsNoPattern(t *testing.T) {
	for _, name := range []string{"[a]", "run*", "[", `a\b`} {
		d, err := Create(filepath.Join(t.TempDir(), name), some)
		if err != nil {
			t.Fatal(err)
		}
		for step := range 5 {
			goTo(t, d, step, step+1)
		}
		write(t, d.Path(wholefile.Prefix+"1"), nil)
		if c, _, err := d.Resume(); err != nil || c.Step != 5 {
			t.Errorf("%s: %v, %v; want step 5", name, c, err)
		}
		if got := files(t, d, checkpointFolder); len(got) != keepCheckpoints {
			t.Errorf("%s: checkpoints %v, want %d", name, got, keepCheckpoints)
		}
		if slices.Contains(files(t, d), wholefile.Prefix+"1") {
			t.Errorf("%s: a temporary file is still there", name)
		}
		d.Close()
	}
}

func TestDamagedCheckpointIsPassedOver(t *testing.T) {
	good := func(step int) []byte { // the file of a checkpoint that was written after no metrics
		d := create(t)
		if err := d.Save(checkpoint(step)); err != nil {
			t.Fatal(err)
		}
		return read(t, d.checkpointName(step))
	}
	cases := map[string]struct {
		damage func(raw []byte) []byte
		want   string
	}{
		"empty":            {func([]byte) []byte { return nil }, "safetensors: 0 bytes, too few for the length of a header"},
		"cut short":        {func(raw []byte) []byte { return raw[:len(raw)-1] }, "safetensors: the tensors end at byte 52, the file has 51 behind the header"},
		"a bit of weights": {func(raw []byte) []byte { raw[len(raw)-9] ^= 4; return raw }, "its checksum does not match"},
		"a bit of text":    {func(raw []byte) []byte { return replace(t, raw, "conv1", "conv2") }, "its checksum does not match"},
		"another step":     {func([]byte) []byte { return good(9) }, "it is of step 9"},
		"metrics shorter":  {func([]byte) []byte { return signed(t, 20, map[string]string{metricsKey: "100000"}) }, "metrics.jsonl has 102 bytes, the checkpoint was written after 100000"},
		"inside a line":    {func([]byte) []byte { return signed(t, 20, map[string]string{metricsKey: "7"}) }, "the checkpoint was written after 7 bytes of metrics.jsonl, and no line ends there"},
		"negative metrics": {func([]byte) []byte { return signed(t, 20, map[string]string{metricsKey: "-1"}) }, `impossible length "-1" of the metrics`},
		"no step":          {func([]byte) []byte { return signed(t, 20, map[string]string{stepKey: ""}) }, `impossible step ""`},
		"negative step":    {func([]byte) []byte { return signed(t, 20, map[string]string{stepKey: "-20"}) }, `impossible step -20`},
		"state no JSON":    {func([]byte) []byte { return signed(t, 20, map[string]string{stateKey: "{"}) }, "its state is not JSON"},
		"unsigned":         {func(raw []byte) []byte { return replace(t, raw, sumKey, "sha255") }, "its checksum does not match"},
	}
	for what, c := range cases {
		d := create(t)
		goTo(t, d, 0, 2)
		want := read(t, d.Path(MetricsName))
		goTo(t, d, 2, 4)
		if err := os.Rename(d.checkpointName(4), d.checkpointName(20)); err != nil {
			t.Fatal(err)
		}
		write(t, d.checkpointName(20), c.damage(good(20)))
		d = reopen(t, d)
		got, warnings, err := d.Resume()
		if err != nil || !same(got, checkpoint(2)) {
			t.Errorf("%s: %v, %v; want the checkpoint of step 2", what, got, err)
			continue
		}
		text := fmt.Sprintf("checkpoint %s is damaged and passed over: %s", d.checkpointName(20), c.want)
		if len(warnings) != 1 || warnings[0] != text {
			t.Errorf("%s:\ngot  %q\nwant %q", what, warnings, text)
		}
		if got := files(t, d, checkpointFolder); len(got) != 1 {
			t.Errorf("%s: the damaged file is still there: %v", what, got)
		}
		if got := read(t, d.Path(MetricsName)); string(got) != string(want) {
			t.Errorf("%s: metrics %q, want %q", what, got, want)
		}
	}
}

func TestDamageOfAllCheckpointsIsAnError(t *testing.T) {
	d := create(t)
	goTo(t, d, 0, 1)
	goTo(t, d, 1, 2)
	for step := 1; step <= 2; step++ {
		write(t, d.checkpointName(step), []byte("nothing"))
	}
	metrics := read(t, d.Path(MetricsName))
	c, warnings, err := d.Resume()
	if c != nil || len(warnings) != 2 || err == nil || errors.Is(err, ErrNoCheckpoint) || !strings.Contains(err.Error(), "every checkpoint is damaged") {
		t.Errorf("%v, %q, %v", c, warnings, err)
	}
	if got := read(t, d.Path(MetricsName)); string(got) != string(metrics) {
		t.Error("the metrics were changed")
	}
	if got := files(t, d, checkpointFolder); len(got) != 2 {
		t.Errorf("checkpoints %v, want both left for whoever wants to save something", got)
	}
}

func TestOtherThingsAmongCheckpointsAreLeftAlone(t *testing.T) {
	d := create(t)
	others := []string{"notes.txt", "step-5.safetensors", "step-best.safetensors", "step-000000007.safetensors.bak"}
	for _, name := range others {
		write(t, d.Path(checkpointFolder, name), []byte("mine"))
	}
	for step := range 5 {
		goTo(t, d, step, step+1)
	}
	if c, warnings, err := d.Resume(); err != nil || warnings != nil || c.Step != 5 {
		t.Errorf("%v, %v, %v; want step 5", c, warnings, err)
	}
	for _, name := range others {
		read(t, d.Path(checkpointFolder, name))
	}
	if err := os.Mkdir(d.checkpointName(6), 0o777); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := d.Resume()
	if err != nil || c.Step != 5 || len(warnings) != 1 || !strings.Contains(warnings[0], "not a regular file") {
		t.Errorf("a folder in place of a file: %v, %q, %v", c, warnings, err)
	}
}

func TestSaveRefusesWhatResumeWould(t *testing.T) {
	d := create(t)
	for what, c := range map[string]struct {
		c    Checkpoint
		want string
	}{
		"step":    {Checkpoint{Step: -1}, "run: checkpoint of step -1: impossible step -1"},
		"state":   {Checkpoint{State: json.RawMessage("{")}, "run: checkpoint of step 0: its state is not JSON"},
		"tensors": {Checkpoint{Tensors: map[string]*ir.Tensor{"a": ir.Floats32(nil, 3)}}, "safetensors: tensor \"a\" cannot be written: 0 values for float32 of shape [3]"},
	} {
		if err := d.Save(&c.c); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", what, err, c.want)
		}
	}
	if got := files(t, d, checkpointFolder); len(got) > 0 {
		t.Errorf("files %v are left of refused checkpoints", got)
	}
	if err := d.Save(&Checkpoint{}); err != nil {
		t.Errorf("an empty one: %v", err)
	}
}

func TestFilesAreWrittenWholeOrNotAtAll(t *testing.T) {
	d := create(t)
	broken := errors.New("broken")
	put := func(text string, fail error) error {
		return d.WriteFile(SelectionName, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, fail)
		})
	}
	if err := put("first", nil); err != nil {
		t.Fatal(err)
	}
	before := files(t, d)
	if err := put("second", broken); !errors.Is(err, broken) || !strings.Contains(err.Error(), d.Path(SelectionName)) {
		t.Errorf("error %v, want the writer's with the name of the file", err)
	}
	if got := string(read(t, d.Path(SelectionName))); got != "first" || !slices.Equal(files(t, d), before) {
		t.Errorf("a failed write left %q and the files %v, want the old text and %v", got, files(t, d), before)
	}
	if err := put("", syscall.ENOSPC); err == nil || !strings.Contains(err.Error(), "the disk is full: the last checkpoint is intact") {
		t.Errorf("a full disk: %v", err)
	}
	if err := put("third", nil); err != nil || string(read(t, d.Path(SelectionName))) != "third" {
		t.Errorf("written again: %v", err)
	}
}

func TestLogKeepsWhatWasSaid(t *testing.T) {
	d := create(t)
	d.Logf("step %d", 1)
	d = reopen(t, d)
	d.Logf("step %d", 2)
	lines := strings.Split(string(read(t, d.Path(LogName))), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[0], " step 1") || !strings.HasSuffix(lines[1], " step 2") {
		t.Errorf("log %q", lines)
	}
}

func TestDiscardRemovesOnlyRunsWithNothingToKeep(t *testing.T) {
	d := create(t)
	d.Logf("a line for people")
	if !d.Discard() {
		t.Fatal("a run without a step was kept")
	}
	if _, err := os.Stat(d.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a discarded run is still there: %v", err)
	}

	folder := t.TempDir() // made by somebody else, and empty
	d, err := Create(folder, some)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Discard() {
		t.Fatal("a run without a step was kept")
	}
	if got, err := os.ReadDir(folder); err != nil || len(got) > 0 {
		t.Errorf("folder that was there before: %v, %v, want it empty", got, err)
	}

	for name, keep := range map[string]func(d *Dir) error{
		"a line of metrics": func(d *Dir) error { return d.AppendMetrics(line{1, 1}) },
		"a checkpoint":      func(d *Dir) error { return d.Save(checkpoint(0)) },
		"a model":           func(d *Dir) error { return d.WriteFile(ModelName, func(io.Writer) error { return nil }) },
	} {
		d := create(t)
		if err := keep(d); err != nil {
			t.Fatal(err)
		}
		before := files(t, d)
		if d.Discard() {
			t.Errorf("a run with %s was removed", name)
		}
		if got := files(t, d); !slices.Equal(got, before) {
			t.Errorf("a run with %s: files %v, were %v", name, got, before)
		}
		if err := d.AppendMetrics(line{2, 1}); err != nil {
			t.Errorf("a run with %s goes on: %v", name, err)
		}
	}
}
