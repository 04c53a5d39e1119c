package gemm

import "github.com/dms-go/dms/internal/kernel"

// A product of few rows with a transposed matrix reads every element of the latter once or twice: to pack them would take longer than
// to multiply. So it is computed the other way around, cᵀ = b·aᵀ, with the rows of b where they lie and aᵀ packed.

const (
	thinRows  = kernel.Lanes // the most rows of a
	thinCols  = 64           // the fewest columns of c
	thinBlock = 96           // columns of c at once
)

// thin tells whether a product is computed that way.
func (j *job[T]) thin() bool {
	return j.transB && !j.transA && j.m <= thinRows && j.n >= thinCols && j.beta == 0 && j.k > 0 && kernel.PanelWidth[T](j.m) >= j.m
}

func (j *job[T]) runThin() {
	nr := kernel.PanelWidth[T](j.m)
	j.packed = grow(j.packed, j.k*nr+kernel.Lanes)
	panel := kernel.Align(j.packed)[:j.k*nr]
	clear(panel)
	for r := range j.m {
		for k, v := range j.a[r*j.lda:][:j.k] {
			panel[k*nr+r] = j.alpha * v
		}
	}
	workers := j.pool.Workers()
	j.copies = grow(j.copies, workers*(thinBlock*nr+kernel.Lanes))
	j.cRow, j.aRow = grow(j.cRow, workers*thinBlock), grow(j.aRow, workers*thinBlock)
	j.pool.ForWorker(j.n, max(kernel.Lanes, serial/(j.k*j.m)), j.thinFn)
}

// thinColumns does columns lo to hi of c.
func (j *job[T]) thinColumns(worker, lo, hi int) {
	nr := kernel.PanelWidth[T](j.m)
	panel := kernel.Align(j.packed)
	sums := kernel.Align(j.copies[worker*len(j.copies)/j.pool.Workers():][:len(j.copies)/j.pool.Workers()])
	cRow, bRow := j.cRow[worker*thinBlock:][:thinBlock], j.aRow[worker*thinBlock:][:thinBlock]
	taps := [1]int{0}
	for col := lo; col < hi; col += thinBlock {
		n := min(thinBlock, hi-col)
		for i := range n {
			cRow[i], bRow[i] = i*nr, i*j.ldb
		}
		for k := 0; k < j.k; k += blockK {
			kernel.Dot(sums, cRow[:n], j.b[col*j.ldb+k:], bRow[:n], taps[:], min(blockK, j.k-k), panel[k*nr:], nr, j.m, k > 0)
		}
		kernel.Transpose(j.c[col:], j.ldc, sums, nr, n, j.m)
	}
}
