// Package report turns the numbers of searches and trainings into tables, JSON and pictures.
//
// In go results as plain values, or the folder of a run; out come text for people, JSON for programs and a PNG of the widths, each
// written to an io.Writer. Nothing here computes anything but shares and orders: every number was measured elsewhere.
//
// Files of a run may come from anyone. What does not hold together is an error; sizes are bounded before memory is taken; and text
// from a file reaches a terminal without its control characters.
package report
