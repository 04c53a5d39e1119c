package data

import "fmt"

// Memory is a data set held in memory, one byte per pixel and channel.
type Memory struct {
	h, w, c int
	pixels  []uint8 // (n, h, w, c)
	labels  []uint8
	classes []string
}

// NewMemory makes a data set of n = len(labels) images of shape (h, w, c). pixels are (n, h, w, c); labels are below len(classes).
// The slices are kept, not copied, and may not change afterwards.
func NewMemory(h, w, c int, pixels, labels []uint8, classes []string) (*Memory, error) {
	if h < 1 || w < 1 || h > maxSide || w > maxSide || c != 1 && c != 3 {
		return nil, fmt.Errorf("data: images of %d×%d pixels and %d channels; want sides from 1 to %d and 1 or 3 channels", h, w, c, maxSide)
	}
	if size := h * w * c; len(pixels)%size != 0 || len(pixels)/size != len(labels) {
		return nil, fmt.Errorf("data: %d pixel values and %d labels for images of %d×%d×%d", len(pixels), len(labels), h, w, c)
	}
	for i, l := range labels {
		if int(l) >= len(classes) {
			return nil, fmt.Errorf("data: sample %d has label %d; there are %d classes", i, l, len(classes))
		}
	}
	return &Memory{h, w, c, pixels, labels, classes}, nil
}

// Len is the number of samples.
func (m *Memory) Len() int { return len(m.labels) }

// Shape is the height, width and channels of every sample.
func (m *Memory) Shape() (h, w, c int) { return m.h, m.w, m.c }

// Classes are the names of the classes by label.
func (m *Memory) Classes() []string { return m.classes }

// Read copies the pixels of sample i into dst and returns its label.
func (m *Memory) Read(i int, dst []uint8) (int, error) {
	size := m.h * m.w * m.c
	copy(dst[:size], m.pixels[i*size:])
	return int(m.labels[i]), nil
}
