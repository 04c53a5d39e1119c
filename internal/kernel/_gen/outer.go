package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// outer writes the kernel for one tile of at most rows×cols; the steps are in bytes. All rows are computed, the first of them stored. A tile
// that leaves no registers for masks serves whole panels only.
func outer(s isa, rows, cols int) {
	TEXT(fmt.Sprintf("outer%s_%dx%d", s.name, rows, cols), NOSPLIT,
		"func(c *float32, ldc int, a *float32, aStep int, aSeg int, b *float32, bStep int, bSeg int, segs int, n int, rows int, mask *int32, add bool)")
	Pragma("noescape")
	Doc(fmt.Sprintf("outer%s_%dx%d is Outer for up to %d rows and %d columns, of which mask keeps the last ones.", s.name, rows, cols, rows, cols))
	vecs := cols / s.lanes
	width := s.lanes * 4
	sum := func(r, v int) reg.VecPhysical { return s.regs[r*vecs+v] }
	used := rows * vecs
	b, x, spare := s.regs[used:used+vecs], s.regs[used+vecs], s.regs[used+vecs+1:]

	for i := range used {
		s.zero(s.regs[i])
	}
	m := masks{isa: s, whole: true}
	if s.lanes == 16 || len(spare) >= vecs {
		m = s.loadMasks(vecs, spare...)
	}
	unlessAdd("start")
	c, ldc := reg.RCX, reg.RDX
	Load(Param("c"), c)
	Load(Param("ldc"), ldc)
	for r := range rows {
		for v := range vecs {
			VMOVUPS(Mem{Base: c, Disp: v * width}, sum(r, v))
		}
		if r+1 < rows {
			CMPQ(param("rows"), Imm(uint64(r+1)))
			JEQ(LabelRef("start"))
			ADDQ(ldc, c)
		}
	}
	Label("start")
	a, at, aStep, aSeg := reg.R8, reg.RSI, reg.RAX, reg.R10
	bb, bt, bStep, bSeg := reg.R9, reg.RDI, reg.RBX, reg.R11
	segs, n, left := reg.R12, reg.R13, reg.R15
	Load(Param("a"), a)
	Load(Param("aStep"), aStep)
	Load(Param("aSeg"), aSeg)
	Load(Param("b"), bb)
	Load(Param("bStep"), bStep)
	Load(Param("bSeg"), bSeg)
	Load(Param("segs"), segs)
	Load(Param("n"), n)
	Label("segment")
	MOVQ(a, at)
	MOVQ(bb, bt)
	MOVQ(n, left)
	Label("pixel")
	for v := range vecs {
		m.load(v, Mem{Base: bt, Disp: v * width}, b[v])
	}
	for r := range rows {
		if vecs == 1 {
			VFMADD231PS_BCST(Mem{Base: at, Disp: 4 * r}, b[0], sum(r, 0))
			continue
		}
		VBROADCASTSS(Mem{Base: at, Disp: 4 * r}, x)
		for v := range vecs {
			VFMADD231PS(x, b[v], sum(r, v))
		}
	}
	ADDQ(aStep, at)
	ADDQ(bStep, bt)
	DECQ(left)
	JNE(LabelRef("pixel"))
	ADDQ(aSeg, a)
	ADDQ(bSeg, bb)
	DECQ(segs)
	JNE(LabelRef("segment"))

	Load(Param("c"), c)
	Load(Param("ldc"), ldc)
	for r := range rows {
		for v := range vecs {
			VMOVUPS(sum(r, v), Mem{Base: c, Disp: v * width})
		}
		if r+1 < rows {
			CMPQ(param("rows"), Imm(uint64(r+1)))
			JEQ(LabelRef("done"))
			ADDQ(ldc, c)
		}
	}
	Label("done")
	VZEROUPPER()
	RET()
}
