package rundir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/dms-go/dms/internal/safetensors"
	"github.com/dms-go/dms/ir"
)

// Checkpoint is everything a run needs to go on with the same bits.
type Checkpoint struct {
	Step    int
	Tensors map[string]*ir.Tensor
	State   json.RawMessage // what is not a tensor
}

// ErrNoCheckpoint means that a run was ended before its first checkpoint.
var ErrNoCheckpoint = errors.New("no checkpoint")

// keepCheckpoints is how many are kept: should the newest be damaged, the one before serves.
const keepCheckpoints = 3

// maxCheckpoint bounds a checkpoint file: 64 GiB.
const maxCheckpoint = 64 << 30

// Keys of a checkpoint's metadata.
const (
	stepKey    = "step"
	stateKey   = "state"
	metricsKey = "metrics" // bytes of metrics.jsonl that belong to this step
	sumKey     = "sha256"  // of all the rest
)

func (d *Dir) checkpointName(step int) string {
	return d.Path(checkpointFolder, fmt.Sprintf("step-%09d.safetensors", step))
}

// Save writes a checkpoint and removes the oldest beyond the number kept.
func (d *Dir) Save(c *Checkpoint) error {
	if err := d.metrics.Sync(); err != nil {
		return fmt.Errorf("run: metrics: %w%s", err, hint(err))
	}
	size, err := d.metrics.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("run: metrics: %w", err)
	}
	meta := map[string]string{stepKey: strconv.Itoa(c.Step), stateKey: string(c.State), metricsKey: strconv.FormatInt(size, 10)}
	meta[sumKey] = checksum(c.Tensors, meta)
	err = writeFile(d.checkpointName(c.Step), func(w io.Writer) error { return safetensors.Write(w, c.Tensors, meta) })
	if err != nil {
		return err
	}
	names, err := d.checkpoints()
	if err != nil {
		return err
	}
	for len(names) > keepCheckpoints {
		if err := os.Remove(names[0]); err != nil {
			return fmt.Errorf("run: %w", err)
		}
		names = names[1:]
	}
	return nil
}

// checkpoints lists the files in order of step.
func (d *Dir) checkpoints() ([]string, error) {
	names, err := filepath.Glob(d.Path(checkpointFolder, "step-*.safetensors"))
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	sort.Strings(names)
	return names, nil
}

// Resume reads the newest checkpoint that is whole and cuts the metrics back to its step. warnings tell of damaged ones that were
// passed over. Without a checkpoint the metrics are emptied and the error is ErrNoCheckpoint: the run starts anew.
func (d *Dir) Resume() (c *Checkpoint, warnings []string, err error) {
	d.sweep()
	names, err := d.checkpoints()
	if err != nil {
		return nil, nil, err
	}
	for i := len(names) - 1; i >= 0; i-- {
		c, metrics, err := readCheckpoint(names[i])
		if err == nil {
			err = d.cut(metrics)
		}
		if err == nil {
			// A damaged newer one must not be found again when this run has gone past it.
			for _, name := range names[i+1:] {
				if err := os.Remove(name); err != nil {
					return nil, warnings, fmt.Errorf("run: %w", err)
				}
			}
			return c, warnings, nil
		}
		warnings = append(warnings, fmt.Sprintf("checkpoint %s is damaged and passed over: %v", names[i], err))
	}
	if len(names) > 0 {
		return nil, warnings, fmt.Errorf("run %s: every checkpoint is damaged: %s", d.path, strings.Join(warnings, "; "))
	}
	if err := d.cut(0); err != nil {
		return nil, nil, err
	}
	return nil, nil, ErrNoCheckpoint
}

// sweep removes temporary files of a process that was killed.
func (d *Dir) sweep() {
	for _, folder := range []string{d.path, d.Path(checkpointFolder)} {
		names, _ := filepath.Glob(filepath.Join(folder, ".tmp-*"))
		for _, name := range names {
			os.Remove(name)
		}
	}
}

// cut shortens the metrics to size bytes.
func (d *Dir) cut(size int64) error {
	st, err := d.metrics.Stat()
	if err != nil {
		return err
	}
	if st.Size() < size {
		return fmt.Errorf("%s has %d bytes, the checkpoint was written after %d", MetricsName, st.Size(), size)
	}
	if err := d.metrics.Truncate(size); err != nil {
		return err
	}
	_, err = d.metrics.Seek(size, io.SeekStart)
	return err
}

func readCheckpoint(name string) (c *Checkpoint, metrics int64, err error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if st.Size() > maxCheckpoint {
		return nil, 0, fmt.Errorf("%d bytes; at most %d are read", st.Size(), int64(maxCheckpoint))
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, 0, err
	}
	return parseCheckpoint(raw)
}

func parseCheckpoint(raw []byte) (c *Checkpoint, metrics int64, err error) {
	tensors, meta, err := safetensors.Read(raw)
	if err != nil {
		return nil, 0, err
	}
	if sum := meta[sumKey]; sum == "" || sum != checksum(tensors, meta) {
		return nil, 0, errors.New("its checksum does not match")
	}
	step, err := strconv.Atoi(meta[stepKey])
	if err != nil || step < 0 {
		return nil, 0, fmt.Errorf("impossible step %q", meta[stepKey])
	}
	metrics, err = strconv.ParseInt(meta[metricsKey], 10, 64)
	if err != nil || metrics < 0 {
		return nil, 0, fmt.Errorf("impossible length %q of the metrics", meta[metricsKey])
	}
	return &Checkpoint{Step: step, Tensors: tensors, State: json.RawMessage(meta[stateKey])}, metrics, nil
}

// checksum covers tensors and metadata in an order that does not depend on maps.
func checksum(tensors map[string]*ir.Tensor, meta map[string]string) string {
	rest := map[string]string{}
	for k, v := range meta {
		if k != sumKey {
			rest[k] = v
		}
	}
	h := sha256.New()
	if err := safetensors.Write(h, tensors, rest); err != nil {
		return "" // never equal: what cannot be written was not read from a checkpoint
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Metrics reads the lines of a run's metrics.
func Metrics(path string) ([]json.RawMessage, error) {
	raw, err := os.ReadFile(filepath.Join(path, MetricsName))
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	var out []json.RawMessage
	for i, line := range bytes.Split(raw, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) {
			return nil, fmt.Errorf("run: %s: line %d is not JSON", MetricsName, i+1)
		}
		out = append(out, json.RawMessage(line))
	}
	return out, nil
}
