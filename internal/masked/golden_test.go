package masked_test

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/internal/safetensors"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/zoo"
)

// The golden values come from an independent PyTorch reference of the method on a pretrained ResNet-20 (golden/README.md in the shared data):
// masks, costs and their gradients, logits, and the gradients of the loss with respect to the masks. Tolerances are five times what that
// reference loses itself in float32, relative to the largest value of a quantity (f32_relative_error in golden.json).
const (
	tolCost  = 5 * 2.8e-7
	tolLogit = 5 * 7.3e-7
	tolLoss  = 5 * 1.1e-7
)

var tolGrad = map[string]float64{"eval": 5 * 2.7e-6, "train": 5 * 2.6e-4}

func tensorsOf(t *testing.T, rel string) map[string]*ir.Tensor {
	t.Helper()
	data, err := os.ReadFile(testkit.Shared(t, rel))
	if err != nil {
		t.Fatal(err)
	}
	tensors, _, err := safetensors.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return tensors
}

// goldenName translates our names of groups: inner.P is what P.conv2 reads, stream.s and depth.s belong to stage s.
func goldenName(group string) string {
	switch {
	case group == "conv1+3":
		return "stream.1"
	case strings.HasPrefix(group, "depth.layer"):
		return "depth." + strings.TrimPrefix(group, "depth.layer")
	case strings.HasSuffix(group, ".0.conv2+2"):
		return "stream." + group[len("layer"):len("layer")+1]
	}
	return "inner." + strings.TrimSuffix(group, ".conv1")
}

func TestGoldenResNet20(t *testing.T) {
	golden := tensorsOf(t, "golden/golden.safetensors")
	g, err := zoo.Build("resnet20")
	if err != nil {
		t.Fatal(err)
	}
	if err := zoo.LoadWeights(g, tensorsOf(t, "data/cifar-resnet/resnet20.safetensors")); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]space.Options{
		"A": {Freeze: []string{"conv1+3", "layer?.0.conv2+2"}},
		"B": {},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := space.Find(g, o)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]int{"A": 12, "B": 15}[name]; len(s.Groups) != want {
				t.Fatalf("%d groups, want %d", len(s.Groups), want)
			}
			c := goldenCase{t: t, g: g, s: s, name: name, golden: golden}
			c.read()
			c.costs()
			for _, mode := range []string{"eval", "train"} {
				for place, on := range places {
					c.network(mode, place, on)
				}
			}
			c.cut()
		})
	}
}

type goldenCase struct {
	t      *testing.T
	g      *ir.Graph
	s      *space.Space
	name   string
	golden map[string]*ir.Tensor

	soft, hard, dmda [][]float64 // by group
	sel              space.Selection
}

func (c *goldenCase) values(parts ...string) []float64 {
	c.t.Helper()
	key := c.name + "." + strings.Join(parts, ".")
	w := c.golden[key]
	if w == nil {
		c.t.Fatalf("there is no golden value %s", key)
	}
	out := make([]float64, len(w.F32))
	for i, v := range w.F32 {
		out[i] = float64(v)
	}
	return out
}

