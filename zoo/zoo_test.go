package zoo_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/zoo"
)

// TestCostsEqualPublished compares with what others counted. The ImageNet networks: num_params and _ops (10⁹ multiply-accumulates to three
// digits after the point) of the weights' documentation in torchvision 0.15 and later, pytorch.org/vision/stable/models.html. The
// CIFAR ResNets: the parameter counts of akamaster/pytorch_resnet_cifar10's table where digits is 0.01 M, exact counts where weights
// are public; the multiply-accumulates of ResNet-20 from the golden values of this project's reference. For 8 and 14 layers
// nobody publishes counts: they follow from the recurrence of the others, in TestDepthFollowsTheFormula.
func TestCostsEqualPublished(t *testing.T) {
	for _, want := range []struct {
		spec         string
		macs         float64 // 10⁹; 0: not published
		params       float64
		macsD, parmD float64 // half of the last published digit
	}{
		{"resnet20", 0.040551040, 269_722, 0, 0},
		{"resnet32", 0, 464_154, 0, 0},
		{"resnet44", 0, 0.66e6, 0, 0.005e6},
		{"resnet56", 0, 0.85e6, 0, 0.005e6},
		{"resnet110", 0, 1.7e6, 0, 0.05e6},
		{"resnet18", 1.814, 11_689_512, 0.0005, 0},
		{"resnet34", 3.664, 21_797_672, 0.0005, 0},
		{"resnet50", 4.089, 25_557_032, 0.0005, 0},
		{"resnet101", 7.801, 44_549_160, 0.0005, 0},
		{"resnet152", 11.514, 60_192_808, 0.0005, 0},
		{"vgg16-bn", 15.47, 138_365_992, 0.0005, 0},
		{"mobilenetv2", 0.301, 3_504_872, 0.0005, 0},
		{"efficientnet-b0", 0.386, 5_288_548, 0.0005, 0},
		{"efficientnet-b1", 0.687, 7_794_184, 0.0005, 0},
		{"efficientnet-b2", 1.088, 9_109_994, 0.0005, 0},
		{"efficientnet-b3", 1.827, 12_233_232, 0.0005, 0},
		{"efficientnet-b4", 4.394, 19_341_616, 0.0005, 0},
		{"efficientnet-b5", 10.266, 30_389_784, 0.0005, 0},
		{"efficientnet-b6", 19.068, 43_040_704, 0.0005, 0},
		{"efficientnet-b7", 37.746, 66_347_960, 0.0005, 0},
	} {
		if testing.Short() && want.params > 25e6 {
			continue // the weights of the large ones take seconds to draw under the race detector
		}
		c, err := cost.Count(build(t, want.spec))
		if err != nil {
			t.Errorf("%s: %v", want.spec, err)
			continue
		}
		if want.macs != 0 && math.Abs(float64(c.MACs)/1e9-want.macs) > want.macsD {
			t.Errorf("%s: %d MACs, published %v G", want.spec, c.MACs, want.macs)
		}
		if math.Abs(float64(c.Params)-want.params) > want.parmD {
			t.Errorf("%s: %d parameters, published %v", want.spec, c.Params, want.params)
		}
		t.Logf("%-16s %14d MACs %12d parameters %12d bytes", want.spec, c.MACs, c.Params, c.Bytes)
	}
}

