package kernel

// Transforms of Winograd's F(4×4, 3×3) with the points 0, ±1, ±2 and ∞ (Lavin and Gray 2016, arXiv 1509.09308): a convolution of a tile of 6×6
// pixels with a window of 3×3 gives 4×4 outputs as Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A, and its weight gradient as Gᵀ[(Bᵀ·d·B) ∘ (A·dy·Aᵀ)]G.
//
// Each transform takes count squares of pixels, n channels each, and writes as many. Steps are distances in elements between rows and
// columns of a square; a negative step turns it around. All variants give the same bits.

// Squares is where squares of pixels lie: the first element of the first one, the steps within a square, and that to the next square.
type Squares[T Float] struct {
	Data           []T
	At             int
	Row, Col, Step int
}

// WinogradInput writes Bᵀ·d·B: 6×6 from 6×6.
func WinogradInput[T Float](dst, src Squares[T], count, n int, room *WinogradRoom[T]) {
	if single[T]() && winogradAsm(opWinogradInput, square32(dst), square32(src), count, n, room32(room)) {
		return
	}
	winogradGo(dst, src, count, n, 6, 6, winogradInput)
}

// WinogradOutput writes Aᵀ·m·A, 4×4 from 6×6.
func WinogradOutput[T Float](dst, src Squares[T], count, n int, room *WinogradRoom[T]) {
	if single[T]() && winogradAsm(opWinogradOutput, square32(dst), square32(src), count, n, room32(room)) {
		return
	}
	winogradGo(dst, src, count, n, 6, 4, winogradOutput)
}

// WinogradSpread writes A·dy·Aᵀ, 6×6 from 4×4.
func WinogradSpread[T Float](dst, src Squares[T], count, n int, room *WinogradRoom[T]) {
	if single[T]() && winogradAsm(opWinogradSpread, square32(dst), square32(src), count, n, room32(room)) {
		return
	}
	winogradGo(dst, src, count, n, 4, 6, winogradSpread)
}

// WinogradFilter writes G·g·Gᵀ, 6×6 from 3×3.
func WinogradFilter[T Float](dst, src Squares[T], count, n int, room *WinogradRoom[T]) {
	if single[T]() && winogradAsm(opWinogradFilter, square32(dst), square32(src), count, n, room32(room)) {
		return
	}
	winogradGo(dst, src, count, n, 3, 6, winogradFilter)
}

// WinogradFilterGrad writes Gᵀ·s·G, 3×3 from 6×6.
func WinogradFilterGrad[T Float](dst, src Squares[T], count, n int, room *WinogradRoom[T]) {
	if single[T]() && winogradAsm(opWinogradFilterGrad, square32(dst), square32(src), count, n, room32(room)) {
		return
	}
	winogradGo(dst, src, count, n, 6, 3, winogradFilterGrad)
}

// WinogradRoom is memory a transform needs for itself.
type WinogradRoom[T Float] [36 * Lanes]T

// winogradGo is the twin: channel by channel, columns and then rows.
func winogradGo[T Float](dst, src Squares[T], count, n, in, out int, side func(*[6]T)) {
	for i := range count * n {
		c, to, from := i%n, dst.At+i/n*dst.Step, src.At+i/n*src.Step
		var square [6][6]T // by column, then by row
		for j := range in {
			for i := range in {
				square[j][i] = src.Data[from+i*src.Row+j*src.Col+c]
			}
			side(&square[j])
		}
		for i := range out {
			var row [6]T
			for j := range in {
				row[j] = square[j][i]
			}
			side(&row)
			for j := range out {
				dst.Data[to+i*dst.Row+j*dst.Col+c] = row[j]
			}
		}
	}
}

func winogradInput[T Float](d *[6]T) {
	x, y := d[4]-T(4*d[2]), d[3]-T(4*d[1])
	u, v := d[4]-d[2], 2*(d[3]-d[1])
	*d = [6]T{T(4*d[0]) - T(5*d[2]) + d[4], x + y, x - y, u + v, u - v, T(4*d[1]) - T(5*d[3]) + d[5]}
}

func winogradOutput[T Float](m *[6]T) {
	s1, s2, s3, s4 := m[1]+m[2], m[1]-m[2], m[3]+m[4], m[3]-m[4]
	*m = [6]T{m[0] + s1 + s3, s2 + T(2*s4), s1 + T(4*s3), s2 + T(8*s4) + m[5]}
}

func winogradSpread[T Float](y *[6]T) {
	e, f := y[0]+y[2], y[1]+y[3]
	g, h := y[0]+T(4*y[2]), T(2*y[1])+T(8*y[3])
	*y = [6]T{y[0], e + f, e - f, g + h, g - h, y[3]}
}

func winogradFilter[T Float](g *[6]T) {
	c := winogradNumbers[T]()
	x, y := T(c[winoSixth]*(g[0]+g[2])), T(c[winoSixth]*g[1])
	u, v := T(c[wino24th]*g[0])+T(c[winoSixth]*g[2]), T(c[winoTwelfth]*g[1])
	*g = [6]T{T(c[winoQuarter] * g[0]), 0 - (x + y), y - x, u + v, u - v, g[2]}
}

func winogradFilterGrad[T Float](s *[6]T) {
	c := winogradNumbers[T]()
	x, y := T(c[winoSixth]*(s[1]+s[2])), s[3]+s[4]
	*s = [6]T{
		T(c[winoQuarter]*s[0]) - x + T(c[wino24th]*y),
		T(c[winoSixth]*(s[2]-s[1])) + T(c[winoTwelfth]*(s[3]-s[4])),
		T(c[winoSixth]*y) - x + s[5],
	}
}

// Places in the table of constants, shared with the generator.
const (
	wino2 = iota
	wino4
	wino5
	wino8
	winoQuarter
	winoSixth
	winoTwelfth
	wino24th
	winoConstants
)

func winogradNumbers[T Float]() [winoConstants]T {
	return [winoConstants]T{2, 4, 5, 8, 1.0 / 4, 1.0 / 6, 1.0 / 12, 1.0 / 24}
}

// winogradOp tells winogradAsm what to do.
type winogradOp uint8

const (
	opWinogradInput winogradOp = iota
	opWinogradOutput
	opWinogradSpread
	opWinogradFilter
	opWinogradFilterGrad
)

func square32[T Float](s Squares[T]) Squares[float32] {
	return Squares[float32]{as32(s.Data), s.At, s.Row, s.Col, s.Step}
}
