package space

import (
	"github.com/dms-go/dms/ir"
)

// reshape is the rule of every operator that keeps the row-major order of elements: Reshape, Flatten, Squeeze, Unsqueeze.
//
// The two shapes fall into the shortest runs of axes with equal products: (N,C,H,W) → (N,C·H·W) has the runs N → N and C,H,W → C·H·W. Within a
// run both sides are cut into the same pieces, here C, H and W; (N, H·D) → (N·H, D) has the pieces N, H, D. Then
//
//   - an axis that falls into several pieces is there where all its pieces are: position h·D + d while h and d are. Pieces along which
//     nothing changes stay out of it (flatten undone: C·H·W → C, H, W gives everything to C);
//   - an axis put together from several pieces is described by all of them, position by position.
func reshape(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	from, to := f.shape(n.Input(0)), f.shape(n.Outputs[0])
	axes := make([]label, len(to))
	runs, covered := matchRuns(from, to)
	for a, l := range in {
		if !covered[a] {
			f.freeze(l, n, "reshapes it in a way that cannot be followed")
		}
	}
	for _, r := range runs {
		f.reshapeRun(n, r, in, axes, from, to)
	}
	if n.Is("Reshape") {
		f.restated(n, 1, axes)
	}
	f.out(n, axes)
}

// run is a stretch of input axes and a stretch of output axes with the same product.
type run struct{ from, to span }

type span struct{ begin, end int }

func (s span) len() int { return s.end - s.begin }

// matchRuns pairs the axes of two shapes from the left as far as sizes are known, then from the right. covered tells which input axes found a run.
func matchRuns(from, to ir.Shape) (runs []run, covered []bool) {
	covered = make([]bool, len(from))
	take := func(r run) {
		runs = append(runs, r)
		for a := r.from.begin; a < r.from.end; a++ {
			covered[a] = true
		}
	}
	i, j := 0, 0
	for i < len(from) || j < len(to) {
		p, q, ok := shortest(len(from)-i, len(to)-j, func(p, q int) bool { return equalProducts(from[i:i+p], to[j:j+q]) })
		if !ok {
			break
		}
		take(run{span{i, i + p}, span{j, j + q}})
		i, j = i+p, j+q
	}
	k, l := len(from), len(to)
	for k > i || l > j {
		p, q, ok := shortest(k-i, l-j, func(p, q int) bool { return equalProducts(from[k-p:k], to[l-q:l]) })
		if !ok {
			break
		}
		take(run{span{k - p, k}, span{l - q, l}})
		k, l = k-p, l-q
	}
	return runs, covered
}

// maxRun bounds the axes on either side of a run.
const maxRun = 12

// shortest finds the smallest p ≤ n and q ≤ m, not both 0, that are equal in the sense of same; one axis on either side first.
func shortest(n, m int, same func(p, q int) bool) (p, q int, ok bool) {
	n, m = min(n, maxRun), min(m, maxRun)
	if n > 0 && m > 0 && same(1, 1) {
		return 1, 1, true
	}
	for total := 1; total <= n+m; total++ {
		for p := max(0, total-m); p <= min(n, total); p++ {
			if same(p, total-p) {
				return p, total - p, true
			}
		}
	}
	return 0, 0, false
}

func equalProducts(a, b ir.Shape) bool {
	return a.Elements().Same(b.Elements()) && a.Elements() != (ir.Dim{})
}

// piece is a factor of an axis on both sides of a run; an axis of size 1 is a piece of one side alone, and the other axis is −1.
type piece struct {
	size     ir.Dim
	from, to int
}

// pieces cuts a run, innermost piece first; ok is false where the sides have no common pieces ((6, 4) → (4, 6)).
func pieces(r run, from, to ir.Shape) (list []piece, ok bool) {
	one := ir.Dim{Size: 1}
	i, j := r.from.end-1, r.to.end-1
	restFrom, restTo := one, one
	next := func(s ir.Shape, begin int, at *int, rest *ir.Dim, side int) bool {
		for *rest == one {
			if *at < begin {
				return false
			}
			if *rest = s[*at]; *rest == one {
				p := piece{one, -1, -1}
				if side == 0 {
					p.from = *at
				} else {
					p.to = *at
				}
				list = append(list, p)
			}
			*at--
		}
		return true
	}
	for {
		left, right := next(from, r.from.begin, &i, &restFrom, 0), next(to, r.to.begin, &j, &restTo, 1)
		if !left || !right {
			return list, left == right
		}
		a, b := i+1, j+1 // the axes that are being used up
		if q, ok := restFrom.Over(restTo); ok {
			list = append(list, piece{restTo, a, b})
			restFrom, restTo = q, one
		} else if q, ok := restTo.Over(restFrom); ok {
			list = append(list, piece{restFrom, a, b})
			restFrom, restTo = one, q
		} else {
			return nil, false
		}
	}
}

