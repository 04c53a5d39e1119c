package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
)

// Score is what a network reaches on a data set.
type Score struct {
	Correct int     `json:"correct"`
	Total   int     `json:"total"`
	Top1    float64 `json:"top1"` // Correct / Total
	Top5    float64 `json:"top5"` // share with the label among the five largest outputs
	Loss    float64 `json:"loss"` // mean cross-entropy
}

// Evaluation runs a network on samples; it is reusable and keeps its buffers.
type Evaluation struct {
	machine *engine.Machine[float32]
	params  *engine.Params[float32]
	input   string
	logits  string
	batch   int
}

// NewEvaluation prepares g to run in inference mode, batch samples at a time, on images like those of ds.
func NewEvaluation(g *ir.Graph, ds data.Dataset, batch int, pool *parallel.Pool) (*Evaluation, error) {
	if fixed := FixedBatch(g); fixed > 0 {
		batch = fixed
	}
	e := &Evaluation{batch: batch}
	var err error
	if e.logits, err = Logits(g); err != nil {
		return nil, err
	}
	bind, err := bindImages(g, ds, batch)
	if err != nil {
		return nil, err
	}
	e.input = g.Inputs[0].Name
	p, err := program.Build(g, program.Config{Bind: bind, Outputs: []string{e.logits}})
	if err != nil {
		return nil, err
	}
	if e.params, err = engine.NewParams[float32](g); err != nil {
		return nil, err
	}
	e.machine, err = engine.New(p, e.params, pool)
	return e, err
}

// Run gives the class outputs of one batch of images (N, H, W, C), row by row. The slice is valid until the next call.
func (e *Evaluation) Run(x []float32) ([]float32, error) {
	if err := e.machine.SetInputNHWC(e.input, x); err != nil {
		return nil, err
	}
	e.machine.Run()
	return e.machine.Output(e.logits), nil
}

// Set gives a value to another input of the network, such as a mask.
func (e *Evaluation) Set(input string, v []float32) error { return e.machine.SetInput(input, v) }

// Evaluate scores g on ds in inference mode. norm is how pixels become inputs, as in Config.Normalize.
func Evaluate(ctx context.Context, g *ir.Graph, src *data.Source, ds data.Dataset, cfg Config) (Score, error) {
	pool := parallel.New(cfg.Workers)
	defer pool.Close()
	e, err := NewEvaluation(g, ds, cfg.Batch, pool)
	if err != nil {
		return Score{}, err
	}
	return e.Score(ctx, src, ds, cfg.Normalize)
}

// classes is how many outputs the network has for one sample.
func (e *Evaluation) classes() int { return len(e.machine.Output(e.logits)) / e.batch }

// Score runs over all of ds once.
func (e *Evaluation) Score(ctx context.Context, src *data.Source, ds data.Dataset, normalize string) (Score, error) {
	if k, n := e.classes(), len(ds.Classes()); k < n {
		return Score{}, fmt.Errorf("train: output %q has %d classes, the data set %d", e.logits, k, n)
	}
	mean, std, err := data.Normalization(src, normalize)
	if err != nil {
		return Score{}, err
	}
	loader, err := data.NewLoader(ctx, ds, data.Config{Batch: e.batch, Mean: mean, Std: std})
	if err != nil {
		return Score{}, err
	}
	defer loader.Close()
	var b data.Batch
	var s Score
	top5 := 0
	for {
		if err := loader.Next(&b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return Score{}, err
		}
		logits, err := e.Run(b.X)
		if err != nil {
			return Score{}, err
		}
		k := len(logits) / e.batch
		for i, label := range b.Labels[:b.N] {
			row := logits[i*k : (i+1)*k]
			if label < 0 || label >= k {
				return Score{}, fmt.Errorf("train: sample of class %d, but the network has %d outputs", label, k)
			}
			if argmax(row) == label {
				s.Correct++
			}
			if rankOf(row, label) < 5 {
				top5++
			}
			s.Loss += crossEntropy(row, label)
		}
		s.Total += b.N
	}
	if s.Total == 0 {
		return Score{}, errors.New("train: the data set has no samples to evaluate on")
	}
	s.Top1 = float64(s.Correct) / float64(s.Total)
	s.Top5 = float64(top5) / float64(s.Total)
	s.Loss /= float64(s.Total)
	return s, nil
}

// rankOf is how many outputs are larger than the label's; earlier ones win ties.
func rankOf(row []float32, label int) int {
	rank := 0
	for i, v := range row {
		if v > row[label] || v == row[label] && i < label {
			rank++
		}
	}
	return rank
}

// crossEntropy is −log softmax(row)[label].
func crossEntropy(row []float32, label int) float64 {
	most := float64(row[argmax(row)])
	sum := 0.0
	for _, v := range row {
		sum += math.Exp(float64(v) - most)
	}
	return most - float64(row[label]) + math.Log(sum) // in this order: a sum with a large logit would lose the logarithm
}

// Latency is the median time of one inference with the given batch over rounds runs after three to warm up.
func Latency(g *ir.Graph, ds data.Dataset, batch, rounds, workers int) (time.Duration, error) {
	times, err := Latencies([]*ir.Graph{g}, ds, batch, rounds, workers)
	if err != nil {
		return 0, err
	}
	return times[0], nil
}

// Latencies is Latency of several networks, which run in turns: what else the machine does for a while then slows all of them alike.
func Latencies(graphs []*ir.Graph, ds data.Dataset, batch, rounds, workers int) ([]time.Duration, error) {
	pool := parallel.New(workers)
	defer pool.Close()
	h, w, c := ds.Shape()
	runs := make([]*Evaluation, len(graphs))
	for i, g := range graphs {
		e, err := NewEvaluation(g, ds, batch, pool)
		if err != nil {
			return nil, err
		}
		runs[i] = e
	}
	times := make([][]time.Duration, len(graphs))
	for round := -3; round < rounds; round++ {
		for i, e := range runs {
			x := make([]float32, e.batch*h*w*c)
			start := time.Now()
			if _, err := e.Run(x); err != nil {
				return nil, err
			}
			if round >= 0 {
				times[i] = append(times[i], time.Since(start))
			}
		}
	}
	out := make([]time.Duration, len(graphs))
	for i := range out {
		out[i] = median(times[i])
	}
	return out, nil
}
