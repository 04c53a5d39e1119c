// Command bench measures this project beside PyTorch and ONNX Runtime on the same networks, batches and steps.
//
// Every network goes to the peers as its graph: as a file to ONNX Runtime, as a list of operators to a small interpreter in torch. Both
// sides get the same weights and inputs, and the first results are compared before anything is timed. A round runs each side once,
// alone, while the others wait; a ratio is taken within a round, and what is printed is the median over the rounds with both quartiles.
// A peer that is not installed is left out, with a line that says so.
//
//	go run ./bench -rounds 9
//	go run ./bench -what gemm,infer -nets resnet20 -blas /usr/lib/x86_64-linux-gnu/openblas-pthread
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/report"
)

// settings are the flags.
type settings struct {
	nets, what   []string
	rounds       int
	patience     time.Duration
	cpu          bool
	ways         []string
	masks        bool
	threads      int
	python       string
	blas, malloc string
	ort          string
	json         string
}

// network is one line of the list that is measured.
type network struct {
	name  string
	spec  string // for zoo.Build; dropout is off so that both sides compute the same
	batch int    // of a training step
	side  int
	goal  float64 // our training speed as a multiple of torch's
}

var networks = []network{
	{"resnet20", "resnet20", 64, 32, 1.6},
	{"resnet50", "resnet50", 8, 224, 1.2},
	{"mobilenetv2", "mobilenetv2:dropout=0", 16, 224, 1.5},
	{"efficientnet-b0", "efficientnet-b0:dropout=0", 8, 224, 1.5},
}

func main() {
	var s settings
	var nets, what, ways, peak, cpu string
	flag.StringVar(&nets, "nets", "resnet20,resnet50,mobilenetv2,efficientnet-b0", "networks")
	flag.StringVar(&what, "what", "train,gemm,infer,memory", "what to measure; also variants: our step by instruction set, learn: losses of 200 steps, profile: where our steps spend their time")
	flag.IntVar(&s.rounds, "rounds", 9, "rounds")
	flag.DurationVar(&s.patience, "patience", time.Minute, "how long a comparison takes rounds again that other processes disturbed")
	flag.BoolVar(&s.cpu, "cpu", false, "count processor time, not time: for one thread on a machine that others use")
	flag.BoolVar(&s.masks, "masks", true, "time steps with masks in torch too")
	flag.StringVar(&ways, "ways", "plain,raised,other", "how torch may allocate; other is the library of -malloc")
	flag.IntVar(&s.threads, "threads", 2, "threads of every side")
	flag.StringVar(&s.python, "python", "/usr/bin/python3", "interpreter that has torch")
	flag.StringVar(&s.blas, "blas", "", "`folder` whose libblas.so.3 torch is to use instead of the system's")
	flag.StringVar(&s.malloc, "malloc", "", "`library` that torch is to allocate with, such as jemalloc; used where it is faster")
	flag.StringVar(&s.ort, "ort", filepath.Join(".ci", "ort"), "`folder` of ONNX Runtime, as .ci/ort.sh makes it")
	flag.StringVar(&s.json, "json", "", "`file` for the results as JSON")
	flag.StringVar(&peak, "peak", "", "print the peak memory of this network's training step and end; for the harness itself")
	flag.StringVar(&cpu, "cpuprofile", "", "`file` for a profile of this process")
	flag.Parse()
	s.nets, s.what = strings.Split(nets, ","), strings.Split(what, ",")
	s.ways = strings.Split(ways, ",")
	if err := start(s, peak, cpu); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
	}
}

