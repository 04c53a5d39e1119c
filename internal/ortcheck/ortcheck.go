// Package ortcheck holds what this project writes and computes against ONNX Runtime. Only tests import it.
//
// ONNX Runtime is the library inside the npm package onnxruntime-node, which .ci/ort.sh installs under .ci/ort; a small script run by
// node feeds it. Where node or the package is missing, tests skip with the reason.
package ortcheck

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/onnx"
)

const (
	// Tolerance is how far the engine may be from ONNX Runtime, as a part of the largest magnitude of an output. Both sum in float32,
	// in different orders: over the depth of real networks that leaves 1e-6 to 1e-5.
	Tolerance = 1e-4

	// Batch is the size that the symbol N is given.
	Batch = 2

	// Side is the size of symbols of later axes: height and width.
	Side = 64

	timeout = 10 * time.Minute
)

//go:embed run.js
var script string

// value is a tensor in a file, as run.js exchanges them.
type value struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"`
	File  string `json:"file"`
}

type request struct {
	Model  string  `json:"model"`
	Folder string  `json:"folder"`
	Inputs []value `json:"inputs"`
}

type response struct {
	Version string  `json:"version"`
	Outputs []value `json:"outputs"`
}

// types pairs the graph's types with ONNX Runtime's names.
var types = map[ir.DType]string{
	ir.Float32: "float32", ir.Float64: "float64", ir.Float16: "float16", ir.Bool: "bool",
	ir.Int8: "int8", ir.Int16: "int16", ir.Int32: "int32", ir.Int64: "int64",
	ir.Uint8: "uint8", ir.Uint16: "uint16", ir.Uint32: "uint32", ir.Uint64: "uint64",
}

// Run runs a model file in ONNX Runtime and returns all outputs by name.
func Run(t testing.TB, modelPath string, inputs map[string]*ir.Tensor) map[string]*ir.Tensor {
	t.Helper()
	modules := installed(t)
	out, err := run(t.TempDir(), modules, modelPath, inputs)
	if err != nil {
		t.Fatalf("ortcheck: %s: %v", filepath.Base(modelPath), err)
	}
	return out
}

func run(dir, modules, modelPath string, inputs map[string]*ir.Tensor) (map[string]*ir.Tensor, error) {
	model, err := filepath.Abs(modelPath)
	if err != nil {
		return nil, err
	}
	req := request{Model: model, Folder: dir, Inputs: []value{}}
	for i, name := range slices.Sorted(maps.Keys(inputs)) {
		in := inputs[name]
		v := value{Name: name, Type: types[in.DType], Shape: in.Shape, File: filepath.Join(dir, fmt.Sprint("input", i))}
		if v.Type == "" {
			return nil, fmt.Errorf("input %q: elements of type %v cannot be fed", name, in.DType)
		}
		if err := os.WriteFile(v.File, raw(in), 0o666); err != nil {
			return nil, err
		}
		req.Inputs = append(req.Inputs, v)
	}
	question, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "-e", script)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stdin = bytes.NewReader(question)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("node: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var res response
	if err := json.Unmarshal(answer, &res); err != nil {
		return nil, fmt.Errorf("the answer of node: %w: %.200s", err, answer)
	}
	outputs := map[string]*ir.Tensor{}
	for _, v := range res.Outputs {
		data, err := os.ReadFile(v.File)
		if err != nil {
			return nil, err
		}
		if outputs[v.Name], err = tensor(v, data); err != nil {
			return nil, fmt.Errorf("output %q: %w", v.Name, err)
		}
	}
	return outputs, nil
}

// installed is the folder of node's modules in which ONNX Runtime lies: that of $DMS_ORT or of .ci/ort in this repository.
func installed(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skipf("ONNX Runtime: %v", err)
	}
	dir := os.Getenv("DMS_ORT")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir = wd; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			if dir == filepath.Dir(dir) {
				t.Skipf("ONNX Runtime: no go.mod above %s; set DMS_ORT to the folder it is installed in", wd)
			}
		}
		dir = filepath.Join(dir, ".ci", "ort")
	}
	modules, err := filepath.Abs(filepath.Join(dir, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "onnxruntime-node")); err != nil {
		t.Skipf("ONNX Runtime: %v; .ci/ort.sh installs it", err)
	}
	return modules
}

