// Package topk is the differentiable top-k operator: it turns importances and one learned prune ratio into the mask of a group.
//
// In go n importances c, of which only the order counts, and a prune ratio a in [0, 1]; out come soft values in (0, 1), their
// derivative by a, or the sorted indices that a hard mask keeps. No gradient flows into c: Update moves importances by a moving
// average instead. Everything is float64, on plain slices that the caller owns, and depends on nothing but its arguments.
//
// Source: Liu, Wang, Gao, Chen, "Differentiable Model Scaling using Differentiable Topk", arXiv 2405.07194, section 3. The rank there
// is the share of elements below; the mid-rank used here differs by half an element, so that Σm is close to (1−a)·n and the hard
// rule keeps round((1−a)·n) elements.
package topk

import (
	"cmp"
	"math"
	"slices"
)

// Rank writes the normalised mid-ranks of c into dst.
//
//	c'[i] = (#{j: c[j] < c[i]} + ½·#{j: c[j] = c[i]}) / n     in (0, 1)
//
// Equal importances share a rank, and any strictly rising function of c has the same ranks. A NaN ranks below every number. dst and c
// have equal length and may not overlap. O(n log n).
func Rank(dst, c []float64) {
	n := len(c)
	rising := make([]int, n)
	for i := range rising {
		rising[i] = i
	}
	slices.SortFunc(rising, func(i, j int) int { return cmp.Compare(c[i], c[j]) })
	for lo := 0; lo < n; {
		hi := lo + 1
		for hi < n && cmp.Compare(c[rising[lo]], c[rising[hi]]) == 0 {
			hi++
		}
		for _, i := range rising[lo:hi] {
			dst[i] = float64(lo+hi) / float64(2*n)
		}
		lo = hi
	}
}

// Mask writes the soft top-k mask of one group into dst and tells whether the group is live.
//
//	m[i] = σ(L·n·(c'[i] − a))     c' the mid-rank of c; 0 below 2⁻⁶⁰
//
// Smaller masks make numbers out of weights and activations that are too small to be normal in float32, which many processors compute
// with a hundred times more slowly, and say no more than 0 does. A group of more than one element whose importances are all equal is not live: nothing tells its elements apart yet, so its mask is
// 1 and its ratio gets no gradient. A lone element has rank ½ and is live from the start. sharpness is L: 1 for widths, 4 for heads and
// blocks, 8 for a lone block. dst and c have equal length and may not overlap. O(n log n).
func Mask(dst, c []float64, a, sharpness float64) (live bool) {
	if !ranked(c) {
		for i := range dst {
			dst[i] = 1
		}
		return false
	}
	Rank(dst, c)
	Soft(dst, dst, a, sharpness)
	return true
}

// Soft writes σ(L·n·(x[i] − a)), 0 below 2⁻⁶⁰: the mask of elements that stand at x, in [0, 1], on the scale of the ratio. With mid-ranks it is Mask's.
// dst may be x.
func Soft(dst, x []float64, a, sharpness float64) {
	slope := sharpness * float64(len(x))
	for i, r := range x {
		if dst[i] = sigmoid(slope * (r - a)); dst[i] < least {
			dst[i] = 0
		}
	}
}

// least is the smallest mask that is not 0.
const least = 0x1p-60

// MaskGrad writes ∂m/∂a of a mask m that Mask returned, with the same sharpness and the live flag that came with it.
//
//	∂m[i]/∂a = −L·n·m[i]·(1 − m[i])     0 where the group is not live
//
// dst may be m.
func MaskGrad(dst, m []float64, sharpness float64, live bool) {
	slope := sharpness * float64(len(m))
	if !live {
		slope = 0
	}
	for i, v := range m {
		dst[i] = -slope * v * (1 - v)
	}
}

// Keep is the hard rule: the sorted indices i with m[i] ≥ ½, that is c'[i] ≥ a, and all of them where the group is not live. Where that
// leaves fewer than minimum, the minimum most important are kept instead. Equal importances share a rank, so a tie stays or goes as a
// whole, unless the minimum cuts through it: then the lower indices stay. Top breaks every tie.
func Keep(c []float64, a float64, minimum int) []int {
	rank := make([]float64, len(c))
	Rank(rank, c)
	all := !ranked(c)
	kept := make([]int, 0, len(c))
	for i, r := range rank {
		if all || r >= a {
			kept = append(kept, i)
		}
	}
	if len(kept) < minimum {
		return Top(c, minimum)
	}
	return kept
}

// Top is the sorted indices of the k most important elements; of equal importances the lower index is kept first. k is clamped to
// [0, n].
func Top(c []float64, k int) []int {
	k = max(0, min(k, len(c)))
	kept := Order(c)[:k]
	slices.Sort(kept)
	return kept
}

// Order lists all elements by falling importance, equal ones by rising index.
func Order(c []float64) []int {
	order := make([]int, len(c))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(c[j], c[i]), cmp.Compare(i, j)) })
	return order
}

// ranked tells whether c ranks its elements at all: it has one element, or two that differ.
func ranked(c []float64) bool {
	for _, v := range c {
		if v != c[0] {
			return true
		}
	}
	return len(c) == 1
}

// sigmoid is 1/(1+e⁻ˣ) without overflow and with full relative precision at both ends.
func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}
