package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dms-go/dms/cost"
)

// Trial is what one method reached within one budget with one seed.
type Trial struct {
	Method  string  `json:"method"`
	Budget  string  `json:"budget"`
	Seed    uint64  `json:"seed"`
	Top1    float64 `json:"top1"` // share of Total in [0, 1]
	Correct int     `json:"correct"`
	Total   int     `json:"total"` // 0 where the accuracy was not measured
	cost.Cost
	Steps     int     `json:"steps"`   // of the search
	Seconds   float64 `json:"seconds"` // of the search, beside whatever else ran; 0 where it was interrupted
	TuneSteps int     `json:"tune_steps,omitempty"`
	Latency   Timing  `json:"latency,omitzero"` // in this engine; zero when not measured
	Clock     Timing  `json:"clock,omitzero"`   // the same by a program of the user's
	ClockedBy string  `json:"clocked_by,omitempty"`

	// Of the program that searched. Kernels of different instruction sets differ in last bits.
	Version        string `json:"version,omitempty"`
	InstructionSet string `json:"instruction_set,omitempty"`
}

// Timing is how long one sample takes, in milliseconds: medians of inferences in the original network and in the trial's own, taken in turns.
// The two belong together. A machine is faster at one time than at another, so the times of two trials compare by their shares alone.
type Timing struct {
	Original float64 `json:"original_ms"`
	Own      float64 `json:"own_ms"`
}

// Share is the trial's time in relation to the original's, 0 when not measured.
func (t Timing) Share() float64 {
	if t.Original == 0 {
		return 0
	}
	return t.Own / t.Original
}

// Standings set methods beside each other: the network all started from, and every trial.
type Standings struct {
	Title    string  `json:"title,omitempty"`
	Original Trial   `json:"original"`
	Trials   []Trial `json:"trials"`
}

// Place is one row of the table: the trials of a method within a budget, in the mean.
type Place struct {
	Method      string  `json:"method"`
	Budget      string  `json:"budget"`
	Top1        float64 `json:"top1"`
	Std         float64 `json:"top1_std"` // sample standard deviation over the seeds; 0 with one
	Min         float64 `json:"top1_min"`
	Max         float64 `json:"top1_max"`
	Seeds       int     `json:"seeds"`
	MACs        float64 `json:"macs"`
	MACsShare   float64 `json:"macs_share"` // of the original
	Params      float64 `json:"params"`
	ParamsShare float64 `json:"params_share"`
	Steps       float64 `json:"steps"`
	Seconds     float64 `json:"seconds"`
	Latency     Timing  `json:"latency,omitzero"` // the original's is the median over all trials, and the own one its mean share of that
	Clock       Timing  `json:"clock,omitzero"`
	Best        bool    `json:"best"` // highest mean of its budget
	Tied        bool    `json:"tied"` // within one standard deviation of the best, the larger of the two
}

// Marks of rows, and what they mean.
const (
	bestMark = "*"
	tiedMark = "~"
	legend   = "* best of its budget, ~ within one standard deviation (the larger of the two) of it; ± is the standard deviation over seeds"
)

// Places averages the trials, budget by budget and method by method in the order in which each first stands there.
func (s *Standings) Places() []Place {
	var budgets, methods []string
	groups := map[[2]string][]Trial{}
	seen := map[[2]string]bool{}
	for _, t := range s.Trials {
		if key := [2]string{"budget", t.Budget}; !seen[key] {
			seen[key], budgets = true, append(budgets, t.Budget)
		}
		if key := [2]string{"method", t.Method}; !seen[key] {
			seen[key], methods = true, append(methods, t.Method)
		}
		key := [2]string{t.Budget, t.Method}
		groups[key] = append(groups[key], t)
	}
	var places []Place
	for _, b := range budgets {
		first := len(places)
		for _, m := range methods {
			if trials := groups[[2]string{b, m}]; len(trials) > 0 {
				places = append(places, s.place(trials))
			}
		}
		markBest(places[first:])
	}
	return places
}

