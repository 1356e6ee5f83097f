// SPDX-License-Identifier: Apache-2.0
// Guesses are an order to compute ahead, never a say in what is chosen: both backends give the tokens of plain decoding.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ForwardBackend, SampledToken, SamplerParams } from "../backend/forward-backend.js";
import { createReferenceBackend } from "../backend/reference/reference-backend.js";
import { blockRange, GREEDY, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, type TinyModel, tinyModel } from "./__fixtures__/tiny-model.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();
const spec = FAMILIES.qwen2;
const LIMITS = { numKvBlocks: 12, maxSequences: 3, maxBatchedTokens: 100, maxDrafts: 12 };
const prompt = randomTokens(30, spec.vocabSize, 8);
const NEW = 24;
const own = blockRange(0, 2);
const other = blockRange(4, 2);

const seeded: SamplerParams = { ...GREEDY, temperature: 1, seedLow: 77 };
const samplings: Record<string, SamplerParams> = {
	greedy: GREEDY,
	seeded,
	"cut off": { ...seeded, temperature: 0.8, topK: 40, topP: 0.9, minP: 0.01 },
	penalised: { ...seeded, presencePenalty: 1, frequencyPenalty: 0.7, repetitionPenalty: 1.4 },
	"kept from some ids for ten tokens": {
		...GREEDY,
		minTokens: 10,
		endIds: Uint32Array.from({ length: 150 }, (_, id) => id),
	},
	"with log-probabilities": { ...seeded, logprobs: 3 },
};

describe.each(["native", "reference"])("the %s backend", (kind) => {
	let model: TinyModel;
	let backend: ForwardBackend;
	beforeAll(async () => {
		model = tinyModel(spec);
		backend =
			kind === "native"
				? await createNativeBackend({ weights: model.weights, ...LIMITS, threads: 2 })
				: await createReferenceBackend({ weights: model.weights, ...LIMITS });
	});
	afterAll(async () => {
		await backend.close();
		model.dispose();
	});

	/** NEW tokens behind the prompt, with what `guess` says of the tokens to come after `known` tokens of the answer. */
	async function decode(
		params: SamplerParams,
		guess: (known: number) => readonly number[],
	): Promise<{ readonly tokens: readonly SampledToken[]; readonly steps: number }> {
		backend.openSlot(0, params, prompt, 0);
		await backend.step([share(0, prompt.subarray(0, 29), 0, own, "none")]);
		const tokens: SampledToken[] = [];
		let last = prompt[29]!;
		let steps = 0;
		while (tokens.length < NEW) {
			const guesses = guess(tokens.length).slice(0, NEW - 1 - tokens.length);
			const mine = share(0, Uint32Array.of(last, ...guesses), 29 + tokens.length, own, "sample");
			// In company: the rows of others must not be taken for one's own.
			const mate = share(1, prompt.subarray(0, 3), 0, other);
			const { sampled } = await backend.step([mate, { ...mine, drafts: guesses.length }]);
			tokens.push(...sampled);
			last = tokens.at(-1)!.tokenId;
			steps++;
		}
		backend.closeSlot(0);
		return { tokens, steps };
	}

	it.each(Object.entries(samplings))(
		"chooses the same tokens whatever was guessed: %s",
		async (_, params) => {
			const plain = await decode(params, () => []);
			expect(plain.steps).toBe(NEW);
			const answer = plain.tokens.map(({ tokenId }) => tokenId);
			const wrong = (id: number) => (id + 1) % spec.vocabSize;
			const right = await decode(params, (known) => answer.slice(known, known + 5));
			expect(right).toEqual({ tokens: plain.tokens, steps: NEW / 6 });
			const partly = await decode(params, (known) =>
				answer.slice(known, known + 5).map((id, i) => (i === 2 ? wrong(id) : id)),
			);
			expect(partly).toEqual({ tokens: plain.tokens, steps: NEW / 3 });
			const never = await decode(params, (known) => answer.slice(known, known + 3).map(wrong));
			expect(never).toEqual({ tokens: plain.tokens, steps: NEW });
		},
	);

	it("refuses guesses that follow nothing, are not sampled after, or are too many", async () => {
		backend.openSlot(0, GREEDY, prompt, 0);
		const step = (drafts: number, output: "sample" | "logits" = "sample", tokens = 20) =>
			backend.step([{ ...share(0, prompt.subarray(0, tokens), 0, own, output), drafts }]);
		await expect(step(3, "sample", 3)).rejects.toThrow(/guesses must follow a token/);
		await expect(step(2, "logits")).rejects.toThrow(/sampled after/);
		await expect(step(13)).rejects.toThrow(/more than 12 guesses/);
		expect((await step(12)).sampled.length).toBeGreaterThan(0);
		backend.closeSlot(0);
	});
});
