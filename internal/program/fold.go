package program

// foldNorms multiplies a batch norm that uses its running statistics into the convolution before it. Only where nothing is differentiated:
// gradients belong to the weights as the graph has them.
func foldNorms(b *builder) {
	if b.cfg.Loss != "" || b.cfg.Training {
		return
	}
	f := b.flow()
	gone, before := map[int]bool{}, map[int]Instr{}
	for i, norm := range b.p.Instrs {
		if norm.Op != BatchNorm {
			continue
		}
		w, ok := f.source(norm.In[normX])
		if !ok || b.p.Instrs[w].Op != Conv {
			continue
		}
		conv := &b.p.Instrs[w]
		channels := norm.Attr.(BatchNormAttr).Channels
		if r, only := f.onlyReader(norm.In[normX]); !only || r != i || conv.Attr.(ConvAttr).Shape.O != channels || before[w].Op != "" {
			continue
		}
		folded, shift := b.temp("folded", b.val(conv.In[convWeight]).Shape, nil), b.temp("shift", []int{channels}, nil)
		before[w] = Instr{Op: Fold, Attr: FoldAttr{Channels: channels, Epsilon: norm.Attr.(BatchNormAttr).Epsilon}, Out: []ID{folded, shift}, Node: norm.Node,
			In: []ID{conv.In[convWeight], conv.operand(convBias), norm.In[normGamma], norm.In[normBeta], norm.In[normRunMean], norm.In[normRunVar]}}
		conv.In, conv.Out = []ID{conv.In[convX], folded, shift}, []ID{norm.Out[0]}
		gone[i] = true
	}
	b.rewrite(gone, before)
}

// static tells which values, by root, stay the same until somebody changes the weights: weights that do not train, constants, and what
// is computed from such alone.
func (b *builder) static() map[ID]bool {
	moves := map[string]bool{} // weights that change from step to step
	for _, name := range b.cfg.Wrt {
		moves[name] = true
	}
	for _, in := range b.p.Instrs {
		if in.Op == BatchNorm && in.Attr.(BatchNormAttr).Train {
			moves[b.val(b.p.Root(in.In[normRunMean])).Name] = true
			moves[b.val(b.p.Root(in.In[normRunVar])).Name] = true
		}
	}
	fixed := map[ID]bool{}
	for i, v := range b.p.Values {
		fixed[ID(i)] = v.Class == Const || v.Class == Param && !moves[v.Name]
	}
	for _, id := range b.p.Grads { // whose readers may change them
		fixed[b.p.Root(id)] = false
	}
	taken := map[ID]bool{}
	for _, id := range b.p.Grads {
		taken[b.p.Root(id)] = true
	}
	for _, in := range b.p.Instrs {
		all := in.Op != Dropout && in.Op != BatchNorm
		for _, id := range in.In {
			all = all && (id == None || fixed[b.p.Root(id)])
		}
		for _, id := range in.Out {
			all = all && (id == None || !taken[b.p.Root(id)])
		}
		for _, id := range in.Out {
			if id != None {
				fixed[b.p.Root(id)] = all
			}
		}
	}
	return fixed
}

// packFilters lays out ahead the weights of convolutions that do not change from step to step.
func packFilters(b *builder) {
	fixed := b.static()
	type use struct {
		w ID
		a ConvAttr
	}
	packed := map[use]ID{}
	before := map[int]Instr{}
	for i := range b.p.Instrs {
		in := &b.p.Instrs[i]
		if in.Op != Conv || !fixed[b.p.Root(in.In[convWeight])] {
			continue
		}
		a := in.Attr.(ConvAttr)
		u := use{in.In[convWeight], ConvAttr{Shape: a.Shape}}
		if _, ok := packed[u]; !ok {
			packed[u] = b.temp("packed", []int{a.packedLen()}, nil)
			before[i] = Instr{Op: ConvPack, Attr: u.a, In: []ID{u.w}, Out: []ID{packed[u]}, Node: in.Node}
		}
		a.Packed = true
		in.Attr = a
		in.In = append([]ID{in.In[convX], packed[u]}, in.In[convBias:]...)
	}
	b.rewrite(nil, before)
}

// hoist moves what stays the same from step to step to the front, where it runs only when the weights have changed.
func hoist(b *builder) {
	fixed := b.static()
	var first, rest []Instr
	forward := 0
	for i, in := range b.p.Instrs {
		still := len(in.In) > 0
		for _, id := range in.Out {
			still = still && (id == None || fixed[b.p.Root(id)])
		}
		if still {
			first = append(first, in)
			continue
		}
		if i < b.p.Forward {
			forward++
		}
		rest = append(rest, in)
	}
	b.p.Prelude = len(first)
	b.p.Forward = len(first) + forward
	b.p.Instrs = append(first, rest...)
}
