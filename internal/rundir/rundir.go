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

// maxConfig bounds config.json: 16 MiB.
const maxConfig = 16 << 20

// Dir is an open run.
type Dir struct {
	path    string
	lock    *os.File
	metrics *os.File
	log     *os.File
}

// Create makes a new run with its settings. A path where something lies already is refused.
func Create(path string, config any) (*Dir, error) {
	if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("run %s: the folder is not empty; give another -o, or go on with it by --resume %s", path, path)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("run: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(path, checkpointFolder), 0o777); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	d, err := open(path)
	if err != nil {
		return nil, err
	}
	err = d.WriteFile(ConfigName, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(config)
	})
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
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
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if len(raw) > maxConfig {
		return fmt.Errorf("run: %s: more than %d bytes", name, maxConfig)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(config); err != nil {
		return fmt.Errorf("run: %s: byte %d: %w", name, dec.InputOffset(), err)
	}
	return nil
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
	if err = lock(d.lock); err != nil {
		return d, fmt.Errorf("run %s: another process is writing it: %w", path, err)
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

// AppendMetrics writes one line of metrics.
func (d *Dir) AppendMetrics(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("run: metrics: %w", err)
	}
	if _, err := d.metrics.Write(append(raw, '\n')); err != nil {
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

// writeFile writes to a temporary file beside path, makes sure it is on the disk, and renames it.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("run: %w%s", err, hint(err))
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("run: write %s: %w%s", path, err, hint(err))
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename survive a loss of power.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
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
