package search

// learning follows the loss for as long as a structure waits for weights to begin to learn (docs/decisions/0014-hold.md).
type learning struct {
	Steps int     `json:"steps"`
	First float64 `json:"first"` // mean loss of the first steps
	Mean  float64 `json:"mean"`  // moving average since
}

const (
	firstLosses = 10  // steps
	lossDecay   = 0.9 // of the moving average
)

// add takes the loss of one more step and tells whether it has come down to a share of where it began.
func (l *learning) add(loss, share float64) bool {
	l.Steps++
	if l.Steps <= firstLosses {
		l.First += (loss - l.First) / float64(l.Steps)
		l.Mean = l.First
		return false
	}
	l.Mean = lossDecay*l.Mean + (1-lossDecay)*loss
	return l.Mean < share*l.First
}

// heed ends the wait of the structure at the present step, if its weights have begun to learn.
func (st *structure) heed(loss float64) {
	if st.step < st.fall.begin && st.learning.add(loss, st.cfg.HoldLoss) {
		st.fall.begin = st.step
	}
}
