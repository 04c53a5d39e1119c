package prune_test

import (
	"fmt"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/prune"
	"github.com/dms-go/dms/space"
	"github.com/dms-go/dms/zoo"
)

// Find what can be removed from a ResNet-20, keep half of the first block's inner channels and leave out the second block.
func Example() {
	g, err := zoo.Build("resnet20")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := space.Find(g, space.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, group := range s.Groups {
		if group.Kind == space.Depth {
			fmt.Println(group.Name, group.N)
		}
	}
	small, err := prune.Apply(g, s, space.Selection{Keep: map[string][]int{
		"layer1.0.conv1": {0, 2, 4, 6, 8, 10, 12, 14},
		"depth.layer1":   {0, 2},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	before, _ := cost.Count(g)
	after, _ := cost.Count(small)
	fmt.Println(before.MACs, after.MACs)
	// Output:
	// depth.layer1 3
	// depth.layer2 2
	// depth.layer3 2
	// 40551040 33473152
}
