package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The published plans read, none of them names a setting that there is not, and each says how long it takes.
func TestPublishedPlansRead(t *testing.T) {
	names, err := filepath.Glob("../../experiments/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no plans: %v", err)
	}
	for _, name := range names {
		if _, err := readPlan(name); err != nil {
			t.Error(err)
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^# .*Running time on .*: .*(minutes|hours|days)`).Match(raw) {
			t.Errorf("%s does not say how long it takes", name)
		}
	}
}
