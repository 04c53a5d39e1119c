// Package dms makes trained or untrained networks smaller: differentiable model scaling (Liu et al., ICML 2024, arXiv 2405.07194).
//
// Each function is one stage, takes one value and returns one value:
//
//	file ─Load→ ir.Graph ─Search→ search.Result ─Apply→ ir.Graph ─Train→ ir.Graph ─Save→ file
//
// The packages ir, space, search and train hold what stands behind them.
package dms

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/internal/safetensors"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/train"
	"github.com/dms-go/dms/zoo"
)

// Load reads a network: the path of an .onnx file, or zoo:NAME[:k=v,...] for one of the zoo with random weights. weights, when not
// empty, is a .safetensors or .onnx file whose tensors replace a zoo network's of the same names. Shape arithmetic is folded away; batch stays symbolic.
func Load(model, weights string) (*ir.Graph, error) {
	g, err := read(model)
	if err != nil {
		return nil, err
	}
	if weights != "" {
		if !strings.HasPrefix(model, "zoo:") {
			return nil, fmt.Errorf("dms: weights from %s: only a zoo network takes weights from a file; %s has its own", weights, model)
		}
		tensors, err := readTensors(weights)
		if err != nil {
			return nil, err
		}
		if err := zoo.LoadWeights(g, tensors); err != nil {
			return nil, fmt.Errorf("dms: %s: %w", weights, err)
		}
	}
	if g, err = ir.Fold(g); err != nil {
		return nil, fmt.Errorf("dms: %s: %w", model, err)
	}
	return g, nil
}

func read(model string) (*ir.Graph, error) {
	if spec, ok := strings.CutPrefix(model, "zoo:"); ok {
		return zoo.Build(spec)
	}
	if st, err := os.Stat(model); err == nil && st.IsDir() {
		return nil, fmt.Errorf("dms: %s is a folder; this build reads .onnx files and zoo: networks, not yet Hugging Face folders", model)
	}
	if ext := strings.ToLower(filepath.Ext(model)); ext != ".onnx" {
		return nil, fmt.Errorf("dms: %s: unknown kind of model %q; give an .onnx file or zoo:NAME (`dms zoo` lists the names)", model, ext)
	}
	return onnx.ReadFile(model)
}

// readTensors reads what can be weights from a file: of an .onnx file every floating-point tensor that is not a scalar, for those are constants of
// operators.
func readTensors(file string) (map[string]*ir.Tensor, error) {
	if strings.EqualFold(filepath.Ext(file), ".onnx") {
		g, err := onnx.ReadFile(file)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(g.Weights, func(_ string, t *ir.Tensor) bool { return !t.DType.IsFloat() || len(t.Shape) == 0 })
		return g.Weights, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("dms: %w", err)
	}
	tensors, _, err := safetensors.Read(raw)
	if err != nil {
		return nil, fmt.Errorf("dms: %s: %w", file, err)
	}
	return tensors, nil
}

// Inspect finds what can be removed from a network, and why the rest cannot.
func Inspect(g *ir.Graph, o space.Options) (*space.Space, error) { return space.Find(g, o) }

// Search finds a structure within the budgets by gradient.
func Search(ctx context.Context, g *ir.Graph, src *data.Source, cfg search.Config, opt search.Options) (*search.Result, error) {
	return search.Run(ctx, g, src, cfg, opt)
}

// Apply cuts a selection out of a network; o are the options the space was found with.
func Apply(g *ir.Graph, o space.Options, sel space.Selection) (*ir.Graph, error) {
	s, err := space.Find(g, o)
	if err != nil {
		return nil, err
	}
	return prune.Apply(g, s, sel)
}

// Train trains a network and returns it with its new weights.
func Train(ctx context.Context, g *ir.Graph, src *data.Source, cfg train.Config, opt train.Options) (*ir.Graph, error) {
	return train.Fit(ctx, g, src, cfg, opt)
}

// Evaluate scores a network on the test samples of src.
func Evaluate(ctx context.Context, g *ir.Graph, src *data.Source, cfg train.Config) (train.Score, error) {
	return train.Evaluate(ctx, g, src, src.Test, cfg)
}

// Save writes a network to an .onnx file, whole or not at all.
func Save(path string, g *ir.Graph) error { return onnx.WriteFile(path, g) }
