package ir

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Arithmetic of axis sizes. A size is a number, "?", or a product of symbols such as "N" or "3*N*H"; products have the number
// first and the symbols sorted, so equal products are equal strings.

// maxDim bounds the size of one axis: files may state anything, and sums and products of sizes must not overflow.
const maxDim = math.MaxInt32

// unknown is the size nobody knows.
var unknown = Dim{Sym: "?"}

func num(n int) Dim { return Dim{Size: n} }

// String writes a size as a number or its symbol.
func (d Dim) String() string {
	if d.Known() {
		return strconv.Itoa(d.Size)
	}
	return d.Sym
}

// Same tells whether two sizes are certainly equal. "?" is the same as nothing.
func (d Dim) Same(e Dim) bool {
	if d.Sym == "?" {
		return false
	}
	return d.Sym == e.Sym && (d.Sym != "" || d.Size == e.Size)
}

// String writes a shape as (N, 3, 32, 32), and one of unknown rank as (...).
func (s Shape) String() string {
	if s == nil {
		return "(...)"
	}
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// Sizes are the numbers of a shape; ok is false where the rank or one size is not a number.
func (s Shape) Sizes() (sizes []int, ok bool) {
	if s == nil {
		return nil, false
	}
	sizes = make([]int, len(s))
	for i, d := range s {
		if !d.Known() {
			return nil, false
		}
		sizes[i] = d.Size
	}
	return sizes, true
}

// monomial is coef times the product of the sorted syms.
type monomial struct {
	coef int
	syms []string
}

func monomialOf(d Dim) monomial {
	if d.Known() {
		return monomial{coef: d.Size}
	}
	m := monomial{coef: 1, syms: strings.Split(d.Sym, "*")}
	if v, err := strconv.Atoi(m.syms[0]); err == nil && v != 0 && len(m.syms) > 1 {
		m.coef, m.syms = v, m.syms[1:]
	}
	return m
}

func (m monomial) times(d Dim) monomial {
	e := monomialOf(d)
	coef, ok := mulInt(m.coef, e.coef)
	if !ok {
		return monomial{coef: 1, syms: []string{"?"}}
	}
	return monomial{coef, append(slices.Clone(m.syms), e.syms...)}
}

// dim is the monomial as a size: "?" as soon as one factor is.
func (m monomial) dim() Dim {
	if m.coef == 0 || len(m.syms) == 0 {
		return num(m.coef)
	}
	if slices.Contains(m.syms, "?") {
		return unknown
	}
	syms := slices.Sorted(slices.Values(m.syms))
	if m.coef != 1 {
		syms = append([]string{strconv.Itoa(m.coef)}, syms...)
	}
	return Dim{Sym: strings.Join(syms, "*")}
}

// divide is m/e where that is exact; ok is false where e surely does not divide m. "?" on either side makes the quotient "?".
func (m monomial) divide(e monomial) (d Dim, ok bool) {
	if e.coef == 0 {
		return unknown, m.coef == 0
	}
	if slices.Contains(m.syms, "?") || slices.Contains(e.syms, "?") {
		return unknown, true
	}
	rest := slices.Clone(m.syms)
	for _, s := range e.syms {
		i := slices.Index(rest, s)
		if i < 0 {
			return unknown, true // N/H may be whole: only numbers can contradict
		}
		rest = slices.Delete(rest, i, i+1)
	}
	if m.coef%e.coef != 0 {
		return unknown, len(rest) > 0
	}
	return monomial{m.coef / e.coef, rest}.dim(), true
}

// Over is d/e where that is a whole number or a product of symbols; ok is false elsewhere.
func (d Dim) Over(e Dim) (q Dim, ok bool) {
	if d.Sym == "?" || e.Sym == "?" || e.Known() && e.Size <= 0 {
		return unknown, false
	}
	q, ok = monomialOf(d).divide(monomialOf(e))
	return q, ok && q.Sym != "?"
}

// Times is n·d.
func (d Dim) Times(n int) Dim { return monomialOf(d).times(num(n)).dim() }

func mulInt(a, b int) (int, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	c := a * b
	if c/b != a || (a == math.MinInt && b == -1) || (b == math.MinInt && a == -1) {
		return 0, false
	}
	return c, true
}

// productOf multiplies sizes.
func productOf(dims []Dim) monomial {
	m := monomial{coef: 1}
	for _, d := range dims {
		m = m.times(d)
	}
	return m
}

// Elements is the number of elements of a value of this shape, as a size: symbolic where an axis is.
func (s Shape) Elements() Dim {
	if s == nil {
		return unknown
	}
	return productOf(s).dim()
}

func addDims(a, b Dim) Dim {
	switch {
	case a.Known() && a.Size == 0:
		return b
	case b.Known() && b.Size == 0:
		return a
	}
	x, y := monomialOf(a), monomialOf(b)
	sum := x.coef + y.coef
	if overflows := (sum > x.coef) != (y.coef > 0); overflows || !slices.Equal(x.syms, y.syms) || slices.Contains(x.syms, "?") {
		return unknown
	}
	return monomial{sum, x.syms}.dim()
}

// merge is the size that two statements about one axis give together; an error where they contradict each other.
func merge(a, b Dim) (Dim, error) {
	switch {
	case a.Known() && b.Known() && a.Size != b.Size:
		return a, fmt.Errorf("sizes %v and %v differ", a, b)
	case a.Known():
		return a, nil
	case b.Known() || a.Sym == "?":
		return b, nil
	}
	return a, nil
}

// broadcast is the shape of an element-wise operator's output by ONNX's multidirectional rule (numpy's).
func broadcast(a, b Shape) (Shape, error) {
	if a == nil || b == nil {
		return nil, nil
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	off := len(a) - len(b)
	for i, e := range b {
		d := a[off+i]
		switch {
		case d.Same(e), e.Known() && e.Size == 1:
		case d.Known() && d.Size == 1:
			out[off+i] = e
		case d.Known() && e.Known():
			return nil, fmt.Errorf("shapes %v and %v do not broadcast: sizes %d and %d at axis %d", a, b, d.Size, e.Size, off+i)
		case d.Known(): // the symbol is this number, or one
		case e.Known():
			out[off+i] = e
		default:
			out[off+i] = unknown
		}
	}
	return out, nil
}

// bindDim replaces symbols by their numbers, inside products too.
func bindDim(d Dim, bind map[string]int) Dim {
	if d.Known() {
		return d
	}
	if v, ok := bind[d.Sym]; ok {
		return num(v)
	}
	m := monomialOf(d)
	out := monomial{coef: m.coef}
	for _, s := range m.syms {
		if v, ok := bind[s]; ok {
			out = out.times(num(v))
		} else {
			out = out.times(Dim{Sym: s})
		}
	}
	return out.dim()
}

// normalAxis maps an axis of −rank … rank−1 to 0 … rank−1.
func normalAxis(axis int64, rank int) (int, error) {
	if axis < int64(-rank) || axis >= int64(rank) {
		return 0, fmt.Errorf("axis %d is outside a value of rank %d", axis, rank)
	}
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), nil
}
