package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/onnx"
)

// bench holds what all comparisons share.
type bench struct {
	settings
	dir     string
	pool    *parallel.Pool
	torch   map[string]*worker // by way to allocate; empty without torch
	ort     *worker            // nil without ONNX Runtime
	files   int
	fastest map[string]string // way to allocate of the fastest training step, by network
	figures []figure
}

// connect starts the peers and says what they are, or why they are left out.
func (b *bench) connect() map[string]string {
	said := map[string]string{}
	for _, way := range b.ways {
		if way == otherMalloc && b.malloc == "" {
			continue
		}
		w, err := startTorch(b.settings, way)
		if err != nil {
			said["torch"] = "left out: " + err.Error()
			break
		}
		b.torch[way] = w
		said["torch"] = w.Version
	}
	w, err := startORT(b.settings)
	if err != nil {
		said["onnxruntime"] = "left out: " + err.Error()
	} else {
		b.ort = w
		said["onnxruntime"] = w.Version + " in node"
	}
	b.fastest = map[string]string{}
	return said
}

func (b *bench) close() {
	for _, w := range b.torch {
		w.close()
	}
	if b.ort != nil {
		b.ort.close()
	}
	b.pool.Close()
}

// torchJob loads a model in torch in every way to allocate, unless one is asked for, and keeps the fastest.
func (b *bench) torchJob(m model, how mode, batch int, way string) (*job, string, error) {
	b.files++
	base := filepath.Join(b.dir, fmt.Sprint("net", b.files))
	if err := export(base, m, batch); err != nil {
		return nil, "", err
	}
	defer os.Remove(base + ".json")
	defer os.Remove(base + ".f32")
	var best *job
	bestWay := ""
	tried := map[string]any{}
	for name, w := range b.torch {
		if way != "" && name != way {
			continue
		}
		j, err := w.load(map[string]any{"do": "load", "net": base + ".json", "data": base + ".f32", "mode": string(how)})
		if err != nil {
			return nil, "", err
		}
		for setting, v := range j.Tried {
			tried[setting+", "+name] = v
		}
		if best != nil && j.took() >= best.took() {
			j.free()
			continue
		}
		if best != nil {
			best.free()
		}
		best, bestWay = j, name
	}
	best.Tried = tried
	best.Setting += ", " + bestWay
	return best, bestWay, nil
}

// took is how long the fastest setting took for a step.
func (j *job) took() float64 {
	s, _ := j.Tried[j.Setting].(float64)
	return s
}

// train compares training steps, and the steps of a search with them.
func (b *bench) train(n network) error {
	defer runtime.GC()
	var sides []side
	var owns []*own
	for _, v := range []struct {
		how mode
		on  masked.On
	}{{training, 0}, {search, masked.Weights}, {frozen, masked.Activations}} {
		m, err := build(n, v.how, v.on, n.batch)
		if err != nil {
			return err
		}
		o, err := newOwn(m, v.how, n.batch, b.pool)
		if err != nil {
			return err
		}
		owns, sides = append(owns, o), append(sides, o)
	}
	var peers []*job
	if len(b.torch) > 0 {
		way := ""
		for _, how := range []mode{training, search, frozen} {
			if how != training && !b.masks {
				break
			}
			m, err := build(n, how, masked.Activations, n.batch)
			if err != nil {
				return err
			}
			j, fast, err := b.torchJob(m, how, n.batch, way)
			if err != nil {
				return err
			}
			defer j.free()
			way = fast
			b.fastest[n.name] = fast
			peers, sides = append(peers, j), append(sides, j)
		}
	}
	timed, err := b.alternate(sides...)
	if err != nil {
		return err
	}
	t := timed.seconds
	names := []string{"training step", "search step", "p- step"}
	for i, name := range names {
		f := figure{What: fmt.Sprintf("%s batch %d %s", n.name, n.batch, name), Ours: 1e3 * median(t[i]), Unit: "ms", Others: timed.foreign}
		if i < len(peers) {
			f.Peer, f.Theirs, f.Ratio = "torch", 1e3*median(t[3+i]), ratios(t[3+i], t[i])
			f.Setting, f.Tried, f.Differ = peers[i].Setting, peers[i].Tried, differ(owns[i].value, peers[i].Value)
			if i == 0 {
				f.Goal = n.goal
			}
		}
		b.add(f)
	}
	for i, goal := range []float64{1.03, 0.8} {
		b.add(figure{
			What: fmt.Sprintf("%s %s by training step", n.name, names[i+1]), Peer: "our training step", Ours: 1e3 * median(t[i+1]), Theirs: 1e3 * median(t[0]),
			Unit: "ms", Others: timed.foreign, Ratio: ratios(t[i+1], t[0]), Goal: goal, AtMost: true,
		})
	}
	return nil
}

