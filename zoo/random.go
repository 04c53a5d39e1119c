package zoo

import (
	"hash/fnv"
	"math"
)

// stream is the random number generator of one weight, SplitMix64 (Steele, Lea and Flood 2014): a counter that is hashed, so that a
// start anywhere costs nothing. It is written out here because initial weights must not change with the Go release.
type stream uint64

// streamOf is the stream of the named weight under a seed.
func streamOf(seed uint64, name string) *stream {
	h := fnv.New64a()
	h.Write([]byte(name))
	s := stream(seed)
	s = stream(s.next() ^ h.Sum64())
	return &s
}

func (s *stream) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// normal fills dst with draws from N(0, std²), by Marsaglia's polar method: two coordinates from one hash, two draws from each point
// inside the unit circle.
func (s *stream) normal(dst []float32, std float64) {
	const scale = 0x1p-31
	for i := 0; i < len(dst); {
		h := s.next()
		x, y := float64(int32(h))*scale, float64(int32(h>>32))*scale
		r := x*x + y*y
		if r >= 1 || r == 0 {
			continue
		}
		f := std * math.Sqrt(-2*math.Log(r)/r)
		dst[i] = float32(x * f)
		if i++; i < len(dst) {
			dst[i] = float32(y * f)
			i++
		}
	}
}

// uniform fills dst with draws from [−bound, bound).
func (s *stream) uniform(dst []float32, bound float64) {
	for i := range dst {
		dst[i] = float32(float64(int64(s.next())) * 0x1p-63 * bound)
	}
}
