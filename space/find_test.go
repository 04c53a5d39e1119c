package space_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit/nets"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

func TestFindTiesWhatHangsTogether(t *testing.T) {
	cases := []struct {
		name   string
		widths []string
		depths []string
		frozen []string // reasons, by part of the text
	}{
		{
			name:   "a chain",
			widths: []string{"c1 8", "c2 16"},
			frozen: []string{"output"},
		},
		{
			name:   "instance norm",
			widths: []string{"c1 8", "c2 6"},
			frozen: []string{"output"},
		},
		{
			name:   "residual blocks",
			widths: []string{"stem+2 8", "l.0.conv1 4", "l.1.conv1 4"},
			depths: []string{"depth.l 2"},
			frozen: []string{"output"},
		},
		{
			name:   "a projection shortcut is no removable block",
			widths: []string{"stem 8", "b.conv1 8", "b.conv2+1 16"},
			frozen: []string{"output"},
		},
		{
			name:   "concatenation keeps groups apart",
			widths: []string{"stem 8", "a 4", "b 6"},
			frozen: []string{"output"},
		},
		{
			name:   "depthwise passes channels on",
			widths: []string{"expand 8", "project 6"},
			frozen: []string{"output"},
		},
		{
			name:   "depthwise with a multiplier",
			widths: []string{"expand.groups+1 8", "dw 2"},
			frozen: []string{"output"},
		},
		{
			name:   "few wide groups have a pattern within the group",
			widths: []string{"c1 8", "c1.groups+1 2", "grouped 6"},
			frozen: []string{"output"},
		},
		{
			name:   "many narrow groups go as wholes",
			widths: []string{"c1 2", "c1.groups+1 8", "grouped 4"},
			frozen: []string{"output"},
		},
		{
			name:   "squeeze and excite",
			widths: []string{"c1+1 8", "fc1 4"},
			frozen: []string{"output"},
		},
		{
			name:   "flatten gives each channel its positions",
			widths: []string{"c1 8"},
			frozen: []string{"output"},
		},
		{
			name:   "a channel pad separates two streams",
			widths: []string{"c1 8", "c2 16"},
			frozen: []string{"output"},
		},
		{
			name:   "channel shuffle ties the halves",
			widths: []string{"c1 4", "c1#2 2"},
			frozen: []string{"output"},
		},
		{
			name:   "a slice of channels makes two groups of a layer",
			widths: []string{"c1 3", "c1#2 5", "c2+1 6"},
			frozen: []string{"output"},
		},
		{
			name:   "an unknown operator freezes what it touches",
			widths: []string{"c2 6"},
			frozen: []string{"no rule", "output"},
		},
		{
			name:   "softmax over channels freezes them",
			widths: []string{},
			frozen: []string{"normalises", "output"},
		},
		{
			name:   "what is added to the input stays",
			widths: []string{"c1 8"},
			depths: []string{"depth.sum 1"},
			frozen: []string{"cannot lose", "output"},
		},
		{
			name:   "a weight with two readers ties them",
			widths: []string{"c1+1 8"},
			frozen: []string{"output"},
		},
		{
			name:   "channels last by Transpose, MatMul and bias",
			widths: []string{"c1 8", "fc1 12"},
			frozen: []string{"output"},
		},
		{
			name:   "a slice beside the whole",
			widths: []string{"c1 3", "c1#2 5"},
			frozen: []string{"output"},
		},
		{
			name:   "nested blocks",
			widths: []string{"stem+2 8"},
			depths: []string{"depth.in 1", "depth.out.add 1"},
			frozen: []string{"output"},
		},
		{
			name:   "unequal parts by Split",
			widths: []string{"c1 3", "c1#2 5", "c2 6"},
			frozen: []string{"output"},
		},
		{
			name:   "channels in another order",
			widths: []string{"c1+1 4", "c1 4"},
			frozen: []string{"output"},
		},
		{
			name:   "a channel pad that has been cut",
			widths: []string{"c1 8", "c2 6"},
			frozen: []string{"output"},
		},
		{
			name:   "one weight in two blocks",
			widths: []string{"stem+1 8"},
			depths: []string{"depth.l 2"},
			frozen: []string{"output"},
		},
		{
			name:   "two inputs multiplied",
			widths: []string{"q+1 6"},
			frozen: []string{"output"},
		},
		{
			name:   "the last sum is the output",
			widths: []string{"c1 8", "fc2 12"},
			depths: []string{"depth.sum 1"},
			frozen: []string{"output", "output"},
		},
		{
			name:   "second outputs nobody reads",
			widths: []string{"c1 8"},
			frozen: []string{"output"},
		},
		{
			name:   "residual blocks by Sum",
			widths: []string{"stem+2 8"},
			depths: []string{"depth.l 2"},
			frozen: []string{"output"},
		},
		{
			name:   "resizing hands channels on",
			widths: []string{"c1 8", "down 6", "side 5"},
			frozen: []string{"output"},
		},
		{
			name:   "sum over channels",
			widths: []string{"c1 8", "c2 5"},
			frozen: []string{"output"},
		},
	}
	byName := map[string]nets.Case{}
	for _, c := range nets.Cases() {
		byName[c.Name] = c
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := find(t, byName[c.name].Graph(1), space.Options{})
			if got := widths(s); !slices.Equal(got, c.widths) {
				t.Errorf("widths %q, want %q", got, c.widths)
			}
			if got := depths(s); !slices.Equal(got, c.depths) && len(got)+len(c.depths) > 0 {
				t.Errorf("depths %q, want %q", got, c.depths)
			}
			if len(s.Frozen) != len(c.frozen) {
				t.Fatalf("frozen %+v, want %q", s.Frozen, c.frozen)
			}
			for i, z := range s.Frozen {
				if !strings.Contains(z.Reason, c.frozen[i]) {
					t.Errorf("frozen %+v, want %q", z, c.frozen[i])
				}
			}
			delete(byName, c.name)
		})
	}
	for name := range byName {
		t.Errorf("no expectation for %q", name)
	}
}

