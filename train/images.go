package train

import (
	"fmt"

	"github.com/dms-go/dms/data"
	"github.com/dms-go/dms/ir"
)

// bindImages gives numbers to the symbols of an image network's input for batches of one data set.
//
// The input is (N, C, H, W) or (N, H, W, C); the channel axis is the one whose size is the data set's. A network with a fixed batch
// runs with that batch only.
func bindImages(g *ir.Graph, ds data.Dataset, batch int) (map[string]int, error) {
	if len(g.Inputs) != 1 {
		// A masked network has its masks behind the image; the image stays first.
		if len(g.Inputs) == 0 {
			return nil, fmt.Errorf("train: the network %q has no input", g.Name)
		}
	}
	in := g.Inputs[0]
	h, w, c := ds.Shape()
	if len(in.Shape) != 4 {
		return nil, fmt.Errorf("train: input %q has shape %v; images need four axes (N, C, H, W) or (N, H, W, C)", in.Name, in.Shape)
	}
	want := []int{batch, c, h, w}
	if in.Shape[3].Known() && in.Shape[3].Size == c && !(in.Shape[1].Known() && in.Shape[1].Size == c) {
		want = []int{batch, h, w, c}
	}
	bind := map[string]int{}
	for i, d := range in.Shape {
		if d.Known() {
			if d.Size != want[i] {
				return nil, fmt.Errorf("train: input %q has shape %v, the data %v (height %d, width %d, channels %d); they must agree", in.Name, in.Shape, want, h, w, c)
			}
			continue
		}
		if old, ok := bind[d.Sym]; ok && old != want[i] {
			return nil, fmt.Errorf("train: input %q uses the symbol %q for two sizes, %d and %d", in.Name, d.Sym, old, want[i])
		}
		bind[d.Sym] = want[i]
	}
	return bind, nil
}

// FixedBatch is the batch a network insists on, or 0 when its batch is symbolic.
func FixedBatch(g *ir.Graph) int {
	if len(g.Inputs) == 0 || len(g.Inputs[0].Shape) == 0 || !g.Inputs[0].Shape[0].Known() {
		return 0
	}
	return g.Inputs[0].Shape[0].Size
}

// checkClasses refuses a network whose outputs do not match the data set's classes.
func checkClasses(g *ir.Graph, logits string, bind map[string]int, ds data.Dataset) error {
	info, err := ir.InferShapes(g, bind)
	if err != nil {
		return err
	}
	s := info[logits].Shape
	n := len(ds.Classes())
	if len(s) == 2 && s[1].Known() && s[1].Size < n {
		return fmt.Errorf("train: output %q has %d classes, the data set %d", logits, s[1].Size, n)
	}
	return nil
}
