package space

import (
	"github.com/dms-go/dms/ir"
)

// groupNorm averages over the axes behind the channels and over the channels of each group. Channel g·P + p is there while group g is and while
// place p is, the same in every group, for the result must again fall into groups of equal size. Places are averaged over; groups are handed on.
func groupNorm(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	attrs, err := ir.GroupNormOf(f.g, n, f.shape(n.Input(0)))
	switch {
	case err != nil:
		f.hold(n, err.Error())
		return
	case in[1] != nil && len(in[1])%attrs.Groups != 0 || !f.shape(n.Input(0))[1].Known():
		f.hold(n, "its groups do not divide its channels")
		return
	}
	each := f.shape(n.Input(0))[1].Size / attrs.Groups
	groups, places := f.grid(n, in[1], attrs.Groups, each)
	f.plays(groups, "groups")
	if places != nil {
		spread := make(label, len(in[1]))
		for c := range spread {
			spread[c] = places[c%each]
		}
		f.average(n, 1, spread)
	}
	for a := 2; a < len(in); a++ {
		f.average(n, a, in[a])
	}
	for i := 1; i < 3; i++ {
		if len(f.shape(n.Input(i))) != 1 {
			continue
		}
		if attrs.PerGroup {
			f.beside(n, n.Input(i), 0, groups)
		} else {
			f.beside(n, n.Input(i), 0, in[1])
		}
	}
	f.out(n, in)
}

// lpNorm divides by the norm along an axis, to which a position that is zero adds nothing: a use that passes elements on.
func lpNorm(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	axis, err := ir.AxisOf(n, len(in), -1)
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	f.use(n, 0, axis, in[axis], "", 0, nil)
	f.out(n, in)
}

// meanVariance averages over the axes that it names.
func meanVariance(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	axes, err := ir.MeanVarianceOf(n, len(in))
	if err != nil {
		f.hold(n, err.Error())
		return
	}
	for _, a := range axes {
		f.average(n, a, in[a])
	}
	f.out(n, in)
}