// variants compares our training step by instruction set with that of the fastest one. The plain Go twins take too long for rounds.
func (b *bench) variants(n network) error {
	var names []string
	var sides []side
	for _, v := range kernel.Variants()[1:] {
		m, err := build(n, training, 0, n.batch)
		if err != nil {
			return err
		}
		restore := kernel.Use(v)
		o, err := newOwn(m, training, n.batch, b.pool)
		restore()
		if err != nil {
			return err
		}
		names, sides = append(names, v), append(sides, &variant{v, o})
	}
	timed, err := b.alternate(sides...)
	if err != nil {
		return err
	}
	best := len(sides) - 1
	for i, t := range timed.seconds[:best] {
		b.add(figure{
			What: fmt.Sprintf("%s batch %d training step, %s", n.name, n.batch, names[i]), Peer: names[best], Ours: 1e3 * median(t), Theirs: 1e3 * median(timed.seconds[best]),
			Unit: "ms", Others: timed.foreign, Ratio: ratios(timed.seconds[best], t), Goal: 0.85,
		})
	}
	return nil
}

// variant is our side under one instruction set.
type variant struct {
	name string
	own  *own
}

func (v *variant) run(steps int) (time.Duration, error) {
	defer kernel.Use(v.name)()
	return v.own.run(steps)
}

func (b *bench) add(f figure) {
	b.figures = append(b.figures, f)
	fmt.Fprintf(os.Stderr, "bench: %s: %.4g %s, %s %.4g, ratio %.3f (%.3f–%.3f) %s\n", f.What, f.Ours, f.Unit, f.Peer, f.Theirs, f.Ratio.Median, f.Ratio.Low, f.Ratio.High, f.Setting)
	if f.Differ > 1e-3 {
		fmt.Fprintf(os.Stderr, "bench: warning: %s: the first results differ by %.2g; the sides do not compute the same\n", f.What, f.Differ)
	}
}

// differ is the largest difference as a part of the largest value.
func differ(a []float32, b []float64) float64 {
	worst, largest := 0.0, 0.0
	for i := range a {
		worst, largest = max(worst, math.Abs(float64(a[i])-b[i])), max(largest, math.Abs(b[i]))
	}
	return worst / largest
}

// infer compares inference at batch 1 and 32.
func (b *bench) infer(n network) error {
	for _, batch := range []int{1, 32} {
		if err := b.inferAt(n, batch); err != nil {
			return err
		}
		runtime.GC()
	}
	return nil
}

func (b *bench) inferAt(n network, batch int) error {
	m, err := build(n, infer, 0, batch)
	if err != nil {
		return err
	}
	o, err := newOwn(m, infer, batch, b.pool)
	if err != nil {
		return err
	}
	sides := []side{o}
	type peer struct {
		name string
		goal float64
		*job
	}
	var peers []peer
	if len(b.torch) > 0 {
		j, _, err := b.torchJob(m, infer, batch, "")
		if err != nil {
			return err
		}
		peers, sides = append(peers, peer{"torch", 1, j}), append(sides, j)
		defer j.free()
	}
	if b.ort != nil {
		j, err := b.ortJob(m, n, batch)
		if err != nil {
			return err
		}
		peers, sides = append(peers, peer{"ONNX Runtime", 0.8, j}), append(sides, j)
		defer j.free()
	}
	timed, err := b.alternate(sides...)
	if err != nil {
		return err
	}
	t := timed.seconds
	what := fmt.Sprintf("%s batch %d inference", n.name, batch)
	if len(peers) == 0 {
		b.add(figure{What: what, Ours: 1e3 * median(t[0]), Unit: "ms", Others: timed.foreign})
	}
	for i, p := range peers {
		b.add(figure{
			What: what, Peer: p.name, Ours: 1e3 * median(t[0]), Theirs: 1e3 * median(t[i+1]), Unit: "ms", Others: timed.foreign, Ratio: ratios(t[i+1], t[0]), Goal: p.goal,
			Setting: p.Setting, Tried: p.Tried, Differ: differ(o.value, p.Value),
		})
	}
	return nil
}

func (b *bench) ortJob(m model, n network, batch int) (*job, error) {
	path, data := filepath.Join(b.dir, "model.onnx"), filepath.Join(b.dir, "x.f32")
	if err := onnx.WriteFile(path, m.graph); err != nil {
		return nil, err
	}
	x := m.feed[m.graph.Inputs[0].Name]
	if err := writeFloats(data, x); err != nil {
		return nil, err
	}
	return b.ort.load(map[string]any{
		"do": "load", "model": path, "data": map[string]any{"file": data, "at": 0}, "shape": []int{batch, 3, n.side, n.side}, "threads": b.threads,
	})
}

