package space_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// twoNorms has two layers of 8 channels, each with a norm over 2 groups of 4.
const twoNorms = `opset "" 21
input x float32 (N, 3, 4, 4)
output z float32 (N, 5, 4, 4)
weight w1 float32 (8, 3, 1, 1) = 1*24
weight w2 float32 (8, 8, 1, 1) = 1*64
weight w3 float32 (5, 8, 1, 1) = 1*40
weight s float32 (8) = 1*8
weight b float32 (8) = 1*8
weight s2 float32 (8) = 1*8
weight b2 float32 (8) = 1*8
c1 = Conv(x, w1) name c1
n1 = GroupNormalization(c1, s, b) {num_groups=2}
c2 = Conv(n1, w2) name c2
n2 = GroupNormalization(c2, s2, b2) {num_groups=2}
z = Conv(n2, w3) name c3
`

func TestOptionsSteerWhatIsTied(t *testing.T) {
	g, err := ir.Parse(twoNorms)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		o      space.Options
		groups []string // name, elements, least, divisor
		fault  string
	}{
		{"none", space.Options{}, []string{"c1 4 1 1", "c1.groups 2 1 1", "c2 4 1 1", "c2.groups 2 1 1"}, ""},
		{"one kind", space.Options{Tie: []string{"*.groups"}}, []string{"c1 4 1 1", "c1.groups+1 2 1 1", "c2 4 1 1"}, ""},
		{"both kinds", space.Options{Tie: []string{"c?", "*.groups"}}, nil, "groups differ in size"},
		{"others match what was tied", space.Options{Tie: []string{"*.groups"}, Only: []string{"*.groups"}}, []string{"c1.groups+1 2 1 1"}, ""},
		{"by the name of the second", space.Options{Tie: []string{"*.groups"}, Freeze: []string{"c2.groups"}}, []string{"c1 4 1 1", "c2 4 1 1"}, ""},
		{"the largest count", space.Options{Min: map[string]int{"*": 2, "c1": 3, "c?": 1}, Divisor: 4, Divisors: map[string]int{"c2": 2}},
			[]string{"c1 4 3 4", "c2 4 2 2"}, ""},
	} {
		s, err := space.Find(g, c.o)
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: got %v, want %q", c.name, err, c.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, group := range s.Groups {
			got = append(got, fmt.Sprintf("%s %d %d %d", group.Name, group.N, group.Min, group.Divisor))
		}
		if !slices.Equal(got, c.groups) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.groups)
		}
	}
}
