package wholefile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dms-go/dms/internal/wholefile"
)

func TestWriteReplacesAFileWholeOrNotAtAll(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	put := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	if err := wholefile.Write(path, put("old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := wholefile.Write(path, func(w io.Writer) error {
		if err := put("ne")(w); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want what went wrong with %s", err, path)
	}
	check := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("the file holds %q (%v), want %q", got, err, want)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
			t.Errorf("%d files (%v), want the one", len(entries), err)
		}
	}
	check("old")
	if err := wholefile.Write(path, put("new")); err != nil {
		t.Fatal(err)
	}
	check("new")
}

func TestWriteNamesTheFileThatCannotBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "a")
	if err := wholefile.Write(path, func(io.Writer) error { return nil }); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
}
