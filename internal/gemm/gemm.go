// Package gemm multiplies dense row-major matrices on the cores of a pool.
//
// The sum of an element is cut into blocks of a fixed length, added in order, and every element is computed by one worker; so the
// result does not depend on the number of workers.
package gemm

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/parallel"
)

const (
	// A block of b, packed, and one of a stay in the second-level cache while they are multiplied. The higher the blocks, the more rarely
	// sums are read and written.
	blockK = 1024 // length of one block of the sums
	blockM = 48   // rows of a
	blockN = 288  // columns of b
	// stretchN is after how many columns of b the widths of panels begin anew. Sizes are often multiples of it, and halves of them are then as wide.
	stretchN = 512
	// padK is added to the row length of copied blocks, so that rows do not fall on the same cache sets.
	padK = 16
	// rowGrain is what the rows of a share are a multiple of: those of the tiles.
	rowGrain = 8
	// serial is the number of multiplications below which a second core does not pay.
	serial = 1 << 14
)

// Gemm computes c = alpha·op(a)·op(b) + beta·c with op(a) of m×k and op(b) of k×n, row-major; op transposes if the flag is
// set. lda, ldb and ldc are the lengths of a stored row. With beta 0 the old values of c do not count, not even a NaN.
// Slices shorter than their matrix are a panic. c may not overlap a or b. Scratch memory is kept between calls.
func Gemm[T kernel.Float](p *parallel.Pool, transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	ma, ka, kb, nb := m, k, k, n
	if transA {
		ma, ka = k, m
	}
	if transB {
		kb, nb = n, k
	}
	check("a", len(a), ma, ka, lda)
	check("b", len(b), kb, nb, ldb)
	check("c", len(c), m, n, ldc)
	if m == 0 || n == 0 {
		return
	}
	if m*n*k < serial {
		p = nil
	}
	j := get[T]()
	j.pool, j.transA, j.transB, j.m, j.n, j.k = p, transA, transB, m, n, k
	j.alpha, j.a, j.lda, j.b, j.ldb, j.beta, j.c, j.ldc = alpha, a, lda, b, ldb, beta, c, ldc
	if j.thin() {
		j.runThin()
	} else {
		j.run()
	}
	put(j)
}

// check panics when a matrix does not fit its slice.
func check(name string, length, rows, cols, ld int) {
	if rows < 0 || cols < 0 || ld < max(1, cols) || rows > 0 && cols > 0 && length < (rows-1)*ld+cols {
		panic(fmt.Sprintf("gemm: %s: %d elements do not hold %d×%d with rows of %d", name, length, rows, cols, ld))
	}
}

// job is one product. It is kept between calls for its memory and its functions.
type job[T kernel.Float] struct {
	pool           *parallel.Pool
	transA, transB bool
	m, n, k        int
	alpha, beta    T
	a, b, c        []T
	lda, ldb, ldc  int

	packed []T   // per worker, a block of op(b): panels of kc rows
	copies []T   // per worker, a block of op(a)
	cRow   []int // per worker, of one block of rows
	aRow   []int
	blockK int
	blockN int
	edges  []int // the columns where panels start, and n
	across int   // shares side by side
	down   int   // shares below each other

	shareFn, thinFn func(worker, lo, hi int)
}

// jobs keeps idle jobs, by the size of their element.
var jobs [2]sync.Pool

func poolOf[T kernel.Float]() *sync.Pool {
	var t T
	return &jobs[unsafe.Sizeof(t)/8]
}

func get[T kernel.Float]() *job[T] {
	if j, ok := poolOf[T]().Get().(*job[T]); ok {
		return j
	}
	j := new(job[T])
	j.shareFn, j.thinFn = j.shares, j.thinColumns
	return j
}

func put[T kernel.Float](j *job[T]) {
	j.pool, j.a, j.b, j.c = nil, nil, nil, nil
	poolOf[T]().Put(j)
}

// grow returns s with at least n elements, of any value.
func grow[E any](s []E, n int) []E {
	if cap(s) < n {
		return make([]E, n)
	}
	return s[:n]
}

// run cuts c into a share for each worker. Each packs by itself what it needs of b, and so waits for nobody.
func (j *job[T]) run() {
	j.edges = append(j.edges[:0], 0)
	for col := 0; col < j.n; {
		col = min(j.n, col+j.width(col))
		j.edges = append(j.edges, col)
	}
	workers := j.pool.Workers()
	j.across, j.down = grid(workers, j.m, j.n, len(j.edges)-1)
	j.blockK, j.blockN = blockK, blockN
	if j.copied() {
		j.blockK, j.blockN = blockK/2, 2*blockN
	}
	j.packed = grow(j.packed, workers*(blockK*(blockN+kernel.Lanes)+kernel.Lanes))
	j.copies = grow(j.copies, workers*(blockM*(blockK+padK)+kernel.Lanes))
	j.cRow, j.aRow = grow(j.cRow, workers*blockM), grow(j.aRow, workers*blockM)
	j.pool.ForWorker(j.across*j.down, 1, j.shareFn)
}

// width returns the width of the panel that starts at a column.
func (j *job[T]) width(col int) int {
	return kernel.PanelWidth[T](min(j.n-col, stretchN-col%stretchN))
}

