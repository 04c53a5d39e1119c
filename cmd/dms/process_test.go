//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dms-go/dms/internal/rundir"
)

// process is dms in a process of its own.
type process struct {
	cmd   *exec.Cmd
	out   bytes.Buffer
	talk  bytes.Buffer
	ended chan struct{}
}

// start begins a dms command. room, when not 0, is the size beyond which none of its files can grow.
func start(t *testing.T, room int64, args ...string) *process {
	t.Helper()
	name := "dms"
	if room > 0 {
		name = "dms-limited"
	}
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), fmt.Sprint("DMS_TEST_ROOM=", room))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.talk
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.cmd.Process.Kill(); <-p.ended })
	return p
}

// end waits for the process and gives its exit status, −1 where a signal ended it.
func (p *process) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		t.Fatalf("%v does not end:\n%s", p.cmd.Args, p.talk.String())
	}
	if talk := p.talk.String(); strings.Contains(talk, "\ngoroutine ") {
		t.Fatalf("%v: %s", p.cmd.Args, talk)
	}
	return p.cmd.ProcessState.ExitCode()
}

// until waits until ready holds or the process has ended.
func (p *process) until(t *testing.T, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ready(); time.Sleep(time.Millisecond) {
		select {
		case <-p.ended:
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v is not heard of:\n%s", p.cmd.Args, p.talk.String())
		}
	}
}

func (p *process) succeeds(t *testing.T) {
	t.Helper()
	if code := p.end(t); code != 0 {
		t.Fatalf("%v: exit status %d\n%s", p.cmd.Args, code, p.talk.String())
	}
}

// job is a command with its settings and everything that an interrupted run must end with, byte by byte.
type job struct {
	args    []string
	results []string
	steps   int
}

func (j job) command(run string, more ...string) []string {
	args := append(append([]string{}, j.args...), strings.Fields(smallData)...)
	return append(append(args, "--steps", fmt.Sprint(j.steps), "-o", run), more...)
}

func (j job) resume(run string) []string { return []string{j.args[0], "--resume", run} }

func jobs(steps int) map[string]job {
	return map[string]job{
		"train": {
			args:    []string{"train", smallModel, "--set", "batch=16", "--set", "checkpoint=5", "--set", "interval=2", "--set", "ema=0.9", "--set", "mixup=0.2"},
			results: []string{"model.onnx", "result.json", "metrics.jsonl"},
			steps:   steps,
		},
		"search": {
			args: []string{"search", smallModel, "--budget", "macs=50%", "--pipeline", "p", "--set", "train.batch=16", "--set", "train.checkpoint=5", "--set", "train.interval=2",
				"--set", "recalibrate=5"},
			results: []string{"model.onnx", "selection.json", "result.json", "metrics.jsonl", "widths.png"},
			steps:   steps,
		},
		"search without training": {
			args: []string{"search", smallModel, "--budget", "macs=50%", "--pipeline", "p-", "--set", "train.batch=16", "--set", "train.checkpoint=5", "--set", "train.interval=2",
				"--set", "recalibrate=5"},
			results: []string{"model.onnx", "selection.json", "result.json", "metrics.jsonl", "widths.png"},
			steps:   steps,
		},
	}
}

func lines(run string) int {
	raw, _ := os.ReadFile(filepath.Join(run, rundir.MetricsName)) // none yet
	return bytes.Count(raw, []byte("\n"))
}

func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}

