package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transpose writes the kernel for squares of 8×8, as many as lie side by side in a row of the source. All steps are in bytes. It uses 256-bit
// vectors under every instruction set: what bounds it are loads, stores and shuffles, of which wider ones need as many.
func transpose() {
	TEXT("transposeAVX2", NOSPLIT, "func(dst *float32, dstStep int, src *float32, srcStep int, count int)")
	Pragma("noescape")
	Doc("transposeAVX2 turns count squares of 8×8, which lie side by side in src and one below the other in dst.")
	dst, src, count := reg.RDI, reg.RSI, reg.RCX
	dstStep, srcStep := reg.RAX, reg.RBX
	d3, s3 := reg.R8, reg.R9
	low, high := reg.R10, reg.R11
	Load(Param("dst"), dst)
	Load(Param("dstStep"), dstStep)
	Load(Param("src"), src)
	Load(Param("srcStep"), srcStep)
	Load(Param("count"), count)
	LEAQ(Mem{Base: dstStep, Index: dstStep, Scale: 2}, d3)
	LEAQ(Mem{Base: srcStep, Index: srcStep, Scale: 2}, s3)
	y := avx2.regs
	// at is row i of a square whose rows 0 and 4 start at low and high.
	at := func(low, high, step, triple reg.GPPhysical, i int) Mem {
		base := low
		if i >= 4 {
			base, i = high, i-4
		}
		switch i {
		case 0:
			return Mem{Base: base}
		case 1:
			return Mem{Base: base, Index: step, Scale: 1}
		case 2:
			return Mem{Base: base, Index: step, Scale: 2}
		}
		return Mem{Base: base, Index: triple, Scale: 1}
	}
	Label("square")
	LEAQ(Mem{Base: src, Index: srcStep, Scale: 4}, high)
	// The halves of rows i and i+4 that belong together come into one vector, so that no shuffle has to cross halves.
	half := func(m Mem, offset int) Mem { m.Disp += offset; return m }
	for i := range 4 {
		for h := range 2 {
			VMOVUPS(half(at(src, high, srcStep, s3, i), 16*h), y[4*h+i].AsX())
			VINSERTF128(Imm(1), half(at(src, high, srcStep, s3, i+4), 16*h), y[4*h+i], y[4*h+i])
		}
	}
	MOVQ(dst, low)
	LEAQ(Mem{Base: dst, Index: dstStep, Scale: 4}, high)
	for h := range 2 {
		r := y[4*h : 4*h+4]
		a, b, c, d := y[8], y[9], y[10], y[11]
		VUNPCKLPS(r[1], r[0], a) // 00 10 01 11
		VUNPCKHPS(r[1], r[0], b) // 02 12 03 13
		VUNPCKLPS(r[3], r[2], c) // 20 30 21 31
		VUNPCKHPS(r[3], r[2], d)
		VUNPCKLPD(c, a, y[12])
		VUNPCKHPD(c, a, y[13])
		VUNPCKLPD(d, b, y[14])
		VUNPCKHPD(d, b, y[15])
		for i := range 4 {
			VMOVUPS(y[12+i], at(low, high, dstStep, d3, 4*h+i))
		}
	}
	ADDQ(Imm(32), src)
	LEAQ(Mem{Base: dst, Index: dstStep, Scale: 8}, dst)
	DECQ(count)
	JNE(LabelRef("square"))
	VZEROUPPER()
	RET()
}
