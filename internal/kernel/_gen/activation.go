package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Rows of the table of constants, in the order of kernel.activationTable: 64 bytes each, one number in every lane.
const (
	tabLow = iota
	tabHigh
	tabLog2E
	tabMagic
	tabLn2High
	tabLn2Low
	tabExp7
	tabExp6
	tabExp5
	tabExp4
	tabExp3
	tabExp2
	tabOne
	tabHalf
	tabSixth
	tabThird
	tabThree
	tabMinusThree
)

// activation is the registers of one elementwise function: x in v, a gradient in w, the parameters in a and b, and room.
type activation struct {
	isa
	v, w, a, b, zero reg.VecPhysical
	t                []reg.VecPhysical // 5
	table            reg.GPPhysical
}

func (f activation) constant(i int) Mem { return Mem{Base: f.table, Disp: 64 * i} }

// over is max(x, low) and under min(x, high), both with the NaN of x.
func (f activation) over(low, x reg.VecPhysical)   { VMAXPS(x, low, x) }
func (f activation) under(high, x reg.VecPhysical) { VMINPS(x, high, x) }

// expOfMinus sets t[4] to e⁻ˣ, x cut to the table's range.
func (f activation) expOfMinus(x reg.VecPhysical) {
	z, t, u, r, p := f.t[0], f.t[1], f.t[2], f.t[3], f.t[4]
	VSUBPS(x, f.zero, z)
	VMOVUPS(f.constant(tabHigh), u)
	f.under(u, z)
	VMOVUPS(f.constant(tabLow), u)
	f.over(u, z)
	VMOVUPS(f.constant(tabMagic), t)
	VFMADD231PS(f.constant(tabLog2E), z, t)
	VSUBPS(f.constant(tabMagic), t, u)
	VMOVAPS(z, r)
	VFNMADD231PS(f.constant(tabLn2High), u, r)
	VFNMADD231PS(f.constant(tabLn2Low), u, r)
	VMOVUPS(f.constant(tabExp7), p)
	for _, c := range []int{tabExp6, tabExp5, tabExp4, tabExp3, tabExp2, tabOne, tabOne} {
		VFMADD213PS(f.constant(c), r, p)
	}
	VPSLLD(Imm(23), t, t)
	VPADDD(t, p, p)
	VSUBPS(z, z, z)
	VADDPS(z, p, p)
}

// sigmoid sets t[4] to 1/(1 + e⁻ˣ), and leaves 1 in t[0].
func (f activation) sigmoid(x reg.VecPhysical) {
	f.expOfMinus(x)
	VMOVUPS(f.constant(tabOne), f.t[0])
	VADDPS(f.t[0], f.t[4], f.t[4])
	VDIVPS(f.t[4], f.t[0], f.t[4])
}

// Predicates of VCMPPS, ordered and quiet.
const (
	less           = 17
	greater        = 30
	greaterOrEqual = 29
)

// flag sets dst to 1 where x is so to the bound, else to 0.
func (f activation) flag(predicate uint8, x, bound, dst reg.VecPhysical) {
	if f.lanes == 16 {
		VCMPPS(Imm(uint64(predicate)), bound, x, reg.K2)
		VMOVUPS_Z(f.constant(tabOne), reg.K2, dst)
		return
	}
	VCMPPS(Imm(uint64(predicate)), bound, x, dst)
	VANDPS(f.constant(tabOne), dst, dst)
}

