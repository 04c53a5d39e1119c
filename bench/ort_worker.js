// Runs models in ONNX Runtime for the harness beside it: requests on standard input, answers on standard output, one JSON object a line.
//
//	{do: "hello", cpu} → {version}
//	{do: "load", model, data, shape, threads} → {id, value}
//	{do: "run", id, steps} → {seconds}
//	{do: "free", id} → {}
'use strict';
const fs = require('fs');
const readline = require('readline');
const ort = require('onnxruntime-node');

const jobs = {};
let ids = 0;
let clock = () => process.hrtime.bigint(); // nanoseconds

const requests = {
	hello: ({ cpu }) => {
		if (cpu) {
			clock = () => BigInt(process.cpuUsage().user + process.cpuUsage().system) * 1000n;
		}
		return { version: ort.env.versions.node };
	},
	load: async ({ model, data, shape, threads }) => {
		const session = await ort.InferenceSession.create(model, {
			graphOptimizationLevel: 'all', executionMode: 'sequential', intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3,
		});
		const size = shape.reduce((a, b) => a * b, 1);
		const bytes = Buffer.alloc(4 * size);
		const file = fs.openSync(data.file, 'r');
		fs.readSync(file, bytes, 0, bytes.length, 4 * data.at);
		fs.closeSync(file);
		const x = new Float32Array(new Uint8Array(bytes).buffer);
		const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', x, shape) };
		jobs[++ids] = { session, feeds };
		const out = await session.run(feeds);
		return { id: ids, setting: 'all optimisations', value: Array.from(out[session.outputNames[0]].data.slice(0, 8)) };
	},
	run: async ({ id, steps }) => {
		const { session, feeds } = jobs[id];
		const start = clock();
		for (let i = 0; i < steps; i++) {
			await session.run(feeds);
		}
		return { seconds: Number(clock() - start) / 1e9 };
	},
	free: async ({ id }) => {
		await jobs[id].session.release();
		delete jobs[id];
		return {};
	},
};

async function main() {
	for await (const line of readline.createInterface({ input: process.stdin })) {
		let answer;
		try {
			const request = JSON.parse(line);
			answer = await requests[request.do](request);
		} catch (err) {
			answer = { error: String(err.message || err) };
		}
		process.stdout.write(JSON.stringify(answer) + '\n');
	}
}

main();
