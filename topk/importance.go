package topk

import (
	"fmt"
	"math"
	"strings"
)

// Signal is what a criterion learns the importance of an element from.
type Signal uint8

const (
	Gradient Signal = iota // ∂L_task/∂m, summed over every place where the mask acts
	Weight                 // norm of the weights that produce and read the element
	None                   // nothing: the order is given
)

// Criterion is one way to measure importance.
type Criterion struct {
	Name   string
	Signal Signal
	Doc    string // the measure in one line

	// term is the new observation of element i of n from its soft mask m and its signal.
	term func(i, n int, m, signal float64) float64
	// fixed: the observation replaces the importance, instead of entering its moving average.
	fixed bool
}

// criteria is every measure that Update knows. Sources: taylor, Molchanov et al., arXiv 1906.10771, with the moving average of arXiv
// 2405.07194; snip, Lee et al., arXiv 1810.02340; fisher, Theis et al., arXiv 1801.05787; all compared in arXiv 2405.07194, table 8. rise is
// the part of snip that speaks for the element (docs/decisions/0013-rise.md).
var criteria = []Criterion{
	{Name: "taylor", Signal: Gradient, Doc: "(m·g)², the squared first-order change of the loss when the element goes",
		term: func(_, _ int, m, g float64) float64 { return m * g * (m * g) }},
	{Name: "snip", Signal: Gradient, Doc: "|m·g|, its absolute value",
		term: func(_, _ int, m, g float64) float64 { return math.Abs(m * g) }},
	{Name: "rise", Signal: Gradient, Doc: "max(0, −m·g), what the loss would rise by, to first order, when the element goes; 0 where it would fall",
		term: func(_, _ int, m, g float64) float64 { return math.Max(0, -m*g) }},
	{Name: "fisher", Signal: Gradient, Doc: "g², without the mask",
		term: func(_, _ int, _, g float64) float64 { return g * g }},
	{Name: "magnitude", Signal: Weight, Doc: "the norm of the element's weights", fixed: true,
		term: func(_, _ int, _, w float64) float64 { return math.Abs(w) }},
	{Name: "index", Signal: None, Doc: "n − i: the first elements stay, whatever they do", fixed: true,
		term: func(i, n int, _, _ float64) float64 { return float64(n - i) }},
}

// Criteria lists the measures of importance that Update knows, that of arXiv 2405.07194 first.
func Criteria() []Criterion { return append([]Criterion(nil), criteria...) }

// Lookup is the criterion of that name; the error lists the known names.
func Lookup(name string) (Criterion, error) {
	names := make([]string, len(criteria))
	for i, k := range criteria {
		if k.Name == name {
			return k, nil
		}
		names[i] = k.Name
	}
	return Criterion{}, fmt.Errorf("topk: unknown importance %q; known are %s", name, strings.Join(names, ", "))
}

// Update moves the importances c ≥ 0 of one group by one step's observation.
//
//	c[i] ← decay·c[i] + (1−decay)·t[i]     t[i] = (m[i]·g[i])² for "taylor"
//
// m is the mask as it was, signal what the criterion asks for: the gradient g of the task loss (never of the budget loss), or a norm of
// weights. Fixed criteria, "magnitude" and "index", replace c and ignore decay; "index" reads no signal, which may then be nil. An
// element whose observation is not finite keeps its importance. c, m and signal have equal length. The one error is an unknown name.
func Update(c, m, signal []float64, criterion string, decay float64) error {
	k, err := Lookup(criterion)
	if err != nil {
		return err
	}
	for i := range c {
		s := 0.0
		if k.Signal != None {
			s = signal[i]
		}
		t := k.term(i, len(c), m[i], s)
		if math.IsNaN(t) || math.IsInf(t, 0) {
			continue
		}
		if k.fixed {
			c[i] = t
		} else {
			c[i] = decay*c[i] + (1-decay)*t
		}
	}
	return nil
}
