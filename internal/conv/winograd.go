package conv

import (
	"sync"
	"unsafe"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

// Winograd's F(4×4, 3×3) does a convolution of 3×3 with a quarter of the products: tiles of 6×6 pixels and the filters are transformed, multiplied
// at each of their 36 places as matrices over channels, and transformed back to 4×4 outputs. Blocks of tiles go through all three steps while
// they are in the second-level cache.
//
// It is used for float32. Over normal data its error is at most 5·10⁻⁶ in root mean square, and 2·10⁻⁴ for a single result, both of the
// root mean square of all results (TestWinogradIsAccurate); direct sums are about five times closer. A NaN or an infinity reaches every output of its tiles, so
// pixels up to five away, where the direct sums would stop at one.

const (
	places = 36
	// winogradBlock is about how many transformed elements a block of tiles has: 1 MiB of float32, half a second-level cache.
	winogradBlock = 1 << 18
	// winogradTiles is the least tiles of a block, or the filters would be read for too few products.
	winogradTiles = 48
)

// winograd tells whether a convolution and its data gradient are computed this way: a question of its shape alone.
func (s Shape) winograd() bool {
	if s.Direct || s.KH != 3 || s.KW != 3 || s.StrideH != 1 || s.StrideW != 1 || s.DilH != 1 || s.DilW != 1 || s.Group != 1 ||
		max(s.PadTop, s.PadLeft, s.PadBottom, s.PadRight) > 2 || min(s.C, s.O) < 16 {
		return false
	}
	rows, cols := (s.OH+3)/4, (s.OW+3)/4
	tiles := s.N * rows * cols
	// Filters of many channels cost more to transform and to read than they save for few tiles, and tiles over the edge are wasted.
	return tiles >= winogradTiles && tiles*256 >= s.C*s.O/4 && 2*s.OH*s.OW >= 16*rows*cols
}

// usesWinograd is winograd for an element type.
func usesWinograd[T kernel.Float](s Shape) bool {
	var t T
	return unsafe.Sizeof(t) == 4 && s.winograd()
}

// adjoint is the convolution over dy that gives dx, with the filters turned around.
func (s Shape) adjoint() Shape {
	s.H, s.W, s.OH, s.OW = s.OH, s.OW, s.H, s.W
	s.C, s.O = s.O, s.C
	s.PadTop, s.PadBottom, s.PadLeft, s.PadRight = 2-s.PadTop, 2-s.PadBottom, 2-s.PadLeft, 2-s.PadRight
	return s
}

// tiling is how the outputs of a convolution are cut: rows of tiles, of which a unit has some.
type tiling struct {
	s          Shape
	rows, cols int // tiles of an image
	all        int // rows of tiles of the batch
	units      int
	most       int // tiles of a unit
	in, out    int // elements from one tile's channels to the next, transformed
}

func tilingOf(s Shape) tiling {
	t := tiling{s: s, rows: (s.OH + 3) / 4, cols: (s.OW + 3) / 4, in: pitchOf(s.C), out: pitchOf(s.O)}
	t.all = s.N * t.rows
	per := max(1, max(winogradTiles, winogradBlock/(places*(t.in+t.out)))/t.cols)
	t.units = (t.all + per - 1) / per
	if t.units > 1 && t.units < t.all { // so that two cores have the same to do
		t.units += t.units & 1
	}
	t.most = (t.all + t.units - 1) / t.units * t.cols
	return t
}

// spread cuts a batch that is one unit into one for each worker. The outputs have the same bits: each is a sum over channels alone.
func (t *tiling) spread(workers int) {
	const least = 16 // tiles of a unit
	if units := min(workers, t.all, t.all*t.cols/least); units > t.units {
		t.units = units
		t.most = (t.all + units - 1) / units * t.cols
	}
}

// pitchOf is a distance for rows of channels that keeps them off the same cache sets.
func pitchOf(channels int) int {
	n := roundUp(channels)
	if n%128 == 0 {
		n += kernel.Lanes
	}
	return n
}

// unit is the rows of tiles of unit u.
func (t *tiling) unit(u int) (lo, hi int) { return u * t.all / t.units, (u + 1) * t.all / t.units }

// stripeLen is the source of a row of tiles with its padding.
func (t *tiling) stripeLen() int { return roundUp(6 * (4*t.cols + 2) * t.s.C) }

// loadTiles copies the source of a row of tiles, six rows with their padding, to dst.
func loadTiles[T kernel.Float](t *tiling, dst, src []T, row int) {
	s := &t.s
	image, top := row/t.rows, row%t.rows*4-s.PadTop
	width := 4*t.cols + 2
	lo, hi := s.PadLeft, min(width, s.W+s.PadLeft) // columns inside the image
	for r := range 6 {
		line := dst[r*width*s.C:][:width*s.C]
		if h := top + r; h >= 0 && h < s.H {
			clear(line[:lo*s.C])
			copy(line[lo*s.C:hi*s.C], src[(image*s.H+h)*s.W*s.C:])
			clear(line[hi*s.C:])
		} else {
			clear(line)
		}
	}
}

// tileJob is one Forward or DataGrad by tiles, kept between calls for its memory and functions.
type tileJob[T kernel.Float] struct {
	tiling
	turned bool // DataGrad: the filters are read turned around, with input and output exchanged

	dst, src, weights []T
	filters           []T // by place: panels of s.C rows
	planes            []T // the raw filters by tap, transposed; Forward alone
	memory            []T // of the workers
	epilogue          Epilogue[T]
	gather            gather[T]
	ones              []T
	offsets           []int // of tiles in their transformed rows: out, then in

	planeFn, filterFn func(lo, hi int)
	unitFn            func(worker, lo, hi int)
	rooms             []kernel.WinogradRoom[T]
}

var tileJobs [2]sync.Pool

func getTiles[T kernel.Float](s Shape, turned bool, workers int) *tileJob[T] {
	j, ok := tileJobs[unsafe.Sizeof(*new(T))/8].Get().(*tileJob[T])
	if !ok {
		j = new(tileJob[T])
		j.planeFn, j.filterFn, j.unitFn = j.transpose, j.transform, j.compute
	}
	if turned {
		s = s.adjoint()
	}
	j.tiling, j.turned = tilingOf(s), turned
	for len(j.rooms) < workers+1 {
		j.rooms = append(j.rooms, kernel.WinogradRoom[T]{})
	}
	return j
}

func (j *tileJob[T]) put() {
	j.dst, j.src, j.weights, j.filters, j.planes, j.memory = nil, nil, nil, nil, nil, nil
	j.epilogue = Epilogue[T]{}
	tileJobs[unsafe.Sizeof(*new(T))/8].Put(j)
}

// filterLen is the size of the transformed filters of one place.
func (t *tiling) filterLen() int { return t.s.C * roundUp(t.s.O) }

// packedLen is the memory pack needs: the transformed filters, and the transposed raw ones on the way there.
func (t *tiling) packedLen() int { return (places+9)*t.filterLen() + 2*kernel.Lanes }

// workerLen is the memory of one worker.
func (t *tiling) workerLen() int {
	return t.stripeLen() + places*t.most*(t.in+t.out) + roundUp(16*t.s.O) + kernel.Lanes
}

// scratchLen is the memory run needs besides the filters.
func (t *tiling) scratchLen(workers int) int {
	return workers*t.workerLen() + t.units*gatherLen(t.s.O) + kernel.Lanes
}

// pack transforms the filters.
func (j *tileJob[T]) pack(p *parallel.Pool, packed, w []T) {
	j.weights = w
	j.filters = kernel.Align(packed)[:places*j.filterLen()]
	if j.turned {
		p.For(j.s.C, 1, j.filterFn)
		return
	}
	j.planes = kernel.Align(packed[len(j.filters)+kernel.Lanes:])[:9*j.filterLen()]
	p.For(9*roundUp(j.s.O)/kernel.Lanes, 1, j.planeFn)
	p.For(j.s.C, 1, j.filterFn)
}

// transpose lays filters out by tap and input channel, output channels side by side: items are Lanes output channels of one tap.
func (j *tileJob[T]) transpose(lo, hi int) {
	c, o, width := j.s.C, j.s.O, roundUp(j.s.O)
	for i := lo; i < hi; i++ {
		tap, first := i/(width/kernel.Lanes), i%(width/kernel.Lanes)*kernel.Lanes
		plane := j.planes[tap*c*width+first:]
		n := min(kernel.Lanes, o-first)
		kernel.Transpose(plane, width, j.weights[(first*9+tap)*c:], 9*c, n, c)
		for k := 0; k < c && n < kernel.Lanes; k++ {
			clear(plane[k*width+n:][:kernel.Lanes-n])
		}
	}
}

// transform makes rows lo to hi of all panels of filters.
func (j *tileJob[T]) transform(lo, hi int) {
	var room kernel.WinogradRoom[T]
	s, plane, width := &j.s, j.filterLen(), roundUp(j.s.O)
	for k := lo; k < hi; k++ {
		for col := 0; col < s.O; {
			nr := kernel.PanelWidth[T](s.O - col)
			at := col*s.C + k*nr
			dst := kernel.Squares[T]{Data: j.filters, At: at, Row: 6 * plane, Col: plane}
			if !j.turned {
				kernel.WinogradFilter(dst, kernel.Squares[T]{Data: j.planes, At: k*width + col, Row: 3 * s.C * width, Col: s.C * width}, 1, nr, &room)
			} else {
				n := min(nr, s.O-col)
				kernel.WinogradFilter(dst, kernel.Squares[T]{Data: j.weights, At: (k*9+8)*s.O + col, Row: -3 * s.O, Col: -s.O}, 1, n, &room)
				for i := 0; i < places && n < nr; i++ {
					clear(j.filters[i*plane+at+n : i*plane+at+nr])
				}
			}
			col += nr
		}
	}
}

// run computes dst from src with filters that are packed, or packs them into scratch first.
func (j *tileJob[T]) run(p *parallel.Pool, dst, src []T, w Filter[T], e Epilogue[T], scratch []T) {
	j.dst, j.src, j.epilogue = dst, src, e
	if e.Moments == nil { // whose sums over units must not depend on the workers
		j.spread(p.Workers())
	}
	j.offsets = j.offsets[:0]
	for i := range j.most {
		j.offsets = append(j.offsets, i*j.out)
	}
	for i := range j.most {
		j.offsets = append(j.offsets, i*j.in)
	}
	if w.Packed != nil {
		j.filters = kernel.Align(w.Packed)[:places*j.filterLen()]
	} else {
		j.pack(p, scratch[:j.packedLen()], w.Raw)
		scratch = scratch[j.packedLen():]
	}
	if e.Bias != nil {
		for len(j.ones) < j.s.O {
			j.ones = append(j.ones, 1)
		}
	}
	slots := 0
	if e.Moments != nil {
		slots = j.units * gatherLen(j.s.O)
		j.gather.channels, j.gather.slots = j.s.O, scratch[:slots]
	}
	j.memory = scratch[slots:]
	p.ForWorker(j.units, 1, j.unitFn)
	if e.Moments != nil {
		j.gather.combine(p, j.units, e.Moments)
	}
}

// compute does units lo to hi.
func (j *tileJob[T]) compute(worker, lo, hi int) {
	memory := kernel.Align(j.memory)[worker*j.workerLen():][:j.workerLen()]
	stripe, memory := memory[:j.stripeLen()], memory[j.stripeLen():]
	v, memory := memory[:places*j.most*j.in], memory[places*j.most*j.in:]
	m, corner := memory[:places*j.most*j.out], memory[places*j.most*j.out:]
	room := &j.rooms[worker]
	for u := lo; u < hi; u++ {
		first, last := j.unit(u)
		for row := first; row < last; row++ {
			loadTiles(&j.tiling, stripe, j.src, row)
			j.input(v, stripe, (row-first)*j.cols, room)
		}
		j.multiply(m, v, (last-first)*j.cols)
		if j.epilogue.Moments != nil {
			j.gather.clear(u)
		}
		for row := first; row < last; row++ {
			j.output(m, corner, row, (row-first)*j.cols, room)
			j.finishRow(u, row)
		}
	}
}

// input transforms a row of tiles; the first is number tile of the block.
func (j *tileJob[T]) input(v, stripe []T, tile int, room *kernel.WinogradRoom[T]) {
	kernel.WinogradInput(
		kernel.Squares[T]{Data: v, At: tile * j.in, Row: 6 * j.most * j.in, Col: j.most * j.in, Step: j.in},
		kernel.Squares[T]{Data: stripe, Row: (4*j.cols + 2) * j.s.C, Col: j.s.C, Step: 4 * j.s.C}, j.cols, j.s.C, room)
}

// multiply does the products of n tiles at all places.
func (j *tileJob[T]) multiply(m, v []T, n int) {
	c, o := j.s.C, j.s.O
	cRow, aRow := j.offsets[:n], j.offsets[j.most:j.most+n]
	taps := [1]int{0}
	for place := range places {
		to, from := m[place*j.most*j.out:], v[place*j.most*j.in:]
		for col := 0; col < o; {
			nr := kernel.PanelWidth[T](o - col)
			panel := j.filters[place*j.filterLen()+col*c:]
			step := panelLen / nr
			for k := 0; k < c; k += step {
				kernel.Dot(to[col:], cRow, from[k:], aRow, taps[:], min(step, c-k), panel[k*nr:], nr, min(nr, o-col), k > 0)
			}
			col += nr
		}
	}
}

// output transforms a row of tiles back; the first is number tile of the block. Tiles over the edge go through corner.
func (j *tileJob[T]) output(m, corner []T, row, tile int, room *kernel.WinogradRoom[T]) {
	s := &j.s
	image, top := row/j.rows, row%j.rows*4
	from := kernel.Squares[T]{Data: m, At: tile * j.out, Row: 6 * j.most * j.out, Col: j.most * j.out, Step: j.out}
	at := (image*s.OH + top) * s.OW * s.O
	h, whole := min(4, s.OH-top), s.OW/4
	if h < 4 {
		whole = 0
	}
	kernel.WinogradOutput(kernel.Squares[T]{Data: j.dst, At: at, Row: s.OW * s.O, Col: s.O, Step: 4 * s.O}, from, whole, s.O, room)
	for i := whole; i < j.cols; i++ {
		from.At = (tile + i) * j.out
		kernel.WinogradOutput(kernel.Squares[T]{Data: corner, Row: 4 * s.O, Col: s.O}, from, 1, s.O, room)
		w := min(4, s.OW-4*i)
		for r := range h {
			copy(j.dst[at+(r*s.OW+4*i)*s.O:][:w*s.O], corner[4*r*s.O:])
		}
	}
}

// finishRow applies the epilogue to the outputs of a row of tiles.
func (j *tileJob[T]) finishRow(u, row int) {
	s, e := &j.s, &j.epilogue
	image, top := row/j.rows, row%j.rows*4
	lo := (image*s.OH + top) * s.OW * s.O
	hi := lo + min(4, s.OH-top)*s.OW*s.O
	y := j.dst[lo:hi]
	if e.Bias != nil {
		kernel.ScaleShift(y, y, j.ones[:s.O], e.Bias[:s.O], false)
	}
	if e.Moments != nil {
		j.gather.add(u, y)
		return
	}
	if e.Add != nil {
		e.finish(y, e.Add[lo:hi])
	} else {
		e.finish(y, nil)
	}
}
