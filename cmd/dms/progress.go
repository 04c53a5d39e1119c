package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/train"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// quiet is the shortest time between two lines of progress where nobody can erase one.
const quiet = 5 * time.Second

// progress tells a person how far a run is: a bar on a terminal, a line now and then elsewhere.
type progress struct {
	c     *console
	start time.Time
	first int // step at which this process took the run up
	last  time.Time
	bar   *progressbar.ProgressBar
	log   func(format string, args ...any) // every line, shown or not
}

func newProgress(c *console, steps, first int, log func(string, ...any)) *progress {
	p := &progress{c: c, start: time.Now(), first: first, log: log}
	if isTerminal(c.talk) {
		p.bar = progressbar.NewOptions(steps, progressbar.OptionSetWriter(c.talk), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("steps"), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetWidth(20), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionOnCompletion(func() { fmt.Fprintln(c.talk) }))
		_ = p.bar.Set(first) // drawing is not worth failing for
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// show takes one line of metrics.
func (p *progress) show(m train.Metrics) {
	line := describe(m)
	if p.log != nil {
		p.log("%s", line)
	}
	if p.bar != nil {
		p.bar.Describe(line)
		if p.bar.GetMax() != m.Steps { // an evolution has steps of its own
			p.bar.ChangeMax(m.Steps)
		}
		_ = p.bar.Set(m.Step)
		return
	}
	now := time.Now()
	if now.Sub(p.last) < quiet && m.Step < m.Steps {
		return
	}
	p.last = now
	perStep := now.Sub(p.start) / time.Duration(max(1, m.Step-p.first))
	left := perStep * time.Duration(m.Steps-m.Step)
	p.c.say("%s  %.1f steps/s, %v left", line, 1/max(1e-9, perStep.Seconds()), left.Round(time.Second))
}

// describe is one line of metrics in words.
func describe(m train.Metrics) string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %d/%d", m.Step, m.Steps)
	if m.Loss != 0 || m.Accuracy != 0 { // not every search trains
		fmt.Fprintf(&b, "  loss %.4g  accuracy %.1f%%", m.Loss, 100*m.Accuracy)
	}
	for _, name := range []string{"macs", "params", "bytes"} {
		if spent, ok := m.Spent[name]; ok {
			fmt.Fprintf(&b, "  %s %s of %s", name, report.Count(int64(spent)), report.Count(int64(m.Target[name])))
		}
	}
	if spent, ok := m.Spent["latency"]; ok {
		fmt.Fprintf(&b, "  latency %s of %s", report.Duration(time.Duration(spent)), report.Duration(time.Duration(m.Target["latency"])))
	}
	if m.Rate > 0 {
		fmt.Fprintf(&b, "  lr %.3g", m.Rate)
	}
	return b.String()
}