// raw is a tensor's elements, little-endian.
func raw(t *ir.Tensor) []byte {
	out := slices.Clone(t.Raw)
	for _, v := range t.F32 {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	for _, v := range t.I64 {
		out = binary.LittleEndian.AppendUint64(out, uint64(v))
	}
	return out
}

func tensor(v value, data []byte) (*ir.Tensor, error) {
	t := &ir.Tensor{Shape: v.Shape}
	for dtype, name := range types {
		if name == v.Type {
			t.DType = dtype
		}
	}
	if t.DType == ir.Undefined {
		return nil, fmt.Errorf("elements of type %q cannot be read", v.Type)
	}
	if want := t.Len() * t.DType.Size(); len(data) != want {
		return nil, fmt.Errorf("%d bytes, want %d for %v of shape %v", len(data), want, t.DType, t.Shape)
	}
	switch t.DType {
	case ir.Float32:
		t.F32 = make([]float32, len(data)/4)
		for i := range t.F32 {
			t.F32[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case ir.Int64:
		t.I64 = make([]int64, len(data)/8)
		for i := range t.I64 {
			t.I64[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
		}
	default:
		t.Raw = data
	}
	return t, nil
}

// Compare runs a graph on the same random inputs in the engine and, written to a file, in ONNX Runtime, and fails the test where
// an output differs by more than Tolerance. Inputs are float32; their symbols are Batch.
func Compare(t testing.TB, g *ir.Graph, seed uint64) {
	t.Helper()
	inputs := RandomInputs(t, g, seed)
	got, err := Engine(g, inputs)
	if err != nil {
		t.Fatal(err)
	}
	want := Run(t, Write(t, g), inputs)
	Same(t, got, want, Tolerance)
}

// RandomInputs are normally distributed values for every input of g, or zeros and ones where it takes whole numbers.
func RandomInputs(t testing.TB, g *ir.Graph, seed uint64) map[string]*ir.Tensor {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	inputs := map[string]*ir.Tensor{}
	for _, in := range g.Inputs {
		if in.DType != ir.Float32 && in.DType != ir.Int64 || in.Shape == nil {
			t.Fatalf("ortcheck: input %q is %v %v, want float32 or int64 of a known rank", in.Name, in.DType, in.Shape)
		}
		x := &ir.Tensor{DType: in.DType}
		for axis, dim := range in.Shape {
			size := dim.Size
			if !dim.Known() {
				size = Batch
			}
			if !dim.Known() && axis > 1 {
				size = Side
			}
			x.Shape = append(x.Shape, size)
		}
		for range x.Len() {
			if in.DType == ir.Int64 {
				x.I64 = append(x.I64, rng.Int64N(2))
			} else {
				x.F32 = append(x.F32, float32(rng.NormFloat64()))
			}
		}
		inputs[in.Name] = x
	}
	return inputs
}

// Write writes a graph to a file that goes with the test.
func Write(t testing.TB, g *ir.Graph) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := onnx.WriteFile(path, g); err != nil {
		t.Fatal(err)
	}
	return path
}

// Engine runs a graph in this project's engine, in inference mode. Symbols in the shapes of inputs are what the inputs say.
func Engine(g *ir.Graph, inputs map[string]*ir.Tensor) (map[string]*ir.Tensor, error) {
	m, err := NewMachine[float32](g, inputs)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return m.Run(inputs)
}

// Machine is a graph made ready for inputs of fixed shapes, to run it more than once.
type Machine[F float32 | float64] struct {
	machine *engine.Machine[F]
	pool    *parallel.Pool
	outputs []ir.ValueInfo
}

// NewMachine makes a graph ready for inputs of the shapes of those given. An input that is not among them has the shape that the graph says.
func NewMachine[F float32 | float64](g *ir.Graph, inputs map[string]*ir.Tensor) (*Machine[F], error) {
	g = g.Clone()
	bind := map[string]int{}
	for _, in := range g.Inputs {
		x, ok := inputs[in.Name]
		if !ok {
			continue
		}
		for k, dim := range in.Shape {
			switch size := x.Shape[k]; dim.Sym {
			case "":
			case "?": // no name to bind
				in.Shape[k] = ir.Dim{Size: size}
			default:
				bind[dim.Sym] = size
			}
		}
	}
	g, err := ir.Fold(g)
	if err != nil {
		return nil, err
	}
	values, err := ir.InferShapes(g, bind)
	if err != nil {
		return nil, err
	}
	var outputs []ir.ValueInfo
	for _, out := range g.Outputs {
		v := values[out.Name]
		outputs = append(outputs, ir.ValueInfo{Name: out.Name, DType: v.DType, Shape: v.Shape})
	}
	p, err := program.Build(g, program.Config{Bind: bind})
	if err != nil {
		return nil, err
	}
	params, err := engine.NewParams[F](g)
	if err != nil {
		return nil, err
	}
	pool := parallel.New(2)
	m, err := engine.New(p, params, pool)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Machine[F]{m, pool, outputs}, nil
}

// Close ends the goroutines of the machine.
func (m *Machine[F]) Close() { m.pool.Close() }

// Run runs the graph once. Outputs of a float64 machine are rounded to float32.
func (m *Machine[F]) Run(inputs map[string]*ir.Tensor) (map[string]*ir.Tensor, error) {
	for name, in := range inputs {
		data, err := in.Floats()
		if err != nil {
			return nil, err
		}
		x := make([]F, len(data))
		for i, v := range data {
			x[i] = F(v)
		}
		if err := m.machine.SetInput(name, x); err != nil {
			return nil, err
		}
	}
	m.machine.Run()
	outputs := map[string]*ir.Tensor{}
	for _, out := range m.outputs {
		shape, ok := out.Shape.Sizes()
		if !ok {
			return nil, fmt.Errorf("output %q has shape %v", out.Name, out.Shape)
		}
		var data []float32
		for _, v := range m.machine.Output(out.Name) {
			data = append(data, float32(v))
		}
		outputs[out.Name] = asType(out.DType, data, shape)
	}
	return outputs, nil
}

// asType gives what the engine computed the type that the graph states. What the engine keeps as NaN is no whole number and stays float32.
func asType(d ir.DType, data []float32, shape []int) *ir.Tensor {
	whole := !slices.ContainsFunc(data, func(v float32) bool { return v != v })
	if !d.IsInt() || !whole {
		return ir.Floats32(data, shape...)
	}
	t := &ir.Tensor{DType: d, Shape: shape}
	if d == ir.Int64 {
		for _, v := range data {
			t.I64 = append(t.I64, int64(v))
		}
		return t
	}
	for _, v := range data {
		t.Raw = append(t.Raw, binary.LittleEndian.AppendUint64(nil, uint64(int64(v)))[:d.Size()]...)
	}
	return t
}

// Same fails the test where two sets of outputs differ in names, shapes or, by more than tolerance times the largest magnitude,
// in values.
func Same(t testing.TB, got, want map[string]*ir.Tensor, tolerance float64) {
	t.Helper()
	if a, b := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(a, b) {
		t.Fatalf("outputs %q, want %q", a, b)
	}
	for name, w := range want {
		g := got[name]
		if w.DType.IsInt() {
			if !g.Equal(w) {
				t.Errorf("output %q: got %v, want %v", name, g, w)
			}
			continue
		}
		if g.DType != ir.Float32 || w.DType != ir.Float32 || !slices.Equal(g.Shape, w.Shape) {
			t.Errorf("output %q: %v of shape %v, want %v of shape %v", name, g.DType, g.Shape, w.DType, w.Shape)
			continue
		}
		if err := testkit.Close(g.F32, w.F32, tolerance); err != nil {
			t.Errorf("output %q: %v", name, err)
		}
		largest := float32(0)
		worst := float32(0)
		for i, v := range w.F32 {
			largest = max(largest, v, -v)
			worst = max(worst, g.F32[i]-v, v-g.F32[i])
		}
		t.Logf("output %q %v: off by %.2g of %.4g at most", name, w.Shape, worst/largest, largest)
	}
}

// Off is the largest difference between two sets of outputs as a part of the largest magnitude of an output. Whole numbers must be equal and
// others finite: what has overflowed compares with anything.
func Off(got, want map[string]*ir.Tensor) (float64, error) {
	worst := 0.0
	for _, name := range slices.Sorted(maps.Keys(want)) {
		g, w := got[name], want[name]
		if g == nil || !slices.Equal(g.Shape, w.Shape) || g.DType != w.DType {
			return 0, fmt.Errorf("output %q: got %v, want %v", name, g, w)
		}
		if w.DType.IsInt() {
			if !g.Equal(w) {
				return 0, fmt.Errorf("output %q: other whole numbers", name)
			}
			continue
		}
		largest, off := 0.0, 0.0
		for i, v := range w.F32 {
			d := math.Abs(float64(g.F32[i]) - float64(v))
			if math.IsNaN(d) || math.IsInf(d, 0) {
				return 0, fmt.Errorf("output %q: element %d is %v, want %v", name, i, g.F32[i], v)
			}
			off, largest = max(off, d), max(largest, math.Abs(float64(v)))
		}
		if off > 0 {
			off /= largest
		}
		worst = max(worst, off)
	}
	return worst, nil
}
