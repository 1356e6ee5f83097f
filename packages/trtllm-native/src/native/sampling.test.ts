// SPDX-License-Identifier: Apache-2.0
import { logitsProblem } from "@dyn/logits";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ForwardBackend, SampledRow, SampledToken, SamplerParams } from "../backend/forward-backend.js";
import { ReferenceSampler } from "../backend/reference/sampler.js";
import { blockRange, GREEDY, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, seededRandom, type TinyModel, tinyModel } from "./__fixtures__/tiny-model.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();
/** Larger than the part of the vocabulary that the sampler sorts at first. */
const VOCABULARY = 3001;
const SLOTS = 8;
const NOTHING = new Uint32Array(0);

let model: TinyModel;
let backend: ForwardBackend;

beforeAll(async () => {
	model = tinyModel({ ...FAMILIES.llama, vocabSize: VOCABULARY });
	backend = await createNativeBackend({
		weights: model.weights,
		precision: "f32",
		numKvBlocks: SLOTS * 2,
		maxSequences: SLOTS,
		maxBatchedTokens: 64,
		threads: 2,
	});
	// Gives slot 0 a row of logits for the tests to overwrite.
	await backend.step([share(0, Uint32Array.of(1), 0, Uint32Array.of(0))]);
});
afterAll(async () => {
	await backend.close();
	model.dispose();
});

/** Samples `draws` tokens in a row in slot 0, from the same logits each time. */
function sampleNatively(
	params: SamplerParams,
	logits: Float32Array,
	draws: number,
	context: Uint32Array = NOTHING,
	generated = 0,
): SampledToken[] {
	backend.openSlot(0, params, context, generated);
	const sampled = Array.from({ length: draws }, () => {
		backend.logits(0).set(logits);
		return backend.sampleRows([{ slot: 0 }])[0] as SampledToken;
	});
	backend.closeSlot(0);
	return sampled;
}

/** Bell-shaped logits with ties: multiples of 1/8, spread like a real model's. */
function bellLogits(seed: number, spread = 3): Float32Array {
	const random = seededRandom(seed);
	return Float32Array.from({ length: VOCABULARY }, () => {
		const bell = random() + random() + random() + random() - 2;
		return Math.round(bell * spread * 16) / 8;
	});
}

const penalties = { presencePenalty: 0.75, frequencyPenalty: 0.25, repetitionPenalty: 1.3 };
const variants: Record<string, Partial<SamplerParams>> = {
	greedy: {},
	"greedy with penalties": penalties,
	temperature: { temperature: 0.9 },
	"high temperature": { temperature: 3 },
	"top-k": { temperature: 1, topK: 20 },
	"top-k beyond the vocabulary": { temperature: 1, topK: VOCABULARY + 5 },
	"top-p, a few": { temperature: 0.7, topP: 0.5 },
	"top-p, nearly all": { temperature: 2, topP: 0.98 },
	"min-p": { temperature: 1.5, minP: 0.02 },
	"everything at once": { temperature: 1.2, topK: 900, topP: 0.93, minP: 0.001, ...penalties },
};

describe("native sampler against the reference sampler", () => {
	it.each(Object.entries(variants))("chooses the same tokens: %s", (_, variant) => {
		const params: SamplerParams = {
			...GREEDY,
			...variant,
			logprobs: 5,
			seedLow: 0x89ab_cdef,
			seedHigh: 0x0123_4567,
			biasIds: Uint32Array.of(4, 9),
			biasValues: Float32Array.of(6, -100),
		};
		const context = randomTokens(50, VOCABULARY, 2);
		for (const seed of [1, 2, 3]) {
			const logits = bellLogits(seed);
			const reference = new ReferenceSampler(params, context, 10);
			for (const [draw, native] of sampleNatively(params, logits, 40, context, 10).entries()) {
				const expected = reference.sample(0, logits.slice())!;
				expect([draw, native.tokenId]).toEqual([draw, expected.tokenId]);
				expect(native.topIds).toEqual(expected.topIds);
				expect(native.logprob).toBeCloseTo(expected.logprob, 5);
				for (const [i, logprob] of expected.topLogprobs.entries())
					expect(native.topLogprobs[i]).toBeCloseTo(logprob, 5);
			}
		}
	});
});

