package onnx

import (
	"io"
	"strconv"

	"github.com/dms-go/dms/ir"
)

// dataFile is the file beside a model that holds its larger weights.
type dataFile struct {
	name    string
	size    int64
	tensors []*ir.Tensor
}

const (
	besideLeast = 1 << 10 // bytes; what is smaller stays in the model, where shape inference can read it
	besideAlign = 1 << 12 // so that runtimes can map each tensor
)

// takes tells whether a weight goes beside the model. A nil file takes nothing.
func (f *dataFile) takes(t *ir.Tensor) bool {
	return f != nil && t.DType.Size() > 0 && rawSize(t) >= besideLeast
}

// add makes room for a weight and returns what the model says of it.
func (f *dataFile) add(name string, t *ir.Tensor) *parts {
	f.size = aligned(f.size)
	p := &parts{}
	for _, n := range t.Shape {
		p.varint(tensorDims, int64(n))
	}
	p.int(tensorType, int64(t.DType))
	p.str(tensorName, name)
	for _, entry := range [][2]string{
		{"location", f.name}, {"offset", strconv.FormatInt(f.size, 10)}, {"length", strconv.FormatInt(rawSize(t), 10)},
	} {
		m := &parts{}
		m.str(entryKey, entry[0])
		m.str(entryValue, entry[1])
		p.message(tensorExternal, m)
	}
	p.varint(tensorLocation, 1) // external
	f.tensors = append(f.tensors, t)
	f.size += rawSize(t)
	return p
}

func aligned(n int64) int64 { return (n + besideAlign - 1) / besideAlign * besideAlign }

// writeTo writes the weights, each at its place.
func (f *dataFile) writeTo(w io.Writer) error {
	at := int64(0)
	for _, t := range f.tensors {
		if _, err := w.Write(make([]byte, aligned(at)-at)); err != nil {
			return err
		}
		if err := writeElements(w, t); err != nil {
			return err
		}
		at = aligned(at) + rawSize(t)
	}
	return nil
}
