package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/internal/wholefile"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/train"
)

// cell is one search of a comparison, with the training after it.
type cell struct {
	Method string        `json:"method"`
	Model  *modelSource  `json:"model,omitempty"` // where it is not the plan's
	Budget search.Budget `json:"budget"`
	Seed   uint64        `json:"seed"`
	Search search.Config `json:"search"`
	Tune   *train.Config `json:"tune,omitempty"`
	graph  *ir.Graph
	name   string // of its files, without ending
}

func (k cell) String() string { return fmt.Sprintf("%s, %v, seed %d", k.Method, k.Budget, k.Seed) }

// path is a file of a cell. While a cell is under way it has a folder, path(k, ""), with what it goes on from.
func (p *comparison) path(k cell, ending string) string {
	return filepath.Join(p.out, cellsName, k.name+ending)
}

// try runs one cell, or goes on with it, and writes its files, the result last.
func (p *comparison) try(ctx context.Context, k cell) (*report.Trial, error) {
	g, t, err := p.find(ctx, k)
	if err != nil {
		return nil, err
	}
	if k.Tune != nil {
		if g, err = p.tune(ctx, k, g); err != nil {
			return nil, err
		}
		t.TuneSteps = k.Tune.StepsFor(p.src.Train.Len())
	}
	score, err := dms.Evaluate(ctx, g, p.src, k.Search.Train)
	if err != nil {
		return nil, err
	}
	t.Top1, t.Correct, t.Total = score.Top1, score.Correct, score.Total
	if err := dms.Save(p.path(k, ".onnx"), g); err != nil {
		return nil, err
	}
	if err := p.write(k, t); err != nil {
		return nil, err
	}
	return t, os.RemoveAll(p.path(k, ""))
}

const (
	foundName = "found" // the network that a search ended with, and what the table says of the search, until the training after it is done
	maxTrial  = 1 << 20
)

// find searches. What it finds is kept for as long as the training takes that follows.
func (p *comparison) find(ctx context.Context, k cell) (*ir.Graph, *report.Trial, error) {
	found := filepath.Join(p.path(k, ""), foundName)
	if raw, err := readBounded(found+".json", maxTrial); err == nil {
		var t report.Trial
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, nil, withHint(fmt.Errorf("%s: %w", found+".json", err), "remove the folder; the search is then run again")
		}
		g, err := onnx.ReadFile(found + ".onnx")
		return g, &t, err
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	dir, from, err := p.journal(k, "search", k.Search)
	if err != nil {
		return nil, nil, err
	}
	start := time.Now()
	opt := search.Options{Space: p.plan.removable, Journal: dir, Resume: from, Progress: p.progress(k, "search")}
	if p.clock != nil {
		opt.Clock = p.clock.measure
	}
	r, err := dms.Search(ctx, k.graph, p.src, k.Search, opt)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, nil, err
	}
	t := &report.Trial{
		Method: k.Method, Budget: k.Budget.String(), Seed: k.Seed, Cost: r.After, Steps: k.Search.Steps(p.src.Train.Len()),
		Version: version(), InstructionSet: kernel.Active(),
	}
	if from == nil {
		t.Seconds = time.Since(start).Seconds()
	}
	for _, warning := range latencyWarnings(r.Latency) {
		p.c.say("warning: %v: %s", k, warning)
	}
	if k.Tune == nil {
		return r.Graph, t, nil
	}
	if err := dms.Save(found+".onnx", r.Graph); err != nil {
		return nil, nil, err
	}
	if err := wholefile.Write(found+".json", func(w io.Writer) error { return printJSON(w, t) }); err != nil {
		return nil, nil, err
	}
	// As it would be taken up after an interruption.
	g, err := onnx.ReadFile(found + ".onnx")
	return g, t, err
}

// silence is the longest time in which a comparison says nothing, if steps are quicker.
const silence = 30 * time.Second

// progress tells now and then how far a part of a cell is, for a cell may take hours.
func (p *comparison) progress(k cell, part string) func(train.Metrics) {
	return func(m train.Metrics) {
		p.talking.Lock()
		defer p.talking.Unlock()
		if time.Since(p.told) > silence {
			p.told = time.Now()
			p.c.say("%v: %s, step %d of %d", k, part, m.Step, m.Steps)
		}
	}
}

// tune trains what a search has found.
func (p *comparison) tune(ctx context.Context, k cell, g *ir.Graph) (*ir.Graph, error) {
	if k.Search.Pipeline == search.NP {
		g = train.Reinit(g, k.Tune.Seed)
	}
	dir, from, err := p.journal(k, "tune", k.Tune)
	if err != nil {
		return nil, err
	}
	g, err = dms.Train(ctx, g, p.src, *k.Tune, train.Options{Teacher: p.teacher, Journal: dir, Resume: from, Progress: p.progress(k, "training")})
	return g, errors.Join(err, dir.Close())
}

// journal opens the run of one part of a cell, with the checkpoint it goes on from, nil for none.
func (p *comparison) journal(k cell, part string, config any) (*rundir.Dir, *rundir.Checkpoint, error) {
	path := filepath.Join(p.path(k, ""), part)
	dir, err := rundir.Open(path, new(any))
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.RemoveAll(path); err != nil { // of a process that was killed before the settings were there
			return nil, nil, err
		}
		dir, err = rundir.Create(path, config)
		return dir, nil, err
	} else if err != nil {
		return nil, nil, err
	}
	from, warnings, err := dir.Resume()
	for _, w := range warnings {
		p.c.say("warning: %s", w)
	}
	if err != nil && !errors.Is(err, rundir.ErrNoCheckpoint) {
		return nil, nil, withHint(errors.Join(err, dir.Close()), "remove %s; this part of the cell is then run again", shell(path))
	}
	return dir, from, nil
}

func (p *comparison) write(k cell, t *report.Trial) error {
	return wholefile.Write(p.path(k, ".json"), func(w io.Writer) error { return printJSON(w, t) })
}

// latencyRounds is how many inferences a latency is the median of.
const latencyRounds = 31

// time measures what of a cell's latencies is missing, in turns with the original, and keeps it.
func (p *comparison) time(ctx context.Context, k cell, t *report.Trial) error {
	here, byClock := t.Latency == report.Timing{}, t.Clock == report.Timing{} && p.clock != nil
	if !here && !byClock {
		return nil
	}
	g, err := onnx.ReadFile(p.path(k, ".onnx"))
	if err != nil {
		return err
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	if here {
		times, err := train.Latencies([]*ir.Graph{p.graph, g}, p.src.Test, 1, latencyRounds, 0)
		if err != nil {
			return err
		}
		t.Latency = report.Timing{Original: ms(times[0]), Own: ms(times[1])}
	}
	if byClock {
		times, err := p.clock.measure(ctx, p.graph, g)
		if err != nil {
			return err
		}
		t.Clock, t.ClockedBy = report.Timing{Original: ms(times[0]), Own: ms(times[1])}, p.clock.String()
	}
	return p.write(k, t)
}
