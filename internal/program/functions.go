package program

import "math"

// Function is one row of elementwise arithmetic: its value and its derivative, each given the two parameters of UnaryAttr.
type Function struct {
	F func(x, a, b float64) float64
	// D is f'. It is given y = f(x) where FromY is set, so that x need not be kept, and x otherwise.
	D     func(v, a, b float64) float64
	FromY bool
}

// Functions are the elementwise functions of one operand. At a kink the derivative is that of the flat side, as in PyTorch.
var Functions = map[string]Function{
	"relu": {
		F:     func(x, _, _ float64) float64 { return math.Max(x, 0) },
		D:     func(y, _, _ float64) float64 { return step(y > 0) },
		FromY: true,
	},
	"clip": { // a ≤ y ≤ b
		F:     func(x, a, b float64) float64 { return math.Min(math.Max(x, a), b) },
		D:     func(y, a, b float64) float64 { return step(y > a && y < b) },
		FromY: true,
	},
	"leaky": { // x > 0 ? x : a·x
		F: func(x, a, _ float64) float64 {
			if x > 0 {
				return x
			}
			return a * x
		},
		D: func(x, a, _ float64) float64 {
			if x > 0 {
				return 1
			}
			return a
		},
	},
	"elu": { // x > 0 ? x : a·(eˣ − 1)
		F: func(x, a, _ float64) float64 {
			if x > 0 {
				return x
			}
			return a * math.Expm1(x)
		},
		D: func(x, a, _ float64) float64 {
			if x > 0 {
				return 1
			}
			return a * math.Exp(x)
		},
	},
	"sigmoid": {
		F:     func(x, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) },
		D:     func(y, _, _ float64) float64 { return y * (1 - y) },
		FromY: true,
	},
	"hardsigmoid": { // clip(a·x + b, 0, 1)
		F:     func(x, a, b float64) float64 { return math.Min(math.Max(a*x+b, 0), 1) },
		D:     func(y, a, _ float64) float64 { return a * step(y > 0 && y < 1) },
		FromY: true,
	},
	"hardswish": { // x·clip(x/6 + ½, 0, 1)
		F: func(x, _, _ float64) float64 { return x * math.Min(math.Max(x/6+0.5, 0), 1) },
		D: func(x, _, _ float64) float64 {
			switch {
			case x <= -3:
				return 0
			case x >= 3:
				return 1
			}
			return x/3 + 0.5
		},
	},
	"silu": { // x·sigmoid(x)
		F: func(x, _, _ float64) float64 { return x / (1 + math.Exp(-x)) },
		D: func(x, _, _ float64) float64 {
			s := 1 / (1 + math.Exp(-x))
			return s * (1 + x*(1-s))
		},
	},
	"tanh": {
		F:     func(x, _, _ float64) float64 { return math.Tanh(x) },
		D:     func(y, _, _ float64) float64 { return 1 - y*y },
		FromY: true,
	},
	"exp": {
		F:     func(x, _, _ float64) float64 { return math.Exp(x) },
		D:     func(y, _, _ float64) float64 { return y },
		FromY: true,
	},
	"log": {
		F: func(x, _, _ float64) float64 { return math.Log(x) },
		D: func(x, _, _ float64) float64 { return 1 / x },
	},
	"sqrt": {
		F:     func(x, _, _ float64) float64 { return math.Sqrt(x) },
		D:     func(y, _, _ float64) float64 { return 0.5 / y },
		FromY: true,
	},
	"erf": {
		F: func(x, _, _ float64) float64 { return math.Erf(x) },
		D: func(x, _, _ float64) float64 { return 2 / math.SqrtPi * math.Exp(-x*x) },
	},
	"gelu": { // x·Φ(x), Hendrycks and Gimpel 2016, arXiv 1606.08415
		F: func(x, _, _ float64) float64 { return x * phi(x) },
		D: func(x, _, _ float64) float64 { return phi(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi) },
	},
	"gelutanh": { // x·(1 + tanh u)/2 with u = √(2/π)·(x + 0.044715·x³), the approximation of the same paper
		F: func(x, _, _ float64) float64 { return x / 2 * (1 + math.Tanh(geluArgument*(x+geluCube*x*x*x))) },
		D: func(x, _, _ float64) float64 {
			t := math.Tanh(geluArgument * (x + geluCube*x*x*x))
			return (1+t)/2 + x/2*(1-t*t)*geluArgument*(1+3*geluCube*x*x)
		},
	},
	"abs": {
		F: func(x, _, _ float64) float64 { return math.Abs(x) },
		D: func(x, _, _ float64) float64 { return step(x > 0) - step(x < 0) },
	},
	"neg": {
		F:     func(x, _, _ float64) float64 { return -x },
		D:     func(_, _, _ float64) float64 { return -1 },
		FromY: true,
	},
	"reciprocal": {
		F:     func(x, _, _ float64) float64 { return 1 / x },
		D:     func(y, _, _ float64) float64 { return -y * y },
		FromY: true,
	},
	"softplus": {
		F: func(x, _, _ float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) },
		D: func(x, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) },
	},
	"scale": { // a·x
		F:     func(x, a, _ float64) float64 { return a * x },
		D:     func(_, a, _ float64) float64 { return a },
		FromY: true,
	},
	"power": { // xᵃ
		F: func(x, a, _ float64) float64 { return math.Pow(x, a) },
		D: func(x, a, _ float64) float64 {
			if a == 0 {
				return 0
			}
			return a * math.Pow(x, a-1)
		},
	},
	"selu": { // b·(x > 0 ? x : a·(eˣ − 1)), Klambauer et al. 2017, arXiv 1706.02515
		F: func(x, a, b float64) float64 {
			if x > 0 {
				return b * x
			}
			return b * a * math.Expm1(x)
		},
		D: func(x, a, b float64) float64 {
			if x > 0 {
				return b
			}
			return b * a * math.Exp(x)
		},
	},
	"celu": { // x > 0 ? x : a·(e^(x/a) − 1)
		F: func(x, a, _ float64) float64 {
			if x > 0 {
				return x
			}
			return a * math.Expm1(x/a)
		},
		D: func(x, a, _ float64) float64 {
			if x > 0 {
				return 1
			}
			return math.Exp(x / a)
		},
	},
	"thresholded": { // x > a ? x : 0
		F: func(x, a, _ float64) float64 {
			if x > a {
				return x
			}
			return 0
		},
		D: func(x, a, _ float64) float64 { return step(x > a) },
	},
	"softsign": {
		F: func(x, _, _ float64) float64 { return x / (1 + math.Abs(x)) },
		D: func(x, _, _ float64) float64 { return 1 / ((1 + math.Abs(x)) * (1 + math.Abs(x))) },
	},
	"mish": { // x·tanh(softplus(x)), Misra 2019, arXiv 1908.08681
		F: func(x, _, _ float64) float64 { return x * math.Tanh(softplus(x)) },
		D: func(x, _, _ float64) float64 {
			t := math.Tanh(softplus(x))
			return t + x*(1-t*t)/(1+math.Exp(-x))
		},
	},
	"sin":    {F: func(x, _, _ float64) float64 { return math.Sin(x) }, D: func(x, _, _ float64) float64 { return math.Cos(x) }},
	"cos":    {F: func(x, _, _ float64) float64 { return math.Cos(x) }, D: func(x, _, _ float64) float64 { return -math.Sin(x) }},
	"tan":    {F: func(x, _, _ float64) float64 { return math.Tan(x) }, D: func(y, _, _ float64) float64 { return 1 + y*y }, FromY: true},
	"atan":   {F: func(x, _, _ float64) float64 { return math.Atan(x) }, D: func(x, _, _ float64) float64 { return 1 / (1 + x*x) }},
	"sinh":   {F: func(x, _, _ float64) float64 { return math.Sinh(x) }, D: func(x, _, _ float64) float64 { return math.Cosh(x) }},
	"cosh":   {F: func(x, _, _ float64) float64 { return math.Cosh(x) }, D: func(x, _, _ float64) float64 { return math.Sinh(x) }},
	"square": {F: func(x, _, _ float64) float64 { return x * x }, D: func(x, _, _ float64) float64 { return 2 * x }},
	"affine": {F: func(x, a, b float64) float64 { return a*x + b }, D: func(_, a, _ float64) float64 { return a }, FromY: true},
	"rsqrt": { // 1/√(x + a)
		F:     func(x, a, _ float64) float64 { return 1 / math.Sqrt(x+a) },
		D:     func(y, _, _ float64) float64 { return -0.5 * y * y * y },
		FromY: true,
	},

	// Steps, whose derivative is 0 wherever they have one.
	"sign":    {F: func(x, _, _ float64) float64 { return step(x > 0) - step(x < 0) }, D: level, FromY: true},
	"floor":   {F: func(x, _, _ float64) float64 { return math.Floor(x) }, D: level, FromY: true},
	"ceil":    {F: func(x, _, _ float64) float64 { return math.Ceil(x) }, D: level, FromY: true},
	"round":   {F: func(x, _, _ float64) float64 { return math.RoundToEven(x) }, D: level, FromY: true},
	"not":     {F: func(x, _, _ float64) float64 { return step(x == 0) }, D: level, FromY: true},
	"nonzero": {F: func(x, _, _ float64) float64 { return step(x != 0) }, D: level, FromY: true},
	"isnan":   {F: func(x, _, _ float64) float64 { return step(x != x) }, D: level, FromY: true},
	"whole": { // x without its fraction, NaN outside of [a, b]
		F: func(x, a, b float64) float64 {
			if x = math.Trunc(x); x < a || x > b {
				return math.NaN()
			}
			return x
		},
		D: level, FromY: true,
	},
}

