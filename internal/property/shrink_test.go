package property

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// counterexample is a graph with a selection, for which something does not hold.
type counterexample struct {
	g   *ir.Graph
	sel space.Selection
}

const keepMark = "# selection "

// text is the graph in words, below its selection.
func (c counterexample) text() string {
	var sel bytes.Buffer
	if err := c.sel.Write(&sel); err != nil {
		return err.Error()
	}
	return keepMark + strings.ReplaceAll(strings.TrimSpace(sel.String()), "\n", "") + "\n" + ir.Format(c.g)
}

func (c counterexample) write(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("testdata", name+".txt"), []byte(c.text()), 0o644); err != nil {
		t.Error(err)
	}
}

// tries is how many random selections a smaller graph may have to break the same part.
const tries = 8

// breaks looks for a selection for which the part does not hold: the one at hand where it fits, or random ones. A selection with more groups
// than the graph has left loses those.
func breaks(g *ir.Graph, sel space.Selection, part string) (space.Selection, bool) {
	s, err := find(g)
	if err != nil {
		return space.Selection{}, partOf(err) == part
	}
	rng := rand.New(rand.NewPCG(1, 42))
	for k := range tries {
		if k == 0 {
			sel = fitting(sel, s)
		} else {
			sel = randomSelection(rng, s)
		}
		if _, err := holds(g, s, sel, 0); partOf(err) == part {
			return sel, true
		}
	}
	return space.Selection{}, false
}

// fitting is what s has of a selection.
func fitting(sel space.Selection, s *space.Space) space.Selection {
	out := space.Selection{Keep: map[string][]int{}}
	for name, list := range sel.Keep {
		at := s.Group(name)
		if at < 0 {
			continue
		}
		list = slices.DeleteFunc(slices.Clone(list), func(e int) bool { return e >= s.Groups[at].N })
		if len(list) >= s.Groups[at].Min {
			out.Keep[name] = list
		}
	}
	return out
}

// shrink takes from a graph and its selection what is not needed to break the part. It is greedy: whatever can go goes, until nothing can.
func shrink(c counterexample, part string) counterexample {
	for again := true; again; {
		again = false
		for i := len(c.g.Nodes) - 1; i >= 0; i-- {
			if i >= len(c.g.Nodes) {
				continue
			}
			for _, smaller := range without(c.g, c.g.Nodes[i]) {
				if sel, ok := breaks(smaller, c.sel, part); ok {
					c, again = counterexample{smaller, sel}, true
					break
				}
			}
		}
	}
	s, err := find(c.g)
	if err != nil {
		return c
	}
	still := func(sel space.Selection) bool {
		_, err := holds(c.g, s, sel, 0)
		return partOf(err) == part
	}
	for _, name := range slices.Sorted(maps.Keys(c.sel.Keep)) {
		fewer := space.Selection{Keep: maps.Clone(c.sel.Keep)}
		delete(fewer.Keep, name)
		if still(fewer) {
			c.sel = fewer
			continue
		}
		for e := range s.Groups[s.Group(name)].N {
			if slices.Contains(c.sel.Keep[name], e) {
				continue
			}
			more := space.Selection{Keep: maps.Clone(c.sel.Keep)}
			more.Keep[name] = append(slices.Clone(more.Keep[name]), e)
			slices.Sort(more.Keep[name])
			if still(more) {
				c.sel = more
			}
		}
	}
	return c
}

// without lists graphs that are smaller for lack of node n: whoever read it reads an earlier value of the same shape, or it becomes an input or
// the output.
func without(g *ir.Graph, n *ir.Node) []*ir.Graph {
	shapes, err := ir.InferShapes(g, nil)
	if err != nil || n.Outputs[0] == "" {
		return nil
	}
	out := shapes[n.Outputs[0]]
	same := func(v string) bool {
		x, ok := shapes[v]
		return ok && x.DType == out.DType && x.Shape != nil && slices.EqualFunc(x.Shape, out.Shape, ir.Dim.Same)
	}
	var list []*ir.Graph
	add := func(change func(g *ir.Graph)) {
		smaller := g.Clone()
		change(smaller)
		dropDead(smaller)
		if len(smaller.Nodes) < len(g.Nodes) && ir.Validate(smaller) == nil {
			if _, err := ir.InferShapes(smaller, nil); err == nil {
				list = append(list, smaller)
			}
		}
	}
	final := len(g.Outputs) == 1 && g.Outputs[0].Name == n.Outputs[0]
	var earlier []string
	for _, v := range g.Inputs {
		earlier = append(earlier, v.Name)
	}
	for _, m := range g.Nodes {
		if m == n {
			break
		}
		earlier = append(earlier, m.Outputs...)
	}
	if final {
		// The output is made by whatever made the input of the last node.
		for _, v := range n.Inputs {
			if x, ok := shapes[v]; ok && g.Weights[v] == nil && x.Shape != nil && x.DType.IsFloat() {
				add(func(g *ir.Graph) { x.Name = v; g.Outputs = []ir.ValueInfo{x} })
			}
		}
		return list
	}
	for _, v := range earlier {
		if v != "" && same(v) {
			add(func(g *ir.Graph) { replace(g, n.Outputs[0], v) })
		}
		if len(list) == 6 {
			break
		}
	}
	if out.DType.IsFloat() && len(out.Shape) > 0 && !out.Shape[0].Known() && !slices.ContainsFunc(out.Shape[1:], func(d ir.Dim) bool { return !d.Known() }) {
		add(func(g *ir.Graph) {
			g.Inputs = append(g.Inputs, ir.ValueInfo{Name: n.Outputs[0] + "/in", DType: out.DType, Shape: out.Shape})
			replace(g, n.Outputs[0], n.Outputs[0]+"/in")
		})
	}
	return list
}

func replace(g *ir.Graph, old, by string) {
	for _, n := range g.Nodes {
		for i, v := range n.Inputs {
			if v == old {
				n.Inputs[i] = by
			}
		}
	}
}

// dropDead takes out nodes, weights and inputs that no output depends on.
func dropDead(g *ir.Graph) {
	live := testkit.DropDead(g)
	maps.DeleteFunc(g.Weights, func(name string, _ *ir.Tensor) bool { return !live[name] })
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v ir.ValueInfo) bool { return !live[v.Name] })
}

// Networks that once broke the property hold it with the selection that showed it, and with others.
func TestNetworksThatBrokeThePropertyHoldIt(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no networks in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			c := read(t, file)
			s, err := find(c.g)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.sel.Check(s); err != nil {
				t.Fatalf("the space has changed; write the selection anew: %v", err)
			}
			if _, err := holds(c.g, s, c.sel, 0); err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(2, 42))
			for range tries {
				if _, err := holds(c.g, s, randomSelection(rng, s), 0); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// read parses a file of testdata.
func read(t *testing.T, file string) counterexample {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c counterexample
	if c.g, err = ir.Parse(string(raw)); err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	sel, ok := strings.CutPrefix(line, keepMark)
	if !ok {
		t.Fatalf("the first line is no selection: %s", line)
	}
	s, err := find(c.g)
	if err != nil {
		t.Fatal(err)
	}
	if c.sel, err = space.ReadSelection(strings.NewReader(sel), s); err != nil {
		t.Fatal(fmt.Errorf("the space has changed; write the selection anew: %w", err))
	}
	return c
}
