package main

import (
	_ "embed"
	"os"
	"path/filepath"
)

//go:embed ort_worker.js
var ortScript string

// startORT starts a process with ONNX Runtime.
func startORT(s settings) (*worker, error) {
	modules, err := filepath.Abs(filepath.Join(s.ort, "node_modules"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(modules, "onnxruntime-node")); err != nil {
		return nil, err
	}
	w, err := startWorker([]string{"NODE_PATH=" + modules}, "node", "-e", ortScript)
	if err != nil {
		return nil, err
	}
	a, err := w.ask(map[string]any{"do": "hello", "cpu": s.cpu})
	w.Version = a.Version
	return w, err
}