func (f *finder) reshapeRun(n *ir.Node, r run, in, out []label, from, to ir.Shape) {
	open := 0
	for a := r.from.begin; a < r.from.end; a++ {
		if in[a] != nil {
			open++
		}
	}
	if open == 0 {
		return
	}
	if r.from.len() == 1 && r.to.len() == 1 {
		out[r.to.begin] = in[r.from.begin]
		return
	}
	freeze := func(reason string) {
		for a := r.from.begin; a < r.from.end; a++ {
			f.freeze(in[a], n, reason)
		}
	}
	list, ok := pieces(r, from, to)
	if !ok {
		freeze("reshapes it into parts that do not divide it")
		return
	}
	if size := to[r.to.begin:r.to.end].Elements(); r.to.len() == 0 {
		freeze("drops it")
		return
	} else if size.Known() && size.Size > maxAxis {
		freeze("reshapes too many positions to follow")
		return
	}
	labels := make([]label, len(list)) // by piece
	for a := r.from.begin; a < r.from.end; a++ {
		if in[a] == nil {
			continue
		}
		var mine []int // pieces of this axis, inner first
		for i, p := range list {
			if p.from == a {
				mine = append(mine, i)
			}
		}
		f.takeApart(n, in[a], list, mine, labels)
	}
	for b := r.to.begin; b < r.to.end; b++ {
		var mine []int
		for i, p := range list {
			if p.to == b {
				mine = append(mine, i)
			}
		}
		out[b] = f.putTogether(n, list, mine, labels)
	}
}

// takeApart describes the pieces of an axis, which are listed inner first.
func (f *finder) takeApart(n *ir.Node, l label, list []piece, mine []int, labels []label) {
	total, known := 1, 0
	for _, i := range mine {
		if !list[i].size.Known() || total == len(l) {
			break
		}
		total *= list[i].size.Size
		known++
	}
	if total != len(l) {
		f.freeze(l, n, "takes apart what repeats in another rhythm")
		return
	}
	mine = mine[:known] // symbols stand outside of the period
	if known == 0 {
		f.freeze(l, n, "drops it")
		return
	}
	var moves []int // pieces along which something changes
	inner := 1
	strides := map[int]int{}
	for _, i := range mine {
		size := list[i].size.Size
		for e := range l {
			if e/inner%size != 0 && !f.sets.same(l[e], l[e-e/inner%size*inner]) {
				moves = append(moves, i)
				break
			}
		}
		strides[i] = inner
		inner *= size
	}
	if len(moves) == 0 {
		// One element, or none, holds all: it goes with the outermost piece that has a to-side.
		moves = append(moves, mine[len(mine)-1])
	}
	if len(moves) == 1 {
		i := moves[0]
		labels[i] = make(label, list[i].size.Size)
		for c := range labels[i] {
			labels[i][c] = l[c*strides[i]]
		}
		return
	}
	for _, i := range moves {
		if labels[i] = f.atoms(list[i].size.Size); labels[i] == nil {
			f.freeze(l, n, "reshapes too many positions to follow")
			return
		}
	}
	held := &cause{n, "splits it beside positions that stay"}
	atoms := make([]int32, len(moves))
	for e := range l {
		for k, i := range moves {
			atoms[len(moves)-1-k] = labels[i][e/strides[i]%len(labels[i])]
		}
		f.sets.unify(l[e], f.sets.product(atoms...), held)
	}
}

// putTogether describes an axis that is made of pieces, inner first.
func (f *finder) putTogether(n *ir.Node, list []piece, mine []int, labels []label) label {
	total, known := 1, 0
	for _, i := range mine {
		if !list[i].size.Known() {
			break
		}
		total *= list[i].size.Size
		known++
	}
	for _, i := range mine[known:] {
		if labels[i] != nil {
			f.freeze(labels[i], n, "puts it around what has no known size")
		}
	}
	mine = mine[:known]
	only, open := 0, 0
	for _, i := range mine {
		if labels[i] != nil {
			only, open = i, open+1
		}
	}
	if open == 0 {
		return nil
	}
	if open == 1 && total == len(labels[only]) {
		return labels[only]
	}
	l := make(label, total)
	atoms := make([]int32, len(mine))
	for e := range l {
		at := e
		for k, i := range mine {
			size := list[i].size.Size
			atoms[len(mine)-1-k] = atomFixed
			if labels[i] != nil {
				atoms[len(mine)-1-k] = labels[i][at%size]
			}
			at /= size
		}
		l[e] = f.sets.product(atoms...)
	}
	return l
}
