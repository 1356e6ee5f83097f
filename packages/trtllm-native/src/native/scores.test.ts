// SPDX-License-Identifier: Apache-2.0
// How likely given tokens are: what sampling them would have reported, in both backends, however the prompt is cut.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ForwardBackend, SampledToken } from "../backend/forward-backend.js";
import { createReferenceBackend } from "../backend/reference/reference-backend.js";
import { blockRange, GREEDY, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, type TinyModel, tinyModel } from "./__fixtures__/tiny-model.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();
const spec = FAMILIES.llama;
const LIMITS = { numKvBlocks: 8, maxSequences: 2, maxBatchedTokens: 100 };
const tokens = randomTokens(45, spec.vocabSize, 8);
const own = blockRange(0, 2);

let model: TinyModel;
const backends = new Map<string, ForwardBackend>();
beforeAll(async () => {
	model = tinyModel(spec);
	const { weights } = model;
	backends.set("native", await createNativeBackend({ weights, ...LIMITS, threads: 2, precision: "f32" }));
	backends.set("reference", await createReferenceBackend({ weights, ...LIMITS }));
});
afterAll(async () => {
	for (const backend of backends.values()) await backend.close();
	model.dispose();
});

/** Scores of every token but the first, with the prompt computed in chunks. */
async function scoresInChunks(backend: ForwardBackend, chunk: number): Promise<SampledToken[]> {
	const scores: SampledToken[] = [];
	for (let at = 0; at < tokens.length; at += chunk) {
		const targets = tokens.subarray(at + 1, at + 1 + chunk);
		const mine = {
			...share(0, tokens.subarray(at, at + chunk), at, own, "none"),
			scored: { targets, top: 3 },
		};
		const mate = {
			...share(1, tokens.subarray(0, 2), 0, blockRange(4, 1)),
			scored: { targets: tokens.subarray(7, 8), top: 0 },
		};
		const result = await backend.step([mate, mine]);
		expect(result.scores!.filter(({ slot }) => slot === 1)).toHaveLength(1);
		scores.push(...result.scores!.filter(({ slot }) => slot === 0));
	}
	return scores;
}

describe.each(["native", "reference"])("the %s backend", (kind) => {
	it("says of a token what it says when it samples it", async () => {
		const backend = backends.get(kind)!;
		expect(backend.info.scoresPrompts).toBe(true);
		const scores = await scoresInChunks(backend, 45);
		expect(scores.map(({ tokenId }) => tokenId)).toEqual([...tokens.subarray(1)]);
		for (const at of [0, 17, 43]) {
			const id = tokens[at + 1]!;
			backend.openSlot(0, { ...GREEDY, logprobs: 3 }, tokens.subarray(0, at + 1), 0);
			await backend.step([share(0, tokens.subarray(0, at + 1), 0, own, "logits")]);
			const logits = backend.logits(0);
			const normaliser = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
			const { topIds, topLogprobs } = backend.sampleRows([{ slot: 0 }])[0] as SampledToken;
			expect(scores[at]!.logprob).toBeCloseTo(logits[id]! - normaliser, 5);
			expect([scores[at]!.topIds, scores[at]!.topLogprobs]).toEqual([topIds, topLogprobs]);
			backend.closeSlot(0);
		}
	});

	it.each([1, 7, 32])("says the same in chunks of %i", async (chunk) => {
		const backend = backends.get(kind)!;
		expect(await scoresInChunks(backend, chunk)).toEqual(await scoresInChunks(backend, 45));
	});

	it("refuses targets that belong to no token, or are no tokens", async () => {
		const step = (targets: Uint32Array) =>
			backends.get(kind)!.step([{ ...share(0, tokens.subarray(0, 3), 0, own), scored: { targets, top: 0 } }]);
		await expect(step(tokens.subarray(0, 4))).rejects.toThrow(/more targets than tokens/);
		await expect(step(Uint32Array.of(spec.vocabSize))).rejects.toThrow(/not in the vocabulary/);
		expect((await step(tokens.subarray(0, 3))).scores).toHaveLength(3);
	});
});

it("both backends say the same", async () => {
	const [native, reference] = [
		await scoresInChunks(backends.get("native")!, 45),
		await scoresInChunks(backends.get("reference")!, 45),
	];
	for (const [i, { logprob, topIds }] of native.entries()) {
		expect(logprob).toBeCloseTo(reference[i]!.logprob, 4);
		expect(topIds).toEqual(reference[i]!.topIds);
	}
});
