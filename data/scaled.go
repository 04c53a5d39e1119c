package data

import "sync"

// scaleTo is ds with every image resampled to side×side pixels, whole, when it is read: small images for a network that takes large ones. It is ds
// itself where that is its size.
func scaleTo(ds Dataset, side int) Dataset {
	h, w, c := ds.Shape()
	if h == side && w == side {
		return ds
	}
	return scaled{ds, side, &sync.Pool{New: func() any {
		s := &sheets{stored: make([]uint8, h*w*c), colour: picture{h, w, make([]uint8, 3*h*w)}}
		if c == 1 {
			s.scaled = make([]uint8, 3*side*side)
		}
		return s
	}}}
}

type scaled struct {
	Dataset
	side   int
	sheets *sync.Pool
}

// sheets is what one read needs: an image as it is stored, in colour, and, of a grey one, scaled in colour.
type sheets struct {
	stored []uint8
	colour picture
	scaled []uint8
}

func (s scaled) Shape() (h, w, c int) {
	_, _, c = s.Dataset.Shape()
	return s.side, s.side, c
}

func (s scaled) Read(i int, dst []uint8) (int, error) {
	at := s.sheets.Get().(*sheets)
	defer s.sheets.Put(at)
	label, err := s.Dataset.Read(i, at.stored)
	if err != nil {
		return 0, err
	}
	p := &at.colour
	whole := box{0, 0, float64(p.w), float64(p.h)}
	if at.scaled == nil {
		copy(p.pixels, at.stored)
		p.resample(dst, s.side, whole)
		return label, nil
	}
	for k, v := range at.stored {
		p.pixels[3*k], p.pixels[3*k+1], p.pixels[3*k+2] = v, v, v
	}
	p.resample(at.scaled, s.side, whole)
	for k := range s.side * s.side {
		dst[k] = at.scaled[3*k]
	}
	return label, nil
}
