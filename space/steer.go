package space

import (
	"fmt"
	"slices"
	"strings"
)

// tieGroups makes one group of those that a pattern of Options.Tie matches, element by element, and tells whether there was anything to tie.
func (f *finder) tieGroups(groups []Group, elems [][]int32, names [][]string) (bool, error) {
	news := false
	for _, pattern := range f.o.Tie {
		first := -1
		var sizes []string
		for at := range groups {
			if !matchAny(pattern, append([]string{groups[at].Name}, names[at]...)) {
				continue
			}
			if !slices.ContainsFunc(f.former, func(t formerName) bool { return t.name == groups[at].Name }) {
				f.former = append(f.former, formerName{groups[at].Name, elems[at][0]})
			}
			sizes = append(sizes, fmt.Sprintf("%s %d", groups[at].Name, groups[at].N))
			if first < 0 {
				first = at
				continue
			}
			if groups[at].N != groups[first].N {
				return false, fmt.Errorf("space: tie %q: groups differ in size: %s", pattern, strings.Join(sizes, ", "))
			}
			c := &cause{reason: fmt.Sprintf("tied by option: %q", pattern)}
			for i, r := range elems[at] {
				if f.sets.unify(elems[first][i], r, c) {
					news = true
				}
			}
			f.ties = append(f.ties, knot{elems[first], c.reason})
		}
	}
	return news, nil
}

// formerName is what a group was called before it was tied, with one of its elements.
type formerName struct {
	name string
	elem int32
}

// formerNames adds to the names of each group those that it was made of, so that other options still find what one of them has tied.
func (f *finder) formerNames(elems [][]int32, names [][]string) {
	for _, t := range f.former {
		r := f.sets.find(t.elem)
		for at := range elems {
			if slices.Contains(elems[at], r) && !slices.Contains(names[at], t.name) {
				names[at] = append(slices.Clip(names[at]), t.name)
			}
		}
	}
}
