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
	blockK = 256 // length of one block of the sums: a panel of b of this height fits the first-level cache
	blockM = 96  // rows of a that are used with one panel before the next panel is read
	blockN = 1024
	// padK is added to the row length of copied blocks, so that rows do not fall on the same cache sets.
	padK = 16
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

	packed   []T   // a block of op(b): panels of kc rows
	copies   []T   // per worker, a block of op(a)
	cRow     []int // of one block of rows
	aRow     []int
	k0, kc   int // the block of the sums
	n0, nc   int // the block of columns
	byColumn bool

	scaleFn, tileFn func(worker, lo, hi int)
	packFn, thinFn  func(worker, lo, hi int)
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
	j.scaleFn, j.packFn, j.tileFn, j.thinFn = j.scale, j.pack, j.tiles, j.thinColumns
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

func (j *job[T]) run() {
	j.pool.ForWorker(j.m, max(1, serial/j.n), j.scaleFn)
	if j.k == 0 || j.alpha == 0 {
		return
	}
	j.packed = grow(j.packed, blockK*(blockN+kernel.Lanes)+kernel.Lanes)
	j.copies = grow(j.copies, j.pool.Workers()*(blockM*(blockK+padK)+kernel.Lanes))
	j.cRow, j.aRow = grow(j.cRow, j.pool.Workers()*blockM), grow(j.aRow, j.pool.Workers()*blockM)
	for j.n0 = 0; j.n0 < j.n; j.n0 += blockN {
		j.nc = min(blockN, j.n-j.n0)
		for j.k0 = 0; j.k0 < j.k; j.k0 += blockK {
			j.kc = min(blockK, j.k-j.k0)
			j.pool.ForWorker(j.kc, 16, j.packFn)
			if j.byColumn = j.m < 2*blockM && j.nc > j.m; j.byColumn {
				j.pool.ForWorker(j.panels(), 1, j.tileFn)
			} else {
				j.pool.ForWorker(j.m, 8, j.tileFn)
			}
		}
	}
}

// scale multiplies rows of c by beta.
func (j *job[T]) scale(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		row := j.c[i*j.ldc:][:j.n]
		switch j.beta {
		case 0:
			clear(row)
		case 1:
		default:
			for q := range row {
				row[q] *= j.beta
			}
		}
	}
}

// panels returns the number of panels of the block of columns.
func (j *job[T]) panels() int {
	n := 0
	for col := 0; col < j.nc; n++ {
		col += kernel.PanelWidth[T](j.nc - col)
	}
	return n
}

// pack copies rows lo to hi of the block of op(b), times alpha, into the panels.
func (j *job[T]) pack(_, lo, hi int) {
	dst := kernel.Align(j.packed)
	for col := 0; col < j.nc; {
		nr := kernel.PanelWidth[T](j.nc - col)
		cols := min(nr, j.nc-col)
		panel := dst[col*j.kc:]
		if j.transB {
			j.turn(panel, nr, cols, col, lo, hi)
		} else {
			for k := lo; k < hi; k++ {
				row := panel[k*nr:][:nr]
				kernel.Scale(row[:cols], j.alpha, j.b[(j.k0+k)*j.ldb+j.n0+col:])
				clear(row[cols:])
			}
		}
		col += nr
	}
}

// turn packs rows lo to hi of a panel from a transposed b.
func (j *job[T]) turn(panel []T, nr, cols, col, lo, hi int) {
	kernel.Transpose(panel[lo*nr:], nr, j.b[(j.n0+col)*j.ldb+j.k0+lo:], j.ldb, cols, hi-lo)
	for k := lo; k < hi; k++ {
		row := panel[k*nr:][:nr]
		if j.alpha != 1 {
			kernel.Scale(row[:cols], j.alpha, row[:cols])
		}
		clear(row[cols:])
	}
}

// tiles computes a share of the block: rows lo to hi and all panels, or panels lo to hi and all rows.
func (j *job[T]) tiles(worker, lo, hi int) {
	r0, r1, p0, p1 := lo, hi, 0, 1<<62
	if j.byColumn {
		r0, r1, p0, p1 = 0, j.m, lo, hi
	}
	packed := kernel.Align(j.packed)
	copies := kernel.Align(j.copies[worker*len(j.copies)/j.pool.Workers():][:len(j.copies)/j.pool.Workers()])
	cRow, aRow := j.cRow[worker*blockM:][:blockM], j.aRow[worker*blockM:][:blockM]
	taps := [1]int{0}
	for i := r0; i < r1; i += blockM {
		rows := min(blockM, r1-i)
		a, lda := j.block(copies, i, rows)
		for r := range rows {
			cRow[r], aRow[r] = r*j.ldc, r*lda
		}
		for col, p := 0, 0; col < j.nc; p++ {
			nr := kernel.PanelWidth[T](j.nc - col)
			if p0 <= p && p < p1 {
				kernel.Dot(j.c[i*j.ldc+j.n0+col:], cRow[:rows], a, aRow[:rows], taps[:], j.kc,
					packed[col*j.kc:], nr, min(nr, j.nc-col), true)
			}
			col += nr
		}
	}
}

// block returns rows i to i+rows of op(a) within the block of the sums, and their distance: a itself where its rows lie well,
// else a copy.
func (j *job[T]) block(dst []T, i, rows int) ([]T, int) {
	if !j.transA && (j.lda%256 != 0 || j.nc <= kernel.Lanes) {
		return j.a[i*j.lda+j.k0:], j.lda
	}
	ld := j.kc + padK
	if !j.transA {
		for r := range rows {
			copy(dst[r*ld:][:j.kc], j.a[(i+r)*j.lda+j.k0:])
		}
		return dst, ld
	}
	kernel.Transpose(dst, ld, j.a[j.k0*j.lda+i:], j.lda, j.kc, rows)
	return dst, ld
}
