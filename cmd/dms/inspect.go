package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/space"
	"github.com/spf13/cobra"
)

// inspection is what inspect prints as JSON.
type inspection struct {
	Model   string   `json:"model"`
	Name    string   `json:"name"`
	Opset   int64    `json:"opset"`
	Inputs  []port   `json:"inputs"`
	Outputs []port   `json:"outputs"`
	Nodes   int      `json:"nodes"`
	Unknown []string `json:"unknown_operators"`

	Searchable int64       `json:"searchable"` // parameters that some selection removes
	Stuck      []stuckInfo `json:"stuck"`      // the others
	cost.Cost
	Groups []groupInfo  `json:"groups"`
	Frozen []frozenInfo `json:"frozen"`
	Layers []layerInfo  `json:"layers"`
}

type port struct {
	Name  string `json:"name"`
	Shape string `json:"shape"`
}

type groupInfo struct {
	Name    string       `json:"name"`
	Kind    space.Kind   `json:"kind"`
	N       int          `json:"n"`
	Min     int          `json:"min"`
	Divisor int          `json:"divisor,omitempty"`
	MACs    int64        `json:"macs"`   // that go when as much of the group goes as may
	Params  int64        `json:"params"` // likewise
	Members []memberInfo `json:"members,omitempty"`
	Blocks  []string     `json:"blocks,omitempty"`
	Ties    []string     `json:"ties,omitempty"`
}

type memberInfo struct {
	Layer    string `json:"layer"`
	Operator string `json:"operator"`
	Weight   string `json:"weight"`
	Axis     int    `json:"axis"`
}

func newMember(m space.Member) memberInfo {
	name, op := splitLabel(m.Node)
	return memberInfo{name, op, m.Weight, m.Axis}
}

type frozenInfo struct {
	Value    string `json:"value"`
	Axis     int    `json:"axis"`
	Size     int    `json:"size"`
	Node     string `json:"node,omitempty"`
	Operator string `json:"operator,omitempty"`
	Reason   string `json:"reason"`
}

type layerInfo struct {
	Node     string `json:"node"`
	Operator string `json:"operator"`
	cost.Cost
}

func newInspect(c *console) *cobra.Command {
	var src modelSource
	var sp spaceFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "Show what can be removed from a network, and why the rest cannot",
		Long: `inspect lists the groups of elements that a search may remove: channels, hidden units and residual blocks, with the layers each group ties
together and why; every axis that has to stay, with the operator and the reason; and what each layer costs.

'saves' is what goes when as much of one group goes as may, everything else staying. Costs are those of one sample; where a file leaves height,
width or length open, --input states them.

A file of --steer says what the flags say, here and for search; flags come on top of it:
  no_depth: true
  freeze: ['stem*', 'head*']
  tie: ['layer1*.conv1']
  min: {'*': 8, 'layer4*': 64}
  divisor: 8`,
		Example: `  dms inspect model.onnx
  dms inspect zoo:mobilenetv2 --json
  dms inspect model.onnx --freeze 'backbone.stem*' --min 8
  dms inspect model.onnx --tie 'layer1*.conv1' --divisor 8 --divisor 'head*=16'
  dms inspect model.onnx --steer steer.yaml
  dms inspect text.onnx --input x=1x3x48x192`,
		Args: arguments(1, "a MODEL"),
	}
	cmd.Flags().StringVar(&src.Weights, "weights", "", "a .safetensors or .onnx file with the weights of a zoo MODEL")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	inputFlag(cmd, &src.Inputs)
	sp.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := sp.options()
		if err != nil {
			return err
		}
		src.Model = args[0]
		g, err := src.load()
		if err != nil {
			return err
		}
		if err := checkPatterns(g, src.Model, o); err != nil {
			return misuse("--%w", err)
		}
		v, err := inspect(args[0], g, o)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(c.out, v)
		}
		return v.writeText(c.out)
	}
	return cmd
}

// stuckInfo is a reason for which parameters stay, with how many do.
type stuckInfo struct {
	Reason string `json:"reason"`
	Params int64  `json:"params"`
}

// stuck sums parameters that no selection removes by reason, most first.
func stuck(s cost.Share) []stuckInfo {
	out := []stuckInfo{}
	for _, z := range s.Stuck {
		reason := z.Reason
		switch {
		case reason == "":
			reason = "beside axes that stay"
		case z.Op != "":
			reason = z.Op + " " + reason
		}
		i := slices.IndexFunc(out, func(x stuckInfo) bool { return x.Reason == reason })
		if i < 0 {
			i = len(out)
			out = append(out, stuckInfo{Reason: reason})
		}
		out[i].Params += z.Params
	}
	slices.SortStableFunc(out, func(a, b stuckInfo) int { return cmp.Compare(b.Params, a.Params) })
	return out
}

