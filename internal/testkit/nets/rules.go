package nets

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/dms-go/dms/ir"
)

// Rule is a network around one operator, with the groups that package space finds in it, as "name n".
type Rule struct {
	Name   string
	Groups []string

	text string
}

// Graph parses the network and draws those of its weights that are floating-point lists or more, in the order of their names. Its input is "x", with a batch N.
func (r Rule) Graph(seed uint64) (*ir.Graph, error) {
	g, err := ir.Parse(r.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	rng := rand.New(rand.NewPCG(seed, 41))
	var names []string
	for name := range g.Weights {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if w := g.Weights[name]; w.DType == ir.Float32 && len(w.Shape) > 0 {
			for i := range w.F32 {
				w.F32[i] = float32(rng.NormFloat64())
			}
		}
	}
	return g, nil
}

// Rules lists the networks.
func Rules() []Rule { return rules }

// around puts nodes that read c, of 8 channels and 4×4 positions, and write r, of a number of channels, between two convolutions.
func around(opset, channels int, weights, nodes string) string {
	return fmt.Sprintf(`opset "" %d
input x float32 (N, 3, 4, 4)
output z float32 (N, 5, 1, 1)
weight first float32 (8, 3, 1, 1) = 1*24
weight last float32 (5, %d, 1, 1) = 1*%d
%s
c = Conv(x, first) name c
%s
d = Conv(r, last) name d
z = GlobalAveragePool(d)
`, opset, channels, 5*channels, weights, nodes)
}

const (
	channelsLast  = "t = Transpose(c) {perm=[0 2 3 1]}\n"
	channelsFirst = "\nr = Transpose(u) {perm=[0 3 1 2]}"
)

var rules = []Rule{
	{"RMS norm", []string{"c 8"}, around(23, 8, "weight s float32 (8) = 1*8", channelsLast+"u = RMSNormalization(t, s)"+channelsFirst)},
	{"group norm by channel", []string{"c 4", "c.groups 2"}, around(21, 8, "weight s float32 (8) = 1*8\nweight b float32 (8) = 1*8", "r = GroupNormalization(c, s, b) {num_groups=2}")},
	{"group norm by group", []string{"c 2", "c.groups 4"}, around(18, 8, "weight s float32 (4) = 1*4\nweight b float32 (4) = 1*4", "r = GroupNormalization(c, s, b) {num_groups=4}")},
	{"group norm of one group", []string{"c 8"}, around(21, 8, "weight s float32 (8) = 1*8\nweight b float32 (8) = 1*8", "r = GroupNormalization(c, s, b) {num_groups=1}")},
	{"group norm of single channels", []string{"c 8"}, around(21, 8, "weight s float32 (8) = 1*8\nweight b float32 (8) = 1*8", "r = GroupNormalization(c, s, b) {num_groups=8}")},
	{"L2 norm", []string{"c 8"}, around(17, 8, "", "r = LpNormalization(c) {axis=1}")},
	{"L1 norm", []string{"c 8"}, around(17, 8, "", "r = LpNormalization(c) {axis=1, p=1}")},
	{"mean and variance over channels", []string{"c 8"}, around(17, 8, "", "r = MeanVarianceNormalization(c) {axes=[1 2 3]}")},
	// Without the Relu the mean over positions that ends the network would be zero whatever is removed.
	{"mean and variance beside channels", []string{"c 8"}, around(17, 8, "", "m = MeanVarianceNormalization(c) {axes=[2 3]}\nr = Relu(m)")},
	{"transposed convolution", []string{"c 8", "up 6"}, around(17, 6, "weight w float32 (8, 6, 2, 2) = 1*192\nweight b float32 (6) = 1*6", "r = ConvTranspose(c, w, b) {strides=[2 2]} name up")},
	{"transposed convolution by groups", []string{"c 4", "c.groups+1 2", "up 3"}, around(17, 6, "weight w float32 (8, 3, 2, 2) = 1*96\nweight b float32 (6) = 1*6", "r = ConvTranspose(c, w, b) {strides=[2 2], group=2} name up")},
	{"transposed convolution by channels", []string{"c 8"}, around(17, 8, "weight w float32 (8, 1, 2, 2) = 1*32", "r = ConvTranspose(c, w) {strides=[2 2], group=8} name up")},
	{"einsum with a weight", []string{"c 8", "mix 6"}, around(17, 6, "weight w float32 (8, 6) = 1*48", "r = Einsum(c, w) {equation=\"nchw,ck->nkhw\"} name mix")},
	{"einsum of two values", []string{"c 8", "mix 6"}, around(17, 6, "weight w float32 (6, 8, 1, 1) = 1*48",
		"e = Conv(c, w) name mix\na = Einsum(c, c) {equation=\"nchw,nchv->nwv\"}\nr = Einsum(e, a) {equation=\"nkhw,nwv->nkhv\"}")},
	{"depth to space, depth first", []string{"c 2"}, around(17, 2, "", "r = DepthToSpace(c) {blocksize=2}")},
	{"depth to space, columns first", []string{"c 2"}, around(17, 2, "", "r = DepthToSpace(c) {blocksize=2, mode=\"CRD\"}")},
	{"space to depth", []string{"c 8"}, around(17, 32, "", "r = SpaceToDepth(c) {blocksize=2}")},
	{"tile", []string{"c 8"}, around(17, 16, "weight n int64 (4) = 1 2 1 1", "r = Tile(c, n)")},
	{"sums of squares", []string{"c 8", "mix 6"}, around(17, 6, "weight w float32 (6, 8, 1, 1) = 1*48",
		"e = Conv(c, w) name mix\na = ReduceSumSquare(c) {axes=[1]}\nr = Mul(e, a)")},
	{"sums of sizes", []string{"c 8", "mix 6"}, around(17, 6, "weight w float32 (6, 8, 1, 1) = 1*48",
		"e = Conv(c, w) name mix\na = ReduceL1(c) {axes=[1]}\nr = Mul(e, a)")},
	{"running sum", []string{"c 8"}, around(17, 8, "weight a int64 () = 1", "r = CumSum(c, a)")},
	{"triangle of positions", []string{"c 8"}, around(17, 8, "", "r = Trilu(c)")},
	{"place of the largest pixel", []string{"c 8"}, around(17, 8, "", "a = ArgMax(c) {axis=3}\nr = Cast(a) {to=1}")},
	{"largest pixels", []string{"c 8"}, around(17, 8, "weight k int64 (1) = 2", "r, i = TopK(c, k) {axis=3}")},
	{"place of the largest channel", []string{}, around(17, 1, "", "a = ArgMax(c) {axis=1}\nr = Cast(a) {to=1}")},
}
