// Runs one model in ONNX Runtime. Reads a request from standard input and writes the answer to standard output, both JSON:
//
//	{model, folder, inputs: [{name, type, shape, file}]}  →  {version, outputs: [{name, type, shape, file}]}
//
// type is ONNX Runtime's name of an element type, and files hold little-endian elements; those of outputs are made in folder.
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');

const arrays = {
	float32: Float32Array, float64: Float64Array, float16: Uint16Array, bool: Uint8Array,
	int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
	uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
};

async function main() {
	const request = JSON.parse(fs.readFileSync(0, 'utf8'));
	const feeds = {};
	for (const { name, type, shape, file } of request.inputs) {
		const bytes = fs.readFileSync(file);
		const aligned = new Uint8Array(bytes).buffer;
		feeds[name] = new ort.Tensor(type, new arrays[type](aligned), shape);
	}
	// One thread and no rewriting of the graph: what is wanted is the plain meaning of the operators, not speed.
	const session = await ort.InferenceSession.create(request.model, {
		graphOptimizationLevel: 'disabled', intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3,
	});
	const results = await session.run(feeds);
	const outputs = session.outputNames.map((name, i) => {
		const { type, dims, data } = results[name];
		const file = path.join(request.folder, `output${i}`);
		fs.writeFileSync(file, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
		return { name, type, shape: Array.from(dims), file };
	});
	process.stdout.write(JSON.stringify({ version: ort.env.versions.node, outputs }));
}

main().catch((err) => {
	process.stderr.write(`${err.message || err}\n`);
	process.exitCode = 1;
});
