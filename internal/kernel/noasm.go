package kernel

func panelWidth(int) int { return goPanel }

func dotAsm([]float32, []int, []float32, []int, []int, int, []float32, int, int, bool) bool {
	return false
}

func outerAsm([]float32, int, []float32, int, int, []float32, int, int, int, int, int, int, int, bool) bool {
	return false
}
