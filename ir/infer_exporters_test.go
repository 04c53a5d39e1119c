package ir_test

import (
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

// more are values beside those of infer_test.go.
const more = `
input seq1 float32 (N, L, 12)
input four float32 (N, 3, L, 4)
input ids int64 (N, L)
input at int64 (N, 2)
input deep float32 (N, 8, H, W)
weight up float32 (6, 4, 2, 2) = 0*96
weight up3 float32 (6, 2, 3, 3) = 0*108
weight eight float32 (8) = 0*8
weight emb float32 (30, 12) = 0*360
weight big int64 () = 99
`

func TestInferShapesOfWhatExportersWrite(t *testing.T) {
	for _, c := range []struct{ opset, node, want string }{
		{"17", "y = ConvTranspose(x, up)", "(N, 4, 9, 10)"},
		{"17", "y = ConvTranspose(x, up) {strides=[2 2]}", "(N, 4, 16, 18)"},
		{"17", "y = ConvTranspose(odd, up) {strides=[2 2]}", "(N, 4, 2*H, 2*W)"},
		{"17", "y = ConvTranspose(odd, up3) {group=3, strides=[2 2], pads=[1 1 1 1], output_padding=[1 1]}", "(N, 6, 2*H, 2*W)"},
		{"17", "y = ConvTranspose(odd, up)", "(N, 4, ?, ?)"},
		{"17", "y = ConvTranspose(x, up3) {strides=[2 2], output_shape=[17 17]}", "(N, 2, 17, 17)"},
		{"17", `y = ConvTranspose(x, up) {strides=[3 2], auto_pad="SAME_LOWER"}`, "(N, 4, 24, 18)"},
		{"9", "u = Constant() {value=<float32 (4) = 1 1 2 3>}\ny = Upsample(odd, u)", "(N, 6, 2*H, 3*W)"},
		{"8", "y = Upsample(odd) {scales=[1.0 1.0 2.0 2.0]}", "(N, 6, 2*H, 2*W)"},
		{"17", "y = DepthToSpace(deep) {blocksize=2}", "(N, 2, 2*H, 2*W)"},
		{"17", "d = DepthToSpace(deep) {blocksize=2}\ny = SpaceToDepth(d) {blocksize=2}", "(N, 8, H, W)"},
		{"17", "y = Tile(seq1, <2 3 1>)", "(2*N, 3*L, 12)"},
		{"17", "s2 = Shape(ids)\nk = Concat(s2, <1>) {axis=0}\ny = Tile(one3, k)", "(N, L, 1)"},
		{"17", "y = LayerNormalization(seq1, twelve, twelve)", "(N, L, 12)"},
		{"17", "a, y = LayerNormalization(seq1, twelve) {axis=-1}", "(N, L, 1)"},
		{"23", "y = RMSNormalization(seq1, twelve)", "(N, L, 12)"},
		{"17", "y = InstanceNormalization(deep, eight, eight)", "(N, 8, H, W)"},
		{"21", "y = GroupNormalization(deep, eight, eight) {num_groups=4}", "(N, 8, H, W)"},
		{"17", "y = Gather(emb, ids)", "(N, L, 12)"},
		{"17", "y = GatherElements(seq1, ids3) {axis=1}", "(N, 5, 12)"},
		{"17", "y = GatherND(seq1, at)", "(N, 12)"},
		{"17", "y = ScatterND(seq1, at, u12)", "(N, L, 12)"},
		{"17", "y = ArgMax(deep) {axis=1, keepdims=0}", "(N, H, W)"},
		{"17", "y = ArgMin(deep) {axis=1}", "(N, 1, H, W)"},
		{"17", "y, i = TopK(seq1, <5>)", "(N, L, 5)"},
		{"9", "y, i = TopK(seq1) {k=3, axis=2}", "(N, L, 3)"},
		{"17", "k = Shape(ids)\nd = Gather(k, i1)\ny = OneHot(ids, d, lohi)", "(N, L, L)"},
		{"17", "y = OneHot(ids, big, lohi) {axis=0}", "(99, N, L)"},
		{"17", "y = CumSum(ids, i1)", "(N, L)"},
		{"17", "y = Trilu(seq1)", "(N, L, 12)"},
		{"17", "y = NonZero(ids)", "(2, ?)"},
		{"17", `y = Einsum(seq1, mat) {equation="nlc,co->nlo"}`, "(N, L, 7)"},
		{"17", `y = Einsum(four, four) {equation="bhqd, bhkd -> bhqk"}`, "(N, 3, L, L)"},
		{"17", `y = Einsum(seq1, mat) {equation="...c,co->...o"}`, "(...)"},
		{"23", "y = Attention(four, four, four)", "(N, 3, L, 4)"},
		{"23", "y = Attention(seq1, seq1, seq1) {q_num_heads=4, kv_num_heads=2}", "(N, L, 24)"},
		{"23", "a, y, z = Attention(four, four, four, _, four, four)", "(N, 3, 2*L, 4)"},
		{"23", "y = RotaryEmbedding(four, c2, c2)", "(N, 3, L, 4)"},
		{"17", "y = LSTM(seq1, w3, w3) {hidden_size=9, direction=\"bidirectional\"}", "(N, 2, L, 9)"},
		{"17", "a, y = GRU(seq1, w3, w3) {hidden_size=9}", "(1, L, 9)"},
		{"17", "y = DequantizeLinear(deep, lo)", "(N, 8, H, W)"},
	} {
		text := "opset \"\" " + c.opset + inputs + extra + more + `
input one3 float32 (1, 1, 1)
input ids3 int64 (N, 5, 12)
input u12 float32 (N, 12)
input c2 float32 (N, L, 2)
input w3 float32 (1, 36, 12)
weight lohi float32 (2) = 0 1
` + lists(c.node)
		g := parse(t, text)
		info, err := ir.InferShapes(g, nil)
		if err != nil {
			t.Errorf("%s: %v", c.node, err)
		} else if got := info["y"].Shape.String(); got != c.want {
			t.Errorf("%s: shape %s, want %s", c.node, got, c.want)
		}
	}
}

func TestInferShapesNamesFaultsOfWhatExportersWrite(t *testing.T) {
	for _, c := range []struct{ node, want string }{
		{"y = ConvTranspose(x, up3) {group=4}", "group 4 does not divide 6"},
		{"y = ConvTranspose(x, mat)", "want (N, C, spatial...)"},
		{"y = ConvTranspose(deep, up)", "sizes 8 and 6 differ"},
		{"y = DepthToSpace(x) {blocksize=4}", "does not divide by 16"},
		{"y = DepthToSpace(x)", "blocksize 0"},
		{"y = SpaceToDepth(x) {blocksize=5}", "axis 2"},
		{"y = Tile(x, <2>)", "want one for each of 4 axes"},
		{"y = LayerNormalization(x, seven)", "does not broadcast"},
		{"y = InstanceNormalization(deep, seven, seven)", "sizes 7 and 8 differ"},
		{"y = GroupNormalization(deep, eight, eight) {num_groups=3}", "num_groups 3 does not divide 8"},
		{"y = TopK(m, <13>)", "k 13 of axis 1"},
		{"y = ArgMax(m) {axis=2}", "axis 2 is outside"},
		{"y = GatherND(m, at3)", "count through 3 axes"},
		{"y = ScatterElements(m, at, m) {reduction=\"mean\"}", "reduction \"mean\" is not one of"},
		{"y = Einsum(m, mat) {equation=\"ab,cd->ae\"}", "no operand has the axis e"},
		{"y = Einsum(m, mat) {equation=\"ab,ac->bc\"}", "axis a"},
		{"y = Einsum(m) {equation=\"ab,cd->ac\"}", "has 2 operands, the node 1"},
		{"y = Attention(m, m, m)", "want three or four axes"},
		{"y = Attention(seq1, seq1, seq1)", "need q_num_heads"},
		{"y = LpNormalization(m) {p=3}", "p 3 is neither"},
		{"y = NonMaxSuppression(m, m)", "want (batch, boxes, 4)"},
	} {
		g := parse(t, "opset \"\" 17"+inputs+extra+more+"\ninput at3 int64 (4, 3)\n"+lists(c.node))
		if c.node == "y = Einsum(m, mat) {equation=\"ab,ac->bc\"}" {
			g.Inputs[2].Shape[0] = ir.Dim{Size: 5}
		}
		_, err := ir.InferShapes(g, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.node, err, c.want)
		}
	}
}
