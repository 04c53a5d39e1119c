package topk_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/dms-go/dms/internal/safetensors"
	"github.com/dms-go/dms/internal/testkit"
	"github.com/dms-go/dms/topk"
)

// TestOperatorEqualsGolden compares with values of an independent implementation: ties, one element, all equal, a outside [0, 1].
func TestOperatorEqualsGolden(t *testing.T) {
	golden, sharpness := readGolden(t)
	for i := 0; ; i++ {
		key := func(name string) string { return fmt.Sprintf("op.%d.%s", i, name) }
		c, ok := golden[key("c")]
		if !ok {
			if i != 20 {
				t.Fatalf("found %d cases, want 20", i)
			}
			return
		}
		a := golden[key("a")][0]
		n := len(c)
		rank, m, dm := make([]float64, n), make([]float64, n), make([]float64, n)
		topk.Rank(rank, c)
		l := sharpness[i].L
		live := topk.Mask(m, c, a, l)
		topk.MaskGrad(dm, m, l, live)
		near(t, key("rank"), rank, golden[key("rank")], 1e-7)
		near(t, key("m"), m, golden[key("m")], 4e-7)
		near(t, key("dm_da"), dm, golden[key("dm_da")], 4e-7)
		for _, minimum := range []int{0, 1} {
			got := make([]float64, n)
			for _, e := range topk.Keep(c, a, minimum) {
				got[e] = 1
			}
			near(t, key(fmt.Sprintf("keep, minimum %d", minimum)), got, golden[key(fmt.Sprintf("keep_min%d", minimum))], 0)
		}
	}
}

func TestRankIgnoresRisingRescaling(t *testing.T) {
	const seed = 3
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		c := randomImportances(rng)
		want, got := make([]float64, len(c)), make([]float64, len(c))
		topk.Rank(want, c)
		for i := range c {
			c[i] = math.Exp(3*c[i]) - 7
		}
		topk.Rank(got, c)
		near(t, fmt.Sprintf("seed %d: ranks", seed), got, want, 0)
	}
}

func TestKeepCountsWhatTheRatioSays(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		n := 1 + rng.IntN(70)
		c := make([]float64, n)
		for i, v := range rng.Perm(n) {
			c[i] = float64(v)
		}
		a := rng.Float64()
		if got, want := len(topk.Keep(c, a, 0)), int(math.Round((1-a)*float64(n))); got != want {
			t.Fatalf("seed %d: n = %d, a = %v: kept %d, want %d", seed, n, a, got, want)
		}
		m := make([]float64, n)
		topk.Mask(m, c, a, 1)
		for _, e := range topk.Keep(c, a, 0) {
			if m[e] < 0.5 {
				t.Fatalf("seed %d: n = %d, a = %v: kept element %d of mask %v", seed, n, a, e, m[e])
			}
		}
	}
}

func TestMaskGradIsTheDerivative(t *testing.T) {
	const seed, h = 7, 1e-6
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		c := randomImportances(rng)
		n := len(c)
		a, l := rng.Float64(), []float64{1, 4, 8}[rng.IntN(3)]
		m, dm, up, down := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		live := topk.Mask(m, c, a, l)
		topk.MaskGrad(dm, m, l, live)
		topk.Mask(up, c, a+h, l)
		topk.Mask(down, c, a-h, l)
		for i := range m {
			if got, want := dm[i], (up[i]-down[i])/(2*h); math.Abs(got-want) > 1e-4*(1+math.Abs(want)) {
				t.Fatalf("seed %d: element %d: ∂m/∂a = %v, finite difference %v", seed, i, got, want)
			}
		}
	}
}

func TestTiesGoByIndex(t *testing.T) {
	c := []float64{2, 1, 2, 2, 0}
	for _, tc := range []struct {
		name string
		got  []int
		want []int
	}{
		{"top 2 of three equal", topk.Top(c, 2), []int{0, 2}},
		{"top of none", topk.Top(c, -1), []int{}},
		{"top of too many", topk.Top(c, 9), []int{0, 1, 2, 3, 4}},
		{"a tie leaves as a whole", topk.Keep(c, 0.75, 0), []int{}},
		{"the minimum cuts a tie", topk.Keep(c, 0.75, 2), []int{0, 2}},
		{"order", topk.Order(c), []int{0, 2, 3, 1, 4}},
		{"an unranked group keeps all", topk.Keep([]float64{0, 0, 0}, 0.9, 1), []int{0, 1, 2}},
		{"an empty group", topk.Keep(nil, 0.5, 1), []int{}},
	} {
		if !slices.Equal(tc.got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

func TestUpdateByCriterion(t *testing.T) {
	m, s := []float64{0.5, 1}, []float64{-4, 3}
	for _, tc := range []struct {
		criterion string
		want      []float64
	}{
		{"taylor", []float64{0.99 + 0.01*4, 0.99 + 0.01*9}},
		{"snip", []float64{0.99 + 0.01*2, 0.99 + 0.01*3}},
		{"rise", []float64{0.99 + 0.01*2, 0.99}},
		{"fisher", []float64{0.99 + 0.01*16, 0.99 + 0.01*9}},
		{"magnitude", []float64{4, 3}},
		{"index", []float64{2, 1}},
	} {
		c := []float64{1, 1}
		if err := topk.Update(c, m, s, tc.criterion, 0.99); err != nil {
			t.Fatal(err)
		}
		near(t, tc.criterion, c, tc.want, 1e-15)
	}
	if n := len(topk.Criteria()); n != 6 {
		t.Errorf("%d criteria, the table above has 6", n)
	}
}

func TestUpdateSkipsWhatIsNotFinite(t *testing.T) {
	c := []float64{1, 2, 3, 4}
	g := []float64{math.NaN(), math.Inf(1), 1e200, 1}
	if err := topk.Update(c, []float64{1, 1, 1, 1}, g, "taylor", 0.5); err != nil {
		t.Fatal(err)
	}
	near(t, "importances", c, []float64{1, 2, 3, 2.5}, 0)
}

func TestUpdateRefusesAnUnknownCriterion(t *testing.T) {
	c := []float64{1}
	if err := topk.Update(c, c, c, "tailor", 0.5); err == nil {
		t.Error("no error for an unknown criterion")
	}
}

// randomImportances are up to 40 importances, with ties more often than not.
func randomImportances(rng *rand.Rand) []float64 {
	c := make([]float64, 1+rng.IntN(40))
	for i := range c {
		c[i] = rng.Float64()
		if rng.IntN(3) == 0 {
			c[i] = float64(rng.IntN(3)) / 2
		}
	}
	return c
}

func near(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Abs(got[i]-want[i]) > tol*max(1, math.Abs(want[i])) {
			t.Errorf("%s[%d] = %v, want %v", what, i, got[i], want[i])
		}
	}
}

// readGolden reads the tensors of operator.safetensors, and each case's sharpness from golden.json.
func readGolden(t *testing.T) (values map[string][]float64, cases []struct{ L float64 }) {
	t.Helper()
	raw, err := os.ReadFile(testkit.Shared(t, "golden/operator.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	tensors, _, err := safetensors.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	values = map[string][]float64{}
	for name, tensor := range tensors {
		for _, v := range tensor.F32 {
			values[name] = append(values[name], float64(v))
		}
	}
	if raw, err = os.ReadFile(testkit.Shared(t, "golden/golden.json")); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Cases []struct{ L float64 } `json:"operator_cases"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return values, doc.Cases
}
