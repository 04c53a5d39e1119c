package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dms-go/dms"
	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/report"
	"github.com/dms-go/dms/search"
	"github.com/dms-go/dms/space"
	"github.com/spf13/cobra"
)

func newApply(c *console) *cobra.Command {
	var src modelSource
	var out string
	var tie []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "apply MODEL SELECTION -o FILE.onnx",
		Short: "Cut a selection out of a network",
		Long: `apply removes from a network everything that a selection does not keep and writes what remains. SELECTION is the selection.json of a search,
or one written by hand: {"keep": {"layer1.0.conv1": [0, 2, 3]}}. Groups that it does not name stay whole; 'dms inspect' lists them.
Groups that a search tied have other names than those of the network alone: a selection in its run is read with the settings beside it, one that was
moved elsewhere needs the same --tie.

The weights are those of MODEL, cut; a network of which much was removed wants fine-tuning by 'dms train'. Shapes that --input
states are those of the file that is written.`,
		Example: `  dms apply model.onnx run/selection.json -o small.onnx`,
		Args:    arguments(2, "a MODEL", "a SELECTION"),
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "out", "o", "", "the file to write")
	fl.StringVar(&src.Weights, "weights", "", "a .safetensors or .onnx file with the weights of a zoo MODEL")
	fl.StringArrayVar(&tie, "tie", nil, "the PATTERNs that the selection's groups were tied by (default: as the settings beside SELECTION say)")
	fl.BoolVar(&asJSON, "json", false, "print costs before and after as JSON")
	inputFlag(cmd, &src.Inputs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		src.Model = args[0]
		if err := newModel(out, "small.onnx"); err != nil {
			return err
		}
		g, err := src.load()
		if err != nil {
			return err
		}
		if len(tie) == 0 {
			tie = tiedBeside(args[1])
		}
		s, err := dms.Inspect(g, space.Options{Tie: tie})
		if err != nil {
			return err
		}
		f, err := os.Open(args[1])
		if err != nil {
			return withHint(err, "SELECTION is the selection.json of a search, or a file like it")
		}
		defer f.Close()
		sel, err := space.ReadSelection(f, s)
		if err != nil {
			return withHint(fmt.Errorf("%s: %w", args[1], err), "'%s' lists the groups of the network and how many elements each has", shell("dms", "inspect", args[0]))
		}
		small, err := prune.Apply(g, s, sel)
		if err != nil {
			return err
		}
		before, err := cost.Count(g)
		if err != nil {
			return openHint(g, err)
		}
		after, err := cost.Count(small)
		if err != nil {
			return err
		}
		if err := dms.Save(out, small); err != nil {
			return err
		}
		result := report.NewSearchResult(&search.Result{Space: s, Selection: sel, Before: before, After: after}, nil)
		if asJSON {
			return printJSON(c.out, result)
		}
		c.say("wrote %s", out)
		return result.WriteText(c.out)
	}
	return cmd
}

// newModel refuses a name for a network that is missing or taken, or under which it could not be written or read back.
func newModel(out, example string) error {
	if err := newFile(out, example); err != nil {
		return err
	}
	if strings.ToLower(filepath.Ext(out)) != ".onnx" {
		return withHint(misuse("-o %s: want a name that ends in .onnx", out), "networks are written as ONNX files and read back by that name")
	}
	return inFolder(out)
}

// inFolder refuses a name to write to whose folder is missing.
func inFolder(out string) error {
	if st, err := os.Stat(filepath.Dir(out)); err != nil || !st.IsDir() {
		return withHint(misuse("-o %s: there is no folder %s", out, filepath.Dir(out)), "make it first: mkdir -p %s", shell(filepath.Dir(out)))
	}
	return nil
}

// newFile refuses a name to write to that is missing or taken: nothing is ever overwritten.
func newFile(out, example string) error {
	if out == "" {
		return withHint(misuse("-o FILE is missing"), "give the file to write, such as -o %s", example)
	}
	switch _, err := os.Lstat(out); {
	case err == nil:
		return withHint(misuse("%s exists already", out), "give another name, or remove it first")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// tiedBeside is what the settings of the run that a selection lies in tie. Other folders have none, or a file of that name that says something else.
func tiedBeside(selection string) []string {
	raw, err := readBounded(filepath.Join(filepath.Dir(selection), rundir.ConfigName), 1<<20)
	if err != nil {
		return nil
	}
	var cfg runConfig
	if json.Unmarshal(raw, &cfg) != nil || cfg.Space == nil {
		return nil
	}
	return cfg.Space.Tie
}
