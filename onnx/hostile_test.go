package onnx

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
	"google.golang.org/protobuf/encoding/protowire"
)

// slack is the memory that decoding takes whatever the size of the file, faults included.
const slack = 128 << 10

// frugal decodes and holds all that was allocated on the way, which is more than what was needed at any time, against memoryFactor.
func frugal(t testing.TB, raw []byte) (*ir.Graph, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	g, err := Decode(raw, Options{})
	runtime.ReadMemStats(&after)
	if (g == nil) == (err == nil) {
		t.Errorf("graph %v and error %v", g, err)
	}
	if took, limit := after.TotalAlloc-before.TotalAlloc, uint64(memoryFactor*len(raw)+slack); took > limit {
		t.Errorf("decoding %d bytes allocated %d, want at most %d", len(raw), took, limit)
	}
	return g, err
}

// FuzzDecode: no input makes Decode panic, an error means no graph, and a graph survives a round trip.
func FuzzDecode(f *testing.F) {
	for _, raw := range small(f) {
		f.Add(raw)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := Decode(raw, Options{})
		if (g == nil) == (err == nil) {
			t.Fatalf("graph %v and error %v", g, err)
		}
		if g != nil {
			roundTrip(t, g)
		}
	})
}

func TestMutationsNeitherPanicNorTakeMemory(t *testing.T) {
	count := 10_000
	if testing.Short() {
		count = 1000
	}
	files := small(t)
	good := 0
	for seed := range uint64(count) {
		rng := rand.New(rand.NewPCG(seed, 2))
		raw := bytes.Clone(files[rng.IntN(len(files))])
		for range 1 + rng.IntN(3) {
			raw = mutations[rng.IntN(len(mutations))](rng, raw, files[rng.IntN(len(files))])
		}
		g, err := frugal(t, raw)
		if err == nil {
			good++
			roundTrip(t, g)
		} else if n := len(split(err)); n > maxFaults+1 {
			t.Errorf("%d faults", n)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d mutated files are still valid", good, count)
	if good == 0 || good == count {
		t.Error("the mutations are too strong or too weak to be of use")
	}
}

// mutations damage a file; from is another one to take pieces of.
var mutations = []func(rng *rand.Rand, raw, from []byte) []byte{
	func(rng *rand.Rand, raw, _ []byte) []byte { return raw[:rng.IntN(len(raw)+1)] },
	func(rng *rand.Rand, raw, _ []byte) []byte {
		if len(raw) > 0 {
			raw[rng.IntN(len(raw))] ^= 1 << rng.IntN(8)
		}
		return raw
	},
	func(rng *rand.Rand, raw, _ []byte) []byte {
		if len(raw) > 0 {
			raw[rng.IntN(len(raw))] = byte(rng.Uint32())
		}
		return raw
	},
	relength, relength,
	func(rng *rand.Rand, raw, from []byte) []byte {
		lo := rng.IntN(len(from) + 1)
		hi := lo + rng.IntN(len(from)-lo+1)
		at := rng.IntN(len(raw) + 1)
		return bytes.Join([][]byte{raw[:at], from[lo:hi], raw[at:]}, nil)
	},
	graft, graft, graft, graft,
}

// relength states another length for some field, without moving anything.
func relength(rng *rand.Rand, raw, _ []byte) []byte {
	fields := lengths(message{raw, 0}, 0)
	if len(fields) == 0 {
		return raw
	}
	f := fields[rng.IntN(len(fields))]
	n := uint64(len(f.body.raw))
	interesting := []uint64{0, 1, n - 1, n + 1, n + uint64(rng.IntN(100)), uint64(len(raw)), math.MaxInt32, 1 << 32, math.MaxInt64, math.MaxUint64}
	prefix := f.body.at - protowire.SizeVarint(n)
	return bytes.Join([][]byte{raw[:prefix], protowire.AppendVarint(nil, interesting[rng.IntN(len(interesting))]), raw[f.body.at:]}, nil)
}

// graft leaves out a field, repeats it, or puts one of another file before it, somewhere in the tree of messages; the lengths around
// it are mended, so that much of what comes out is a model.
func graft(rng *rand.Rand, raw, from []byte) []byte {
	var fields []field
	ends := []int{}
	if at, err := walk(message{raw, 0}, func(f field) bool { fields = append(fields, f); return true }); err != nil {
		raw = raw[:at]
	}
	for _, f := range fields[min(1, len(fields)):] {
		ends = append(ends, f.at)
	}
	ends = append(ends, len(raw))
	if len(fields) == 0 {
		return raw
	}
	i := rng.IntN(len(fields))
	f, end := fields[i], ends[i]
	whole := raw[f.at:end]
	if f.kind == protowire.BytesType && rng.IntN(4) > 0 {
		if _, err := walk(f.body, func(field) bool { return true }); err == nil {
			body := graft(rng, bytes.Clone(f.body.raw), from)
			whole = protowire.AppendBytes(protowire.AppendTag(nil, f.id, protowire.BytesType), body)
			return bytes.Join([][]byte{raw[:f.at], whole, raw[end:]}, nil)
		}
	}
	switch rng.IntN(3) {
	case 0:
		return bytes.Join([][]byte{raw[:f.at], raw[end:]}, nil)
	case 1:
		return bytes.Join([][]byte{raw[:end], whole, raw[end:]}, nil)
	}
	gifts := lengths(message{from, 0}, 0)
	if len(gifts) == 0 {
		return raw
	}
	gift := gifts[rng.IntN(len(gifts))]
	return bytes.Join([][]byte{raw[:f.at], from[gift.at : gift.body.at+len(gift.body.raw)], raw[f.at:]}, nil)
}

// lengths are the length-delimited fields of a message and of those of its fields that happen to read as messages.
func lengths(m message, depth int) (fields []field) {
	if _, err := walk(m, func(f field) bool {
		if f.kind == protowire.BytesType {
			fields = append(fields, f)
		}
		return true
	}); err != nil || depth > 8 {
		return nil
	}
	for _, f := range fields {
		fields = append(fields, lengths(f.body, depth+1)...)
	}
	return fields
}

// TestMemoryIsBounded tries the files that take most memory per byte: one thing, as small as it can be, over and over.
func TestMemoryIsBounded(t *testing.T) {
	const size = 1 << 19
	many := func(g *parts, unit func(i int, g *parts)) {
		for i := 0; g.size < size; i++ {
			unit(i, g)
		}
	}
	// name is a short name that differs for every i.
	name := func(i int) string {
		const digits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		s := ""
		for ; i > 0 || s == ""; i /= len(digits) {
			s += digits[i%len(digits) : i%len(digits)+1]
		}
		return s
	}
	long := strings.Repeat("n", maxName)
	graphs := map[string]func(g *parts){
		"nodes": func(g *parts) { many(g, func(i int, g *parts) { putNode(g, "", "O", nil, []string{name(i)}) }) },
		"nodes without a name": func(g *parts) {
			many(g, func(i int, g *parts) { g.message(graphNode, &parts{}) })
		},
		"nodes that do not fit their operator": func(g *parts) {
			many(g, func(i int, g *parts) { putNode(g, "", "Add", nil, []string{name(i)}) })
		},
		"nodes with wrong attributes": func(g *parts) {
			many(g, func(i int, g *parts) {
				putNode(g, "", "LeakyRelu", []string{"the input"}, []string{name(i)}, attribute("alpha", ir.IntAttr(1)))
			})
		},
		"nodes that write the same value": func(g *parts) { many(g, func(i int, g *parts) { putNode(g, "", "O", nil, []string{"a"}) }) },
		"reads of what is not there": func(g *parts) {
			putNode(g, long, "O", strings.Split(strings.Repeat("a ", size/3), " "), []string{"the output"})
		},
		"left-out inputs":  func(g *parts) { putNode(g, "", "O", make([]string, size/2), []string{"the output"}) },
		"left-out outputs": func(g *parts) { putNode(g, "", "O", nil, append(make([]string, size/2), "the output")) },
		"outputs": func(g *parts) {
			var names []string
			for i := range size / 6 {
				names = append(names, name(i))
			}
			putNode(g, "", "O", nil, names)
		},
		"outputs of nodes with long names": func(g *parts) {
			many(g, func(i int, g *parts) {
				var names []string
				for k := range maxName / 6 {
					names = append(names, name(i*maxName+k))
				}
				putNode(g, long, "O", nil, names)
			})
		},
		"same output": func(g *parts) {
			putNode(g, "", "O", nil, strings.Split(strings.Repeat("a ", size/3), " "))
		},
		"attributes": func(g *parts) {
			g.message(graphNode, msg(func(n *parts) {
				n.str(nodeOp, "O")
				n.str(nodeName, long)
				many(n, func(i int, n *parts) {
					n.message(nodeAttribute, msg(func(a *parts) { a.str(attrName, name(i)); a.varint(attrType, 2) }))
				})
			}))
		},
		"nodes with an attribute": func(g *parts) {
			many(g, func(i int, g *parts) {
				putNode(g, "", "O", nil, []string{name(i)}, msg(func(a *parts) { a.str(attrName, "k"); a.varint(attrType, 2) }))
			})
		},
		"raw attributes": func(g *parts) {
			many(g, func(i int, g *parts) {
				putNode(g, "", "O", nil, []string{name(i)}, msg(func(a *parts) { a.str(attrName, "k"); a.varint(attrType, 5) }))
			})
		},
		"captures": func(g *parts) {
			putNode(g, "", "O", nil, []string{"the output"}, msg(func(a *parts) {
				a.str(attrName, "k")
				a.message(attrGraph, msg(func(g *parts) {
					many(g, func(i int, g *parts) { g.message(graphNode, msg(func(n *parts) { n.str(nodeInput, name(i)) })) })
				}))
			}))
		},
		"definitions in subgraphs": func(g *parts) {
			putNode(g, "", "O", nil, []string{"the output"}, msg(func(a *parts) {
				a.str(attrName, "k")
				a.message(attrGraph, msg(func(g *parts) {
					many(g, func(i int, g *parts) { g.message(graphNode, msg(func(n *parts) { n.str(nodeOutput, name(i)) })) })
				}))
			}))
		},
		"subgraphs": func(g *parts) {
			putNode(g, "", "O", nil, []string{"the output"}, msg(func(a *parts) {
				a.str(attrName, "k")
				many(a, func(i int, a *parts) { a.message(attrGraphs, &parts{}) })
			}))
		},
		"integers": func(g *parts) {
			putNode(g, "", "O", nil, []string{"the output"}, msg(func(a *parts) { a.str(attrName, "k"); a.bytes(attrInts, strings.Repeat("\x01", size)) }))
		},
		"strings": func(g *parts) {
			putNode(g, "", "O", nil, []string{"the output"}, attribute("k", ir.Attr{Kind: ir.AttrStrings, Strings: make([]string, size/2)}))
		},
		"weights": func(g *parts) {
			many(g, func(i int, g *parts) { g.message(graphInitializer, tensor(name(i), ir.Floats32(nil, 0))) })
		},
		"integers of a weight": func(g *parts) {
			g.message(graphInitializer, msg(func(t *parts) {
				t.varint(tensorDims, size)
				t.varint(tensorType, int64(ir.Int64))
				t.str(tensorName, "w")
				t.bytes(tensorInt64s, strings.Repeat("\x01", size))
			}))
		},
		"strings of a weight": func(g *parts) {
			g.message(graphInitializer, tensor("w", &ir.Tensor{DType: ir.String, Shape: []int{size / 2}, Strs: make([]string, size/2)}))
		},
		"axes of a weight": func(g *parts) {
			g.message(graphInitializer, msg(func(t *parts) { t.bytes(tensorDims, strings.Repeat("\x01", size)) }))
		},
		"axes": func(g *parts) {
			many(g, func(i int, g *parts) {
				g.message(graphInput, info(ir.ValueInfo{Name: name(i), Shape: make(ir.Shape, maxRank)}))
			})
		},
		"unknown axes": func(g *parts) {
			shape := make(ir.Shape, maxRank)
			for i := range shape {
				shape[i].Sym = "?"
			}
			many(g, func(i int, g *parts) { g.message(graphInput, info(ir.ValueInfo{Name: name(i), Shape: shape})) })
		},
		"inputs": func(g *parts) {
			many(g, func(i int, g *parts) { g.message(graphInput, info(ir.ValueInfo{Name: name(i)})) })
		},
		"outputs of nothing": func(g *parts) {
			many(g, func(i int, g *parts) { g.message(graphOutput, info(ir.ValueInfo{Name: name(i)})) })
		},
		"outputs of nothing without a name": func(g *parts) { many(g, func(i int, g *parts) { g.message(graphOutput, &parts{}) }) },
		"notes": func(g *parts) {
			many(g, func(i int, g *parts) { g.message(graphValueInfo, info(ir.ValueInfo{Name: name(i)})) })
		},
		"empty fields": func(g *parts) { many(g, func(i int, g *parts) { g.bytes(graphName, "") }) },
		"a long name":  func(g *parts) { putNode(g, strings.Repeat("n", size), "O", nil, []string{"the output"}) },
	}
	for what, fill := range graphs {
		t.Run(what, func(t *testing.T) {
			raw := file(func(g *parts) {
				putInfo(g, graphInput, "the input") // no short name, for those are taken below
				fill(g)
			})
			measure(t, raw)
		})
	}
	for what, unit := range map[string]func(p *parts){
		"operator sets":                  func(p *parts) { p.message(modelOpset, &parts{}) },
		"operator sets of other domains": func(p *parts) { p.message(modelOpset, msg(func(o *parts) { o.str(opsetDomain, "a") })) },
		"metadata":                       func(p *parts) { p.message(modelMetadata, &parts{}) },
		"empty graphs":                   func(p *parts) { p.message(modelGraph, &parts{}) },
		"functions":                      func(p *parts) { p.message(modelFunctions, &parts{}) },
	} {
		t.Run(what, func(t *testing.T) {
			p := &parts{}
			for p.size < size {
				unit(p)
			}
			measure(t, append(identity(func(*parts) {}), p.raw()...))
		})
	}
}

func measure(t *testing.T, raw []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := frugal(t, raw)
	runtime.ReadMemStats(&after)
	text := "no fault"
	if err != nil {
		text = fmt.Sprintf("%d faults, %d bytes of text", len(split(err)), len(err.Error()))
	}
	t.Logf("%s: %.1f bytes per byte; %s", t.Name(), float64(after.TotalAlloc-before.TotalAlloc)/float64(len(raw)), text)
}
