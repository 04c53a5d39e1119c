package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/spf13/cobra"
)

// version is that of the module, with the revision where the build knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	return v
}

func newVersion(c *console) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, Go release and instruction set",
		Example: "  dms version",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := fmt.Fprintf(c.out, "dms %s, %s %s/%s, %s kernels\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, kernel.Active())
			return err
		},
	}
}
