package space

import (
	"fmt"
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
