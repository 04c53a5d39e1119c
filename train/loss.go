package train

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// Names of the values that a training graph has beside the network's own.
const (
	targetName  = "dms.target"  // (N, K) target probabilities
	teacherName = "dms.teacher" // (N, K) the teacher's probabilities at the temperature (kl) or logits (dist)
	lossName    = "dms.loss"    // scalar, mean over the batch
)

// Logits is the value that holds a classifier's class outputs before softmax, (N, K): its first output, or what a final Softmax reads.
func Logits(g *ir.Graph) (string, error) {
	if len(g.Outputs) == 0 {
		return "", fmt.Errorf("train: the network %q has no output", g.Name)
	}
	name := g.Outputs[0].Name
	producers := ir.Producers(g)
	for n := producers[name]; n != nil && n.Is("Softmax", "Identity"); n = producers[name] {
		name = n.Input(0)
	}
	return name, nil
}

// WithLoss returns a copy of the network with its training loss as the scalar value "dms.loss".
//
// The loss is the cross-entropy against target probabilities, so that label smoothing and mixup need nothing more. With a teacher it
// is (1−w)·CE + w·T²·CE against the teacher's softened probabilities, whose gradient is that of the KL divergence (Hinton et al. 2015,
// arXiv 1503.02531), or CE + w·DIST (Huang et al. 2022, arXiv 2205.10536).
func WithLoss(g *ir.Graph, cfg Config, teacher bool) (*ir.Graph, error) {
	logits, err := Logits(g)
	if err != nil {
		return nil, err
	}
	info, err := ir.InferShapes(g, nil)
	if err != nil {
		return nil, err
	}
	shape := info[logits].Shape
	if len(shape) != 2 {
		return nil, fmt.Errorf("train: output %q has shape %v; a classifier to train ends in (N, classes)", logits, shape)
	}
	out := g.Clone()
	b := lossBuilder{g: out}
	b.input(targetName, shape)
	loss := b.node("CrossEntropy", ir.DomainDMS, ir.Attrs{"temperature": ir.FloatAttr(1)}, logits, targetName)
	if teacher {
		b.input(teacherName, shape)
		w, t := float32(cfg.TeacherLoss), float32(cfg.Temperature)
		if cfg.Distill == "dist" {
			b.node("Add", "", nil, loss, b.scale(b.node("DIST", ir.DomainDMS, nil, logits, teacherName), w))
		} else {
			soft := b.node("CrossEntropy", ir.DomainDMS, ir.Attrs{"temperature": ir.FloatAttr(t)}, logits, teacherName)
			b.node("Add", "", nil, b.scale(loss, 1-w), b.scale(soft, w*t*t))
		}
	}
	out.Nodes[len(out.Nodes)-1].Outputs[0] = lossName
	return out, nil
}

// lossBuilder appends loss nodes to a graph.
type lossBuilder struct {
	g *ir.Graph
	n int
}

func (b *lossBuilder) fresh() string {
	b.n++
	return fmt.Sprintf("dms.loss.%d", b.n)
}

func (b *lossBuilder) input(name string, shape ir.Shape) {
	b.g.Inputs = append(b.g.Inputs, ir.ValueInfo{Name: name, DType: ir.Float32, Shape: append(ir.Shape{}, shape...)})
}

func (b *lossBuilder) node(op, domain string, attrs ir.Attrs, inputs ...string) string {
	out := b.fresh()
	b.g.Nodes = append(b.g.Nodes, &ir.Node{Name: out, Op: op, Domain: domain, Attrs: attrs, Inputs: inputs, Outputs: []string{out}})
	return out
}

func (b *lossBuilder) scale(value string, factor float32) string {
	c := b.fresh()
	b.g.Weights[c] = ir.Floats32([]float32{factor})
	return b.node("Mul", "", nil, value, c)
}

// Trainable lists the weights that a gradient step may move, in the order of the nodes that read them: kernels, biases and the scale
// and shift of normalisations. Running statistics and constants of the arithmetic (bounds, epsilons) are not among them.
func Trainable(g *ir.Graph) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range g.Nodes {
		for _, i := range trainableInputs(n) {
			w := n.Input(i)
			t := g.Weights[w]
			if t == nil || t.DType != ir.Float32 || seen[w] {
				continue
			}
			if elementwise(n) && t.Len() < 2 {
				continue
			}
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}

// trainableInputs lists the inputs of an operator that hold learned values when they are weights.
func trainableInputs(n *ir.Node) []int {
	if !ir.Standard(n.Domain) {
		return nil
	}
	switch n.Op {
	case "Conv", "Gemm", "BatchNormalization", "LayerNormalization":
		return []int{1, 2}
	case "PRelu":
		return []int{1}
	case "MatMul", "Add", "Mul":
		return []int{0, 1}
	case "Reshape", "Transpose": // a kernel stored in another shape than it is used
		return []int{0}
	}
	return nil
}

// elementwise operators carry learned vectors (a bias as Add, a scale as Mul) but also fixed scalars.
func elementwise(n *ir.Node) bool { return n.Op == "Add" || n.Op == "Mul" }

// decayed tells whether weight decay acts on a weight by default: on kernels, not on biases or normalisations.
func decayed(t *ir.Tensor) bool { return len(t.Shape) >= 2 }
