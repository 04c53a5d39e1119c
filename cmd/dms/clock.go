package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/ir"
)

// clockHelp is the contract of --clock, for the help texts.
const clockHelp = `With --clock COMMAND networks are timed by a program of yours instead of this engine: in the runtime, and on the machine, that will serve them. It is
started as COMMAND A.onnx B.onnx and prints two numbers, the milliseconds that one inference of one sample takes in each (medians of runs taken
in turns). experiments/clock.js does so for ONNX Runtime.`

// clock is a command that times networks.
type clock []string

// newClock splits a command line at blanks; nil where it is empty.
func newClock(line string) clock {
	if words := strings.Fields(line); len(words) > 0 {
		return words
	}
	return nil
}

func (c clock) String() string { return strings.Join(c, " ") }

// maxClockOutput bounds what is read of a clock's words.
const maxClockOutput = 64 << 10

// measure times two networks, one sample each, in turns.
func (c clock) measure(ctx context.Context, whole, cut *ir.Graph) (times [2]time.Duration, err error) {
	dir, err := os.MkdirTemp("", "dms-clock-*")
	if err != nil {
		return times, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	args := append([]string{}, c[1:]...)
	for i, g := range []*ir.Graph{whole, cut} {
		name := filepath.Join(dir, string(rune('a'+i))+".onnx")
		if err := dms.Save(name, g); err != nil {
			return times, err
		}
		args = append(args, name)
	}
	cmd := exec.CommandContext(ctx, c[0], args...)
	var said, complained bounded
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &complained, time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return times, ctx.Err()
		}
		return times, withHint(fmt.Errorf("--clock %s: %w: %s", c[0], err, clip(strings.TrimSpace(complained.String()))), clockHint)
	}
	words := strings.Fields(said.String())
	if len(words) != 2 {
		return times, withHint(fmt.Errorf("--clock %s printed %d words", c[0], len(words)), clockHint)
	}
	for i, w := range words {
		ms, err := strconv.ParseFloat(w, 64)
		if err != nil || !(ms > 0 && ms < 1e9) {
			return times, withHint(fmt.Errorf("--clock %s printed %q for a time", c[0], clip(w)), clockHint)
		}
		if times[i] = time.Duration(ms * float64(time.Millisecond)); times[i] <= 0 {
			return times, withHint(fmt.Errorf("--clock %s printed %q for a time", c[0], clip(w)), clockHint)
		}
	}
	return times, nil
}

const clockHint = "COMMAND A.onnx B.onnx prints two numbers: the milliseconds of one inference of one sample in each"

// bounded keeps the first maxClockOutput bytes.
type bounded struct{ kept bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(len(p), maxClockOutput-b.kept.Len())])
	return len(p), nil
}

func (b *bounded) String() string { return b.kept.String() }
