// Package onnx reads and writes ONNX model files.
//
// In comes a file's bytes and out comes an ir.Graph that passed ir.Validate, or the other way round; Decode(Encode(g)) equals g.
// Operator sets 8 to 23 of IR versions 3 to 11 are read. Operators are not interpreted: an unknown one is a node like any other.
//
// What a graph does not hold is lost: training information, quantisation annotations, denotations, metadata of nodes, doc strings
// of tensors and attributes, types of inner values that are not tensors. What would change the meaning is refused: functions
// of the model's own, sparse initializers, tensors of unknown element types, nodes out of topological order. An initializer that
// is listed as a graph input too is a weight, not an input. Weights are read from external files too; WriteFile
// writes them there where the graph came from such, or is larger than the 2 GiB of a model file.
//
// Files are untrusted. Every length is held against what the file has before memory is taken, and Decode needs at most
// 128 times the size of its input (memoryFactor, which tests hold it to), next to 128 KiB and the bytes of external data.
package onnx

import "google.golang.org/protobuf/encoding/protowire"

// memoryFactor bounds the memory that Decode takes per byte of input. Files of many tiny fields come nearest, with a third to half of
// it; a file of weights needs about twice its size.
const memoryFactor = 128

const (
	minOpset, maxOpset         = 8, 23
	minIRVersion, maxIRVersion = 3, 11

	maxFile   = 1<<31 - 1 // what a protobuf message may have
	maxFaults = 32        // after this many, decoding stops
	maxName   = 16 << 10  // bytes of one name of a node, value, operator or attribute
	maxDepth  = 32        // of subgraphs within subgraphs
	maxRank   = 64

	defaultMaxExternal = 8 << 30
)

// Options say where a model's surroundings are.
type Options struct {
	// Dir is the folder in which external data files are looked for, never outside it. With "" a model that has some is refused.
	Dir string

	// MaxExternal bounds the bytes of external data of one model. Default 8 GiB.
	MaxExternal int64
}

// Field numbers of onnx.proto. Only those that are read or written are named.
const (
	modelIRVersion       protowire.Number = 1
	modelProducer        protowire.Number = 2
	modelProducerVersion protowire.Number = 3
	modelDomain          protowire.Number = 4
	modelVersion         protowire.Number = 5
	modelDoc             protowire.Number = 6
	modelGraph           protowire.Number = 7
	modelOpset           protowire.Number = 8
	modelMetadata        protowire.Number = 14
	modelFunctions       protowire.Number = 25

	opsetDomain  protowire.Number = 1
	opsetVersion protowire.Number = 2

	entryKey   protowire.Number = 1
	entryValue protowire.Number = 2

	graphNode              protowire.Number = 1
	graphName              protowire.Number = 2
	graphInitializer       protowire.Number = 5
	graphDoc               protowire.Number = 10
	graphInput             protowire.Number = 11
	graphOutput            protowire.Number = 12
	graphValueInfo         protowire.Number = 13
	graphSparseInitializer protowire.Number = 15

	nodeInput     protowire.Number = 1
	nodeOutput    protowire.Number = 2
	nodeName      protowire.Number = 3
	nodeOp        protowire.Number = 4
	nodeAttribute protowire.Number = 5
	nodeDoc       protowire.Number = 6
	nodeDomain    protowire.Number = 7
	nodeOverload  protowire.Number = 8

	attrName    protowire.Number = 1
	attrFloat   protowire.Number = 2
	attrInt     protowire.Number = 3
	attrString  protowire.Number = 4
	attrTensor  protowire.Number = 5
	attrGraph   protowire.Number = 6
	attrFloats  protowire.Number = 7
	attrInts    protowire.Number = 8
	attrStrings protowire.Number = 9
	attrTensors protowire.Number = 10
	attrGraphs  protowire.Number = 11
	attrTypeOf  protowire.Number = 14
	attrTypes   protowire.Number = 15
	attrType    protowire.Number = 20
	attrRef     protowire.Number = 21
	attrSparse  protowire.Number = 22
	attrSparses protowire.Number = 23

	tensorDims     protowire.Number = 1
	tensorType     protowire.Number = 2
	tensorSegment  protowire.Number = 3
	tensorFloats   protowire.Number = 4
	tensorInt32s   protowire.Number = 5
	tensorStrings  protowire.Number = 6
	tensorInt64s   protowire.Number = 7
	tensorName     protowire.Number = 8
	tensorRaw      protowire.Number = 9
	tensorDoubles  protowire.Number = 10
	tensorUint64s  protowire.Number = 11
	tensorExternal protowire.Number = 13
	tensorLocation protowire.Number = 14

	sparseValues protowire.Number = 1

	infoName protowire.Number = 1
	infoType protowire.Number = 2
	infoDoc  protowire.Number = 3

	typeTensor      protowire.Number = 1
	typeDenotation  protowire.Number = 6
	tensorTypeElem  protowire.Number = 1
	tensorTypeShape protowire.Number = 2
	shapeDim        protowire.Number = 1
	dimValue        protowire.Number = 1
	dimParam        protowire.Number = 2
)
