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
}

const (
	geluArgument = 0.7978845608028654 // √(2/π)
	geluCube     = 0.044715
)

// phi is the distribution function of the standard normal distribution.
func phi(x float64) float64 { return (1 + math.Erf(x/math.Sqrt2)) / 2 }

func step(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// Functions2 are the elementwise functions of two operands.
var Functions2 = map[string]func(a, b float64) float64{
	"add":     func(a, b float64) float64 { return a + b },
	"sub":     func(a, b float64) float64 { return a - b },
	"mul":     func(a, b float64) float64 { return a * b },
	"div":     func(a, b float64) float64 { return a / b },
	"max":     math.Max,
	"min":     math.Min,
	"pow":     math.Pow,
	"greater": func(a, b float64) float64 { return step(a > b) },
	"notless": func(a, b float64) float64 { return step(a >= b) },
}
