package conv

import (
	"fmt"
	"testing"

	"github.com/dms-go/dms/internal/kernel"
)

// depthwise lists the depthwise convolutions of MobileNetV2 at batch 16 and EfficientNet-B0 at batch 8, 224² images.
var depthwise = []struct{ batch, side, channels, window, stride int }{
	{16, 112, 32, 3, 1}, {16, 112, 96, 3, 2}, {16, 56, 144, 3, 1}, {16, 56, 144, 3, 2}, {16, 28, 192, 3, 1}, {16, 28, 192, 3, 2},
	{16, 14, 384, 3, 1}, {16, 14, 576, 3, 1}, {16, 14, 576, 3, 2}, {16, 7, 960, 3, 1},
	{8, 56, 144, 5, 2}, {8, 28, 240, 5, 1}, {8, 14, 480, 5, 1}, {8, 14, 672, 5, 1}, {8, 14, 672, 5, 2}, {8, 7, 1152, 5, 1},
}

func BenchmarkDepthwise(b *testing.B) {
	for _, d := range depthwise {
		s := square(d.batch, d.side, d.channels, d.channels, d.window, d.stride, d.window/2, d.channels)
		for _, variant := range kernel.Variants() {
			for _, workers := range []int{1, 2} {
				restore := kernel.Use(variant)
				benchmarkShape(b, fmt.Sprintf("%dx%d-%d@%ds%d/%s", d.window, d.window, d.channels, d.side, d.stride, variant), s, workers)
				restore()
			}
		}
	}
}
