package zoo

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dms-go/dms/ir"
)

// LoadWeights writes tensors, named as in the state_dict, into the weights of g: every floating-point weight that is not a scalar, running
// statistics included. Any floating-point type is read. Tensors that only count batches (num_batches_tracked) are passed over.
//
// It is all or nothing: where names are missing, unknown or of another shape, the error lists every one and g is unchanged.
func LoadWeights(g *ir.Graph, tensors map[string]*ir.Tensor) error {
	values := map[string][]float32{}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(g.Weights)) {
		w := g.Weights[name]
		if !w.DType.IsFloat() || len(w.Shape) == 0 {
			continue
		}
		t := tensors[name]
		switch {
		case t == nil:
			faults = append(faults, fmt.Errorf("%q is missing", name))
		case !t.DType.IsFloat():
			faults = append(faults, fmt.Errorf("%q is of type %v, not floating point", name, t.DType))
		case !slices.Equal(t.Shape, w.Shape):
			faults = append(faults, fmt.Errorf("%q has shape %v where the network has %v", name, t.Shape, w.Shape))
		default:
			v, err := t.Floats()
			if err != nil {
				faults = append(faults, fmt.Errorf("%q: %w", name, err))
			}
			values[name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		w := g.Weights[name]
		if (w == nil || !w.DType.IsFloat() || len(w.Shape) == 0) && !strings.HasSuffix(name, ".num_batches_tracked") {
			faults = append(faults, fmt.Errorf("%q is not a weight of the network", name))
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("zoo: the tensors do not fit %s: %d faults:\n%w", g.Name, len(faults), errors.Join(faults...))
	}
	for name, v := range values {
		g.Weights[name].SetFloats(v)
	}
	return nil
}
