package main

import (
	"bytes"
	"context"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

func TestShellReadsBackWhatIsWrittenForIt(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	for _, want := range [][]string{
		{"run"}, {"a run's folder", "b"}, {"zoo:resnet8:width=0.5,classes=36"}, {"--set", "normalize=mean=0.5;std=0.25"},
		{`"`, `\`, "$HOME", "`ls`", "*", "~", "!", "#", "&", "a|b", "<", "(", "{a,b}", "é", "tab\tnewline\n", ""},
	} {
		out, err := exec.Command("sh", "-c", "printf '%s\\0' "+shell(want...)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !reflect.DeepEqual(got, want) {
			t.Errorf("%q came back as %q", want, got)
		}
	}
}

func TestMessagesAreShortAndFitForATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"run":                         "run",
		"two words":                   "two words",
		"größe":                       "größe",
		"\x1b[31mred":                 `"\x1b[31mred"`,
		"two\nlines":                  `"two\nlines"`,
		strings.Repeat("x", 61):       strings.Repeat("x", 60) + "…",
		strings.Repeat("ß", 31):       strings.Repeat("ß", 30) + "…",
		"x" + strings.Repeat("ß", 30): "x" + strings.Repeat("ß", 29) + "…",
	} {
		if got := clip(text); got != want {
			t.Errorf("clip(%q) = %s, want %s", text, got, want)
		}
	}
}

// TestInterruptedCommandsSaySo: those without checkpoints have nothing to go on with, and are no fault.
func TestInterruptedCommandsSaySo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, talk bytes.Buffer
	args := append([]string{"eval", smallModel}, strings.Fields(smallData)...)
	if code := run(ctx, args, &out, &talk); code != exitFailed || talk.String() != "dms: error: interrupted\n" || out.Len() > 0 {
		t.Errorf("exit status %d, %q, %q", code, talk.String(), out.String())
	}
}
