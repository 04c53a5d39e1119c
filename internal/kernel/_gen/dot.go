package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowRegs hold the addresses of the rows of a.
var rowRegs = []reg.GPPhysical{reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.R8, reg.R9, reg.R10, reg.R11}

// dotAhead is how far ahead of the panel in use, in bytes, memory is fetched into the second-level cache: about as long as the panel, so that weights
// that are read for few rows arrive in time.
const dotAhead = 24 << 10

// dot writes the kernel for one tile of rows×cols. The tables cRow and aRow have an entry for every row of the tile; a caller with
// fewer rows repeats the last one, which is then computed and stored more than once, to the same value. The table startRow is like cRow.
//
// With one vector in a row, even and odd k go to sums of their own, or the latency of the addition would show.
func dot(s isa, rows, cols int) {
	TEXT(fmt.Sprintf("dot%s_%dx%d", s.name, rows, cols), NOSPLIT,
		"func(c *float32, cRow *int, start *float32, startRow *int, a *float32, aRow *int, taps *int, ntaps int, kc int, b *float32, mask *int32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("dot%s_%dx%d is Dot for %d rows and %d columns, of which mask keeps the last ones.", s.name, rows, cols, rows, cols))
	vecs := cols / s.lanes
	width := s.lanes * 4 // bytes
	chains := 1
	if vecs == 1 {
		chains = 2
	}
	sum := func(chain, r, v int) reg.VecPhysical { return s.regs[(chain*rows+r)*vecs+v] }
	used := chains * rows * vecs
	b, x := s.regs[used:used+vecs], s.regs[min(used+vecs, len(s.regs)-1)]
	table, index, base := reg.R13, reg.RDI, reg.R12

	// Rows of a.
	Load(Param("a"), base)
	Load(Param("aRow"), table)
	for r := range rows {
		MOVQ(Mem{Base: table, Disp: 8 * r}, rowRegs[r])
		LEAQ(Mem{Base: base, Index: rowRegs[r], Scale: 4}, rowRegs[r])
	}
	// Sums start at zero or at the rows of start.
	for i := range used {
		s.zero(s.regs[i])
	}
	m := s.loadMasks(vecs, b...)
	Load(Param("start"), base)
	Load(Param("startRow"), table)
	TESTQ(base, base)
	JEQ(LabelRef("taps"))
	for r := range rows {
		MOVQ(Mem{Base: table, Disp: 8 * r}, index)
		for v := range vecs {
			m.load(v, Mem{Base: base, Index: index, Scale: 4, Disp: v * width}, sum(0, r, v))
		}
	}
	Label("taps")
	taps, ntaps, panel, left := reg.R12, reg.R13, reg.RSI, reg.R15
	Load(Param("taps"), taps)
	Load(Param("ntaps"), ntaps)
	Load(Param("b"), panel)
	step := func(u, chain int) {
		for v := range vecs {
			VMOVUPS(Mem{Base: panel, Disp: u*cols*4 + v*width}, b[v])
		}
		if s.lanes == 16 {
			for v := range vecs {
				PREFETCHT1(Mem{Base: panel, Disp: dotAhead + u*cols*4 + v*width})
			}
		}
		for r := range rows {
			at := Mem{Base: rowRegs[r], Index: index, Scale: 4, Disp: 4 * u}
			if vecs == 1 {
				VFMADD231PS_BCST(at, b[0], sum(chain, r, 0))
				continue
			}
			VBROADCASTSS(at, x)
			for v := range vecs {
				VFMADD231PS(x, b[v], sum(chain, r, v))
			}
		}
	}
	const unroll = 4
	Label("tap")
	MOVQ(Mem{Base: taps}, index)
	ADDQ(Imm(8), taps)
	Load(Param("kc"), left)
	SUBQ(Imm(unroll), left)
	JLT(LabelRef("rest"))
	Label("block")
	for u := range unroll {
		step(u, u%chains)
	}
	ADDQ(Imm(unroll), index)
	ADDQ(I32(int32(unroll*cols*4)), panel)
	SUBQ(Imm(unroll), left)
	JGE(LabelRef("block"))
	Label("rest")
	ADDQ(Imm(unroll), left)
	JEQ(LabelRef("next"))
	Label("single")
	step(0, 0)
	INCQ(index)
	ADDQ(I32(int32(cols*4)), panel)
	DECQ(left)
	JNE(LabelRef("single"))
	Label("next")
	DECQ(ntaps)
	JNE(LabelRef("tap"))

	if chains == 2 {
		for r := range rows {
			VADDPS(sum(1, r, 0), sum(0, r, 0), sum(0, r, 0))
		}
	}
	m = s.loadMasks(vecs, b...)
	Load(Param("c"), base)
	Load(Param("cRow"), table)
	for r := range rows {
		MOVQ(Mem{Base: table, Disp: 8 * r}, index)
		for v := range vecs {
			m.store(v, sum(0, r, v), Mem{Base: base, Index: index, Scale: 4, Disp: v * width})
		}
	}
	VZEROUPPER()
	RET()
}
