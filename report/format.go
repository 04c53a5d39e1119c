package report

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

// notMeasured stands in tables for a number that nobody measured.
const notMeasured = "–"

// Count writes a number of MACs or parameters with three digits and a decimal suffix, as budgets are written: 272 k, 40.8 M, 1.23 G.
func Count(v int64) string {
	number, prefix := scale(float64(v))
	if prefix == "" {
		return number
	}
	return number + " " + prefix
}

// Bytes writes a size with three digits and a decimal unit: 512 B, 2.10 MB. A budget of bytes=2M is 2.00 MB.
func Bytes(v int64) string {
	number, prefix := scale(float64(v))
	if prefix == "k" {
		return number + " kB"
	}
	return number + " " + prefix + "B"
}

// scale writes v with three digits; small whole numbers stand as they are.
func scale(v float64) (number, prefix string) {
	if math.Abs(v) < 1000 {
		return fmt.Sprintf("%.0f", v), ""
	}
	for _, p := range []string{"k", "M", "G", "T", "P"} {
		v /= 1000
		if math.Abs(v) < 999.5 { // 999.5 and more would be written 1000
			return three(v), p
		}
	}
	return three(v / 1000), "E"
}

// three writes 0 ≤ |v| < 999.5 with three digits.
func three(v float64) string {
	switch a := math.Abs(v); {
	case a < 9.995:
		return fmt.Sprintf("%.2f", v)
	case a < 99.95:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// Percent writes a share with one decimal: 0.913 is 91.3%. A share that is not a number was not measured.
func Percent(share float64) string {
	if math.IsNaN(share) || math.IsInf(share, 0) {
		return notMeasured
	}
	return fmt.Sprintf("%.1f%%", 100*share)
}

// Duration writes a time with three digits, and from a minute on in minutes: 412 µs, 3.21 ms, 59.0 s, 2m05s, 1h30m.
func Duration(d time.Duration) string {
	switch s := d.Seconds(); {
	case d < 0:
		return "-" + Duration(max(-d, 0)) // −(−2⁶³) overflows
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case s < 999.5e-6:
		return three(s*1e6) + " µs"
	case s < 999.5e-3:
		return three(s*1e3) + " ms"
	case s < 59.95:
		return three(s) + " s"
	case s < 3599.5:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
}

// share is a part of a whole, NaN where there is no whole.
func share(part, whole int64) float64 {
	if whole == 0 {
		return math.NaN()
	}
	return float64(part) / float64(whole)
}

// clean makes text from a file safe to print: control characters and what steers the direction of writing become "�".
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