// activations are the functions, as in kernel.Activate, and their gradients, as in kernel.ActivateGrad. The result goes to v.
var activations = []struct {
	name    string
	f, grad func(f activation)
}{
	{"clip", func(f activation) {
		f.over(f.a, f.v)
		f.under(f.b, f.v)
	}, func(f activation) {
		if f.lanes == 16 {
			VCMPPS(Imm(greater), f.a, f.v, reg.K2)
			VCMPPS(Imm(less), f.b, f.v, reg.K3)
			KANDW(reg.K2, reg.K3, reg.K2)
			VMOVUPS_Z(f.w, reg.K2, f.v)
			return
		}
		VCMPPS(Imm(greater), f.a, f.v, f.t[0])
		VCMPPS(Imm(less), f.b, f.v, f.t[1])
		VANDPS(f.t[0], f.w, f.w)
		VANDPS(f.t[1], f.w, f.v)
	}},
	{"leaky", func(f activation) {
		VMINPS(f.v, f.zero, f.t[0])
		VMULPS(f.a, f.t[0], f.t[0])
		f.over(f.zero, f.v)
		VADDPS(f.t[0], f.v, f.v)
	}, func(f activation) {
		f.flag(greater, f.v, f.zero, f.t[0])
		VMOVUPS(f.constant(tabOne), f.t[1])
		VSUBPS(f.t[0], f.t[1], f.t[1])
		VMULPS(f.a, f.t[1], f.t[1])
		VADDPS(f.t[1], f.t[0], f.t[0])
		VMULPS(f.t[0], f.w, f.v)
	}},
	{"hardSigmoid", func(f activation) {
		VMULPS(f.a, f.v, f.v)
		VADDPS(f.b, f.v, f.v)
		f.over(f.zero, f.v)
		VMOVUPS(f.constant(tabOne), f.t[0])
		f.under(f.t[0], f.v)
	}, func(f activation) {
		VMULPS(f.a, f.v, f.v)
		VADDPS(f.b, f.v, f.v)
		VMOVUPS(f.constant(tabOne), f.t[1])
		f.flag(greater, f.v, f.zero, f.t[0])
		f.flag(less, f.v, f.t[1], f.t[1])
		VMULPS(f.t[1], f.t[0], f.t[0])
		VMULPS(f.a, f.w, f.v)
		VMULPS(f.t[0], f.v, f.v)
	}},
	{"hardSwish", func(f activation) {
		VMULPS(f.constant(tabSixth), f.v, f.t[0])
		VADDPS(f.constant(tabHalf), f.t[0], f.t[0])
		f.over(f.zero, f.t[0])
		VMOVUPS(f.constant(tabOne), f.t[1])
		f.under(f.t[1], f.t[0])
		VMULPS(f.t[0], f.v, f.v)
	}, func(f activation) {
		VMOVUPS(f.constant(tabMinusThree), f.t[3])
		f.flag(greater, f.v, f.t[3], f.t[0])
		VMOVUPS(f.constant(tabThree), f.t[3])
		f.flag(less, f.v, f.t[3], f.t[1])
		VMULPS(f.t[1], f.t[0], f.t[0])
		f.flag(greaterOrEqual, f.v, f.t[3], f.t[2])
		VMULPS(f.constant(tabThird), f.v, f.v)
		VADDPS(f.constant(tabHalf), f.v, f.v)
		VMULPS(f.t[0], f.v, f.v)
		VADDPS(f.t[2], f.v, f.v)
		VMULPS(f.v, f.w, f.v)
	}},
	{"sigmoid", func(f activation) {
		f.sigmoid(f.v)
		VMOVAPS(f.t[4], f.v)
	}, func(f activation) {
		f.sigmoid(f.v)
		VMULPS(f.t[4], f.w, f.v)
		VSUBPS(f.t[4], f.t[0], f.t[4])
		VMULPS(f.t[4], f.v, f.v)
	}},
	{"silu", func(f activation) {
		f.expOfMinus(f.v)
		VADDPS(f.constant(tabOne), f.t[4], f.t[4])
		VDIVPS(f.t[4], f.v, f.v)
	}, func(f activation) {
		f.sigmoid(f.v)
		VSUBPS(f.t[4], f.t[0], f.t[1])
		VMULPS(f.t[1], f.v, f.v)
		VADDPS(f.t[0], f.v, f.v)
		VMULPS(f.t[4], f.w, f.w)
		VMULPS(f.v, f.w, f.v)
	}},
}

// activate writes the vector loops of the activations: whole vectors, then the part of one that mask keeps. p is A and B.
func activate(s isa) {
	for _, op := range activations {
		activateLoop(s, op.name+s.name, op.f, false, false)
		activateLoop(s, op.name+"Stream"+s.name, op.f, false, true)
		activateLoop(s, op.name+"Grad"+s.name, op.grad, true, false)
	}
}

func activateLoop(s isa, name string, do func(activation), grad, stream bool) {
	TEXT(name, NOSPLIT, "func(dst *float32, x *float32, dy *float32, n int, p *float32, table *float32, mask *int32)")
	Pragma("noescape")
	Doc(name + " is Activate or ActivateGrad; mask keeps the first elements of the last vector.")
	dst, x, dy, n, table := reg.RDI, reg.RSI, reg.RDX, reg.RCX, reg.RBX
	f := activation{isa: s, a: s.regs[10], b: s.regs[11], zero: s.regs[12], table: table}
	maskReg := s.regs[13]
	f.v, f.w, f.t = s.regs[0], s.regs[1], s.regs[2:7]
	Load(Param("dst"), dst)
	Load(Param("x"), x)
	Load(Param("dy"), dy)
	Load(Param("n"), n)
	Load(Param("p"), reg.R8)
	Load(Param("table"), table)
	VBROADCASTSS(Mem{Base: reg.R8}, f.a)
	VBROADCASTSS(Mem{Base: reg.R8, Disp: 4}, f.b)
	s.zero(f.zero)
	Label("one")
	CMPQ(n, Imm(uint64(s.lanes)))
	JLT(LabelRef("part"))
	VMOVUPS(Mem{Base: x}, f.v)
	if grad {
		VMOVUPS(Mem{Base: dy}, f.w)
	}
	do(f)
	s.storeWhole(stream, f.v, Mem{Base: dst})
	for _, p := range []reg.GPPhysical{dst, x, dy} {
		ADDQ(I32(int32(4*s.lanes)), p)
	}
	SUBQ(Imm(uint64(s.lanes)), n)
	JMP(LabelRef("one"))
	Label("part")
	TESTQ(n, n)
	JEQ(LabelRef("done"))
	m := s.loadMasks(1, maskReg)
	m.vecs = []reg.VecPhysical{maskReg}
	m.load(0, Mem{Base: x}, f.v)
	if grad {
		m.load(0, Mem{Base: dy}, f.w)
	}
	do(f)
	m.store(0, f.v, Mem{Base: dst})
	Label("done")
	VZEROUPPER()
	RET()
}
