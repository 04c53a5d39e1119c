// Package rundir is the folder of one run: its settings, metrics, checkpoints and results.
//
//	config.json      effective settings, seed, version and instruction set, written once
//	metrics.jsonl    one line per interval; holds no times, so a resumed run writes the same bytes as an uninterrupted one
//	log.txt          what was said while it ran, with times
//	checkpoint/      the last few checkpoints, each whole or not there
//	selection.json, model.onnx, ...   results, each whole or not there
//
// A lock keeps two processes from writing one run; it goes with the process, however that ends.
package rundir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dms-go/dms/internal/wholefile"
)

// Names of files in a run.
const (
	ConfigName    = "config.json"
	MetricsName   = "metrics.jsonl"
	LogName       = "log.txt"
	SelectionName = "selection.json"
	ModelName     = "model.onnx"

	checkpointFolder = "checkpoint"
	lockName         = "lock"
)

// Limits on the size of files that are read.
const (
	maxConfig  = 16 << 20
	maxMetrics = 1 << 30
)

// Dir is an open run.
type Dir struct {
	path    string
	isNew   bool // this process made the folder
	lock    *os.File
	metrics *os.File
	log     *os.File
}

// Create makes a new run with its settings. A path where something lies already is refused; a run whose settings cannot be written
// leaves nothing behind.
func Create(path string, config any) (*Dir, error) {
	refusal := func() error {
		return fmt.Errorf("run %s: the folder is not empty; give another -o, or go on with it by --resume %s", path, path)
	}
	settings, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("run: settings: %w", err)
	}
	entries, err := os.ReadDir(path)
	isNew := errors.Is(err, os.ErrNotExist)
	switch {
	case err == nil && len(entries) > 0:
		return nil, refusal()
	case err != nil && !isNew:
		return nil, fmt.Errorf("run: %w", err)
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	d, err := open(path)
	if err != nil {
		return nil, err
	}
	d.isNew = isNew
	if _, err := os.Stat(d.Path(ConfigName)); err == nil {
		// Somebody made a run here between the look at the folder and the lock.
		return nil, errors.Join(refusal(), d.Close())
	}
	err = d.WriteFile(ConfigName, func(w io.Writer) error {
		_, err := w.Write(append(settings, '\n'))
		return err
	})
	if err != nil {
		d.discard()
		return nil, err
	}
	return d, nil
}

// discard removes a run that has no settings. The lock goes last, so nobody else is in the middle of making a run meanwhile.
func (d *Dir) discard() {
	for _, name := range []string{MetricsName, LogName, checkpointFolder, lockName} {
		os.Remove(d.Path(name))
	}
	d.Close()
	if d.isNew {
		os.Remove(d.path)
	}
}

// Discard closes a run that ended before it had anything to keep, no line of metrics, no checkpoint, no result, and removes it. A run
// that has something stays as it is, open, and the answer is false.
func (d *Dir) Discard() bool {
	if st, err := d.metrics.Stat(); err != nil || st.Size() > 0 {
		return false
	}
	if names, err := d.checkpoints(); err != nil || len(names) > 0 {
		return false
	}
	for _, name := range []string{SelectionName, ModelName} {
		if _, err := os.Lstat(d.Path(name)); !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	if err := os.Remove(d.Path(ConfigName)); err != nil {
		return false
	}
	d.discard()
	return true
}

// Open takes up an existing run and reads its settings into config, which must know every field of the file.
func Open(path string, config any) (*Dir, error) {
	if _, err := os.Stat(filepath.Join(path, ConfigName)); err != nil {
		return nil, fmt.Errorf("run %s: no run to go on with: %w", path, err)
	}
	d, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := ReadConfig(path, config); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// ReadConfig reads the settings of a run without taking it up.
func ReadConfig(path string, config any) error {
	name := filepath.Join(path, ConfigName)
	raw, err := readFile(name, maxConfig)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if err := parseConfig(raw, config); err != nil {
		return fmt.Errorf("run: %s: %w", name, err)
	}
	return nil
}

func parseConfig(raw []byte, config any) error {
	// A decoder stops behind the first value and cannot tell where it failed; the whole text is looked at first.
	var whole json.RawMessage
	err := json.Unmarshal(raw, &whole)
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		return fmt.Errorf("before byte %d: %w", syntax.Offset, err)
	}
	// What the decoder says may repeat any piece of the file, so it is cut.
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err = dec.Decode(config)
	if kind := new(json.UnmarshalTypeError); errors.As(err, &kind) {
		return fmt.Errorf("before byte %d: %.200s", kind.Offset, err)
	}
	if err != nil {
		return fmt.Errorf("%.200s", err)
	}
	return nil
}

// readFile reads a whole file. Anything but a file is refused, since reading a pipe would wait for ever.
func readFile(path string, limit int64) ([]byte, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", path)
	case st.Size() > limit:
		return nil, fmt.Errorf("%s: %d bytes; at most %d are read", path, st.Size(), limit)
	}
	return os.ReadFile(path)
}

