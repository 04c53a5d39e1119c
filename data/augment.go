package data

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Augment is what training does to samples. The zero value leaves them as they are.
type Augment struct {
	Crop   int     // pixels of black border of which a random window of the original size is cut; a Cropper is asked for a crop of its own instead
	Flip   bool    // mirror half of the samples left to right
	Cutout int     // side of a square, anywhere on the image, that is blanked to the mean (DeVries, Taylor 2017, arXiv 1708.04552); 0 is off
	Mixup  float64 // α of the Beta distribution of the mixing weight (Zhang et al., ICLR 2018, arXiv 1710.09412); 0 is off
}

// Cropper is a data set that can show a random part of a sample in place of all of it, as data sets of photos do. All that is
// random comes from rng.
type Cropper interface {
	ReadCrop(i int, rng *rand.Rand, dst []uint8) (label int, err error)
}

func (a Augment) check() error {
	switch {
	case a.Crop < 0 || a.Crop > maxSide:
		return fmt.Errorf("crop of %d pixels, want 0 to %d", a.Crop, maxSide)
	case a.Cutout < 0 || a.Cutout > maxSide:
		return fmt.Errorf("cutout of %d pixels, want 0 to %d", a.Cutout, maxSide)
	case !(a.Mixup >= 0 && a.Mixup <= 1e3):
		return fmt.Errorf("mixup α of %v, want 0 to 1000", a.Mixup)
	}
	return nil
}

// placement is how the pixels of one sample land in the batch: shifted, mirrored, with a square left blank.
type placement struct {
	dy, dx         int // the pixel at (y, x) comes from (y+dy, x+dx), black where that is outside
	flip           bool
	y0, x0, y1, x1 int // blank where y0 ≤ y < y1, x0 ≤ x < x1
}

// place draws a placement. Every setting takes the same numbers from rng whether or not it is on, so that switching one on leaves
// the others' choices alone.
func (a Augment) place(rng *rand.Rand, h, w int, crops bool) placement {
	dy, dx, flip, cy, cx := rng.Float64(), rng.Float64(), rng.Uint64()&1 == 1, rng.Float64(), rng.Float64()
	var p placement
	if a.Crop > 0 && !crops {
		p.dy = int(dy*float64(2*a.Crop+1)) - a.Crop
		p.dx = int(dx*float64(2*a.Crop+1)) - a.Crop
	}
	p.flip = a.Flip && flip
	if a.Cutout > 0 {
		// The centre is anywhere on the image, so squares at the edge are cut; this matters for accuracy, says the paper.
		y, x := int(cy*float64(h))-a.Cutout/2, int(cx*float64(w))-a.Cutout/2
		p.y0, p.x0 = max(y, 0), max(x, 0)
		p.y1, p.x1 = min(y+a.Cutout, h), min(x+a.Cutout, w)
	}
	return p
}

// levels are the normalised values of the 256 pixel levels of a channel.
type levels [256]float32

func newLevels(mean, std float32) *levels {
	l := new(levels)
	for v := range l {
		l[v] = float32((float64(v)/255 - float64(mean)) / float64(std))
	}
	return l
}

// normalise writes pixels (h, w, c) into dst as the placement says.
func (p placement) normalise(dst []float32, pixels []uint8, h, w int, table []*levels) {
	c := len(table)
	for y := range h {
		row := dst[y*w*c : (y+1)*w*c]
		sy := y + p.dy
		if sy < 0 || sy >= h {
			for x := range w {
				for k, t := range table {
					row[x*c+k] = t[0]
				}
			}
			continue
		}
		src := pixels[sy*w*c : (sy+1)*w*c]
		switch {
		case p.dx == 0 && !p.flip && c == 3:
			r, g, b := table[0], table[1], table[2]
			for i := 0; i+2 < len(row) && i+2 < len(src); i += 3 {
				row[i], row[i+1], row[i+2] = r[src[i]], g[src[i+1]], b[src[i+2]]
			}
		default:
			for x := range w {
				sx := x + p.dx
				if p.flip {
					sx = w - 1 - x + p.dx
				}
				for k, t := range table {
					var v uint8
					if sx >= 0 && sx < w {
						v = src[sx*c+k]
					}
					row[x*c+k] = t[v]
				}
			}
		}
	}
	for y := p.y0; y < p.y1; y++ {
		clear(dst[(y*w+p.x0)*c : (y*w+max(p.x1, p.x0))*c]) // the mean, after normalisation
	}
}

// beta draws from Beta(α, α), as the ratio of two gamma variables.
func beta(rng *rand.Rand, alpha float64) float64 {
	x, y := logGamma(rng, alpha), logGamma(rng, alpha)
	return 1 / (1 + math.Exp(y-x))
}

// logGamma draws the logarithm of a Gamma(α, 1) variable (Marsaglia, Tsang 2000; below α = 1 by their remark that a variable of α+1
// times U^(1/α) is one of α). The logarithm does not underflow for small α, where the variable itself does.
func logGamma(rng *rand.Rand, alpha float64) float64 {
	boost := 0.0
	if alpha < 1 {
		boost = math.Log(1-rng.Float64()) / alpha
		alpha++
	}
	d := alpha - 1.0/3
	for {
		x := rng.NormFloat64()
		v := 1 + x/math.Sqrt(9*d)
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-rng.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return math.Log(d*v) + boost
		}
	}
}
