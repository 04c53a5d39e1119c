package optim

import "math"

// rule is one optimiser: what it remembers for each weight, and how one step moves a span of it.
type rule struct {
	slots     []slot
	constants func(c Config, rate, step float64) constants // step counts from 1
	update    func(k constants, w, g []float32, m memory)  // all of one length
}

// slot is one remembered value per element.
type slot struct {
	name  string
	start float32
}

// memory holds the slots of one weight.
type memory [2][]float32

// constants are the numbers of one step, rounded to float32 once.
type constants struct {
	rate       float32 // learning rate, with the bias correction of the first moment where the rule has one
	decay      float32 // weight decay of the weight at hand
	shrink     float32 // 1 − learning rate·decay
	beta, rest float32 // share of the old value in the first slot, 1 − beta
	gamma, new float32 // the same of the second
	root       float32 // √(1 − gammaᵗ), the bias correction of the second moment
	epsilon    float32
}

var rules = map[string]rule{
	// Stochastic gradient descent with Nesterov momentum in the form of torch.optim.SGD (nesterov=True, dampening=0), after Sutskever et al.
	// 2013, section 2; weight decay is added to the gradient.
	"sgd": {
		slots: []slot{{"momentum", 0}},
		constants: func(c Config, rate, _ float64) constants {
			return constants{rate: float32(rate), beta: float32(c.Momentum)}
		},
		update: func(k constants, w, g []float32, m memory) {
			w, v := w[:len(g)], m[0][:len(g)]
			for i, d := range g {
				d += k.decay * w[i]
				v[i] = k.beta*v[i] + d
				w[i] -= k.rate * (d + k.beta*v[i])
			}
		},
	},
	// Kingma and Ba 2015, arXiv 1412.6980, algorithm 1, ε outside the corrected root; weight decay is added to the gradient.
	"adam": {
		slots:     []slot{{"mean", 0}, {"square", 0}},
		constants: adamConstants,
		update: func(k constants, w, g []float32, m memory) {
			w, mean, square := w[:len(g)], m[0][:len(g)], m[1][:len(g)]
			for i, d := range g {
				d += k.decay * w[i]
				w[i] -= adamMove(k, d, &mean[i], &square[i])
			}
		},
	},
	// Loshchilov and Hutter 2019, arXiv 1711.05101: Adam, but the weights shrink by rate·decay on their own.
	"adamw": {
		slots:     []slot{{"mean", 0}, {"square", 0}},
		constants: adamConstants,
		update: func(k constants, w, g []float32, m memory) {
			w, mean, square := w[:len(g)], m[0][:len(g)], m[1][:len(g)]
			for i, d := range g {
				w[i] = w[i]*k.shrink - adamMove(k, d, &mean[i], &square[i])
			}
		},
	},
	// RMSprop in TensorFlow's form, which EfficientNet and MobileNet were trained with: ε under the root, mean squares that start at one,
	// and a momentum that accumulates moves, rates included, so that a falling rate does not act on moves already made. Weight decay is
	// added to the gradient.
	"rmsprop": {
		slots: []slot{{"momentum", 0}, {"square", 1}},
		constants: func(c Config, rate, _ float64) constants {
			decay := or(c.Decay, 0.9)
			return constants{
				rate: float32(rate), beta: float32(c.Momentum), gamma: float32(decay), new: float32(1 - decay), epsilon: float32(or(c.Epsilon, 1e-3)),
			}
		},
		update: func(k constants, w, g []float32, m memory) {
			w, v, square := w[:len(g)], m[0][:len(g)], m[1][:len(g)]
			for i, d := range g {
				d += k.decay * w[i]
				square[i] = k.gamma*square[i] + k.new*(d*d)
				v[i] = k.beta*v[i] + k.rate*d/sqrt(square[i]+k.epsilon)
				w[i] -= v[i]
			}
		},
	},
}

// adamConstants folds the first moment's bias correction into the rate.
func adamConstants(c Config, rate, step float64) constants {
	beta, gamma := or(c.Beta1, 0.9), or(c.Beta2, 0.999)
	return constants{
		rate: float32(rate / (1 - math.Pow(beta, step))), root: float32(math.Sqrt(1 - math.Pow(gamma, step))),
		beta: float32(beta), rest: float32(1 - beta), gamma: float32(gamma), new: float32(1 - gamma), epsilon: float32(or(c.Epsilon, 1e-8)),
	}
}

// adamMove advances both moments of one element and returns its move.
func adamMove(k constants, d float32, mean, square *float32) float32 {
	*mean = k.beta**mean + k.rest*d
	*square = k.gamma**square + k.new*(d*d)
	return k.rate * *mean / (sqrt(*square)/k.root + k.epsilon)
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// or is v, or def where v is zero.
func or(v, def float64) float64 {
	if v == 0 {
		return def
	}
	return v
}
