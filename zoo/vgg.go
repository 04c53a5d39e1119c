package zoo

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// VGG16BN is configuration D of Simonyan and Zisserman, arXiv 1409.1556, with batch norm after every convolution. Names and initial
// distributions are torchvision's: Kaiming normal by fan-out for convolutions, deviation 0.01 for matrices, zero biases.
//
// Torchvision pools the last map to 7×7. Here a map whose side is a multiple of seven is averaged down to that; any other goes to
// the classifier as it is, so that an input of 32 pixels has a classifier of 512 inputs.
func VGG16BN(o Options) (*ir.Graph, error) {
	const name = "vgg16-bn"
	o, err := o.with(sideImage, classImage, sideSmaller)
	if err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", name, err)
	}
	init := initials{matrix: func(int, int) law { return law{std: 0.01} }, bias: func(int) law { return law{} }}
	b, x := begin(name, o, init, torchNorm)
	layer := 0
	next := func() string {
		layer++
		return fmt.Sprintf("features.%d", layer-1)
	}
	for _, stage := range []struct{ width, convs int }{{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}} {
		for range o.blocks(stage.convs) {
			x = b.conv(x, next(), o.width(stage.width), window{kernel: 3, stride: 1, bias: true})
			x = b.batchNorm(x, next())
			x = b.relu(x, next())
		}
		x = b.maxPool(x, next(), 2, 2, 0)
	}
	if x.side > 7 && x.side%7 == 0 {
		x = b.averagePool(x, "avgpool", x.side/7)
	}
	x = b.flatten(x, "flatten")
	hidden := o.width(4096)
	for i := range 2 {
		at := func(j int) string { return fmt.Sprintf("classifier.%d", 3*i+j) }
		x = b.linear(x, at(0), at(0), hidden)
		x = b.relu(x, at(1))
		x = b.dropout(x, at(2), 0.5)
	}
	return b.end(b.linear(x, "classifier.6", "logits", o.Classes))
}
