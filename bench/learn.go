package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/kernel"
)

const (
	learnSteps = 200
	learnRate  = 0.02
	learnNet   = "resnet20:classes=%d"
	learnBatch = 64
)

// learn takes the same training steps here and in torch, from the same weights over the same batches of drawn letters, and compares the
// losses. Every last bit grows in 200 steps, so the measure is how far torch's own runs lie apart: in both memory formats and with one
// and more threads, which only add in different orders.
func (b *bench) learn() error {
	batches, classes, err := b.drawnBatches()
	if err != nil {
		return err
	}
	n := network{name: "resnet20", spec: fmt.Sprintf(learnNet, classes), batch: learnBatch}
	m, err := build(n, training, 0, learnBatch)
	if err != nil {
		return err
	}
	curves := map[string][]float64{}
	var names []string
	add := func(name string, losses []float64) {
		curves[name] = losses
		names = append(names, name)
	}
	for _, variant := range kernel.Variants() {
		if variant == "go" {
			continue // thirty times slower
		}
		losses, err := b.learnHere(m, variant, batches)
		if err != nil {
			return err
		}
		add("ours, "+variant, losses)
	}
	for _, w := range b.torch {
		for _, format := range []string{"contiguous", "channels_last"} {
			for _, threads := range []int{1, b.threads} {
				losses, err := b.learnThere(m, w, format, threads, batches)
				if err != nil {
					return err
				}
				add(fmt.Sprintf("torch, %s, threads %d", format, threads), losses)
			}
		}
		break
	}
	// The mean over twenty steps: single losses jump with their batch.
	window := func(name string, end int) float64 {
		sum := 0.0
		for _, l := range curves[name][end-20 : end] {
			sum += l / 20
		}
		return sum
	}
	var s strings.Builder
	fmt.Fprintf(&s, "mean loss of 20 steps of %s, batch %d, rate %g, ending with step\n%-32s", n.spec, learnBatch, learnRate, "")
	ends := []int{20, 50, 100, 150, learnSteps}
	for _, end := range ends {
		fmt.Fprintf(&s, "%9d", end)
	}
	for _, name := range names {
		fmt.Fprintf(&s, "\n%-32s", name)
		for _, end := range ends {
			fmt.Fprintf(&s, "%9.5f", window(name, end))
		}
	}
	fmt.Println(s.String())
	return nil
}

// drawnBatches draws the data: images in the graph's order and targets, per step.
func (b *bench) drawnBatches() (batches []feedBatch, classes int, err error) {
	src, err := data.Open("glyphs", data.Options{TrainLen: 4096, TestLen: 64})
	if err != nil {
		return nil, 0, err
	}
	h, w, c := src.Train.Shape()
	classes = len(src.Train.Classes())
	l, err := data.NewLoader(context.Background(), src.Train, data.Config{Batch: learnBatch, Shuffle: true, DropLast: true, Seed: 1})
	if err != nil {
		return nil, 0, err
	}
	defer l.Close()
	var batch data.Batch
	for range learnSteps {
		if err := l.Next(&batch); err != nil {
			return nil, 0, err
		}
		x := make([]float32, len(batch.X))
		for i, v := range batch.X {
			n, p := i/(h*w*c), i%(h*w*c)
			x[n*h*w*c+p%c*h*w+p/c] = v
		}
		batches = append(batches, feedBatch{x, append([]float32{}, batch.Y...)})
	}
	return batches, classes, nil
}

// feedBatch is what one step is given.
type feedBatch struct{ x, y []float32 }

func (b *bench) learnHere(m model, variant string, batches []feedBatch) ([]float64, error) {
	defer kernel.Use(variant)()
	o, err := newOwn(m, training, learnBatch, b.pool) // which takes one step, so that it starts anew below
	if err != nil {
		return nil, err
	}
	if err := o.restart(learnRate); err != nil {
		return nil, err
	}
	image, target := m.graph.Inputs[0].Name, m.graph.Inputs[1].Name
	var losses []float64
	for _, v := range batches {
		if err := o.machine.SetInput(image, v.x); err != nil {
			return nil, err
		}
		if err := o.machine.SetInput(target, v.y); err != nil {
			return nil, err
		}
		if err := o.step(); err != nil {
			return nil, err
		}
		losses = append(losses, float64(o.machine.Output(m.result)[0]))
	}
	return losses, nil
}

func (b *bench) learnThere(m model, w *worker, format string, threads int, batches []feedBatch) ([]float64, error) {
	base := filepath.Join(b.dir, "learn")
	if err := export(base, m, learnBatch); err != nil {
		return nil, err
	}
	var floats []float32
	for _, v := range batches {
		floats = append(append(floats, v.x...), v.y...)
	}
	if err := writeFloats(base+".batches", floats); err != nil {
		return nil, err
	}
	defer os.Remove(base + ".batches")
	a, err := w.ask(map[string]any{
		"do": "learn", "net": base + ".json", "data": base + ".f32", "format": format, "threads": threads, "rate": learnRate,
		"batches": base + ".batches", "floats": len(floats), "count": len(batches), "image": m.graph.Inputs[0].Name, "target": m.graph.Inputs[1].Name,
	})
	return a.Losses, err
}
