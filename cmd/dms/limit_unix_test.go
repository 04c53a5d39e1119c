//go:build unix

package main

import "golang.org/x/sys/unix"

// limitFiles lets no file of this process grow beyond size bytes. A write then ends as on a full disk: some of it is done, the rest is
// an error.
func limitFiles(size uint64) error {
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: size})
}
