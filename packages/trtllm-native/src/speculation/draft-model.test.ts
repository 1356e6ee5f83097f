// SPDX-License-Identifier: Apache-2.0
import { type BlockHasher, createBlockHasher } from "@dyn/tokens";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { ForwardBackend, SamplerParams } from "../backend/forward-backend.js";
import { createReferenceBackend } from "../backend/reference/reference-backend.js";
import { GREEDY, randomTokens } from "../native/__fixtures__/steps.js";
import { FAMILIES, type TinyModel, tinyModel } from "../native/__fixtures__/tiny-model.js";
import { Sequence } from "../scheduler/sequence.js";
import { DraftModel, type DraftModelOptions } from "./draft-model.js";

const spec = FAMILIES.llama;
const SIZES = { numKvBlocks: 8, kvBlockSize: 32, maxSequences: 3, maxBatchedTokens: 20, contextLength: 90 };
const seeded: SamplerParams = { ...GREEDY, temperature: 1, seedLow: 5, frequencyPenalty: 0.5 };

let hasher: BlockHasher;
let model: TinyModel;
let backend: ForwardBackend;
let drafter: DraftModel;

const draftModel = (options: Partial<DraftModelOptions> = {}) =>
	new DraftModel({ backend, ...SIZES, vocabSize: 203, modelVocabSize: 203, ...options });
beforeAll(async () => {
	hasher = await createBlockHasher();
	model = tinyModel(spec);
});
beforeEach(async () => {
	backend = await createReferenceBackend({ weights: model.weights, ...SIZES });
	drafter = draftModel();
	return () => drafter.close();
});
afterAll(() => model.dispose());

const sequence = (prompt: ArrayLike<number>) =>
	new Sequence({ prompt: Uint32Array.from(prompt), priority: 0, hasher, processed: false });

/** What the same model says after `prompt`, one token per step, in blocks of its own. */
async function answer(prompt: Uint32Array, params: SamplerParams, count: number): Promise<number[]> {
	const own = await createReferenceBackend({ weights: model.weights, ...SIZES, maxBatchedTokens: 100 });
	const blocks = Uint32Array.of(0, 1, 2, 3);
	own.openSlot(0, params, prompt, 0);
	const ids: number[] = [];
	let tokens = prompt;
	for (let position = 0; ids.length < count; position += tokens.length, tokens = Uint32Array.of(ids.at(-1)!))
		ids.push((await own.step([{ slot: 0, tokens, position, blocks, output: "sample" }])).sampled[0]!.tokenId);
	await own.close();
	return ids;
}
const propose = async (of: Sequence, limit: number, params = GREEDY) => [
	...(await drafter.propose([{ sequence: of, params, limit }]))[0]!,
];

