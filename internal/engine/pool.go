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

// offsets lists where the pixels of a window lie in x, from channel 0 of image n.
func (v window) offsets(dst []int, a *program.PoolAttr, n int) []int {
	for h := v.h0; h < v.h1; h += a.DilH {
		for w := v.w0; w < v.w1; w += a.DilW {
			dst = append(dst, ((n*a.H+h)*a.W+w)*a.C)
		}
	}
	return dst
}

// poolRows runs body for each output pixel, given its window in x.
func poolRows[T kernel.Float](m *Machine[T], a program.PoolAttr, y []T, body func(out []T, taps []int, oh, ow int, v window)) func() {
	lists := make([][]int, m.pool.Workers())
	for w := range lists {
		lists[w] = make([]int, 0, a.KH*a.KW)
	}
	rows := func(worker, lo, hi int) {
		for r := lo; r < hi; r++ {
			n, oh := r/a.OH, r%a.OH
			for ow := range a.OW {
				v := windowAt(&a, oh, ow)
				body(y[(r*a.OW+ow)*a.C:][:a.C], v.offsets(lists[worker], &a, n), oh, ow, v)
			}
		}
	}
	return func() { m.pool.ForWorker(a.N*a.OH, max(1, grain/(a.OW*a.C*a.KH*a.KW)), rows) }
}

// bindMaxPool takes the maximum of each window; NaN wins, and a window outside the image gives the least float.
func bindMaxPool[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	x := m.slice(in.In[0])
	least := T(-3.4028234663852886e38)
	return poolRows(m, in.Attr.(program.PoolAttr), m.slice(in.Out[0]), func(out []T, taps []int, _, _ int, _ window) {
		if len(taps) == 0 {
			for j := range out {
				out[j] = least
			}
			return
		}
		kernel.WindowMax(out, x, taps)
	})
}

func bindAvgPool[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a, x := in.Attr.(program.PoolAttr), m.slice(in.In[0])
	return poolRows(m, a, m.slice(in.Out[0]), func(out []T, taps []int, oh, ow int, v window) {
		clear(out)
		for _, t := range taps {
			kernel.Add(out, out, x[t:])
		}
		if d := divisor(&a, oh, ow, v); d > 0 {
			kernel.Scale(out, 1/T(d), out)
		}
	})
}

// poolGrad clears dx and runs body for each output pixel: d are some channels of its gradient, and taps its window in dx from there on.
// Windows overlap, so an image belongs to one worker, or, where the images are few, some of its channels do.
func poolGrad[T kernel.Float](m *Machine[T], a program.PoolAttr, dx, dy []T, body func(d []T, taps []int, c, oh, ow int, v window)) func() {
	const tasks, fewest = 16, 64 // pieces of work there should be, and channels of one
	blocks := max(1, min(a.C/fewest, tasks/a.N))
	block := (a.C/blocks + kernel.Lanes - 1) / kernel.Lanes * kernel.Lanes
	blocks = (a.C + block - 1) / block
	lists := make([][]int, m.pool.Workers())
	for w := range lists {
		lists[w] = make([]int, 0, a.KH*a.KW)
	}
	pieces := func(worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			n, c := t/blocks, t%blocks*block
			channels := min(block, a.C-c)
			cleared := 0 // rows of dx: each shortly before the first window that meets it
			clearTo := func(h int) {
				for ; cleared < h; cleared++ {
					for w := range a.W {
						clear(dx[((n*a.H+cleared)*a.W+w)*a.C+c:][:channels])
					}
				}
			}
			for oh := range a.OH {
				clearTo(min(a.H, max(0, oh*a.StrideH-a.Top+(a.KH-1)*a.DilH+1)))
				for ow := range a.OW {
					v := windowAt(&a, oh, ow)
					body(dy[((n*a.OH+oh)*a.OW+ow)*a.C+c:][:channels], v.offsets(lists[worker], &a, n), c, oh, ow, v)
				}
			}
			clearTo(a.H)
		}
	}
	return func() { m.pool.ForWorker(a.N*blocks, 1, pieces) }
}

// bindMaxPoolGrad sends dy to the pixel the maximum was taken from: the first of equal ones.
func bindMaxPoolGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	dx, dy, x := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	return poolGrad(m, in.Attr.(program.PoolAttr), dx, dy, func(d []T, taps []int, c, _, _ int, _ window) {
		if len(taps) > 0 {
			kernel.WindowMaxGrad(dx[c:len(x)], d, x[c:], taps)
		}
	})
}

func bindAvgPoolGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a, dx, dy := in.Attr.(program.PoolAttr), m.slice(in.Out[0]), m.slice(in.In[0])
	return poolGrad(m, a, dx, dy, func(d []T, taps []int, c, oh, ow int, v window) {
		div := divisor(&a, oh, ow, v)
		if div == 0 {
			return
		}
		for _, t := range taps {
			px := dx[t+c:][:len(d)]
			kernel.AddScaled(px, px, 1/T(div), d)
		}
	})
}
