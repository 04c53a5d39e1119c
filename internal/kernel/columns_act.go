package kernel

// ScaleShiftAct sets y[r,c] = act(x[r,c]·scale[c] + shift[c] + add[r,c]), rounding after each operation. add may be nil; y may be x or add.
func ScaleShiftAct[T Float](y, x, scale, shift, add []T, act Activation) {
	if add == nil && act.Kind <= Rectify {
		ScaleShift(y, x, scale, shift, act.Kind == Rectify)
		return
	}
	n := len(scale)
	y = y[:len(x)]
	var room [256]T
	for lo := 0; lo < len(x) && n > 0; lo += n {
		for c := 0; c < n; c += len(room) {
			k := min(len(room), n-c)
			z := room[:k]
			ScaleShift(z, x[lo+c:lo+c+k], scale[c:c+k], shift[c:c+k], false)
			if add != nil {
				Add(z, z, add[lo+c:])
			}
			Activate(y[lo+c:lo+c+k], z, act)
		}
	}
}

// ActSums adds to the sums of each channel
//
//	sum[c] += Σᵣ dz[r,c]        products[c] += Σᵣ dz[r,c]·(x[r,c] − pivot[c])
//
// with dz = dy·act'(z), where z = x·scale + shift is computed as ScaleShiftAct does, or, where y = act(z + ...) is given, act' is taken from
// that. dz is stored unless it is nil.
func ActSums[T Float](sum, products, dz, dy, x, y, pivot, scale, shift []T, act Activation) {
	n := len(pivot)
	var room [256]T
	for lo := 0; lo < len(x) && n > 0; lo += n {
		for c := 0; c < n; c += len(room) {
			k := min(len(room), n-c)
			d, from := room[:k], x[lo+c:lo+c+k]
			if y != nil {
				ActivateGrad(d, dy[lo+c:], y[lo+c:lo+c+k], act)
			} else {
				ScaleShift(d, from, scale[c:c+k], shift[c:c+k], false)
				ActivateGrad(d, dy[lo+c:], d, act)
			}
			if dz != nil {
				copy(dz[lo+c:], d)
			}
			ProductSums(sum[c:c+k], products[c:c+k], d, from, pivot[c:c+k])
		}
	}
}

// ScaleTwoAct sets dx[r,c] = dz[r,c]·a[c] + x[r,c]·b[c] + d[c] with dz as in ActSums, from x.
func ScaleTwoAct[T Float](dx, dy, x, scale, shift []T, act Activation, a, b, d []T) {
	n := len(a)
	var room [256]T
	for lo := 0; lo < len(x) && n > 0; lo += n {
		for c := 0; c < n; c += len(room) {
			k := min(len(room), n-c)
			dz, from := room[:k], x[lo+c:lo+c+k]
			ScaleShift(dz, from, scale[c:c+k], shift[c:c+k], false)
			ActivateGrad(dz, dy[lo+c:], dz, act)
			ScaleTwo(dx[lo+c:lo+c+k], dz, from, a[c:c+k], b[c:c+k], d[c:c+k])
		}
	}
}
