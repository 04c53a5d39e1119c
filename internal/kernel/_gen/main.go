// Command _gen writes the assembly of package kernel: for each instruction set the tiles Dot and Outer, in the sizes
// of the tables below, the windows of DepthRow and DepthSums, and the loops over vectors and over rows of channels. Run it with go generate in internal/kernel.
//
// Offsets of rows and taps are in elements, scaled by the addressing mode; the steps of all others are in bytes. What a kernel computes is said at its Go twin; here are only the registers.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set: its vectors and what it can do to them.
type isa struct {
	name  string
	lanes int // float32 per vector
	regs  []reg.VecPhysical
}

var (
	avx512 = isa{"AVX512", 16, []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	}}
	avx2 = isa{"AVX2", 8, []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}}
)

func main() {
	ConstraintExpr("amd64,!purego")
	for _, cols := range []int{16, 32, 48} {
		dot(avx512, 8, cols)
	}
	dot(avx2, 6, 16)
	for _, t := range []struct{ rows, cols int }{{24, 16}, {16, 16}, {8, 16}, {12, 32}, {4, 32}, {8, 48}, {4, 48}} {
		outer(avx512, t.rows, t.cols)
	}
	outer(avx2, 6, 16)
	outer(avx2, 4, 16)
	fence()
	transpose()
	for _, s := range []isa{avx512, avx2} {
		for _, k := range []int{1, 2, 3, 4, 5, 7} {
			depthRow(s, k, 1)
		}
		for _, k := range []int{3, 5, 7} {
			depthRow(s, k, 2)
		}
		for _, k := range []int{1, 3, 5, 7} {
			depthSums(s, k)
		}
	}
	for _, s := range []isa{avx512, avx2} {
		windowMax(s, false)
		windowMax(s, true)
		vectors(s)
		columns(s)
		activate(s)
		winogradKernels(s)
		clampKernels(s)
	}
	Generate()
}

func (s isa) zero(v reg.VecPhysical) {
	if s.lanes == 16 {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

// masks says which vectors of a row are cut at the right edge, and by what: AVX-512 cuts the last vector by K1, AVX2 every
// vector by a register.
type masks struct {
	isa
	vecs  []reg.VecPhysical // AVX2: one for each vector of the row
	last  int
	whole bool // AVX2: nothing is cut
}

// loadMasks reads the masks from 32-bit lanes at the parameter mask.
func (s isa) loadMasks(vecs int, spare ...reg.VecPhysical) masks {
	p := Load(Param("mask"), reg.R15)
	if s.lanes == 16 {
		VMOVDQU32(Mem{Base: p}, spare[0])
		VPMOVD2M(spare[0], reg.K1)
		return masks{isa: s, last: vecs - 1}
	}
	for v := range vecs {
		VMOVUPS(Mem{Base: p, Disp: v * 32}, spare[v])
	}
	return masks{isa: s, vecs: spare, last: vecs - 1}
}

// load reads vector v of a row.
func (m masks) load(v int, from Mem, to reg.VecPhysical) {
	switch {
	case m.whole:
		VMOVUPS(from, to)
	case m.lanes == 8:
		VMASKMOVPS(from, m.vecs[v], to)
	case v == m.last:
		VMOVUPS_Z(from, reg.K1, to)
	default:
		VMOVUPS(from, to)
	}
}

// store writes vector v of a row.
func (m masks) store(v int, from reg.VecPhysical, to Mem) {
	switch {
	case m.whole:
		VMOVUPS(from, to)
	case m.lanes == 8:
		VMASKMOVPS(from, m.vecs[v], to)
	case v == m.last:
		VMOVUPS(from, reg.K1, to)
	default:
		VMOVUPS(from, to)
	}
}

// storeOr writes a vector of a row, past the caches if stream is set: then all of it counts and it lies on a multiple of its size.
func (m masks) storeOr(stream bool, from reg.VecPhysical, to Mem) {
	if stream {
		VMOVNTPS(from, to)
		return
	}
	m.store(0, from, to)
}

// storeWhole writes a whole vector, past the caches if stream is set.
func (s isa) storeWhole(stream bool, from reg.VecPhysical, to Mem) {
	if stream {
		VMOVNTPS(from, to)
		return
	}
	VMOVUPS(from, to)
}

// streamed is the part of a kernel's name that says so.
func streamed(stream bool) string {
	if stream {
		return "Stream"
	}
	return ""
}

// fence writes the kernel that ends a series of stores past the caches.
func fence() {
	TEXT("fence", NOSPLIT, "func()")
	Doc("fence makes stores past the caches visible before whatever is stored next.")
	SFENCE()
	RET()
}

// param returns the memory operand of a scalar parameter.
func param(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// unlessAdd jumps to the label when the parameter add is false.
func unlessAdd(label string) {
	CMPB(param("add"), Imm(0))
	JEQ(LabelRef(label))
}
