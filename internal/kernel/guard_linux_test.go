package kernel

import (
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n elements that end where an unreadable page begins, so that reading one more is a fault.
func guarded[T Float](t *testing.T, n int) []T {
	var e T
	page := syscall.Getpagesize()
	size := (n*int(unsafe.Sizeof(e)) + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mprotect(m[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(m) })
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(m))), size/int(unsafe.Sizeof(e)))[size/int(unsafe.Sizeof(e))-n:]
}
