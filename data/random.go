package data

import "math/rand/v2"

// Purposes of random numbers: each has streams of its own, so that drawing more for one changes nothing for another.
const (
	forOrder = iota + 1
	forSample
	forMixup
	forSplit
	forGlyph
)

// stream is a random number generator that is set, not advanced, to a place: equal places give equal numbers.
type stream struct {
	pcg rand.PCG
	*rand.Rand
}

func newStream() *stream {
	s := new(stream)
	s.Rand = rand.New(&s.pcg)
	return s
}

// at sets the stream to the place (seed, purpose, a, b). The words are mixed because PCG generators with neighbouring seeds give
// related numbers at first.
func (s *stream) at(seed uint64, purpose, a, b int) *rand.Rand {
	h := scramble(seed + uint64(purpose))
	h = scramble(h ^ uint64(a))
	h = scramble(h ^ uint64(b))
	s.pcg.Seed(h, scramble(h+1))
	return s.Rand
}

// scramble is one output of the SplitMix64 generator (Steele, Lea, Flood, OOPSLA 2014): a bijection in which every bit of x
// changes about half of the result.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
