package data

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const labelsName = "labels.tsv"

// readLabels reads a folder whose photos are listed in labels.tsv: a first line that names the columns, then one line per photo,
// columns parted by tabs. file and class_index are needed, label (the class's name) is used where it is there, other columns
// are not. Photos that are not listed are not part of the set; classes without a photo are named after their number, so that labels
// agree with the outputs of a network that knows more classes.
func readLabels(dir string) (*photos, error) {
	path := filepath.Join(dir, labelsName)
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := readUpTo(f, maxTextBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p, err := parseLabels(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := range p.files {
		p.files[i].path = filepath.Join(dir, p.files[i].path)
	}
	return p, nil
}

// parseLabels reads the text of a labels.tsv; paths are as written there.
func parseLabels(text string) (*photos, error) {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	columns := strings.Split(lines[0], "\t")
	file, class, label := slices.Index(columns, "file"), slices.Index(columns, "class_index"), slices.Index(columns, "label")
	if file < 0 || class < 0 {
		return nil, fmt.Errorf("line 1: want the names of the columns, file and class_index among them, parted by tabs; got %q", short(lines[0]))
	}
	p := new(photos)
	names := map[int]string{}
	most := -1
	for i, line := range lines[1:] {
		if strings.TrimSpace(line) == "" {
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) != len(columns) {
			return nil, fmt.Errorf("line %d: %d columns, want %d", i+2, len(cells), len(columns))
		}
		n, err := strconv.Atoi(cells[class])
		if err != nil || n < 0 || n >= maxClasses {
			return nil, fmt.Errorf("line %d: class_index %q, want 0 to %d", i+2, short(cells[class]), maxClasses-1)
		}
		if !filepath.IsLocal(cells[file]) {
			return nil, fmt.Errorf("line %d: file %q, want a name within the folder", i+2, short(cells[file]))
		}
		if label >= 0 {
			if old, ok := names[n]; ok && old != cells[label] {
				return nil, fmt.Errorf("line %d: class %d is called %q, before %q", i+2, n, short(cells[label]), short(old))
			}
			names[n] = cells[label]
		}
		p.files = append(p.files, photo{path: filepath.FromSlash(cells[file]), label: n})
		most = max(most, n)
	}
	if len(p.files) == 0 {
		return nil, fmt.Errorf("no photos listed")
	}
	p.classes = make([]string, most+1)
	for i := range p.classes {
		if p.classes[i] = names[i]; p.classes[i] == "" {
			p.classes[i] = strconv.Itoa(i)
		}
	}
	return p, nil
}

// short cuts text of a file down to what fits into an error.
func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
