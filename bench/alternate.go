package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// side is one thing to time. It works only inside run.
type side interface {
	run(steps int) (time.Duration, error)
}

const (
	atLeast = 150 * time.Millisecond // what one side runs in one round
	settle  = 60 * time.Millisecond  // between two sides: threads of OpenBLAS and OpenMP spin for a while after their work
	// quiet is the largest share of the machine that other processes may have while a round counts at once. One busy neighbour makes a
	// program with threads that wait for each other several times slower, and not every program alike.
	quiet = 0.04
)

// timings is the seconds of a step by side and round, and the largest share of the machine that others had in any round.
type timings struct {
	seconds [][]float64
	foreign float64
}

// alternate runs every side once per round. The order turns around every round. A round that was disturbed is taken again as long as
// patience lasts; after that the quietest count.
func (b *bench) alternate(sides ...side) (timings, error) {
	var t timings
	steps := make([]int, len(sides))
	for i, s := range sides {
		took, err := s.run(1)
		for n := 1; err == nil && steps[i] == 0; {
			if took >= atLeast/4 {
				steps[i] = int(math.Ceil(float64(n) * float64(atLeast) / float64(took)))
				break
			}
			n *= 4
			took, err = s.run(n)
		}
		if err != nil {
			return t, err
		}
	}
	type round struct {
		seconds []float64
		foreign float64
	}
	var rounds []round
	clean := 0
	for start := time.Now(); clean < b.rounds && (len(rounds) < b.rounds || time.Since(start) < b.patience); {
		r := round{seconds: make([]float64, len(sides))}
		for k := range sides {
			i := k
			if len(rounds)%2 == 1 {
				i = len(sides) - 1 - k
			}
			time.Sleep(settle)
			before, from := b.others(), time.Now()
			took, err := sides[i].run(steps[i])
			if err != nil {
				return t, err
			}
			share := (b.others() - before) / time.Since(from).Seconds() / float64(runtime.NumCPU())
			r.seconds[i], r.foreign = took.Seconds()/float64(steps[i]), max(r.foreign, share)
		}
		if r.foreign <= quiet || b.cpu {
			clean++
		}
		rounds = append(rounds, r)
	}
	slices.SortStableFunc(rounds, func(a, b round) int {
		switch {
		case a.foreign <= quiet && b.foreign <= quiet || a.foreign == b.foreign:
			return 0
		case a.foreign < b.foreign:
			return -1
		default:
			return 1
		}
	})
	t.seconds = make([][]float64, len(sides))
	for _, r := range rounds[:b.rounds] {
		t.foreign = max(t.foreign, r.foreign)
		for i, s := range r.seconds {
			t.seconds[i] = append(t.seconds[i], s)
		}
	}
	return t, nil
}

// now reads the clock of our side: time, or with -cpu the processor time of this process.
var now = sinceStart

var began = time.Now()

func sinceStart() time.Duration { return time.Since(began) }

// processTicks is the processor time of a process in seconds; 0 where nothing tells.
func processTicks(pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	return ticks(f[11]) + ticks(f[12])
}

// others is the processor time in seconds that processes other than this one and its workers have had. 0 where nothing tells.
func (b *bench) others() float64 {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	total := 0.0
	for i, f := range bytes.Fields(line) {
		switch i {
		case 1, 2, 3, 6, 7: // user, nice, system, interrupts
			total += ticks(f)
		}
	}
	pids := []int{os.Getpid()}
	for _, w := range b.torch {
		pids = append(pids, w.cmd.Process.Pid)
	}
	if b.ort != nil {
		pids = append(pids, b.ort.cmd.Process.Pid)
	}
	for _, pid := range pids {
		total -= processTicks(pid)
	}
	return total
}

// ticks reads a count of hundredths of a second.
func ticks(f []byte) float64 {
	n, _ := strconv.ParseFloat(string(f), 64)
	return n / 100
}

// spread is a median with its quartiles.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// ratios is the spread of a/b over the rounds.
func ratios(a, b []float64) spread {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return spreadOf(r)
}

func spreadOf(v []float64) spread {
	v = slices.Sorted(slices.Values(v))
	return spread{Median: quantile(v, 0.5), Low: quantile(v, 0.25), High: quantile(v, 0.75)}
}

// quantile interpolates between the two nearest of sorted values.
func quantile(v []float64, q float64) float64 {
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}

func median(v []float64) float64 { return spreadOf(v).Median }