const (
	geluArgument = 0.7978845608028654 // √(2/π)
	geluCube     = 0.044715
)

// phi is the distribution function of the standard normal distribution.
func phi(x float64) float64 { return (1 + math.Erf(x/math.Sqrt2)) / 2 }

func softplus(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func level(_, _, _ float64) float64 { return 0 }

func step(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// Functions2 are the elementwise functions of two operands.
var Functions2 = map[string]func(a, b float64) float64{
	"add":      func(a, b float64) float64 { return a + b },
	"sub":      func(a, b float64) float64 { return a - b },
	"mul":      func(a, b float64) float64 { return a * b },
	"div":      func(a, b float64) float64 { return a / b },
	"max":      math.Max,
	"min":      math.Min,
	"pow":      math.Pow,
	"quotient": func(a, b float64) float64 { return math.Trunc(a / b) },
	"fmod":     math.Mod,
	"mod": func(a, b float64) float64 { // with the sign of b
		r := math.Mod(a, b)
		if r != 0 && (r < 0) != (b < 0) {
			r += b
		}
		return r
	},
	"equal":   func(a, b float64) float64 { return step(a == b) },
	"differ":  func(a, b float64) float64 { return step(a != b) },
	"less":    func(a, b float64) float64 { return step(a < b) },
	"notmore": func(a, b float64) float64 { return step(a <= b) },
	"greater": func(a, b float64) float64 { return step(a > b) },
	"notless": func(a, b float64) float64 { return step(a >= b) },
}

// flat lists functions of two operands that are constant wherever they are differentiable.
var flat = map[string]bool{
	"equal": true, "differ": true, "less": true, "notmore": true, "greater": true, "notless": true, "quotient": true,
}
