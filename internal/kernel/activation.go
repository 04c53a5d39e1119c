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

// Costly tells whether f and its derivative take longer to compute than to store and read again.
func (a Activation) Costly() bool { return a.Kind >= Sigmoid }

// Activate sets y[i] = f(x[i]). y may be x. All variants give the same bits. In float32 sigmoid is within 2·10⁻⁷ of the true
// value and silu within 2·10⁻⁷·max(1, |x|). A NaN gives a NaN.
func Activate[T Float](y, x []T, f Activation) {
	x = x[:len(y)]
	a, b := T(f.A), T(f.B)
	switch f.Kind {
	case Identity:
		copy(y, x)
		return
	case Rectify:
		Relu(y, x)
		return
	}
	if single[T]() && activateAsm(f, false, as32(y), as32(x), as32(x)) {
		return
	}
	switch f.Kind {
	case Clip:
		for i, v := range x {
			y[i] = under(over(v, a), b)
		}
	case Leaky:
		for i, v := range x {
			y[i] = over(v, 0) + T(a*under(v, 0))
		}
	case HardSigmoid:
		for i, v := range x {
			y[i] = under(over(T(a*v)+b, 0), 1)
		}
	case HardSwish:
		for i, v := range x {
			y[i] = v * under(over(T(v*(1.0/6))+0.5, 0), 1)
		}
	case Sigmoid:
		for i, v := range x {
			y[i] = sigmoid(v)
		}
	case Silu:
		for i, v := range x {
			y[i] = v / (1 + expOfMinus(v))
		}
	case Tanh:
		for i, v := range x {
			y[i] = T(math.Tanh(float64(v)))
		}
	default:
		panic("kernel: Activate: unknown kind")
	}
}

// ActivateGrad sets dx[i] = dy[i]·f'(x[i]); dx may be dy or x. At a kink the derivative is that of the flat side. All variants give the same
// bits.
func ActivateGrad[T Float](dx, dy, x []T, f Activation) {
	dy, x = dy[:len(dx)], x[:len(dx)]
	a, b := T(f.A), T(f.B)
	switch f.Kind {
	case Identity:
		copy(dx, dy)
		return
	case Rectify:
		ReluGrad(dx, dy, x)
		return
	}
	if single[T]() && activateAsm(f, true, as32(dx), as32(x), as32(dy)) {
		return
	}
	switch f.Kind {
	case Clip:
		for i, v := range x {
			if v > a && v < b {
				dx[i] = dy[i]
			} else {
				dx[i] = 0
			}
		}
	case Leaky:
		for i, v := range x {
			on := T(one(v > 0))
			dx[i] = dy[i] * (on + T(a*(1-on)))
		}
	case HardSigmoid:
		for i, v := range x {
			v = T(a*v) + b
			dx[i] = T(dy[i]*a) * T(one(v > 0)&one(v < 1))
		}
	case HardSwish:
		for i, v := range x {
			dx[i] = dy[i] * (T((T(v*(1.0/3))+0.5)*T(one(v > -3)&one(v < 3))) + T(one(v >= 3)))
		}
	case Sigmoid:
		for i, v := range x {
			y := sigmoid(v)
			dx[i] = T(dy[i]*y) * (1 - y)
		}
	case Silu: // f' = σ·(1 + x·(1 − σ))
		for i, v := range x {
			y := sigmoid(v)
			dx[i] = T(dy[i]*y) * (T(v*(1-y)) + 1)
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

// over is max(x, low) and under min(x, high), both with the NaN of x.
func over[T Float](x, low T) T {
	if low > x {
		return low
	}
	return x
}

func under[T Float](x, high T) T {
	if high < x {
		return high
	}
	return x
}

func sigmoid[T Float](x T) T { return 1 / (1 + expOfMinus(x)) }

// expOfMinus is e⁻ˣ. In float32 it is computed as the assembly does, to the last bit: x is cut to where neither it nor its inverse leaves
// the normal numbers, e⁻ˣ = 2ⁿ·eʳ with |r| ≤ ln 2 / 2, and eʳ is its series up to r⁷, whose error of 5·10⁻⁹ is below rounding.
func expOfMinus[T Float](x T) T {
	if !single[T]() {
		return T(math.Exp(-float64(x)))
	}
	c := &activationConstants
	z := 0 - float32(x)
	z = over(under(z, c[1]), c[0])
	t := fma(z, c[2], c[3])
	n := t - c[3]
	r := fma(-n, c[5], fma(-n, c[4], z))
	p := c[6]
	for _, k := range c[7:13] {
		p = fma(p, r, k)
	}
	p = fma(p, r, 1)
	p = math.Float32frombits(math.Float32bits(p) + math.Float32bits(t)<<23)
	return T(p + (z - z))
}

// fma is x·y + z, rounded once. The product is exact in float64; the sum is rounded there to odd, so that rounding it again does no harm
// (Boldo and Melquiond 2008).
func fma(x, y, z float32) float32 {
	p, q := float64(x)*float64(y), float64(z)
	s := p + q
	back := s - p
	rest := (p - (s - back)) + (q - back) // what s lacks
	if bits := math.Float64bits(s); bits&1 == 0 && (rest > 0 || rest < 0) {
		if (rest > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}

// activationConstants are what the functions need, in the order of the generator's table: the range of e⁻ˣ, 1/ln 2, the number whose sum with
// a small one rounds that to a whole number, ln 2 in two parts (Cody and Waite 1980), the series of eʳ, and the constants of the hard
// functions.
var activationConstants = [...]float32{
	-86.5, 86.5, 1.44269504, 12582912, 0.693359375, -2.12194440e-4,
	1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1,
	0.5, 1.0 / 6, 1.0 / 3, 3, -3,
}

// one is 1 where the condition holds. Signs of activations are random, so a branch on them would be mispredicted half of the time; this is
// none, and the product with it keeps NaN and turns infinite gradients at masked places into NaN.
func one(on bool) int32 {
	if on {
		return 1
	}
	return 0
}
