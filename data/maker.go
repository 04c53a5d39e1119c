package data

import (
	"context"
	"errors"
	"fmt"

	"github.com/dms-go/dms/internal/parallel"
)

// maker makes batch after batch; only the loader's goroutine uses it.
type maker struct {
	Config
	ds       Dataset
	cropper  Cropper // nil: samples are read whole
	h, w, c  int
	perEpoch int
	table    []*levels // per channel

	ctx     context.Context
	pool    *parallel.Pool
	epoch   int     // of order; −1: none yet
	order   []int32 // samples of the epoch
	stream  *stream
	helpers []helper  // per worker
	partner []int     // under mixup, the sample that each one is mixed with
	mixed   []float32 // X and Y of a mixed batch, before they change places with the batch's own
	mixedY  []float32

	// The batch in work, for readSpan and mixSpan, which are made once because a closure per batch would be garbage.
	batch             *Batch
	first             int
	weight            float32
	readSpan, mixSpan func(worker, lo, hi int)
}

// helper is the memory of one worker.
type helper struct {
	stream *stream
	pixels []uint8
	at     int // lowest position whose sample could not be read, with the reason
	err    error
}

// newMaker checks everything that can be wrong before the first batch.
func newMaker(ds Dataset, c Config) (*maker, error) {
	m := &maker{Config: c, ds: ds, epoch: -1, stream: newStream()}
	m.h, m.w, m.c = ds.Shape()
	n, size := ds.Len(), m.h*m.w*m.c
	if c.Classes == 0 {
		m.Classes = len(ds.Classes())
	}
	switch {
	case n == 0:
		return nil, errors.New("the data set has no samples")
	case c.Batch < 1 || c.Batch > maxBatch:
		return nil, fmt.Errorf("batch of %d samples, want 1 to %d", c.Batch, maxBatch)
	case size < 1 || c.Batch > maxElements/size:
		return nil, fmt.Errorf("a batch of %d images of %d×%d×%d is more than %d values", c.Batch, m.h, m.w, m.c, maxElements)
	case c.DropLast && n < c.Batch:
		return nil, fmt.Errorf("%d samples do not fill one batch of %d", n, c.Batch)
	case c.Start < 0:
		return nil, fmt.Errorf("start at batch %d", c.Start)
	case !(c.LabelSmoothing >= 0 && c.LabelSmoothing < 1):
		return nil, fmt.Errorf("label smoothing of %v, want 0 or more and below 1", c.LabelSmoothing)
	case m.Classes < len(ds.Classes()) || m.Classes > maxClasses:
		return nil, fmt.Errorf("targets for %d classes, but the data set has %d", c.Classes, len(ds.Classes()))
	case c.Workers < 0:
		return nil, fmt.Errorf("%d workers", c.Workers)
	}
	if err := c.Augment.check(); err != nil {
		return nil, err
	}
	if err := m.setNorm(); err != nil {
		return nil, err
	}
	m.perEpoch = (n + c.Batch - 1) / c.Batch
	if c.DropLast {
		m.perEpoch = n / c.Batch
	}
	if c.Augment.Crop > 0 {
		m.cropper, _ = ds.(Cropper)
	}
	return m, nil
}

func (m *maker) setNorm() (err error) {
	mean, std := m.Mean, m.Std
	if mean == nil {
		mean = []float32{0}
	}
	if std == nil {
		std = []float32{1}
	}
	if mean, err = spread(mean, m.c); err != nil {
		return fmt.Errorf("means: %w", err)
	}
	if std, err = spread(std, m.c); err != nil {
		return fmt.Errorf("standard deviations: %w", err)
	}
	if err := checkNorm(mean, std); err != nil {
		return err
	}
	for k := range m.c {
		m.table = append(m.table, newLevels(mean[k], std[k]))
	}
	return nil
}

// start gives the maker its workers and their memory.
func (m *maker) start(ctx context.Context, pool *parallel.Pool) {
	m.ctx, m.pool = ctx, pool
	m.helpers = make([]helper, pool.Workers())
	for i := range m.helpers {
		m.helpers[i] = helper{stream: newStream(), pixels: make([]uint8, m.h*m.w*m.c)}
	}
	m.order = make([]int32, m.ds.Len())
	m.readSpan, m.mixSpan = m.read, m.mix
}

// fill makes batch number index.
func (m *maker) fill(b *Batch, index int) error {
	m.arrange(index / m.perEpoch)
	size := m.h * m.w * m.c
	b.X, b.Y, b.Labels = resize(b.X, m.Batch*size), resize(b.Y, m.Batch*m.Classes), resize(b.Labels, m.Batch)
	b.Index, b.Epoch = index, m.epoch
	m.first = index % m.perEpoch * m.Batch
	b.N = min(m.Batch, len(m.order)-m.first)
	m.batch = b
	clear(b.X[b.N*size:])
	clear(b.Labels[b.N:])
	m.pool.ForWorker(b.N, 1, m.readSpan)
	if err := m.fault(); err != nil {
		return err
	}
	m.target(b)
	if m.Augment.Mixup > 0 {
		m.mixup(b)
	}
	return nil
}

