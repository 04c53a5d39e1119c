//go:build amd64 && !purego

package kernel

// activationTable is activationConstants with each number in every lane of a vector.
var activationTable = func() (t [len(activationConstants) * Lanes]float32) {
	for i, v := range activationConstants {
		for l := range Lanes {
			t[i*Lanes+l] = v
		}
	}
	return t
}()

// activateAsm does one activation or its gradient. It leaves the kinds without assembly to the twin.
func activateAsm(f Activation, grad bool, dst, x, dy []float32) bool {
	return activateStream(f, grad, false, dst, x, dy)
}

// activateStream is activateAsm for results that may go past the caches; then the caller fences.
func activateStream(f Activation, grad, stream bool, dst, x, dy []float32) bool {
	if active == goTwin || f.Kind == Tanh {
		return false
	}
	lanes := Lanes
	if active == avx2 {
		lanes = 8
	}
	p := [2]float32{float32(f.A), float32(f.B)}
	for i := 0; i < len(dst); i += stretch / 4 {
		n := min(stretch/4, len(dst)-i)
		mask := &keep[Lanes-n%lanes]
		switch {
		case grad:
			activateGradCall(f.Kind, &dst[i], &x[i], &dy[i], n, &p[0], mask)
		case stream:
			activateStreamCall(f.Kind, &dst[i], &x[i], &dy[i], n, &p[0], mask)
		default:
			activateCall(f.Kind, &dst[i], &x[i], &dy[i], n, &p[0], mask)
		}
	}
	return true
}

func activateCall(kind ActivationKind, dst, x, dy *float32, n int, p *float32, mask *int32) {
	t := &activationTable[0]
	if active == avx2 {
		switch kind {
		case Clip:
			clipAVX2(dst, x, dy, n, p, t, mask)
		case Leaky:
			leakyAVX2(dst, x, dy, n, p, t, mask)
		case HardSigmoid:
			hardSigmoidAVX2(dst, x, dy, n, p, t, mask)
		case HardSwish:
			hardSwishAVX2(dst, x, dy, n, p, t, mask)
		case Sigmoid:
			sigmoidAVX2(dst, x, dy, n, p, t, mask)
		case Silu:
			siluAVX2(dst, x, dy, n, p, t, mask)
		}
		return
	}
	switch kind {
	case Clip:
		clipAVX512(dst, x, dy, n, p, t, mask)
	case Leaky:
		leakyAVX512(dst, x, dy, n, p, t, mask)
	case HardSigmoid:
		hardSigmoidAVX512(dst, x, dy, n, p, t, mask)
	case HardSwish:
		hardSwishAVX512(dst, x, dy, n, p, t, mask)
	case Sigmoid:
		sigmoidAVX512(dst, x, dy, n, p, t, mask)
	case Silu:
		siluAVX512(dst, x, dy, n, p, t, mask)
	}
}

func activateStreamCall(kind ActivationKind, dst, x, dy *float32, n int, p *float32, mask *int32) {
	t := &activationTable[0]
	if active == avx2 {
		switch kind {
		case Clip:
			clipStreamAVX2(dst, x, dy, n, p, t, mask)
		case Leaky:
			leakyStreamAVX2(dst, x, dy, n, p, t, mask)
		case HardSigmoid:
			hardSigmoidStreamAVX2(dst, x, dy, n, p, t, mask)
		case HardSwish:
			hardSwishStreamAVX2(dst, x, dy, n, p, t, mask)
		case Sigmoid:
			sigmoidStreamAVX2(dst, x, dy, n, p, t, mask)
		case Silu:
			siluStreamAVX2(dst, x, dy, n, p, t, mask)
		}
		return
	}
	switch kind {
	case Clip:
		clipStreamAVX512(dst, x, dy, n, p, t, mask)
	case Leaky:
		leakyStreamAVX512(dst, x, dy, n, p, t, mask)
	case HardSigmoid:
		hardSigmoidStreamAVX512(dst, x, dy, n, p, t, mask)
	case HardSwish:
		hardSwishStreamAVX512(dst, x, dy, n, p, t, mask)
	case Sigmoid:
		sigmoidStreamAVX512(dst, x, dy, n, p, t, mask)
	case Silu:
		siluStreamAVX512(dst, x, dy, n, p, t, mask)
	}
}

func activateGradCall(kind ActivationKind, dst, x, dy *float32, n int, p *float32, mask *int32) {
	t := &activationTable[0]
	if active == avx2 {
		switch kind {
		case Clip:
			clipGradAVX2(dst, x, dy, n, p, t, mask)
		case Leaky:
			leakyGradAVX2(dst, x, dy, n, p, t, mask)
		case HardSigmoid:
			hardSigmoidGradAVX2(dst, x, dy, n, p, t, mask)
		case HardSwish:
			hardSwishGradAVX2(dst, x, dy, n, p, t, mask)
		case Sigmoid:
			sigmoidGradAVX2(dst, x, dy, n, p, t, mask)
		case Silu:
			siluGradAVX2(dst, x, dy, n, p, t, mask)
		}
		return
	}
	switch kind {
	case Clip:
		clipGradAVX512(dst, x, dy, n, p, t, mask)
	case Leaky:
		leakyGradAVX512(dst, x, dy, n, p, t, mask)
	case HardSigmoid:
		hardSigmoidGradAVX512(dst, x, dy, n, p, t, mask)
	case HardSwish:
		hardSwishGradAVX512(dst, x, dy, n, p, t, mask)
	case Sigmoid:
		sigmoidGradAVX512(dst, x, dy, n, p, t, mask)
	case Silu:
		siluGradAVX512(dst, x, dy, n, p, t, mask)
	}
}
