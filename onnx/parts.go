package onnx

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/dms-go/dms/ir"
	"google.golang.org/protobuf/encoding/protowire"
)

// parts is a protobuf message under construction. A message stands behind its own length, so all sizes must be known before the
// first byte is written; elements of tensors are only pointed at until then.
type parts struct {
	list []part
	size int64
}

// part is some bytes or, where tensor is not nil, the elements of a tensor as raw_data.
type part struct {
	raw    []byte
	tensor *ir.Tensor
}

func (p *parts) add(raw []byte) {
	p.size += int64(len(raw))
	if n := len(p.list); n > 0 && p.list[n-1].tensor == nil {
		p.list[n-1].raw = append(p.list[n-1].raw, raw...)
		return
	}
	p.list = append(p.list, part{raw: append([]byte{}, raw...)})
}

func (p *parts) varint(id protowire.Number, v int64) {
	p.add(protowire.AppendVarint(protowire.AppendTag(make([]byte, 0, 16), id, protowire.VarintType), uint64(v)))
}

func (p *parts) fixed32(id protowire.Number, v float32) {
	p.add(protowire.AppendFixed32(protowire.AppendTag(make([]byte, 0, 16), id, protowire.Fixed32Type), math.Float32bits(v)))
}

func (p *parts) prefix(id protowire.Number, n int64) {
	p.add(protowire.AppendVarint(protowire.AppendTag(make([]byte, 0, 16), id, protowire.BytesType), uint64(n)))
}

func (p *parts) bytes(id protowire.Number, s string) {
	p.prefix(id, int64(len(s)))
	p.add([]byte(s))
}

// int is varint but for a zero, which is left out.
func (p *parts) int(id protowire.Number, v int64) {
	if v != 0 {
		p.varint(id, v)
	}
}

// str is bytes but for an empty string, which is left out.
func (p *parts) str(id protowire.Number, s string) {
	if s != "" {
		p.bytes(id, s)
	}
}

func (p *parts) message(id protowire.Number, m *parts) {
	p.prefix(id, m.size)
	for _, part := range m.list {
		if part.tensor == nil {
			p.add(part.raw)
			continue
		}
		p.list = append(p.list, part)
		p.size += rawSize(part.tensor)
	}
}

func (p *parts) elements(id protowire.Number, t *ir.Tensor) {
	p.prefix(id, rawSize(t))
	p.list = append(p.list, part{tensor: t})
	p.size += rawSize(t)
}

func rawSize(t *ir.Tensor) int64 { return int64(t.Len()) * int64(t.DType.Size()) }

func (p *parts) writeTo(w io.Writer) error {
	for _, part := range p.list {
		var err error
		if part.tensor != nil {
			err = writeElements(w, part.tensor)
		} else {
			_, err = w.Write(part.raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeElements writes little-endian elements in pieces, so that a large tensor is not held twice.
func writeElements(w io.Writer, t *ir.Tensor) error {
	const piece = 1 << 13
	if t.DType != ir.Float32 && t.DType != ir.Int64 {
		_, err := w.Write(t.Raw)
		return err
	}
	buf := make([]byte, 0, 8*min(piece, t.Len()))
	for at := 0; at < t.Len(); at += piece {
		end := min(at+piece, t.Len())
		buf = buf[:0]
		if t.DType == ir.Float32 {
			for _, v := range t.F32[at:end] {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
		} else {
			for _, v := range t.I64[at:end] {
				buf = binary.LittleEndian.AppendUint64(buf, uint64(v))
			}
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}
