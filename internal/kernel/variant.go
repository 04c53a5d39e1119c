package kernel

import "fmt"

// variant is one implementation of the float32 kernels.
type variant uint8

const (
	goTwin variant = iota
	avx2
	avx512
)

// variants lists all implementations from the plainest to the fastest; it drives dispatch, tests and benchmarks.
var variants = [...]string{goTwin: "go", avx2: "avx2", avx512: "avx512"}

// active is the implementation that runs: the fastest that this processor has.
var active = fastest()

// Active names the variant that runs: "go", "avx2" or "avx512". Results that shall be repeated exactly depend on it.
func Active() string { return variants[active] }

// Variants names the variants this build and processor can run.
func Variants() []string { return variants[:fastest()+1] }

// Use makes the named variant the one that runs until restore is called. It is for tests and benchmarks: no kernel may be running,
// and memory packed for one variant does not fit another. A name that Variants does not list is a panic.
func Use(name string) (restore func()) {
	for v, n := range Variants() {
		if n == name {
			old := active
			active = variant(v)
			return func() { active = old }
		}
	}
	panic(fmt.Sprintf("kernel: no variant %q here, only %q", name, Variants()))
}
