package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// unordered is the predicate of VCMPPS for a NaN.
const unordered = 3

// windowMax writes the maximum of scattered rows of channels and, with grad, its gradient. taps holds offsets of rows in elements.
// Registers: best is the largest value so far and at its tap; t counts the taps.
func windowMax(s isa, grad bool) {
	name, params, doc := "windowMax"+s.name, "y *float32, ", " is WindowMax."
	if grad {
		name, params, doc = "windowMaxGrad"+s.name, "dx *float32, dy *float32, ", " is WindowMaxGrad."
	}
	TEXT(name, NOSPLIT, "func("+params+"x *float32, taps *int, ntaps int, n int, mask *int32)")
	Pragma("noescape")
	Doc(name + doc)
	best, at, t, one, v, cond, nan, dy, maskReg := s.regs[0], s.regs[1], s.regs[2], s.regs[3], s.regs[4], s.regs[5], s.regs[6], s.regs[7], s.regs[8]
	y, x, tap, left, offset, n, dst := reg.RDI, reg.RSI, reg.RBX, reg.RCX, reg.RDX, reg.R12, reg.R8

	each := func(suffix, loop string, do func(from Mem)) {
		Load(Param("taps"), tap)
		Load(Param("ntaps"), left)
		s.zero(t)
		Label(loop + suffix)
		MOVQ(Mem{Base: tap}, offset)
		do(Mem{Base: x, Index: offset, Scale: 4})
		if grad {
			VPADDD(one, t, t)
		}
		ADDQ(Imm(8), tap)
		DECQ(left)
		JNE(LabelRef(loop + suffix))
	}
	body := func(m masks, suffix string) {
		Load(Param("taps"), tap)
		MOVQ(Mem{Base: tap}, offset)
		m.load(0, Mem{Base: x, Index: offset, Scale: 4}, best)
		if grad {
			s.zero(at)
		}
		each(suffix, "compare", func(from Mem) {
			m.load(0, from, v)
			if s.lanes == 16 {
				VCMPPS(Imm(greater), best, v, reg.K2)
				VCMPPS(Imm(unordered), v, v, reg.K3)
				KORW(reg.K2, reg.K3, reg.K2)
				VMOVAPS(v, reg.K2, best)
				if grad {
					VMOVDQA32(t, reg.K2, at)
				}
			} else {
				VCMPPS(Imm(greater), best, v, cond)
				VCMPPS(Imm(unordered), v, v, nan)
				VORPS(nan, cond, cond)
				VBLENDVPS(cond, v, best, best)
				if grad {
					VBLENDVPS(cond, t, at, at)
				}
			}
		})
		if !grad {
			m.store(0, best, Mem{Base: y})
			return
		}
		m.load(0, Mem{Base: y}, dy)
		each(suffix, "add", func(Mem) {
			to := Mem{Base: dst, Index: offset, Scale: 4}
			m.load(0, to, v)
			if s.lanes == 16 {
				VPCMPEQD(t, at, reg.K2)
				VADDPS(dy, v, reg.K2, v)
			} else {
				VPCMPEQD(t, at, cond)
				VADDPS(dy, v, nan)
				VBLENDVPS(cond, nan, v, v)
			}
			m.store(0, v, to)
		})
	}
	step := func() {
		bytes := Imm(uint64(4 * s.lanes))
		ADDQ(bytes, x)
		ADDQ(bytes, y)
		if grad {
			ADDQ(bytes, dst)
		}
		SUBQ(Imm(uint64(s.lanes)), n)
		JGT(LabelRef("channels"))
	}

	if grad {
		Load(Param("dx"), dst)
		Load(Param("dy"), y)
		s.ones(one)
		VPSRLD(Imm(31), one, one)
	} else {
		Load(Param("y"), y)
	}
	Load(Param("x"), x)
	Load(Param("n"), n)
	if s.lanes == 16 {
		KXNORW(reg.K1, reg.K1, reg.K1)
	}
	Label("channels")
	CMPQ(n, Imm(uint64(s.lanes)))
	if s.lanes == 16 {
		JGE(LabelRef("full"))
		s.loadMasks(1, maskReg)
		Label("full")
		body(masks{isa: s}, "")
		step()
	} else {
		JLT(LabelRef("cut"))
		body(masks{isa: s, whole: true}, "")
		step()
		JMP(LabelRef("done"))
		Label("cut")
		m := s.loadMasks(1, maskReg)
		m.vecs = []reg.VecPhysical{maskReg}
		body(m, "Cut")
	}
	Label("done")
	VZEROUPPER()
	RET()
}

// ones sets all bits of a register.
func (s isa) ones(v reg.VecPhysical) {
	if s.lanes == 16 {
		VPTERNLOGD(Imm(0xff), v, v, v)
	} else {
		VPCMPEQD(v, v, v)
	}
}
