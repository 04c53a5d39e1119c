package main

import (
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vectorOps are the elementwise kernels: what happens to one vector of a and one of b. The result goes to v; alpha and zero are
// registers of their value in every lane.
var vectorOps = []struct {
	name string
	one  func(s isa, v, w, alpha, zero reg.VecPhysical)
	b    bool // it has a second operand
}{
	{"add", func(_ isa, v, w, _, _ reg.VecPhysical) { VADDPS(w, v, v) }, true},
	{"sub", func(_ isa, v, w, _, _ reg.VecPhysical) { VSUBPS(w, v, v) }, true},
	{"mul", func(_ isa, v, w, _, _ reg.VecPhysical) { VMULPS(w, v, v) }, true},
	{"addScaled", func(_ isa, v, w, alpha, _ reg.VecPhysical) { VMULPS(w, alpha, w); VADDPS(w, v, v) }, true},
	{"scale", func(_ isa, v, _, alpha, _ reg.VecPhysical) { VMULPS(v, alpha, v) }, false},
	{"relu", func(_ isa, v, _, _, zero reg.VecPhysical) { VMAXPS(v, zero, v) }, false}, // the second source wins ties and NaN
	{"reluGrad", func(s isa, v, w, _, zero reg.VecPhysical) {
		if s.lanes == 16 {
			VCMPPS(Imm(greater), zero, w, reg.K2)
			VMOVUPS_Z(v, reg.K2, v)
		} else {
			VCMPPS(Imm(greater), zero, w, w)
			VANDPS(w, v, v)
		}
	}, true},
}

// vectors writes the elementwise kernels: four vectors at a time, then one, then the part of one that mask keeps.
func vectors(s isa) {
	for _, op := range vectorOps {
		name := op.name + s.name
		TEXT(name, NOSPLIT, "func(dst *float32, a *float32, b *float32, n int, alpha float32, mask *int32)")
		Pragma("noescape")
		Doc(name + " is " + strings.ToUpper(op.name[:1]) + op.name[1:] + "; mask keeps the first elements of the last vector.")
		dst, a, b, n := reg.RDI, reg.RSI, reg.RDX, reg.RCX
		alpha, zero, maskReg := s.regs[8], s.regs[9], s.regs[10]
		Load(Param("dst"), dst)
		Load(Param("a"), a)
		Load(Param("b"), b)
		Load(Param("n"), n)
		VBROADCASTSS(param("alpha"), alpha)
		s.zero(zero)
		do := func(count int) {
			for u := range count {
				VMOVUPS(Mem{Base: a, Disp: 4 * s.lanes * u}, s.regs[u])
				if op.b {
					VMOVUPS(Mem{Base: b, Disp: 4 * s.lanes * u}, s.regs[4+u])
				}
			}
			for u := range count {
				op.one(s, s.regs[u], s.regs[4+u], alpha, zero)
				VMOVUPS(s.regs[u], Mem{Base: dst, Disp: 4 * s.lanes * u})
			}
			for _, p := range []reg.GPPhysical{dst, a, b} {
				ADDQ(I32(int32(4*s.lanes*count)), p)
			}
		}
		Label("four")
		CMPQ(n, Imm(uint64(4*s.lanes)))
		JLT(LabelRef("one"))
		do(4)
		SUBQ(Imm(uint64(4*s.lanes)), n)
		JMP(LabelRef("four"))
		Label("one")
		CMPQ(n, Imm(uint64(s.lanes)))
		JLT(LabelRef("part"))
		do(1)
		SUBQ(Imm(uint64(s.lanes)), n)
		JMP(LabelRef("one"))
		Label("part")
		TESTQ(n, n)
		JEQ(LabelRef("done"))
		m := s.loadMasks(1, maskReg)
		m.load(0, Mem{Base: a}, s.regs[0])
		if op.b {
			m.load(0, Mem{Base: b}, s.regs[4])
		}
		op.one(s, s.regs[0], s.regs[4], alpha, zero)
		m.store(0, s.regs[0], Mem{Base: dst})
		Label("done")
		VZEROUPPER()
		RET()
	}
}

type columnsOp struct {
	name string
	dy   bool
	maps func(v, w, zero reg.VecPhysical, p []reg.VecPhysical)
	sums func(v, w, t, u reg.VecPhysical, p []reg.VecPhysical)
}

// columnsOps are the kernels over rows of channels. The three parameters of the channels are in p. A map computes the vector
// v of a row from x in v and dy in w; a sum adds to the sums t and u.
var columnsOps = []columnsOp{
	{name: "scaleShift", maps: func(v, _, _ reg.VecPhysical, p []reg.VecPhysical) {
		VMULPS(p[0], v, v)
		VADDPS(p[1], v, v)
	}},
	{name: "scaleShiftRelu", maps: func(v, _, zero reg.VecPhysical, p []reg.VecPhysical) {
		VMULPS(p[0], v, v)
		VADDPS(p[1], v, v)
		VMAXPS(v, zero, v)
	}},
	{name: "scaleTwo", dy: true, maps: func(v, w, _ reg.VecPhysical, p []reg.VecPhysical) {
		VMULPS(p[0], w, w)
		VMULPS(p[1], v, v)
		VADDPS(v, w, v)
		VADDPS(p[2], v, v)
	}},
	{name: "moments", sums: func(v, _, t, u reg.VecPhysical, p []reg.VecPhysical) {
		VSUBPS(p[0], v, v)
		VADDPS(v, t, t)
		VFMADD231PS(v, v, u)
	}},
	{name: "productSums", dy: true, sums: func(v, w, t, u reg.VecPhysical, p []reg.VecPhysical) {
		VSUBPS(p[0], v, v)
		VADDPS(w, t, t)
		VFMADD231PS(v, w, u)
	}},
}

// columns writes the kernels over rows for one vector of channels, of which mask keeps the first ones, four rows at a
// time. Each of the four rows has sums of its own; together they are added to what lies at y and p1.
func columns(s isa) {
	for _, op := range columnsOps {
		columnsKernel(s, op)
		if op.maps != nil {
			columnsRows(s, op)
		}
	}
}

func columnsKernel(s isa, op columnsOp) {
	name := op.name + s.name
	TEXT(name, NOSPLIT,
		"func(y *float32, x *float32, dy *float32, p0 *float32, p1 *float32, p2 *float32, stride int, rows int, mask *int32)")
	Pragma("noescape")
	Doc(name + " does one vector of channels, of which mask keeps the first ones.")
	y, x, dy, stride, rows := reg.RDI, reg.RSI, reg.RDX, reg.RAX, reg.RCX
	p, maskReg, zero := s.regs[8:11], s.regs[11], s.regs[12]
	m := s.loadMasks(1, maskReg)
	m.vecs = []reg.VecPhysical{maskReg}
	for i, name := range []string{"p0", "p1", "p2"} {
		Load(Param(name), reg.R8)
		m.load(0, Mem{Base: reg.R8}, p[i])
	}
	s.zero(zero)
	Load(Param("y"), y)
	Load(Param("x"), x)
	Load(Param("dy"), dy)
	Load(Param("stride"), stride)
	Load(Param("rows"), rows)
	// The sums of row u of four are in registers 2u and 2u+1.
	sums := s.regs[:8]
	v, w := s.regs[13], s.regs[14]
	if op.sums != nil {
		for _, r := range sums {
			s.zero(r)
		}
	}
	row := func(u int) {
		m.load(0, Mem{Base: x}, v)
		ADDQ(stride, x)
		if op.dy {
			m.load(0, Mem{Base: dy}, w)
			ADDQ(stride, dy)
		}
		if op.sums != nil {
			op.sums(v, w, sums[2*u], sums[2*u+1], p)
			return
		}
		op.maps(v, w, zero, p)
		m.store(0, v, Mem{Base: y})
		ADDQ(stride, y)
	}
	SUBQ(Imm(4), rows)
	JLT(LabelRef("rest"))
	Label("four")
	for u := range 4 {
		row(u)
	}
	SUBQ(Imm(4), rows)
	JGE(LabelRef("four"))
	Label("rest")
	ADDQ(Imm(4), rows)
	JEQ(LabelRef("sums"))
	Label("one")
	row(0)
	DECQ(rows)
	JNE(LabelRef("one"))
	Label("sums")
	if op.sums != nil {
		for i := range 2 {
			VADDPS(sums[2+i], sums[i], sums[i])
			VADDPS(sums[6+i], sums[4+i], sums[4+i])
			VADDPS(sums[4+i], sums[i], sums[i])
		}
		m.load(0, Mem{Base: y}, v)
		VADDPS(v, sums[0], v)
		m.store(0, v, Mem{Base: y})
		Load(Param("p1"), x)
		VADDPS(p[1], sums[1], v)
		m.store(0, v, Mem{Base: x})
	}
	VZEROUPPER()
	RET()
}

// columnsRows writes the map that stores past the caches.
func columnsRows(s isa, op columnsOp) {
	name := op.name + streamed(true) + s.name
	TEXT(name, NOSPLIT, "func(y *float32, x *float32, dy *float32, p0 *float32, p1 *float32, p2 *float32, stride int, rows int)")
	Pragma("noescape")
	Doc(name + " does whole rows of stride bytes.")
	y, x, dy, stride, rows, at := reg.RDI, reg.RSI, reg.RDX, reg.RAX, reg.RCX, reg.R10
	params := []reg.GPPhysical{reg.RBX, reg.R8, reg.R11}
	p, zero, v, w := s.regs[8:11], s.regs[12], s.regs[13], s.regs[14]
	loadParams(params)
	s.zero(zero)
	Load(Param("y"), y)
	Load(Param("x"), x)
	Load(Param("dy"), dy)
	r := rowLoop{stride, rows, at, params, p, []reg.GPPhysical{y, x, dy}}
	r.write(s, func() reg.VecPhysical {
		r.read(x, v)
		if op.dy {
			r.read(dy, w)
		}
		op.maps(v, w, zero, p)
		return v
	})
	VZEROUPPER()
	RET()
}
