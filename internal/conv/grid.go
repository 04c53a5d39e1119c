package conv

import "github.com/dms-go/dms/internal/kernel"

// grid is the way a computation walks over a batch of source images: output position (i, j) looks at the source rows from i·stepH+top
// on, extH of them, and likewise for columns. A unit of work is a stripe of consecutive rows i of one image.
type grid struct {
	n, h, w, c   int // source
	rows, cols   int // output positions
	stepH, stepW int
	top, left    int // may be negative
	extH, extW   int
	stripe       int // rows of one unit
	parts        int // into how many the output channels are cut where there are few units
	padded       bool
	// apart: outputs are computed in memory that stays in a cache and then stored past the caches, since there are too many to stay in any.
	apart bool
	unitC int // outputs of a unit
}

// forwardGrid is the walk over x for the positions of y.
func forwardGrid(s Shape) grid {
	g := grid{
		n: s.N, h: s.H, w: s.W, c: s.C, rows: s.OH, cols: s.OW, stepH: s.StrideH, stepW: s.StrideW,
		top: -s.PadTop, left: -s.PadLeft, extH: (s.KH-1)*s.DilH + 1, extW: (s.KW-1)*s.DilW + 1,
	}
	return g.cut(s, s.O)
}

// dataGrid is the walk over dy for the positions of dx divided by the stride. Position i stands for the rows i·StrideH+r,
// r < StrideH, whose taps k with r+PadTop−k·DilH ≡ 0 (mod StrideH) lie at row i+(r+PadTop−k·DilH)/StrideH of dy.
func dataGrid(s Shape) grid {
	top, bottom := reach(s.StrideH, s.PadTop, s.KH, s.DilH)
	left, right := reach(s.StrideW, s.PadLeft, s.KW, s.DilW)
	g := grid{
		n: s.N, h: s.OH, w: s.OW, c: s.O, stepH: 1, stepW: 1,
		rows: (s.H + s.StrideH - 1) / s.StrideH, cols: (s.W + s.StrideW - 1) / s.StrideW,
		top: top, left: left, extH: bottom - top + 1, extW: right - left + 1,
	}
	g = g.cut(s, s.C)
	g.apart = g.apart && s.StrideH == 1 && s.StrideW == 1 // else the positions of a phase have gaps
	return g
}

// reach returns the least and greatest distance in dy at which a tap of any residue lies.
func reach(stride, pad, k, dil int) (lo, hi int) {
	lo, hi = 1<<62, -1<<62
	for r := range stride {
		for q := range k {
			if d := r + pad - q*dil; d%stride == 0 {
				lo, hi = min(lo, d/stride), max(hi, d/stride)
			}
		}
	}
	return lo, hi
}

const (
	// stripeLen is about how many elements of the source one unit covers: 64 KiB of float32, a fraction of a second-level cache.
	stripeLen = 16 << 10
	// minUnits is into how many units a call is cut if its shape allows it, so that a small batch still occupies all cores.
	minUnits = 32
	// Where there are many weights, every unit reads them from a far cache, so a unit has at least manyPixels positions, and up to
	// longStripe elements of the source; then output channels are cut to make minParts pieces of work.
	manyWeights = 64 << 10
	manyPixels  = 128
	longStripe  = 96 << 10
	minParts    = 16
	partWidth   = 96 // output channels that are worth a piece of their own
	apartLen    = 8 << 20
)

// cut chooses the stripes, from the shape alone.
func (g grid) cut(s Shape, out int) grid {
	g.parts = 1
	g.padded = g.top < 0 || g.left < 0 || (g.rows-1)*g.stepH+g.top+g.extH > g.h || (g.cols-1)*g.stepW+g.left+g.extW > g.w
	row := g.width() * g.c * g.stepH
	many := s.Group == 1 && s.KH*s.KW*s.C*s.O >= manyWeights
	long := stripeLen
	if many {
		long = longStripe
	}
	g.stripe = max(1, (long-g.width()*g.c*(g.extH-g.stepH))/row)
	if few := minUnits / max(1, g.n); few > 1 {
		g.stripe = min(g.stripe, (g.rows+few-1)/few)
	}
	if many {
		g.stripe = min(g.rows, max(g.stripe, (manyPixels+g.cols-1)/g.cols))
	}
	g.stripe = g.even(g.stripe)
	if many && g.units() < minParts {
		g.parts = max(1, min((minParts+g.units()-1)/g.units(), out/partWidth))
	}
	g.unitC = g.stripe * g.cols * out
	g.apart = g.parts == 1 && out%kernel.Lanes == 0 && g.n*g.rows*g.cols*out >= apartLen
	return g
}

// even returns a height of stripes, at most about want, that divides the rows evenly.
func (g grid) even(want int) int {
	parts := (g.rows + max(1, want) - 1) / max(1, want)
	return (g.rows + parts - 1) / parts
}

// stripes is the number of units of one image.
func (g grid) stripes() int { return (g.rows + g.stripe - 1) / g.stripe }

// units is the number of units of the batch.
func (g grid) units() int { return g.n * g.stripes() }

// unit returns the image of a unit and its rows.
func (g grid) unit(u int) (image, row, rows int) {
	image, row = u/g.stripes(), u%g.stripes()*g.stripe
	return image, row, min(g.stripe, g.rows-row)
}

// width and height are the sides of a stripe with its padding.
func (g grid) width() int  { return (g.cols-1)*g.stepW + g.extW }
func (g grid) height() int { return (g.stripe-1)*g.stepH + g.extH }

// pitch is the length of a source row as the kernels see it.
func (g grid) pitch() int {
	if g.padded {
		return g.width() * g.c
	}
	return g.w * g.c
}

// stripeBuffer is the size of a copied stripe. Its end is room for kernels that read past a row.
func (g grid) stripeBuffer() int { return roundUp(g.height()*g.width()*g.c + kernel.Slack) }

// scratch is the memory the stripes of so many workers need.
func (g grid) scratch(workers int) int {
	n := kernel.Lanes
	if g.padded {
		n += workers * g.stripeBuffer()
	}
	if g.apart {
		n += workers * roundUp(g.unitC)
	}
	return n
}

// load copies the source of a unit with its padding to dst, row by row.
func load[T kernel.Float](g *grid, dst, src []T, image, row, rows int) {
	pitch := g.width() * g.c
	src = src[image*g.h*g.w*g.c:][:g.h*g.w*g.c]
	lo, hi := max(0, -g.left), min(g.width(), g.w-g.left) // columns inside the image
	for r := range (rows-1)*g.stepH + g.extH {
		line := dst[r*pitch:][:pitch]
		h := row*g.stepH + g.top + r
		if h < 0 || h >= g.h || lo >= hi {
			clear(line)
			continue
		}
		clear(line[:lo*g.c])
		copy(line[lo*g.c:hi*g.c], src[(h*g.w+g.left+lo)*g.c:])
		clear(line[hi*g.c:])
	}
}
