package main

import (
	"time"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/gemm"
	"github.com/dms-go/dms/internal/masked"
	"github.com/dms-go/dms/internal/optim"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/topk"
	"github.com/dms-go/dms/train"
	"github.com/dms-go/dms/zoo"
)

// rate is small enough for any number of steps on one batch of noise.
const rate = 1e-4

// mode is what a step does.
type mode string

const (
	infer    mode = "infer"
	training mode = "train"  // forward, backward, SGD with momentum
	search   mode = "search" // the same with masks, their top-k, and the gradients of masks and budget
	frozen   mode = "frozen" // pipeline p-: masks alone
)

// model is a graph ready to run in one mode, with inputs.
type model struct {
	graph     *ir.Graph
	feed      feed
	result    string // the loss, or the logits
	trainable []string
	groups    []group
	budget    *cost.Model
}

// group is one mask with its state, as in a search.
type group struct {
	input            string
	sharpness, ratio float64
	c, m, dm, dmda   []float64
	values           []float32
}

// build makes the model of a network. Masks multiply weights or activations.
func build(n network, how mode, on masked.On, batch int) (model, error) {
	g, err := zoo.Build(n.spec)
	if err != nil {
		return model{}, err
	}
	if g, err = ir.Fold(g); err != nil {
		return model{}, err
	}
	m := model{graph: g, result: g.Outputs[0].Name, trainable: []string{}}
	if how != infer {
		m.trainable = train.Trainable(g)
		if how != training {
			s, err := space.Find(g, space.Options{})
			if err != nil {
				return model{}, err
			}
			if m.budget, err = cost.NewModel(g, s); err != nil {
				return model{}, err
			}
			if m.graph, err = masked.Insert(g, s, on); err != nil {
				return model{}, err
			}
			for _, v := range s.Groups {
				m.groups = append(m.groups, group{input: masked.Input(v.Name), sharpness: v.Sharpness, ratio: 0.2})
			}
		}
		if m.graph, err = train.WithLoss(m.graph, train.Default(), false); err != nil {
			return model{}, err
		}
		m.result = m.graph.Nodes[len(m.graph.Nodes)-1].Outputs[0]
	}
	if m.feed, err = feedFor(m.graph, batch); err != nil {
		return model{}, err
	}
	for i := range m.groups {
		v := &m.groups[i]
		for _, c := range m.feed[v.input] {
			v.c = append(v.c, float64(c))
		}
		k := len(v.c)
		v.m, v.dm, v.dmda, v.values = make([]float64, k), make([]float64, k), make([]float64, k), make([]float32, k)
	}
	return m, nil
}

// own is our side of a comparison.
type own struct {
	model
	machine *engine.Machine[float32]
	params  *engine.Params[float32]
	pool    *parallel.Pool
	rate    float64
	descent optim.Optimizer
	grads   [][]float64 // of the budget
	value   []float32   // the first of the results of the first step
}

func newOwn(m model, how mode, batch int, pool *parallel.Pool) (*own, error) {
	cfg := program.Config{Bind: map[string]int{"N": batch}, Training: how != infer}
	if how != infer {
		cfg.Loss = m.result
	}
	if how == training || how == search {
		cfg.Wrt = append(cfg.Wrt, m.trainable...)
	}
	o := &own{model: m, pool: pool, rate: rate}
	for _, g := range m.groups {
		cfg.Wrt = append(cfg.Wrt, g.input)
		cfg.NonNegative = append(cfg.NonNegative, g.input)
		o.grads = append(o.grads, make([]float64, len(g.c)))
	}
	p, err := program.Build(m.graph, cfg)
	if err != nil {
		return nil, err
	}
	params, err := engine.NewParams[float32](m.graph)
	if err != nil {
		return nil, err
	}
	o.params = params
	if o.machine, err = engine.New(p, params, pool); err != nil {
		return nil, err
	}
	for name, v := range m.feed {
		if err := o.machine.SetInput(name, v); err != nil {
			return nil, err
		}
	}
	if how == training || how == search {
		if err := o.newDescent(); err != nil {
			return nil, err
		}
	}
	if err := o.step(); err != nil {
		return nil, err
	}
	v := o.machine.Output(m.result)
	o.value = append(o.value, v[:min(8, len(v))]...)
	return o, nil
}

// restart puts the weights back to what the graph has, with another learning rate and no momentum yet.
func (o *own) restart(rate float64) error {
	for _, name := range o.params.Names() {
		v, err := o.graph.Weights[name].Floats()
		if err != nil {
			return err
		}
		if err := o.params.Load(name, v); err != nil {
			return err
		}
	}
	o.rate = rate
	return o.newDescent()
}

func (o *own) newDescent() (err error) {
	var list []optim.Param
	for _, name := range o.trainable {
		list = append(list, optim.Param{Name: name, Value: o.params.Get(name), Grad: o.machine.Grad(name)})
	}
	o.descent, err = optim.New("sgd", optim.Config{Momentum: 0.9}, list, o.pool)
	return err
}

func (o *own) step() error {
	for i := range o.groups {
		g := &o.groups[i]
		live := topk.Mask(g.m, g.c, g.ratio, g.sharpness)
		topk.MaskGrad(g.dmda, g.m, g.sharpness, live)
		for e, v := range g.m {
			g.values[e] = float32(v)
		}
		if err := o.machine.SetInput(g.input, g.values); err != nil {
			return err
		}
	}
	o.machine.Run()
	if o.descent != nil {
		o.descent.Step(o.rate)
		o.params.Changed()
	}
	if len(o.groups) == 0 {
		return nil
	}
	masks := make([][]float64, len(o.groups))
	for i := range o.groups {
		g := &o.groups[i]
		masks[i] = g.m
		clear(o.grads[i])
		for e, v := range o.machine.Grad(g.input) {
			g.dm[e] = float64(v)
		}
		if err := topk.Update(g.c, g.m, g.dm, "taylor", 0.99); err != nil {
			return err
		}
	}
	o.budget.Eval(cost.MACs, masks, o.grads)
	return nil
}

func (o *own) run(steps int) (time.Duration, error) {
	start := now()
	for range steps {
		if err := o.step(); err != nil {
			return 0, err
		}
	}
	return now() - start, nil
}

// product is c = a·b of square matrices.
type product struct {
	n       int
	a, b, c []float32
	pool    *parallel.Pool
}

func newProduct(n int, pool *parallel.Pool) *product {
	p := &product{n: n, a: make([]float32, n*n), b: make([]float32, n*n), c: make([]float32, n*n), pool: pool}
	for i := range p.a {
		p.a[i], p.b[i] = float32(i%7)-3, float32(i%5)-2
	}
	return p
}

func (p *product) run(steps int) (time.Duration, error) {
	start := now()
	for range steps {
		gemm.Gemm(p.pool, false, false, p.n, p.n, p.n, 1, p.a, p.n, p.b, p.n, 0, p.c, p.n)
	}
	return now() - start, nil
}
