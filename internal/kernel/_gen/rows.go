package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowLoop is the loop of kernels that store past the caches: whole rows, one vector after the other, since memory takes neighbouring lines much
// faster than distant ones.
type rowLoop struct {
	stride, rows, at reg.GPPhysical
	params           []reg.GPPhysical  // numbers by channel
	p                []reg.VecPhysical // one vector of each
	moving           []reg.GPPhysical  // go on by a row, the result first
}

// loadParams loads where the numbers by channel lie.
func loadParams(params []reg.GPPhysical) {
	for i, q := range params {
		Load(Param(fmt.Sprintf("p%d", i)), q)
	}
}

// read loads the vector of an operand that the loop is at.
func (r rowLoop) read(from reg.GPPhysical, to reg.VecPhysical) {
	VMOVUPS(Mem{Base: from, Index: r.at, Scale: 1}, to)
}

// write writes the loop around body, which returns what is stored.
func (r rowLoop) write(s isa, body func() reg.VecPhysical) {
	Load(Param("stride"), r.stride)
	Load(Param("rows"), r.rows)
	Label("row")
	XORQ(r.at, r.at)
	Label("vector")
	for i, q := range r.params {
		r.read(q, r.p[i])
	}
	VMOVNTPS(body(), Mem{Base: r.moving[0], Index: r.at, Scale: 1})
	ADDQ(Imm(uint64(4*s.lanes)), r.at)
	CMPQ(r.at, r.stride)
	JLT(LabelRef("vector"))
	for _, q := range r.moving {
		ADDQ(r.stride, q)
	}
	DECQ(r.rows)
	JNE(LabelRef("row"))
}
