package ir_test

import (
	"fmt"

	"github.com/dms-go/dms/ir"
)

// The target of a Reshape is often computed from the shape of its input. Fold finds that it keeps the batch and flattens the rest.
func ExampleFold() {
	g, err := ir.Parse(`
graph view
opset "" 17
input x float32 (N, 3, 4, 4)
output y float32 (N, 48)
weight zero int64 () = 0
weight first int64 (1) = 0
weight rest int64 (1) = -1
shape = Shape(x)
n = Gather(shape, zero) {axis=0}
batch = Unsqueeze(n, first)
target = Concat(batch, rest) {axis=0}
y = Reshape(x, target)
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	folded, err := ir.Fold(g)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(ir.Format(folded))
	// Output:
	// graph view
	// opset "" 17
	// input x float32 (N, 3, 4, 4)
	// output y float32 (N, 48)
	// weight y_shape int64 (2) = 0 48
	// y = Reshape(x, y_shape)
}

// Sizes stay symbols until they are bound to numbers.
func ExampleInferShapes() {
	g, err := ir.Parse(`
opset "" 17
input x float32 (N, 3, H, 8)
weight w float32 (5, 3, 3, 3) = 0.1*135
c = Conv(x, w) {pads=[1 1 1 1]}
p = MaxPool(c) {kernel_shape=[2 2], strides=[2 2]}
y = Flatten(c)
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, bind := range []map[string]int{nil, {"H": 6}} {
		info, err := ir.InferShapes(g, bind)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(info["c"].Shape, info["p"].Shape, info["y"].Shape)
	}
	// Output:
	// (N, 5, H, 8) (N, 5, ?, 4) (N, 40*H)
	// (N, 5, 6, 8) (N, 5, 3, 4) (N, 240)
}
