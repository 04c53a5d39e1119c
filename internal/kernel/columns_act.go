package kernel

// The kernels of this file are those of columns.go with an activation. They go over the data once: rows, or parts of long ones, are taken
// through several loops while they are in the first-level cache.

// room is how many elements are taken through all loops at once.
const room = 1 << 10

// blocks calls do for parts of rows of n channels: rows from lo to hi, all channels, or a part of the channels of one row.
// do gets the first element, how many there are, and the channels.
func blocks(length, n int, do func(at, count, c0, c1 int)) {
	if n == 0 {
		return
	}
	if n > room {
		for at := 0; at < length; at += n {
			for c := 0; c < n; c += room {
				k := min(room, n-c)
				do(at+c, k, c, c+k)
			}
		}
		return
	}
	step := room / n * n
	for at := 0; at < length; at += step {
		do(at, min(step, length-at), 0, n)
	}
}

// ScaleShiftAct sets y[r,c] = act(x[r,c]·scale[c] + shift[c] + add[r,c]), rounding after each operation. add may be nil; y may be x or
// add. All variants give the same bits.
func ScaleShiftAct[T Float](y, x, scale, shift, add []T, act Activation) {
	ScaleShiftActPart(len(x), y, x, scale, shift, add, act)
}

// ScaleShiftActPart is ScaleShiftAct for rows that are part of a result of whole elements, which decides whether it has to go past the caches.
func ScaleShiftActPart[T Float](whole int, y, x, scale, shift, add []T, act Activation) {
	y = y[:len(x)]
	if single[T]() && scaleShiftClampAsm(whole, as32(y), as32(x), as32(scale), as32(shift), maybe32(add), act) {
		return
	}
	if add == nil && act.Kind == Identity {
		ScaleShift(y, x, scale, shift, false)
		return
	}
	stream := single[T]() && act.Kind > Rectify && act.Kind < Tanh && streams(as32(y), len(scale), whole, as32(x), maybe32(add))
	var buffer [room]T
	blocks(len(x), len(scale), func(at, count, c0, c1 int) {
		z := buffer[:count]
		ScaleShift(z, x[at:at+count], scale[c0:c1], shift[c0:c1], false)
		if add != nil {
			Add(z, z, add[at:at+count])
		}
		if single[T]() && stream {
			activateStream(act, false, true, as32(y[at:at+count]), as32(z), as32(z))
			return
		}
		Activate(y[at:at+count], z, act)
	})
	if stream {
		fence()
	}
}

// ActSums adds to the sums of each channel
//
//	sum[c] += Σᵣ dz[r,c]        products[c] += Σᵣ dz[r,c]·(x[r,c] − pivot[c])
//
// with dz = dy·act'(z), where z = x·scale + shift is computed as ScaleShiftAct does, or, where y = act(z + ...) is given, act' is taken from
// that. dz is stored unless it is nil; it may be dy. Order and error are those of ProductSums.
func ActSums[T Float](sum, products, dz, dy, x, y, pivot, scale, shift []T, act Activation) {
	if single[T]() && sumsClampAsm(as32(sum), as32(products), maybe32(dz), as32(dy), as32(x), maybe32(y), as32(pivot), maybe32(scale), maybe32(shift), act) {
		return
	}
	var buffer [room]T
	blocks(len(x), len(pivot), func(at, count, c0, c1 int) {
		d := buffer[:count]
		if dz != nil {
			d = dz[at : at+count]
		}
		from := x[at : at+count]
		if y != nil {
			ActivateGrad(d, dy[at:], y[at:], act)
		} else {
			z := buffer[:count]
			ScaleShift(z, from, scale[c0:c1], shift[c0:c1], false)
			ActivateGrad(d, dy[at:], z, act)
		}
		ProductSums(sum[c0:c1], products[c0:c1], d, from, pivot[c0:c1])
	})
}

// ScaleTwoAct sets dx[r,c] = dz[r,c]·a[c] + x[r,c]·b[c] + d[c] with dz as in ActSums, from x. dx may be dy or x. All variants give the same
// bits.
func ScaleTwoAct[T Float](dx, dy, x, scale, shift []T, act Activation, a, b, d []T) {
	if single[T]() && gradClampAsm(as32(dx), as32(dy), as32(x), as32(scale), as32(shift), act, as32(a), as32(b), as32(d)) {
		return
	}
	var buffer [room]T
	blocks(len(x), len(a), func(at, count, c0, c1 int) {
		z, from := buffer[:count], x[at:at+count]
		ScaleShift(z, from, scale[c0:c1], shift[c0:c1], false)
		ActivateGrad(z, dy[at:], z, act)
		ScaleTwo(dx[at:at+count], z, from, a[c0:c1], b[c0:c1], d[c0:c1])
	})
}

// maybe32 is as32 for a slice that may be nil.
func maybe32[T Float](s []T) []float32 {
	if s == nil {
		return nil
	}
	return as32(s)
}