// grid returns how many shares of an m×n matrix lie side by side and below each other: of the ways that give most workers a share
// the one that reads least.
func grid(workers, m, n, panels int) (across, down int) {
	for x := 1; x <= min(workers, panels); x++ {
		y := min(workers/x, (m+rowGrain-1)/rowGrain)
		if more := x*y - across*down; more > 0 || more == 0 && n/x+m/y <= n/across+m/down {
			across, down = x, y
		}
	}
	return across, down
}

// shares computes shares lo to hi.
func (j *job[T]) shares(worker, lo, hi int) {
	panels, rows := len(j.edges)-1, (j.m+rowGrain-1)/rowGrain
	for s := lo; s < hi; s++ {
		x, y := s%j.across, s/j.across
		r0, r1 := y*rows/j.down*rowGrain, min(j.m, (y+1)*rows/j.down*rowGrain)
		p, end := x*panels/j.across, (x+1)*panels/j.across
		for p < end {
			q := p + 1
			for q < end && j.edges[q+1]-j.edges[p] <= j.blockN {
				q++
			}
			j.share(worker, r0, r1, j.edges[p], j.edges[q])
			p = q
		}
	}
}

// share computes rows r0 to r1 and columns n0 to n1, which are whole panels.
func (j *job[T]) share(worker, r0, r1, n0, n1 int) {
	empty := j.k == 0 || j.alpha == 0
	if j.beta != 1 && (j.beta != 0 || empty) {
		j.scale(r0, r1, n0, n1)
	}
	if empty {
		return
	}
	workers := j.pool.Workers()
	packed := kernel.Align(j.packed[worker*len(j.packed)/workers:][:len(j.packed)/workers])
	copies := kernel.Align(j.copies[worker*len(j.copies)/workers:][:len(j.copies)/workers])
	cRow, aRow := j.cRow[worker*blockM:][:blockM], j.aRow[worker*blockM:][:blockM]
	taps := [1]int{0}
	for k0 := 0; k0 < j.k; k0 += j.blockK {
		kc := min(j.blockK, j.k-k0)
		j.pack(packed, k0, kc, n0, n1)
		for i := r0; i < r1; i += blockM {
			rows := min(blockM, r1-i)
			a, lda := j.block(copies, i, rows, k0, kc)
			for r := range rows {
				cRow[r], aRow[r] = r*j.ldc, r*lda
			}
			for col := n0; col < n1; {
				nr := j.width(col)
				kernel.Dot(j.c[i*j.ldc+col:], cRow[:rows], a, aRow[:rows], taps[:], kc,
					packed[(col-n0)*kc:], nr, min(nr, j.n-col), k0 > 0 || j.beta != 0)
				col += nr
			}
		}
	}
}

// scale multiplies a part of c by beta.
func (j *job[T]) scale(r0, r1, n0, n1 int) {
	for i := r0; i < r1; i++ {
		row := j.c[i*j.ldc:][n0:n1]
		if j.beta == 0 {
			clear(row)
			continue
		}
		for q := range row {
			row[q] *= j.beta
		}
	}
}

// pack copies rows k0 to k0+kc and columns n0 to n1 of op(b), times alpha, into panels.
func (j *job[T]) pack(dst []T, k0, kc, n0, n1 int) {
	if j.transB {
		for col := n0; col < n1; {
			nr := j.width(col)
			j.turn(dst[(col-n0)*kc:], nr, min(nr, j.n-col), col, k0, kc)
			col += nr
		}
		return
	}
	for k := range kc { // row by row: jumping from row to row would keep the processor from reading ahead
		row := j.b[(k0+k)*j.ldb:][:j.n]
		for col := n0; col < n1; {
			nr := j.width(col)
			cols := min(nr, j.n-col)
			to := dst[(col-n0)*kc+k*nr:][:nr]
			if j.alpha == 1 {
				copy(to, row[col:][:cols])
			} else {
				kernel.Scale(to[:cols], j.alpha, row[col:])
			}
			clear(to[cols:])
			col += nr
		}
	}
}

// turn packs rows k0 to k0+kc of a panel from a transposed b.
func (j *job[T]) turn(panel []T, nr, cols, col, k0, kc int) {
	kernel.Transpose(panel, nr, j.b[col*j.ldb+k0:], j.ldb, cols, kc)
	if j.alpha == 1 && cols == nr {
		return
	}
	for k := range kc {
		row := panel[k*nr:][:nr]
		if j.alpha != 1 {
			kernel.Scale(row[:cols], j.alpha, row[:cols])
		}
		clear(row[cols:])
	}
}

// copied tells whether blocks of op(a) are copied: where a is transposed or its rows all fall on the same sets of the second-level
// cache. Those of the first-level cache have room for the rows of a tile.
func (j *job[T]) copied() bool { return j.transA || j.lda%4096 == 0 }

// block returns rows i to i+rows of op(a) within a block of the sums, and their distance.
func (j *job[T]) block(dst []T, i, rows, k0, kc int) ([]T, int) {
	if !j.copied() {
		return j.a[i*j.lda+k0:], j.lda
	}
	ld := kc + padK
	if !j.transA {
		for r := range rows {
			copy(dst[r*ld:][:kc], j.a[(i+r)*j.lda+k0:])
		}
		return dst, ld
	}
	kernel.Transpose(dst, ld, j.a[k0*j.lda+i:], j.lda, kc, rows)
	return dst, ld
}