describe("greedy", () => {
	it("takes the lowest of equal ids", () => {
		const logits = new Float32Array(VOCABULARY).fill(-1);
		logits[2000] = logits[77] = logits[1500] = 4;
		expect(sampleNatively(GREEDY, logits, 1)[0]!.tokenId).toBe(77);
	});

	it("has no log-probabilities unless asked, and none of alternatives for 0", () => {
		const logits = bellLogits(5);
		const [none] = sampleNatively(GREEDY, logits, 1);
		expect(none!.logprob).toBeNaN();
		const [own] = sampleNatively({ ...GREEDY, logprobs: 0 }, logits, 1);
		expect(own!.logprob).toBeLessThan(0);
		expect(own!.topIds).toHaveLength(0);
	});
});

it("a token has the same log-probability among the alternatives as beside them, to the last digit", () => {
	const params = { ...GREEDY, temperature: 1, topK: 20, logprobs: 20 }; // one of those that are shown
	const places = new Set<number>();
	for (const { tokenId, logprob, topIds, topLogprobs } of sampleNatively(params, bellLogits(1), 40)) {
		const place = topIds.indexOf(tokenId);
		places.add(place);
		expect(topLogprobs[place]).toBe(logprob);
	}
	expect(places.size).toBeGreaterThan(1);
});

describe("logits that are no numbers", () => {
	it("are never chosen, and crash nothing", () => {
		const random = seededRandom(8);
		const logits = bellLogits(9).map((value) => (random() < 0.3 ? Number.NaN : value));
		logits[0] = Number.NaN;
		for (const variant of Object.values(variants)) {
			for (const { tokenId } of sampleNatively({ ...GREEDY, ...variant }, logits, 5))
				expect(logits[tokenId]).not.toBeNaN();
		}
		const none = new Float32Array(VOCABULARY).fill(Number.NaN);
		for (const variant of Object.values(variants))
			expect(sampleNatively({ ...GREEDY, ...variant }, none, 1)[0]!.tokenId).toBe(0);
	});
});

describe("suppressed ids", () => {
	it("come back after minTokens", () => {
		const logits = new Float32Array(VOCABULARY);
		logits[3] = 9;
		logits[8] = 5;
		const params = { ...GREEDY, endIds: Uint32Array.of(3), minTokens: 4 };
		expect(sampleNatively(params, logits, 5).map(({ tokenId }) => tokenId)).toEqual([8, 8, 8, 8, 3]);
		// After a preemption, what was generated before counts.
		const resumed = sampleNatively(params, logits, 2, Uint32Array.of(1, 8, 8, 8), 3);
		expect(resumed.map(({ tokenId }) => tokenId)).toEqual([8, 3]);
	});
});

describe("draws", () => {
	const hot = [5, 60, 700, 1234, 1235, 2222, 2999, 3000];
	const logits = new Float32Array(VOCABULARY).fill(-60);
	for (const [i, id] of hot.entries()) logits[id] = i * 0.4;
	const temperature = 0.8;
	const weights = hot.map((_, i) => Math.exp((i * 0.4) / Math.fround(temperature)));
	const total = weights.reduce((sum, weight) => sum + weight, 0);
	/** Sum of (observed - expected)^2 / expected; 7 degrees of freedom: above 24.3 once in a thousand. */
	const chiSquare = (ids: readonly number[]) =>
		hot.reduce((sum, id, i) => {
			const expected = (ids.length * weights[i]!) / total;
			return sum + (ids.filter((other) => other === id).length - expected) ** 2 / expected;
		}, 0);

	it("follow the softmax along one sequence", () => {
		const sampled = sampleNatively({ ...GREEDY, temperature }, logits, 4000);
		expect(chiSquare(sampled.map(({ tokenId }) => tokenId))).toBeLessThan(24.3);
	});

	it("follow the softmax across seeds that differ by one", () => {
		const ids = Array.from({ length: 2000 }, (_, seedLow) => {
			return sampleNatively({ ...GREEDY, temperature, seedLow }, logits, 1)[0]!.tokenId;
		});
		expect(chiSquare(ids)).toBeLessThan(24.3);
	});
});