// arrange sets the order of an epoch's samples.
func (m *maker) arrange(epoch int) {
	if m.epoch == epoch {
		return
	}
	m.epoch = epoch
	for i := range m.order {
		m.order[i] = int32(i)
	}
	if m.Shuffle {
		rng := m.stream.at(m.Seed, forOrder, epoch, 0)
		rng.Shuffle(len(m.order), func(i, j int) { m.order[i], m.order[j] = m.order[j], m.order[i] })
	}
}

// read fills the samples lo to hi of the batch in work.
func (m *maker) read(worker, lo, hi int) {
	w, size := &m.helpers[worker], m.h*m.w*m.c
	for i := lo; i < hi && m.ctx.Err() == nil; i++ {
		sample := int(m.order[m.first+i])
		rng := w.stream.at(m.Seed, forSample, m.epoch, sample)
		p := m.Augment.place(rng, m.h, m.w, m.cropper != nil)
		var label int
		var err error
		if m.cropper != nil {
			label, err = m.cropper.ReadCrop(sample, rng, w.pixels)
		} else {
			label, err = m.ds.Read(sample, w.pixels)
		}
		if err == nil && (label < 0 || label >= m.Classes) {
			err = fmt.Errorf("label %d of %d classes", label, m.Classes)
		}
		if err != nil {
			w.at, w.err = i, fmt.Errorf("data: sample %d: %w", sample, err)
			return
		}
		p.normalise(m.batch.X[i*size:(i+1)*size], w.pixels, m.h, m.w, m.table)
		m.batch.Labels[i] = label
	}
}

// fault is what went wrong first in the order of the batch, so that the message does not depend on the workers.
func (m *maker) fault() error {
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	var worst *helper
	for i := range m.helpers {
		if h := &m.helpers[i]; h.err != nil && (worst == nil || h.at < worst.at) {
			worst = h
		}
	}
	if worst != nil {
		return worst.err
	}
	return nil
}

// target writes the smoothed one-hot rows.
func (m *maker) target(b *Batch) {
	clear(b.Y)
	k, eps := m.Classes, m.LabelSmoothing
	for i, label := range b.Labels[:b.N] {
		row := b.Y[i*k : (i+1)*k]
		if eps > 0 {
			for j := range row {
				row[j] = eps / float32(k)
			}
		}
		row[label] += 1 - eps
	}
}

// mixup replaces every sample by λ of itself and 1−λ of another one of the batch, and its target likewise. λ ~ Beta(α, α) is drawn
// once per batch, as in the paper, and taken above ½: with partners drawn at random both halves mean the same, and Labels stays
// the class that weighs more.
func (m *maker) mixup(b *Batch) {
	rng := m.stream.at(m.Seed, forMixup, b.Index, 0)
	lambda := beta(rng, m.Augment.Mixup)
	m.weight = float32(max(lambda, 1-lambda))
	m.partner = resize(m.partner, b.N)
	for i := range m.partner {
		m.partner[i] = i
	}
	rng.Shuffle(b.N, func(i, j int) { m.partner[i], m.partner[j] = m.partner[j], m.partner[i] })
	m.mixed, m.mixedY = resize(m.mixed, len(b.X)), resize(m.mixedY, len(b.Y))
	m.pool.ForWorker(b.N, 1, m.mixSpan)
	clear(m.mixed[b.N*m.h*m.w*m.c:])
	clear(m.mixedY[b.N*m.Classes:])
	b.X, m.mixed = m.mixed, b.X
	b.Y, m.mixedY = m.mixedY, b.Y
}

// mix blends the samples lo to hi of the batch in work with their partners.
func (m *maker) mix(_, lo, hi int) {
	size := m.h * m.w * m.c
	for i := lo; i < hi; i++ {
		blend(m.mixed, m.batch.X, size, i, m.partner[i], m.weight)
		blend(m.mixedY, m.batch.Y, m.Classes, i, m.partner[i], m.weight)
	}
}

// blend writes row i of dst: weight times row i of src plus the rest of row j. Rows have size elements.
func blend(dst, src []float32, size, i, j int, weight float32) {
	out, a, b := dst[i*size:(i+1)*size], src[i*size:(i+1)*size], src[j*size:(j+1)*size]
	for k := range out {
		out[k] = weight*a[k] + (1-weight)*b[k]
	}
}

// resize returns v with n elements of any value, in the same memory where that is large enough.
func resize[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}
