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
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var u *usageError
	misused := errors.As(err, &u)
	var h *hinted
	hint := errors.As(err, &h)
	if misused && !hint {
		hint, h = true, &hinted{err, fmt.Sprintf("'%s --help' explains it", cmd.CommandPath())}
	}
	if !hint && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintf(talk, "dms: error: %s\n", strings.TrimPrefix(line, "dms: "))
	}
	if hint {
		for _, line := range strings.Split(h.hint, "\n") {
			if !strings.HasPrefix(line, " ") { // else it is an example, to be copied
				line = "dms: hint: " + line
			}
			fmt.Fprintln(talk, line)
		}
	}
	if misused {
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
  BUDGET  macs=50%, macs=300M, params=1.2M, bytes=40%, latency=3ms; several may be given`,
		Example: `  dms demo
  dms inspect model.onnx
  dms search model.onnx --data cifar10:data/cifar-10 --budget macs=50% -o run
  dms train run/model.onnx --data cifar10:data/cifar-10 -o tuned
  dms eval tuned/model.onnx --data cifar10:data/cifar-10`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(&usageError{flagError(err)}, "'%s --help' explains its flags", cmd.CommandPath())
	})
	root.AddCommand(newDemo(c), newInspect(c), newZoo(c), newSearch(c), newApply(c), newTrain(c), newEval(c), newCompare(c), newReport(c), newVersion(c))
	root.SetHelpCommand(newHelp())
	return root
}

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		Args:  arguments(0, "a COMMAND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			about := cmd.Root()
			if len(args) > 0 {
				found, _, err := about.Find(args)
				if err != nil || found == about {
					return noCommand(about, args[0])
				}
				about = found
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// noCommand is the error about a command that root lacks.
func noCommand(root *cobra.Command, name string) error {
	err := misuse("there is no command %q", name)
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return withHint(err, "did you mean 'dms %s'? 'dms --help' lists the commands", near[0])
	}
	return withHint(err, "'dms --help' lists the commands")
}

// arguments wants the named arguments, of which the first least are needed.
func arguments(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		var err error
		switch {
		case len(args) < least:
			err = misuse("%s: %s is missing", cmd.CommandPath(), strings.Join(names[len(args):least], " and "))
		case len(args) > len(names) && len(names) == 0:
			err = misuse("%s takes no arguments, got %q", cmd.CommandPath(), args[0])
		case len(args) > len(names):
			err = misuse("%s takes %s and no more, got also %q", cmd.CommandPath(), strings.Join(names, " and "), args[len(names)])
		default:
			return nil
		}
		if cmd.Example == "" {
			return withHint(err, "'%s --help' explains it", cmd.CommandPath())
		}
		return withHint(err, "for example\n%s", cmd.Example)
	}
}

// flagError says in words what is wrong with a flag.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		f := invalid.GetFlag()
		if wanted := map[string]string{
			"int": "a whole number", "uint64": "a whole number that is not negative", "float64": "a number", "bool": "true or false",
		}[f.Value.Type()]; wanted != "" {
			return fmt.Errorf("--%s %s: want %s", f.Name, clip(invalid.GetValue()), wanted)
		}
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		switch letters := unknown.GetSpecifiedShortnames(); {
		case len(letters) > 1:
			return fmt.Errorf("there is no flag -%s; long names take two dashes", clip(letters))
		case letters != "":
			return fmt.Errorf("there is no flag -%s", clip(letters))
		}
		return fmt.Errorf("there is no flag --%s", clip(unknown.GetSpecifiedName()))
	}
	var bare *pflag.ValueRequiredError
	if errors.As(err, &bare) {
		return fmt.Errorf("--%s: its value is missing", bare.GetFlag().Name)
	}
	return err
}

// clip is text from outside, short enough for a message and without what would disturb a terminal. In quotes where one would not see it
// otherwise.
func clip(text string) string {
	text = shorten(text, 60)
	if quoted := strconv.Quote(text); quoted != `"`+text+`"` || text == "" || text != strings.TrimSpace(text) {
		return quoted
	}
	return text
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// shell writes arguments so that a shell reads them back, for commands that a message proposes.
func shell(args ...string) string {
	var words []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\$`&|;<>()[]{}*?!#~") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
