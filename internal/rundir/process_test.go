//go:build unix

package rundir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dms-go/dms/internal/wholefile"
	"github.com/dms-go/dms/ir"
	"golang.org/x/sys/unix"
)

// childOf names the environment variable by which a test calls itself as another process, with the path of a run.
const childOf = "RUNDIR_TEST_CHILD"

// child runs the function of a test in a process of its own, when called from the parent, and tells how it ended.
func child(t *testing.T, path string) (output string, state *os.ProcessState) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childOf+"="+path)
	raw, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(raw), cmd.ProcessState
}

func TestOneProcessHasTheLock(t *testing.T) {
	if path := os.Getenv(childOf); path != "" {
		var s settings
		_, err := Open(path, &s)
		fmt.Println("child:", err)
		return
	}
	d := create(t)
	want := fmt.Sprintf("run %s: another process is writing it: ", d.Path())
	var s settings
	if _, err := Open(d.Path(), &s); err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("opened twice: %v", err)
	}
	if out, _ := child(t, d.Path()); !strings.Contains(out, "child: "+want) {
		t.Errorf("another process: %s", out)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if out, _ := child(t, d.Path()); !strings.Contains(out, "child: <nil>") {
		t.Errorf("another process after Close: %s", out)
	}
	reopened, err := Open(d.Path(), &s)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	reopened.Close()
}

// TestKilledProcessLeavesTheRunWhole ends a process in the middle of writing a file, as kill -9 or a crash of the machine does.
func TestKilledProcessLeavesTheRunWhole(t *testing.T) {
	if path := os.Getenv(childOf); path != "" {
		var s settings
		d, err := Open(path, &s)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.AppendMetrics(line{4, 1}); err != nil {
			t.Fatal(err)
		}
		err = writeFile(d.checkpointName(4), func(w io.Writer) error {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return err
			}
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		})
		t.Fatalf("still there: %v", err)
	}
	d := create(t)
	goTo(t, d, 0, 3)
	d.Close()
	if out, state := child(t, d.Path()); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the other process ended with %v:\n%s", state, out)
	}
	if got := files(t, d, checkpointFolder); len(got) != 2 || !strings.HasPrefix(got[0], wholefile.Prefix) {
		t.Errorf("files %v, want a checkpoint and an unfinished file", got)
	}
	var s settings
	d, err := Open(d.Path(), &s) // the lock went with the process
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c, warnings, err := d.Resume()
	if err != nil || warnings != nil || !same(c, checkpoint(3)) {
		t.Errorf("%v, %v, %v; want the checkpoint of step 3", c, warnings, err)
	}
	if got := files(t, d, checkpointFolder); len(got) != 1 {
		t.Errorf("files %v, want only the checkpoint", got)
	}
	if got := steps(t, d.Path()); !slices.Equal(got, upTo(3)) {
		t.Errorf("steps %v, want 1 to 3", got)
	}
}

// TestRunningOutOfRoomKeepsTheLastCheckpoint lets writes fail after ever more bytes, by a limit on the size of files, which ends a
// write in the same way and at the same places as a full disk.
func TestRunningOutOfRoomKeepsTheLastCheckpoint(t *testing.T) {
	if path := os.Getenv(childOf); path != "" {
		runOutOfRoom(t, path)
		return
	}
	d := create(t)
	goTo(t, d, 0, 3)
	d.Close()
	if out, state := child(t, d.Path()); !state.Success() || !strings.Contains(out, "--- PASS") {
		t.Fatalf("the other process ended with %v:\n%s", state, out)
	}
	var s settings
	d, err := Open(d.Path(), &s)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if c, warnings, err := d.Resume(); err != nil || warnings != nil || !same(c, checkpoint(3)) {
		t.Errorf("%v, %v, %v; want the checkpoint of step 3", c, warnings, err)
	}
	if got := files(t, d); !slices.Equal(got, []string{checkpointFolder, ConfigName, lockName, LogName, MetricsName}) {
		t.Errorf("files %v: something is left of a failed write", got)
	}
}

func runOutOfRoom(t *testing.T, path string) {
	signal.Ignore(unix.SIGXFSZ) // sent beside the error
	var s settings
	d, err := Open(path, &s)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, _, err := d.Resume(); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	all := limit.Cur
	room := func(bytes uint64) {
		t.Helper()
		limit.Cur = bytes
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{path + ".new", t.TempDir()} {
		room(10)
		_, err := Create(folder, some)
		room(all)
		if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), ConfigName) {
			t.Errorf("settings: %v", err)
		}
		if entries, err := os.ReadDir(folder); len(entries) > 0 || folder == path+".new" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a run without settings has left %v, %v", entries, err)
		}
	}

	next := checkpoint(4)
	next.Tensors["large"] = ir.Floats32(make([]float32, 50_000), 50_000)
	for bytes := uint64(0); bytes < 200_000; bytes += 1 + bytes/4 {
		room(bytes)
		err := d.Save(next)
		room(all)
		if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), d.checkpointName(4)) {
			t.Errorf("room for %d bytes: %v, want %v", bytes, err, syscall.EFBIG)
		}
		c, warnings, err := d.Resume()
		if err != nil || warnings != nil || !same(c, checkpoint(3)) {
			t.Fatalf("room for %d bytes: %v, %v, %v; want the checkpoint of step 3", bytes, c, warnings, err)
		}
		if got := files(t, d, checkpointFolder); len(got) != 1 {
			t.Fatalf("room for %d bytes: files %v", bytes, got)
		}
	}

	before := read(t, d.Path(MetricsName))
	for bytes := len(before); bytes < len(before)+5; bytes++ {
		room(uint64(bytes))
		err := d.AppendMetrics(line{4, 1})
		room(all)
		if !errors.Is(err, syscall.EFBIG) {
			t.Errorf("metrics with room for %d bytes: %v", bytes, err)
		}
		if got := read(t, d.Path(MetricsName)); string(got) != string(before) {
			t.Errorf("metrics with room for %d bytes: %q, want whole lines", bytes, got)
		}
	}
	if err := d.AppendMetrics(line{4, 1}); err != nil {
		t.Error(err)
	}
	if got := steps(t, path); !slices.Equal(got, upTo(4)) {
		t.Errorf("steps %v, want 1 to 4", got)
	}
}

func TestFullDiskIsNamed(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	d := create(t)
	d.metrics.Close()
	d.metrics = full
	if err := d.AppendMetrics(line{1, 1}); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the disk is full: the last checkpoint is intact") {
		t.Errorf("metrics: %v", err)
	}
	err = writeFile(d.Path("out"), func(io.Writer) error {
		_, err := full.Write([]byte("text"))
		return err
	})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), d.Path("out")) || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a file: %v", err)
	}
}
