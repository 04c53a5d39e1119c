package main

import (
	"fmt"
	"strings"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/zoo"
	"github.com/spf13/cobra"
)

func isZoo(model string) bool { return strings.HasPrefix(model, "zoo:") }

func newZoo(c *console) *cobra.Command {
	var src modelSource
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "zoo [NAME[:k=v,...] -o FILE.onnx]",
		Short: "List the built-in networks, or write one",
		Long: `zoo without arguments lists the networks it can build. With a name it writes that network as an .onnx file, with random weights of a fixed
seed or with those of a .safetensors or .onnx file.

Settings after the name: input (side of the image), channels, classes, width and depth (multipliers), shortcut (A or B, CIFAR ResNets), stem
(stride of the first convolution, MobileNetV2 and EfficientNets; 1 suits images of 32 pixels), dropout, seed.`,
		Example: `  dms zoo
  dms zoo resnet20 --weights resnet20.safetensors -o resnet20.onnx
  dms zoo mobilenetv2:width=1.5,classes=10,input=96 -o wide.onnx`,
		Args: arguments(0, "a NAME"),
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "out", "o", "", "the file to write")
	fl.StringVar(&src.Weights, "weights", "", "a .safetensors or .onnx file with the network's weights")
	fl.BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			if out != "" || src.Weights != "" {
				return withHint(misuse("dms zoo: -o and --weights want a NAME"), "'dms zoo' lists the names")
			}
			return listZoo(c, asJSON)
		}
		if err := newModel(out, "model.onnx"); err != nil {
			return err
		}
		src.Model = "zoo:" + strings.TrimPrefix(args[0], "zoo:")
		g, err := src.load()
		if err != nil {
			return err
		}
		spent, err := cost.Count(g)
		if err != nil {
			return err
		}
		if err := dms.Save(out, g); err != nil {
			return err
		}
		if asJSON {
			return printJSON(c.out, spent)
		}
		_, err = fmt.Fprintf(c.out, "%s: %s MACs, %s parameters\n", out, report.Count(spent.MACs), report.Count(spent.Params))
		return err
	}
	return cmd
}

func listZoo(c *console, asJSON bool) error {
	type entry struct {
		Name    string `json:"name"`
		Doc     string `json:"doc"`
		Input   int    `json:"input"`
		Classes int    `json:"classes"`
		cost.Cost
	}
	var entries []entry
	t := report.Table{Columns: []string{"name", "input", "classes", "MACs", "params", "what it is"}}
	for _, m := range zoo.List() {
		e := entry{Name: m.Name, Doc: m.Doc, Input: m.Input, Classes: m.Classes}
		g, err := zoo.Outline(m.Name)
		if err != nil {
			return err
		}
		if e.Cost, err = cost.Count(g); err != nil {
			return err
		}
		entries = append(entries, e)
		t.Rows = append(t.Rows, []string{e.Name, fmt.Sprint(e.Input), fmt.Sprint(e.Classes), report.Count(e.MACs), report.Count(e.Params), e.Doc})
	}
	if asJSON {
		return printJSON(c.out, entries)
	}
	return t.WriteText(c.out)
}
