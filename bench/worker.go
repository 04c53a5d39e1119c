package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// worker is a process that answers requests, each one line of JSON, and otherwise waits.
type worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	Version string
}

// answer holds the fields of all answers.
type answer struct {
	Error   string         `json:"error"`
	Version string         `json:"version"`
	Blas    string         `json:"blas"`
	Malloc  string         `json:"malloc"`
	ID      int            `json:"id"`
	Setting string         `json:"setting"`
	Tried   map[string]any `json:"tried"`
	Value   []float64      `json:"value"`
	Seconds float64        `json:"seconds"`
	Bytes   int64          `json:"bytes"`
	Losses  []float64      `json:"losses"`
}

func startWorker(env []string, name string, args ...string) (*worker, error) {
	w := &worker{cmd: exec.Command(name, args...)}
	w.cmd.Env = append(os.Environ(), env...)
	var said strings.Builder
	w.cmd.Stderr = &said
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	return w, nil
}

// ask sends one request and waits for its answer.
func (w *worker) ask(request map[string]any) (answer, error) {
	var a answer
	raw, err := json.Marshal(request)
	if err != nil {
		return a, err
	}
	if _, err := w.in.Write(append(raw, '\n')); err != nil {
		return a, w.died(err)
	}
	line, err := w.out.ReadBytes('\n')
	if err != nil {
		return a, w.died(err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("%s answered %.200q: %w", w.cmd.Path, line, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", w.cmd.Path, a.Error)
	}
	return a, nil
}

// died says what the process said before it ended.
func (w *worker) died(err error) error {
	w.close()
	said := strings.TrimSpace(fmt.Sprint(w.cmd.Stderr))
	return fmt.Errorf("%s: %w: %s", w.cmd.Path, err, said[max(0, len(said)-300):])
}

func (w *worker) close() {
	w.in.Close()
	w.cmd.Wait()
}

// job is what a worker has loaded.
type job struct {
	worker *worker
	answer
}

func (w *worker) load(request map[string]any) (*job, error) {
	a, err := w.ask(request)
	return &job{w, a}, err
}

func (j *job) run(steps int) (time.Duration, error) {
	a, err := j.worker.ask(map[string]any{"do": "run", "id": j.ID, "steps": steps})
	return time.Duration(a.Seconds * float64(time.Second)), err
}

func (j *job) free() error {
	_, err := j.worker.ask(map[string]any{"do": "free", "id": j.ID})
	return err
}
