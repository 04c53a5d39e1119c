package onnx

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/dms-go/dms/ir"
)

// writable is nil where Decode would read back what is written of a valid graph. Else the error joins the faults.
func writable(g *ir.Graph) error {
	f := faults(versionFaults(g))
	for _, o := range g.Opsets {
		f.name("operator set", o.Domain)
	}
	for _, v := range g.Inputs {
		f.info("input", v)
	}
	for _, v := range g.Outputs {
		f.info("output", v)
	}
	for _, key := range slices.Sorted(maps.Keys(g.Info)) {
		v := g.Info[key]
		if key != v.Name || key == "" {
			f.add("the note on value %s names %s", quote(key), quote(v.Name))
		}
		f.info("value", v)
	}
	for _, key := range slices.Sorted(maps.Keys(g.Weights)) {
		f.name("weight "+quote(key), key)
	}
	for i, n := range g.Nodes {
		f.node(place{node: n, index: i}, n)
	}
	for i, err := range f {
		f[i] = fmt.Errorf("onnx: %w", err)
	}
	return errors.Join(f[:min(len(f), maxFaults)]...)
}

// faults is a list that grows.
type faults []error

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (f *faults) name(where, s string) {
	if len(s) > maxName {
		f.add("%s: a name of %d bytes, the limit is %d", where, len(s), maxName)
	}
}

func (f *faults) info(what string, v ir.ValueInfo) {
	where := what + " " + quote(v.Name)
	f.name(where, v.Name)
	if len(v.Shape) > maxRank {
		f.add("%s: more than %d axes", where, maxRank)
	}
	for _, dim := range v.Shape {
		f.name(where, dim.Sym)
		switch {
		case dim.Sym == "" && (dim.Size < 0 || dim.Size > math.MaxInt32):
			f.add("%s: an axis of size %d", where, dim.Size)
		case dim.Sym != "" && dim.Size != 0:
			f.add("%s: an axis of size %d and %s at once", where, dim.Size, quote(dim.Sym))
		}
	}
}

func (f *faults) node(p place, n *ir.Node) {
	where := p.String()
	if n.Domain == ir.DomainDMS {
		f.add("%s: operators of domain %q exist in training only", where, ir.DomainDMS)
	}
	for _, list := range [][]string{{n.Name, n.Op, n.Domain}, n.Inputs, n.Outputs} {
		for _, s := range list {
			f.name(where, s)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(n.Attrs)) {
		p.what, p.name = "attribute", key
		f.attribute(p.String(), key, n.Attrs[key])
	}
}

func (f *faults) attribute(where, name string, a ir.Attr) {
	f.name(where, name)
	switch {
	case name == "":
		f.add("%s: has no name", where)
	case a.Kind == ir.AttrTensor:
		if len(a.Tensor.Shape) > maxRank {
			f.add("%s: more than %d axes", where, maxRank)
		}
		for _, size := range a.Tensor.Shape {
			if size > math.MaxInt32 { // beside an axis of size zero
				f.add("%s: an axis of size %d", where, size)
			}
		}
	case a.Kind == ir.AttrRaw:
		if err := checkRaw(a.Raw, name); err != nil {
			f.add("%s: %w", where, err)
		}
	case a.Kind == 0 || a.Kind == 5 || a.Kind > ir.AttrStrings:
		f.add("%s: kind %d does not exist", where, a.Kind)
	}
}

// checkRaw tells whether raw is an AttributeProto of the given name.
func checkRaw(raw []byte, name string) error {
	found := ""
	if _, err := walk(message{raw, 0}, func(f field) bool {
		if f.id == attrName {
			found = string(f.body.raw)
		}
		return true
	}); err != nil {
		return err
	}
	if found != name {
		return fmt.Errorf("its bytes name it %s", quote(found))
	}
	return nil
}
