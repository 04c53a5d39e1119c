// Package zoo holds the networks that papers compare on, each as a function that returns an ir.Graph with fresh weights.
//
// In go options (input size, classes, width and depth multipliers, seed); out comes a graph of opset 17 with one input "input"
// (N, channels, size, size), one output "logits" (N, classes) and the symbolic batch "N". Every weight has the name that it has in the state_dict of
// the PyTorch implementation the function names, so that LoadWeights reads converted files, and the initial distribution of
// that implementation. A weight's values depend on the seed, its own name and its shape alone.
//
// With width and depth multipliers above one any of them serves as a larger supernet to search in.
package zoo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
)

// Options change a network. The zero value of a field means the model's own value.
type Options struct {
	Input    int     // side of the square input in pixels
	Channels int     // channels of the input, 3
	Classes  int     // outputs
	Width    float64 // multiplier of every width, 1
	Depth    float64 // multiplier of the blocks of every stage, rounded up, 1
	Shortcut string  // "A" or "B", CIFAR ResNets only: strided slice with zero channels, or 1×1 convolution; "A"
	Stem     int     // stride of the first convolution, MobileNetV2 and EfficientNets only, 1 or 2; 2, and 1 suits images of 32 pixels
	Dropout  float64 // ratio of every dropout layer; negative means none
	Seed     uint64  // of the random weights

	blank bool // weights stay zero
}

// Model is one line of the list of networks.
type Model struct {
	Name    string
	Doc     string // one line
	Input   int    // default side of the input
	Classes int    // default number of classes
}

// family builds one network of the table from options without zeros.
type family struct {
	Model
	build func(o Options) (*ir.Graph, error)
	own   string // the setting that not every network has, "" for none
}

const (
	cifarDoc    = "CIFAR ResNet of He et al. 2016, arXiv 1512.03385, section 4.2"
	resnetDoc   = "ResNet of He et al. 2016, arXiv 1512.03385, stride in the 3×3 convolution"
	effNetDoc   = "EfficientNet of Tan and Le 2019, arXiv 1905.11946, stem=1|2"
	sideImage   = 224
	classImage  = 1000
	sideCIFAR   = 32
	classCIFAR  = 10
	sideSmaller = 32 // the smallest side that survives five halvings
)

// families is every network by name, in the order of the list.
func families() []family {
	var all []family
	add := func(name, doc string, input, classes int, own string, build func(o Options) (*ir.Graph, error)) {
		all = append(all, family{Model{name, doc, input, classes}, build, own})
	}
	for _, depth := range []int{8, 14, 20, 32, 44, 56, 110} {
		add(fmt.Sprintf("resnet%d", depth), fmt.Sprintf("%s, %d blocks per stage, shortcut=A|B", cifarDoc, (depth-2)/6),
			sideCIFAR, classCIFAR, "shortcut", func(o Options) (*ir.Graph, error) { return CIFARResNet(depth, o) })
	}
	for _, depth := range []int{18, 34, 50, 101, 152} {
		add(fmt.Sprintf("resnet%d", depth), resnetDoc, sideImage, classImage, "", func(o Options) (*ir.Graph, error) { return ResNet(depth, o) })
	}
	add("vgg16-bn", "VGG-16 of Simonyan and Zisserman 2015, arXiv 1409.1556, with batch norm", sideImage, classImage, "", VGG16BN)
	add("mobilenetv2", "MobileNetV2 of Sandler et al. 2018, arXiv 1801.04381, stem=1|2", sideImage, classImage, "stem", MobileNetV2)
	for b, v := range efficientNets {
		add(fmt.Sprintf("efficientnet-b%d", b), effNetDoc, v.input, classImage, "stem", func(o Options) (*ir.Graph, error) { return EfficientNet(b, o) })
	}
	return all
}

// List is every network that Build knows, small ones first within a family.
func List() []Model {
	var out []Model
	for _, f := range families() {
		out = append(out, f.Model)
	}
	return out
}

// Names are the names of List.
func Names() []string {
	var out []string
	for _, f := range families() {
		out = append(out, f.Name)
	}
	return out
}

// Build makes the network of a specification: a name, alone or followed by settings, as in
// "mobilenetv2:width=1.5,depth=2,classes=10,input=32,seed=3".
//
// Settings are input, channels, classes, width, depth, shortcut, stem, dropout and seed, as in Options (dropout=0 leaves it out). Case, "-"
// and "_" in names do not matter. Errors list what is known.
func Build(spec string) (*ir.Graph, error) { return build(spec, false) }

// Outline is Build without drawing weights, which are zero: the structure and its costs, in a fraction of the time.
func Outline(spec string) (*ir.Graph, error) { return build(spec, true) }

func build(spec string, blank bool) (*ir.Graph, error) {
	name, settings, _ := strings.Cut(spec, ":")
	all := families()
	i := slices.IndexFunc(all, func(f family) bool { return plain(f.Name) == plain(name) })
	if i < 0 {
		return nil, fmt.Errorf("zoo: unknown network %q; known are %s", name, strings.Join(Names(), ", "))
	}
	o, err := parse(settings)
	if err != nil {
		return nil, fmt.Errorf("zoo: %s: %w", all[i].Name, err)
	}
	for _, special := range []struct {
		key   string
		given bool
	}{{"shortcut", o.Shortcut != ""}, {"stem", o.Stem != 0}} {
		if special.given && all[i].own != special.key {
			return nil, fmt.Errorf("zoo: %s: setting %s: this network does not have it", all[i].Name, special.key)
		}
	}
	o.blank = blank
	return all[i].build(o)
}

// plain is a name without the marks that differ between libraries.
func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
}
