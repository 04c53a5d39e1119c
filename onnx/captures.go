package onnx

import "google.golang.org/protobuf/encoding/protowire"

// captures are the outer values that the subgraphs of a node read, each once, in the order they are met.
type captures struct {
	names []string
	seen  map[string]bool
}

func (c *captures) add(name string) {
	if name == "" || c.seen[name] {
		return
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[name] = true
	c.names = append(c.names, name)
}

// scope is what a subgraph defines, linked to the subgraph around it. A name may be read where some scope has it.
type scope struct {
	names map[string]bool
	up    *scope
	depth int
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.up {
		if s.names[name] {
			return true
		}
	}
	return false
}

func (d *decoder) captureAttribute(m message, where place, outer *captures) {
	d.attributeGraphs(m, where, nil, outer)
}

// attributeGraphs walks the subgraphs of one attribute that lies in scope s, nil for the main graph.
func (d *decoder) attributeGraphs(m message, where place, s *scope, outer *captures) {
	d.each(m, where, func(f field) {
		if f.id == attrGraph || f.id == attrGraphs {
			d.subgraph(d.message(f, where), where, s, outer)
		}
	})
}

// subgraph adds what a subgraph reads and nothing in it, or in the subgraphs around it, defines. Nodes are in topological order, so
// a name counts as outer where it is read before it is written.
func (d *decoder) subgraph(m message, where place, up *scope, outer *captures) {
	s := &scope{names: map[string]bool{}, up: up}
	if up != nil {
		s.depth = up.depth + 1
	}
	if s.depth >= maxDepth {
		d.fault(m.at, where, "subgraphs lie more than %d deep", maxDepth)
		return
	}
	read := func(name string) {
		if !s.has(name) {
			outer.add(name)
		}
	}
	d.each(m, where, func(f field) {
		switch f.id {
		case graphInput:
			s.names[d.named(d.message(f, where), infoName, where)] = true
		case graphInitializer:
			s.names[d.named(d.message(f, where), tensorName, where)] = true
		case graphSparseInitializer:
			d.each(d.message(f, where), where, func(f field) {
				if f.id == sparseValues {
					s.names[d.named(d.message(f, where), tensorName, where)] = true
				}
			})
		}
	})
	d.each(m, where, func(f field) {
		if f.id != graphNode {
			return
		}
		node := d.message(f, where)
		d.each(node, where, func(f field) {
			switch f.id {
			case nodeInput:
				read(d.name(f, where))
			case nodeAttribute:
				d.attributeGraphs(d.message(f, where), where, s, outer)
			}
		})
		d.each(node, where, func(f field) {
			if f.id == nodeOutput {
				s.names[d.name(f, where)] = true
			}
		})
	})
	d.each(m, where, func(f field) {
		if f.id == graphOutput {
			read(d.named(d.message(f, where), infoName, where))
		}
	})
}

// named is the string in field id of a message.
func (d *decoder) named(m message, id protowire.Number, where place) (name string) {
	d.each(m, where, func(f field) {
		if f.id == id {
			name = d.name(f, where)
		}
	})
	return name
}
