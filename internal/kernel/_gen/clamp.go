package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// clamp is one vector of a row while a kernel of this file works on it: x in v, dy in w, the addend or y in t. lo and hi are in every lane.
type clamp struct {
	isa
	v, w, t, lo, hi, zero reg.VecPhysical
	p                     []reg.VecPhysical
}

// clampOp is one loop: what it reads, how many parameters of channels it has, whether it sums, and what it does to a vector.
type clampOp struct {
	name    string
	dy, add bool
	params  int
	sums    bool
	run     func(c clamp, s, u reg.VecPhysical) reg.VecPhysical
}

// stores tells whether a loop writes rows.
func (op clampOp) stores() bool { return !op.sums || op.add }

const lessOrEqual = 18 // predicate of VCMPPS, ordered and quiet

// linear sets v to x·p0 + p1.
func (c clamp) linear(x, to reg.VecPhysical) {
	VMULPS(c.p[0], x, to)
	VADDPS(c.p[1], to, to)
}

// within sets w to 0 where z does not lie in (lo, hi]. It overwrites room.
func (c clamp) within(z, room reg.VecPhysical) {
	if c.lanes == 16 {
		VCMPPS(Imm(greater), c.lo, z, reg.K2)
		VCMPPS(Imm(lessOrEqual), c.hi, z, reg.K3)
		KANDW(reg.K2, reg.K3, reg.K2)
		VMOVUPS_Z(c.w, reg.K2, c.w)
		return
	}
	VCMPPS(Imm(greater), c.lo, z, room)
	VANDPS(room, c.w, c.w)
	VCMPPS(Imm(lessOrEqual), c.hi, z, room)
	VANDPS(room, c.w, c.w)
}

// sum adds w and w·(x − p2) to two sums; it overwrites v.
func (c clamp) sum(s, u reg.VecPhysical) {
	VSUBPS(c.p[2], c.v, c.v)
	VADDPS(c.w, s, s)
	VFMADD231PS(c.v, c.w, u)
}

// clamps are the loops over rows of channels with a function that cuts at two ends. What run leaves in the register it returns is stored.
var clamps = []clampOp{
	{"clampForward", false, false, 2, false, func(c clamp, _, _ reg.VecPhysical) reg.VecPhysical {
		c.linear(c.v, c.v)
		VMAXPS(c.v, c.lo, c.v)
		VMINPS(c.v, c.hi, c.v)
		return c.v
	}},
	{"clampForwardAdd", false, true, 2, false, func(c clamp, _, _ reg.VecPhysical) reg.VecPhysical {
		c.linear(c.v, c.v)
		VADDPS(c.t, c.v, c.v)
		VMAXPS(c.v, c.lo, c.v)
		VMINPS(c.v, c.hi, c.v)
		return c.v
	}},
	{"clampSums", true, false, 3, true, func(c clamp, s, u reg.VecPhysical) reg.VecPhysical {
		c.linear(c.v, c.t)
		c.within(c.t, c.zero)
		c.sum(s, u)
		return nil
	}},
	{"clampSumsOf", true, true, 3, true, func(c clamp, s, u reg.VecPhysical) reg.VecPhysical {
		c.within(c.t, c.zero)
		c.sum(s, u)
		return c.w
	}},
	{"clampGrad", true, false, 5, false, func(c clamp, _, _ reg.VecPhysical) reg.VecPhysical {
		c.linear(c.v, c.t)
		c.within(c.t, c.zero)
		VMULPS(c.p[2], c.w, c.w)
		VMULPS(c.p[3], c.v, c.v)
		VADDPS(c.v, c.w, c.v)
		VADDPS(c.p[4], c.v, c.v)
		return c.v
	}},
}

// clampKernels writes them for one vector of channels, of which mask keeps the first ones, or for whole rows. Rows that come ahead bytes later are fetched into the
// cache, since the caller goes over a block of rows once for each vector of channels.
func clampKernels(s isa) {
	for _, op := range clamps {
		clampKernel(s, op, false)
		switch {
		case !op.sums:
			clampRows(s, op)
		case op.stores():
			clampKernel(s, op, true)
		}
	}
}