func start(s settings, peak, cpu string) error {
	if cpu != "" {
		f, err := os.Create(cpu)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if peak != "" {
		return printPeak(peak, s.threads)
	}
	return run(s)
}

// header is what a reader needs to judge the figures.
type header struct {
	Date    string            `json:"date"`
	Machine string            `json:"machine"`
	Load    string            `json:"load"` // before and after
	Kernels string            `json:"kernels"`
	Threads int               `json:"threads"`
	Rounds  int               `json:"rounds"`
	Clock   string            `json:"clock"`
	Peers   map[string]string `json:"peers"`
	Command string            `json:"command"`
}

func run(s settings) error {
	if s.cpu {
		now = processorTime
	}
	dir, err := os.MkdirTemp("", "dms-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{settings: s, dir: dir, pool: parallel.New(s.threads), torch: map[string]*worker{}}
	defer b.close()
	h := header{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Load: load(), Kernels: kernel.Active(),
		Threads: s.threads, Rounds: s.rounds, Clock: map[bool]string{false: "time", true: "processor time"}[s.cpu], Peers: b.connect(), Command: strings.Join(os.Args[1:], " "),
	}
	failed := b.measure() // what has been measured until then is still worth reading
	h.Load += ", " + load()
	fmt.Printf("%s, %s, %d threads, kernels %s, %d rounds of %s, load %s\n", h.Date, h.Machine, h.Threads, h.Kernels, h.Rounds, h.Clock, h.Load)
	for _, name := range []string{"torch", "onnxruntime"} {
		fmt.Printf("%s: %s\n", name, h.Peers[name])
	}
	if err := table(b.figures).WriteText(os.Stdout); err != nil {
		return err
	}
	if s.json == "" {
		return failed
	}
	raw, err := json.MarshalIndent(struct {
		header
		Figures []figure `json:"figures"`
	}{h, b.figures}, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(failed, os.WriteFile(s.json, append(raw, '\n'), 0o666))
}

// measure takes every figure that is asked for.
func (b *bench) measure() error {
	for _, n := range networks {
		if !slices.Contains(b.nets, n.name) {
			continue
		}
		for _, part := range []struct {
			name    string
			measure func(network) error
		}{{"train", b.train}, {"infer", b.infer}, {"memory", b.memory}, {"variants", b.variants}, {"profile", b.profile}} {
			if !slices.Contains(b.what, part.name) {
				continue
			}
			fmt.Fprintf(os.Stderr, "bench: %s %s\n", part.name, n.name)
			if err := part.measure(n); err != nil {
				return fmt.Errorf("%s of %s: %w", part.name, n.name, err)
			}
		}
	}
	if slices.Contains(b.what, "learn") {
		if err := b.learn(); err != nil {
			return fmt.Errorf("learning: %w", err)
		}
	}
	if !slices.Contains(b.what, "gemm") {
		return nil
	}
	for _, n := range []int{1024, 2048} {
		if err := b.gemm(n); err != nil {
			return err
		}
	}
	return nil
}

// figure is one comparison.
type figure struct {
	What    string         `json:"what"`
	Peer    string         `json:"peer"`
	Ours    float64        `json:"ours"`   // median, in Unit
	Theirs  float64        `json:"theirs"` // 0 without a peer
	Unit    string         `json:"unit"`
	Ratio   spread         `json:"ratio"`
	Goal    float64        `json:"goal"`    // 0 for none
	AtMost  bool           `json:"at_most"` // the goal is an upper bound
	Setting string         `json:"setting,omitempty"`
	Tried   map[string]any `json:"tried,omitempty"`
	Differ  float64        `json:"differ,omitempty"` // largest relative difference of the first results
	Others  float64        `json:"others"`           // largest share of the machine that other processes had in a round that counts
}

func (f figure) met() string {
	switch {
	case f.Goal == 0 || f.Ratio.Median == 0:
		return ""
	case f.AtMost && f.Ratio.Median <= f.Goal, !f.AtMost && f.Ratio.Median >= f.Goal:
		return "yes"
	default:
		return "no"
	}
}

func table(figures []figure) *report.Table {
	t := &report.Table{Columns: []string{"what", "ours", "peer's", "peer", "ratio", "quartiles", "goal", "met", "others", "setting of the peer"}}
	for _, f := range figures {
		theirs, ratio, quartiles, goal := "", "", "", ""
		if f.Ratio.Median > 0 {
			theirs, ratio = amount(f.Theirs, f.Unit), fmt.Sprintf("%.2f", f.Ratio.Median)
			quartiles = fmt.Sprintf("%.2f–%.2f", f.Ratio.Low, f.Ratio.High)
		}
		if f.Goal > 0 {
			goal = map[bool]string{false: "≥ ", true: "≤ "}[f.AtMost] + fmt.Sprint(f.Goal)
		}
		t.Add(f.What, amount(f.Ours, f.Unit), theirs, f.Peer, ratio, quartiles, goal, f.met(), fmt.Sprintf("%.0f%%", 100*f.Others), f.Setting)
	}
	return t
}

func amount(v float64, unit string) string {
	if v < 10 {
		return fmt.Sprintf("%.2f %s", v, unit)
	}
	return fmt.Sprintf("%.0f %s", v, unit)
}

// machine names the processor, load the average number of running processes over the last minute.
func machine() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown processor"
}

func load() string {
	raw, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(raw), " ")
	return first
}
