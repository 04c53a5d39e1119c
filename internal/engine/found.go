package engine

import (
	"slices"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// bindSuppress keeps the best boxes of every class, greedily from the highest score on.
func bindSuppress[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.SuppressAttr)
	y, boxes, scores := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	total := m.p.Values[in.Out[0]].Len()
	order := make([]int32, a.Boxes)
	kept := make([]int32, 0, a.Max)
	var score []T
	byScore := func(i, j int32) int {
		switch {
		case score[i] > score[j]:
			return -1
		case score[i] < score[j]:
			return 1
		}
		return 0
	}
	return func() {
		row := 0
		for n := range a.Batch {
			box := boxes[n*a.Boxes*4 : (n+1)*a.Boxes*4]
			for c := range a.Classes {
				score = scores[(n*a.Classes+c)*a.Boxes:][:a.Boxes]
				left := order[:0]
				for i, s := range score {
					if float64(s) > a.Score {
						left = append(left, int32(i))
					}
				}
				slices.SortStableFunc(left, byScore)
				kept = kept[:0]
				for _, i := range left {
					if len(kept) == a.Max {
						break
					}
					good := true
					for _, k := range kept {
						if overlap(box[4*i:4*i+4], box[4*k:4*k+4], a.Center) > a.IoU {
							good = false
							break
						}
					}
					if good {
						kept = append(kept, i)
						y[3*row], y[3*row+1], y[3*row+2] = T(n), T(c), T(i)
						row++
					}
				}
			}
		}
		for i := 3 * row; i < total; i++ {
			y[i] = -1
		}
	}
}

// overlap is the area that two boxes share, as a part of the area that they cover together; 0 where one has no area.
func overlap[T kernel.Float](p, q []T, center bool) float64 {
	area, shared := [2]float64{1, 1}, 1.0
	for side := range 2 {
		var lo, hi [2]float64
		for k, b := range [2][]T{p, q} {
			lo[k], hi[k] = float64(min(b[side], b[side+2])), float64(max(b[side], b[side+2]))
			if center {
				half := float64(b[side+2]) / 2
				lo[k], hi[k] = float64(b[side])-half, float64(b[side])+half
			}
			area[k] *= hi[k] - lo[k]
		}
		shared *= max(0, min(hi[0], hi[1])-max(lo[0], lo[1]))
	}
	if area[0] <= 0 || area[1] <= 0 {
		return 0
	}
	return shared / (area[0] + area[1] - shared)
}

// bindNonZero lists the places of elements that are not zero, in their order.
func bindNonZero[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	shape := m.p.Values[in.In[0]].Shape
	n := size(shape)
	st := strides(shape)
	return func() {
		found := 0
		for i, v := range x[:n] {
			if v == 0 {
				continue
			}
			for a := range shape {
				y[a*n+found] = T(i / st[a] % shape[a])
			}
			found++
		}
		for a := range shape {
			for k := found; k < n; k++ {
				y[a*n+k] = -1
			}
		}
	}
}
