package onnx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dms-go/dms/ir"
)

// external reads the weights that a model keeps in files beside it.
type external struct {
	dir  string
	left int64 // bytes that may still be read
	used bool  // some weight was there

	root *os.Root // nothing outside it can be opened, by whatever links
	file *os.File // the one read last, usually the only one
	name string   // of file
	size int64
}

// externalRange is where in which file a tensor lies.
type externalRange struct {
	location string
	offset   int64
	length   int64 // −1 where not stated
	stated   bool
}

// set takes one entry of a TensorProto's external_data. Keys other than these are notes of the writer (a checksum, for one).
func (r *externalRange) set(key, value string) (err error) {
	number := func() int64 {
		n, e := strconv.ParseInt(value, 10, 64)
		if e != nil || n < 0 {
			err = fmt.Errorf("%s %s is not a number of bytes", key, quote(value))
		}
		return n
	}
	switch key {
	case "location":
		if len(value) > maxName {
			return fmt.Errorf("a location of %d bytes, the limit is %d", len(value), maxName)
		}
		r.location = value
	case "offset":
		r.offset = number()
	case "length":
		r.length, r.stated = number(), true
	}
	return err
}

// read fills t, whose elements take size bytes.
func (e *external) read(t *ir.Tensor, size int, r externalRange) error {
	if r.stated && r.length != int64(size) {
		return fmt.Errorf("%d bytes, want %d for %v of shape %v", r.length, size, t.DType, t.Shape)
	}
	if err := e.open(r.location); err != nil {
		return err
	}
	if r.offset > e.size || int64(size) > e.size-r.offset {
		return fmt.Errorf("%d bytes from byte %d on, but %s has %d", size, r.offset, quote(r.location), e.size)
	}
	if int64(size) > e.left {
		return fmt.Errorf("the limit for external data is exceeded; raise Options.MaxExternal if the file is to be trusted")
	}
	e.left -= int64(size)
	e.used = true
	allocate(t, size/t.DType.Size())
	from := io.NewSectionReader(e.file, r.offset, int64(size))
	if t.Raw != nil {
		_, err := io.ReadFull(from, t.Raw)
		return err
	}
	buf := make([]byte, min(size, 1<<16))
	for at := 0; at < size; at += len(buf) {
		buf = buf[:min(len(buf), size-at)]
		if _, err := io.ReadFull(from, buf); err != nil {
			return err
		}
		fill(t, at/t.DType.Size(), buf)
	}
	return nil
}

// open makes e.file the file at a location, which is written with slashes and relative to the model's folder.
func (e *external) open(location string) error {
	if e.file != nil && e.name == location {
		return nil
	}
	if e.dir == "" {
		return fmt.Errorf("in %s, but the model was not read from a folder", quote(location))
	}
	if location == "" {
		return errors.New("no location")
	}
	if slices.Contains(strings.FieldsFunc(location, func(r rune) bool { return r == '/' || r == '\\' }), "..") {
		return fmt.Errorf("location %s leads out of the model's folder", quote(location))
	}
	local, err := filepath.Localize(strings.TrimPrefix(location, "./"))
	if err != nil {
		return fmt.Errorf("location %s is not a path within the model's folder", quote(location))
	}
	if e.root == nil {
		if e.root, err = os.OpenRoot(e.dir); err != nil {
			return err
		}
	}
	e.closeFile()
	// Opening a pipe would wait for a writer, so the kind of file is asked for first.
	info, err := e.root.Stat(local)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", quote(location))
	}
	if err != nil {
		return err
	}
	f, err := e.root.Open(local)
	if err != nil {
		return err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return err
	}
	e.file, e.name, e.size = f, location, info.Size()
	return nil
}

func (e *external) closeFile() {
	if e.file != nil {
		e.file.Close()
		e.file = nil
	}
}

func (e *external) close() {
	e.closeFile()
	if e.root != nil {
		e.root.Close()
		e.root = nil
	}
}
