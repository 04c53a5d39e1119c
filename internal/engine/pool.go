package engine

import (
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// window is the part of a pooling window that lies inside the image: rows h0, h0+dilH, ... below h1, columns likewise.
type window struct{ h0, h1, w0, w1 int }

func windowAt(a *program.PoolAttr, oh, ow int) window {
	h0, w0 := oh*a.StrideH-a.Top, ow*a.StrideW-a.Left
	v := window{h1: min(h0+(a.KH-1)*a.DilH+1, a.H), w1: min(w0+(a.KW-1)*a.DilW+1, a.W)}
	v.h0, v.w0 = inside(h0, a.DilH), inside(w0, a.DilW)
	return v
}

// inside is the first of x, x+step, ... that is not negative.
func inside(x, step int) int {
	if x < 0 {
		x += (-x + step - 1) / step * step
	}
	return x
}

// divisor is what an average over the window is divided by.
func divisor(a *program.PoolAttr, oh, ow int, v window) int {
	if !a.CountPad {
		return count(v.h0, v.h1, a.DilH) * count(v.w0, v.w1, a.DilW)
	}
	h0, w0 := oh*a.StrideH-a.Top, ow*a.StrideW-a.Left
	return count(h0, min(h0+(a.KH-1)*a.DilH+1, a.H+a.PadBottom), a.DilH) * count(w0, min(w0+(a.KW-1)*a.DilW+1, a.W+a.PadRight), a.DilW)
}

func count(lo, hi, step int) int {
	if hi <= lo {
		return 0
	}
	return (hi-lo-1)/step + 1
}

// bindMaxPool takes the maximum of each window; NaN wins, and a window outside the image gives the least float.
func bindMaxPool[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.PoolAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	least := T(-3.4028234663852886e38)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			n, oh := r/a.OH, r%a.OH
			for ow := range a.OW {
				out := y[(r*a.OW+ow)*a.C:][:a.C]
				for j := range out {
					out[j] = least
				}
				v := windowAt(&a, oh, ow)
				for h := v.h0; h < v.h1; h += a.DilH {
					for w := v.w0; w < v.w1; w += a.DilW {
						px := x[((n*a.H+h)*a.W+w)*a.C:][:len(out)]
						for j, p := range px {
							if p > out[j] || p != p {
								out[j] = p
							}
						}
					}
				}
			}
		}
	}
	return func() { m.pool.For(a.N*a.OH, max(1, grain/(a.OW*a.C*a.KH*a.KW)), body) }
}

// bindMaxPoolGrad sends dy to the first maximum of each window. Windows overlap, so an image belongs to one worker.
func bindMaxPoolGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.PoolAttr)
	dx, dy, x := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	size := a.H * a.W * a.C
	body := func(lo, hi int) {
		for n := lo; n < hi; n++ {
			clear(dx[n*size : (n+1)*size])
			for oh := range a.OH {
				for ow := range a.OW {
					v := windowAt(&a, oh, ow)
					d := dy[((n*a.OH+oh)*a.OW+ow)*a.C:][:a.C]
					for j, g := range d {
						best := -1
						for h := v.h0; h < v.h1; h += a.DilH {
							for w := v.w0; w < v.w1; w += a.DilW {
								k := ((n*a.H+h)*a.W+w)*a.C + j
								if best < 0 || x[k] > x[best] {
									best = k
								}
							}
						}
						if best >= 0 {
							dx[best] += g
						}
					}
				}
			}
		}
	}
	return func() { m.pool.For(a.N, 1, body) }
}

func bindAvgPool[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.PoolAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			n, oh := r/a.OH, r%a.OH
			for ow := range a.OW {
				out := y[(r*a.OW+ow)*a.C:][:a.C]
				clear(out)
				v := windowAt(&a, oh, ow)
				for h := v.h0; h < v.h1; h += a.DilH {
					for w := v.w0; w < v.w1; w += a.DilW {
						px := x[((n*a.H+h)*a.W+w)*a.C:][:len(out)]
						for j, p := range px {
							out[j] += p
						}
					}
				}
				if d := divisor(&a, oh, ow, v); d > 0 {
					scale := 1 / T(d)
					for j := range out {
						out[j] *= scale
					}
				}
			}
		}
	}
	return func() { m.pool.For(a.N*a.OH, max(1, grain/(a.OW*a.C*a.KH*a.KW)), body) }
}

func bindAvgPoolGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.PoolAttr)
	dx, dy := m.slice(in.Out[0]), m.slice(in.In[0])
	size := a.H * a.W * a.C
	body := func(lo, hi int) {
		for n := lo; n < hi; n++ {
			clear(dx[n*size : (n+1)*size])
			for oh := range a.OH {
				for ow := range a.OW {
					v := windowAt(&a, oh, ow)
					div := divisor(&a, oh, ow, v)
					if div == 0 {
						continue
					}
					scale := 1 / T(div)
					d := dy[((n*a.OH+oh)*a.OW+ow)*a.C:][:a.C]
					for h := v.h0; h < v.h1; h += a.DilH {
						for w := v.w0; w < v.w1; w += a.DilW {
							px := dx[((n*a.H+h)*a.W+w)*a.C:][:len(d)]
							for j, g := range d {
								px[j] += g * scale
							}
						}
					}
				}
			}
		}
	}
	return func() { m.pool.For(a.N, 1, body) }
}
