package ir_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dms-go/dms/ir"
)

const resizeInputs = inputs + `
weight none float32 (0) =
weight up float32 (4) = 1 1 2 1.5
weight down float32 (4) = 1 1 0.5 0.26
weight three float32 (4) = 1 1 3 2
weight zero float32 (4) = 1 1 0 1
weight short float32 (2) = 2 2
weight big float32 (4) = 1 1 1000000000 1
input scales float32 (4)
input rows float32 (K)
`

func TestInferShapesOfResize(t *testing.T) {
	for _, c := range []struct{ opset, node, want string }{
		{"10", "y = Resize(x, up)", "(N, 6, 16, 13)"},
		{"11", "y = Resize(x, none, up)", "(N, 6, 16, 13)"},
		{"13", "y = Resize(x, _, down)", "(N, 6, 4, 2)"},
		{"13", "y = Resize(odd, _, three)", "(N, 6, 3*H, 2*W)"},
		{"13", "y = Resize(odd, _, up)", "(N, 6, 2*H, ?)"},
		{"11", "y = Resize(x, none, none, <1 6 20 30>)", "(1, 6, 20, 30)"},
		{"13", "y = Resize(x, _, _, <1 6 20 30>)", "(1, 6, 20, 30)"},
		{"13", "h = Shape(odd)\nf = Slice(h, <0>, <2>)\nt2 = Concat(f, <20 30>) {axis=0}\ny = Resize(odd, _, _, t2)", "(N, 6, 20, 30)"},
		{"13", "y = Resize(x, _, _, idx)", "(?, ?, ?, ?)"},
		{"13", "y = Resize(x, _, scales)", "(?, ?, ?, ?)"},
		{"13", "y = Resize(x, _, rows, idx)", "(?, ?, ?, ?)"},
		{"18", "y = Resize(x, _, short) {axes=[2 -1]}", "(N, 6, 16, 18)"},
		{"18", "y = Resize(x, _, _, <5 7>) {axes=[3 2]}", "(N, 6, 7, 5)"},
		{"18", `y = Resize(x, _, _, <5 7>) {axes=[2 3], keep_aspect_ratio_policy="not_larger"}`, "(N, 6, ?, ?)"},
		{"13", `y = Resize(x, idx, up) {coordinate_transformation_mode="tf_crop_and_resize"}`, "(?, ?, ?, ?)"},
		{"13", "y = Resize(free, _, up)", "(...)"},
	} {
		info, err := ir.InferShapes(parse(t, "opset \"\" "+c.opset+resizeInputs+lists(c.node)), nil)
		if err != nil {
			t.Errorf("%s: %v", c.node, err)
		} else if got := info["y"].Shape.String(); got != c.want {
			t.Errorf("%s: shape %s, want %s", c.node, got, c.want)
		}
	}
	for node, want := range map[string]string{
		"y = Resize(x)":                                   "either scales or sizes",
		"y = Resize(x, _, none)":                          "either scales or sizes",
		"y = Resize(x, _, up, <1 6 20 30>)":               "either scales or sizes",
		"y = Resize(x, _, short)":                         "2 scales, want one for each of 4 axes",
		"y = Resize(x, _, zero)":                          "want positive numbers",
		"y = Resize(x, _, idx)":                           "",
		"y = Resize(x, _, <1 1 2 2>)":                     "scales",
		"y = Resize(x, _, big)":                           "too large",
		"y = Resize(x, _, _, <20 30>)":                    "2 sizes, want one for each of 4 axes",
		"y = Resize(x, _, _, <1 6 -1 30>)":                "outside 0",
		"y = Resize(x, _, short) {axes=[2 2]}":            "name axis 2 twice",
		"y = Resize(x, _, short) {axes=[2 4]}":            "axis 4 is outside",
		"y = Resize(x, _, up) {mode=1}":                   "attribute mode is a int, want a string",
		"y = Resize(x, _, up, _, <1>)":                    "5 inputs, want 1 to 4",
		"y = Resize(x, _, up) {axes=[-5 0 1 2]}":          "axis -5 is outside",
		"y = Resize(x, _, up) {axes=[0 1 2]}":             "4 scales, want one for each of 3 axes",
		"y = Resize(x, _, _, <1 6 20 30>) {axes=[0 1 2]}": "4 sizes, want one for each of 3 axes",
	} {
		_, err := ir.InferShapes(parse(t, "opset \"\" 18"+resizeInputs+lists(node)), nil)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", node, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `ir: node "y"`) {
			t.Errorf("%s: error %v, want one of node y with %q", node, err, want)
		}
	}
}

