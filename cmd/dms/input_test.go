package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/ir"
	"github.com/dms-go/dms/space"
)

// open is a network whose batch, height and width its file leaves open.
const open = `opset "" 17
input x float32 (?, 3, ?, ?)
output y float32 (?, 5, ?, ?)
weight w float32 (4, 3, 3, 3) = 1*108
weight v float32 (5, 4, 1, 1) = 1*20
c = Conv(x, w) name c
y = Conv(c, v) name d
`

func TestInspectSaysHowToStateOpenSizes(t *testing.T) {
	g, err := ir.Parse(open)
	if err != nil {
		t.Fatal(err)
	}
	_, err = inspect("m.onnx", g, space.Options{})
	var h *hinted
	if !errors.Is(err, cost.ErrOpen) || !errors.As(err, &h) || !strings.Contains(h.hint, "--input x=Nx3x224x224") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

func TestInputsTakeTheShapesThatAreStated(t *testing.T) {
	for _, text := range []string{"x=1x3x10x12", "1x3x10x12", "Nx3x10x12"} {
		g, err := ir.Parse(open)
		if err != nil {
			t.Fatal(err)
		}
		if g, err = sized(g, []string{text}); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		v, err := inspect("m.onnx", g, space.Options{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if want := int64(8 * 10 * (4*27 + 5*4)); v.MACs != want {
			t.Errorf("%s: %d MACs, want %d", text, v.MACs, want)
		}
	}
	for text, want := range map[string]string{
		"y=1x3x10x12": `no input "y"`, "1x3x10": "3 axes", "1x4x10x12": "fixes axis 1", "1x3x0x12": "want sizes", "1x3xNx12": "want sizes", "": "axes",
		"1x3x99999999999999999999x1": "want sizes",
	} {
		g, err := ir.Parse(open)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sized(g, []string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}
