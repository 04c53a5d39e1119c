package onnx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dms-go/dms/internal/wholefile"
	"github.com/dms-go/dms/ir"
)

// ReadFile reads a model and its external data, which lie in the same folder. Errors name the file.
func ReadFile(path string) (*ir.Graph, error) {
	raw, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return decode(raw, Options{Dir: filepath.Dir(path)}, path)
}

// readBounded reads a file after asking for its size.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := checkSize(info.Size()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	raw := make([]byte, info.Size())
	if _, err := io.ReadFull(f, raw); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return raw, nil
}

// checkSize holds the size of a model file against what the format allows.
func checkSize(bytes int64) error {
	switch {
	case bytes == 0:
		return errors.New("the file is empty")
	case bytes > maxFile:
		return fmt.Errorf("%d bytes; a model file has at most %d, larger weights stand in external files", bytes, maxFile)
	}
	return nil
}

// WriteFile writes a model whole or not at all. Where the graph came from a file with external data, or is too large for one file, its
// weights go into a file beside it, named like the model with .data behind; that file is whole before the model appears.
func WriteFile(path string, g *ir.Graph) error {
	var beside *dataFile
	if g.External {
		beside = &dataFile{name: filepath.Base(path) + ".data"}
	}
	e, err := encode(g, beside)
	if errors.Is(err, errTooLarge) && beside == nil {
		beside = &dataFile{name: filepath.Base(path) + ".data"}
		e, err = encode(g, beside)
	}
	if err != nil {
		return err
	}
	if beside != nil && len(beside.tensors) > 0 {
		if err := writeWhole(filepath.Join(filepath.Dir(path), beside.name), beside.writeTo); err != nil {
			return err
		}
	}
	return writeWhole(path, e.writeTo)
}

func writeWhole(path string, write func(io.Writer) error) error {
	if err := wholefile.Write(path, func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, 1<<16)
		if err := write(buffered); err != nil {
			return err
		}
		return buffered.Flush()
	}); err != nil {
		return fmt.Errorf("onnx: %w", err)
	}
	return nil
}
