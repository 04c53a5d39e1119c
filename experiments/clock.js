// Times two models in ONNX Runtime, for dms search --clock and dms compare --clock:
//
//	npm install onnxruntime-node
//	node experiments/clock.js A.onnx B.onnx   →  "4.1 2.3", milliseconds of one inference of one sample
//
// The models run in turns, so that a machine that is busy for a while is busy for both; the numbers are medians. DMS_THREADS is how many threads
// a model may use (default 1).
'use strict';
const ort = require('onnxruntime-node');

const rounds = 31;

async function prepare(path) {
	const session = await ort.InferenceSession.create(path, {
		intraOpNumThreads: Number(process.env.DMS_THREADS || 1), interOpNumThreads: 1, logSeverityLevel: 3,
	});
	const feeds = {};
	for (const { name, shape } of session.inputMetadata) {
		const sizes = shape.map((d) => (typeof d === 'number' && d > 0 ? d : 1)); // what is left open is the batch
		const values = new Float32Array(sizes.reduce((a, b) => a * b, 1));
		for (let i = 0; i < values.length; i++) values[i] = Math.sin(i);
		feeds[name] = new ort.Tensor('float32', values, sizes);
	}
	return async () => {
		const start = process.hrtime.bigint();
		await session.run(feeds);
		return Number(process.hrtime.bigint() - start) / 1e6;
	};
}

function median(values) {
	return values.sort((a, b) => a - b)[values.length >> 1];
}

async function main() {
	const runs = [];
	for (const path of process.argv.slice(2)) runs.push(await prepare(path));
	const times = runs.map(() => []);
	for (let round = -3; round < rounds; round++) { // the first three warm up
		for (let i = 0; i < runs.length; i++) {
			const ms = await runs[i]();
			if (round >= 0) times[i].push(ms);
		}
	}
	console.log(times.map(median).map((ms) => ms.toFixed(6)).join(' '));
}

main().catch((err) => {
	console.error(err.message || err);
	process.exitCode = 1;
});
