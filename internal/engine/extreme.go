package engine

import (
	"math"
	"slices"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// combine joins two elements; NaN wins over numbers.
func combine[T kernel.Float](function string) func(a, b T) T {
	switch function {
	case "max":
		return func(a, b T) T { return max(a, b) }
	case "min":
		return func(a, b T) T { return min(a, b) }
	case "mul":
		return func(a, b T) T { return a * b }
	case "add":
		return func(a, b T) T { return a + b }
	}
	return func(_, b T) T { return b } // none: what comes later replaces
}

// bindExtreme combines over the axes in which the output has size one, one output at a time and in the order of the elements.
func bindExtreme[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	shape, small := m.p.Values[in.In[0]].Shape, m.p.Values[in.Out[0]].Shape
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	f := combine[T](in.Attr.(program.ExtremeAttr).Function)
	st := strides(shape)
	var keep, drop []axis
	n, terms := 1, 1
	for i := range shape {
		if small[i] == shape[i] {
			keep = append(keep, axis{n: shape[i], a: st[i]})
			n *= shape[i]
		} else {
			drop = append(drop, axis{n: shape[i], a: st[i]})
			terms *= shape[i]
		}
	}
	keep, drop = merge(keep), merge(drop)
	outer, inner, count := rows(drop)
	body := func(lo, hi int) {
		for o := lo; o < hi; o++ {
			base, _ := at(keep, o)
			acc := x[base]
			for r := range count {
				from, _ := at(outer, r)
				from += base
				first := 0
				if r == 0 {
					first = 1
				}
				for i := first; i < inner.n; i++ {
					acc = f(acc, x[from+i*inner.a])
				}
			}
			y[o] = acc
		}
	}
	return func() { m.pool.For(n, max(1, grain/terms), body) }
}

// ahead tells whether a comes before b among extreme elements; NaN counts as the most extreme, as in ONNX Runtime and PyTorch.
func ahead[T kernel.Float](smallest bool) func(a, b T) bool {
	if smallest {
		return func(a, b T) bool { return a < b || a != a && b == b }
	}
	return func(a, b T) bool { return a > b || a != a && b == b }
}

// bindArg finds the extreme element of each line of N.
func bindArg[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.ArgAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	before := ahead[T](a.Smallest)
	body := func(lo, hi int) {
		for l := lo; l < hi; l++ {
			first := l/a.Inner*a.N*a.Inner + l%a.Inner
			best := 0
			for i := 1; i < a.N; i++ {
				v, most := x[first+i*a.Inner], x[first+best*a.Inner]
				if before(v, most) || a.Last && v == most {
					best = i
				}
			}
			y[l] = T(best)
		}
	}
	return func() { m.pool.For(a.Outer*a.Inner, max(1, grain/a.N), body) }
}

// bindTopK orders each row. Equal elements keep the order of their positions.
func bindTopK[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.TopKAttr)
	values, positions, x := m.slice(in.Out[0]), m.slice(in.Out[1]), m.slice(in.In[0])
	n := a.Dims[0]
	before := ahead[T](a.Smallest)
	order := make([]int32, a.Batch*n)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, at := x[r*n:(r+1)*n], order[r*n:(r+1)*n]
			for i := range at {
				at[i] = int32(i)
			}
			slices.SortStableFunc(at, func(i, j int32) int {
				switch {
				case before(row[i], row[j]):
					return -1
				case before(row[j], row[i]):
					return 1
				}
				return 0
			})
			for k, i := range at[:a.K] {
				values[r*a.K+k], positions[r*a.K+k] = row[i], T(i)
			}
		}
	}
	return func() { m.pool.For(a.Batch, max(1, grain/(8*n)), body) }
}