func open(path string) (d *Dir, err error) {
	d = &Dir{path: path}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.lock, err = os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o666); err != nil {
		return d, fmt.Errorf("run: %w", err)
	}
	if err = lock(d.lock); errors.Is(err, syscall.EWOULDBLOCK) {
		return d, fmt.Errorf("run %s: another process is writing it: %w", path, err)
	} else if err != nil {
		return d, fmt.Errorf("run %s: lock: %w", path, err)
	}
	if d.metrics, err = os.OpenFile(filepath.Join(path, MetricsName), os.O_CREATE|os.O_RDWR, 0o666); err != nil {
		return d, fmt.Errorf("run: %w", err)
	}
	if _, err = d.metrics.Seek(0, io.SeekEnd); err != nil {
		return d, fmt.Errorf("run: %w", err)
	}
	if d.log, err = os.OpenFile(filepath.Join(path, LogName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666); err != nil {
		return d, fmt.Errorf("run: %w", err)
	}
	return d, os.MkdirAll(filepath.Join(path, checkpointFolder), 0o777)
}

// Path is the folder, or a name within it.
func (d *Dir) Path(name ...string) string { return filepath.Join(append([]string{d.path}, name...)...) }

// Close gives the run free for others.
func (d *Dir) Close() error {
	var errs []error
	for _, f := range []*os.File{d.metrics, d.log, d.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// AppendMetrics writes one line of metrics, whole or not at all.
func (d *Dir) AppendMetrics(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("run: metrics: %w", err)
	}
	if n, err := d.metrics.Write(append(raw, '\n')); err != nil {
		// A checkpoint written after this counts the bytes before it, so half a line must not stay.
		if end, seekErr := d.metrics.Seek(int64(-n), io.SeekCurrent); seekErr == nil {
			d.metrics.Truncate(end)
		}
		return fmt.Errorf("run: metrics: %w%s", err, hint(err))
	}
	return nil
}

// Logf writes one line with the time to log.txt. The log is for people; failing to write it stops nothing.
func (d *Dir) Logf(format string, args ...any) {
	fmt.Fprintf(d.log, "%s %s\n", time.Now().Format(time.RFC3339), fmt.Sprintf(format, args...))
}

// WriteFile writes a file of the run whole or not at all.
func (d *Dir) WriteFile(name string, write func(io.Writer) error) error {
	return writeFile(d.Path(name), write)
}

// writeFile is wholefile.Write with advice.
func writeFile(path string, write func(io.Writer) error) error {
	if err := wholefile.Write(path, write); err != nil {
		return fmt.Errorf("run: %w%s", err, hint(err))
	}
	return nil
}

// hint tells what to do about an error of the disk.
func hint(err error) string {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return "; the disk is full: the last checkpoint is intact, free some space and go on with --resume"
	}
	return ""
}