// same compares the results of two runs.
func (j job) same(t *testing.T, got, want string) {
	t.Helper()
	for _, name := range j.results {
		a, err := os.ReadFile(filepath.Join(got, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(want, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from that of the uninterrupted run: %d bytes and %d", name, len(a), len(b))
		}
	}
	for _, folder := range []string{got, filepath.Join(got, "checkpoint")} {
		if left, _ := filepath.Glob(filepath.Join(folder, ".tmp-*")); len(left) > 0 {
			t.Errorf("unfinished files are left: %v", left)
		}
	}
}

// pace is how an uninterrupted run went: when its settings, its first and its last line of metrics stood there, and when it ended.
type pace struct{ config, first, last, end time.Duration }

// uninterrupted runs a job in a folder and takes its pace.
func (j job) uninterrupted(t *testing.T, run string) (p pace) {
	t.Helper()
	begin := time.Now()
	proc := start(t, 0, j.command(run)...)
	proc.until(t, func() bool { return exists(run, rundir.ConfigName) })
	p.config = time.Since(begin)
	proc.until(t, func() bool { return lines(run) > 0 })
	p.first = time.Since(begin)
	proc.until(t, func() bool { return lines(run) >= j.steps/2 })
	p.last = time.Since(begin)
	proc.succeeds(t)
	p.end = time.Since(begin)
	t.Logf("uninterrupted: first line after %v, last after %v, end after %v", p.first, p.last, p.end)
	return p
}

func random(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// upTo is a random part of d.
func upTo(rng *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rng.Float64() * float64(d))
}

// TestKilledRunsEndInTheSameBytes kills a run five times: while it starts, three times in the middle, and while it writes its results.
// The moments are random and follow the pace of an uninterrupted run.
func TestKilledRunsEndInTheSameBytes(t *testing.T) {
	steps := 60
	if testing.Short() {
		steps = 24
	}
	for name, j := range jobs(steps) {
		if testing.Short() && name != "search" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := random(t)
			whole, run := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "run")
			p := j.uninterrupted(t, whole)
			step := (p.last - p.first) / time.Duration(j.steps)

			landed := 0
			args := j.command(run)
			kill := func(what string, ready func() bool, within time.Duration) {
				t.Helper()
				delay := upTo(rng, within)
				proc := start(t, 0, args...)
				args = j.resume(run)
				proc.until(t, ready)
				select {
				case <-time.After(delay):
				case <-proc.ended:
				}
				at := lines(run)
				proc.cmd.Process.Kill()
				if code := proc.end(t); code > 0 {
					t.Fatalf("before it was killed, it failed: exit status %d\n%s", code, proc.talk.String())
				} else if code < 0 && !exists(run, resultName) {
					landed++
				}
				t.Logf("killed %s and %v: %d lines of metrics, result %v", what, delay, at, exists(run, resultName))
			}
			kill("at the settings", func() bool { return exists(run, rundir.ConfigName) }, p.first-p.config)
			for part := range 3 {
				at := 1 + part*j.steps/6 + rng.IntN(j.steps/6) // lines of metrics, of which there are steps/2
				kill(fmt.Sprintf("at line %d", at), func() bool { return lines(run) >= at }, 3*step)
			}
			kill("at the last line", func() bool { return lines(run) >= j.steps/2 }, p.end-p.last)
			if landed < 2 {
				t.Errorf("only %d of 5 kills found the run at work", landed)
			}
			proc := start(t, 0, j.resume(run)...)
			proc.succeeds(t)
			if talk := proc.talk.String(); !strings.Contains(talk, "going on with "+run+" at step ") {
				t.Errorf("it started anew:\n%s", talk)
			}
			j.same(t, run, whole)

			start(t, 0, j.resume(run)...).succeeds(t) // a finished run, too
			j.same(t, run, whole)
		})
	}
}

// TestInterruptSavesACheckpoint sends SIGINT and SIGTERM. No checkpoint is due in these runs, so only the one saved then lets them go on.
func TestInterruptSavesACheckpoint(t *testing.T) {
	for name, j := range jobs(60) {
		if testing.Short() && name != "train" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := random(t)
			whole, run := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "a run's folder")
			p := j.uninterrupted(t, whole)
			never := "checkpoint=1000000"
			if j.args[0] == "search" {
				never = "train." + never
			}
			args := j.command(run, "--set", never)
			for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
				at := lines(run) + 2 + rng.IntN(3)
				proc := start(t, 0, args...)
				proc.until(t, func() bool { return lines(run) >= at })
				proc.cmd.Process.Signal(syscall.SIGSTOP)
				if other := start(t, 0, j.resume(run)...); other.end(t) != exitFailed || !strings.Contains(other.talk.String(), "another process is writing it") {
					t.Errorf("a second process at the same run: %s", other.talk.String())
				}
				proc.cmd.Process.Signal(syscall.SIGCONT)
				time.Sleep(upTo(rng, (p.last-p.first)/time.Duration(j.steps)))
				proc.cmd.Process.Signal(signal)
				code, talk := proc.end(t), proc.talk.String()
				hint := regexp.MustCompile(`(?m)^dms: hint: go on with: dms (.*)$`).FindStringSubmatch(talk)
				if code != exitFailed || !strings.Contains(talk, "\ndms: error: interrupted; a checkpoint is saved\n") || hint == nil {
					t.Fatalf("%v at line %d: exit status %d\n%s", signal, at, code, talk)
				}
				if hint[1] != j.args[0]+" --resume "+shell(run) {
					t.Errorf("the hint is %q", hint[1])
				}
				if exists(run, resultName) {
					t.Error("it was finished already")
				}
				args = j.resume(run)
			}
			start(t, 0, args...).succeeds(t)
			j.same(t, run, whole)
		})
	}
}