describe("a seed", () => {
	const params = { ...GREEDY, temperature: 1, topP: 0.95, seedLow: 42 };

	/** Generates in slot `slot` beside `mates` other sequences with seeds of their own. */
	async function generate(slot: number, mates: number, seedLow: number, steps = 12): Promise<number[]> {
		const slots = [slot, ...Array.from({ length: mates }, (_, i) => (slot + 1 + i) % SLOTS)];
		const prompts = slots.map((_, i) => randomTokens(5 + i, VOCABULARY, 30 + i));
		for (const [i, each] of slots.entries())
			backend.openSlot(each, { ...params, seedLow: seedLow + i }, prompts[i]!, 0);
		const ids: number[] = [];
		let pending = prompts;
		const lengths = prompts.map(() => 0);
		for (let step = 0; step < steps; step++) {
			const { sampled } = await backend.step(
				slots.map((each, i) => share(each, pending[i]!, lengths[i]!, blockRange(each * 2, 2), "sample")),
			);
			for (const [i, tokens] of pending.entries()) lengths[i]! += tokens.length;
			expect(sampled.map((token) => token.slot)).toEqual(slots);
			pending = sampled.map(({ tokenId }) => Uint32Array.of(tokenId));
			ids.push(sampled[0]!.tokenId);
		}
		for (const each of slots) backend.closeSlot(each);
		return ids;
	}

	it("gives the same tokens in any slot and company, another seed gives others", async () => {
		const alone = await generate(0, 0, 42);
		expect(await generate(5, 6, 42)).toEqual(alone);
		expect(await generate(0, 0, 43)).not.toEqual(alone);
		expect(new Set(alone).size).toBeGreaterThan(3);
	});
});

describe("bad words", () => {
	it("are what the reference sampler makes of them, and matter", () => {
		const logits = bellLogits(4, 12);
		const params = { ...GREEDY, temperature: 1, seedLow: 9 };
		const free = sampleNatively(params, logits, 200).map(({ tokenId }) => tokenId);
		expect(new Set(free).size).toBeLessThan(150);
		// What came without them: single tokens, and runs of two to four.
		const badWords = [0, 30, 60, 90, 120, 150].map((at, i) =>
			Uint32Array.from(free.slice(at, at + 1 + (i % 4))),
		);
		const context = Uint32Array.from(free.slice(40, 50));
		const banned = { ...params, badWords };
		const reference = new ReferenceSampler(banned, context, 3);
		const expected = Array.from({ length: 200 }, () => reference.sample(0, logits.slice())!.tokenId);
		const sampled = sampleNatively(banned, logits, 200, context, 3).map(({ tokenId }) => tokenId);
		expect(sampled).toEqual(expected);
		const all = `,${sampled.join()},`;
		expect(badWords.filter((word) => free.join().includes(word.join()))).toHaveLength(6);
		for (const word of badWords.filter(({ length }) => length === 2))
			expect(all).not.toContain(`,${word.join()},`);
	});

	it("leave no token when they are all that a row has", () => {
		backend.openSlot(0, { ...GREEDY, badWords: [Uint32Array.of(5)] }, NOTHING, 0);
		const logits = new Float32Array(VOCABULARY).fill(-Infinity);
		backend.logits(0).set(logits.fill(1, 5, 6));
		expect(backend.sampleRows([{ slot: 0 }])).toEqual([null]);
		backend.closeSlot(0);
	});

	it("of tokens that are not there, or of none, are refused", () => {
		for (const word of [Uint32Array.of(1, VOCABULARY), NOTHING])
			expect(() => backend.openSlot(0, { ...GREEDY, badWords: [word] }, NOTHING, 0)).toThrow(/badWords/);
	});
});

describe("a mask", () => {
	/** Allows every seventh token. */
	const mask = new Uint32Array(Math.ceil(VOCABULARY / 32));
	for (let id = 3; id < VOCABULARY; id += 7) mask[id >>> 5]! |= 1 << (id & 31);
	const masked = (params: SamplerParams, logits: Float32Array): SampledRow => {
		backend.openSlot(0, params, NOTHING, 0);
		backend.logits(0).set(logits);
		const [sampled] = backend.sampleRows([{ slot: 0, mask }]);
		backend.closeSlot(0);
		return sampled!;
	};

	it.each(Object.entries(variants))("leaves the same token as in the reference: %s", (_name, variant) => {
		for (let seedLow = 0; seedLow < 20; seedLow++) {
			const params = { ...GREEDY, ...variant, seedLow, logprobs: 3 };
			const logits = bellLogits(seedLow);
			const expected = new ReferenceSampler(params, NOTHING, 0).sample(0, logits.slice(), mask)!;
			const sampled = masked(params, logits) as SampledToken;
			expect(sampled.tokenId % 7).toBe(3);
			expect(sampled).toMatchObject({ tokenId: expected.tokenId, topIds: expected.topIds });
		}
	});

	it("that leaves nothing to choose gives no token, and one of another size is refused", () => {
		expect(masked(GREEDY, new Float32Array(VOCABULARY).fill(-Infinity))).toBeNull();
		backend.openSlot(0, GREEDY, NOTHING, 0);
		expect(() => backend.sampleRows([{ slot: 0, mask: new Uint32Array(3) }])).toThrow("a mask must be");
		backend.closeSlot(0);
	});
});

