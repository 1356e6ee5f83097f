// SPDX-License-Identifier: Apache-2.0
// The embedded engine's backend as a benchmark driver: one JSON question per line on standard input (driver-process.ts
// has their types), one JSON answer per line on standard output.   node engine-driver.js MODEL [THREADS] [ISA]
// What is timed is what peers/llama-cpp/llbench.cpp times: nothing but steps that end with every row's logits in memory.
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import {
	createNativeBackend,
	type ForwardBackend,
	loadModelWeights,
	type StepSequence,
} from "@dyn/trtllm-native";
import type { DriverAnswer, DriverQuestion } from "./driver-process.js";

const KV_BLOCK_SIZE = 32;
/** Rows of one step, as llama.cpp's ubatch. */
const MAX_ROWS = 512;
const MAX_SEQUENCES = 16;
/** Cached tokens per sequence: the longest question. */
const MAX_CONTEXT = 2304;

/** Ordinary token ids, the same every run (the sequence that llbench uses). */
const tokenAt = (i: number): number => 1000 + ((i * 7919 + 13) % 40_000);

class EngineDriver {
	readonly #backend: ForwardBackend;
	readonly #loadMs: number;
	/** Sequences 0 .. batch-1 hold `context` tokens each. */
	#filled = { batch: 0, context: -1 };

	constructor(backend: ForwardBackend, loadMs: number) {
		this.#backend = backend;
		this.#loadMs = loadMs;
	}

	async answer(question: DriverQuestion): Promise<DriverAnswer> {
		switch (question.op) {
			case "info":
				return {
					engine: "dyn",
					...this.#backend.info,
					load_ms: this.#loadMs,
					rss_kb: process.memoryUsage.rss() / 1024,
				};
			case "pp":
				return this.#prefill(question.n);
			case "dec":
				return this.#decode(question.batch, question.ctx, question.steps);
		}
	}

	close(): Promise<void> {
		return this.#backend.close();
	}

	async #prefill(n: number): Promise<DriverAnswer> {
		this.#filled = { batch: 0, context: -1 };
		const began = performance.now();
		await this.#feed(0, n);
		this.#backend.logits(0);
		return { ms: performance.now() - began, tokens: n };
	}

	async #decode(batch: number, context: number, steps: number): Promise<DriverAnswer> {
		if (this.#filled.batch !== batch || this.#filled.context !== context) {
			for (let slot = 0; slot < batch; slot++) await this.#feed(slot, context);
			this.#filled = { batch, context };
		}
		let began = 0;
		for (let step = 0; step <= steps; step++) {
			if (step === 1) began = performance.now(); // the first one warms up
			const position = context + step;
			await this.#backend.step(
				Array.from({ length: batch }, (_, slot) =>
					share(slot, position, Uint32Array.of(tokenAt(position + slot * 31)), "logits"),
				),
			);
		}
		return { ms: performance.now() - began, tokens: batch * steps };
	}

	/** Writes `n` tokens into the cache of a slot, in steps of MAX_ROWS; the last row's logits stay available. */
	async #feed(slot: number, n: number): Promise<void> {
		for (let position = 0; position < n; position += MAX_ROWS) {
			const count = Math.min(MAX_ROWS, n - position);
			const tokens = Uint32Array.from({ length: count }, (_, i) => tokenAt(position + i));
			await this.#backend.step([share(slot, position, tokens, position + count === n ? "logits" : "none")]);
		}
	}
}

/** Every slot has blocks of its own, so no sequence profits from another's cached keys and values. */
function share(
	slot: number,
	position: number,
	tokens: Uint32Array,
	output: StepSequence["output"],
): StepSequence {
	const first = slot * (MAX_CONTEXT / KV_BLOCK_SIZE);
	const count = Math.ceil((position + tokens.length) / KV_BLOCK_SIZE);
	return { slot, position, tokens, blocks: Uint32Array.from({ length: count }, (_, i) => first + i), output };
}

const [model, threads, isa] = process.argv.slice(2);
if (!model) throw new Error("usage: engine-driver MODEL [THREADS] [ISA]");
const began = performance.now();
const driver = new EngineDriver(
	await createNativeBackend({
		weights: await loadModelWeights(model),
		numKvBlocks: (MAX_SEQUENCES * MAX_CONTEXT) / KV_BLOCK_SIZE,
		maxSequences: MAX_SEQUENCES,
		maxBatchedTokens: MAX_ROWS,
		threads: threads ? Number(threads) : availableParallelism(),
		isa,
	}),
	performance.now() - began,
);
for await (const line of createInterface({ input: process.stdin })) {
	const question = JSON.parse(line) as DriverQuestion | { readonly op: "quit" };
	if (question.op === "quit") break;
	console.log(JSON.stringify(await driver.answer(question)));
}
await driver.close();
