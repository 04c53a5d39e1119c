package optim

// EMA is a moving average of weights, which often classifies better than the weights themselves (Polyak and Juditsky 1992).
//
// The decay rises with the updates t made, min(decay, (1+t)/(10+t)), as tf.train.ExponentialMovingAverage does with num_updates: otherwise
// the random start would dominate every run shorter than a few times 1/(1−decay).
type EMA struct {
	decay float64
	count []float32 // updates made; exact up to 2²⁴, where the decay has long reached its end
	mean  map[string][]float32
}

// updatesKey names the count among the state.
const updatesKey = "(updates)"

// NewEMA starts the average at the values given, which are copied.
func NewEMA(decay float64, values map[string][]float32) *EMA {
	e := &EMA{decay: decay, count: make([]float32, 1), mean: map[string][]float32{}}
	for name, v := range values {
		e.mean[name] = append(make([]float32, 0, len(v)), v...)
	}
	return e
}

// Update moves the average towards values, which have the names and lengths it was made with.
func (e *EMA) Update(values map[string][]float32) {
	t := float64(e.count[0])
	rest := float32(1 - min(e.decay, (1+t)/(10+t)))
	e.count[0]++
	for name, mean := range e.mean {
		for i, v := range values[name] {
			mean[i] += rest * (v - mean[i])
		}
	}
}

// CopyTo writes the average into values.
func (e *EMA) CopyTo(values map[string][]float32) {
	for name, mean := range e.mean {
		copy(values[name], mean)
	}
}

// State is the average and its count of updates as live buffers by name, as of an Optimizer.
func (e *EMA) State() map[string][]float32 {
	out := map[string][]float32{updatesKey: e.count}
	for name, mean := range e.mean {
		out[name] = mean
	}
	return out
}
