package kernel

// WindowMax and WindowMaxGrad pool a window of pixels, given by the offsets of its pixels in x, channel by channel. There is at least
// one pixel, and no two overlap. All variants give the same bits.

// WindowMax sets y[c] to the largest x[t+c] for t in taps: the first of equal ones. A NaN counts as larger than any number.
func WindowMax[T Float](y, x []T, taps []int) {
	checkTaps("WindowMax", len(x), len(x), len(y), taps)
	if len(y) == 0 || single[T]() && windowMaxAsm(as32(y), as32(x), taps) {
		return
	}
	copy(y, x[taps[0]:])
	for _, t := range taps {
		for c, v := range x[t:][:len(y)] {
			if v > y[c] || v != v {
				y[c] = v
			}
		}
	}
}

// WindowMaxGrad adds dy[c] to dx[t+c] for the tap t whose value WindowMax took; of several NaN that is the last. x and dx are
// equally long.
func WindowMaxGrad[T Float](dx, dy, x []T, taps []int) {
	checkTaps("WindowMaxGrad", len(x), len(dx), len(dy), taps)
	if len(dy) == 0 || single[T]() && windowMaxGradAsm(as32(dx), as32(dy), as32(x), taps) {
		return
	}
	for c, d := range dy {
		at := taps[0]
		for _, t := range taps {
			if v := x[t+c]; v > x[at+c] || v != v {
				at = t
			}
		}
		dx[at+c] += d
	}
}

// checkTaps panics unless n channels at each tap lie in slices of x and dx elements.
func checkTaps(op string, x, dx, n int, taps []int) {
	ok := len(taps) > 0 && x == dx
	for _, t := range taps {
		ok = ok && t >= 0 && t+n <= x
	}
	if !ok {
		panic("kernel: " + op + ": taps outside the image")
	}
}
