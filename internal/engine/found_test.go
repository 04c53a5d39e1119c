package engine_test

import (
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/parallel"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
)

// TestFoundPositionsComeFirst runs operators that find as many rows as there are; −1 fills what they have room for.
func TestFoundPositionsComeFirst(t *testing.T) {
	for _, c := range []struct {
		name, graph string
		inputs      map[string][]float32
		want        []float32
	}{
		{"nonzero", `
			input x float32 (2, 3)
			output y int64 (?, ?)
			y = NonZero(x)`, map[string][]float32{"x": {0, 5, 0, -1, 0, 2}}, []float32{0, 1, 1, -1, -1, -1, 1, 0, 2, -1, -1, -1}},
		{"suppression", `
			input b float32 (1, 4, 4)
			input s float32 (1, 2, 4)
			weight most int64 () = 3
			weight iou float32 () = 0.5
			weight least float32 () = 0.15
			output y int64 (?, ?)
			y = NonMaxSuppression(b, s, most, iou, least)`, map[string][]float32{
			"b": {0, 0, 1, 1, 0, 0.1, 1, 1.1, 3, 0, 2, 1, 5, 5, 6, 6}, // the second overlaps with the first by 9/11, the third is turned
			"s": {0.9, 0.8, 0.3, 0.1, 0.2, 0.7, 0.1, 0.3},
		}, []float32{0, 0, 0, 0, 0, 2, 0, 1, 1, 0, 1, 3, -1, -1, -1, -1, -1, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := ir.Parse("opset \"\" 17\n" + c.graph)
			if err != nil {
				t.Fatal(err)
			}
			p, err := program.Build(g, program.Config{})
			if err != nil {
				t.Fatal(err)
			}
			params, err := engine.NewParams[float32](g)
			if err != nil {
				t.Fatal(err)
			}
			pool := parallel.New(1)
			defer pool.Close()
			m, err := engine.New(p, params, pool)
			if err != nil {
				t.Fatal(err)
			}
			for name, v := range c.inputs {
				if err := m.SetInput(name, v); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				m.Run()
				if got := m.Output("y"); !slices.Equal(got, c.want) {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}

// TestWholeNumbersAreExactOrNaN: what leaves the range in which float32 has every whole number is no number at all.
func TestWholeNumbersAreExactOrNaN(t *testing.T) {
	g, err := ir.Parse(`opset "" 17
		input x int64 (4)
		output y int64 (4)
		output u uint8 (4)
		y = Mul(x, x)
		u = Cast(x) {to=2}`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Build(g, program.Config{})
	if err != nil {
		t.Fatal(err)
	}
	params, err := engine.NewParams[float32](g)
	if err != nil {
		t.Fatal(err)
	}
	pool := parallel.New(1)
	defer pool.Close()
	m, err := engine.New(p, params, pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range [][]float32{{1, 2, 3, 0.5}, {1, 2, 3, 1<<24 + 2}} {
		if err := m.SetInput("x", v); err == nil {
			t.Errorf("input %v is taken", v)
		}
	}
	if err := m.SetInput("x", []float32{4096, 4097, -7, 255}); err != nil {
		t.Fatal(err)
	}
	m.Run()
	if y := m.Output("y"); y[0] != 1<<24 || y[1] == y[1] || y[2] != 49 || y[3] != 255*255 {
		t.Errorf("squares %v, want 2^24, NaN, 49 and 65025", y)
	}
	if u := m.Output("u"); u[0] == u[0] || u[2] == u[2] || u[3] != 255 {
		t.Errorf("bytes %v, want NaN but for 255", u)
	}
}
