package program

import (
	"slices"

	"github.com/dms-go/dms/internal/kernel"
)

// pass rewrites the instructions of a forward pass. Each is a function of the program alone, and leaves what the program computes as it was,
// to rounding.
type pass struct {
	name string
	run  func(b *builder)
}

// forwardPasses run in this order before gradients are taken: the gradient of a fused operation is one fused operation.
var forwardPasses = []pass{
	{"gate", fuseGates},
	{"fold", foldNorms},
	{"norm", fuseNorms},
	{"finish", fuseFinishes},
	{"moments", fuseMoments},
}

// wholePasses run in this order when the gradients are there.
var wholePasses = []pass{
	{"scale", fuseScales},
	{"pack", packFilters},
	{"hoist", hoist},
}

// Passes lists the passes that Build makes, in their order.
func Passes() []string {
	var names []string
	for _, p := range slices.Concat(forwardPasses, wholePasses) {
		names = append(names, p.name)
	}
	return names
}

func (b *builder) optimise(passes []pass) {
	for _, p := range passes {
		if !slices.Contains(b.cfg.Skip, p.name) {
			p.run(b)
		}
	}
}

// flow tells who writes and who reads the values of the instructions, by root.
type flow struct {
	p       *Program
	writer  map[ID]int
	readers map[ID][]int // an instruction that reads a value twice is there twice; an output of the program is read by -1
}

func (b *builder) flow() flow {
	f := flow{p: b.p, writer: map[ID]int{}, readers: map[ID][]int{}}
	for i, in := range b.p.Instrs {
		for _, id := range in.In {
			if id != None {
				f.readers[b.p.Root(id)] = append(f.readers[b.p.Root(id)], i)
			}
		}
		for _, id := range in.Out {
			if id != None {
				f.writer[b.p.Root(id)] = i
			}
		}
	}
	for _, id := range b.p.Outputs {
		f.readers[b.p.Root(id)] = append(f.readers[b.p.Root(id)], -1)
	}
	return f
}

// onlyReader is the one instruction that reads a value, if there is just one and the program does not give the value back.
func (f *flow) onlyReader(id ID) (int, bool) {
	r := f.readers[f.p.Root(id)]
	if len(r) != 1 || r[0] < 0 {
		return 0, false
	}
	return r[0], true
}

// source is the instruction that makes a value, with all elements of it in their order.
func (f *flow) source(id ID) (int, bool) {
	root := f.p.Root(id)
	i, ok := f.writer[root]
	return i, ok && f.p.Values[root].Len() == f.p.Values[id].Len()
}

// rewrite takes instructions out and puts others before some.
func (b *builder) rewrite(gone map[int]bool, before map[int]Instr) {
	kept := make([]Instr, 0, len(b.p.Instrs)+len(before))
	forward := 0
	for i, in := range b.p.Instrs {
		if first, ok := before[i]; ok {
			kept = append(kept, first)
		}
		if !gone[i] {
			kept = append(kept, in)
		}
		if i < b.p.Forward {
			forward = len(kept)
		}
	}
	b.p.Instrs, b.p.Forward = kept, forward
}

// activations are the functions of one operand that may be part of another operation.
var activations = map[string]kernel.ActivationKind{
	"relu": kernel.Rectify, "clip": kernel.Clip, "leaky": kernel.Leaky, "hardsigmoid": kernel.HardSigmoid, "hardswish": kernel.HardSwish,
	"sigmoid": kernel.Sigmoid, "silu": kernel.Silu, "tanh": kernel.Tanh,
}

// Activation is the kernel's form of a function of one operand, if there is one.
func (a UnaryAttr) Activation() (kernel.Activation, bool) {
	kind, ok := activations[a.Function]
	return kernel.Activation{Kind: kind, A: a.A, B: a.B}, ok
}

// fromResult is a function whose derivative shows in its result, as an operation of its own.
func fromResult(a kernel.Activation) UnaryAttr {
	for name, kind := range activations {
		if kind == a.Kind {
			return UnaryAttr{Function: name, A: a.A, B: a.B}
		}
	}
	panic("program: an activation without a function")
}
