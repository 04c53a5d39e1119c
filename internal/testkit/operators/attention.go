package operators

// Attention are the cases around attention of opset 23.
var Attention = []Case{
	{Name: "attention of four axes", Graph: `
		opset "" 23
		input q float32 (2, 3, 4, 6)
		input k float32 (2, 3, 5, 6)
		input v float32 (2, 3, 5, 7)
		input m float32 (4, 5)
		y0 = Attention(q, k, v)
		y1 = Attention(q, k, v, m) {scale=0.3}
		y2 = Attention(q, k, v) {is_causal=1}
		y3 = Attention(q, k, v) {softcap=0.5}`},
	{Name: "attention with a mask of truth values", Graph: `
		opset "" 23
		input q float32 (2, 3, 4, 6)
		input k float32 (2, 3, 5, 6)
		input v float32 (2, 3, 5, 7)
		weight w int64 (4, 5) = 1 1 0 1 1 0 1 1 0 1 1 0 0 0 1 1 1 1 1 1
		m = Cast(w) {to=9}
		y0 = Attention(q, k, v, m)`},
	{Name: "attention of three axes", Graph: `
		opset "" 23
		input q float32 (2, 4, 12)
		input k float32 (2, 5, 6)
		input v float32 (2, 5, 8)
		y0 = Attention(q, k, v) {q_num_heads=4, kv_num_heads=2}`},
	{Name: "attention with a past", Graph: `
		opset "" 23
		input q float32 (2, 3, 4, 6)
		input k float32 (2, 3, 4, 6)
		input v float32 (2, 3, 4, 7)
		input pk float32 (2, 3, 2, 6)
		input pv float32 (2, 3, 2, 7)
		y0, y1, y2 = Attention(q, k, v, _, pk, pv)`},
	{Name: "rotary embedding", Graph: `
		opset "" 23
		input x float32 (2, 3, 4, 6)
		input z float32 (2, 4, 18)
		input c float32 (2, 4, 3)
		input s float32 (2, 4, 3)
		input cc float32 (9, 3)
		input sc float32 (9, 3)
		input i9 int64 (2, 4)
		input c2 float32 (2, 4, 2)
		input s2 float32 (2, 4, 2)
		y0 = RotaryEmbedding(x, c, s)
		y1 = RotaryEmbedding(x, c, s) {interleaved=1}
		y2 = RotaryEmbedding(z, cc, sc, i9) {num_heads=3}
		y3 = RotaryEmbedding(x, c2, s2) {rotary_embedding_dim=4}`},
}