// bindCumSum adds up along N, in float64.
func bindCumSum[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.CumSumAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	body := func(lo, hi int) {
		for l := lo; l < hi; l++ {
			at, step := l/a.Inner*a.N*a.Inner+l%a.Inner, a.Inner
			if a.Reverse {
				at, step = at+(a.N-1)*a.Inner, -a.Inner
			}
			sum := 0.0
			for range a.N {
				v := float64(x[at])
				if a.Exclusive {
					y[at] = T(sum)
				} else {
					y[at] = T(sum + v)
				}
				sum += v
				at += step
			}
		}
	}
	return func() { m.pool.For(a.Outer*a.Inner, max(1, grain/a.N), body) }
}

// place is where an index points, in units of Inner. It is not ok outside.
func place[T kernel.Float](index []T, dims []int) (int, bool) {
	k := 0
	for i, n := range dims {
		v := index[i]
		if v < 0 {
			v += T(n)
		}
		if !(v >= 0 && v < T(n)) {
			return 0, false
		}
		k = k*n + int(v)
	}
	return k, true
}

// bindPick copies elements from where the indices say.
func bindPick[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.PickAttr)
	y, x, indices := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	depth, whole, nan := len(a.Dims), size(a.Dims), T(math.NaN())
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			i := r
			if !a.Each {
				i = r % a.K
			}
			dst := y[r*a.Inner : (r+1)*a.Inner]
			from, ok := place(indices[i*depth:(i+1)*depth], a.Dims)
			if !ok {
				for j := range dst {
					dst[j] = nan
				}
				continue
			}
			copy(dst, x[(r/a.K*whole+from)*a.Inner:])
		}
	}
	return func() { m.pool.For(a.Batch*a.K, max(1, grain/a.Inner), body) }
}

// putColumns is how many elements of Inner one piece of work of bindPut has, whatever the number of cores.
const putColumns = 64

// bindPut writes elements to where the indices say, in the order of the indices.
func bindPut[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.PutAttr)
	y, x, indices, updates := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	f := combine[T](a.Reduction)
	depth, whole, nan := len(a.Dims), size(a.Dims), T(math.NaN())
	pieces := (a.Inner + putColumns - 1) / putColumns
	body := func(lo, hi int) {
		for t := lo; t < hi; t++ {
			batch, from := t/pieces, t%pieces*putColumns
			to := min(from+putColumns, a.Inner)
			good := true
			for k := range whole {
				at := (batch*whole + k) * a.Inner
				if x == nil {
					clear(y[at+from : at+to])
				} else {
					copy(y[at+from:at+to], x[at+from:at+to])
				}
			}
			for k := range a.K {
				i := k
				if a.Each {
					i = batch*a.K + k
				}
				p, ok := place(indices[i*depth:(i+1)*depth], a.Dims)
				if good = good && ok; !good {
					break
				}
				dst := y[(batch*whole+p)*a.Inner:][from:to]
				for j, v := range updates[(batch*a.K+k)*a.Inner:][from:to] {
					dst[j] = f(dst[j], v)
				}
			}
			if good {
				continue
			}
			for k := range whole {
				dst := y[(batch*whole+k)*a.Inner:][from:to]
				for j := range dst {
					dst[j] = nan
				}
			}
		}
	}
	return func() { m.pool.For(a.Batch*pieces, max(1, grain/((whole+a.K)*min(a.Inner, putColumns))), body) }
}

// bindMix sums shares of positions along an axis: y is (outer, len(Taps), inner), x (outer, From, inner).
func bindMix[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.MixAttr)
	shape := m.p.Values[in.In[0]].Shape
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	outer, n, inner, k := size(shape[:a.Axis]), a.From, size(shape[a.Axis+1:]), len(a.Taps)
	taps := make([][]tap[T], k)
	terms := 1
	for i, list := range a.Taps {
		terms += len(list)
		for _, t := range list {
			taps[i] = append(taps[i], tap[T]{t.At, T(t.Share)})
		}
	}
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			dst := y[r*inner : (r+1)*inner]
			clear(dst)
			for _, t := range taps[r%k] {
				src := x[(r/k*n+t.at)*inner:][:len(dst)]
				for j, v := range src {
					dst[j] += t.share * v
				}
			}
		}
	}
	return func() { m.pool.For(outer*k, max(1, grain*k/(terms*inner)), body) }
}
