package zoo

import (
	"fmt"
	"math"

	"github.com/dms-go/dms/ir"
)

// efficientNets are the compound scalings B0 to B7: Tan and Le, arXiv 1905.11946, with the input sizes and batch-norm constants of
// torchvision, whose weights for B5 to B7 came from TensorFlow. (The paper gives B2 260 pixels; torchvision's figures are for 288.)
var efficientNets = [...]struct {
	width, depth, dropout float64
	input                 int
	bn                    norm
}{
	{1.0, 1.0, 0.2, 224, torchNorm}, {1.0, 1.1, 0.2, 240, torchNorm}, {1.1, 1.2, 0.3, 288, torchNorm}, {1.2, 1.4, 0.3, 300, torchNorm},
	{1.4, 1.8, 0.4, 380, torchNorm}, {1.6, 2.2, 0.4, 456, tfNorm}, {1.8, 2.6, 0.5, 528, tfNorm}, {2.0, 3.1, 0.5, 600, tfNorm},
}

var tfNorm = norm{1e-3, 0.99}

// EfficientNet is EfficientNet-B0 to B7 by its number. Options.Width and Options.Depth multiply what the number gives; widths are multiples
// of eight. Names and initial distributions are torchvision's: Kaiming normal by fan-out, a classifier uniform within ±1/√classes.
// Stochastic depth, a training-time regulariser, is left out.
func EfficientNet(number int, o Options) (*ir.Graph, error) {
	name := fmt.Sprintf("efficientnet-b%d", number)
	if number < 0 || number >= len(efficientNets) {
		return nil, fmt.Errorf("zoo: %s: EfficientNets are numbered 0 to %d", name, len(efficientNets)-1)
	}
	v := efficientNets[number]
	o, err := o.with(v.input, classImage, sideSmaller)
	if err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", name, err)
	}
	own := Options{Width: v.width, Depth: v.depth} // the published network; o then scales that one
	width := func(n int) int { return o.width8(own.width8(n)) }
	init := initials{matrix: func(_, out int) law { return law{bound: 1 / math.Sqrt(float64(out))} }, bias: func(int) law { return law{} }}
	b, x := begin(name, o, init, v.bn)
	x = b.convNormAct(x, "features.0", width(32), window{kernel: 3, stride: o.Stem}, b.silu)
	stages := []struct{ expand, kernel, stride, width, blocks int }{
		{1, 3, 1, 16, 1}, {6, 3, 2, 24, 2}, {6, 5, 2, 40, 2}, {6, 3, 2, 80, 3}, {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4}, {6, 3, 1, 320, 1},
	}
	for i, s := range stages {
		for block := range o.blocks(own.blocks(s.blocks)) {
			w := window{kernel: s.kernel, stride: 1}
			if block == 0 {
				w.stride = s.stride
			}
			x = b.mbConv(x, fmt.Sprintf("features.%d.%d.block", i+1, block), s.expand, width(s.width), w)
		}
	}
	x = b.convNormAct(x, fmt.Sprintf("features.%d", len(stages)+1), 4*x.channels, window{kernel: 1, stride: 1}, b.silu)
	return b.classify(x, "classifier.1", v.dropout)
}

// mbConv is the inverted residual with squeeze-and-excitation between the depthwise and the last convolution.
func (b *builder) mbConv(x value, name string, expand, out int, w window) value {
	f, step := x, 0
	at := func() string {
		step++
		return fmt.Sprintf("%s.%d", name, step-1)
	}
	if wide := divisible(float64(x.channels * expand)); wide != x.channels {
		f = b.convNormAct(f, at(), wide, window{kernel: 1, stride: 1}, b.silu)
	}
	w.group = f.channels
	f = b.convNormAct(f, at(), f.channels, w, b.silu)
	f = b.squeezeExcite(f, at(), max(1, x.channels/4))
	last := at()
	f = b.conv(f, last+".0", out, window{kernel: 1, stride: 1})
	f = b.batchNorm(f, last+".1")
	if w.stride != 1 || x.channels != out {
		return f
	}
	return b.add(x, f, name+".add")
}

// squeezeExcite multiplies every channel by a gate that a small network computes from the channels' means.
func (b *builder) squeezeExcite(x value, name string, squeezed int) value {
	gate := b.globalPool(x, name+".avgpool")
	gate = b.conv(gate, name+".fc1", squeezed, window{kernel: 1, stride: 1, bias: true})
	gate = b.silu(gate, name+".activation")
	gate = b.conv(gate, name+".fc2", x.channels, window{kernel: 1, stride: 1, bias: true})
	gate = b.unary("Sigmoid", gate, name+".scale_activation")
	x.name = b.node("Mul", name+".mul", nil, x.name, gate.name)
	return x
}
