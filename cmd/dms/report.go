package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/internal/wholefile"
	"github.com/dms-go/dms/report"
	"github.com/spf13/cobra"
)

func newReport(c *console) *cobra.Command {
	var asJSON bool
	var out string
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Sum up a run: costs, structure, progress, settings",
		Long: `report reads the folder of a search or training, finished or not, and prints what came out, how it went and every setting in effect.
With -o it writes the same as a web page: charts of loss, accuracy, costs and prune ratios, what is left of each group and layer, and masks.
The page is one file that needs no network. The metrics of each interval are in RUN/metrics.jsonl, the widths of a finished search in
RUN/widths.png.`,
		Example: `  dms report run
  dms report run -o report.html
  dms report run --json`,
		Args: arguments(1, "a RUN"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().StringVarP(&out, "out", "o", "", "write a web page to this file, which must not exist")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		toPage := cmd.Flags().Changed("out")
		if toPage {
			if err := newPage(out, asJSON); err != nil {
				return err
			}
		}
		r, err := report.ReadRun(args[0])
		if err != nil {
			if _, none := os.Stat(filepath.Join(args[0], rundir.ConfigName)); none != nil {
				return withHint(err, runHint)
			}
			return withHint(err, "a file of the run is damaged; from its last checkpoint, --resume %s goes on and writes the results anew", shell(args[0]))
		}
		if toPage {
			if err := wholefile.Write(out, r.WriteHTML); err != nil {
				return err
			}
			c.say("wrote %s", out)
			return nil
		}
		if asJSON {
			return r.WriteJSON(c.out)
		}
		return r.WriteText(c.out)
	}
	return cmd
}

// newPage refuses a name for a page that is missing or taken, or that a browser would not open as a page.
func newPage(out string, asJSON bool) error {
	if asJSON {
		return withHint(misuse("--json and -o exclude each other: -o writes a web page"), "for JSON in a file: dms report RUN --json > FILE")
	}
	if err := newFile(out, "report.html"); err != nil {
		return err
	}
	if ext := strings.ToLower(filepath.Ext(out)); ext != ".html" && ext != ".htm" {
		return withHint(misuse("-o %s: want a name that ends in .html", out), "the page is HTML, and browsers go by the name")
	}
	return inFolder(out)
}
