package zoo

import (
	"fmt"
	"math"

	"github.com/dms-go/dms/ir"
)

// CIFARResNet is the ResNet for small images of He et al., arXiv 1512.03385, section 4.2: depth 6n+2 means three stages of n blocks with
// 16, 32 and 64 channels.
//
// Shortcut "A" between stages takes every second pixel and pads channels with zeros, half before and half after; "B" is a 1×1 convolution
// with batch norm. Names and initial distributions are those of akamaster/pytorch_resnet_cifar10: Kaiming normal by fan-in everywhere,
// biases uniform within ±1/√fan-in.
func CIFARResNet(depth int, o Options) (*ir.Graph, error) {
	name := fmt.Sprintf("resnet%d", depth)
	if depth < 8 || depth%6 != 2 || depth > 6*maxMultiplier*maxMultiplier {
		return nil, fmt.Errorf("zoo: %s: a CIFAR ResNet has 6n+2 layers, such as 8, 14, 20, 32, 44, 56, 110", name)
	}
	o, err := o.with(sideCIFAR, classCIFAR, 4)
	if err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", name, err)
	}
	o.Shortcut = or(o.Shortcut, "A")
	if o.Shortcut != "A" && o.Shortcut != "B" {
		return nil, fmt.Errorf("zoo: %s: setting shortcut: want A or B", name)
	}
	init := initials{fanIn: true, bias: torchLinear.bias, matrix: func(in, _ int) law { return law{std: math.Sqrt(2 / float64(in))} }}
	b, x := begin(name, o, init, torchNorm)
	x = b.conv(x, "conv1", o.width(16), window{kernel: 3, stride: 1})
	x = b.batchNorm(x, "bn1")
	x = b.relu(x, "relu1")
	for stage := range 3 {
		for block := range o.blocks((depth - 2) / 6) {
			stride := 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			x = b.basicBlock(x, fmt.Sprintf("layer%d.%d", stage+1, block), o.width(16<<stage), stride, b.cifarShortcut)
		}
	}
	return b.classify(x, "linear", 0)
}

// basicBlock is relu(shortcut(x) + f(x)) with f two 3×3 convolutions. change makes the shortcut where the shape changes.
func (b *builder) basicBlock(x value, name string, out, stride int, change func(x value, name string, out, stride int) value) value {
	f := b.conv(x, name+".conv1", out, window{kernel: 3, stride: stride})
	f = b.batchNorm(f, name+".bn1")
	f = b.relu(f, name+".relu1")
	f = b.conv(f, name+".conv2", out, window{kernel: 3, stride: 1})
	f = b.batchNorm(f, name+".bn2")
	if stride != 1 || x.channels != out {
		x = change(x, name, out, stride)
	}
	f = b.add(x, f, name+".add")
	return b.relu(f, name+".relu2")
}

func (b *builder) cifarShortcut(x value, name string, out, stride int) value {
	name += ".shortcut"
	if b.o.Shortcut == "B" {
		x = b.conv(x, name+".0", out, window{kernel: 1, stride: stride})
		return b.batchNorm(x, name+".1")
	}
	if stride != 1 {
		end := int64(math.MaxInt32)
		x.name = b.node("Slice", name+".slice", nil, x.name, b.ints("shortcut.starts", 0, 0), b.ints("shortcut.ends", end, end),
			b.ints("shortcut.axes", 2, 3), b.ints("shortcut.steps", 2, 2))
		x.side = (x.side-1)/2 + 1
	}
	before, after := (out-x.channels)/2, (out-x.channels+1)/2
	pads := b.ints(name+".pads", 0, int64(before), 0, 0, 0, int64(after), 0, 0)
	return value{b.node("Pad", name+".pad", ir.Attrs{"mode": ir.StringAttr("constant")}, x.name, pads), out, x.side}
}
