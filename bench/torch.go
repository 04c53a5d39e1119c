package main

import (
	_ "embed"
	"fmt"
	"os"

	"github.com/dms-go/dms/internal/kernel"
)

//go:embed torch_worker.py
var torchScript string

// Ways to allocate. glibc gives large blocks back to the system at once and takes them anew, and every page then faults again; with
// thresholds raised it keeps most of them. Which is faster depends on the network, so training tries all.
const (
	plainMalloc  = "plain"
	raisedMalloc = "raised"
	otherMalloc  = "other"
)

func mallocEnv(s settings, how string) []string {
	switch how {
	case raisedMalloc:
		return []string{"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=100000000000"}
	case otherMalloc:
		return []string{"LD_PRELOAD=" + s.malloc, "MALLOC_CONF=oversize_threshold:0,metadata_thp:auto,dirty_decay_ms:9000000000,muzzy_decay_ms:9000000000"}
	}
	return nil
}

// startTorch starts a process with torch that allocates in one of the ways above.
func startTorch(s settings, how string) (*worker, error) {
	n := fmt.Sprint(s.threads)
	env := append([]string{"OMP_NUM_THREADS=" + n, "OPENBLAS_NUM_THREADS=" + n, "MKL_NUM_THREADS=" + n}, mallocEnv(s, how)...)
	if os.Getenv("OPENBLAS_CORETYPE") == "" && kernel.Active() == "avx512" {
		// OpenBLAS 0.3.21 does not know the newer processors and falls back to kernels that are four times slower.
		env = append(env, "OPENBLAS_CORETYPE=SKYLAKEX")
	}
	if s.blas != "" {
		env = append(env, "LD_LIBRARY_PATH="+s.blas+":"+os.Getenv("LD_LIBRARY_PATH"))
	}
	w, err := startWorker(env, s.python, "-u", "-c", torchScript)
	if err != nil {
		return nil, err
	}
	a, err := w.ask(map[string]any{"do": "hello", "threads": s.threads, "cpu": s.cpu})
	if err != nil {
		return nil, err
	}
	w.Version = fmt.Sprintf("%s with %s", a.Version, a.Blas)
	return w, nil
}
