package main

import (
	"os"
	"path/filepath"

	"github.com/dms-go/dms/internal/rundir"
	"github.com/dms-go/dms/report"
	"github.com/spf13/cobra"
)

func newReport(c *console) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Sum up a run: costs, structure, progress, settings",
		Long: `report reads the folder of a search or training, finished or not, and prints what came out, how it went and every setting in effect.
The metrics of each interval are in RUN/metrics.jsonl, the widths of a finished search in RUN/widths.png.`,
		Example: `  dms report run
  dms report run --json`,
		Args: arguments(1, "a RUN"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := report.ReadRun(args[0])
		if err != nil {
			if _, none := os.Stat(filepath.Join(args[0], rundir.ConfigName)); none != nil {
				return withHint(err, runHint)
			}
			return withHint(err, "a file of the run is damaged; from its last checkpoint, --resume %s goes on and writes the results anew", shell(args[0]))
		}
		if asJSON {
			return r.WriteJSON(c.out)
		}
		return r.WriteText(c.out)
	}
	return cmd
}