// TestFullDisk lets runs end for lack of room in different files, and go on when there is room again. A limit on the size of files fails
// in the same calls as a full disk, and the same way on every machine.
func TestFullDisk(t *testing.T) {
	j := jobs(12)["train"]
	whole := filepath.Join(t.TempDir(), "whole")
	j.uninterrupted(t, whole)
	sizeOf := func(path ...string) int64 {
		st, err := os.Stat(filepath.Join(append([]string{whole}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	checkpoint := sizeOf("checkpoint", "step-000000010.safetensors")
	for _, c := range []struct {
		name  string
		room  int64
		file  string // that cannot be written
		saved bool   // an earlier process saved a checkpoint
	}{
		{"no room for the settings", 100, rundir.ConfigName, false},
		{"no room for the first checkpoint", sizeOf(rundir.ConfigName), "step-000000005.safetensors", false},
		{"no room for half of a checkpoint", checkpoint / 2, "step-000000010.safetensors", true},
		{"no room for the last byte of a checkpoint", checkpoint - 1, "step-000000010.safetensors", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := filepath.Join(t.TempDir(), "run")
			args := j.command(run)
			if c.saved { // as if the process before had been killed behind step 5
				if err := os.CopyFS(run, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				for _, later := range []string{"model.onnx", "result.json", "checkpoint/step-000000010.safetensors", "checkpoint/step-000000012.safetensors"} {
					if err := os.Remove(filepath.Join(run, later)); err != nil {
						t.Fatal(err)
					}
				}
				args = j.resume(run)
			}
			proc := start(t, c.room, args...)
			code, talk := proc.end(t), proc.talk.String()
			if code != exitFailed || !strings.Contains(talk, c.file+": ") || !strings.Contains(talk, "file too large") {
				t.Errorf("exit status %d\n%s", code, talk)
			}
			if c.file != rundir.ConfigName && !strings.Contains(talk, "\ndms: hint: make room for files, then go on with: dms train --resume "+run+"\n") {
				t.Errorf("no word about what to do:\n%s", talk)
			}
			if exists(run, rundir.ModelName) || exists(run, resultName) || exists(run, "checkpoint", c.file) {
				t.Error("it wrote results all the same")
			}
			if c.saved && !exists(run, "checkpoint", "step-000000005.safetensors") {
				t.Error("the checkpoint from before is gone")
			}
			if exists(run) != (c.file != rundir.ConfigName) {
				t.Errorf("the folder is there: %v", exists(run))
			}
			if exists(run) {
				args = j.resume(run)
			}
			proc = start(t, 0, args...)
			proc.succeeds(t)
			if c.saved && !strings.Contains(proc.talk.String(), "at step 5\n") {
				t.Errorf("it did not go on from the last checkpoint:\n%s", proc.talk.String())
			}
			j.same(t, run, whole)
		})
	}
}

// TestFullOutput: a table that nobody received is not a success.
func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	data := strings.Fields(smallData)
	for _, args := range [][]string{
		{"version"}, {"inspect", smallModel}, {"inspect", smallModel, "--json"},
		append([]string{"eval", smallModel}, data...), append([]string{"eval", smallModel, "--json"}, data...),
	} {
		cmd := exec.Command("dms", args...)
		var talk bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &talk
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.HasPrefix(talk.String(), "dms: error: ") {
			t.Errorf("%v: %v\n%s", args, err, talk.String())
		}
	}
}

// TestLostLossLeavesTheCheckpointsBeforeIt lets training explode.
func TestLostLossLeavesTheCheckpointsBeforeIt(t *testing.T) {
	data := strings.Fields(smallData)
	exploding := func(prefix string) (args []string) {
		for _, s := range []string{"rate=1000", "optimizer=adamw", "weight_decay=10", "schedule=constant", "interval=1", "checkpoint=1"} {
			args = append(args, "--set", prefix+s)
		}
		return args
	}
	for _, c := range []struct {
		name string
		args []string
		hint string
	}{
		{"train", append(append([]string{"train", smallModel, "--steps", "40"}, data...), exploding("")...), "--set rate=100, or with gradients clipped, --set clip_norm=1"},
		{"search", append(append([]string{"search", smallModel, "--steps", "40", "--budget", "macs=50%"}, data...), exploding("train.")...),
			"--set train.rate=100, or with gradients clipped, --set train.clip_norm=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := filepath.Join(t.TempDir(), "run")
			proc := start(t, 0, append(c.args, "-o", run)...)
			code, talk := proc.end(t), proc.talk.String()
			lost := regexp.MustCompile(`(?m)^dms: error: train: step (\d+): .* is not finite; `).FindStringSubmatch(talk)
			if code != exitFailed || lost == nil || !strings.Contains(talk, "\ndms: hint: start a new run with a smaller rate, such as "+c.hint+"\n") {
				t.Fatalf("exit status %d\n%s", code, talk)
			}
			t.Logf("%s", lost[0])
			if exists(run, rundir.ModelName) || exists(run, resultName) {
				t.Error("it wrote results all the same")
			}
			var cfg runConfig
			dir, err := rundir.Open(run, &cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			saved, warnings, err := dir.Resume()
			if err != nil || warnings != nil {
				t.Fatal(err, warnings)
			}
			if step, _ := strconv.Atoi(lost[1]); saved.Step != step-1 {
				t.Errorf("the last checkpoint is of step %d, step %d was lost", saved.Step, step)
			}
			for name, tensor := range saved.Tensors {
				for _, x := range tensor.F32 {
					if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
						t.Fatalf("checkpoint: %s is not finite", name)
					}
				}
			}
			metrics, err := rundir.Metrics(run)
			if err != nil || len(metrics) != saved.Step {
				t.Errorf("%d lines of metrics, %v", len(metrics), err)
			}
			for _, line := range metrics {
				if !json.Valid(line) {
					t.Errorf("line %s", line)
				}
			}
		})
	}
}

// TestKilledComparisonsEndInTheSameBytes kills a comparison in its search, in the training after it and wherever it happens to be; every network is
// that of a comparison that nobody disturbed.
func TestKilledComparisonsEndInTheSameBytes(t *testing.T) {
	rng := random(t)
	dir := t.TempDir()
	plan := filepath.Join(dir, "plan.yaml")
	text := `model: ` + smallModel + `
data: glyphs
train_samples: 64
test_samples: 36
pipeline: np
settings: {train.steps: 40, train.batch: 16, train.checkpoint: 5, train.interval: 2, recalibrate: 5}
tune: {steps: 40, batch: 16, checkpoint: 5, interval: 2}
budgets: [macs=60%]
seeds: [1, 2]
methods: [{name: dms}]
`
	if err := os.WriteFile(plan, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	whole, killed := filepath.Join(dir, "whole"), filepath.Join(dir, "killed")
	start(t, 0, "compare", plan, "-o", whole, "-j", "1").succeeds(t)
	if left, _ := filepath.Glob(filepath.Join(whole, "cells", "*")); len(left) != 4 {
		t.Errorf("a finished comparison has %v", left)
	}
	at := func(cell, part string) func() bool {
		return func() bool { return lines(filepath.Join(killed, "cells", cell, part)) > 1+rng.IntN(8) }
	}
	for _, ready := range []func() bool{at("0000", "search"), at("0000", "tune"), at("0001", "search"), at("0001", "tune"), func() bool { return rng.IntN(200) == 0 }} {
		p := start(t, 0, "compare", plan, "-o", killed, "-j", "1")
		p.until(t, ready)
		p.cmd.Process.Kill()
		<-p.ended
	}
	last := start(t, 0, "compare", plan, "-o", killed, "-j", "1")
	last.succeeds(t)
	for _, cell := range []string{"0000", "0001"} {
		a, errA := os.ReadFile(filepath.Join(whole, "cells", cell+".onnx"))
		b, errB := os.ReadFile(filepath.Join(killed, "cells", cell+".onnx"))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("cell %s: another network than without interruption (%v, %v)", cell, errA, errB)
		}
		if exists(killed, "cells", cell) {
			t.Errorf("cell %s: its folder is still there", cell)
		}
	}
}
