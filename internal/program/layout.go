package program

import "slices"

// channelsLast is the layout of an image value of the given rank: (N, C, spatial...) is stored as (N, spatial..., C), and a kernel
// (O, I, spatial...) as (O, spatial..., I). A rank below three has no other order: nil.
func channelsLast(rank int) []int {
	if rank < 3 {
		return nil
	}
	l := []int{0}
	for i := 2; i < rank; i++ {
		l = append(l, i)
	}
	return append(l, 1)
}

// permute orders a graph shape as the layout stores it.
func permute(shape, layout []int) []int {
	if layout == nil {
		return append([]int{}, shape...)
	}
	out := make([]int, len(shape))
	for i, axis := range layout {
		out[i] = shape[axis]
	}
	return out
}

// logical is the graph's shape of a value.
func (v *Value) logical() []int {
	if v.Layout == nil {
		return append([]int{}, v.Shape...)
	}
	out := make([]int, len(v.Shape))
	for i, axis := range v.Layout {
		out[axis] = v.Shape[i]
	}
	return out
}

// physical is the storage axis of a graph axis.
func (v *Value) physical(axis int) int {
	if v.Layout == nil {
		return axis
	}
	return slices.Index(v.Layout, axis)
}

func identity(rank int) []int {
	l := make([]int, rank)
	for i := range l {
		l[i] = i
	}
	return l
}

func full(layout []int, rank int) []int {
	if layout == nil {
		return identity(rank)
	}
	return layout
}

// normal is layout, or nil when it is the identity.
func normal(layout []int) []int {
	for i, a := range layout {
		if i != a {
			return layout
		}
	}
	return nil
}

// sameOrder tells whether two layouts store the elements of a graph shape in the same order; axes of size one do not count.
func sameOrder(shape, a, b []int) bool {
	order := func(layout []int) []int {
		var o []int
		for _, axis := range full(layout, len(shape)) {
			if shape[axis] != 1 {
				o = append(o, axis)
			}
		}
		return o
	}
	return slices.Equal(order(a), order(b))
}

// arrange gives v in another layout: a view where the order of the elements is the same, else a transposed copy.
func (b *builder) arrange(v ID, layout []int) ID {
	x := b.val(v)
	rank := len(x.Shape)
	layout = normal(layout)
	if slices.Equal(full(x.Layout, rank), full(layout, rank)) {
		return v
	}
	shape := x.logical()
	if sameOrder(shape, x.Layout, layout) {
		return b.view(v, permute(shape, layout), layout)
	}
	perm := make([]int, rank)
	for i, axis := range full(layout, rank) {
		perm[i] = x.physical(axis)
	}
	out := b.temp(x.Name, permute(shape, layout), layout)
	b.emit(Transpose, TransposeAttr{Perm: perm}, []ID{out}, []ID{v})
	return out
}

// rowMajor gives v in the graph's own order.
func (b *builder) rowMajor(v ID) ID { return b.arrange(v, nil) }

// broadcastTo gives v with leading axes of size one added up to rank, in the given layout of that rank.
func (b *builder) broadcastTo(v ID, rank int, layout []int) ID {
	x := b.val(v)
	if missing := rank - len(x.Shape); missing > 0 {
		shape := make([]int, missing, rank)
		l := identity(missing)
		for i := range shape {
			shape[i] = 1
		}
		for _, axis := range full(x.Layout, len(x.Shape)) {
			l = append(l, axis+missing)
		}
		v = b.view(v, append(shape, x.Shape...), normal(l))
	}
	return b.arrange(v, layout)
}
