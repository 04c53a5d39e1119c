package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
)

// trial is one with tidy numbers; top1 is in percent of 1000 samples.
func trial(method, budget string, seed uint64, top1 float64, macs int64) Trial {
	correct := int(math.Round(10 * top1))
	return Trial{Method: method, Budget: budget, Seed: seed, Top1: float64(correct) / 1000, Correct: correct, Total: 1000,
		Cost: cost.Cost{MACs: macs, Params: macs / 10, Bytes: macs}, Steps: 400, Seconds: 30, Latency: Timing{Original: 1, Own: 0.5}}
}

// contest has three methods, two budgets and, by budget, a clear winner or one that is within spread of another.
func contest() *Standings {
	s := &Standings{Title: "resnet | small", Original: Trial{Method: "original", Top1: 0.9, Correct: 900, Total: 1000, Cost: cost.Cost{MACs: 1000, Params: 100, Bytes: 1000}}}
	for seed, v := range [][6]float64{{80, 81, 60, 70, 50, 40}, {82, 81.5, 61, 71, 50, 41}, {84, 82.5, 62, 72, 50, 42}} {
		seed := uint64(seed + 1)
		s.Trials = append(s.Trials,
			trial("b", "macs=70%", seed, v[0], 700), trial("a_1", "macs=70%", seed, v[1], 690), trial("c", "macs=70%", seed, v[2], 680),
			trial("b", "macs=50%", seed, v[3], 500), trial("a_1", "macs=50%", seed, v[4], 490), trial("c", "macs=50%", seed, v[5], 480))
	}
	return s
}

func TestPlacesAreMeansWithTheirSpread(t *testing.T) {
	places := contest().Places()
	var order []string
	for _, p := range places {
		order = append(order, p.Budget+" "+p.Method+p.mark())
	}
	want := "macs=70% b*,macs=70% a_1~,macs=70% c,macs=50% b*,macs=50% a_1,macs=50% c"
	if got := strings.Join(order, ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p := places[0] // 80, 82 and 84 percent: mean 82, sample deviation 2
	if math.Abs(p.Top1-0.82) > 1e-12 || math.Abs(p.Std-0.02) > 1e-12 || p.Min != 0.8 || p.Max != 0.84 || p.Seeds != 3 {
		t.Errorf("got %+v", p)
	}
	if p.MACs != 700 || math.Abs(p.MACsShare-0.7) > 1e-12 || p.Params != 70 || p.Steps != 400 || p.Seconds != 30 || p.Latency != (Timing{1, 0.5}) {
		t.Errorf("got %+v", p)
	}
}

func TestPlacesOfOneSeedHaveNoSpreadAndEqualOnesAreAllBest(t *testing.T) {
	s := &Standings{Original: Trial{Cost: cost.Cost{MACs: 1000, Params: 100}}, Trials: []Trial{
		trial("a", "macs=50%", 1, 70, 500), trial("b", "macs=50%", 1, 70, 500), trial("c", "macs=50%", 1, 69.9, 500)}}
	s.Trials[0].Latency = Timing{}
	s.Trials[2].Seconds = 0 // interrupted
	p := s.Places()
	if len(p) != 3 || p[0].Std != 0 || !p[0].Best || !p[1].Best || p[2].Best || p[2].Tied || p[0].Latency != (Timing{}) {
		t.Errorf("got %+v", p)
	}
	var b strings.Builder
	if err := s.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `budget    method     top-1     ±  seeds    MACs  params          steps    time  latency
–         original       –     –      –  100.0%     100  100.0%      –       –  1.00 ms  100.0%
macs=50%  a         70.00%  *  –      1   50.0%      50   50.0%    400  30.0 s        –
macs=50%  b         70.00%  *  –      1   50.0%      50   50.0%    400  30.0 s   500 µs   50.0%
macs=50%  c         69.90%     –      1   50.0%      50   50.0%    400       –   500 µs   50.0%
` + legend + "\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTimesOfDifferentHoursCompareByTheirShares(t *testing.T) {
	s := contest()
	for i := range s.Trials {
		speed := []float64{1, 1.5, 3}[s.Trials[i].Seed-1]
		s.Trials[i].Latency = Timing{Original: speed, Own: speed * 0.6}
		if s.Trials[i].Method == "c" {
			s.Trials[i].Latency.Own = speed * []float64{0.3, 0.4, 0.5}[s.Trials[i].Seed-1]
		}
	}
	s.Trials[0].Latency = Timing{} // one that was not timed
	for i, want := range []float64{0.9, 0.9, 0.6} {
		if p := s.Places()[i]; p.Latency.Original != 1.5 || math.Abs(p.Latency.Own-want) > 1e-12 {
			t.Errorf("%s: got %+v, want %v of 1.5 ms", p.Method, p.Latency, want)
		}
	}
}

func TestStandingsAsMarkdownAreOneTable(t *testing.T) {
	var b strings.Builder
	if err := contest().WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"resnet \\| small\n\n| budget | method | top-1 | ± |", "|---|---|--:|--:|", "| macs=70% | b | **82.00%** | 2.00% | 3 |", "| macs=70% | a\\_1 | 81.67% ~ |", "| macs=70% | c | 61.00% |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	columns := 0
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if columns == 0 {
			columns = n
		}
		if n != columns {
			t.Errorf("%d bars, want %d: %s", n, columns, line)
		}
	}
}

