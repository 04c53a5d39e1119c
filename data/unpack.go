package data

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"
	"os"
)

// openFile opens a file to read it. Anything but a file is refused, since opening a pipe would wait for ever.
func openFile(path string) (*os.File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	return os.Open(path)
}

// unpack reads through gzip or bzip2, told by their first bytes rather than by the file's name; other bytes pass unchanged. No data
// set format read here starts like either. What unpacks to far more than images do is refused on the way, so memory stays in
// proportion to the file.
func unpack(r io.Reader) (io.Reader, error) {
	packed := &counter{r: r}
	b := bufio.NewReaderSize(packed, 1<<16)
	head, err := b.Peek(3)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("after %d bytes: %w", packed.n, err)
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("gzip header: %w", err)
		}
		return &unpacked{counter{r: z}, packed}, nil
	case bytes.Equal(head, []byte("BZh")):
		return &unpacked{counter{r: bzip2.NewReader(b)}, packed}, nil
	}
	return b, nil
}

// counter counts the bytes read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// unpacked reads unpacked bytes as long as they stand in proportion to the packed ones.
type unpacked struct {
	counter
	packed *counter
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.counter.Read(p)
	if u.n > freeUnpacked && u.n/maxUnpacking > u.packed.n {
		return 0, fmt.Errorf("byte %d of its packed form: %d bytes unpacked; more than %d for one are refused", u.packed.n, u.n, maxUnpacking)
	}
	return n, err
}

// readUpTo reads all of r, which may have no more than limit bytes. Memory grows with what is really there, so a size that a header
// merely claims costs nothing.
func readUpTo(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("after %d bytes: %w", len(raw), err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("more than %d bytes", limit)
	}
	return raw, nil
}