// place is the mean of trials, of which there is at least one.
func (s *Standings) place(trials []Trial) Place {
	mean := func(of func(Trial) float64) float64 {
		sum := 0.0
		for _, t := range trials {
			sum += of(t)
		}
		return sum / float64(len(trials))
	}
	p := Place{
		Method: trials[0].Method, Budget: trials[0].Budget, Seeds: len(trials), Min: math.Inf(1), Max: math.Inf(-1),
		Top1:    mean(func(t Trial) float64 { return t.Top1 }),
		MACs:    mean(func(t Trial) float64 { return float64(t.MACs) }),
		Params:  mean(func(t Trial) float64 { return float64(t.Params) }),
		Steps:   mean(func(t Trial) float64 { return float64(t.Steps) }),
		Seconds: meanOfMeasured(trials, func(t Trial) float64 { return t.Seconds }),
	}
	squares := 0.0
	for _, t := range trials {
		p.Min, p.Max = min(p.Min, t.Top1), max(p.Max, t.Top1)
		squares += (t.Top1 - p.Top1) * (t.Top1 - p.Top1)
	}
	if len(trials) > 1 {
		p.Std = math.Sqrt(squares / float64(len(trials)-1))
	}
	p.Latency = s.timing(trials, latencyOf)
	p.Clock = s.timing(trials, clockOf)
	if o := s.Original.Cost; o.MACs > 0 {
		p.MACsShare = p.MACs / float64(o.MACs)
	}
	if o := s.Original.Cost; o.Params > 0 {
		p.ParamsShare = p.Params / float64(o.Params)
	}
	return p
}

func latencyOf(t Trial) Timing { return t.Latency }
func clockOf(t Trial) Timing   { return t.Clock }

// timing brings the times of some trials to one speed of the machine: that of the median measurement of the original. Trials without a
// measurement do not count; zero where none has one.
func (s *Standings) timing(some []Trial, of func(Trial) Timing) Timing {
	t, share := s.itself(of), meanOfMeasured(some, func(t Trial) float64 { return of(t).Share() })
	if share == 0 {
		return Timing{}
	}
	t.Own *= share
	return t
}

// meanOfMeasured leaves out what is 0; 0 where everything is.
func meanOfMeasured(trials []Trial, of func(Trial) float64) float64 {
	sum, n := 0.0, 0
	for _, t := range trials {
		if v := of(t); v > 0 {
			sum, n = sum+v, n+1
		}
	}
	return sum / float64(max(1, n))
}

// itself is the original beside itself: the median over all trials of what it took beside them, zero where nothing was timed.
func (s *Standings) itself(of func(Trial) Timing) Timing {
	var times []float64
	for _, t := range s.Trials {
		if ms := of(t).Original; ms > 0 {
			times = append(times, ms)
		}
	}
	if len(times) == 0 {
		return Timing{}
	}
	slices.Sort(times)
	ms := times[len(times)/2]
	return Timing{Original: ms, Own: ms}
}

// markBest marks the best of the places of one budget, every one of them where several have the same mean, and what lies within spread.
func markBest(places []Place) {
	best := 0
	for i, p := range places {
		if p.Top1 > places[best].Top1 {
			best = i
		}
	}
	top := places[best]
	for i := range places {
		p := &places[i]
		p.Best = p.Top1 == top.Top1
		p.Tied = !p.Best && top.Top1-p.Top1 <= max(p.Std, top.Std)
	}
}

func (p Place) mark() string {
	switch {
	case p.Best:
		return bestMark
	case p.Tied:
		return tiedMark
	}
	return ""
}

// Table is the standings for people, the original first. The column of the clock stands there when something was timed by it.
func (s *Standings) Table() *Table {
	t := &Table{Title: s.Title, Columns: []string{"budget", "method", "top-1", "", "±", "seeds", "MACs", "params", "", "steps", "time", "latency", ""}}
	o, places := s.Original, s.Places()
	clock := s.itself(clockOf)
	if clock.Own > 0 {
		t.Columns = append(t.Columns, "clock", "")
	}
	add := func(latency, clocked Timing, row ...string) {
		row = append(row, latency.cells()...)
		if clock.Own > 0 {
			row = append(row, clocked.cells()...)
		}
		t.Add(row...)
	}
	add(s.itself(latencyOf), clock, notMeasured, "original", hundredths(o.Top1, o.Total > 0), "", notMeasured, notMeasured,
		Percent(share(o.MACs, o.MACs)), Count(o.Params), Percent(share(o.Params, o.Params)), notMeasured, notMeasured)
	for _, p := range places {
		add(p.Latency, p.Clock, p.Budget, p.Method, hundredths(p.Top1, true), p.mark(), hundredths(p.Std, p.Seeds > 1), strconv.Itoa(p.Seeds),
			Percent(p.MACsShare), Count(int64(math.Round(p.Params))), Percent(p.ParamsShare), number(p.Steps), took(p.Seconds))
	}
	return t
}

