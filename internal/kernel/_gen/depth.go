package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// depth writes the kernel for eight rows of any number of channels. As in dot, a caller with fewer rows repeats the last one. mask
// cuts the last block of channels; ldw is in bytes.
func depth(s isa) {
	TEXT("depth"+s.name, NOSPLIT,
		"func(c *float32, cRow *int, a *float32, aRow *int, taps *int, ntaps int, w *float32, ldw int, n int, mask *int32, add bool)")
	Pragma("noescape")
	Doc("depth" + s.name + " is Depth for 8 rows.")
	const rows = 8
	sums, w, x, maskReg := s.regs[:rows], s.regs[rows], s.regs[rows+1], s.regs[rows+2]
	base, table, left := reg.R12, reg.R13, reg.R15
	full := func() masks {
		if s.lanes == 16 {
			KXNORW(reg.K1, reg.K1, reg.K1)
		} else {
			VPCMPEQD(maskReg, maskReg, maskReg)
		}
		return masks{isa: s, vecs: []reg.VecPhysical{maskReg}}
	}

	Load(Param("a"), base)
	Load(Param("aRow"), table)
	for r := range rows {
		MOVQ(Mem{Base: table, Disp: 8 * r}, rowRegs[r])
		LEAQ(Mem{Base: base, Index: rowRegs[r], Scale: 4}, rowRegs[r])
	}
	Load(Param("n"), left)
	m := full()
	Label("channels")
	CMPQ(left, Imm(uint64(s.lanes)))
	JGE(LabelRef("start"))
	MOVQ(left, reg.RSI)
	s.loadMasks(1, maskReg)
	MOVQ(reg.RSI, left)
	Label("start")
	for _, v := range sums {
		s.zero(v)
	}
	unlessAdd("taps")
	Load(Param("c"), base)
	Load(Param("cRow"), table)
	for r := range rows {
		MOVQ(Mem{Base: table, Disp: 8 * r}, reg.RDI)
		m.load(0, Mem{Base: base, Index: reg.RDI, Scale: 4}, sums[r])
	}
	Label("taps")
	taps, offset, ntaps, weights := reg.RDI, reg.R12, reg.R13, reg.RSI
	Load(Param("taps"), taps)
	Load(Param("ntaps"), ntaps)
	Load(Param("w"), weights)
	Label("tap")
	MOVQ(Mem{Base: taps}, offset)
	m.load(0, Mem{Base: weights}, w)
	for r := range rows {
		at := Mem{Base: rowRegs[r], Index: offset, Scale: 4}
		if s.lanes == 16 {
			VFMADD231PS(at, w, reg.K1, sums[r])
		} else {
			m.load(0, at, x)
			VFMADD231PS(x, w, sums[r])
		}
	}
	ADDQ(param("ldw"), weights)
	ADDQ(Imm(8), taps)
	DECQ(ntaps)
	JNE(LabelRef("tap"))
	Load(Param("c"), base)
	Load(Param("cRow"), table)
	for r := range rows {
		MOVQ(Mem{Base: table, Disp: 8 * r}, reg.RDI)
		m.store(0, sums[r], Mem{Base: base, Index: reg.RDI, Scale: 4})
	}
	bytes := Imm(uint64(s.lanes * 4))
	for r := range rows {
		ADDQ(bytes, rowRegs[r])
	}
	ADDQ(bytes, param("c"))
	ADDQ(bytes, param("w"))
	SUBQ(Imm(uint64(s.lanes)), left)
	JGT(LabelRef("channels"))
	VZEROUPPER()
	RET()
}

// depthOuter writes the kernel for one vector of channels and nine taps; the table taps has nine entries, in bytes, and the sums of the
// first ntaps are stored. All steps are in bytes.
func depthOuter(s isa) {
	TEXT("depthOuter"+s.name, NOSPLIT,
		"func(c *float32, ldc int, a *float32, aStep int, aSeg int, taps *int, ntaps int, b *float32, bStep int, bSeg int, segs int, n int, mask *int32, add bool)")
	Pragma("noescape")
	Doc("depthOuter" + s.name + " is DepthOuter for one vector of channels, of which mask keeps the first ones, and up to 9 taps.")
	const taps = 9
	sums, dy, x, maskReg := s.regs[:taps], s.regs[taps], s.regs[taps+1], s.regs[taps+2]
	offsets := append(rowRegs[:8:8], reg.R12)
	a, b, left, t := reg.RSI, reg.RDI, reg.R13, reg.R15

	m := s.loadMasks(1, maskReg)
	m.vecs = []reg.VecPhysical{maskReg}
	for _, v := range sums {
		s.zero(v)
	}
	unlessAdd("start")
	Load(Param("c"), a)
	for i := range taps {
		m.load(0, Mem{Base: a}, sums[i])
		if i+1 < taps {
			CMPQ(param("ntaps"), Imm(uint64(i+1)))
			JEQ(LabelRef("start"))
			ADDQ(param("ldc"), a)
		}
	}
	Label("start")
	Load(Param("taps"), t)
	for i, r := range offsets {
		MOVQ(Mem{Base: t, Disp: 8 * i}, r)
	}
	Label("segment")
	Load(Param("a"), a)
	Load(Param("b"), b)
	Load(Param("n"), left)
	Load(Param("aStep"), t)
	Label("pixel")
	m.load(0, Mem{Base: b}, dy)
	for i, r := range offsets {
		at := Mem{Base: a, Index: r, Scale: 1}
		if s.lanes == 16 {
			VFMADD231PS(at, dy, reg.K1, sums[i])
		} else {
			m.load(0, at, x)
			VFMADD231PS(x, dy, sums[i])
		}
	}
	ADDQ(t, a)
	ADDQ(param("bStep"), b)
	DECQ(left)
	JNE(LabelRef("pixel"))
	Load(Param("aSeg"), t)
	ADDQ(t, param("a"))
	Load(Param("bSeg"), t)
	ADDQ(t, param("b"))
	DECQ(param("segs"))
	JNE(LabelRef("segment"))

	Load(Param("c"), a)
	for i := range taps {
		m.store(0, sums[i], Mem{Base: a})
		if i+1 < taps {
			CMPQ(param("ntaps"), Imm(uint64(i+1)))
			JEQ(LabelRef("done"))
			ADDQ(param("ldc"), a)
		}
	}
	Label("done")
	VZEROUPPER()
	RET()
}