// near compares with a tolerance relative to the largest golden value.
func (c *goldenCase) near(what string, got, want []float64, tol float64) {
	c.t.Helper()
	if len(got) != len(want) {
		c.t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	scale, worst := 0.0, 0.0
	for i, w := range want {
		scale = max(scale, math.Abs(w))
		worst = max(worst, math.Abs(got[i]-w))
	}
	if !(worst <= tol*scale) {
		c.t.Errorf("%s: differs by %.2g of the largest value, allowed is %.2g", what, worst/scale, tol)
	}
}

func (c *goldenCase) read() {
	c.sel.Keep = map[string][]int{}
	for _, group := range c.s.Groups {
		name := goldenName(group.Name)
		m, keep := c.values(name, "m"), c.values(name, "keep")
		c.soft = append(c.soft, m)
		c.hard = append(c.hard, keep)
		d := make([]float64, len(m))
		list := []int{}
		for i, v := range m {
			d[i] = -group.Sharpness * float64(group.N) * v * (1 - v)
			if keep[i] == 1 {
				list = append(list, i)
			}
		}
		c.dmda = append(c.dmda, d)
		c.sel.Keep[group.Name] = list
	}
}

func (c *goldenCase) costs() {
	m, err := cost.NewModel(c.g, c.s)
	if err != nil {
		c.t.Fatal(err)
	}
	if got := m.Full().MACs; got != 40551040 {
		c.t.Errorf("full MACs %d, want 40551040", got)
	}
	if got, want := m.At(c.sel).MACs, map[string]int64{"A": 21234304, "B": 16920034}[c.name]; got != want {
		c.t.Errorf("hard MACs %d, want %d", got, want)
	}
	// st: width counts hard in value and soft in gradient, blocks soft.
	st := make([][]float64, len(c.s.Groups))
	for i, group := range c.s.Groups {
		st[i] = c.hard[i]
		if group.Kind == space.Depth {
			st[i] = c.soft[i]
		}
	}
	for kind, masks := range map[string][][]float64{"soft": c.soft, "st": st} {
		grad := make([][]float64, len(masks))
		for i := range grad {
			grad[i] = make([]float64, len(masks[i]))
		}
		got := m.Eval(cost.MACs, masks, grad)
		c.near("macs_"+kind, []float64{got}, c.values("macs_"+kind), tolCost)
		for i, group := range c.s.Groups {
			name := goldenName(group.Name)
			c.near("derivative of macs_"+kind+" by the ratio of "+name, []float64{dot(grad[i], c.dmda[i])}, c.values(name, "dmacs_"+kind+"_da"), tolCost)
		}
	}
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// forward runs g with the loss and returns the logits, the loss and its derivatives by the masks, in float32 as a search does.
func (c *goldenCase) forward(g *ir.Graph, train bool, masks [][]float64) (logits []float64, loss float64, grads [][]float64) {
	c.t.Helper()
	g = g.Clone()
	g.Inputs = append(g.Inputs, ir.ValueInfo{Name: "target", DType: ir.Float32, Shape: ir.Fixed(64, 10)})
	g.Nodes = append(g.Nodes, &ir.Node{Op: "CrossEntropy", Domain: ir.DomainDMS, Inputs: []string{"logits", "target"}, Outputs: []string{"loss"}})
	var wrt []string
	for i := range masks {
		wrt = append(wrt, masked.Input(c.s.Groups[i].Name))
	}
	config := program.Config{Bind: map[string]int{"N": 64}, Training: train, Loss: "loss", Wrt: wrt}
	p, err := program.Build(g, config)
	if err != nil {
		c.t.Fatal(err)
	}
	params, err := engine.NewParams[float32](g)
	if err != nil {
		c.t.Fatal(err)
	}
	pool := parallel.New(2)
	defer pool.Close()
	m, err := engine.New(p, params, pool)
	if err != nil {
		c.t.Fatal(err)
	}
	target := make([]float32, 64*10)
	for i, l := range c.golden["labels"].F32 {
		target[i*10+int(l)] = 1
	}
	set := func(name string, v []float32) {
		if err := m.SetInput(name, v); err != nil {
			c.t.Fatal(err)
		}
	}
	set("input", c.golden["input"].F32)
	set("target", target)
	for i, mask := range masks {
		v := make([]float32, len(mask))
		for e := range v {
			v[e] = float32(mask[e])
		}
		set(wrt[i], v)
	}
	m.Run()
	for _, v := range m.Output("logits") {
		logits = append(logits, float64(v))
	}
	for _, name := range wrt {
		var d []float64
		for _, v := range m.Grad(name) {
			d = append(d, float64(v))
		}
		grads = append(grads, d)
	}
	return logits, float64(m.Output("loss")[0]), grads
}

func (c *goldenCase) network(mode, place string, on masked.On) {
	g, err := masked.Insert(c.g, c.s, on)
	if err != nil {
		c.t.Fatal(err)
	}
	what := mode + ", masks on " + place + ": "
	logits, loss, grads := c.forward(g, mode == "train", c.soft)
	c.near(what+"logits", logits, c.values(mode, "logits"), tolLogit)
	c.near(what+"loss", []float64{loss}, c.values(mode, "loss"), tolLoss)
	for i, group := range c.s.Groups {
		name := goldenName(group.Name)
		c.near(what+"derivative of the loss by the masks of "+name, grads[i], c.values(mode, name, "dL_dm"), tolGrad[mode])
	}
	logits, _, _ = c.forward(g, mode == "train", c.hard)
	c.near(what+"hard logits", logits, c.values(mode, "logits_hard"), tolLogit)
}

func (c *goldenCase) cut() {
	small, err := prune.Apply(c.g, c.s, c.sel)
	if err != nil {
		c.t.Fatal(err)
	}
	logits, _, _ := c.forward(small, false, nil)
	c.near("logits of the cut network", logits, c.values("eval", "logits_pruned"), tolLogit)
}
