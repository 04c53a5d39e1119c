package conv

import (
	"sync"
	"unsafe"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// winogradPartial bounds the transformed gradients of all chunks together: 8 MiB of float32, unless two chunks alone are more.
const winogradPartial = 1 << 21

// tileSums is one WeightGrad by tiles: at each place the sum over tiles of outer products of x and dy, transformed. Chunks of rows of tiles have
// sums of their own, which are added in order.
type tileSums[T kernel.Float] struct {
	tiling
	chunks int
	block  int // rows of tiles that are transformed before their products are added

	dw, x, dy       []T
	partials        []T // by chunk, place and input channel: rows of output channels
	memory          []T
	chunkFn, joinFn func(worker, lo, hi int)
	rooms           []kernel.WinogradRoom[T]
}

var tileSumJobs [2]sync.Pool

// sumsOf is how the weight gradient of a shape is cut.
func sumsOf(s Shape) (t tiling, chunks, block int) {
	t = tilingOf(s)
	chunks = min(max(2, min(maxChunks, winogradPartial/(places*t.filterLen()))), t.all)
	block = max(1, t.most/t.cols)
	t.most = block * t.cols
	return t, chunks, block
}

// scratchSums is the memory of WeightGrad by tiles.
func scratchSums(s Shape, workers int) int {
	t, chunks, _ := sumsOf(s)
	return chunks*places*t.filterLen() + workers*t.sumsLen() + 2*kernel.Lanes
}

// sumsLen is the memory of one worker: a row of tiles of x and of dy, a block of both transformed, and the way back for some rows of channels.
func (t *tiling) sumsLen() int {
	block := places*t.most*(t.in+t.out) + kernel.Slack
	return roundUp(max(t.stripeLen()+roundUp(16*t.cols*t.s.O)+block, 9*kernel.Lanes*roundUp(t.s.O))) + kernel.Lanes
}

func weightGradByTiles[T kernel.Float](p *parallel.Pool, s Shape, dw, x, dy, scratch []T) {
	pool := &tileSumJobs[unsafe.Sizeof(*new(T))/8]
	j, ok := pool.Get().(*tileSums[T])
	if !ok {
		j = new(tileSums[T])
		j.chunkFn, j.joinFn = j.sumChunks, j.join
	}
	j.tiling, j.chunks, j.block = sumsOf(s)
	j.dw, j.x, j.dy = dw, x, dy
	size := j.chunks * places * j.filterLen()
	j.partials = kernel.Align(scratch)[:size]
	j.memory = scratch[size+kernel.Lanes:]
	for len(j.rooms) < p.Workers() {
		j.rooms = append(j.rooms, kernel.WinogradRoom[T]{})
	}
	p.ForWorker(j.chunks, 1, j.chunkFn)
	p.ForWorker((s.C+kernel.Lanes-1)/kernel.Lanes, 1, j.joinFn)
	j.dw, j.x, j.dy, j.partials, j.memory = nil, nil, nil, nil, nil
	pool.Put(j)
}

// sumChunks does chunks lo to hi.
func (j *tileSums[T]) sumChunks(worker, lo, hi int) {
	memory := kernel.Align(j.memory)[worker*j.sumsLen():][:j.sumsLen()]
	xs, memory := memory[:j.stripeLen()], memory[j.stripeLen():]
	ys, memory := memory[:roundUp(16*j.cols*j.s.O)], memory[roundUp(16*j.cols*j.s.O):]
	b, a := memory[:places*j.most*j.out], memory[places*j.most*j.out:][:places*j.most*j.in+kernel.Slack]
	clear(a[len(a)-kernel.Slack:])
	room := &j.rooms[worker]
	for chunk := lo; chunk < hi; chunk++ {
		first, last := chunk*j.all/j.chunks, (chunk+1)*j.all/j.chunks
		partial := j.partials[chunk*places*j.filterLen():][:places*j.filterLen()]
		for r := first; r < last; r += j.block {
			end := min(r+j.block, last)
			for row := r; row < end; row++ {
				j.transformRow(a, b, xs, ys, row, (row-r)*j.cols, room)
			}
			j.addProducts(partial, a, b, (end-r)*j.cols, r > first)
		}
	}
}

// transformRow transforms a row of tiles of x and of dy; the first is number tile of the block.
func (j *tileSums[T]) transformRow(a, b, xs, ys []T, row, tile int, room *kernel.WinogradRoom[T]) {
	s := &j.s
	loadTiles(&j.tiling, xs, j.x, row)
	image, top := row/j.rows, row%j.rows*4
	dy, width := j.dy[(image*s.OH+top)*s.OW*s.O:], s.OW*s.O
	if h := min(4, s.OH-top); h < 4 || s.OW%4 != 0 {
		width = 4 * j.cols * s.O
		for r := range 4 {
			line := ys[r*width:][:width]
			n := 0
			if r < h {
				n = copy(line[:s.OW*s.O], dy[r*s.OW*s.O:])
			}
			clear(line[n:])
		}
		dy = ys
	}
	kernel.WinogradInput(
		kernel.Squares[T]{Data: a, At: tile * j.in, Row: 6 * j.most * j.in, Col: j.most * j.in, Step: j.in},
		kernel.Squares[T]{Data: xs, Row: (4*j.cols + 2) * s.C, Col: s.C, Step: 4 * s.C}, j.cols, s.C, room)
	kernel.WinogradSpread(
		kernel.Squares[T]{Data: b, At: tile * j.out, Row: 6 * j.most * j.out, Col: j.most * j.out, Step: j.out},
		kernel.Squares[T]{Data: dy, Row: width, Col: s.O, Step: 4 * s.O}, j.cols, s.O, room)
}

// addProducts adds the outer products of n tiles at all places.
func (j *tileSums[T]) addProducts(partial, a, b []T, n int, add bool) {
	c, o, width := j.s.C, j.s.O, roundUp(j.s.O)
	for place := range places {
		to, from, with := partial[place*j.filterLen():], a[place*j.most*j.in:], b[place*j.most*j.out:]
		for m := 0; m < c; m += blockRows {
			for col := 0; col < o; {
				nr := kernel.PanelWidth[T](o - col)
				kernel.Outer(to[m*width+col:], width, from[m:], j.in, 0, with[col:], j.out, 0, 1, n, min(blockRows, c-m), nr, min(nr, o-col), add)
				col += nr
			}
		}
	}
}

// join adds the chunks and transforms the sums back, for groups lo to hi of Lanes input channels.
func (j *tileSums[T]) join(worker, lo, hi int) {
	memory := kernel.Align(j.memory)[worker*j.sumsLen():][:j.sumsLen()]
	c, o, width, plane := j.s.C, j.s.O, roundUp(j.s.O), j.filterLen()
	room := &j.rooms[worker]
	for group := lo; group < hi; group++ {
		first, n := group*kernel.Lanes, min(kernel.Lanes, c-group*kernel.Lanes)
		for place := range places {
			sum := j.partials[place*plane+first*width:][:n*width]
			for chunk := 1; chunk < j.chunks; chunk++ {
				kernel.Add(sum, sum, j.partials[(chunk*places+place)*plane+first*width:])
			}
		}
		kernel.WinogradFilterGrad(
			kernel.Squares[T]{Data: memory, Row: 3 * width, Col: width, Step: 9 * width},
			kernel.Squares[T]{Data: j.partials, At: first * width, Row: 6 * plane, Col: plane, Step: width}, n, o, room)
		for tap := range 9 {
			kernel.Transpose(j.dw[tap*c+first:], 9*c, memory[tap*width:], 9*width, n, o)
		}
	}
}
