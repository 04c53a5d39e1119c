package program

import "fmt"

// Memory: every Temp gets a place in one arena for the instructions between the one that writes it and the last that reads it.

// slot sizes are rounded up so that values start on cache lines and kernels may read a little past an end.
const (
	slotUnit  = 32
	slotSlack = 32
)

// inPlace lists operations whose first output may lie over an operand of the same size: each of its elements depends on that element,
// and on sums over the operand that are complete before the first is written.
var inPlace = map[Op]bool{
	Unary: true, UnaryGrad: true, Binary: true, Dropout: true, Prelu: true, PreluGrad: true, BatchNorm: true, BatchNormGrad: true,
	ScaleGrad: true,
}

// plan gives every value in the arena its offset.
func (b *builder) plan() error {
	p := b.p
	last := make([]int, len(p.Values)) // by root: index of the last instruction that touches it
	for i, in := range p.Instrs {
		for _, ids := range [][]ID{in.In, in.Out} {
			for _, id := range ids {
				if id != None {
					last[p.Root(id)] = i
				}
			}
		}
	}
	for _, ids := range []map[string]ID{p.Outputs, p.Grads} {
		for _, id := range ids {
			last[p.Root(id)] = len(p.Instrs)
		}
	}
	for _, in := range p.Instrs[:p.Prelude] { // what later instructions read of it stays from step to step
		for _, id := range in.Out {
			if id != None && last[p.Root(id)] >= p.Prelude {
				last[p.Root(id)] = len(p.Instrs)
			}
		}
	}
	var a arena
	placed := make([]bool, len(p.Values))
	for i := range p.Values { // inputs are written before the step and stay
		if p.Values[i].Class == Input {
			p.Values[i].Offset = a.take(p.Values[i].Len())
		}
	}
	for i, in := range p.Instrs {
		for o, id := range in.Out {
			if id == None {
				continue
			}
			root := p.Root(id)
			if p.Values[root].Class != Temp || placed[root] {
				continue
			}
			placed[root] = true
			if from := b.overwritable(in, o, i, last); from != None {
				p.Values[root].Offset = p.Values[from].Offset
				last[from] = -1 // its slot lives on under the new value
				continue
			}
			p.Values[root].Offset = a.take(p.Values[root].Len())
		}
		freed := map[ID]bool{}
		for _, ids := range [][]ID{in.In, in.Out} {
			for _, id := range ids {
				if id == None {
					continue
				}
				root := p.Root(id)
				if p.Values[root].Class == Temp && last[root] == i && !freed[root] {
					freed[root] = true
					a.give(p.Values[root].Offset, p.Values[root].Len())
				}
			}
		}
	}
	if a.size > maxElements {
		return fmt.Errorf("program: a step needs memory for %d numbers, the limit is %d; a smaller batch needs less", a.size, maxElements)
	}
	p.Arena = a.size + slotSlack
	return nil
}

// overwritable is the operand of instruction i whose memory output o may take, or None.
func (b *builder) overwritable(in Instr, o, i int, last []int) ID {
	if !inPlace[in.Op] || o != 0 {
		return None
	}
	p := b.p
	n := p.Values[in.Out[0]].Len()
	for _, id := range in.In {
		if id == None {
			continue
		}
		root := p.Root(id)
		if p.Values[root].Class == Temp && last[root] == i && p.Values[root].Len() == n && p.Values[id].Len() == n {
			return root
		}
	}
	return None
}

// arena hands out slots, best fit first, and merges what comes back.
type arena struct {
	size int
	free []span // by offset
}

type span struct{ at, n int }

func slot(n int) int { return (n + slotUnit - 1) / slotUnit * slotUnit }

func (a *arena) take(n int) int {
	n = slot(n)
	best := -1
	for i, f := range a.free {
		if f.n >= n && (best < 0 || f.n < a.free[best].n) {
			best = i
		}
	}
	if best >= 0 {
		at := a.free[best].at
		a.free[best].at += n
		a.free[best].n -= n
		if a.free[best].n == 0 {
			a.free = append(a.free[:best], a.free[best+1:]...)
		}
		return at
	}
	if k := len(a.free); k > 0 && a.free[k-1].at+a.free[k-1].n == a.size { // grow the last hole
		at := a.free[k-1].at
		a.size = at + n
		a.free = a.free[:k-1]
		return at
	}
	at := a.size
	a.size += n
	return at
}

func (a *arena) give(at, n int) {
	n = slot(n)
	i := 0
	for i < len(a.free) && a.free[i].at < at {
		i++
	}
	a.free = append(a.free, span{})
	copy(a.free[i+1:], a.free[i:])
	a.free[i] = span{at, n}
	if i+1 < len(a.free) && at+n == a.free[i+1].at {
		a.free[i].n += a.free[i+1].n
		a.free = append(a.free[:i+1], a.free[i+2:]...)
	}
	if i > 0 && a.free[i-1].at+a.free[i-1].n == at {
		a.free[i-1].n += a.free[i].n
		a.free = append(a.free[:i], a.free[i+1:]...)
	}
}
