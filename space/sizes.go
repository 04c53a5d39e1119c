package space

import "github.com/dms-go/dms/ir"

// sizes keeps the axes whose sizes somebody reads while the network runs. Exporters read the size of the batch so, and of nothing else.
func sizes(f *finder, n *ir.Node) {
	in := f.in(n, 0)
	read := f.entriesRead(n, len(in))
	for axis, l := range in {
		if read == nil || read[axis] {
			f.freeze(l, n, "reads its size while running")
		}
	}
}

// entriesRead tells which sizes of a value of the given rank are taken from what n, a Shape, writes; nil where that cannot be told.
func (f *finder) entriesRead(n *ir.Node, rank int) []bool {
	v := n.Outputs[0]
	length := f.listSize(v)
	if !n.Is("Shape") || f.outputs[v] || length < 0 {
		return nil
	}
	first := int(n.Attrs.Int("start", 0))
	if first < 0 {
		first += rank
	}
	first = min(max(first, 0), rank)
	if first+length > rank {
		return nil
	}
	read := make([]bool, rank)
	for _, u := range f.consumers[v] {
		switch {
		case u.Input == 0 && u.Node.Is("Gather") && f.g.Weights[u.Node.Input(1)] != nil:
			at, err := Indices(f.g.Weights[u.Node.Input(1)], length)
			if err != nil {
				return nil
			}
			for _, i := range at {
				read[first+i] = true
			}
		case u.Input == 0 && u.Node.Is("Slice"):
			attrs, err := ir.SliceOf(f.g, u.Node, ir.Fixed(length))
			if err != nil {
				return nil
			}
			for i := range attrs.Len(0) {
				read[first+attrs.Start[0]+i*attrs.Step[0]] = true
			}
		default:
			return nil
		}
	}
	return read
}