describe("rows that JavaScript has seen", () => {
	const params: SamplerParams = { ...GREEDY, temperature: 1, logprobs: 2, seedLow: 7 };
	const nothing = new Uint32Array(Math.ceil(VOCABULARY / 32));

	it("are sampled side by side, each as it is alone, around one that has no token left", async () => {
		const slots = [3, 0, 6, 5];
		const alone = slots.map((slot) => sampleNatively({ ...params, seedHigh: slot }, bellLogits(slot), 1)[0]!);
		await backend.step(slots.map((slot) => share(slot, Uint32Array.of(1), 0, Uint32Array.of(2 * slot))));
		for (const slot of slots) {
			backend.openSlot(slot, { ...params, seedHigh: slot }, NOTHING, 0);
			backend.logits(slot).set(bellLogits(slot));
		}
		const rows = slots.map((slot) => ({ slot, mask: slot === 6 ? nothing : undefined }));
		expect(backend.sampleRows(rows)).toEqual(
			alone.map((token, i) => (slots[i] === 6 ? null : { ...token, slot: slots[i] })),
		);
		for (const slot of slots) backend.closeSlot(slot);
	});

	it("are looked through where they were edited: nonsense stays as it is, costs no draw and no other row", async () => {
		const slots = [3, 0, 6, 5];
		const alone = slots.map((slot) => sampleNatively({ ...params, seedHigh: slot }, bellLogits(slot), 1)[0]!);
		await backend.step(slots.map((slot) => share(slot, Uint32Array.of(1), 0, Uint32Array.of(2 * slot))));
		const biased = { biasIds: Uint32Array.of(9), biasValues: Float32Array.of(1) };
		for (const slot of slots) {
			backend.openSlot(slot, { ...params, ...(slot === 6 ? biased : {}), seedHigh: slot }, NOTHING, 0);
			backend.logits(slot).set(bellLogits(slot));
		}
		const nonsense = bellLogits(6).fill(Number.NaN, 70, 71);
		backend.logits(6).set(nonsense);
		const rows = slots.map((slot) => ({ slot, edited: true }));
		expect(backend.sampleRows(rows)).toEqual(
			alone.map((token, i) => (slots[i] === 6 ? "unusable" : { ...token, slot: slots[i] })),
		);
		expect(backend.logits(6)).toEqual(nonsense);
		const withoutBias = bellLogits(6);
		withoutBias[9]! -= 1;
		backend.logits(6).set(withoutBias);
		expect(backend.sampleRows([{ slot: 6, edited: true }])).toEqual([{ ...alone[2]!, slot: 6 }]);
		for (const slot of slots) backend.closeSlot(slot);
	});

	it("are nonsense for what JavaScript calls so, wherever it is, and only where they were edited", () => {
		const places = [0, 1, 15, 16, 1600, VOCABULARY - 10, VOCABULARY - 9, VOCABULARY - 1]; // 3001 is no multiple of 16
		const never = new Float32Array(VOCABULARY).fill(-Infinity);
		const odd = [Number.NaN, Infinity, -Infinity, -5, 0, 3.4e38, 1e-45];
		const cases = places.flatMap((id) =>
			odd.flatMap((value) => [bellLogits(id), never].map((row) => row.slice().fill(value, id, id + 1))),
		);
		backend.openSlot(0, GREEDY, NOTHING, 0);
		const sampled = cases.map((row) => {
			const [edited, trusted] = [true, false].map((edited) => {
				backend.logits(0).set(row);
				return backend.sampleRows([{ slot: 0, edited }])[0]!;
			});
			expect(trusted).not.toBe("unusable");
			return edited === "unusable";
		});
		backend.closeSlot(0);
		expect(sampled).toEqual(cases.map((row) => logitsProblem(row) !== null));
		expect(sampled.filter(Boolean)).toHaveLength(places.length * 5); // two values in two rows, and one row of nothing
	});

	it("are refused when one is there twice, or was in no step", () => {
		backend.openSlot(0, GREEDY, NOTHING, 0);
		backend.openSlot(7, GREEDY, NOTHING, 0);
		expect(() => backend.sampleRows([{ slot: 0 }, { slot: 0 }])).toThrow("slot 0 is there twice");
		expect(() => backend.sampleRows([{ slot: 0 }, { slot: 7 }])).toThrow("slot 7 has no logits");
		backend.closeSlot(0);
		backend.closeSlot(7);
	});
});
