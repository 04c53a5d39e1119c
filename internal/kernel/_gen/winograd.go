package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Rows of the table of constants, in the order of kernel.winogradConstants: 64 bytes each.
const (
	wino2 = iota
	wino4
	wino5
	wino8
	winoQuarter
	winoSixth
	winoTwelfth
	wino24th
)

// transform1 is one side of a transform: in vectors give out vectors. run reads the first in registers and leaves the result in
// the registers it returns; the others are room.
type transform1 struct {
	in, out int
	run     func(t winograd, d []reg.VecPhysical) []reg.VecPhysical
}

type winograd struct {
	isa
	table reg.GPPhysical
}

func (t winograd) constant(i int) Mem { return Mem{Base: t.table, Disp: 64 * i} }

// The products of the field: Go's operand order, so sub(a, b, c) is c = a − b.
func add(a, b, c reg.VecPhysical) { VADDPS(b, a, c) }
func sub(a, b, c reg.VecPhysical) { VSUBPS(b, a, c) }
func (t winograd) mul(i int, a, c reg.VecPhysical) {
	VMULPS(t.constant(i), a, c)
}

// winogradSides are the transforms of kernel/winograd.go, with the same operations in the same order.
var winogradSides = []struct {
	name string
	side transform1
}{
	{"winogradInput", transform1{6, 6, func(t winograd, d []reg.VecPhysical) []reg.VecPhysical {
		x, y, z := d[6], d[7], d[8]
		o0, o1, o2, o3, o4, o5 := d[9], d[10], d[11], d[12], d[13], d[0]
		// o0 = 4·d0 − 5·d2 + d4
		t.mul(wino4, d[0], o0)
		t.mul(wino5, d[2], x)
		sub(o0, x, o0)
		add(o0, d[4], o0)
		// o5 = 4·d1 − 5·d3 + d5, over d0
		t.mul(wino4, d[1], o5)
		t.mul(wino5, d[3], x)
		sub(o5, x, o5)
		add(o5, d[5], o5)
		// d4 − 4·d2 ± (d3 − 4·d1)
		t.mul(wino4, d[2], x)
		sub(d[4], x, x)
		t.mul(wino4, d[1], y)
		sub(d[3], y, y)
		add(x, y, o1)
		sub(x, y, o2)
		// d4 − d2 ± 2·(d3 − d1)
		sub(d[4], d[2], x)
		sub(d[3], d[1], z)
		t.mul(wino2, z, z)
		add(x, z, o3)
		sub(x, z, o4)
		return []reg.VecPhysical{o0, o1, o2, o3, o4, o5}
	}}},
	{"winogradOutput", transform1{6, 4, func(t winograd, d []reg.VecPhysical) []reg.VecPhysical {
		s1, s2, s3, s4 := d[6], d[7], d[8], d[9]
		add(d[1], d[2], s1)
		sub(d[1], d[2], s2)
		add(d[3], d[4], s3)
		sub(d[3], d[4], s4)
		o0, o1, o2, o3 := d[10], d[11], d[12], d[13]
		add(d[0], s1, o0)
		add(o0, s3, o0)
		t.mul(wino2, s4, o1)
		add(s2, o1, o1)
		t.mul(wino4, s3, o2)
		add(s1, o2, o2)
		t.mul(wino8, s4, o3)
		add(s2, o3, o3)
		add(o3, d[5], o3)
		return []reg.VecPhysical{o0, o1, o2, o3}
	}}},
	{"winogradSpread", transform1{4, 6, func(t winograd, d []reg.VecPhysical) []reg.VecPhysical {
		e, f, g := d[6], d[7], d[8]
		o1, o2, o3, o4 := d[9], d[10], d[11], d[12]
		add(d[0], d[2], e)
		add(d[1], d[3], f)
		add(e, f, o1)
		sub(e, f, o2)
		t.mul(wino4, d[2], e)
		add(d[0], e, e)
		t.mul(wino2, d[1], f)
		t.mul(wino8, d[3], g)
		add(f, g, f)
		add(e, f, o3)
		sub(e, f, o4)
		return []reg.VecPhysical{d[0], o1, o2, o3, o4, d[3]}
	}}},
	{"winogradFilter", transform1{3, 6, func(t winograd, d []reg.VecPhysical) []reg.VecPhysical {
		x, y := d[6], d[7]
		o0, o1, o2, o3, o4 := d[8], d[9], d[10], d[11], d[12]
		t.mul(winoQuarter, d[0], o0)
		// −(g0 + g2)/6 ∓ g1/6
		add(d[0], d[2], x)
		t.mul(winoSixth, x, x)
		t.mul(winoSixth, d[1], y)
		add(x, y, o1)
		sub(y, x, o2)
		t.zero(d[13])
		sub(d[13], o1, o1)
		// g0/24 + g2/6 ± g1/12
		t.mul(wino24th, d[0], x)
		t.mul(winoSixth, d[2], y)
		add(x, y, x)
		t.mul(winoTwelfth, d[1], y)
		add(x, y, o3)
		sub(x, y, o4)
		return []reg.VecPhysical{o0, o1, o2, o3, o4, d[2]}
	}}},
	{"winogradFilterGrad", transform1{6, 3, func(t winograd, d []reg.VecPhysical) []reg.VecPhysical {
		s, u, v, w := d[6], d[7], d[8], d[9]
		o0, o1, o2 := d[10], d[11], d[12]
		add(d[1], d[2], s)
		t.mul(winoSixth, s, s) // (s1 + s2)/6
		add(d[3], d[4], u)     // s3 + s4
		t.mul(winoQuarter, d[0], o0)
		sub(o0, s, o0)
		t.mul(wino24th, u, v)
		add(o0, v, o0)
		sub(d[2], d[1], v)
		t.mul(winoSixth, v, v)
		sub(d[3], d[4], w)
		t.mul(winoTwelfth, w, w)
		add(v, w, o1)
		t.mul(winoSixth, u, u)
		sub(u, s, o2)
		add(o2, d[5], o2)
		return []reg.VecPhysical{o0, o1, o2}
	}}},
}

