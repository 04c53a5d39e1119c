package onnx

import (
	"fmt"
	"math"

	"github.com/dms-go/dms/ir"
)

// Decode reads a model. The graph refers to nothing in raw. The error joins the faults found, up to maxFaults of them,
// each with its byte offset or the name of the node or tensor at fault; the graph is nil then.
func Decode(raw []byte, o Options) (*ir.Graph, error) { return decode(raw, o, "") }

// decode is Decode with the name of the file for errors.
func decode(raw []byte, o Options, file string) (*ir.Graph, error) {
	d := &decoder{file: file, external: external{dir: o.Dir, left: o.MaxExternal}}
	if o.MaxExternal <= 0 {
		d.external.left = defaultMaxExternal
	}
	defer d.external.close()
	if err := checkSize(int64(len(raw))); err != nil {
		return nil, d.wrap(err)
	}
	g := d.model(message{raw, 0})
	if len(d.faults) == 0 {
		for _, err := range versionFaults(g) {
			d.report(err)
		}
	}
	if len(d.faults) > 0 {
		return nil, d.err()
	}
	if err := ir.Validate(g); err != nil {
		for _, err := range split(err) {
			d.report(err)
		}
		return nil, d.err()
	}
	g.External = d.external.used
	return g, nil
}

// split is the list that errors.Join made one error of.
func split(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	return []error{err}
}

func (d *decoder) model(m message) *ir.Graph {
	g := &ir.Graph{Info: map[string]ir.ValueInfo{}, Weights: map[string]*ir.Tensor{}}
	g.Opsets = make([]ir.Opset, 0, count(m, modelOpset))
	g.Metadata = make([]ir.KeyValue, 0, count(m, modelMetadata))
	graphs := 0
	d.each(m, place{}, func(f field) {
		switch f.id {
		case modelIRVersion:
			g.IRVersion = d.int(f, in("IR version"))
		case modelProducer:
			g.Producer = d.str(f, in("producer name"))
		case modelProducerVersion:
			g.ProducerVersion = d.str(f, in("producer version"))
		case modelDomain:
			g.ModelDomain = d.str(f, in("model domain"))
		case modelVersion:
			g.ModelVersion = d.int(f, in("model version"))
		case modelDoc:
			g.ModelDoc = d.str(f, in("model doc string"))
		case modelOpset:
			g.Opsets = append(g.Opsets, d.opset(d.message(f, in("operator set"))))
		case modelMetadata:
			k, v := d.entry(d.message(f, in("metadata")), in("metadata"))
			g.Metadata = append(g.Metadata, ir.KeyValue{Key: k, Value: v})
		case modelGraph:
			if graphs++; graphs > 1 {
				d.fault(f.at, place{}, "a second graph")
				return
			}
			d.graph(g, d.message(f, in("graph")))
		case modelFunctions:
			d.fault(f.at, place{}, "the model defines functions of its own, which are not supported; inline them first")
		}
	})
	if graphs == 0 && len(d.faults) == 0 {
		d.fault(0, place{}, "there is no graph; this is not an ONNX model")
	}
	return g
}

func (d *decoder) opset(m message) (o ir.Opset) {
	d.each(m, in("operator set"), func(f field) {
		switch f.id {
		case opsetDomain:
			o.Domain = d.name(f, in("operator set"))
		case opsetVersion:
			o.Version = d.int(f, in("operator set"))
		}
	})
	return o
}

func (d *decoder) entry(m message, p place) (key, value string) {
	d.each(m, p, func(f field) {
		switch f.id {
		case entryKey:
			key = d.str(f, p)
		case entryValue:
			value = d.str(f, p)
		}
	})
	return key, value
}

// versionFaults holds what a model claims to be written in against what is read and written here.
func versionFaults(g *ir.Graph) (faults []error) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if g.IRVersion < minIRVersion || g.IRVersion > maxIRVersion {
		add("IR version %d is not supported, want %d to %d", g.IRVersion, minIRVersion, maxIRVersion)
	}
	main := 0
	for _, o := range g.Opsets {
		if !ir.Standard(o.Domain) {
			continue
		}
		if main++; len(faults) < maxFaults && (o.Version < minOpset || o.Version > maxOpset) {
			add("operator set %d is not supported, want %d to %d", o.Version, minOpset, maxOpset)
		}
	}
	if main != 1 {
		add("ONNX's operator set is imported %d times, want once", main)
	}
	return faults
}