func TestStandingsAsCSVAndJSONHoldTheNumbers(t *testing.T) {
	s := contest()
	var b bytes.Buffer
	if err := s.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 8 {
		t.Fatalf("%d rows (%v), want a head, the original and six", len(rows), err)
	}
	if got := strings.Join(rows[1], ","); got != ",original,0.9,,0.9,0.9,,1000,1,100,1,,,1,1,,," {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(rows[2], ","); got != "macs=70%,b,0.82,0.02,0.8,0.84,3,700,0.7,70,0.7,400,30,0.5,0.5,,,*" {
		t.Errorf("got %s", got)
	}
	b.Reset()
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Title    string
		Original Trial
		Places   []Place
		Trials   []Trial
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Places) != 6 || len(got.Trials) != 18 || got.Trials[17] != s.Trials[17] || got.Original.Cost != s.Original.Cost || got.Original.Latency != (Timing{1, 1}) || !got.Places[0].Best {
		t.Errorf("got %+v", got)
	}
}

func decode(t *testing.T, raw []byte) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// coloured is the number of pixels of exactly a colour.
func coloured(t *testing.T, img image.Image, c color.Color) (n int) {
	t.Helper()
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if color.RGBAModel.Convert(img.At(x, y)) == c {
				n++
			}
		}
	}
	return n
}

func TestPlotDrawsEveryMethodInItsColour(t *testing.T) {
	s := contest()
	var b bytes.Buffer
	if err := s.WritePlot(&b); err != nil {
		t.Fatal(err)
	}
	if name := os.Getenv("DMS_PLOT"); name != "" { // to look at it
		if err := os.WriteFile(name, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	img := decode(t, b.Bytes())
	for i, c := range curveColors {
		if n := coloured(t, img, c); n > 200 != (i < 3) {
			t.Errorf("colour %d: %d pixels", i, n)
		}
	}
	// Error bars: the same means without spread have fewer coloured points.
	even := contest()
	for i, p := range even.Trials {
		for _, mean := range s.Places() {
			if mean.Method == p.Method && mean.Budget == p.Budget {
				even.Trials[i].Top1 = mean.Top1
			}
		}
	}
	var without bytes.Buffer
	if err := even.WritePlot(&without); err != nil {
		t.Fatal(err)
	}
	tinted := func(img image.Image) (n int) { // bluish, as the first curve and the edges of its lines
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				if c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA); int(c.B) > int(c.R)+40 {
					n++
				}
			}
		}
		return n
	}
	if with, bare := tinted(img), tinted(decode(t, without.Bytes())); with < bare+40 {
		t.Errorf("the first method has %d coloured points with error bars, %d without", with, bare)
	}
	var again bytes.Buffer
	if err := s.WritePlot(&again); err != nil || !bytes.Equal(again.Bytes(), b.Bytes()) {
		t.Errorf("drawn again, other bytes (%v)", err)
	}
	if err := (&Standings{}).WritePlot(&b); err == nil {
		t.Error("drew nothing")
	}
}
