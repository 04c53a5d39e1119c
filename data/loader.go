package data

import (
	"context"
	"errors"
	"fmt"
	"io"
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
