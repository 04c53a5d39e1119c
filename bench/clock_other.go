//go:build !unix

package main

import "time"

// processorTime is not known here; time stands for it.
func processorTime() time.Duration { return sinceStart() }
