// SPDX-License-Identifier: Apache-2.0
import { createModelStore } from "@dyn/models/store";
import {
	createNativeBackend,
	type ForwardBackend,
	GREEDY,
	loadModelWeights,
	loadNativeBinding,
	type ModelWeights,
} from "@dyn/trtllm-native";
import { beforeAll, describe, expect, it } from "vitest";

const BLOCK = 32;
const LENGTH = 600;

let weights: ModelWeights;
beforeAll(async () => {
	weights = await loadModelWeights(
		(await createModelStore().resolve("smollm2-135m-instruct", { pull: true })).path,
	);
});

const open = (isa: string, threads: number) =>
	createNativeBackend({ weights, isa, threads, numKvBlocks: 400, maxSequences: 16, maxBatchedTokens: 1024 });
const text = (seed: number, length: number) =>
	Uint32Array.from({ length }, (_, i) => 1000 + ((seed * 104729 + i * 7919) % 40_000));
const blocks = (first: number, tokens: number) =>
	Uint32Array.from({ length: Math.ceil(tokens / BLOCK) }, (_, i) => first + i);

/** Bytes of the last row's logits after `tokens`, computed in chunks of `chunk`. */
async function logitsInChunks(
	backend: ForwardBackend,
	tokens: Uint32Array,
	chunk: number,
	firstBlock = 0,
): Promise<Buffer> {
	for (let position = 0; position < tokens.length; position += chunk) {
		const end = Math.min(tokens.length, position + chunk);
		const output = end === tokens.length ? "logits" : "none";
		await backend.step([
			{ slot: 0, tokens: tokens.subarray(position, end), position, blocks: blocks(firstBlock, end), output },
		]);
	}
	return copyOf(backend, 0);
}

function copyOf(backend: ForwardBackend, slot: number): Buffer {
	const logits = backend.logits(slot);
	return Buffer.from(Buffer.from(logits.buffer, logits.byteOffset, logits.byteLength));
}

describe.each(loadNativeBinding().isas.filter((isa) => isa !== "portable"))(
	"logits are equal bit by bit (%s)",
	(isa) => {
		const tokens = text(1, LENGTH);
		let backend: ForwardBackend;
		let whole: Buffer;
		beforeAll(async () => {
			backend = await open(isa, 2);
			for (let slot = 0; slot < 16; slot++) backend.openSlot(slot, GREEDY, new Uint32Array(0), 0);
			whole = await logitsInChunks(backend, tokens, LENGTH);
			return () => backend.close();
		});

		it.each([1, 7, 32, 512])("in chunks of %i", async (chunk) => {
			expect((await logitsInChunks(backend, tokens, chunk)).equals(whole)).toBe(true);
		});

		it("in other blocks, used by somebody else before", async () => {
			expect((await logitsInChunks(backend, tokens, 100, 37)).equals(whole)).toBe(true);
		});

		it("with one thread or two", async () => {
			const single = await open(isa, 1);
			expect((await logitsInChunks(single, tokens, 256)).equals(whole)).toBe(true);
			await single.close();
		});

		it("in company: 16 sequences of a mixed step, prompts and decodes", async () => {
			const others = Array.from({ length: 15 }, (_, i) => ({
				slot: i + 1,
				tokens: text(i + 2, i % 2 ? 1 : 20 + i),
				first: 40 + 20 * i,
				context: i % 2 ? 40 : 0,
			}));
			for (const { slot, first, context } of others) {
				if (context > 0)
					await backend.step([
						{
							slot,
							tokens: text(slot, context),
							position: 0,
							blocks: blocks(first, context),
							output: "none",
						},
					]);
			}
			await logitsInChunks(backend, tokens.subarray(0, LENGTH - 100), 512);
			await backend.step([
				...others.slice(0, 8).map(shareOf),
				{
					slot: 0,
					tokens: tokens.subarray(LENGTH - 100),
					position: LENGTH - 100,
					blocks: blocks(0, LENGTH),
					output: "logits" as const,
				},
				...others.slice(8).map(shareOf),
			]);
			expect(copyOf(backend, 0).equals(whole)).toBe(true);

			function shareOf({ slot, tokens, first, context }: (typeof others)[number]) {
				return {
					slot,
					tokens,
					position: context,
					blocks: blocks(first, context + tokens.length),
					output: "logits" as const,
				};
			}
		});

		it("and a changed token does change them", async () => {
			const changed = tokens.slice();
			changed[3]! += 1;
			expect((await logitsInChunks(backend, changed, LENGTH)).equals(whole)).toBe(false);
		});
	},
);
