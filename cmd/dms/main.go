// Command dms makes networks smaller by differentiable model scaling: it reads an ONNX file or builds a zoo network, finds what can be
// removed, searches widths and depths by gradient, cuts, retrains and writes the smaller file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// run is the program: results go to out, all talk to talk.
func run(ctx context.Context, args []string, out, talk io.Writer) int {
	c := &console{out: out, talk: talk}
	root := newRoot(c)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(talk)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintf(talk, "dms: error: %s\n", line)
	}
	var h *hinted
	if errors.As(err, &h) {
		fmt.Fprintf(talk, "dms: hint: %s\n", h.hint)
	}
	var u *usageError
	if errors.As(err, &u) {
		return exitUsage
	}
	return exitFailed
}

// console is where a command talks to.
type console struct {
	out  io.Writer // the product
	talk io.Writer // everything else
}

func (c *console) say(format string, args ...any) {
	fmt.Fprintf(c.talk, "dms: "+format+"\n", args...)
}

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func (u *usageError) Unwrap() error { return u.error }

func misuse(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func newRoot(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:   "dms",
		Short: "Make networks smaller by differentiable model scaling",
		Long: `dms finds better widths and depths for a network by gradient, cuts out the rest and keeps within a budget.

  MODEL   an .onnx file, or zoo:NAME[:k=v,...] such as zoo:resnet20 or zoo:mobilenetv2:width=1.5 ('dms zoo' lists them)
  DATA    cifar10:DIR, fashion-mnist:DIR, imagefolder:DIR, a path alone, or glyphs, which is drawn on the fly
  BUDGET  macs=50%, macs=300M, params=1.2M, bytes=40%; several may be given`,
		Example: `  dms demo
  dms inspect model.onnx
  dms search model.onnx --data cifar10:data/cifar-10 --budget macs=50% -o run
  dms train run/model.onnx --data cifar10:data/cifar-10 -o tuned
  dms eval tuned/model.onnx --data cifar10:data/cifar-10`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return withHint(misuse("there is no command %q", args[0]), "'dms --help' lists the commands")
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(&usageError{err}, "'%s --help' explains its flags", cmd.CommandPath())
	})
	root.AddCommand(newDemo(c), newInspect(c), newZoo(c), newSearch(c), newApply(c), newTrain(c), newEval(c), newReport(c), newVersion(c))
	return root
}

// arguments wants the named arguments, no more and no fewer.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		err := misuse("%s wants %s, got %d arguments", cmd.CommandPath(), strings.Join(names, " and "), len(args))
		return withHint(err, "for example:\n%s", cmd.Example)
	}
}
