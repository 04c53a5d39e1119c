package ir_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/dms-go/dms/ir"
)

func TestConstantsFollowFromBoundSizes(t *testing.T) {
	g := parse(t, `opset "" 17
input x float32 (N, 3)
weight i int64 () = 0
weight axes int64 (1) = 0
weight three int64 (1) = 3
weight two float32 () = 2
weight w float32 (1, 3) = 1 2 3
shape = Shape(x)
n = Gather(shape, i)
list = Unsqueeze(n, axes)
target = Concat(list, three) {axis=0}
zeros = ConstantOfShape(target)
ones = Add(zeros, two)
wide = Expand(w, target)
copied = Identity(w)
twice = Add(copied, copied)
y = Add(x, zeros)
output y float32 (N, 3)
`)
	before := g.Clone()
	free, err := ir.Constants(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(free) != 0 {
		t.Errorf("with a symbolic batch %v are constant", slices.Sorted(maps.Keys(free)))
	}
	got, err := ir.Constants(g, map[string]int{"N": 2})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*ir.Tensor{
		"shape": ir.Vector64(2, 3), "n": ir.Ints64([]int64{2}), "list": ir.Vector64(2), "target": ir.Vector64(2, 3),
		"zeros": ir.Floats32(make([]float32, 6), 2, 3), "ones": ir.Floats32([]float32{2, 2, 2, 2, 2, 2}, 2, 3),
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] == nil || !got[name].Equal(want[name]) {
			t.Errorf("%s is %+v, want %+v", name, got[name], want[name])
		}
	}
	if len(got) != len(want) { // nothing that training changes: not wide, copied, twice
		t.Errorf("constant are %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	if err := ir.EqualGraphs(before, g); err != nil {
		t.Errorf("Constants changed its argument: %v", err)
	}
	g.Nodes[3].Attrs = ir.Attrs{"axis": ir.IntAttr(5)}
	if _, err := ir.Constants(g, map[string]int{"N": 2}); err == nil {
		t.Error("a contradiction gave no error")
	}
}