// cells are a timing in a table: the time and its share of the original's.
func (t Timing) cells() []string {
	if t.Original == 0 {
		return []string{notMeasured, ""}
	}
	return []string{Duration(seconds(t.Own / 1000)), Percent(t.Share())}
}

// took writes the time of searches, none of which may have been measured.
func took(s float64) string {
	if s == 0 {
		return notMeasured
	}
	return Duration(seconds(s))
}

// hundredths writes a share in percent with two decimals: differences between methods are small.
func hundredths(v float64, measured bool) string {
	if !measured {
		return notMeasured
	}
	return fmt.Sprintf("%.2f%%", 100*v)
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

// WriteText writes the table with aligned columns and says what its marks mean.
func (s *Standings) WriteText(w io.Writer) error {
	if err := s.Table().WriteText(w); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, s.legend())
	return err
}

// legend says what marks mean and, where a clock gave times, which.
func (s *Standings) legend() string {
	text := legend
	var clocks []string
	for _, t := range s.Trials {
		if t.ClockedBy != "" && !slices.Contains(clocks, t.ClockedBy) {
			clocks = append(clocks, t.ClockedBy)
			text += "; clock: " + clean(t.ClockedBy)
		}
	}
	return text
}

// WriteMarkdown writes the table for a page, the best of each budget in bold.
func (s *Standings) WriteMarkdown(w io.Writer) error {
	t := s.Table()
	var b strings.Builder
	if s.Title != "" {
		fmt.Fprintf(&b, "%s\n\n", markdown(s.Title))
	}
	const top1, mark = 2, 3
	line := func(row []string) {
		for i, cell := range row {
			switch {
			case i == mark:
				continue
			case i == top1 && row[mark] == bestMark:
				cell = "**" + cell + "**"
			case i == top1 && row[mark] == tiedMark:
				cell += " " + tiedMark
			default:
				cell = markdown(cell)
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
	}
	line(t.Columns)
	for i := range t.Columns {
		switch {
		case i == mark:
		case i < top1:
			b.WriteString("|---")
		default:
			b.WriteString("|--:")
		}
	}
	b.WriteString("|\n")
	for _, row := range t.Rows {
		line(row)
	}
	b.WriteString("\n**bold** is the " + markdown(strings.TrimPrefix(s.legend(), bestMark+" ")) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown escapes what would end a cell or change how it looks.
func markdown(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "[", `\[`, "~", `\~`).Replace(clean(s))
}

// WriteCSV writes the places as numbers without units, shares in [0, 1], the original first.
func (s *Standings) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"budget", "method", "top1", "top1_std", "top1_min", "top1_max", "seeds", "macs", "macs_share", "params", "params_share", "steps", "seconds", "latency_ms", "latency_share", "clock_ms", "clock_share", "mark"}}
	full := func(v float64, measured bool) string {
		if !measured {
			return ""
		}
		return strconv.FormatFloat(v, 'g', 10, 64)
	}
	timed := func(t Timing) []string { return []string{full(t.Own, t.Own > 0), full(t.Share(), t.Own > 0)} }
	o := s.Original
	top1 := full(o.Top1, o.Total > 0)
	rows = append(rows, slices.Concat([]string{"", "original", top1, "", top1, top1, "", full(float64(o.MACs), true), "1", full(float64(o.Params), true), "1", "", ""},
		timed(s.itself(latencyOf)), timed(s.itself(clockOf)), []string{""}))
	for _, p := range s.Places() {
		rows = append(rows, slices.Concat([]string{
			clean(p.Budget), clean(p.Method), full(p.Top1, true), full(p.Std, p.Seeds > 1), full(p.Min, true), full(p.Max, true), strconv.Itoa(p.Seeds),
			full(p.MACs, true), full(p.MACsShare, true), full(p.Params, true), full(p.ParamsShare, true), full(p.Steps, true), full(p.Seconds, p.Seconds > 0),
		}, timed(p.Latency), timed(p.Clock), []string{p.mark()}))
	}
	return c.WriteAll(rows)
}

// WriteJSON writes the table, and the trials behind it, as one indented JSON object.
func (s *Standings) WriteJSON(w io.Writer) error {
	places := s.Places()
	if places == nil {
		places = []Place{}
	}
	original := s.Original
	original.Latency, original.Clock = s.itself(latencyOf), s.itself(clockOf)
	return writeJSON(w, struct {
		Title    string  `json:"title,omitempty"`
		Legend   string  `json:"legend"`
		Original Trial   `json:"original"`
		Places   []Place `json:"places"`
		Trials   []Trial `json:"trials"`
	}{s.Title, s.legend(), original, places, s.Trials})
}
