//go:build amd64 && !purego

package kernel

import "unsafe"

// streamLen is from how many elements on results go past the caches: they would have left them before anybody reads them again, and a cache line
// that is written as a whole need not be read first.
const streamLen = 1 << 20

// streams tells whether rows of n elements at y, total of them together, are stored past the caches: there must be enough of them, all vectors
// whole and on multiples of their size, and none of the operands in the same place, for then their lines are in a cache already.
func streams(y []float32, n, total int, operands ...[]float32) bool {
	lanes := Lanes
	if active == avx2 {
		lanes = 8
	}
	if active == goTwin || total < streamLen || n%lanes != 0 || len(y) == 0 || uintptr(unsafe.Pointer(&y[0]))%uintptr(4*lanes) != 0 {
		return false
	}
	for _, x := range operands {
		if len(x) > 0 && &x[0] == &y[0] {
			return false
		}
	}
	return true
}
