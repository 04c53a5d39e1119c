package engine_test

import (
	"math"
	"testing"

	"github.com/dms-go/dms/internal/engine"
	"github.com/dms-go/dms/internal/program"
	"github.com/dms-go/dms/ir"
)

// TestShapesOfTheBatchAreConstantsOnceItIsBound builds what exporters make of a class token: a row of zeros for each sample, plus a
// weight. The gradient reaches the weight; a value that two batches disagree about is never a weight.
func TestShapesOfTheBatchAreConstantsOnceItIsBound(t *testing.T) {
	g, err := ir.Parse(`opset "" 17
		input x float32 (N, 2, 3)
		output y float32 (N, 3, 3)
		weight token float32 (1, 1, 3) = 1 2 3
		weight i int64 () = 0
		weight axes int64 (1) = 0
		weight rest int64 (2) = 1 3
		shape = Shape(x)
		n = Gather(shape, i)
		list = Unsqueeze(n, axes)
		target = Concat(list, rest) {axis=0}
		zeros = ConstantOfShape(target)
		first = Add(zeros, token)
		y = Concat(first, x) {axis=1}
		loss = ReduceSum(y) {keepdims=0}`)
	if err != nil {
		t.Fatal(err)
	}
	params, err := engine.NewParams[float32](g)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 4} {
		p, err := program.Build(g, program.Config{Bind: map[string]int{"N": n}, Loss: "loss", Wrt: []string{"token", "x"}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := engine.New(p, params, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := newTensor(n, 2, 3)
		for i := range x.data {
			x.data[i] = float64(i)
		}
		setInputs(t, m, map[string]tensor{"x": x})
		m.Run()
		y := m.Output("y")
		for i, v := range y {
			r, c := i/3%3, i%3
			want := float32(c + 1)
			if r > 0 {
				want = float32(x.at(i/9, r-1, c))
			}
			if v != want {
				t.Errorf("batch of %d: y[%d] = %v, want %v", n, i, v, want)
			}
		}
		for i, d := range m.Grad("token") {
			if math.Abs(float64(d)-float64(n)) > 1e-6 {
				t.Errorf("batch of %d: ∂loss/∂token[%d] = %v, want %d", n, i, d, n)
			}
		}
	}
}

// TestKeptConstantsAreComputed: a value that somebody wants to read may be constant.
func TestKeptConstantsAreComputed(t *testing.T) {
	g, err := ir.Parse(`opset "" 17
		input x float32 (N, 2)
		output y float32 (N, 2)
		output ones float32 (N, 2)
		weight one float32 () = 1
		shape = Shape(x)
		zeros = ConstantOfShape(shape)
		ones = Add(zeros, one)
		y = Add(x, ones)`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Build(g, program.Config{Bind: map[string]int{"N": 3}, Outputs: []string{"zeros"}})
	if err != nil {
		t.Fatal(err)
	}
	params, err := engine.NewParams[float32](g)
	if err != nil {
		t.Fatal(err)
	}
	m, err := engine.New(p, params, nil)
	if err != nil {
		t.Fatal(err)
	}
	setInputs(t, m, map[string]tensor{"x": newTensor(3, 2)})
	m.Run()
	for name, want := range map[string]float32{"y": 1, "ones": 1, "zeros": 0} {
		got := m.Output(name)
		if len(got) != 6 {
			t.Errorf("%s has %d elements, want 6", name, len(got))
		}
		for i, v := range got {
			if v != want {
				t.Errorf("%s[%d] = %v, want %v", name, i, v, want)
			}
		}
	}
}