// gemm compares products of square matrices.
func (b *bench) gemm(size int) error {
	p := newProduct(size, b.pool)
	sides := []side{p}
	var version string
	for _, w := range b.torch {
		j, err := w.load(map[string]any{"do": "gemm", "size": size})
		if err != nil {
			return err
		}
		defer j.free()
		sides, version = append(sides, j), w.Version
		break
	}
	timed, err := b.alternate(sides...)
	if err != nil {
		return err
	}
	t := timed.seconds
	f := figure{What: fmt.Sprintf("GEMM %d", size), Ours: 1e3 * median(t[0]), Unit: "ms", Others: timed.foreign}
	if len(sides) > 1 {
		f.Peer, f.Theirs, f.Ratio, f.Goal, f.Setting = "torch", 1e3*median(t[1]), ratios(t[1], t[0]), 1, version
	}
	b.add(f)
	return nil
}

// memory compares the peak memory of processes that do nothing but take training steps. Of torch's ways to allocate the smallest counts.
func (b *bench) memory(n network) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-peak", n.name, "-threads", fmt.Sprint(b.threads))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	ours, err := strconv.ParseInt(string(bytes.TrimSpace(out)), 10, 64)
	if err != nil {
		return err
	}
	const mib = 1 << 20
	f := figure{What: fmt.Sprintf("%s batch %d peak memory", n.name, n.batch), Ours: float64(ours) / mib, Unit: "MiB"}
	for way := range b.torch {
		for _, setting := range []string{"contiguous", "channels_last"} {
			peak, err := b.torchPeak(n, way, setting)
			if err != nil {
				return err
			}
			if v := float64(peak) / mib; f.Theirs == 0 || v < f.Theirs {
				f.Theirs, f.Setting = v, setting+", "+way
			}
		}
	}
	if f.Theirs > 0 {
		r := f.Ours / f.Theirs
		f.Peer, f.Ratio, f.Goal, f.AtMost = "torch", spread{r, r, r}, 1, true
	}
	b.add(f)
	return nil
}

// peakSteps is how many training steps a process takes before its peak is read.
const peakSteps = 3

func (b *bench) torchPeak(n network, way, setting string) (int64, error) {
	w, err := startTorch(b.settings, way)
	if err != nil {
		return 0, err
	}
	defer w.close()
	m, err := build(n, training, 0, n.batch)
	if err != nil {
		return 0, err
	}
	base := filepath.Join(b.dir, "peak")
	if err := export(base, m, n.batch); err != nil {
		return 0, err
	}
	j, err := w.load(map[string]any{"do": "load", "net": base + ".json", "data": base + ".f32", "mode": string(training), "only": []string{setting}})
	if err != nil {
		return 0, err
	}
	if _, err := j.run(peakSteps); err != nil {
		return 0, err
	}
	a, err := w.ask(map[string]any{"do": "peak"})
	return a.Bytes, err
}

// printPeak takes training steps in this process and prints the most memory that it ever had.
func printPeak(name string, threads int) error {
	for _, n := range networks {
		if n.name != name {
			continue
		}
		pool := parallel.New(threads)
		defer pool.Close()
		m, err := build(n, training, 0, n.batch)
		if err != nil {
			return err
		}
		o, err := newOwn(m, training, n.batch, pool)
		if err != nil {
			return err
		}
		if _, err := o.run(peakSteps); err != nil {
			return err
		}
		raw, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(raw)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				fmt.Println(kib << 10)
				return err
			}
		}
		return fmt.Errorf("the system does not tell the peak memory of a process")
	}
	return fmt.Errorf("unknown network %q", name)
}

// profile prints where our steps spends its time, by operation.
func (b *bench) profile(n network) error {
	for _, v := range []struct {
		name string
		how  mode
		on   masked.On
	}{{"training", training, 0}, {"search", search, masked.Weights}, {"p-", frozen, masked.Activations}, {"inference", infer, 0}} {
		m, err := build(n, v.how, v.on, n.batch)
		if err != nil {
			return err
		}
		o, err := newOwn(m, v.how, n.batch, b.pool)
		if err != nil {
			return err
		}
		if _, err := o.run(1); err != nil {
			return err
		}
		o.machine.Profile()
		took, err := o.run(b.rounds)
		if err != nil {
			return err
		}
		fmt.Printf("%s batch %d: %d steps of %s in %v, %d MiB of activations and gradients\n%s",
			n.name, n.batch, b.rounds, v.name, took, o.machine.Memory()>>20, o.machine.ProfileTable())
		runtime.GC()
	}
	return nil
}
