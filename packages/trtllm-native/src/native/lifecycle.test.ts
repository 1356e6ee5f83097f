// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ForwardBackend } from "../backend/forward-backend.js";
import { ropeFrequencies } from "../model/rope-frequencies.js";
import { blockRange, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, type TinyModel, tinyModel } from "./__fixtures__/tiny-model.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();
/** Enough layers that a step of all rows takes many times as long as the way back to JavaScript. */
const spec = { ...FAMILIES.llama, numLayers: 24 };
const ROWS = 512;
const LIMITS = { numKvBlocks: 16, maxSequences: 2, maxBatchedTokens: ROWS, threads: 2 };
const tokens = randomTokens(ROWS, spec.vocabSize, 1);
const longStep = (backend: ForwardBackend) => backend.step([share(0, tokens, 0, blockRange(0, 16))]);

let model: TinyModel;
const create = () =>
	createNativeBackend({ weights: model.weights, isa: "portable", precision: "f32", ...LIMITS });

beforeAll(() => {
	model = tinyModel(spec);
});
afterAll(() => model.dispose());

describe("cancelStep", () => {
	it("stops the running step; the next one is whole again", async () => {
		const backend = await create();
		await longStep(backend);
		const expected = backend.logits(0).slice();
		const cancelled = longStep(backend);
		backend.cancelStep();
		expect(await cancelled).toMatchObject({ cancelled: true, sampled: [] });
		expect(() => backend.logits(0)).toThrow(/no logits/);
		expect((await longStep(backend)).cancelled).toBe(false);
		expect(backend.logits(0)).toEqual(expected);
		await backend.close();
	});

	it("stops between layers, not at the end", async () => {
		const backend = await create();
		const whole = await longStep(backend);
		const cancelled: number[] = [];
		for (let i = 0; i < 5; i++) {
			const running = longStep(backend);
			backend.cancelStep();
			cancelled.push((await running).elapsedMs);
		}
		// One of 24 layers at most; the best of five, since this thread and the engine's may be pushed aside.
		expect(Math.min(...cancelled)).toBeLessThan(whole.elapsedMs / 4);
		await backend.close();
	});

	it("does nothing when no step runs", async () => {
		const backend = await create();
		backend.cancelStep();
		expect((await longStep(backend)).cancelled).toBe(false);
		await backend.close();
		backend.cancelStep();
	});
});

describe("close", () => {
	it("ends a running step as cancelled, and is idempotent", async () => {
		const backend = await create();
		const running = longStep(backend);
		await Promise.all([backend.close(), backend.close()]);
		expect(await running).toMatchObject({ cancelled: true });
		await backend.close();
		await expect(longStep(backend)).rejects.toMatchObject({ code: "UNAVAILABLE" });
		expect(() => backend.logits(0)).toThrowError(expect.objectContaining({ code: "UNAVAILABLE" }));
	});

	it("gives back memory and threads: 200 engines in a row", async () => {
		setFlagsFromString("--expose-gc");
		const collect = runInNewContext("gc") as () => void;
		const cycle = async () => {
			const backend = await create();
			await backend.step([share(0, tokens.subarray(0, 4), 0, Uint32Array.of(0))]);
			await backend.close();
		};
		const settle = async () => {
			collect();
			await new Promise((resolve) => setImmediate(resolve)); // finalizers of buffers
			return { bytes: process.memoryUsage.rss(), threads: threadCount() };
		};
		for (let i = 0; i < 20; i++) await cycle();
		const before = await settle();
		for (let i = 0; i < 200; i++) await cycle();
		const after = await settle();
		expect(after.threads).toBe(before.threads);
		// One engine holds about 5 MB of weights, activations and KV blocks.
		expect(after.bytes - before.bytes).toBeLessThan(32 << 20);
	}, 60_000);
});

describe("a process or thread of its own", () => {
	const binary = fileURLToPath(new URL("../../build/Release/dyn_native.node", import.meta.url));
	/** Plain JavaScript over the binding alone: loads an engine, starts a step and goes on with `ending`. */
	const program = (ending: string) => `
		const { NativeEngine } = require(${JSON.stringify(binary)});
		const { spec, tensors } = ${JSON.stringify(model.weights)};
		const engine = new NativeEngine({
			spec, tensors, inverseFrequencies: Float32Array.from(${JSON.stringify([...ropeFrequencies(spec)])}),
			numKvBlocks: 16, maxSequences: 2, maxBatchedTokens: ${ROWS}, maxDrafts: 0, threads: 2, f32: true, isa: "portable",
		});
		engine.load().then((info) => {
			const running = engine.step(Uint32Array.of(0, 0, ${ROWS}, 16, 2, 0, 0, 0, 0), new Uint32Array(${ROWS}), Uint32Array.from({ length: 16 }, (_, i) => i), new Uint32Array(0), 1, 0);
			${ending}
		});`;

	/** glibc overwrites freed memory then: an engine thread that outlives its environment does not go unnoticed. */
	const run = (source: string) => {
		const { status, signal, stderr } = spawnSync(process.execPath, ["-e", source], {
			env: { ...process.env, MALLOC_PERTURB_: "165" },
			encoding: "utf8",
			timeout: 60_000, // for hangs: with the sanitizers, on a busy machine, a step takes long
		});
		return { status, signal, stderr };
	};

	it("may exit during a step", () => {
		expect(run(program("process.exit(7)"))).toEqual({ status: 7, signal: null, stderr: "" });
	});

	it("may exit during the load, and an idle engine keeps no process alive", () => {
		const during = program("").replace("engine.load()", "setImmediate(() => process.exit(3)), engine.load()");
		expect(run(during)).toEqual({ status: 3, signal: null, stderr: "" });
		expect(run(program(""))).toEqual({ status: 0, signal: null, stderr: "" });
	});

	it("may have its checkpoint truncated during the load", () => {
		const file = `${model.file}.cut`;
		// Ten times: now and then the load is quicker than the cut, and succeeds.
		const source = program("").replaceAll(JSON.stringify(model.file), JSON.stringify(file));
		const cut = source.replace(
			/engine\.load\(\)\.then[\s\S]*/,
			`engine.load().then(() => {}, ({ code }) => { process.exitCode = code === "MODEL_FORMAT" ? 6 : 7; });
			require("node:fs").truncateSync(${JSON.stringify(file)}, 4096);`,
		);
		for (let i = 0; i < 10; i++) {
			copyFileSync(model.file, file);
			const { status, signal } = run(cut);
			expect({ signal, ended: [0, 6].includes(status!) }).toEqual({ signal: null, ended: true });
		}
	});

	it("may close the engine and still read the logits", () => {
		const ending = `running.then(() => {
			const view = new Float32Array(info.logits);
			const copy = view.slice();
			engine.close();
			process.exitCode = copy.some((value) => value !== 0) && copy.every((value, i) => value === view[i]) ? 4 : 5;
		});`;
		expect(run(program(ending))).toEqual({ status: 4, signal: null, stderr: "" });
	});

	it("may be a worker that is terminated during a step", async () => {
		const threads = threadCount();
		for (let i = 0; i < 5; i++) {
			const ending = "require('node:worker_threads').parentPort.postMessage('running');";
			const worker = new Worker(program(ending), { eval: true });
			await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
			await worker.terminate();
		}
		expect(threadCount()).toBe(threads);
	});
});

/** Threads of this process; the kernel's list where there is one. */
function threadCount(): number {
	return process.platform === "linux" ? readdirSync("/proc/self/task").length : 0;
}
