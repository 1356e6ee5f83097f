// SPDX-License-Identifier: Apache-2.0
// The embedded engine's side of `bench engine`: reads one JSON question per line, answers one JSON line each.
//   node engine-driver.js MODEL [THREADS] [ISA]
import { cpus } from "node:os";
import { createInterface } from "node:readline";
import { createNativeBackend, GREEDY, loadModelWeights, type StepSequence } from "@dyn/trtllm-native";
import type { DriverQuestion } from "./driver-process.js";

const BLOCK = 32;
const MAX_BATCH = 16;
const MAX_CONTEXT = 4096;
/** Rows of one step: prompts longer than this are computed in chunks. */
const MAX_ROWS = 512;
/** What the engine allows a step in which all sequences decode: most passes, and time. */
const MOST_PASSES = 32;
const TOGETHER_MS = 25;

const [model = "", threads = String(cpus().length), isa] = process.argv.slice(2);
const backend = await createNativeBackend({
	weights: await loadModelWeights(model),
	numKvBlocks: (MAX_BATCH * MAX_CONTEXT) / BLOCK,
	maxSequences: MAX_BATCH,
	maxBatchedTokens: MAX_ROWS,
	threads: Number(threads),
	isa: isa ?? null,
});
for (let slot = 0; slot < MAX_BATCH; slot++) backend.openSlot(slot, GREEDY, new Uint32Array(0), 0);

/** Ordinary token ids, the same in every run and for every engine. */
const token = (i: number) => 1000 + ((i * 7919 + 13) % 40_000);
/** Block table of every slot, as a scheduler has them at hand. */
const tables = Array.from({ length: MAX_BATCH }, (_, slot) =>
	Uint32Array.from({ length: MAX_CONTEXT / BLOCK }, (_, i) => (slot * MAX_CONTEXT) / BLOCK + i),
);

async function fill(slot: number, length: number, output: StepSequence["output"]): Promise<void> {
	for (let position = 0; position < length; position += MAX_ROWS) {
		const count = Math.min(MAX_ROWS, length - position);
		const tokens = Uint32Array.from({ length: count }, (_, i) => token(position + i));
		await backend.step([
			{
				slot,
				tokens,
				position,
				blocks: tables[slot]!,
				output: position + count === length ? output : "none",
			},
		]);
	}
}

/** Gives `slot` blocks of its own with what slot 0 has in its first `length` tokens. */
function copyBlocks(slot: number, length: number): void {
	for (let index = 0; index * BLOCK < length; index++)
		backend.writeBlock(tables[slot]![index]!, backend.readBlock(tables[0]![index]!));
}

let filled = "";
async function answer(question: DriverQuestion): Promise<object> {
	if (question.op === "info") return { op: "info", engine: "dyn", ...backend.info };
	if (question.op === "pp") {
		filled = "";
		const began = performance.now();
		await fill(0, question.n, "logits");
		const logit = backend.logits(0)[0];
		return { ...question, ms: performance.now() - began, tokens: question.n, logit };
	}
	const { batch, ctx, steps } = question;
	if (filled !== `${batch} ${ctx}`) {
		await fill(0, ctx, "none");
		for (let slot = 1; slot < batch; slot++) copyBlocks(slot, ctx);
		filled = `${batch} ${ctx}`;
	}
	let last = Array.from({ length: batch }, (_, slot) => token(ctx + slot * 31));
	let position = ctx;
	/** Decodes `count` greedy tokens of each sequence, in steps as the engine makes them. */
	const decode = async (count: number): Promise<void> => {
		for (const end = position + count; position < end; ) {
			const sequences = last.map(
				(id, slot): StepSequence => ({
					slot,
					tokens: Uint32Array.of(id),
					position,
					blocks: tables[slot]!,
					output: "sample",
				}),
			);
			const { sampled } = await backend.step(sequences, Math.min(MOST_PASSES, end - position), TOGETHER_MS);
			last = sampled.slice(-batch).map(({ tokenId }) => tokenId);
			position += sampled.length / batch;
		}
	};
	await decode(1);
	const began = performance.now();
	await decode(steps);
	return { ...question, ms: performance.now() - began, tokens: batch * steps };
}

for await (const line of createInterface({ input: process.stdin })) {
	if (line.trim() === "") continue;
	const question = JSON.parse(line);
	if (question.op === "quit") break;
	console.log(JSON.stringify(await answer(question)));
}
await backend.close();