func clampKernel(s isa, op clampOp, stream bool) {
	name := op.name + streamed(stream) + s.name
	TEXT(name, NOSPLIT, "func(y *float32, x *float32, dy *float32, add *float32, p0 *float32, p1 *float32, p2 *float32, p3 *float32, p4 *float32, s0 *float32, s1 *float32, lo float32, hi float32, stride int, rows int, ahead int, mask *int32)")
	Pragma("noescape")
	Doc(name + " does one vector of channels, of which mask keeps the first ones.")
	y, x, dy, plus, stride, rows, ahead := reg.RDI, reg.RSI, reg.RDX, reg.R9, reg.RAX, reg.RCX, reg.R10
	c := clamp{isa: s, v: s.regs[0], w: s.regs[1], t: s.regs[2], lo: s.regs[3], hi: s.regs[4], zero: s.regs[5], p: s.regs[6:11]}
	maskReg, sums := s.regs[11], s.regs[12:16]
	m := s.loadMasks(1, maskReg)
	m.vecs = []reg.VecPhysical{maskReg}
	for i, p := range []string{"p0", "p1", "p2", "p3", "p4"}[:op.params] {
		Load(Param(p), reg.R8)
		m.load(0, Mem{Base: reg.R8}, c.p[i])
	}
	VBROADCASTSS(param("lo"), c.lo)
	VBROADCASTSS(param("hi"), c.hi)
	Load(Param("y"), y)
	Load(Param("x"), x)
	Load(Param("dy"), dy)
	Load(Param("add"), plus)
	Load(Param("stride"), stride)
	Load(Param("rows"), rows)
	Load(Param("ahead"), ahead)
	for _, r := range sums {
		s.zero(r)
	}
	row := func(u int) {
		m.load(0, Mem{Base: x}, c.v)
		PREFETCHT0(Mem{Base: x, Index: ahead, Scale: 1})
		ADDQ(stride, x)
		if op.dy {
			m.load(0, Mem{Base: dy}, c.w)
			PREFETCHT0(Mem{Base: dy, Index: ahead, Scale: 1})
			ADDQ(stride, dy)
		}
		if op.add {
			m.load(0, Mem{Base: plus}, c.t)
			PREFETCHT0(Mem{Base: plus, Index: ahead, Scale: 1})
			ADDQ(stride, plus)
		}
		if out := op.run(c, sums[2*u], sums[2*u+1]); out != nil {
			m.storeOr(stream, out, Mem{Base: y})
			ADDQ(stride, y)
		}
	}
	SUBQ(Imm(2), rows)
	JLT(LabelRef("rest"))
	Label("two")
	row(0)
	row(1)
	SUBQ(Imm(2), rows)
	JGE(LabelRef("two"))
	Label("rest")
	ADDQ(Imm(2), rows)
	JEQ(LabelRef("sums"))
	row(0)
	Label("sums")
	if op.sums {
		for i, p := range []string{"s0", "s1"} {
			VADDPS(sums[2+i], sums[i], sums[i])
			Load(Param(p), reg.R8)
			m.load(0, Mem{Base: reg.R8}, c.v)
			VADDPS(c.v, sums[i], c.v)
			m.store(0, c.v, Mem{Base: reg.R8})
		}
	}
	VZEROUPPER()
	RET()
}

// clampRows writes the kernel that stores past the caches.
func clampRows(s isa, op clampOp) {
	name := op.name + streamed(true) + s.name
	TEXT(name, NOSPLIT, "func(y *float32, x *float32, dy *float32, add *float32, p0 *float32, p1 *float32, p2 *float32, p3 *float32, p4 *float32, lo float32, hi float32, stride int, rows int)")
	Pragma("noescape")
	Doc(name + " does whole rows of stride bytes.")
	y, x, dy, plus, stride, rows, at := reg.RDI, reg.RSI, reg.RDX, reg.R9, reg.RAX, reg.RCX, reg.R10
	params := []reg.GPPhysical{reg.RBX, reg.R8, reg.R11, reg.R12, reg.R13}[:op.params]
	c := clamp{isa: s, v: s.regs[0], w: s.regs[1], t: s.regs[2], lo: s.regs[3], hi: s.regs[4], zero: s.regs[5], p: s.regs[6:11]}
	loadParams(params)
	VBROADCASTSS(param("lo"), c.lo)
	VBROADCASTSS(param("hi"), c.hi)
	Load(Param("y"), y)
	Load(Param("x"), x)
	Load(Param("dy"), dy)
	Load(Param("add"), plus)
	r := rowLoop{stride, rows, at, params, c.p, []reg.GPPhysical{y, x, dy, plus}}
	r.write(s, func() reg.VecPhysical {
		r.read(x, c.v)
		if op.dy {
			r.read(dy, c.w)
		}
		if op.add {
			r.read(plus, c.t)
		}
		return op.run(c, nil, nil)
	})
	VZEROUPPER()
	RET()
}
