package space

import "fmt"

// excludes tells why a group with these names is not to be searched, "" when it is.
func (o Options) excludes(names []string) string {
	for _, p := range o.Freeze {
		if matchAny(p, names) {
			return fmt.Sprintf("frozen by option: %q", p)
		}
	}
	if len(o.Only) == 0 {
		return ""
	}
	for _, p := range o.Only {
		if matchAny(p, names) {
			return ""
		}
	}
	return "left out by option: it matches none of the patterns to search"
}

// least is the largest Min of the patterns that match one of the names, or def.
func (o Options) least(names []string, def int) int {
	least, found := def, false
	for p, v := range o.Min {
		if matchAny(p, names) && (!found || v > least) {
			least, found = v, true
		}
	}
	return least
}

// divisor is the largest of Divisors whose pattern matches one of the names, or else the one for all.
func (o Options) divisor(names []string) int {
	d, found := max(1, o.Divisor), false
	for p, v := range o.Divisors {
		if matchAny(p, names) && (!found || v > d) {
			d, found = max(1, v), true
		}
	}
	return d
}

func matchAny(pattern string, names []string) bool {
	for _, n := range names {
		if match(pattern, n) {
			return true
		}
	}
	return false
}

// match tells whether pattern covers all of name; "*" stands for any text, slashes too, "?" for one byte.
func match(pattern, name string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
