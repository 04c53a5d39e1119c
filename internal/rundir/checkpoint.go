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
	"slices"
	"strconv"
	"strings"

	"github.com/dms-go/dms/internal/safetensors"
	"github.com/dms-go/dms/internal/wholefile"
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

// check tells what no checkpoint may hold.
func (c *Checkpoint) check() error {
	switch {
	case c.Step < 0:
		return fmt.Errorf("impossible step %d", c.Step)
	case len(c.State) > 0 && !json.Valid(c.State):
		return errors.New("its state is not JSON")
	}
	return nil
}

// Save writes a checkpoint and removes the oldest beyond the number kept. Whatever fails, the checkpoints before stay whole.
func (d *Dir) Save(c *Checkpoint) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("run: checkpoint of step %d: %w", c.Step, err)
	}
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

// checkpoints lists the files in order of step. Other files in the folder are none of a run's business.
func (d *Dir) checkpoints() ([]string, error) {
	entries, err := os.ReadDir(d.Path(checkpointFolder))
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	var steps []int
	for _, e := range entries {
		var step int
		// A name is of a checkpoint when it is what the step in it is called.
		if _, err := fmt.Sscanf(e.Name(), "step-%d", &step); err == nil && d.checkpointName(step) == d.Path(checkpointFolder, e.Name()) {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	var names []string
	for _, step := range steps {
		names = append(names, d.checkpointName(step))
	}
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
		if err == nil && d.checkpointName(c.Step) != names[i] {
			err = fmt.Errorf("it is of step %d", c.Step)
		}
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
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // they take room and do no harm
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), wholefile.Prefix) {
				os.Remove(filepath.Join(folder, e.Name()))
			}
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
	if last := make([]byte, 1); size > 0 {
		if _, err := d.metrics.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			return fmt.Errorf("the checkpoint was written after %d bytes of %s, and no line ends there", size, MetricsName)
		}
	}
	if err := d.metrics.Truncate(size); err != nil {
		return err
	}
	_, err = d.metrics.Seek(size, io.SeekStart)
	return err
}

func readCheckpoint(name string) (c *Checkpoint, metrics int64, err error) {
	raw, err := readFile(name, maxCheckpoint)
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
	if err != nil {
		return nil, 0, fmt.Errorf("impossible step %.40q", meta[stepKey])
	}
	metrics, err = strconv.ParseInt(meta[metricsKey], 10, 64)
	if err != nil || metrics < 0 {
		return nil, 0, fmt.Errorf("impossible length %.40q of the metrics", meta[metricsKey])
	}
	c = &Checkpoint{Step: step, Tensors: tensors, State: json.RawMessage(meta[stateKey])}
	if err := c.check(); err != nil {
		return nil, 0, err
	}
	return c, metrics, nil
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

// ErrTorn means that the last line of the metrics breaks off: it is still being written, or its process or machine stopped while it
// was. Resume cuts it off.
var ErrTorn = errors.New("it is cut short")

// Metrics reads the lines of a run's metrics. With ErrTorn it returns those before the torn one.
func Metrics(path string) ([]json.RawMessage, error) {
	name := filepath.Join(path, MetricsName)
	raw, err := readFile(name, maxMetrics)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	lines, err := parseMetrics(raw)
	if err != nil {
		return lines, fmt.Errorf("run: %s: %w", name, err)
	}
	return lines, nil
}

func parseMetrics(raw []byte) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, 0, bytes.Count(raw, []byte("\n"))+1)
	for i := 1; len(raw) > 0; i++ {
		line, rest, ended := bytes.Cut(raw, []byte("\n"))
		switch raw = rest; {
		case len(line) == 0:
		case json.Valid(line):
			out = append(out, json.RawMessage(line))
		case ended:
			return nil, fmt.Errorf("line %d is not JSON", i)
		default:
			return out, fmt.Errorf("line %d: %w", i, ErrTorn)
		}
	}
	return out, nil
}
