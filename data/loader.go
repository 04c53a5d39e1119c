package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/dms-go/dms/internal/parallel"
)

// ErrClosed is what Next returns after Close.
var ErrClosed = errors.New("data: the loader is closed")

// ahead is the number of batches prepared before they are asked for: one ready and one in work.
const ahead = 2

// Config says how a Loader makes batches.
type Config struct {
	Batch          int       // samples per batch
	Seed           uint64    // of order and augmentation
	Shuffle        bool      // a new order each epoch, without end; else one pass in the order of the data set
	DropLast       bool      // leave out the samples of an epoch that do not fill a batch
	Augment        Augment   // what is done to samples
	Mean, Std      []float32 // of x/255, per channel or one for all; nil is 0 and 1
	Start          int       // first batch to deliver, counted from the start of the stream: the number of batches already used
	LabelSmoothing float32   // ε in [0, 1): a target is 1−ε on its class plus ε/K on each of the K classes
	Classes        int       // K, when a network has more outputs than the data set classes; 0 is the data set's number
	Workers        int       // cores that prepare batches; 0 is all. Changes no bit of them
}

// Batch is what one step needs. The slices belong to the loader that filled them until the next call of Next with this Batch, which
// takes them back; copy what must last longer.
type Batch struct {
	X      []float32 // (Batch, h, w, c) normalised pixels; zero from sample N on
	Y      []float32 // (Batch, K) target probabilities; zero from sample N on
	Labels []int     // (Batch) the class of each sample, under mixup of the one that weighs more; zero from N on
	N      int       // samples in the batch: below Batch only in the last one of an epoch
	Epoch  int       // passes over the data before this one
	Index  int       // number of the batch in the stream; Config.Start = Index+1 goes on after it
}

// Loader prepares batches on goroutines of its own, a bounded number ahead of their use.
type Loader struct {
	full chan Batch // prepared; closed when there are no more
	free chan Batch // slices to fill again
	err  error      // why full was closed; written before that

	ctx    context.Context
	cancel context.CancelCauseFunc
	ended  sync.WaitGroup
	once   sync.Once
	pool   *parallel.Pool
}

// NewLoader starts a loader over ds. The caller closes it. When ctx ends, so does the stream, with its cause as the error.
func NewLoader(ctx context.Context, ds Dataset, c Config) (*Loader, error) {
	m, err := newMaker(ds, c)
	if err != nil {
		return nil, fmt.Errorf("data: loader: %w", err)
	}
	l := &Loader{full: make(chan Batch, ahead-1), free: make(chan Batch, ahead+1), pool: parallel.New(c.Workers)}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	m.start(l.ctx, l.pool)
	for range ahead {
		l.free <- Batch{}
	}
	l.ended.Go(func() {
		l.err = l.prepare(m)
		close(l.full)
	})
	return l, nil
}

// prepare fills batches until the stream, the context or the loader ends.
func (l *Loader) prepare(m *maker) error {
	for index := m.Start; ; index++ {
		if !m.Shuffle && index >= m.perEpoch {
			return io.EOF
		}
		var b Batch
		select {
		case b = <-l.free:
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		}
		if err := m.fill(&b, index); err != nil {
			return err
		}
		select {
		case l.full <- b:
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		}
	}
}

// Next waits for the next batch and puts it into b. The loader takes back the slices that b had and will write to them, so b keeps
// being passed to the same loader or to none. The error is io.EOF at the end of a stream that does not shuffle, ErrClosed after
// Close, the context's cause after its end, or why a sample cannot be read; after an error all further calls return it too.
func (l *Loader) Next(b *Batch) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	next, ok := <-l.full
	if !ok {
		return l.err
	}
	l.free <- *b // has room: of the ahead+1 batches in use, b and next are outside
	*b = next
	return nil
}

// Close ends the loader's goroutines and waits for them. It may be called more than once, but not during Next.
func (l *Loader) Close() {
	l.once.Do(func() {
		l.cancel(ErrClosed)
		l.ended.Wait()
		l.pool.Close()
	})
}

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
	helpers []helper // per worker
	partner []int    // under mixup, the sample that each one is mixed with
	mixed   []float32

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
	m.mixed = resize(m.mixed, max(len(b.X), len(b.Y)))
	for _, v := range []struct {
		values *[]float32
		size   int
	}{{&b.X, m.h * m.w * m.c}, {&b.Y, m.Classes}} {
		m.blend(*v.values, v.size, b.N)
	}
}
