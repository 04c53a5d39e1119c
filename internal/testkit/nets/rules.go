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

// Graph parses the network, draws those of its weights that are floating-point lists or more, in the order of their names, and folds it. Its input is
// "x", with a batch N.
func (r Rule) Graph(seed uint64) (*ir.Graph, error) {
	g, err := ir.Parse(r.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	g.IRVersion = 10
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
	if g, err = ir.Fold(g); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
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

// A Relu behind a norm keeps the mean over pixels, which ends every network, from undoing it.
var rules = []Rule{
	{Name: "RMS norm", Groups: []string{"c 8"}, text: around(23, 8, "weight s float32 (8) = 1*8", channelsLast+"u = RMSNormalization(t, s)"+channelsFirst)},
	{Name: "group norm by channel", Groups: []string{"c 4", "c.groups 2"}, text: around(21, 8, "weight s float32 (8) = 1*8\nweight b float32 (8) = 1*8", "a = GroupNormalization(c, s, b) {num_groups=2}\nr = Relu(a)")},
	{Name: "group norm by group", Groups: []string{"c 2", "c.groups 4"}, text: around(18, 8, "weight s float32 (4) = 1*4\nweight b float32 (4) = 1*4", "a = GroupNormalization(c, s, b) {num_groups=4}\nr = Relu(a)")},
	{Name: "group norm of one group", Groups: []string{"c 8"}, text: around(21, 8, "weight s float32 (8) = 1*8\nweight b float32 (8) = 1*8", "a = GroupNormalization(c, s, b) {num_groups=1}\nr = Relu(a)")},
	{Name: "group norm of single channels", Groups: []string{"c 8"}, text: around(21, 8, "weight s float32 (8) = 1*8\nweight b float32 (8) = 1*8", "a = GroupNormalization(c, s, b) {num_groups=8}\nr = Relu(a)")},
	{Name: "L2 norm", Groups: []string{"c 8"}, text: around(17, 8, "", "r = LpNormalization(c) {axis=1}")},
	{Name: "L1 norm", Groups: []string{"c 8"}, text: around(17, 8, "", "r = LpNormalization(c) {axis=1, p=1}")},
	{Name: "mean and variance over channels", Groups: []string{"c 8"}, text: around(17, 8, "", "a = MeanVarianceNormalization(c) {axes=[1 2 3]}\nr = Relu(a)")},
	{Name: "mean and variance beside channels", Groups: []string{"c 8"}, text: around(17, 8, "", "a = MeanVarianceNormalization(c) {axes=[2 3]}\nr = Relu(a)")},
	{Name: "transposed convolution", Groups: []string{"c 8", "up 6"}, text: around(17, 6, "weight w float32 (8, 6, 2, 2) = 1*192\nweight b float32 (6) = 1*6", "r = ConvTranspose(c, w, b) {strides=[2 2]} name up")},
	{Name: "transposed convolution by groups", Groups: []string{"c 4", "c.groups+1 2", "up 3"}, text: around(17, 6, "weight w float32 (8, 3, 2, 2) = 1*96\nweight b float32 (6) = 1*6", "r = ConvTranspose(c, w, b) {strides=[2 2], group=2} name up")},
	{Name: "transposed convolution by channels", Groups: []string{"c 8"}, text: around(17, 8, "weight w float32 (8, 1, 2, 2) = 1*32", "r = ConvTranspose(c, w) {strides=[2 2], group=8} name up")},
	{Name: "einsum with a weight", Groups: []string{"c 8", "mix 6"}, text: around(17, 6, "weight w float32 (8, 6) = 1*48", "r = Einsum(c, w) {equation=\"nchw,ck->nkhw\"} name mix")},
	{Name: "einsum of two values", Groups: []string{"c 8", "mix 6"}, text: around(17, 6, "weight w float32 (6, 8, 1, 1) = 1*48",
		"e = Conv(c, w) name mix\na = Einsum(c, c) {equation=\"nchw,nchv->nwv\"}\nr = Einsum(e, a) {equation=\"nkhw,nwv->nkhv\"}")},
	{Name: "depth to space, depth first", Groups: []string{"c 2"}, text: around(17, 2, "", "r = DepthToSpace(c) {blocksize=2}")},
	{Name: "depth to space, columns first", Groups: []string{"c 2"}, text: around(17, 2, "", "r = DepthToSpace(c) {blocksize=2, mode=\"CRD\"}")},
	{Name: "space to depth", Groups: []string{"c 8"}, text: around(17, 32, "", "r = SpaceToDepth(c) {blocksize=2}")},
	{Name: "tile", Groups: []string{"c 8"}, text: around(17, 16, "weight n int64 (4) = 1 2 1 1", "r = Tile(c, n)")},
	{Name: "sums of squares", Groups: []string{"c 8", "mix 6"}, text: around(17, 6, "weight w float32 (6, 8, 1, 1) = 1*48",
		"e = Conv(c, w) name mix\na = ReduceSumSquare(c) {axes=[1]}\nr = Mul(e, a)")},
	{Name: "sums of sizes", Groups: []string{"c 8", "mix 6"}, text: around(17, 6, "weight w float32 (6, 8, 1, 1) = 1*48",
		"e = Conv(c, w) name mix\na = ReduceL1(c) {axes=[1]}\nr = Mul(e, a)")},
	{Name: "running sum", Groups: []string{"c 8"}, text: around(17, 8, "weight a int64 () = 1", "r = CumSum(c, a)")},
	{Name: "triangle of positions", Groups: []string{"c 8"}, text: around(17, 8, "", "r = Trilu(c)")},
	{Name: "place of the largest pixel", Groups: []string{"c 8"}, text: around(17, 8, "", "a = ArgMax(c) {axis=3}\nr = Cast(a) {to=1}")},
	{Name: "largest pixels", Groups: []string{"c 8"}, text: around(17, 8, "weight k int64 (1) = 2", "r, i = TopK(c, k) {axis=3}")},
	{Name: "place of the largest channel", Groups: []string{}, text: around(17, 1, "", "a = ArgMax(c) {axis=1}\nr = Cast(a) {to=1}")},
	{Name: "attention of shared heads in one axis", Groups: []string{"c 8", "q+1 3", "q.heads+2 2", "v 2", "q.heads 2"}, text: around(23, 8, projections, tokens+
		"y = Attention(q, k, v) {q_num_heads=4, kv_num_heads=2}"+pixels)},
	{Name: "attention of heads in one axis", Groups: []string{"c 8", "q+1 3", "q.heads+2 4", "v 2"}, text: around(23, 8, projections, tokens+
		"y = Attention(q, kk, vv) {q_num_heads=4, kv_num_heads=4, is_causal=1}"+pixels)},
	{Name: "attention of one head", Groups: []string{"c 8", "q+1 12", "v 8"}, text: around(23, 8, projections, tokens+
		"y = Attention(q, kk, vv) {q_num_heads=1, kv_num_heads=1, scale=0.3}"+pixels)},
	{Name: "attention that shares one head", Groups: []string{"c 8", "q+1 6", "v 4", "q.heads 2"}, text: around(23, 8, projections, tokens+
		"y = Attention(q, k, v) {q_num_heads=2, kv_num_heads=1}"+pixels)},
	{Name: "attention of heads in an axis of their own", Groups: []string{"c 8", "q+1 3", "q.heads+2 2", "v 2", "q.heads 2"}, text: around(23, 8, projections+apart, tokens+separate+
		"y4 = Attention(q4, k4, v4, mask)"+rejoined+pixels)},
	{Name: "attention with a past", Groups: []string{"c 8", "q+1 3", "q.heads+2 2", "v 2", "q.heads 2"}, text: around(23, 8, projections+apart, tokens+separate+
		"y5, pk, pv = Attention(q4, k4, v4, _, k4, v4)\ny6 = Attention(q4, pk, pv)\ny4 = Add(y5, y6)"+rejoined+pixels)},
	{Name: "attention with rotary embedding", Groups: []string{"c 8", "w4q+1 2", "v.heads+2 2", "v 2", "w4q.heads 2"}, text: around(23, 8, projections+angles(2)+tokenLists, tokens+places+
		"qq = MatMul(t, w4q)\nk2 = MatMul(t, w2k)\nqr = RotaryEmbedding(qq, cos, sin, ids) {num_heads=4}\nkr = RotaryEmbedding(k2, cos, sin, ids) {num_heads=2}\n"+
		"y = Attention(qr, kr, v) {q_num_heads=4, kv_num_heads=2}"+pixels)},
	{Name: "attention with rotary embedding of a part", Groups: []string{"c 8", "v 2", "v.heads+2 2", "q+1 2", "q+1#2 2", "q.heads 2"}, text: around(23, 8, projections+apart+angles(2)+tokenLists+"weight head6q int64 (4) = 0 16 4 6\nweight head6k int64 (4) = 0 16 2 6\n"+
		"weight w6q float32 (8, 24) = 1*192\nweight w6k float32 (8, 12) = 1*96\n", tokens+separate+places+
		"a1 = MatMul(t, w6q) name q\na2 = Reshape(a1, head6q)\na3 = Transpose(a2) {perm=[0 2 1 3]}\nb1 = MatMul(t, w6k) name k\nb2 = Reshape(b1, head6k)\nb3 = Transpose(b2) {perm=[0 2 1 3]}\n"+
		"qr = RotaryEmbedding(a3, cos, sin, ids) {rotary_embedding_dim=4, interleaved=1}\nkr = RotaryEmbedding(b3, cos, sin, ids) {rotary_embedding_dim=4, interleaved=1}\n"+
		"y4 = Attention(qr, kr, v4)"+rejoined+pixels)},
	{Name: "matrix by vector", Groups: []string{"c 8", "mix 6"}, text: around(17, 6, "weight s float32 (8) = 1*8\nweight w float32 (6, 8, 1, 1) = 1*48\nweight one int64 (1) = 1",
		channelsLast+"m = MatMul(t, s)\nm1 = Unsqueeze(m, one)\ne = Conv(c, w) name mix\nr = Mul(e, m1)")},
	{Name: "vector by matrix", Groups: []string{"c 8", "mix 6"}, text: around(17, 6, "weight s float32 (8) = 1*8\nweight w float32 (6, 8, 1, 1) = 1*48\nweight one int64 (1) = 1",
		"t = Transpose(c) {perm=[0 2 1 3]}\nm = MatMul(s, t)\nm1 = Unsqueeze(m, one)\ne = Conv(c, w) name mix\nr = Mul(e, m1)")},
	{Name: "vectors that are values", Groups: []string{"c 8", "mix+1 6"}, text: around(17, 6, "weight w float32 (8, 6) = 1*48\nweight h float32 (6, 8, 1, 1) = 1*48\nweight up int64 (4) = 1 6 1 1\nweight one int64 (1) = 1",
		channelsLast+"p = ReduceMean(c) {axes=[0 2 3], keepdims=0}\nd2 = MatMul(p, p)\na = MatMul(p, w) name mix\nb = MatMul(t, p)\nb1 = Unsqueeze(b, one)\n"+
			"a4 = Reshape(a, up)\ne = Conv(c, h)\nf = Add(e, a4)\ng = Mul(f, b1)\nr = Mul(g, d2)")},
	{Name: "shuffle of channels", Groups: []string{"c 8"}, text: around(17, 8, "weight g int64 (5) = 0 2 4 4 4\nweight f int64 (4) = 0 8 4 4",
		"a = Reshape(c, g)\nb = Transpose(a) {perm=[0 2 1 3 4]}\nr = Reshape(b, f)")},
	{Name: "shuffle of half of the channels", Groups: []string{"c 4", "c#2 4", "mix 4"}, text: around(18, 8, "weight g int64 (5) = 0 2 4 4 4\nweight f int64 (4) = 0 8 4 4\nweight w float32 (4, 4, 1, 1) = 1*16",
		"p, q = Split(c) {axis=1, num_outputs=2}\ne = Conv(q, w) name mix\nj = Concat(p, e) {axis=1}\na = Reshape(j, g)\nb = Transpose(a) {perm=[0 2 1 3 4]}\nr = Reshape(b, f)")},
	{Name: "token spread over the batch", Groups: []string{"c 8"}, text: around(17, 8, tokenLists+"weight token float32 (1, 1, 8, 1) = 1*8",
		"t4 = Transpose(c) {perm=[0 2 1 3]}\n"+batchTarget+"k = Expand(token, target)\nu = Add(t4, k)\nr = Transpose(u) {perm=[0 2 1 3]}")},
	{Name: "token spread to a stated size", Groups: []string{"c 8"}, text: around(17, 8, tokenLists+"weight token float32 (1, 1, 8, 1) = 1*8\nweight w int64 (3) = 1 8 4",
		"t4 = Transpose(c) {perm=[0 2 1 3]}\n"+batchSize+"target = Concat(n1, w) {axis=0}\nk = Expand(token, target)\nu = Add(t4, k)\nr = Transpose(u) {perm=[0 2 1 3]}")},
	{Name: "zeros of a stated size", Groups: []string{"c 8"}, text: around(17, 8, tokenLists+"weight w int64 (3) = 8 4 4",
		batchSize+"list = Concat(n1, w) {axis=0}\nk = ConstantOfShape(list) {value=<float32 (1) = 0.5>}\nr = Add(c, k)")},
}

// The size of the batch, and a target that takes everything else from the value that is expanded, as exporters write it.
const (
	tokenLists  = "weight zero int64 () = 0\nweight front int64 (1) = 0\nweight minus int64 (1) = -1\nweight open int64 (4) = -1 -1 -1 -1\nweight ones int64 (4) = 1 1 1 1\n"
	batchSize   = "s = Shape(c)\nn = Gather(s, zero)\nn1 = Unsqueeze(n, front)\n"
	batchTarget = batchSize + "list = Concat(n1, minus, minus, minus) {axis=0}\neq = Equal(list, open)\ntarget = Where(eq, ones, list)\n"
)

// Attention among the pixels: queries of four heads of three, keys and values of two heads or four, values of two.
const (
	projections = "weight flat int64 (3) = 0 8 16\nweight square int64 (4) = 0 8 4 4\nweight wq float32 (8, 12) = 1*96\nweight wk float32 (8, 6) = 1*48\n" +
		"weight wv float32 (8, 4) = 1*32\nweight wkk float32 (8, 12) = 1*96\nweight wvv float32 (8, 8) = 1*64\nweight w4q float32 (8, 16) = 1*128\nweight w2k float32 (8, 8) = 1*64\n"
	tokens = "c3 = Reshape(c, flat)\nt = Transpose(c3) {perm=[0 2 1]}\nq = MatMul(t, wq) name q\nk = MatMul(t, wk) name k\nv = MatMul(t, wv) name v\n" +
		"kk = MatMul(t, wkk) name kk\nvv = MatMul(t, wvv) name v\n"
	pixels = "\nu = Transpose(y) {perm=[0 2 1]}\nr = Reshape(u, square)"

	apart    = "weight headq int64 (4) = 0 16 4 3\nweight headk int64 (4) = 0 16 2 3\nweight headv int64 (4) = 0 16 2 2\nweight joint int64 (3) = 0 16 8\nweight mask float32 (4, 16, 16) = 1*1024\n"
	separate = "q3 = Reshape(q, headq)\nk3 = Reshape(k, headk)\nv3 = Reshape(v, headv)\n" +
		"q4 = Transpose(q3) {perm=[0 2 1 3]}\nk4 = Transpose(k3) {perm=[0 2 1 3]}\nv4 = Transpose(v3) {perm=[0 2 1 3]}\n"
	rejoined = "\ny3 = Transpose(y4) {perm=[0 2 1 3]}\ny = Reshape(y3, joint)"

	places = "s = Shape(c)\nn = Gather(s, zero)\nn1 = Unsqueeze(n, front)\nlist = Concat(n1, minus) {axis=0}\neq = Equal(list, open2)\ntarget = Where(eq, ones2, list)\nids = Expand(order, target)\n"
)

// angles are tables of so many pairs for 16 places.
func angles(pairs int) string {
	return fmt.Sprintf("weight open2 int64 (2) = -1 -1\nweight ones2 int64 (2) = 1 1\nweight order int64 (1, 16) = 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n"+
		"weight cos float32 (16, %d) = 1*%d\nweight sin float32 (16, %d) = 1*%d\n", pairs, 16*pairs, pairs, 16*pairs)
}
