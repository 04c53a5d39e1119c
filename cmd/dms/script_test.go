package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary serve as dms, in scripts and in tests of whole processes.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dms": main, "dms-limited": mainLimited})
}

// Arguments that make a step take milliseconds.
const (
	smallModel = "zoo:resnet8:width=0.25,classes=36"
	smallData  = "--data glyphs --train-samples 640 --test-samples 72"
)

// TestScripts runs testdata/script. Beside the usual commands there are
//
//	status N ARGS...   runs dms; its exit status must be N, and what it says must suit that: see status below
//	json KEY...        standard output must be one JSON value with these keys; a.b is b in a, a.0 the first of a list
//	shorten FILE N     takes the last N bytes off a file
//
// and in the environment $MODEL, a small network, and $DATA, several flags that give it a small data set.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODEL", smallModel)
			e.Setenv("DATA", smallData)
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"status": status, "json": wantKeys, "shorten": cutOff},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// status runs dms. A failure says dms: error:, and advises where the command line is at fault; nothing ever panics.
func status(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("usage: status N ARGS...")
	}
	var words []string
	for _, a := range args[1:] {
		if a == smallData {
			words = append(words, strings.Fields(a)...)
			continue
		}
		words = append(words, a)
	}
	got := 0
	if err := ts.Exec("dms", words...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	talk := "\n" + ts.ReadFile("stderr")
	failed, advised := strings.Contains(talk, "\ndms: error: "), strings.Contains(talk, "\ndms: hint: ")
	switch {
	case strings.Contains(talk, "\npanic: ") || strings.Contains(talk, "\ngoroutine "):
		ts.Fatalf("it panicked")
	case got != want:
		ts.Fatalf("exit status %d, want %d", got, want)
	case failed != (want != exitOK):
		ts.Fatalf("exit status %d, and dms: error: stands there is %v", got, failed)
	case want == exitUsage && !advised:
		ts.Fatalf("misuse without dms: hint:")
	}
}

func wantKeys(ts *testscript.TestScript, neg bool, args []string) {
	var whole any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &whole); err != nil {
		ts.Fatalf("standard output: %v", err)
	}
	for _, key := range args {
		v, found := whole, true
		for part := range strings.SplitSeq(key, ".") {
			switch inner := v.(type) {
			case map[string]any:
				v, found = inner[part]
			case []any:
				i, err := strconv.Atoi(part)
				if found = err == nil && i < len(inner); found {
					v = inner[i]
				}
			default:
				found = false
			}
			if !found {
				break
			}
		}
		if found == neg {
			ts.Fatalf("%s: found is %v", key, found)
		}
	}
}

func cutOff(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[0])
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text[:len(text)-n]), 0o666))
}

// mainLimited is dms where files cannot grow beyond DMS_TEST_ROOM bytes.
func mainLimited() {
	room, err := strconv.ParseUint(os.Getenv("DMS_TEST_ROOM"), 10, 64)
	if err == nil {
		err = limitFiles(room)
	}
	if err != nil {
		panic(err)
	}
	main()
}