func count(t *testing.T, spec string) cost.Cost {
	t.Helper()
	c, err := cost.Count(build(t, spec))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDepthFollowsTheFormula: one more block per stage adds the same to every CIFAR ResNet.
func TestDepthFollowsTheFormula(t *testing.T) {
	c8, c14, c20, c44 := count(t, "resnet8"), count(t, "resnet14"), count(t, "resnet20"), count(t, "resnet44")
	if c14.MACs-c8.MACs != c20.MACs-c14.MACs || c44.MACs-c20.MACs != 4*(c20.MACs-c14.MACs) {
		t.Errorf("MACs of 8, 14, 20, 44 layers: %d, %d, %d, %d", c8.MACs, c14.MACs, c20.MACs, c44.MACs)
	}
	if c := count(t, "resnet8:depth=3"); c != c20 {
		t.Errorf("resnet8 of triple depth costs %v, resnet20 %v", c, c20)
	}
	// The two 1×1 shortcuts of option B: 16·32+32·64 weights and four batch-norm vectors.
	if b := count(t, "resnet20:shortcut=B"); b.Params-c20.Params != 16*32+32*64+2*(32+64) {
		t.Errorf("shortcut B adds %d parameters", b.Params-c20.Params)
	}
}

// TestEveryNetworkIsValid builds each network small and with both multipliers off one.
func TestEveryNetworkIsValid(t *testing.T) {
	for _, name := range zoo.Names() {
		for _, settings := range []string{"classes=7,width=0.25", "classes=7,width=0.3,depth=1.2,channels=1,input=36,dropout=0"} {
			g := build(t, name+":"+settings)
			if err := ir.Validate(g); err != nil {
				t.Errorf("%s:%s: %v", name, settings, err)
				continue
			}
			info, err := ir.InferShapes(g, map[string]int{"N": 3})
			if err != nil {
				t.Errorf("%s:%s: %v", name, settings, err)
				continue
			}
			if got, want := info["logits"].Shape.String(), "(3, 7)"; got != want {
				t.Errorf("%s:%s: logits %s, want %s", name, settings, got, want)
			}
			if len(g.Outputs) != 1 || g.Outputs[0].Name != "logits" {
				t.Errorf("%s:%s: outputs %v", name, settings, g.Outputs)
			}
		}
	}
}

func TestMultipliersScaleEveryStage(t *testing.T) {
	g := build(t, "mobilenetv2:width=1.5,depth=2,classes=10,input=32,seed=4")
	for name, want := range map[string][]int{
		"features.0.0.weight":        {48, 3, 3, 3},
		"features.2.conv.0.0.weight": {24, 1, 3, 3}, // the second block of stage one, which expands by 1
		"features.35.0.weight":       {1920, 480, 1, 1},
		"classifier.1.weight":        {10, 1920},
	} {
		w := g.Weights[name]
		if w == nil || !slices.Equal(w.Shape, want) {
			t.Errorf("%s: got %v, want %v", name, w, want)
		}
	}
	// A first stride of 1 computes on 32 pixels what one of 2 does on 64.
	for _, name := range []string{"mobilenetv2", "efficientnet-b0"} {
		near, far := count(t, name+":stem=1,input=32"), count(t, name+":input=64")
		if near != far {
			t.Errorf("%s costs %+v with stem 1 at 32 pixels, %+v at 64", name, near, far)
		}
	}
	if w := build(t, "mobilenetv2:width=0.5").Weights["features.18.0.weight"]; w == nil || w.Shape[0] != 1280 {
		t.Errorf("the last width shrank with the multiplier: %v", w)
	}
	if w := build(t, "resnet20:width=1.5").Weights["layer2.1.conv1.weight"]; w == nil || !slices.Equal(w.Shape, []int{48, 48, 3, 3}) {
		t.Errorf("resnet20 of width 1.5: %v", w)
	}
}

func TestWeightsDependOnSeedAlone(t *testing.T) {
	a, b, c := build(t, "resnet8:seed=5"), build(t, "resnet14:seed=5"), build(t, "resnet8:seed=6")
	const name = "layer2.0.conv2.weight"
	if !a.Weights[name].Equal(build(t, "resnet8:seed=5").Weights[name]) {
		t.Error("two builds differ")
	}
	if !a.Weights[name].Equal(b.Weights[name]) {
		t.Error("a weight depends on the layers beside it")
	}
	if a.Weights[name].Equal(c.Weights[name]) {
		t.Error("another seed gives the same weights")
	}
	if a.Weights[name].Equal(a.Weights["layer2.0.conv1.weight"]) {
		t.Error("two weights of one network are equal")
	}
}

// TestInitialDistributions checks mean, deviation and range against the law that each implementation documents.
func TestOutlineIsBuildWithoutWeights(t *testing.T) {
	const spec = "mobilenetv2:width=0.25,depth=2,classes=7,input=64"
	want := build(t, spec)
	got, err := zoo.Outline(spec)
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	for name, w := range want.Weights {
		o := got.Weights[name]
		if o == nil || !slices.Equal(o.Shape, w.Shape) {
			t.Fatalf("weight %s: %v, want shape %v", name, o, w.Shape)
		}
		if strings.HasSuffix(name, ".weight") && len(w.Shape) > 1 {
			drawn++
			if slices.ContainsFunc(o.F32, func(x float32) bool { return x != 0 }) {
				t.Errorf("weight %s is drawn", name)
			}
		}
		got.Weights[name] = w
	}
	if err := ir.EqualGraphs(got, want); err != nil || drawn == 0 {
		t.Errorf("but for %d matrices the networks differ: %v", drawn, err)
	}
	if _, err := zoo.Outline("nothing"); err == nil {
		t.Error("an unknown network has an outline")
	}
}

func TestInitialDistributions(t *testing.T) {
	r18, r20, e0 := build(t, "resnet18"), build(t, "resnet20:width=4"), build(t, "efficientnet-b0")
	m2 := build(t, "mobilenetv2")
	for _, tc := range []struct {
		g    *ir.Graph
		name string
		std  float64
	}{
		{r18, "layer4.1.conv2.weight", math.Sqrt(2.0 / (512 * 9))}, // fan-out
		{r18, "layer4.0.downsample.0.weight", math.Sqrt(2.0 / 512)},
		{r18, "fc.weight", 1 / math.Sqrt(512*3)}, // uniform within ±1/√512
		{r20, "layer3.0.conv1.weight", math.Sqrt(2.0 / (128 * 9))},
		{r20, "linear.weight", math.Sqrt(2.0 / 256)},
		{m2, "features.17.conv.1.0.weight", math.Sqrt(2.0 / (960 * 9))},
		{m2, "classifier.1.weight", 0.01},
		{e0, "features.7.0.block.2.fc1.weight", math.Sqrt(2.0 / 48)},
		{e0, "classifier.1.weight", 1 / math.Sqrt(1000*3)},
	} {
		w := tc.g.Weights[tc.name]
		if w == nil {
			t.Errorf("%s is missing", tc.name)
			continue
		}
		var sum, square, fourth float64
		for _, v := range w.F32 {
			x := float64(v) / tc.std
			sum += x
			square += x * x
			fourth += x * x * x * x
		}
		n := float64(len(w.F32))
		if mean := sum / n; math.Abs(mean) > 5/math.Sqrt(n) {
			t.Errorf("%s: mean %v deviations", tc.name, mean)
		}
		if v := square / n; math.Abs(v-1) > 5*math.Sqrt(2/n) {
			t.Errorf("%s: variance %v of the expected", tc.name, v)
		}
		uniform := strings.HasPrefix(tc.name, "fc") || tc.g == e0 && strings.HasPrefix(tc.name, "classifier")
		if kurtosis := fourth / n; math.Abs(kurtosis-map[bool]float64{false: 3, true: 1.8}[uniform]) > 50/math.Sqrt(n) {
			t.Errorf("%s: kurtosis %v", tc.name, kurtosis)
		}
	}
	for name, want := range map[string]float32{"bn1.weight": 1, "bn1.bias": 0, "bn1.running_mean": 0, "bn1.running_var": 1} {
		if v := r18.Weights[name].F32; v[0] != want || slices.ContainsFunc(v, func(x float32) bool { return x != want }) {
			t.Errorf("%s does not start at %v", name, want)
		}
	}
}

func TestBuildNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct{ spec, want string }{
		{"", "known are resnet8, resnet14"},
		{"resnet19", `unknown network "resnet19"; known are`},
		{"resnet20:witdh=2", `unknown setting "witdh"; known are input, channels, classes, width`},
		{"resnet20:width", `setting "width": want key=value`},
		{"resnet20:width=2,width=3", "setting width is given twice"},
		{"resnet20:width=-1", "setting width=-1: want a number above 0"},
		{"resnet20:width=NaN", "setting width=NaN: want a number above 0"},
		{"resnet20:width=1e9", "setting width: want above 0, at most 64"},
		{"resnet20:classes=0,seed=-1", "setting classes=0"},
		{"resnet20:classes=0,seed=-1", "setting seed=-1"},
		{"resnet20:shortcut=C", "setting shortcut: want A or B"},
		{"resnet20:stem=1", "setting stem: this network does not have it"},
		{"vgg16-bn:shortcut=A", "setting shortcut: this network does not have it"},
		{"mobilenetv2:stem=3", "setting stem: want a stride of 1 or 2"},
		{"resnet20:input=1000000", "setting input: want a side of 4 to 8192 pixels"},
		{"vgg16-bn:input=16", "setting input: want a side of 32"},
		{"vgg16-bn:width=64", "more than 1073741824 parameters"},
		{"mobilenetv2:dropout=1", "setting dropout=1: want a ratio in [0, 1)"},
	} {
		g, err := zoo.Build(tc.spec)
		if err == nil || g != nil {
			t.Errorf("%q: no error", tc.spec)
			continue
		}
		if !strings.HasPrefix(err.Error(), "zoo: ") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %q does not say %q", tc.spec, err, tc.want)
		}
	}
	for _, alias := range []string{"MobileNet_V2:input=32", "efficientnet_b0:input=32", "vgg16_bn:width=0.1"} {
		build(t, alias)
	}
}

func TestListDescribesEveryNetwork(t *testing.T) {
	list := zoo.List()
	if len(list) != 22 {
		t.Errorf("%d networks, want 22", len(list))
	}
	for _, m := range list {
		if m.Name == "" || m.Doc == "" || strings.Contains(m.Doc, "\n") || m.Input == 0 || m.Classes == 0 {
			t.Errorf("incomplete line %+v", m)
		}
	}
}

func build(t *testing.T, spec string) *ir.Graph {
	t.Helper()
	g, err := zoo.Build(spec)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func ExampleBuild() {
	g, err := zoo.Build("resnet20:width=1.5,classes=100")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(g.Name, g.Weights["conv1.weight"].Shape, g.Weights["linear.weight"].Shape)

	_, err = zoo.Build("resnet20:shape=round")
	fmt.Println(err)
	// Output:
	// resnet20 [24 3 3 3] [100 96]
	// zoo: resnet20: unknown setting "shape"; known are input, channels, classes, width, depth, shortcut, stem, dropout, seed
}

func BenchmarkBuildEfficientNetB7(b *testing.B) {
	for b.Loop() {
		if _, err := zoo.EfficientNet(7, zoo.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
