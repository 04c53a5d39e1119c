package train

import (
	"context"
	"fmt"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
)

// Recalibrate returns a copy of g whose batch-norm statistics are the plain average over batches of training samples, augmented as in
// training. inputs gives values to further inputs of the network, such as masks. Weights stay as they are; a network without batch
// norm comes back unchanged.
//
// A network whose structure was searched with frozen weights needs this: the running statistics it was trained with belong to
// another network.
func Recalibrate(ctx context.Context, g *ir.Graph, src *data.Source, cfg Config, batches int, inputs map[string][]float32) (*ir.Graph, error) {
	out := g.Clone()
	if batches == 0 || !hasBatchNorm(g) {
		return out, nil
	}
	bind, err := bindImages(g, src.Train, cfg.Batch)
	if err != nil {
		return nil, err
	}
	p, err := program.Build(g, program.Config{Bind: bind, Training: true})
	if err != nil {
		return nil, err
	}
	pool := parallel.New(cfg.Workers)
	defer pool.Close()
	params, err := engine.NewParams[float32](g)
	if err != nil {
		return nil, err
	}
	m, err := engine.New(p, params, pool)
	if err != nil {
		return nil, err
	}
	mean, std, err := data.Normalization(src, cfg.Normalize)
	if err != nil {
		return nil, err
	}
	// Another order than the search saw: the statistics should not know its last batches best.
	loader, err := data.NewLoader(ctx, src.Train, data.Config{
		Batch: cfg.Batch, Seed: cfg.Seed ^ 0x5eed, Shuffle: true, DropLast: true, Augment: data.Augment{Crop: cfg.Crop, Flip: cfg.Flip}, Mean: mean, Std: std,
	})
	if err != nil {
		return nil, err
	}
	defer loader.Close()
	for name, v := range inputs {
		if err := m.SetInput(name, v); err != nil {
			return nil, err
		}
	}
	var b data.Batch
	for i := range batches {
		if err := loader.Next(&b); err != nil {
			return nil, fmt.Errorf("train: recalibration: %w", err)
		}
		if err := m.SetInputNHWC(g.Inputs[0].Name, b.X); err != nil {
			return nil, err
		}
		m.SetMomentum(float64(i) / float64(i+1))
		m.Run()
	}
	return out, params.WriteTo(out)
}

func hasBatchNorm(g *ir.Graph) bool {
	for _, n := range g.Nodes {
		if n.Is("BatchNormalization") {
			return true
		}
	}
	return false
}
