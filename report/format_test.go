package report

import (
	"math"
	"testing"
	"time"
)

func TestNumbersHaveThreeDigits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"},
		{Count(999), "999"},
		{Count(1000), "1.00 k"},
		{Count(9994), "9.99 k"},
		{Count(9996), "10.0 k"},
		{Count(271_824), "272 k"},
		{Count(999_499), "999 k"},
		{Count(999_500), "1.00 M"},
		{Count(40_813_184), "40.8 M"},
		{Count(-1234), "-1.23 k"},
		{Count(math.MaxInt64), "9.22 E"},
		{Count(math.MinInt64), "-9.22 E"},
		{Bytes(512), "512 B"},
		{Bytes(2048), "2.05 kB"},
		{Bytes(2e6), "2.00 MB"},
		{Percent(0.9126), "91.3%"},
		{Percent(1), "100.0%"},
		{Percent(math.NaN()), "–"},
		{Percent(math.Inf(1)), "–"},
		{Duration(0), "0 ns"},
		{Duration(999), "999 ns"},
		{Duration(412 * time.Microsecond), "412 µs"},
		{Duration(999_600 * time.Nanosecond), "1.00 ms"},
		{Duration(3214 * time.Microsecond), "3.21 ms"},
		{Duration(59 * time.Second), "59.0 s"},
		{Duration(59_970 * time.Millisecond), "1m00s"},
		{Duration(125 * time.Second), "2m05s"},
		{Duration(3599*time.Second + 900*time.Millisecond), "1h00m"},
		{Duration(90 * time.Minute), "1h30m"},
		{Duration(-2 * time.Second), "-2.00 s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if got := Duration(math.MinInt64); got == "" {
		t.Error("the smallest duration has no text")
	}
}
