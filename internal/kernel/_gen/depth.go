package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels of this file slide a window of a fixed number of columns along a row, a vector of channels at a time.
//
// depthRow holds the sums of a tile of outputs and the weights of one row of the window in registers, and visits the pixels of the tile
// from left to right: every pixel is loaded once and multiplied for all outputs that see it. At an edge of the image the visit starts
// late or ends early.
//
// depthSums holds the sums of several rows of the window and visits the outputs from left to right, those at the edges with fewer columns.

// depthRow writes the kernel for windows of k columns and the given stride. rows is a table of four words for each row of the
// window: the offsets of its first pixel inside the image and of its weights, then the numbers, counted from the first pixel of a
// tile, of the first pixel and the one behind the last. Only where edge is set do these numbers cut
// the tile. The first output of a tile is y; outs of them are stored. aheadX and
// aheadY, unless 0, are how far behind the last row and y the memory lies that will be wanted soon. low, high and pivot say how the tile is finished, as in kernel.Finish. All steps are in bytes.
func depthRow(s isa, k, stride int) {
	name := fmt.Sprintf("depthRow%s_%ds%d", s.name, k, stride)
	TEXT(name, NOSPLIT, "func(y *float32, yStep int, x *float32, xStep int, rows *int, nrows int, w *float32, wStep int, bias *float32, "+
		"channels int, mask *int32, tiles int, outs int, aheadX int, aheadY int, "+
		"low float32, high float32, pivot *float32, sum *float32, squares *float32, bounded bool, edge bool, add bool)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s is DepthRow for windows of %d columns and stride %d, in tiles of %d outputs.", name, k, stride, depthTile(s, k)))
	tile := depthTile(s, k)
	pixels := (tile-1)*stride + k
	sums, w, x, spare := s.regs[:tile], s.regs[tile:tile+k], s.regs[tile+k], s.regs[len(s.regs)-1]
	spares := s.regs[tile:] // once the window has been visited
	px, pw, end, begin, row, left := reg.RAX, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.RDI
	x0, w0, y0, step, channels, t, step3 := reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.R15

	body := func(m masks, suffix string) {
		label := func(format string, args ...any) string { return fmt.Sprintf(format, args...) + suffix }
		Load(Param("aheadX"), pw)
		TESTQ(pw, pw)
		JEQ(LabelRef(label("outputs")))
		Load(Param("nrows"), left)
		TESTQ(left, left)
		JEQ(LabelRef(label("outputs")))
		Load(Param("rows"), row)
		SHLQ(Imm(5), left)
		MOVQ(Mem{Base: row, Index: left, Scale: 1, Disp: -32}, px)
		ADDQ(x0, px)
		for range stride {
			ADDQ(pw, px)
			MOVQ(px, t)
			for range tile * stride {
				PREFETCHT1(Mem{Base: t})
				ADDQ(step, t)
			}
		}
		Label(label("outputs"))
		Load(Param("aheadY"), pw)
		TESTQ(pw, pw)
		JEQ(LabelRef(label("start")))
		ADDQ(y0, pw)
		Load(Param("yStep"), t)
		for range tile {
			PREFETCHT1(Mem{Base: pw})
			ADDQ(t, pw)
		}
		Label(label("start"))
		CMPB(param("add"), Imm(0))
		JEQ(LabelRef(label("fresh")))
		MOVQ(y0, t)
		for i, v := range sums {
			if i > 0 {
				CMPQ(param("outs"), Imm(uint64(i)))
				JEQ(LabelRef(label("rows")))
				ADDQ(param("yStep"), t)
			}
			m.load(0, Mem{Base: t}, v)
		}
		JMP(LabelRef(label("rows")))
		Label(label("fresh"))
		Load(Param("bias"), t)
		TESTQ(t, t)
		JEQ(LabelRef(label("zero")))
		MOVQ(y0, px)
		SUBQ(param("y"), px)
		m.load(0, Mem{Base: t, Index: px, Scale: 1}, sums[0])
		for _, v := range sums[1:] {
			VMOVAPS(sums[0], v)
		}
		JMP(LabelRef(label("rows")))
		Label(label("zero"))
		for _, v := range sums {
			s.zero(v)
		}
		Label(label("rows"))
		Load(Param("rows"), row)
		Load(Param("nrows"), left)
		TESTQ(left, left)
		JEQ(LabelRef(label("store")))
		weights := func() {
			MOVQ(Mem{Base: row}, px)
			MOVQ(Mem{Base: row, Disp: 8}, pw)
			ADDQ(x0, px)
			ADDQ(w0, pw)
			if k > 1 {
				Load(Param("wStep"), t)
			}
			for q, v := range w {
				switch q % 3 {
				case 0:
					if q > 0 {
						LEAQ(Mem{Base: pw, Index: t, Scale: 2}, pw)
						ADDQ(t, pw)
					}
					m.load(0, Mem{Base: pw}, v)
				default:
					m.load(0, Mem{Base: pw, Index: t, Scale: uint8(q % 3)}, v)
				}
			}
		}
		visit := func(u int, from Mem) {
			if k == 1 && s.lanes == 16 {
				VFMADD231PS(from, w[0], reg.K1, sums[u])
				return
			}
			m.load(0, from, x)
			for i, v := range sums {
				if q := u - i*stride; 0 <= q && q < k {
					VFMADD231PS(x, w[q], v)
				}
			}
		}
		CMPB(param("edge"), Imm(0))
		JNE(LabelRef(label("edge")))
		LEAQ(Mem{Base: step, Index: step, Scale: 2}, step3)
		Label(label("row"))
		weights()
		for u := range pixels {
			switch u % 4 {
			case 0:
				if u > 0 {
					LEAQ(Mem{Base: px, Index: step, Scale: 4}, px)
				}
				visit(u, Mem{Base: px})
			case 3:
				visit(u, Mem{Base: px, Index: step3, Scale: 1})
			default:
				visit(u, Mem{Base: px, Index: step, Scale: uint8(u % 4)})
			}
		}
		ADDQ(Imm(32), row)
		DECQ(left)
		JNE(LabelRef(label("row")))
		JMP(LabelRef(label("store")))
		Label(label("edge"))
		weights()
		MOVQ(Mem{Base: row, Disp: 16}, begin)
		MOVQ(Mem{Base: row, Disp: 24}, end)
		TESTQ(begin, begin)
		JNE(LabelRef(label("late")))
		for u := range pixels {
			if u > 0 {
				Label(label("pixel%d", u))
				CMPQ(end, Imm(uint64(u)))
				JEQ(LabelRef(label("next")))
			}
			visit(u, Mem{Base: px})
			ADDQ(step, px)
		}
		Label(label("next"))
		ADDQ(Imm(32), row)
		DECQ(left)
		JNE(LabelRef(label("edge")))
		Label(label("store"))
		CMPB(param("bounded"), Imm(0))
		JEQ(LabelRef(label("bounded")))
		low, high := spares[0], spares[1]
		VBROADCASTSS(param("low"), low)
		VBROADCASTSS(param("high"), high)
		for _, v := range sums { // the second source wins ties and NaN
			VMAXPS(v, low, v)
			VMINPS(v, high, v)
		}
		Label(label("bounded"))
		Load(Param("pivot"), t)
		TESTQ(t, t)
		JEQ(LabelRef(label("counted")))
		MOVQ(y0, px)
		SUBQ(param("y"), px)
		pivot, sum, squares, d := spares[0], spares[1], spares[2], spares[3]
		m.load(0, Mem{Base: t, Index: px, Scale: 1}, pivot)
		Load(Param("sum"), t)
		m.load(0, Mem{Base: t, Index: px, Scale: 1}, sum)
		Load(Param("squares"), pw)
		m.load(0, Mem{Base: pw, Index: px, Scale: 1}, squares)
		Load(Param("outs"), end)
		for i, v := range sums {
			if i > 0 {
				CMPQ(end, Imm(uint64(i)))
				JEQ(LabelRef(label("count")))
			}
			VSUBPS(pivot, v, d)
			VADDPS(d, sum, sum)
			VFMADD231PS(d, d, squares)
		}
		Label(label("count"))
		m.store(0, sum, Mem{Base: t, Index: px, Scale: 1})
		m.store(0, squares, Mem{Base: pw, Index: px, Scale: 1})
		Label(label("counted"))
		MOVQ(y0, t)
		Load(Param("yStep"), px)
		Load(Param("outs"), end)
		for i, v := range sums {
			if i > 0 {
				CMPQ(end, Imm(uint64(i)))
				JEQ(LabelRef(label("stored")))
				ADDQ(px, t)
			}
			m.store(0, v, Mem{Base: t})
		}
		Label(label("stored"))
		bytes := Imm(uint64(s.lanes * 4))
		ADDQ(bytes, x0)
		ADDQ(bytes, w0)
		ADDQ(bytes, y0)
		SUBQ(Imm(uint64(s.lanes)), channels)
		JGT(LabelRef("channels"))
		JMP(LabelRef("tiled"))
		Label(label("late"))
		for u := 1; u < pixels; u++ {
			CMPQ(begin, Imm(uint64(u)))
			JEQ(LabelRef(label("pixel%d", u)))
		}
		JMP(LabelRef(label("next")))
	}

	Load(Param("xStep"), step)
	Label("tile")
	Load(Param("x"), x0)
	Load(Param("w"), w0)
	Load(Param("y"), y0)
	Load(Param("channels"), channels)
	if s.lanes == 16 {
		KXNORW(reg.K1, reg.K1, reg.K1)
	}
	Label("channels")
	CMPQ(channels, Imm(uint64(s.lanes)))
	if s.lanes == 16 {
		JGE(LabelRef("full"))
		s.loadMasks(1, spare)
		Label("full")
		body(masks{isa: s}, "")
	} else {
		JLT(LabelRef("cut"))
		body(masks{isa: s, whole: true}, "")
		Label("cut")
		m := s.loadMasks(1, spare)
		m.vecs = []reg.VecPhysical{spare}
		body(m, "Cut")
	}
	Label("tiled")
	MOVQ(step, t)
	IMUL3Q(Imm(uint64(tile*stride)), t, t)
	ADDQ(t, param("x"))
	Load(Param("yStep"), t)
	IMUL3Q(Imm(uint64(tile)), t, t)
	ADDQ(t, param("y"))
	DECQ(param("tiles"))
	JNE(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// depthTile is how many outputs a tile has: eight, or as many as leave registers for the window, a pixel and a mask.
func depthTile(s isa, k int) int { return min(8, len(s.regs)-k-2) }

// depthGroup is how many rows of the window depthSums treats at once.
func depthGroup(s isa, k int) int {
	switch {
	case k == 3:
		return 3
	case k == 5 && s.lanes == 16:
		return 5
	case k == 7 && s.lanes == 16:
		return 4
	case k == 5:
		return 2
	}
	return 1
}

// depthSums writes the kernel for windows of k columns. rows is a table of two words for each row of the window: the offset of column 0 of the
// window at the first output, which may lie before the image, and that of its sums; the first count rows are stored. The
// first lefts outputs see the columns from q0 on, and stride fewer are missing each time; then come mids outputs that see all, and rights
// that see those before q1, and then stride fewer. advance is stride pixels. A window of one column has no edges, and its mids outputs
// are summed four by four. All steps are in bytes.
func depthSums(s isa, k int) {
	name := fmt.Sprintf("depthSums%s_%d", s.name, k)
	TEXT(name, NOSPLIT, "func(dw *float32, dwStep int, x *float32, xStep int, xSeg int, advance int, rows *int, count int, dy *float32, "+
		"dyStep int, dySeg int, segs int, lefts int, q0 int, mids int, rights int, q1 int, stride int, channels int, mask *int32)")
	Pragma("noescape")
	group := depthGroup(s, k)
	Doc(fmt.Sprintf("%s is DepthSums for windows of %d columns, %d rows of them.", name, k, group))
	unroll := 1
	if k == 1 {
		unroll = 4
	}
	used := group * k * unroll
	sum := func(g, q int) reg.VecPhysical { return s.regs[g*k+q] }
	dy, x, spare := s.regs[used], s.regs[used+1], s.regs[len(s.regs)-1]
	rows := []reg.GPPhysical{reg.R8, reg.R9, reg.R10, reg.R11, reg.R12}[:group]
	xs, xs3, xs5, at, dyStep, advance, left, q, t := reg.RAX, reg.RBX, reg.R12, reg.RCX, reg.RDX, reg.RSI, reg.RDI, reg.R13, reg.R15
	xAt, dyAt, segs := AllocLocal(8), AllocLocal(8), AllocLocal(8)
	column := func(g, q int) Mem {
		switch q {
		case 0:
			return Mem{Base: rows[g]}
		case 3:
			return Mem{Base: rows[g], Index: xs3, Scale: 1}
		case 5:
			return Mem{Base: rows[g], Index: xs5, Scale: 1}
		case 6:
			return Mem{Base: rows[g], Index: xs3, Scale: 2}
		}
		return Mem{Base: rows[g], Index: xs, Scale: uint8(q)}
	}

	body := func(m masks, suffix string) {
		label := func(format string, args ...any) string { return fmt.Sprintf(format, args...) + suffix }
		output := func(lo, hi, to int) {
			m.load(0, Mem{Base: at}, dy)
			for g := range rows {
				for q := lo; q < hi; q++ {
					v := sum(g, q)
					if k == 1 {
						v = s.regs[to]
					}
					if s.lanes == 16 {
						VFMADD231PS(column(g, q), dy, reg.K1, v)
					} else if m.whole {
						VFMADD231PS(column(g, q), dy, v)
					} else {
						m.load(0, column(g, q), x)
						VFMADD231PS(x, dy, v)
					}
				}
			}
			ADDQ(dyStep, at)
			for _, r := range rows {
				ADDQ(advance, r)
			}
		}
		for i := range used {
			s.zero(s.regs[i])
		}
		Load(Param("x"), t)
		MOVQ(t, xAt)
		Load(Param("dy"), t)
		MOVQ(t, dyAt)
		Load(Param("segs"), t)
		MOVQ(t, segs)
		Label(label("segment"))
		Load(Param("rows"), t)
		for g, r := range rows {
			MOVQ(Mem{Base: t, Disp: 16 * g}, r)
			ADDQ(xAt, r)
		}
		MOVQ(dyAt, at)
		if k > 1 {
			Load(Param("lefts"), left)
			Load(Param("q0"), q)
			TESTQ(left, left)
			JEQ(LabelRef(label("mid")))
			Label(label("left"))
			for i := 1; i < k; i++ {
				CMPQ(q, Imm(uint64(i)))
				JEQ(LabelRef(label("from%d", i)))
			}
			for i := 1; i < k; i++ {
				Label(label("from%d", i))
				output(i, k, 0)
				if i < k-1 {
					JMP(LabelRef(label("leftDone")))
				}
			}
			Label(label("leftDone"))
			SUBQ(param("stride"), q)
			DECQ(left)
			JNE(LabelRef(label("left")))
			Label(label("mid"))
		}
		Load(Param("mids"), left)
		if k == 1 {
			SUBQ(Imm(4), left)
			JLT(LabelRef(label("rest")))
			Label(label("four"))
			for i := range unroll {
				output(0, 1, i)
			}
			SUBQ(Imm(4), left)
			JGE(LabelRef(label("four")))
			Label(label("rest"))
			ADDQ(Imm(4), left)
		}
		TESTQ(left, left)
		JEQ(LabelRef(label("right")))
		if k > 1 { // the next segment, for its pixels lie too far apart for the processor's own foresight
			Load(Param("xSeg"), q)
			Load(Param("dySeg"), t)
		}
		Label(label("all"))
		if k > 1 {
			PREFETCHT0(Mem{Base: rows[group-1], Index: q, Scale: 1})
			PREFETCHT0(Mem{Base: at, Index: t, Scale: 1})
		}
		output(0, k, 0)
		DECQ(left)
		JNE(LabelRef(label("all")))
		Label(label("right"))
		if k > 1 {
			Load(Param("rights"), left)
			Load(Param("q1"), q)
			TESTQ(left, left)
			JEQ(LabelRef(label("ended")))
			Label(label("edge"))
			for i := 1; i < k; i++ {
				CMPQ(q, Imm(uint64(i)))
				JEQ(LabelRef(label("to%d", i)))
			}
			for i := 1; i < k; i++ {
				Label(label("to%d", i))
				output(0, i, 0)
				if i < k-1 {
					JMP(LabelRef(label("rightDone")))
				}
			}
			Label(label("rightDone"))
			SUBQ(param("stride"), q)
			DECQ(left)
			JNE(LabelRef(label("edge")))
			Label(label("ended"))
		}
		Load(Param("xSeg"), t)
		ADDQ(t, xAt)
		Load(Param("dySeg"), t)
		ADDQ(t, dyAt)
		DECQ(segs)
		JNE(LabelRef(label("segment")))

		if k == 1 {
			VADDPS(s.regs[1], s.regs[0], s.regs[0])
			VADDPS(s.regs[3], s.regs[2], s.regs[2])
			VADDPS(s.regs[2], s.regs[0], s.regs[0])
		}
		Load(Param("rows"), q)
		for g := range rows {
			MOVQ(Mem{Base: q, Disp: 16*g + 8}, t)
			ADDQ(param("dw"), t)
			for i := range k {
				if i > 0 {
					ADDQ(param("dwStep"), t)
				}
				m.load(0, Mem{Base: t}, x)
				VADDPS(sum(g, i), x, x)
				m.store(0, x, Mem{Base: t})
			}
			if g+1 < group {
				CMPQ(param("count"), Imm(uint64(g+1)))
				JEQ(LabelRef(label("stored")))
			}
		}
		Label(label("stored"))
		bytes := Imm(uint64(s.lanes * 4))
		ADDQ(bytes, param("dw"))
		ADDQ(bytes, param("x"))
		ADDQ(bytes, param("dy"))
		SUBQ(Imm(uint64(s.lanes)), param("channels"))
		JGT(LabelRef("channels"))
		JMP(LabelRef("done"))
	}

	Load(Param("xStep"), xs)
	if k > 3 {
		LEAQ(Mem{Base: xs, Index: xs, Scale: 2}, xs3)
	}
	if k > 5 {
		LEAQ(Mem{Base: xs, Index: xs, Scale: 4}, xs5)
	}
	Load(Param("dyStep"), dyStep)
	Load(Param("advance"), advance)
	if s.lanes == 16 {
		KXNORW(reg.K1, reg.K1, reg.K1)
	}
	Label("channels")
	CMPQ(param("channels"), Imm(uint64(s.lanes)))
	if s.lanes == 16 {
		JGE(LabelRef("full"))
		s.loadMasks(1, spare)
		Label("full")
		body(masks{isa: s}, "")
	} else {
		JLT(LabelRef("cut"))
		body(masks{isa: s, whole: true}, "")
		Label("cut")
		m := s.loadMasks(1, spare)
		m.vecs = []reg.VecPhysical{spare}
		body(m, "Cut")
	}
	Label("done")
	VZEROUPPER()
	RET()
}
