package topk_test

import (
	"fmt"

	"github.com/dms-go/dms/topk"
)

func ExampleRank() {
	rank := make([]float64, 4)
	topk.Rank(rank, []float64{0.1, 7, 0.1, 2})
	fmt.Println(rank)
	// Output: [0.25 0.875 0.25 0.625]
}

func ExampleMask() {
	m := make([]float64, 4)
	live := topk.Mask(m, []float64{0.3, 7, 0.1, 2}, 0.5, 1)
	fmt.Printf("%.3f %v\n", m, live)

	live = topk.Mask(m, []float64{0, 0, 0, 0}, 0.5, 1) // nothing measured yet
	fmt.Println(m, live)
	// Output:
	// [0.378 0.818 0.182 0.622] true
	// [1 1 1 1] false
}

func ExampleKeep() {
	c := []float64{0.3, 7, 0.1, 2}
	fmt.Println(topk.Keep(c, 0.5, 1))
	fmt.Println(topk.Keep(c, 1, 1)) // a width keeps at least one element
	// Output:
	// [1 3]
	// [1]
}

func ExampleUpdate() {
	c := []float64{0, 0}
	mask, gradient := []float64{1, 0.5}, []float64{2, -2}
	if err := topk.Update(c, mask, gradient, "taylor", 0.99); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%.2f\n", c)
	// Output: [0.04 0.01]
}
