package main

import (
	"path/filepath"
	"testing"
)

// The published plans read, and none of them names a setting that there is not.
func TestPublishedPlansRead(t *testing.T) {
	names, err := filepath.Glob("../../experiments/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no plans: %v", err)
	}
	for _, name := range names {
		if _, err := readPlan(name); err != nil {
			t.Error(err)
		}
	}
}