func inspect(name string, g *ir.Graph, o space.Options) (*inspection, error) {
	s, err := dms.Inspect(g, o)
	if err != nil {
		return nil, err
	}
	model, err := cost.NewModel(g, s)
	if err != nil {
		return nil, openHint(g, err)
	}
	layers, err := cost.Layers(g)
	if err != nil {
		return nil, err
	}
	share, err := cost.ShareOf(g, s)
	if err != nil {
		return nil, err
	}
	v := &inspection{
		Searchable: share.Searchable, Stuck: stuck(share),
		Model: name, Name: g.Name, Opset: g.Opset(""), Inputs: ports(g.Inputs), Outputs: ports(g.Outputs), Nodes: len(g.Nodes),
		Unknown: unknownOperators(g), Cost: model.Full(), Groups: []groupInfo{}, Frozen: []frozenInfo{},
	}
	for _, group := range s.Groups {
		least := make([]int, group.Min) // the first elements stand for any
		for i := range least {
			least[i] = i
		}
		without := model.At(space.Selection{Keep: map[string][]int{group.Name: least}})
		i := groupInfo{
			Name: group.Name, Kind: group.Kind, N: group.N, Min: group.Min, Ties: group.Ties,
			MACs: v.MACs - without.MACs, Params: v.Params - without.Params,
		}
		if group.Divisor > 1 {
			i.Divisor = group.Divisor
		}
		for _, m := range group.Members {
			i.Members = append(i.Members, newMember(m))
		}
		for _, b := range group.Blocks {
			i.Blocks = append(i.Blocks, b.Name)
		}
		v.Groups = append(v.Groups, i)
	}
	at := map[frozenInfo]int{}
	for _, f := range s.Frozen {
		i := frozenInfo{f.Value, f.Axis, 0, layerName(f.Node), f.Op, f.Reason}
		if _, seen := at[i]; !seen { // elements of one axis that would have shrunk separately stay for one reason
			at[i] = len(v.Frozen)
			v.Frozen = append(v.Frozen, i)
		}
		v.Frozen[at[i]].Size += f.Size
	}
	for _, l := range layers {
		v.Layers = append(v.Layers, layerInfo{layerName(l.Node), l.Op, l.Cost})
	}
	return v, nil
}

// splitLabel takes a node's label, `node "conv1" (Conv)`, apart.
func splitLabel(label string) (name, op string) {
	rest, ok := strings.CutPrefix(label, `node "`)
	at := strings.LastIndex(rest, `" (`)
	if !ok || at < 0 {
		return label, ""
	}
	return rest[:at], strings.TrimSuffix(rest[at+len(`" (`):], ")")
}

func layerName(label string) string {
	name, _ := splitLabel(label)
	return name
}

func ports(infos []ir.ValueInfo) []port {
	out := []port{}
	for _, i := range infos {
		out = append(out, port{i.Name, i.Shape.String()})
	}
	return out
}

// unknownOperators are those that have no row in the operator table: kept as they are, with all they touch.
func unknownOperators(g *ir.Graph) []string {
	out := []string{}
	seen := map[string]bool{}
	for _, n := range g.Nodes {
		name := n.Op
		if n.Domain != "" {
			name = n.Domain + ":" + n.Op
		}
		if !ir.Known(n.Op, n.Domain) && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

// writeText writes the inspection for people.
func (v *inspection) writeText(w io.Writer) error {
	fmt.Fprintf(w, "%s: opset %d, %d nodes, %s MACs, %s parameters, %s of activations\n", v.Model, v.Opset, v.Nodes,
		report.Count(v.MACs), report.Count(v.Params), report.Bytes(v.Bytes))
	for _, p := range v.Inputs {
		fmt.Fprintf(w, "  in   %s %s\n", p.Name, p.Shape)
	}
	for _, p := range v.Outputs {
		fmt.Fprintf(w, "  out  %s %s\n", p.Name, p.Shape)
	}
	if v.Params > 0 {
		fmt.Fprintf(w, "  %s of the parameters can go", percent(v.Searchable, v.Params))
		if len(v.Stuck) > 0 {
			fmt.Fprintf(w, "; %s stay: %s", percent(v.Stuck[0].Params, v.Params), v.Stuck[0].Reason)
		}
		fmt.Fprintln(w)
	}
	if len(v.Unknown) > 0 {
		fmt.Fprintf(w, "  unknown operators, kept with all they touch: %s\n", strings.Join(v.Unknown, ", "))
	}
	fmt.Fprintln(w)
	t := &report.Table{Title: counted(len(v.Groups), "group that can shrink", "groups that can shrink"), Columns: []string{"group", "kind", "elements", "saves MACs", "params", "what hangs together"}}
	for _, g := range v.Groups {
		t.Add(g.Name, g.Kind.String(), fmt.Sprint(g.N), percent(g.MACs, v.MACs), percent(g.Params, v.Params), members(g))
	}
	if err := t.WriteText(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, g := range v.Groups {
		if len(g.Ties) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s is one group because\n", g.Name)
		for _, tie := range g.Ties {
			fmt.Fprintf(w, "  %s\n", tie)
		}
	}
	fmt.Fprintln(w)
	t = &report.Table{Title: counted(len(v.Frozen), "axis that stays", "axes that stay"), Columns: []string{"value", "axis", "size", "why"}}
	for _, f := range v.Frozen {
		why := f.Reason
		if f.Node != "" {
			why = f.Operator + " " + f.Node + ": " + why
		}
		t.Add(f.Value, fmt.Sprint(f.Axis), fmt.Sprint(f.Size), why)
	}
	if err := t.WriteText(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = &report.Table{Title: "cost of each layer that multiplies", Columns: []string{"layer", "operator", "MACs", "", "params", ""}}
	for _, l := range v.Layers {
		if l.MACs > 0 {
			t.Add(l.Node, l.Operator, report.Count(l.MACs), percent(l.MACs, v.MACs), report.Count(l.Params), percent(l.Params, v.Params))
		}
	}
	return t.WriteText(w)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

func percent(part, whole int64) string {
	if whole == 0 {
		return ""
	}
	return report.Percent(float64(part) / float64(whole))
}

// members is what a group is made of, shortened to one line.
func members(g groupInfo) string {
	names := g.Blocks
	if g.Kind == space.Width {
		seen := map[string]bool{}
		for _, m := range g.Members {
			if !seen[m.Layer] && m.Operator != "BatchNormalization" { // which only follows its convolution
				seen[m.Layer] = true
				names = append(names, m.Layer)
			}
		}
	}
	const shown = 4
	if len(names) > shown {
		return strings.Join(names[:shown], ", ") + fmt.Sprintf(" and %d more", len(names)-shown)
	}
	return strings.Join(names, ", ")
}