// winogradKernels writes the two-sided transforms: for each vector of channels first the columns of the source into room in tmp, then the
// rows of that to the destination. All steps are in bytes.
func winogradKernels(s isa) {
	for _, k := range winogradSides {
		name := k.name + s.name
		TEXT(name, NOSPLIT, "func(dst *float32, dstRow int, dstCol int, dstStep int, src *float32, srcRow int, srcCol int, srcStep int, count int, n int, tmp *float32, table *float32, mask *int32)")
		Pragma("noescape")
		Doc(name + " transforms count squares of vectors of channels from both sides; mask cuts the last vector.")
		dst, dstRow, dstCol := reg.RDI, reg.RAX, reg.RBX
		src, srcRow, srcCol := reg.RSI, reg.RCX, reg.RDX
		left, tmp, p := reg.R8, reg.R9, reg.R10
		t := winograd{isa: s, table: reg.R11}
		d, maskReg := s.regs[:14], s.regs[14]
		Load(Param("dstRow"), dstRow)
		Load(Param("dstCol"), dstCol)
		Load(Param("srcRow"), srcRow)
		Load(Param("srcCol"), srcCol)
		Load(Param("tmp"), tmp)
		Load(Param("table"), t.table)
		m := masks{isa: s, vecs: []reg.VecPhysical{maskReg}}
		Label("square")
		Load(Param("dst"), dst)
		Load(Param("src"), src)
		Load(Param("n"), left)
		if s.lanes == 16 {
			KXNORW(reg.K1, reg.K1, reg.K1)
		} else {
			VPCMPEQD(maskReg, maskReg, maskReg)
		}
		width := 4 * s.lanes
		Label("channels")
		CMPQ(left, Imm(uint64(s.lanes)))
		JGE(LabelRef("start"))
		s.loadMasks(1, maskReg)
		Label("start")
		q := reg.R12
		MOVQ(src, q)
		for j := range k.side.in {
			MOVQ(q, p)
			for i := range k.side.in {
				m.load(0, Mem{Base: p}, d[i])
				if i+1 < k.side.in {
					ADDQ(srcRow, p)
				}
			}
			for i, v := range k.side.run(t, d) {
				VMOVUPS(v, Mem{Base: tmp, Disp: (i*6 + j) * 64})
			}
			if j+1 < k.side.in {
				ADDQ(srcCol, q)
			}
		}
		MOVQ(dst, q)
		for i := range k.side.out {
			for j := range k.side.in {
				VMOVUPS(Mem{Base: tmp, Disp: (i*6 + j) * 64}, d[j])
			}
			MOVQ(q, p)
			for j, v := range k.side.run(t, d) {
				m.store(0, v, Mem{Base: p})
				if j+1 < k.side.out {
					ADDQ(dstCol, p)
				}
			}
			if i+1 < k.side.out {
				ADDQ(dstRow, q)
			}
		}
		ADDQ(Imm(uint64(width)), src)
		ADDQ(Imm(uint64(width)), dst)
		SUBQ(Imm(uint64(s.lanes)), left)
		JGT(LabelRef("channels"))
		Load(Param("dstStep"), p)
		ADDQ(p, param("dst"))
		Load(Param("srcStep"), p)
		ADDQ(p, param("src"))
		DECQ(param("count"))
		JNE(LabelRef("square"))
		VZEROUPPER()
		RET()
	}
}
