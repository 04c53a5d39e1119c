package program

import "fmt"

func convDataVJP(b *builder, in Instr, dy ID) error {
	x, w := in.In[0], in.In[1]
	a := ConvAttr{Shape: in.Attr.(ConvAttr).Shape}
	if b.wants(x) {
		dx := b.like(x)
		b.emit(Conv, a, []ID{dx}, []ID{dy, w})
		b.addGrad(x, dx)
	}
	if b.wants(w) {
		dw := b.like(w)
		b.emit(ConvWeight, a, []ID{dw}, []ID{dy, x})
		b.addGrad(w, dw)
	}
	return nil
}

func whereVJP(b *builder, in Instr, dy ID) error {
	c, zero := in.In[0], b.number(0, len(b.val(dy).Shape))
	for i, v := range in.In[1:] {
		if !b.wants(v) {
			continue
		}
		g := b.temp("gradient", b.val(dy).Shape, nil)
		operands := []ID{c, dy, zero}
		if i == 1 {
			operands = []ID{c, zero, dy}
		}
		b.emit(Where, nil, []ID{g}, operands)
		b.addGrad(v, b.reduced(g, v))
	}
	return nil
}

// extremeVJP shares the gradient out among equal elements.
func extremeVJP(b *builder, in Instr, dy ID) error {
	if f := in.Attr.(ExtremeAttr).Function; f == "mul" {
		return fmt.Errorf("the gradient of a product over an axis is not supported")
	}
	x, y := in.In[0], in.Out[0]
	equal := b.like(x)
	b.emit(Binary, BinaryAttr{"equal"}, []ID{equal}, []ID{x, y})
	count, share := b.like(y), b.like(y)
	b.emit(Sum, ScaleAttr{1}, []ID{count}, []ID{equal})
	b.emit(Binary, BinaryAttr{"div"}, []ID{share}, []ID{dy, count})
	dx := b.like(x)
	b.emit(Binary, BinaryAttr{"mul"}, []ID{dx}, []ID{equal, share})
	b.addGrad(x, dx)
	return nil
}

func topKVJP(b *builder, in Instr, dy ID) error {
	dx := b.like(in.In[0])
	b.emit(Put, PutAttr{in.Attr.(TopKAttr).PickAttr, "add"}, []ID{dx}, []ID{None, in.Out[1], dy})
	b.addGrad(in.In[0], dx)
	return nil
}

func cumSumVJP(b *builder, in Instr, dy ID) error {
	a := in.Attr.(CumSumAttr)
	a.Reverse = !a.Reverse
	dx := b.like(in.In[0])
	b.emit(CumSum, a, []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

func pickVJP(b *builder, in Instr, dy ID) error {
	if !b.wants(in.In[0]) {
		return nil
	}
	dx := b.like(in.In[0])
	b.emit(Put, PutAttr{in.Attr.(PickAttr), "add"}, []ID{dx}, []ID{None, in.In[1], dy})
	b.addGrad(in.In[0], dx)
	return nil
}

// putVJP takes it that no place is written twice where writing replaces, as ONNX demands.
func putVJP(b *builder, in Instr, dy ID) error {
	a := in.Attr.(PutAttr)
	x, indices, updates := in.In[0], in.In[1], in.In[2]
	if a.Reduction != "none" && a.Reduction != "add" {
		return fmt.Errorf("the gradient of a scatter with reduction %s is not supported", a.Reduction)
	}
	if b.wants(updates) {
		g := b.like(updates)
		b.emit(Pick, a.PickAttr, []ID{g}, []ID{dy, indices})
		b.addGrad(updates, g)
	}
	switch {
	case !b.wants(x):
	case a.Reduction == "add":
		b.addGrad(x, dy)
	default:
		zeros := b.constant(make([]float32, b.val(updates).Len()), b.val(updates).Shape...)
		g := b.like(x)
		b.emit(Put, a, []ID{g}, []ID{dy, indices, zeros})
		b.addGrad(x, g)
	}
	return nil
}

func mixVJP(b *builder, in Instr, dy ID) error {
	dx := b.like(in.In[0])
	b.emit(Mix, in.Attr.(MixAttr).turned(), []ID{dx}, []ID{dy})
	b.addGrad(in.In[0], dx)
	return nil
}

func rowNormVJP(b *builder, in Instr, dy ID) error {
	out := []ID{None, None, None}
	for i, v := range in.In {
		if b.wants(v) {
			out[i] = b.like(v)
		}
	}
	b.emit(RowNormGrad, in.Attr, out, []ID{dy, in.In[0], in.In[1], in.Out[1], in.Out[2]})
	for i, g := range out {
		if g != None {
			b.addGrad(in.In[i], g)
		}
	}
	return nil
}
