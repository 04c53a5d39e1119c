package program

// fuse lets a batch norm rectify its own output where nothing but a rectifier reads it: one pass over the activations less. The
// gradient of the rectifier needs its output alone, and that of the batch norm its input, so the value between is never needed.
func (b *builder) fuse() {
	p := b.p
	reads := map[ID]int{}
	writer := map[ID]int{}
	for i, in := range p.Instrs {
		for _, id := range in.In {
			if id != None {
				reads[p.Root(id)]++
			}
		}
		for _, id := range in.Out {
			if id != None {
				writer[p.Root(id)] = i
			}
		}
	}
	for _, ids := range []map[string]ID{p.Outputs, p.Grads} {
		for _, id := range ids {
			reads[p.Root(id)]++
		}
	}
	kept, forward := make([]Instr, 0, len(p.Instrs)), 0
	place := make([]int, len(p.Instrs)) // where an instruction of before stands now
	for i, in := range p.Instrs {
		if a, ok := in.Attr.(UnaryAttr); ok && in.Op == Unary && a.Function == "relu" {
			x := p.Root(in.In[0])
			if w, ok := writer[x]; ok && reads[x] == 1 && p.Instrs[w].Op == BatchNorm && x == p.Instrs[w].Out[0] {
				norm := &kept[place[w]]
				attr := norm.Attr.(BatchNormAttr)
				attr.Relu = true
				norm.Attr = attr
				norm.Out[0] = in.Out[0]
				continue
			}
		}
		place[i] = len(kept)
		kept = append(kept, in)
		if i < p.Forward {
			forward++
		}
	}
	p.Instrs, p.Forward = kept, forward
}
