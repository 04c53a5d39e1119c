package engine

import (
	"github.com/dms-go/dms/internal/conv"
	"github.com/dms-go/dms/internal/gemm"
	"github.com/dms-go/dms/internal/kernel"
	"github.com/dms-go/dms/internal/program"
)

// binder fixes the memory of one instruction and returns how to run it.
type binder[T kernel.Float] func(m *Machine[T], in *program.Instr) func()

// binders has one row per operation.
func binders[T kernel.Float]() map[program.Op]binder[T] {
	return map[program.Op]binder[T]{
		program.Conv:             bindConv[T],
		program.ConvPack:         bindConvPack[T],
		program.Fold:             bindFold[T],
		program.ConvData:         bindConvData[T],
		program.ConvWeight:       bindConvWeight[T],
		program.Gemm:             bindGemm[T],
		program.BatchedGemm:      bindGemm[T],
		program.BatchNorm:        bindBatchNorm[T],
		program.BatchNormGrad:    bindBatchNormGrad[T],
		program.Unary:            bindUnary[T],
		program.UnaryGrad:        bindUnaryGrad[T],
		program.Binary:           bindBinary[T],
		program.Prelu:            bindPrelu[T],
		program.PreluGrad:        bindPreluGrad[T],
		program.Sum:              bindSum[T],
		program.SumProduct:       bindSum[T],
		program.ScaleGrad:        bindScaleGrad[T],
		program.Expand:           bindExpand[T],
		program.MaxPool:          bindMaxPool[T],
		program.MaxPoolGrad:      bindMaxPoolGrad[T],
		program.AvgPool:          bindAvgPool[T],
		program.AvgPoolGrad:      bindAvgPoolGrad[T],
		program.Transpose:        bindTranspose[T],
		program.Concat:           bindConcat[T],
		program.Cut:              bindCut[T],
		program.Place:            bindPlace[T],
		program.PadReflect:       bindPadReflect[T],
		program.Gather:           bindGather[T],
		program.GatherGrad:       bindGatherGrad[T],
		program.Blend:            bindBlend[T],
		program.BlendGrad:        bindBlendGrad[T],
		program.Softmax:          bindSoftmax[T],
		program.SoftmaxGrad:      bindSoftmaxGrad[T],
		program.LogSoftmax:       bindLogSoftmax[T],
		program.LogSoftmaxGrad:   bindLogSoftmaxGrad[T],
		program.Dropout:          bindDropout[T],
		program.CrossEntropy:     bindCrossEntropy[T],
		program.CrossEntropyGrad: bindCrossEntropyGrad[T],
		program.Dist:             bindDist[T],
		program.DistGrad:         bindDistGrad[T],
		program.Suppress:         bindSuppress[T],
		program.NonZero:          bindNonZero[T],
		program.Where:            bindWhere[T],
		program.Extreme:          bindExtreme[T],
		program.Arg:              bindArg[T],
		program.TopK:             bindTopK[T],
		program.CumSum:           bindCumSum[T],
		program.Pick:             bindPick[T],
		program.Put:              bindPut[T],
		program.Mix:              bindMix[T],
		program.RowNorm:          bindRowNorm[T],
		program.RowNormGrad:      bindRowNormGrad[T],
	}
}

// grain is how many elements of simple arithmetic are worth a worker.
const grain = 1 << 13

// scratchLen is how many elements of the shared scratch an instruction needs.
func (m *Machine[T]) scratchLen(in *program.Instr) int {
	switch in.Op {
	case program.Conv:
		return conv.ScratchForward(in.Attr.(program.ConvAttr).Shape, m.pool.Workers())
	case program.ConvData:
		return conv.ScratchDataGrad(in.Attr.(program.ConvAttr).Shape, m.pool.Workers())
	case program.ConvWeight:
		return conv.ScratchWeightGrad(in.Attr.(program.ConvAttr).Shape, m.pool.Workers())
	}
	return 0
}

func bindConv[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.ConvAttr)
	y, x := m.slice(in.Out[0]), m.slice(in.In[0])
	filter := conv.Filter[T]{Raw: m.slice(in.In[1])}
	if a.Packed {
		filter = conv.Filter[T]{Packed: filter.Raw}
	}
	finish := conv.Epilogue[T]{Act: a.Act}
	if len(in.In) > 2 {
		finish.Bias = m.slice(in.In[2])
	}
	if len(in.In) > 3 {
		finish.Add = m.slice(in.In[3])
	}
	if len(in.Out) == 1 {
		return func() { conv.Forward(m.pool, a.Shape, y, x, filter, finish, m.scratch) }
	}
	moments := conv.Moments{Mean: make([]float64, a.Shape.O), Squares: make([]float64, a.Shape.O)}
	finish.Moments = &moments
	mean, squares := m.slice(in.Out[1]), m.slice(in.Out[2])
	return func() {
		conv.Forward(m.pool, a.Shape, y, x, filter, finish, m.scratch)
		for c := range moments.Mean {
			mean[c], squares[c] = T(moments.Mean[c]), T(moments.Squares[c])
		}
	}
}

func bindConvPack[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	s := in.Attr.(program.ConvAttr).Shape
	packed, w := m.slice(in.Out[0]), m.slice(in.In[0])
	return func() { conv.Pack(m.pool, s, packed[:conv.PackedLen(s)], w) }
}

func bindConvData[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	s := in.Attr.(program.ConvAttr).Shape
	dx, dy, w := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	return func() { conv.DataGrad(m.pool, s, dx, dy, w, m.scratch) }
}

func bindConvWeight[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	s := in.Attr.(program.ConvAttr).Shape
	dw, x, dy := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	return func() { conv.WeightGrad(m.pool, s, dw, x, dy, m.scratch) }
}

func bindGemm[T kernel.Float](m *Machine[T], in *program.Instr) func() {
	a := in.Attr.(program.GemmAttr)
	c, x, w := m.slice(in.Out[0]), m.slice(in.In[0]), m.slice(in.In[1])
	lda, ldb := a.K, a.N
	if a.TransA {
		lda = a.M
	}
	if a.TransB {
		ldb = a.K
	}
	return func() {
		for i := range a.Batch {
			gemm.Gemm(m.pool, a.TransA, a.TransB, a.M, a.N, a.K, T(a.Alpha), x[i*a.M*a.K:], lda, w[i*a.K*a.N:], ldb, 0, c[i*a.M*a.N:], a.N)
		}
	}
}
