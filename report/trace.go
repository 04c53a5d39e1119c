package report

import "github.com/dms-go/dms/train"

// What is kept of the lines of metrics, however many a run has.
const (
	maxTrace    = 400
	maxPictures = 64
)

// onTrace tells whether line i of n is one of the at most maxTrace lines that charts are drawn from; they lie evenly, with the first.
func onTrace(i, n int) bool {
	return n <= maxTrace || i == 0 || i*(maxTrace-1)/n != (i-1)*(maxTrace-1)/n
}

// thinner keeps at most 2·most lines of a stream whose length is not known, evenly spread, and always the last one.
type thinner struct {
	most   int
	stride int
	seen   int
	lines  []*train.Metrics
}

func (t *thinner) add(m *train.Metrics) {
	t.stride = max(t.stride, 1)
	if len(t.lines) > 0 && (t.seen-1)%t.stride != 0 { // what stands last was kept only as the last
		t.lines = t.lines[:len(t.lines)-1]
	}
	t.lines = append(t.lines, m)
	t.seen++
	if len(t.lines) <= 2*t.most {
		return
	}
	half := t.lines[:0]
	for i := 0; i < len(t.lines); i += 2 {
		half = append(half, t.lines[i])
	}
	clear(t.lines[len(half):])
	t.lines = half
	t.stride *= 2
}
