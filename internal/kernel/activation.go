package kernel

import "math"

// ActivationKind names an elementwise function that may follow a sum.
type ActivationKind uint8

const (
	Identity    ActivationKind = iota
	Rectify                    // max(x, 0), as Relu does
	Clip                       // A ≤ y ≤ B
	Leaky                      // x > 0 ? x : A·x
	HardSigmoid                // A·x + B, clipped to [0, 1]
	HardSwish                  // x·clip(x/6 + ½, 0, 1)
	Sigmoid                    // 1/(1 + e⁻ˣ)
	Silu                       // x·sigmoid(x), also called swish
	Tanh
	activationKinds
)

// Activation is an elementwise function with its parameters, which those kinds without any ignore.
type Activation struct {
	Kind ActivationKind
	A, B float64
}

// FromY tells whether the derivative follows from the sign or size of y = f(x) alone, whatever was added to x: then x need not be kept.
func (a Activation) FromY() bool { return a.Kind <= Clip }

// Activate sets y[i] = f(x[i]). y may be x.
func Activate[T Float](y, x []T, f Activation) {
	x = x[:len(y)]
	a, b := T(f.A), T(f.B)
	switch f.Kind {
	case Identity:
		copy(y, x)
	case Rectify:
		Relu(y, x)
	case Clip:
		for i, v := range x {
			y[i] = min(max(v, a), b)
		}
	case Leaky:
		for i, v := range x {
			y[i] = max(v, 0) + a*min(v, 0)
		}
	case HardSigmoid:
		for i, v := range x {
			y[i] = min(max(a*v+b, 0), 1)
		}
	case HardSwish:
		for i, v := range x {
			y[i] = v * min(max(v*(1.0/6)+0.5, 0), 1)
		}
	case Sigmoid:
		for i, v := range x {
			y[i] = sigmoid(v)
		}
	case Silu:
		for i, v := range x {
			y[i] = v * sigmoid(v)
		}
	case Tanh:
		for i, v := range x {
			y[i] = T(math.Tanh(float64(v)))
		}
	default:
		panic("kernel: Activate: unknown kind")
	}
}

// ActivateGrad sets dx[i] = dy[i]·f'(x[i]); dx may be dy or x. At a kink the derivative is that of the flat side.
func ActivateGrad[T Float](dx, dy, x []T, f Activation) {
	dy, x = dy[:len(dx)], x[:len(dx)]
	a, b := T(f.A), T(f.B)
	switch f.Kind {
	case Identity:
		copy(dx, dy)
	case Rectify:
		ReluGrad(dx, dy, x)
	case Clip:
		for i, v := range x {
			dx[i] = dy[i] * T(one(v > a)&one(v < b))
		}
	case Leaky:
		for i, v := range x {
			on := T(one(v > 0))
			dx[i] = dy[i] * (on + a*(1-on))
		}
	case HardSigmoid:
		for i, v := range x {
			v = a*v + b
			dx[i] = dy[i] * a * T(one(v > 0)&one(v < 1))
		}
	case HardSwish:
		for i, v := range x {
			dx[i] = dy[i] * ((v*(1.0/3)+0.5)*T(one(v > -3)&one(v < 3)) + T(one(v >= 3)))
		}
	case Sigmoid:
		for i, v := range x {
			y := sigmoid(v)
			dx[i] = dy[i] * y * (1 - y)
		}
	case Silu: // f' = σ + x·σ·(1 − σ)
		for i, v := range x {
			y := sigmoid(v)
			dx[i] = dy[i] * y * (1 + v*(1-y))
		}
	case Tanh:
		for i, v := range x {
			y := T(math.Tanh(float64(v)))
			dx[i] = dy[i] * (1 - y*y)
		}
	default:
		panic("kernel: ActivateGrad: unknown kind")
	}
}

func sigmoid[T Float](x T) T { return T(1 / (1 + math.Exp(-float64(x)))) }

// one is 1 where the condition holds. Signs of activations are random, so a branch on them would be mispredicted half of the time; this is
// none, and the product with it keeps NaN and turns infinite gradients at masked places into NaN.
func one(on bool) int32 {
	if on {
		return 1
	}
	return 0
}
