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
	"github.com/dms-go/dms/topk"
	"github.com/dms-go/dms/zoo"
)

// The golden values come from an independent PyTorch reference of the method on a pretrained ResNet-20 (golden/README.md in the shared data):
// masks, costs and their gradients, logits, and the gradients of the loss with respect to the masks. Tolerances are five times what that
// reference loses itself in float32, relative to the largest value of a quantity (f32_relative_error in golden.json).
const (
	tolCost      = 5 * 2.8e-7
	tolLogit     = 5 * 7.3e-7
	tolMask      = 5 * 7.5e-8
	tolRank      = 5 * 2.4e-8
	tolOverspent = 5 * 4.5e-7
)

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

	importance, soft, hard, dmda [][]float64 // by group
	sel                          space.Selection
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
		importance, a := c.values(name, "c"), c.values(name, "a")[0]
		rank, m, d := make([]float64, group.N), make([]float64, group.N), make([]float64, group.N)
		topk.Rank(rank, importance)
		c.near("ranks of "+name, rank, c.values(name, "rank"), tolRank)
		live := topk.Mask(m, importance, a, group.Sharpness)
		c.near("mask of "+name, m, c.values(name, "m"), tolMask)
		topk.MaskGrad(d, m, group.Sharpness, live)
		least := 1
		if group.Kind == space.Depth {
			least = 0
		}
		list := topk.Keep(importance, a, least)
		keep := make([]float64, group.N)
		for _, e := range list {
			keep[e] = 1
		}
		c.near("kept elements of "+name, keep, c.values(name, "keep"), 0)
		c.importance = append(c.importance, importance)
		c.soft = append(c.soft, m)
		c.hard = append(c.hard, keep)
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
			d := dot(grad[i], c.dmda[i])
			c.near("derivative of macs_"+kind+" by the ratio of "+name, []float64{d}, c.values(name, "dmacs_"+kind+"_da"), tolCost)
			if kind == "st" {
				c.near("derivative of the budget loss by the ratio of "+name, []float64{d / got}, c.values(name, "dbudget_da"), tolCost)
			}
		}
		if kind == "st" {
			c.near("budget loss", []float64{math.Log(got / (0.6 * float64(m.Full().MACs)))}, c.values("budget_loss"), tolOverspent)
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

// forward runs g with the loss and returns the logits, the loss and its derivatives by the masks.
func forward[T float32 | float64](c *goldenCase, g *ir.Graph, train, direct bool, masks [][]float64) (logits []float64, loss float64, grads [][]float64) {
	c.t.Helper()
	g = g.Clone()
	g.Inputs = append(g.Inputs, ir.ValueInfo{Name: "target", DType: ir.Float32, Shape: ir.Fixed(64, 10)})
	g.Nodes = append(g.Nodes, &ir.Node{Op: "CrossEntropy", Domain: ir.DomainDMS, Inputs: []string{"logits", "target"}, Outputs: []string{"loss"}})
	var wrt []string
	for i := range masks {
		wrt = append(wrt, masked.Input(c.s.Groups[i].Name))
	}
	config := program.Config{Bind: map[string]int{"N": 64}, Training: train, Loss: "loss", Wrt: wrt, Direct: direct}
	p, err := program.Build(g, config)
	if err != nil {
		c.t.Fatal(err)
	}
	params, err := engine.NewParams[T](g)
	if err != nil {
		c.t.Fatal(err)
	}
	pool := parallel.New(2)
	defer pool.Close()
	m, err := engine.New(p, params, pool)
	if err != nil {
		c.t.Fatal(err)
	}
	target := make([]T, 64*10)
	for i, l := range c.golden["labels"].F32 {
		target[i*10+int(l)] = 1
	}
	set := func(name string, v []T) {
		if err := m.SetInput(name, v); err != nil {
			c.t.Fatal(err)
		}
	}
	image := make([]T, len(c.golden["input"].F32))
	for i, v := range c.golden["input"].F32 {
		image[i] = T(v)
	}
	set("input", image)
	set("target", target)
	for i, mask := range masks {
		v := make([]T, len(mask))
		for e := range v {
			v[e] = T(mask[e])
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

// tolerances of what a pass through the network gives.
type tolerances struct{ logits, loss, masks, ratio, moved, first float64 }

// In float32 by direct sums: five times what the reference loses itself in float32 (f32_relative_error).
var tolSingle = map[string]tolerances{
	"eval": {5 * 4.4e-7, 5 * 1.1e-7, 5 * 2.7e-6, 5 * 7.4e-5, 5 * 3.2e-7, 5 * 5.4e-6},
	// Six times for the moved importances: with masks on activations depth.1 of case B loses 5.6 times what the reference loses.
	"train": {5 * 7.3e-7, 5 * 1.1e-7, 5 * 2.6e-4, 5 * 7.4e-4, 6 * 5.2e-7, 5 * 2.9e-4},
}

// winogradLoss is how much more Winograd's convolutions may lose than direct sums. Their own error is five times that of direct sums; in small
// differences of large sums, such as the importances, it came out up to eight times as large again.
const winogradLoss = 10

func (t tolerances) times(f float64) tolerances {
	return tolerances{f * t.logits, f * t.loss, f * t.masks, f * t.ratio, f * t.moved, f * t.first}
}

// In float64, where only the rounding of the golden values to float32 and of the batch norms' epsilon remains.
var tolDouble = tolerances{1e-7, 1e-7, 2e-7, 2e-7, 1e-7, 3e-7}

func (c *goldenCase) network(mode, place string, on masked.On) {
	g, err := masked.Insert(c.g, c.s, on)
	if err != nil {
		c.t.Fatal(err)
	}
	what := mode + ", masks on " + place
	logits, loss, grads := forward[float64](c, g, mode == "train", true, c.soft)
	c.pass(what+", float64: ", mode, logits, loss, grads, tolDouble)
	logits, loss, grads = forward[float32](c, g, mode == "train", true, c.soft)
	c.pass(what+", float32, direct sums: ", mode, logits, loss, grads, tolSingle[mode])
	logits, loss, grads = forward[float32](c, g, mode == "train", false, c.soft)
	c.pass(what+", float32: ", mode, logits, loss, grads, tolSingle[mode].times(winogradLoss))
	logits, _, _ = forward[float32](c, g, mode == "train", true, c.hard)
	c.near(what+": hard logits", logits, c.values(mode, "logits_hard"), tolLogit)
}

// pass compares one run. A tolerance holds relative to the largest value of its kind, over all groups.
func (c *goldenCase) pass(what, mode string, logits []float64, loss float64, grads [][]float64, tol tolerances) {
	c.near(what+"logits", logits, c.values(mode, "logits"), tol.logits)
	c.near(what+"loss", []float64{loss}, c.values(mode, "loss"), tol.loss)
	var got, want struct{ masks, ratio, moved, first []float64 }
	for i, group := range c.s.Groups {
		name := goldenName(group.Name)
		got.masks = append(got.masks, grads[i]...)
		want.masks = append(want.masks, c.values(mode, name, "dL_dm")...)
		got.ratio = append(got.ratio, dot(grads[i], c.dmda[i]))
		want.ratio = append(want.ratio, c.values(mode, name, "dL_da")...)
		moved, first := append([]float64{}, c.importance[i]...), make([]float64, group.N)
		for _, importance := range [][]float64{moved, first} {
			if err := topk.Update(importance, c.soft[i], grads[i], "taylor", 0.99); err != nil {
				c.t.Fatal(err)
			}
		}
		got.moved, got.first = append(got.moved, moved...), append(got.first, first...)
		want.moved = append(want.moved, c.values(mode, name, "imp_from_c")...)
		want.first = append(want.first, c.values(mode, name, "imp_from_zero")...)
	}
	c.near(what+"derivatives of the loss by the masks", got.masks, want.masks, tol.masks)
	c.near(what+"derivatives of the loss by the ratios", got.ratio, want.ratio, tol.ratio)
	c.near(what+"importances moved from those given", got.moved, want.moved, tol.moved)
	c.near(what+"importances moved from zero", got.first, want.first, tol.first)
}

func (c *goldenCase) cut() {
	small, err := prune.Apply(c.g, c.s, c.sel)
	if err != nil {
		c.t.Fatal(err)
	}
	logits, _, _ := forward[float32](c, small, false, true, nil)
	c.near("logits of the cut network", logits, c.values("eval", "logits_pruned"), tolLogit)
}
