//go:build !amd64 || purego

package kernel

func fastest() variant { return goTwin }

func panelWidth(int) int { return goPanel }

func dotAsm([]float32, []int, []float32, []float32, []int, []int, int, []float32, int, int, bool) bool {
	return false
}

func outerAsm([]float32, int, []float32, int, int, []float32, int, int, int, int, int, int, int, bool) bool {
	return false
}

func depthRowAsm(*Slide, []float32, []float32, []float32, []float32, []WindowRow, Finish[float32]) bool {
	return false
}

func depthSumsAsm(*Slide, []float32, []float32, []float32, []WindowRow, int, int, int) bool {
	return false
}

func windowMaxAsm([]float32, []float32, []int) bool { return false }

func windowMaxGradAsm([]float32, []float32, []float32, []int) bool { return false }

func vectorAsm(vectorOp, []float32, []float32, []float32, float32) bool { return false }

func columnsAsm(columnsOp, int, []float32, []float32, []float32, []float32, []float32, []float32) bool {
	return false
}

func activateAsm(Activation, bool, []float32, []float32, []float32) bool { return false }

func winogradAsm(winogradOp, Squares[float32], Squares[float32], int, int, *WinogradRoom[float32]) bool {
	return false
}

func room32[T Float](*WinogradRoom[T]) *WinogradRoom[float32] { return nil }

func transposeAsm([]float32, int, []float32, int, int) int { return 0 }

func scaleShiftClampAsm(_ int, _, _, _, _, _ []float32, _ Activation) bool { return false }

func sumsClampAsm(_, _, _, _, _, _, _, _, _ []float32, _ Activation) bool { return false }

func gradClampAsm(_, _, _, _, _ []float32, _ Activation, _, _, _ []float32) bool { return false }

func streams([]float32, int, int, ...[]float32) bool { return false }

func activateStream(Activation, bool, bool, []float32, []float32, []float32) bool { return false }

func fence() {}
