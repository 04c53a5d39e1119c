package conv

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// macs is the number of multiplications of one direction.
func (s Shape) macs() float64 {
	return float64(s.N*s.OH*s.OW*s.O) * float64(s.KH*s.KW*s.C/s.Group)
}

var benchmarks = []struct {
	name string
	s    Shape
}{
	{"cifar/3-16@32", square(64, 32, 3, 16, 3, 1, 1, 1)},
	{"cifar/16-16@32", square(64, 32, 16, 16, 3, 1, 1, 1)},
	{"cifar/16-32@32s2", square(64, 32, 16, 32, 3, 2, 1, 1)},
	{"cifar/32-32@16", square(64, 16, 32, 32, 3, 1, 1, 1)},
	{"cifar/32-64@16s2", square(64, 16, 32, 64, 3, 2, 1, 1)},
	{"cifar/64-64@8", square(64, 8, 64, 64, 3, 1, 1, 1)},
	{"pruned/11-13@32", square(64, 32, 11, 13, 3, 1, 1, 1)},
	{"pruned/27-13@16", square(64, 16, 27, 13, 3, 1, 1, 1)},
	{"pruned/40-51@8", square(64, 8, 40, 51, 3, 1, 1, 1)},
	{"resnet50/64-256@56", square(8, 56, 64, 256, 1, 1, 0, 1)},
	{"resnet50/256-64@56", square(8, 56, 256, 64, 1, 1, 0, 1)},
	{"resnet50/512-128@28", square(8, 28, 512, 128, 1, 1, 0, 1)},
	{"resnet50/128-512@28", square(8, 28, 128, 512, 1, 1, 0, 1)},
	{"resnet50/1024-256@14", square(8, 14, 1024, 256, 1, 1, 0, 1)},
	{"resnet50/256-1024@14", square(8, 14, 256, 1024, 1, 1, 0, 1)},
	{"resnet50/2048-512@7", square(8, 7, 2048, 512, 1, 1, 0, 1)},
	{"resnet50/512-2048@7", square(8, 7, 512, 2048, 1, 1, 0, 1)},
	{"resnet50/128-128@56s2", square(8, 56, 128, 128, 3, 2, 1, 1)},
	{"resnet50/1024-2048@14s2", square(8, 14, 1024, 2048, 1, 2, 0, 1)},
	{"mobilenet/96-24@56", square(16, 56, 96, 24, 1, 1, 0, 1)},
	{"mobilenet/24-144@56", square(16, 56, 24, 144, 1, 1, 0, 1)},
	{"mobilenet/64-384@14", square(16, 14, 64, 384, 1, 1, 0, 1)},
	{"mobilenet/576-96@14", square(16, 14, 576, 96, 1, 1, 0, 1)},
	{"mobilenet/320-1280@7", square(16, 7, 320, 1280, 1, 1, 0, 1)},
	{"resnet50/256-256@14", square(8, 14, 256, 256, 3, 1, 1, 1)},
	{"resnet50/3-64@224s2", square(8, 224, 3, 64, 7, 2, 3, 1)},
	{"mobilenet/depthwise96@56", square(2, 56, 96, 96, 3, 1, 1, 96)},
	{"mobilenet/depthwise96@56s2", square(2, 56, 96, 96, 3, 2, 1, 96)},
	{"mobilenet/depthwise576@14", square(4, 14, 576, 576, 3, 1, 1, 576)},
	{"resnext/128-128@28g32", square(2, 28, 128, 128, 3, 1, 1, 32)},
}

func BenchmarkConv(b *testing.B) {
	for _, bm := range benchmarks {
		for _, variant := range kernel.Variants() {
			for _, workers := range []int{1, 2} {
				restore := kernel.Use(variant)
				benchmarkShape(b, bm.name+"/"+variant, bm.s, workers)
				restore()
			}
		}
	}
}

func benchmarkShape(b *testing.B, name string, s Shape, workers int) {
	rng := rand.New(rand.NewPCG(1, 1))
	nx, nw, ny := s.sizes()
	x, w, y := normal(rng, nx), normal(rng, nw), make([]float32, ny)
	dy, dx, dw := normal(rng, ny), make([]float32, nx), make([]float32, nw)
	scratch := make([]float32, max(ScratchForward(s, workers), ScratchDataGrad(s, workers), ScratchWeightGrad(s, workers)))
	for _, direction := range []struct {
		name string
		run  func(p *parallel.Pool)
	}{
		{"forward", func(p *parallel.Pool) { Forward(p, s, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, scratch) }},
		{"datagrad", func(p *parallel.Pool) { DataGrad(p, s, dx, dy, w, scratch) }},
		{"weightgrad", func(p *parallel.Pool) { WeightGrad(p, s, dw, x, dy, scratch) }},
	} {
		b.Run(fmt.Sprintf("%s/%s/workers=%d", name, direction.name, workers), func(b *testing.B) {
			p := parallel.New(workers)
			defer p.Close()
			for b.Loop() {
				direction.run(p)
			}
			b.ReportMetric(2*s.macs()*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
		})
	}
}

// BenchmarkResNet20 runs the convolutions of a ResNet-20 step on batches of 64: all directions but the data gradient of the
// first layer.
func BenchmarkResNet20(b *testing.B) {
	for _, variant := range kernel.Variants() {
		b.Run(variant, func(b *testing.B) {
			defer kernel.Use(variant)()
			benchmarkResNet20(b)
		})
	}
}

func benchmarkResNet20(b *testing.B) {
	layers := []struct {
		s     Shape
		times int
	}{
		{square(64, 32, 3, 16, 3, 1, 1, 1), 1},
		{square(64, 32, 16, 16, 3, 1, 1, 1), 6},
		{square(64, 32, 16, 32, 3, 2, 1, 1), 1},
		{square(64, 16, 32, 32, 3, 1, 1, 1), 5},
		{square(64, 16, 32, 64, 3, 2, 1, 1), 1},
		{square(64, 8, 64, 64, 3, 1, 1, 1), 5},
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var x, w, y, dw, scratch []float32
	const workers = 2
	p := parallel.New(workers)
	defer p.Close()
	var flops float64
	for _, l := range layers {
		nx, nw, ny := l.s.sizes()
		x, w, y, dw = longer(rng, x, nx), longer(rng, w, nw), longer(rng, y, ny), longer(rng, dw, nw)
		scratch = longer(rng, scratch, max(ScratchForward(l.s, workers), ScratchDataGrad(l.s, workers), ScratchWeightGrad(l.s, workers)))
		flops += 6 * l.s.macs() * float64(l.times)
	}
	flops -= 2 * layers[0].s.macs()
	dx := make([]float32, len(x))
	for b.Loop() {
		for i, l := range layers {
			for range l.times {
				Forward(p, l.s, y, x, Filter[float32]{Raw: w}, Epilogue[float32]{}, scratch)
				if i > 0 {
					DataGrad(p, l.s, dx, y, w, scratch)
				}
				WeightGrad(p, l.s, dw, x, y, scratch)
			}
		}
	}
	b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
}

func longer(rng *rand.Rand, s []float32, n int) []float32 {
	if len(s) < n {
		return normal(rng, n)
	}
	return s
}
