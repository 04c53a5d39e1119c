package space

import "github.com/dms-go/dms/ir"

// reshape is the rule of every operator that keeps the row-major order of elements: Reshape, Flatten, Squeeze, Unsqueeze.
//
// The two shapes fall into the shortest runs of axes with equal products: (N,C,H,W) → (N,C·H·W) has the runs N → N and C,H,W → C·H·W. Within
// a run at most one axis may be removable. Its position is known for each of the run's elements, so
//
//   - joined axes (flatten) describe each position by itself;
//   - a split axis must give its description to one of its parts, the same at each position of the others: to the largest part, which ties
//     the fewest (channel shuffle: C → 2, C/2 gives it to C/2, and channel i of both halves is one element).
func reshape(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	from, to := f.shape(n.Input(0)), f.shape(n.Outputs[0])
	axes := make([]label, len(to))
	runs, exact := matchRuns(from, to)
	if !exact {
		covered := make([]bool, len(from))
		for _, r := range runs {
			for _, a := range r.from {
				covered[a] = true
			}
		}
		for a, l := range in {
			if !covered[a] {
				f.freeze(l, n, "reshapes it in a way that cannot be followed")
			}
		}
	}
	for _, r := range runs {
		f.reshapeRun(n, r, in, axes, from, to)
	}
	f.out(n, axes)
}

// run is a set of input axes and a set of output axes with the same product, next to one another in both shapes.
type run struct{ from, to []int }

// matchRuns pairs the axes of two shapes from the left as far as sizes are known, then from the right. exact tells that every axis found a run.
func matchRuns(from, to ir.Shape) (runs []run, exact bool) {
	i, j := 0, 0
	for i < len(from) || j < len(to) {
		r, ok := nextRun(from, to, i, j, 1, len(from), len(to))
		if !ok {
			break
		}
		runs = append(runs, r)
		i, j = i+len(r.from), j+len(r.to)
	}
	if i == len(from) && j == len(to) {
		return runs, true
	}
	p, q := len(from)-1, len(to)-1
	for p >= i || q >= j {
		r, ok := nextRun(from, to, p, q, -1, i-1, j-1)
		if !ok {
			break
		}
		runs = append(runs, r)
		p, q = p-len(r.from), q-len(r.to)
	}
	return runs, p < i && q < j
}

// nextRun takes the shortest run that begins at from[i], to[j] and goes in direction step, not reaching the ends.
func nextRun(from, to ir.Shape, i, j, step, endFrom, endTo int) (run, bool) {
	var r run
	// Symbols match only one another.
	if i != endFrom && j != endTo && !from[i].Known() && from[i].Sym != "?" && from[i] == to[j] {
		return run{[]int{i}, []int{j}}, true
	}
	p, q := 0, 0 // products so far; 0: nothing taken
	grow := func(s ir.Shape, at *int, end int, product *int, list *[]int) bool {
		if *at == end || !s[*at].Known() {
			return false
		}
		*list = insert(*list, *at, step)
		if *product == 0 {
			*product = 1
		}
		*product *= s[*at].Size
		*at += step
		return *product > 0 && *product <= maxAtoms*64
	}
	// An axis of size 1 without a partner is a run of its own.
	if j == endTo || i != endFrom && from[i] == (ir.Dim{Size: 1}) && to[j] != (ir.Dim{Size: 1}) {
		if i != endFrom && from[i] == (ir.Dim{Size: 1}) {
			return run{from: []int{i}}, true
		}
		return r, false
	}
	if i == endFrom || to[j] == (ir.Dim{Size: 1}) && from[i] != (ir.Dim{Size: 1}) {
		if to[j] == (ir.Dim{Size: 1}) {
			return run{to: []int{j}}, true
		}
		return r, false
	}
	if !grow(from, &i, endFrom, &p, &r.from) || !grow(to, &j, endTo, &q, &r.to) {
		return r, false
	}
	for p != q {
		ok := false
		if p < q {
			ok = grow(from, &i, endFrom, &p, &r.from)
		} else {
			ok = grow(to, &j, endTo, &q, &r.to)
		}
		if !ok {
			return r, false
		}
	}
	return r, true
}

// insert keeps a list of axes ascending, whichever way it grows.
func insert(list []int, axis, step int) []int {
	if step > 0 {
		return append(list, axis)
	}
	return append([]int{axis}, list...)
}

func (f *finder) reshapeRun(n *ir.Node, r run, in, out []label, from, to ir.Shape) {
	which, count := -1, 0
	for _, a := range r.from {
		if in[a] != nil {
			which, count = a, count+1
		}
	}
	switch {
	case count == 0:
		return
	case count > 1:
		for _, a := range r.from {
			f.freeze(in[a], n, "merges two removable axes")
		}
		return
	case len(r.to) == 0:
		f.freeze(in[which], n, "drops it")
		return
	case len(r.from) == 1 && len(r.to) == 1:
		out[r.to[0]] = in[which]
		return
	}
	total, inner := 1, 1
	for _, a := range r.from {
		total *= from[a].Size
		if a > which {
			inner *= from[a].Size
		}
	}
	if total > maxAtoms {
		f.freeze(in[which], n, "reshapes too many positions to follow")
		return
	}
	atom := func(e int) int32 { return in[which][e/inner%len(in[which])] }
	root := func(e int) int32 {
		if a := atom(e); a != atomFixed {
			return f.sets.find(a)
		}
		return atomFixed
	}
	if len(r.to) == 1 {
		l := make(label, total)
		for e := range l {
			l[e] = atom(e)
		}
		out[r.to[0]] = l
		return
	}
	// The part that gets the description: one that fits as it is, or else the largest.
	best, bestInner := -1, 0
	after := 1
	for i := len(r.to) - 1; i >= 0; i-- {
		b := r.to[i]
		if follows(root, total, after, to[b].Size) {
			best, bestInner = b, after
			break
		}
		if best < 0 || to[b].Size > to[best].Size {
			best, bestInner = b, after
		}
		after *= to[b].Size
	}
	l := make(label, to[best].Size)
	seen := make([]bool, len(l))
	held := &cause{n, "splits it beside positions that stay"}
	all := make(label, total)
	mine := make(label, total)
	for e := range total {
		c := e / bestInner % len(l)
		if !seen[c] {
			seen[c], l[c] = true, atom(e)
		}
		all[e], mine[e] = atom(e), l[c]
		if (mine[e] == atomFixed) != (all[e] == atomFixed) {
			f.sets.freeze(max(mine[e], all[e]), held)
			all[e], mine[e] = atomFixed, atomFixed
		}
	}
	f.tie(mine, all, n, "splits the axis and keeps one pattern in every part")
	out[best] = l
}

// follows tells whether the atom of every element depends on one coordinate alone.
func follows(atom func(int) int32, total, inner, size int) bool {
	first := make([]int32, size)
	seen := make([]bool, size)
	for e := range total {
		c := e / inner % size
		if !seen[c] {
			seen[c], first[c] = true, atom(e)
		} else if first[c] != atom(e) {
			return false
		}
	}
	return true
}