func TestResizeOf(t *testing.T) {
	x := ir.Shape{{Sym: "N"}, {Size: 6}, {Size: 8}, {Size: 9}}
	for _, c := range []struct{ opset, node, want string }{
		{"10", "y = Resize(x, up)", "{nearest asymmetric simple [1 1 2 1.5] [true true false false] false false}"},
		{"11", "y = Resize(x, none, up)", "{nearest half_pixel round_prefer_floor [1 1 2 1.5] [true true false false] false false}"},
		{
			"13", `y = Resize(x, _, down) {mode="linear", coordinate_transformation_mode="align_corners", nearest_mode="ceil"}`,
			"{linear align_corners ceil [1 1 0.5 0.26] [true true false false] false false}",
		},
		{"13", "h = Shape(x)\nf = Slice(h, <0>, <2>)\nt2 = Concat(f, <8 18>) {axis=0}\ny = Resize(x, _, _, t2)",
			"{nearest half_pixel round_prefer_floor [1 1 1 2] [true true true false] false false}"},
		{"13", "y = Resize(x, _, _, <1 6 20 30>)", "{nearest half_pixel round_prefer_floor [0 1 2.5 3.3333333] [false true false false] false false}"},
		{
			"18", `y = Resize(x, _, _, <4 9>) {axes=[2 3], mode="cubic", antialias=1, exclude_outside=1}`,
			"{cubic half_pixel round_prefer_floor [1 1 0.5 1] [true true false true] true true}",
		},
		{
			"18", `y = Resize(x, idx, _, <8 9>) {axes=[2 3], coordinate_transformation_mode="tf_crop_and_resize"}`,
			"{nearest tf_crop_and_resize round_prefer_floor [1 1 1 1] [true true false false] false false}",
		},
	} {
		g, n := view(t, "opset \"\" "+c.opset+resizeInputs+lists(c.node))
		info, err := ir.InferShapes(g, nil)
		if err != nil {
			t.Errorf("%s: %v", c.node, err)
			continue
		}
		if got, err := ir.ResizeOf(g, n, x, info["y"].Shape); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, %v; want %s", c.node, got, err, c.want)
		}
	}
	for node, want := range map[string]string{
		"y = Resize(x, _, scales)":                                       `scales "scales" are not constant`,
		`y = Resize(x, _, up) {mode="area"}`:                             `mode "area" is not one of`,
		`y = Resize(x, _, up) {nearest_mode="simple"}`:                   `nearest_mode "simple" is not one of`,
		`y = Resize(x, _, up) {coordinate_transformation_mode="pixels"}`: `coordinate_transformation_mode "pixels" is not one of`,
		`y = Resize(x, _, short)`:                                        "2 scales",
		`y = Resize(x, _, up) {axes=[7]}`:                                "axis 7",
	} {
		g, n := view(t, "opset \"\" 18"+resizeInputs+node)
		if _, err := ir.ResizeOf(g, n, x, x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", node, err, want)
		}
	}
	g, n := view(t, "opset \"\" 18"+resizeInputs+"y = Resize(x, _, up)")
	if _, err := ir.ResizeOf(g, n, nil, x); err == nil {
		t.Error("an input of unknown rank was read")
	}
}