func find(t *testing.T, g *ir.Graph, o space.Options) *space.Space {
	t.Helper()
	s, err := space.Find(g, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// widths and depths list the groups of a kind as "name n".
func widths(s *space.Space) []string { return list(s, space.Width) }
func depths(s *space.Space) []string { return list(s, space.Depth) }

func list(s *space.Space, k space.Kind) []string {
	out := []string{}
	for _, g := range s.Groups {
		if g.Kind == k {
			out = append(out, fmt.Sprintf("%s %d", g.Name, g.N))
		}
	}
	return out
}

func TestFindKeepsGroupsWholeOnEveryAxis(t *testing.T) {
	for _, c := range nets.Cases() {
		s := find(t, c.Graph(1), space.Options{})
		for v, axes := range s.Axes {
			for i, axis := range axes {
				seen := map[space.Ref]bool{}
				count := map[int32]int{}
				for _, layer := range axis {
					for _, r := range layer {
						if !r.Fixed() && !seen[r] {
							seen[r] = true
							count[r.Group]++
						}
					}
				}
				for g, n := range count {
					if n != s.Groups[g].N {
						t.Errorf("%s: axis %d of %s holds %d of %d elements of %s", c.Name, i, v, n, s.Groups[g].N, s.Groups[g].Name)
					}
				}
			}
		}
	}
}

func TestFindObeysOptions(t *testing.T) {
	var g *ir.Graph
	for _, c := range nets.Cases() {
		if c.Name == "residual blocks" {
			g = c.Graph(1)
		}
	}
	cases := []struct {
		name string
		o    space.Options
		want []string
	}{
		{"no depth", space.Options{NoDepth: true}, []string{"stem+2 8", "l.0.conv1 4", "l.1.conv1 4"}},
		{"freeze by name", space.Options{Freeze: []string{"stem*"}}, []string{"l.0.conv1 4", "l.1.conv1 4", "depth.l 2"}},
		{"freeze by a producer", space.Options{Freeze: []string{"l.1.conv2"}}, []string{"l.0.conv1 4", "l.1.conv1 4", "depth.l 2"}},
		{"only", space.Options{Only: []string{"*.conv1"}}, []string{"l.0.conv1 4", "l.1.conv1 4"}},
		{"min as large as the group", space.Options{Min: map[string]int{"l.0.conv1": 4}}, []string{"stem+2 8", "l.1.conv1 4", "depth.l 2"}},
		{"min as large as the depth", space.Options{Min: map[string]int{"depth.l": 2}}, []string{"stem+2 8", "l.0.conv1 4", "l.1.conv1 4"}},
		{"min larger than some groups", space.Options{Min: map[string]int{"*": 5}}, []string{"stem+2 8"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := find(t, g, c.o)
			if got := append(widths(s), depths(s)...); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	s := find(t, g, space.Options{Min: map[string]int{"*": 2}, Divisor: 4})
	for _, g := range s.Groups {
		if g.Min != 2 || g.Kind == space.Width && g.Divisor != 4 {
			t.Errorf("%s has min %d, divisor %d", g.Name, g.Min, g.Divisor)
		}
	}
}

func TestFindListsEveryBlockAroundANode(t *testing.T) {
	for _, c := range nets.Cases() {
		if c.Name != "nested blocks" {
			continue
		}
		s := find(t, c.Graph(1), space.Options{})
		for id, want := range map[string]int{"in.conv:0": 2, "in.add:0": 2, "out.conv:0": 1, "out.add:0": 1, "stem:0": 0} {
			if got := len(s.BlockOf[id]); got != want {
				t.Errorf("%s lies in %d blocks, want %d", id, got, want)
			}
		}
	}
}

// TestFindKnowsBothNamesOfTheDomain: a file may state ONNX's own domain at every node, which changes nothing.
func TestFindKnowsBothNamesOfTheDomain(t *testing.T) {
	for _, c := range nets.Cases() {
		g := c.Graph(1)
		want, err := space.Find(g, space.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range g.Nodes {
			if n.Domain == "" {
				n.Domain = "ai.onnx"
			}
		}
		got, err := space.Find(g, space.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got  %+v\nwant %+v", c.Name, got.Groups, want.Groups)
		}
	}
}

func TestOptionsAreWrittenAsRunsKeepThem(t *testing.T) {
	for _, c := range []struct {
		o    space.Options
		want string
	}{
		{space.Options{}, `{}`},
		{
			space.Options{NoDepth: true, Freeze: []string{"stem*"}, Only: []string{"layer?"}, Min: map[string]int{"*": 4}, Divisor: 8},
			`{"no_depth":true,"freeze":["stem*"],"only":["layer?"],"min":{"*":4},"divisor":8}`,
		},
	} {
		text, err := json.Marshal(c.o)
		if err != nil || string(text) != c.want {
			t.Errorf("%s, %v, want %s", text, err, c.want)
		}
		var back space.Options
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, c.o) {
			t.Errorf("%+v, %v, want %+v", back, err, c.o)
		}
	}
}

// TestFindFreezesWhatIsResized: positions along an axis that changes its size are no elements, nor are channels whose number is computed.
func TestFindFreezesWhatIsResized(t *testing.T) {
	const head = `opset "" 17
input x float32 (N, 3, 4, 4)
weight w float32 (8, 3, 1, 1) = 1*24
weight v float32 (5, 8, 1, 1) = 1*40
weight up float32 (4) = 1 1 2 2
weight crop float32 (8) = 0 0 0 0 1 1 1 1
weight shifted float32 (4) = 1 1.0625 2 2
weight rest int64 (2) = 8 8
weight i int64 (1) = 0
weight two int64 (1) = 2
c = Conv(x, w) name c
`
	const tail = "\nd = Conv(r, v)\nz = GlobalAveragePool(d)\noutput z float32 (N, 5, 1, 1)"
	for _, c := range []struct{ node, frozen string }{
		{"r = Resize(c, _, up)", ""},
		{`r = Resize(c, crop, up) {coordinate_transformation_mode="tf_crop_and_resize"}`, "resizes over it"},
		{"r = Resize(c, _, shifted)", "resizes over it"}, // eight channels become eight others
		{"s = Shape(c)\nf = Slice(s, i, two)\nt = Concat(f, rest) {axis=0}\nr = Resize(c, _, _, t)", "reads its size while running"},
	} {
		g, err := ir.Parse(head + c.node + tail)
		if err != nil {
			t.Fatal(err)
		}
		s, err := space.Find(g, space.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.node, err)
			continue
		}
		at := slices.IndexFunc(s.Frozen, func(z space.Frozen) bool { return z.Value == "w" })
		switch {
		case c.frozen == "" && at >= 0:
			t.Errorf("%s: frozen: %+v", c.node, s.Frozen[at])
		case c.frozen != "" && (at < 0 || !strings.Contains(s.Frozen[at].Reason, c.frozen)):
			t.Errorf("%s: frozen %+v, want %q", c.node, s.Frozen, c.frozen)
		}
	}
}
