package engine

import (
	"math"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// bindCrossEntropy is the mean over rows of −Σ t·log softmax(z/T).
func bindCrossEntropy[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.LossAttr)
	out, z, t := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	k := a.Classes
	losses := make([]float64, a.Rows)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, target := z[r*k:(r+1)*k], t[r*k:(r+1)*k]
			most, sum := scaledSumExp(row, a.Temperature)
			log := math.Log(sum)
			s := 0.0
			for i, p := range target {
				if p != 0 {
					s -= float64(p) * ((float64(row[i])-most)/a.Temperature - log)
				}
			}
			losses[r] = s
		}
	}
	return func() {
		m.pool.For(a.Rows, max(1, grain/(8*k)), body)
		s := 0.0
		for _, v := range losses {
			s += v
		}
		out[0] = T(s / float64(a.Rows))
	}
}

// scaledSumExp is the largest logit of a row and Σ exp((z − most)/T), kept apart as sumExp keeps them.
func scaledSumExp[T kernel.Float](z []T, temperature float64) (most, sum float64) {
	most = math.Inf(-1)
	for _, v := range z {
		most = math.Max(most, float64(v))
	}
	for _, v := range z {
		sum += math.Exp((float64(v) - most) / temperature)
	}
	return most, sum
}

// bindCrossEntropyGrad: dz = dy·(softmax(z/T)·Σt − t)/(T·rows).
func bindCrossEntropyGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.LossAttr)
	dz, dy, z, t := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1]), m.slice(in.In[2])
	k := a.Classes
	body := func(lo, hi int) {
		scale := float64(dy[0]) / (a.Temperature * float64(a.Rows))
		for r := lo; r < hi; r++ {
			row, target, out := z[r*k:(r+1)*k], t[r*k:(r+1)*k], dz[r*k:(r+1)*k]
			most, sum := scaledSumExp(row, a.Temperature)
			mass := 0.0
			for _, p := range target {
				mass += float64(p)
			}
			for i, v := range row {
				out[i] = T(scale * (math.Exp((float64(v)-most)/a.Temperature)/sum*mass - float64(target[i])))
			}
		}
	}
	return func() { m.pool.For(a.Rows, max(1, grain/(8*k)), body) }
}

// dist computes the loss of Huang et al. 2022 (arXiv 2205.10536, equations 6 to 10) on softmax(z/T) of student s and teacher t:
//
//	β·T²·(1 − mean over samples of ρ(s, t)) + γ·T²·(1 − mean over classes of ρ(s, t))
//
// where ρ is Pearson's correlation, over the classes of a sample or over the samples of a class.
type dist[T kernel.Float] struct {
	program.LossAttr
	s, t, grad []float64 // (Rows, Classes)
}

func newDist[T kernel.Float](a program.LossAttr) *dist[T] {
	n := a.Rows * a.Classes
	return &dist[T]{LossAttr: a, s: make([]float64, n), t: make([]float64, n), grad: make([]float64, n)}
}

// run returns the loss and leaves ∂loss/∂s in grad.
func (d *dist[T]) run(student, teacher []T) float64 {
	softmaxRows(d.s, student, d.Classes, d.Temperature)
	softmaxRows(d.t, teacher, d.Classes, d.Temperature)
	clear(d.grad)
	square := d.Temperature * d.Temperature
	loss := 0.0
	within, across := d.Beta*square/float64(d.Rows), d.Gamma*square/float64(d.Classes)
	for r := range d.Rows {
		loss += within * (1 - d.correlate(r*d.Classes, 1, d.Classes, -within))
	}
	for c := range d.Classes {
		loss += across * (1 - d.correlate(c, d.Classes, d.Rows, -across))
	}
	return loss
}

// correlate returns ρ over n elements from first on, step apart, and adds weight·∂ρ/∂s to grad.
func (d *dist[T]) correlate(first, step, n int, weight float64) float64 {
	const epsilon = 1e-8
	ms, mt := 0.0, 0.0
	for i := range n {
		ms += d.s[first+i*step]
		mt += d.t[first+i*step]
	}
	ms, mt = ms/float64(n), mt/float64(n)
	var ss, tt, st float64
	for i := range n {
		a, b := d.s[first+i*step]-ms, d.t[first+i*step]-mt
		ss += a * a
		tt += b * b
		st += a * b
	}
	ns, nt := math.Sqrt(ss), math.Sqrt(tt)
	norm := ns*nt + epsilon
	rho := st / norm
	if ns == 0 {
		return rho
	}
	for i := range n {
		a, b := d.s[first+i*step]-ms, d.t[first+i*step]-mt
		d.grad[first+i*step] += weight * (b/norm - st/(norm*norm)*nt*a/ns)
	}
	return rho
}

func softmaxRows[T kernel.Float](out []float64, z []T, k int, temperature float64) {
	for r := 0; r < len(out); r += k {
		most, sum := scaledSumExp(z[r:r+k], temperature)
		for i, v := range z[r : r+k] {
			out[r+i] = math.Exp((float64(v)-most)/temperature) / sum
		}
	}
}

func bindDist[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	d := newDist[T](in.Attr.(program.LossAttr))
	n := d.Rows * d.Classes
	out, s, t := m.slice(in.Out[0]), m.slice(in.In[0])[:n], m.slice(in.In[1])[:n]
	return func() { out[0] = T(d.run(s, t)) }
}

// bindDistGrad carries ∂loss/∂s through the softmax.
func bindDistGrad[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	d := newDist[T](in.Attr.(program.LossAttr))
	n, k := d.Rows*d.Classes, d.Classes
	dz, dy, s, t := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])[:n], m.slice(in.In[2])[:n]
	return func() {
		d.run(s, t)
		scale := float64(dy[0]) / d.Temperature
		for r := 0; r < n; r += k {
			dot := 0.0
			for i := r; i < r+k; i++ {
				dot += d.grad[i] * d.s[i]
			}
			for i := r; i < r+k; i++ {
				dz[i] = T(scale * d.s[i] * (d.grad[i] - dot))
			}
		}
	}
}
