// Package space finds what can be removed from a network without changing what its other parts compute.
//
// In goes a folded ir.Graph, out comes a Space: groups of elements (channels, hidden units, residual blocks), what each of them
// holds on to, and everything that had to stay, with the operator and the reason. Every axis of every value and weight is described
// position by position: either the position stays for ever, or it stands and falls with one element of one group. That
// description is exact, so cutting a graph (package prune), counting what is left (package cost) and masking instead of
// cutting (internal/masked) all follow from it and know no operator's rules of their own.
//
// What always holds for a Space of a graph:
//   - An element has the same positions in every tensor it touches: removing it everywhere leaves a valid graph.
//   - An axis that meets a group holds all of the group's elements, and positions for all combinations where it meets several in layers, so no
//     axis ever becomes empty.
//   - With the elements outside a selection multiplied by zero at every Use and every Block, the graph computes what the cut
//     graph computes.
//   - Graph inputs and outputs keep their shapes.
package space

// Ref is an element of a group, or nothing when Group is −1.
type Ref struct{ Group, Elem int32 }

// Fixed tells whether the ref names no element.
func (r Ref) Fixed() bool { return r.Group < 0 }

// BlockRef is an element of a depth group.
type BlockRef = Ref

// Axis describes the positions of an axis in layers, each of which has one Ref for each position: a position stays while its elements in all layers
// do. One layer is the rule. An axis of heads times dimensions has two, one of heads and one of dimensions, and either can
// shrink. Nil stands for an axis whose positions all stay. It is read-only: axes that agree share it.
//
// Where the size of an axis is a number times symbols, say 12·N for the heads of a batch, the Axis is one period of it, here 12 positions.
type Axis [][]Ref

// Len is the number of positions, 0 for an axis that stays.
func (a Axis) Len() int {
	if a == nil {
		return 0
	}
	return len(a[0])
}

// Kept tells whether position p stays under hard masks, one per group.
func (a Axis) Kept(p int, masks [][]bool) bool {
	for _, layer := range a {
		if r := layer[p]; !r.Fixed() && !masks[r.Group][r.Elem] {
			return false
		}
	}
	return true
}

// Kind tells widths from depths.
type Kind uint8

const (
	Width Kind = iota // elements are positions of axes: channels, hidden units
	Depth             // elements are residual blocks
)

func (k Kind) String() string {
	if k == Depth {
		return "depth"
	}
	return "width"
}

// MarshalText writes the kind as it stands in reports and JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Group is N elements that share one learned scalar.
//
// A width group is named after the layer that produces it, its weight's name without ".weight", or the node's name where the weight's says
// nothing; with several producers the first in graph order names it and "+2" counts the others (a residual stream of three
// layers). A depth group is called "depth." and what its blocks' names have in common, or else the first block's name and
// how many follow. "#2" tells equal names apart. Names depend
// on the graph alone, so that a selection fits the same file tomorrow.
type Group struct {
	Name string
	Kind Kind
	N    int

	// Sharpness is L of the top-k operator: 1 for widths, 4 for blocks, 8 for a lone block.
	Sharpness float64

	// Min elements stay in any selection: at least 1 for a width, 0 unless asked for otherwise for a depth.
	Min int

	// Divisor is what the final count of kept elements should be a multiple of where it can; 1 leaves it free.
	Divisor int

	Members []Member
	Ties    []string // why the members hang together, in words, in graph order
	Uses    []Use    // width: the places where a mask multiplies
	Blocks  []Block  // depth: one per element
}

// Member is one axis of a weight that loses positions with the group.
type Member struct {
	Node   string // label of the node that reads the weight
	Weight string
	Axis   int
}

// Use is a consumer of a width group: a node that sums or averages over positions of the group, or stops following them. A mask multiplies there.
type Use struct {
	Node  string // ir.Node.ID
	Input int    // the input whose positions are masked
	Axis  int

	// Elems holds for each position of that axis its element of this group, −1 where the position does not depend on the group.
	Elems []int32

	// Mean says that the node divides by the number of positions (ReduceMean, a layer norm): it must count those alone that are kept.
	Mean bool

	// Weight is the constant that is contracted with the input: multiplying WeightAxis of it by the mask, by WeightElems, gives the
	// same function. Empty where there is none.
	Weight      string
	WeightAxis  int
	WeightElems []int32
}

// Block is a residual branch y = x + f(x) that can be left out: y becomes x.
type Block struct {
	Name   string
	Add    string   // ID of the Add (or Sum of two)
	Branch int      // which input of the Add is f(x)
	Nodes  []string // IDs of the nodes of f, in graph order
}

// Frozen is an axis, or a part of one, that was made by a layer and yet cannot be removed.
type Frozen struct {
	Value  string // the weight whose output axis it is, or the value of a node without one
	Axis   int
	Size   int    // positions that stay for this reason
	Node   string // label of the node that holds them, "" for none
	Op     string
	Reason string
}

// Space is what can be removed from one graph. It is complete when Find returns it and not changed afterwards.
type Space struct {
	Groups []Group
	Frozen []Frozen

	// Axes describes every axis of values and weights, by name; a name that is missing has no position that can be removed.
	Axes map[string][]Axis

	// Whole names the weights that keep all their positions, each with a reason. One without a reason stands beside things that stay.
	Whole map[string]Frozen

	// BlockOf lists the removable blocks around a node by its ID. A block's Add is inside its own block: it goes with it.
	BlockOf map[string][]BlockRef
}

// Axis describes one axis of a value or weight; nil when all of it stays.
func (s *Space) Axis(name string, axis int) Axis {
	if axes := s.Axes[name]; axis < len(axes) {
		return axes[axis]
	}
	return nil
}

// Group finds a group by name, −1 when there is none.
func (s *Space) Group(name string) int {
	for i := range s.Groups {
		if s.Groups[i].Name == name {
			return i
		}
	}
	return -1
}

// Options steer Find. The zero value searches everything. A run keeps them in its config.json.
type Options struct {
	NoDepth bool `json:"no_depth,omitempty"` // leave residual blocks alone

	// Freeze and Only are patterns over the names of groups, of their producing layers and of blocks: "*" stands for any text, "?" for one
	// character. A group that Freeze matches stays whole; with Only, every group that none of its patterns matches.
	Freeze []string `json:"freeze,omitempty"`
	Only   []string `json:"only,omitempty"`

	// Min is the least number of elements kept, by pattern as above; the largest match counts. Default 1 for widths, 0 for depths.
	Min map[string]int `json:"min,omitempty"`

	// Tie makes one group, element by element, of all width groups that one of its patterns matches; they must have equally many elements.
	Tie []string `json:"tie,omitempty"`

	// Divisor is handed on to width groups; 0 means 1. Divisors says it by pattern; the largest match counts.
	Divisor  int            `json:"divisor,omitempty"`
	Divisors map[string]int `json:"divisors,omitempty"`
}