describe("a draft model", () => {
	it.each([
		["greedy", GREEDY],
		["with a seed", seeded],
	])("says what the model will say if it is the same: %s", async (_, params) => {
		const prompt = randomTokens(45, spec.vocabSize, 3);
		const expected = await answer(prompt, params, 30);
		const mine = sequence(prompt);
		// The model takes all guesses, some, one and none of them, and adds a token of its own.
		for (const accepted of [4, 2, 1, 0, 4, 4, 3]) {
			const guesses = await propose(mine, 4, params);
			expect(guesses).toEqual(expected.slice(mine.generated, mine.generated + 4));
			// What was accepted may differ from what was guessed: then the draft model has to go back.
			for (let i = 0; i < accepted + 1; i++) mine.tokens.push(expected[mine.generated]!);
		}
		const wrong = sequence([...prompt, ...expected.slice(0, 3)]);
		expect(await propose(wrong, 2)).toHaveLength(2);
		for (const id of [7, 8]) wrong.tokens.push(id);
		const other = Uint32Array.from(wrong.tokens.view());
		expect(await propose(wrong, 5)).toEqual(await answer(other, GREEDY, 5));
	});

	it("computes only what is new, several sequences in a step, prompts in chunks", async () => {
		const step = vi.spyOn(backend, "step");
		const rows = () => step.mock.calls.map(([shares]) => shares.map(({ tokens }) => tokens.length));
		const [first, second] = [sequence(randomTokens(30, 203, 1)), sequence(randomTokens(5, 203, 2))];
		const requests = [first, second].map((each) => ({ sequence: each, params: GREEDY, limit: 2 }));
		const [guesses] = await drafter.propose(requests);
		expect(rows()).toEqual([[20], [10, 5], [1, 1]]);
		step.mockClear();
		for (const id of [...guesses!, 9]) first.tokens.push(id);
		await drafter.propose(requests.slice(0, 1));
		expect(rows()).toEqual([[2], [1]]); // the last guess, whose keys and values were not needed, and the model's own
	});

	it("takes a prefix over that another sequence computed, and frees what a sequence had", async () => {
		const step = vi.spyOn(backend, "step");
		const prompt = randomTokens(70, 203, 1);
		const [first, second] = [sequence(prompt), sequence(prompt)];
		await propose(first, 1);
		first.tokens.push(1);
		await propose(first, 1); // from now on the two full blocks can be found
		step.mockClear();
		const guesses = await propose(second, 1);
		expect(step.mock.calls.map(([shares]) => shares[0]!.tokens.length)).toEqual([6]);
		expect(guesses).toEqual(await answer(prompt, GREEDY, 1));
		for (const each of [first, second]) drafter.forget(each);
		const others = [1, 2, 3].map((seed) => sequence(randomTokens(64, 203, 20 + seed)));
		for (const each of others) expect(await propose(each, 1)).toHaveLength(1);
	});

	it("guesses nothing without a slot, blocks, positions or a word for what was said", async () => {
		const four = [1, 2, 3, 4].map((seed) => sequence(randomTokens(40, 203, seed)));
		for (const [i, each] of four.entries()) expect(await propose(each, 1)).toHaveLength(i < 3 ? 1 : 0);
		drafter.forget(four[0]!);
		const long = sequence(randomTokens(89, 203, 9));
		expect(await propose(long, 5)).toHaveLength(2); // the second one is behind the last position
		drafter.forget(four[1]!);
		expect(await propose(sequence(randomTokens(89, 203, 8)), 1)).toHaveLength(1);
		drafter.forget(four[2]!);
		expect(await propose(sequence(randomTokens(60, 203, 7)), 1)).toHaveLength(1);
		drafter.forget(long);
		expect(await propose(sequence(randomTokens(89, 203, 6)), 1)).toHaveLength(1);
		const unknown = draftModel({ vocabSize: 100 });
		expect(await unknown.propose([{ sequence: sequence([3, 150]), params: GREEDY, limit: 2 }])).toEqual([
			new Uint32Array(0),
		]);
	});

	it("does not guess what the model cannot say", async () => {
		const prompt = randomTokens(10, 203, 4);
		const expected = await answer(prompt, GREEDY, 6);
		const modelVocabSize = Math.max(...expected);
		const [guesses] = await draftModel({ modelVocabSize }).propose([
			{ sequence: sequence(prompt), params: GREEDY, limit: 6 },
		]);
		expect([...guesses!]).toEqual(expected.slice(0, expected.indexOf(modelVocabSize)));
	});

	it("knows what a guess takes from the steps that guess, not from prompts", async () => {
		const step = backend.step.bind(backend);
		vi.spyOn(backend, "step").mockImplementation(async (shares) => {
			const rows = shares.reduce((sum, { tokens }) => sum + tokens.length, 0);
			return { ...(await step(shares)), elapsedMs: rows > 4 ? 1 : 6 + rows };
		});
		const two = [1, 2].map((seed) => sequence(randomTokens(15, 203, seed)));
		expect(drafter.guessMs(two)).toBe(0);
		for (let i = 0; i < 30; i++) {
			const some = i % 2 === 0 ? two : two.slice(0, 1);
			await drafter.propose(some.map((each) => ({ sequence: each, params: GREEDY, limit: 4 })));
		}
		// Shared by two, a step costs each of them less.
		expect(drafter.guessMs(two.slice(0, 1))).toBeCloseTo(7, 0);
		expect(drafter.guessMs(two)).toBeCloseTo(4, 0);
	});
});