func (d *decoder) graph(g *ir.Graph, m message) {
	g.Nodes = make([]*ir.Node, 0, count(m, graphNode))
	g.Inputs = make([]ir.ValueInfo, 0, count(m, graphInput))
	g.Outputs = make([]ir.ValueInfo, 0, count(m, graphOutput))
	d.each(m, in("graph"), func(f field) {
		switch f.id {
		case graphNode:
			g.Nodes = append(g.Nodes, d.node(d.message(f, in("node")), len(g.Nodes)))
		case graphName:
			g.Name = d.str(f, in("graph name"))
		case graphDoc:
			g.Doc = d.str(f, in("graph doc string"))
		case graphInitializer:
			name, t := d.tensor(d.message(f, in("initializer")), in("initializer"))
			switch {
			case t == nil: // reported
			case name == "":
				d.fault(f.at, in("initializer"), "has no name")
			case g.Weights[name] != nil:
				d.fault(f.at, place{}, "initializer %s is there twice", quote(name))
			default:
				g.Weights[name] = t
			}
		case graphInput:
			if v, ok := d.info(d.message(f, in("input")), in("input")); ok {
				g.Inputs = append(g.Inputs, v)
			} else {
				d.fault(f.at, place{}, "input %s is not a tensor", quote(v.Name))
			}
		case graphOutput:
			if v, ok := d.info(d.message(f, in("output")), in("output")); ok {
				g.Outputs = append(g.Outputs, v)
			} else {
				d.fault(f.at, place{}, "output %s is not a tensor", quote(v.Name))
			}
		case graphValueInfo:
			v, ok := d.info(d.message(f, in("value")), in("value"))
			if v.Name == "" {
				d.fault(f.at, in("value"), "has no name")
			} else if ok {
				g.Info[v.Name] = v
			}
		case graphSparseInitializer:
			d.fault(f.at, place{}, "sparse initializers are not supported; store them dense")
		}
	})
	inputs := g.Inputs[:0]
	for _, in := range g.Inputs {
		if g.Weights[in.Name] == nil {
			inputs = append(inputs, in)
		}
	}
	clear(g.Inputs[len(inputs):])
	g.Inputs = inputs
}

// info reads a ValueInfoProto; tensor is false where the value is a sequence, map or the like.
func (d *decoder) info(m message, p place) (v ir.ValueInfo, tensor bool) {
	tensor = true
	d.each(m, p, func(f field) {
		switch f.id {
		case infoName:
			v.Name = d.name(f, p)
			p.name = v.Name
		case infoDoc:
			v.Doc = d.str(f, p)
		case infoType:
			d.each(d.message(f, p), p, func(f field) {
				switch f.id {
				case typeTensor:
					d.tensorType(&v, d.message(f, p), p)
				case typeDenotation:
				default:
					tensor = false
				}
			})
		}
	})
	return v, tensor
}

func (d *decoder) tensorType(v *ir.ValueInfo, m message, p place) {
	d.each(m, p, func(f field) {
		switch f.id {
		case tensorTypeElem:
			n := d.int(f, p)
			if n < 0 || n > math.MaxUint8 {
				d.fault(f.at, p, "element type %d does not exist", n)
			}
			v.DType = ir.DType(n)
		case tensorTypeShape:
			m := d.message(f, p)
			v.Shape = make(ir.Shape, 0, min(count(m, shapeDim), maxRank))
			d.each(m, p, func(f field) {
				if f.id != shapeDim {
					return
				}
				if len(v.Shape) >= maxRank {
					d.fault(f.at, p, "more than %d axes", maxRank)
					return
				}
				v.Shape = append(v.Shape, d.dim(d.message(f, p), p))
			})
		}
	})
}

// dim reads the size of one axis. Exporters write −1 for a size they do not know.
func (d *decoder) dim(m message, p place) ir.Dim {
	dim := ir.Dim{Sym: "?"}
	d.each(m, p, func(f field) {
		switch f.id {
		case dimValue:
			switch n := d.int(f, p); {
			case n == -1:
				dim = ir.Dim{Sym: "?"}
			case n < 0 || n > math.MaxInt32:
				d.fault(f.at, p, "an axis of size %d", n)
			default:
				dim = ir.Dim{Size: int(n)}
			}
		case dimParam:
			if s := d.name(f, p); s != "" {
				dim = ir.Dim{Sym: s}
			}
		}
	})
	return dim
}
