package search

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/topk"
)

// solver finds the integer structure that a set of ratios asks for under every budget.
//
// The ratios say how the groups stand to each other; what they ask for together lies near the budget, not on it. So all widths move
// by one common shift of their ratio until the cost is just within the budget, and what is left is spent element by element on the
// groups that lost most by rounding. Depth stays as it was learned unless widths alone cannot meet the budget, or cannot spend it.
type solver struct {
	space   *space.Space
	model   *cost.Model
	targets []target
	order   [][]int                            // per group: elements, most important first
	ratio   []float64                          // per group: a
	want    func(i int, shift float64) float64 // in place of the ratios, for a method that ranks over all groups

	importance [][]float64 // per group and element
	min        []int
	unit       []int
	depth      []int // per group: blocks kept, for depth groups

	masks [][]float64
}

// solve returns the selection, or ErrBudgetTooSmall. importance ties go to the lower index.
func (st *structure) solve(s *space.Space) (space.Selection, error) {
	v := &solver{space: s, model: st.model, targets: st.targets}
	for i, g := range s.Groups {
		learned := &st.groups[i]
		v.order = append(v.order, topk.Order(learned.c))
		v.importance = append(v.importance, learned.c)
		v.ratio = append(v.ratio, st.settledRatio(learned))
		v.min = append(v.min, minKeep(g))
		v.unit = append(v.unit, max(1, g.Divisor))
		kept := 0
		for _, k := range learned.keep {
			kept += int(k)
		}
		v.depth = append(v.depth, kept)
		v.masks = append(v.masks, make([]float64, g.N))
	}
	if st.method.ratios != nil {
		st.method.ratios(v, st.cfg.Train.Seed)
	}
	counts, err := v.counts()
	if err != nil {
		return space.Selection{}, err
	}
	sel := space.Selection{Keep: make(map[string][]int, len(counts))}
	for i, g := range s.Groups {
		kept := append([]int{}, v.order[i][:counts[i]]...)
		sort.Ints(kept)
		sel.Keep[g.Name] = kept
	}
	return sel, nil
}

// counts decides how many elements every group keeps.
func (v *solver) counts() ([]int, error) {
	for !v.fits(v.shifted(1)) {
		if !v.dropBlock() {
			return nil, v.tooSmall()
		}
	}
	for v.fits(v.shifted(-1)) && v.addBlock() { // whole widths do not spend the budget: too much depth went
	}
	lo, hi := -1.0, 1.0 // the cost falls as the shift grows; hi always fits
	if v.fits(v.shifted(lo)) {
		hi = lo
	}
	for i := 0; i < 50 && hi > lo; i++ {
		mid := lo + (hi-lo)/2
		if v.fits(v.shifted(mid)) {
			hi = mid
		} else {
			lo = mid
		}
	}
	k := v.shifted(hi)
	v.fill(k, hi)
	return k, nil
}

// shifted is the structure with every width's ratio raised by shift.
func (v *solver) shifted(shift float64) []int {
	k := make([]int, len(v.order))
	for i, g := range v.space.Groups {
		if g.Kind == space.Depth {
			k[i] = v.depth[i]
			continue
		}
		k[i] = v.round(i, v.wanted(i, shift))
	}
	return k
}

// wanted is the real number of elements group i asks for.
func (v *solver) wanted(i int, shift float64) float64 {
	if v.want != nil {
		return v.want(i, shift)
	}
	return (1 - v.ratio[i] - shift) * float64(len(v.order[i]))
}

// round takes a wanted count of group i to one that is allowed.
func (v *solver) round(i int, want float64) int {
	return allowed(want, len(v.order[i]), v.min[i], v.unit[i])
}

// allowed takes a wanted count of n elements to the nearest one allowed: a multiple of the group's divisor or the whole group, at least the minimum.
func allowed(want float64, n, least, divisor int) int {
	unit := max(1, divisor)
	k := int(math.Round(want/float64(unit))) * unit
	return min(n, max(k, (least+unit-1)/unit*unit))
}

// fits tells whether a structure meets every budget.
func (v *solver) fits(k []int) bool {
	for i := range v.masks {
		for r, e := range v.order[i] {
			v.masks[i][e] = 0
			if r < k[i] {
				v.masks[i][e] = 1
			}
		}
	}
	for _, t := range v.targets {
		// The polynomial is exact for whole counts below 2⁵³, so half a unit only absorbs the order of summation.
		if t.eval(v.model, v.masks, nil) > float64(t.final)+0.5 {
			return false
		}
	}
	return true
}

// fill spends what the common shift left over, always on the group that lies furthest below what it asked for.
func (v *solver) fill(k []int, shift float64) {
	full := make([]bool, len(k))
	for {
		best, most := -1, math.Inf(-1)
		for i, g := range v.space.Groups {
			if full[i] || g.Kind == space.Depth || k[i] >= len(v.order[i]) {
				continue
			}
			if lack := (v.wanted(i, shift) - float64(k[i])) / float64(v.unit[i]); lack > most {
				best, most = i, lack
			}
		}
		if best < 0 {
			return
		}
		before := k[best]
		k[best] = min(before+v.unit[best], len(v.order[best]))
		if !v.fits(k) {
			k[best] = before
			full[best] = true
		}
	}
}

// dropBlock gives up one more block, from the depth group that keeps the largest share; false when none is left.
func (v *solver) dropBlock() bool {
	best, most := -1, 0.0
	for i, g := range v.space.Groups {
		if g.Kind != space.Depth || v.depth[i] <= v.min[i] {
			continue
		}
		if share := float64(v.depth[i]) / float64(g.N); share > most {
			best, most = i, share
		}
	}
	if best < 0 {
		return false
	}
	v.depth[best]--
	return true
}

// addBlock takes one block back, into the depth group that keeps the smallest share; false when none can come back.
func (v *solver) addBlock() bool {
	tried := make([]bool, len(v.depth))
	for {
		best, least := -1, 1.0
		for i, g := range v.space.Groups {
			if g.Kind != space.Depth || tried[i] {
				continue
			}
			if share := float64(v.depth[i]) / float64(g.N); share < least {
				best, least = i, share
			}
		}
		if best < 0 {
			return false
		}
		v.depth[best]++
		if v.fits(v.shifted(1)) {
			return true
		}
		v.depth[best]--
		tried[best] = true
	}
}

// tooSmall says which budgets cannot be met and what the smallest structure costs.
func (v *solver) tooSmall() error {
	v.fits(v.shifted(1))
	var parts []string
	for _, t := range v.targets {
		least := t.eval(v.model, v.masks, nil)
		if least > float64(t.final)+0.5 {
			limit, has := strconv.FormatInt(t.final, 10), fmt.Sprintf("has %.0f", least)
			if t.clock != nil {
				limit, has = time.Duration(t.final).String(), "is expected to take "+time.Duration(least).Round(time.Microsecond).String()
			}
			parts = append(parts, fmt.Sprintf("%s %s, but the smallest network allowed %s (%.1f%% of the original)", MetricName(t.metric), limit, has, 100*least/float64(t.full)))
		}
	}
	return fmt.Errorf("%w: %s; allow a larger budget, smaller minima or divisors, or freeze less", ErrBudgetTooSmall, strings.Join(parts, "; "))
}
