package zoo

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// MobileNetV2 is the network of Sandler et al., arXiv 1801.04381, table 2. Widths are multiples of eight; the last one, 1280, grows
// with the multiplier but does not shrink, as in the paper. Names and initial distributions are torchvision's: Kaiming normal by fan-out,
// deviation 0.01 and zero bias in the classifier.
func MobileNetV2(o Options) (*ir.Graph, error) {
	const name = "mobilenetv2"
	o, err := o.with(sideImage, classImage, sideSmaller)
	if err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", name, err)
	}
	init := initials{matrix: func(int, int) law { return law{std: 0.01} }, bias: func(int) law { return law{} }}
	b, x := begin(name, o, init, torchNorm)
	x = b.convNormAct(x, "features.0", o.width8(32), window{kernel: 3, stride: o.Stem}, b.relu6)
	index := 1
	for _, s := range []struct{ expand, width, blocks, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		for block := range o.blocks(s.blocks) {
			stride := 1
			if block == 0 {
				stride = s.stride
			}
			x = b.invertedResidual(x, fmt.Sprintf("features.%d.conv", index), s.expand, o.width8(s.width), stride)
			index++
		}
	}
	last := max(1280, o.width8(1280))
	x = b.convNormAct(x, fmt.Sprintf("features.%d", index), last, window{kernel: 1, stride: 1}, b.relu6)
	return b.classify(x, "classifier.1", 0.2)
}

// convNormAct is a convolution with batch norm, as name.0 and name.1, and an activation.
func (b *builder) convNormAct(x value, name string, out int, w window, act func(x value, name string) value) value {
	x = b.conv(x, name+".0", out, w)
	x = b.batchNorm(x, name+".1")
	return act(x, name+".2")
}

// invertedResidual widens by a 1×1 convolution, filters each channel and narrows again without activation; where the shape stays, x is
// added.
func (b *builder) invertedResidual(x value, name string, expand, out, stride int) value {
	f, step := x, 0
	if expand != 1 {
		f = b.convNormAct(f, name+".0", x.channels*expand, window{kernel: 1, stride: 1}, b.relu6)
		step++
	}
	f = b.convNormAct(f, fmt.Sprintf("%s.%d", name, step), f.channels, window{kernel: 3, stride: stride, group: f.channels}, b.relu6)
	f = b.conv(f, fmt.Sprintf("%s.%d", name, step+1), out, window{kernel: 1, stride: 1})
	f = b.batchNorm(f, fmt.Sprintf("%s.%d", name, step+2))
	if stride != 1 || x.channels != out {
		return f
	}
	return b.add(x, f, name+".add")
}
