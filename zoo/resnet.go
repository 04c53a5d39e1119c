package zoo

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// ResNet is the ResNet for ImageNet of He et al., arXiv 1512.03385, of 18, 34, 50, 101 or 152 layers. Where a bottleneck halves the map,
// its 3×3 convolution does. Names and initial distributions are torchvision's: Kaiming normal by fan-out, PyTorch's default for the
// classifier.
func ResNet(depth int, o Options) (*ir.Graph, error) {
	name := fmt.Sprintf("resnet%d", depth)
	stages, ok := map[int][4]int{18: {2, 2, 2, 2}, 34: {3, 4, 6, 3}, 50: {3, 4, 6, 3}, 101: {3, 4, 23, 3}, 152: {3, 8, 36, 3}}[depth]
	if !ok {
		return nil, fmt.Errorf("zoo: %s: an ImageNet ResNet has 18, 34, 50, 101 or 152 layers", name)
	}
	o, err := o.with(sideImage, classImage, sideSmaller)
	if err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", name, err)
	}
	b, x := begin(name, o, torchLinear, torchNorm)
	x = b.conv(x, "conv1", o.width(64), window{kernel: 7, stride: 2})
	x = b.batchNorm(x, "bn1")
	x = b.relu(x, "relu")
	x = b.maxPool(x, "maxpool", 3, 2, 1)
	for stage, blocks := range stages {
		for block := range o.blocks(blocks) {
			stride := 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			label, width := fmt.Sprintf("layer%d.%d", stage+1, block), o.width(64<<stage)
			if depth < 50 {
				x = b.basicBlock(x, label, width, stride, b.downsample)
			} else {
				x = b.bottleneck(x, label, width, stride)
			}
		}
	}
	return b.classify(x, "fc", 0)
}

// bottleneck is relu(shortcut(x) + f(x)) with f a 1×1, a 3×3 and a 1×1 convolution to four times the width.
func (b *builder) bottleneck(x value, name string, width, stride int) value {
	f := b.conv(x, name+".conv1", width, window{kernel: 1, stride: 1})
	f = b.batchNorm(f, name+".bn1")
	f = b.relu(f, name+".relu1")
	f = b.conv(f, name+".conv2", width, window{kernel: 3, stride: stride})
	f = b.batchNorm(f, name+".bn2")
	f = b.relu(f, name+".relu2")
	f = b.conv(f, name+".conv3", 4*width, window{kernel: 1, stride: 1})
	f = b.batchNorm(f, name+".bn3")
	if stride != 1 || x.channels != 4*width {
		x = b.downsample(x, name, 4*width, stride)
	}
	f = b.add(x, f, name+".add")
	return b.relu(f, name+".relu3")
}

func (b *builder) downsample(x value, name string, out, stride int) value {
	x = b.conv(x, name+".downsample.0", out, window{kernel: 1, stride: stride})
	return b.batchNorm(x, name+".downsample.1")
}
