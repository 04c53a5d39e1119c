package space

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Selection is the outcome of a search: the kept elements of each group, ascending. A group that is absent keeps everything.
type Selection struct {
	Keep map[string][]int `json:"keep"`
}

// maxSelectionBytes bounds what ReadSelection accepts; the largest network known here needs about 1 MB.
const maxSelectionBytes = 64 << 20

// maxFaults bounds the faults that Check lists: a hostile selection may have one in every index.
const maxFaults = 32

// Check lists the faults of a selection for s at once, up to maxFaults of them: groups that s lacks, indices out of range, out of order
// or twice, fewer than Group.Min.
func (sel Selection) Check(s *Space) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(sel.Keep)) {
		fault := func(format string, args ...any) {
			if len(errs) < maxFaults {
				errs = append(errs, fmt.Errorf("space: selection: group %.200q: %s", name, fmt.Sprintf(format, args...)))
			}
		}
		keep := sel.Keep[name]
		at := s.Group(name)
		if at < 0 {
			fault("the network has no such group")
			continue
		}
		g := &s.Groups[at]
		for i, k := range keep {
			switch {
			case k < 0 || k >= g.N:
				fault("index %d is outside of %d elements", k, g.N)
			case i > 0 && k == keep[i-1]:
				fault("index %d stands there twice", k)
			case i > 0 && k < keep[i-1]:
				fault("index %d follows %d; they must ascend", k, keep[i-1])
			}
		}
		if len(keep) < g.Min {
			fault("keeps %d elements, at least %d must stay", len(keep), g.Min)
		}
	}
	if len(errs) == maxFaults {
		errs = append(errs, fmt.Errorf("space: selection: stopped after %d faults", maxFaults))
	}
	return errors.Join(errs...)
}

// Masks writes a selection as hard masks, one per group, true where the element is kept. The selection has passed Check.
func (sel Selection) Masks(s *Space) [][]bool {
	masks := make([][]bool, len(s.Groups))
	for i := range s.Groups {
		g := &s.Groups[i]
		masks[i] = make([]bool, g.N)
		keep, some := sel.Keep[g.Name]
		for k := range masks[i] {
			masks[i][k] = !some
		}
		for _, k := range keep {
			masks[i][k] = true
		}
	}
	return masks
}

// Write writes the selection as JSON: {"keep": {"layer1.0.conv1": [0, 2, 3], …}}, groups by name, one a line.
func (sel Selection) Write(w io.Writer) error {
	var b []byte
	b = append(b, "{\"keep\": {"...)
	for i, name := range slices.Sorted(maps.Keys(sel.Keep)) {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return fmt.Errorf("space: selection: %w", err)
		}
		keep := sel.Keep[name]
		if keep == nil {
			keep = []int{}
		}
		list, err := json.Marshal(keep)
		if err != nil {
			return fmt.Errorf("space: selection: %w", err)
		}
		b = append(b, "\n  "...)
		b = append(b, key...)
		b = append(b, ": "...)
		b = append(b, list...)
	}
	b = append(b, "\n}}\n"...)
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("space: selection: %w", err)
	}
	return nil
}

// ReadSelection reads what Write wrote and checks it against s. Unknown fields and anything after the object are faults.
func ReadSelection(r io.Reader, s *Space) (Selection, error) {
	limited := &io.LimitedReader{R: r, N: maxSelectionBytes + 1}
	data, err := io.ReadAll(limited)
	if err != nil {
		return Selection{}, fmt.Errorf("space: selection: %w", err)
	}
	if len(data) > maxSelectionBytes {
		return Selection{}, fmt.Errorf("space: selection: longer than %d MiB", maxSelectionBytes>>20)
	}
	sel, err := decodeSelection(data)
	if err != nil {
		return Selection{}, err
	}
	if err := sel.Check(s); err != nil {
		return Selection{}, err
	}
	return sel, nil
}
