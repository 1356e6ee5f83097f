// SPDX-License-Identifier: Apache-2.0
// A step of several passes is as many steps of one, asked for at once.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type {
	ForwardBackend,
	SampledToken,
	SamplerParams,
	StepSequence,
} from "../backend/forward-backend.js";
import { blockRange, GREEDY, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, type TinyModel, tinyModel } from "./__fixtures__/tiny-model.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();
/** Enough layers that a pass takes longer than a turn of the event loop. */
const spec = { ...FAMILIES.qwen2, numLayers: 24 };
const NEW = 24;
const seeded: SamplerParams = { ...GREEDY, temperature: 1, seedLow: 77 };
const penalised: SamplerParams = { ...seeded, presencePenalty: 1, repetitionPenalty: 1.4, logprobs: 3 };
/** Prompt and parameters of each slot; every sequence has three blocks of its own. */
const sequences = [GREEDY, seeded, penalised].map((params, slot) => ({
	slot,
	params,
	prompt: randomTokens(25 + slot, spec.vocabSize, slot),
	blocks: blockRange(4 * slot, 3),
}));
type Decoding = (typeof sequences)[number];

let model: TinyModel;
let backend: ForwardBackend;
beforeAll(async () => {
	model = tinyModel(spec);
	const limits = { numKvBlocks: 12, maxSequences: 3, maxBatchedTokens: 100, threads: 2 };
	backend = await createNativeBackend({ weights: model.weights, ...limits });
});
afterAll(async () => {
	await backend.close();
	model.dispose();
});

async function open(others: readonly Decoding[], endIds = new Uint32Array(0)): Promise<void> {
	for (const { slot, params, prompt, blocks } of others) {
		backend.openSlot(slot, { ...params, endIds }, prompt, 0);
		await backend.step([share(slot, prompt.subarray(0, -1), 0, blocks, "none")]);
	}
}

function close(others: readonly Decoding[]): void {
	for (const { slot } of others) backend.closeSlot(slot);
}

const tokensOf = (sampled: readonly SampledToken[], slot: number) =>
	sampled.filter((token) => token.slot === slot);

/** The share that follows `answer`, the tokens so far. */
function next({ slot, prompt, blocks }: Decoding, answer: readonly SampledToken[]): StepSequence {
	const last = answer.at(-1)?.tokenId ?? prompt.at(-1)!;
	return share(slot, Uint32Array.of(last), prompt.length - 1 + answer.length, blocks, "sample");
}

/** NEW tokens of each, in steps of so many passes. */
async function decode(others: readonly Decoding[], passes: number): Promise<SampledToken[][]> {
	await open(others);
	const sampled: SampledToken[] = [];
	for (let made = 0; made < NEW; made += passes) {
		const shares = others.map((each) => next(each, tokensOf(sampled, each.slot)));
		sampled.push(...(await backend.step(shares, passes)).sampled);
	}
	close(others);
	return others.map(({ slot }) => tokensOf(sampled, slot));
}

describe("a step of several passes", () => {
	it.each([2, 8, NEW])("chooses what as many steps choose, alone and in company: %i", async (passes) => {
		const plain = await decode(sequences, 1);
		expect(plain.map(({ length }) => length)).toEqual([NEW, NEW, NEW]);
		expect(await decode(sequences, passes)).toEqual(plain);
		for (const [i, each] of sequences.entries()) expect(await decode([each], passes)).toEqual([plain[i]]);
	});

	it("ends with the pass that chose the end of a sequence", async () => {
		const [second, first] = sequences as [Decoding, Decoding];
		const [answer = []] = await decode([first], 1);
		const ending = answer.findIndex(
			({ tokenId }, i) => i > 3 && !answer.slice(0, i).some((t) => t.tokenId === tokenId),
		);
		await open([first, second], Uint32Array.of(answer[ending]!.tokenId));
		const { sampled, cancelled } = await backend.step([next(first, []), next(second, [])], NEW);
		close([first, second]);
		expect(cancelled).toBe(false);
		expect(tokensOf(sampled, first.slot)).toEqual(answer.slice(0, ending + 1));
		expect(tokensOf(sampled, second.slot)).toHaveLength(ending + 1);
	});

	it("begins no pass that would take too long", async () => {
		const [first] = sequences as [Decoding];
		await open([first]);
		const answer: SampledToken[] = [];
		for (const withinMs of [0, -1, Number.NaN]) {
			const { sampled } = await backend.step([next(first, answer)], 8, withinMs);
			expect(sampled).toHaveLength(1);
			answer.push(...sampled);
		}
		expect((await backend.step([next(first, answer)], 8)).sampled).toHaveLength(8);
		close([first]);
	});

	it.each(["yieldStep", "cancelStep"] as const)("ends early with what it has: %s", async (stop) => {
		const [first] = sequences as [Decoding];
		const [answer] = await decode([first], 1);
		let early = false;
		for (let attempt = 0; attempt < 200 && !early; attempt++) {
			await open([first]);
			const running = backend.step([next(first, [])], NEW);
			for (let i = 0; i < attempt; i++) await new Promise((resolve) => setImmediate(resolve));
			backend[stop]!();
			const { sampled, cancelled } = await running;
			close([first]);
			expect(cancelled).toBe(sampled.length === 0);
			if (stop === "yieldStep") expect(cancelled).toBe(false);
			expect(sampled).toEqual(answer!.slice(0, sampled.length));
			early = sampled.length > 0 && sampled.length < NEW;
		}
		expect(early).toBe(true);
	});

	it("is refused for anything but single tokens that are sampled after, in blocks for all of them", async () => {
		const [first] = sequences as [Decoding];
		await open([first]);
		const one = next(first, []);
		const step = (change: Partial<StepSequence>, passes: number, withinMs = Infinity) =>
			backend.step([{ ...one, ...change }], passes, withinMs);
		await expect(step({ tokens: first.prompt.subarray(0, 2) }, 2)).rejects.toThrow(/several passes/);
		await expect(step({ output: "logits" }, 2)).rejects.toThrow(/several passes/);
		const scored = { targets: Uint32Array.of(1), top: 0 };
		await expect(step({ scored }, 2)).rejects.toThrow(/several passes/);
		await expect(step({ blocks: first.blocks.subarray(0, 1) }, 9)).rejects.toThrow(/blocks do not cover/);
		await expect(step({}, spec.contextLength)).rejects.toThrow(/positions exceed the context/);
		await expect(step({}, 2, "soon" as unknown as number)).rejects.toThrow(/withinMs must/);
		for (const passes of [0, 1.5, Number.NaN, 2 ** 40])
			await expect(step({}, passes)).rejects.toThrow(/passes must/);
		expect((await step({ blocks: first.blocks.subarray(0, 1) }, 8)).sampled).toHaveLength(8);
		close([first]);
	});
});
