package train

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/ir"
)

// teacher turns a batch into what the student's loss is compared with.
type teacher struct {
	run         *Evaluation
	temperature float64 // 0: logits as they are
	guideBuf    []float32
}

func newTeacher(g *ir.Graph, ds data.Dataset, cfg Config, pool *parallel.Pool) (*teacher, error) {
	if b := FixedBatch(g); b > 0 && b != cfg.Batch {
		return nil, fmt.Errorf("train: the teacher has a fixed batch of %d, the run %d; set batch=%d", b, cfg.Batch, b)
	}
	run, err := NewEvaluation(g, ds, cfg.Batch, pool)
	if err != nil {
		return nil, fmt.Errorf("train: teacher: %w", err)
	}
	t := &teacher{run: run}
	if cfg.Distill == "kl" {
		t.temperature = cfg.Temperature
	}
	return t, nil
}

// guide is (N, K): softmax(z/T) for the kl loss, the logits z for DIST.
func (t *teacher) guide(b *data.Batch) ([]float32, error) {
	z, err := t.run.Run(b.X)
	if err != nil || t.temperature == 0 {
		return z, err
	}
	if len(t.guideBuf) != len(z) {
		t.guideBuf = make([]float32, len(z))
	}
	k := len(z) / t.run.batch
	for lo := 0; lo < len(z); lo += k {
		row, out := z[lo:lo+k], t.guideBuf[lo:lo+k]
		most := float64(row[argmax(row)])
		sum := 0.0
		for _, v := range row {
			sum += math.Exp((float64(v) - most) / t.temperature)
		}
		for i, v := range row {
			out[i] = float32(math.Exp((float64(v)-most)/t.temperature) / sum)
		}
	}
	return t.guideBuf, nil
}

// median of the times, which it sorts.
func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[len(times)/2]
}
