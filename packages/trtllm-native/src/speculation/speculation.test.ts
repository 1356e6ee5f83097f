// SPDX-License-Identifier: Apache-2.0
import { silentLogger } from "@dyn/common";
import { type BlockHasher, createBlockHasher } from "@dyn/tokens";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { SampledToken } from "../backend/forward-backend.js";
import { GREEDY } from "../native/__fixtures__/steps.js";
import { Sequence } from "../scheduler/sequence.js";
import type { Drafter, GuessRequest } from "./drafter.js";
import { Speculation } from "./speculation.js";

let hasher: BlockHasher;
beforeAll(async () => {
	hasher = await createBlockHasher();
});
const sequence = () => new Sequence({ prompt: [1, 2, 3], priority: 0, hasher, processed: false });
const chosen = (...ids: number[]): SampledToken[] =>
	ids.map((tokenId) => ({
		slot: 0,
		tokenId,
		logprob: Number.NaN,
		topIds: new Uint32Array(0),
		topLogprobs: new Float32Array(0),
	}));

/** Says 5 as often as it is asked to. */
function fives(costRatio = 0) {
	const propose = vi.fn((requests: readonly GuessRequest[]) =>
		requests.map(({ limit }) => new Uint32Array(limit).fill(5)),
	);
	return { costRatio, propose, forget: vi.fn(), close: async () => {} } satisfies Drafter;
}
const speculate = (drafter: Drafter, logger = silentLogger) =>
	new Speculation({ drafter, maxGuesses: 8, maxRows: 64, logger });

/** Guesses made for a sequence alone, and what came of them told: `right` of them came true. */
async function round(
	speculation: Speculation,
	of: Sequence,
	right: (guesses: number) => number,
	limit = 100,
) {
	const guesses =
		(await speculation.propose([{ sequence: of, params: GREEDY, limit }], 1)).get(of)?.length ?? 0;
	speculation.observe(of, guesses, chosen(...new Array(right(guesses)).fill(5), 6));
	return guesses;
}

describe("Speculation", () => {
	it("guesses more and more where guesses come true, but no more than is left of the answer", async () => {
		const speculation = speculate(fives());
		const mine = sequence();
		const lengths: number[] = [];
		for (let i = 0; i < 6; i++) lengths.push(await round(speculation, mine, (guesses) => guesses));
		expect(lengths[0]).toBeLessThan(4);
		expect(lengths.at(-1)).toBe(8);
		expect(await round(speculation, mine, (guesses) => guesses, 3)).toBe(3);
		const guessed = lengths.reduce((sum, length) => sum + length, 3);
		expect(speculation.stats).toEqual({ rounds: 7, guessed, accepted: guessed });
	});

	it("stops guessing where guesses are wrong, and begins again when they would have been right", async () => {
		const drafter = fives();
		const speculation = speculate(drafter);
		const mine = sequence();
		for (let i = 0; i < 20; i++) await round(speculation, mine, () => 0);
		expect(await round(speculation, mine, () => 0)).toBe(0);
		const { guessed } = speculation.stats;
		expect(guessed).toBeLessThan(10);
		// It goes on asking, which costs nothing, and sees the next tokens be what was said.
		let turns = 0;
		for (let guesses = 0; guesses === 0; turns++) {
			guesses =
				(await speculation.propose([{ sequence: mine, params: GREEDY, limit: 9 }], 1)).get(mine)?.length ?? 0;
			speculation.observe(mine, guesses, chosen(5));
		}
		expect(turns).toBeLessThan(4);
	});

	it("keeps sequences apart", async () => {
		const speculation = speculate(fives());
		const [good, bad] = [sequence(), sequence()];
		for (let i = 0; i < 10; i++) {
			await round(speculation, good, (guesses) => guesses);
			await round(speculation, bad, () => 0);
		}
		const request = { params: GREEDY, limit: 100 };
		const guesses = await speculation.propose(
			[
				{ sequence: good, ...request },
				{ sequence: bad, ...request },
			],
			2,
		);
		expect([guesses.get(good)?.length, guesses.get(bad)?.length]).toEqual([8, undefined]);
	});

	it("asks a costly drafter that was wrong only now and then", async () => {
		const drafter = fives(0.1);
		const speculation = speculate(drafter);
		const mine = sequence();
		for (let i = 0; i < 20; i++) await round(speculation, mine, () => 0);
		drafter.propose.mockClear();
		for (let i = 0; i < 100; i++) await round(speculation, mine, () => 0);
		expect(drafter.propose.mock.calls.length).toBeGreaterThan(1);
		expect(drafter.propose.mock.calls.length).toBeLessThan(5);
	});

	it("goes on without a drafter that fails, and says so once", async () => {
		const drafter = { ...fives(), propose: vi.fn(() => Promise.reject(new Error("broken"))) };
		const error = vi.fn();
		const speculation = speculate(drafter, { ...silentLogger, error });
		const mine = sequence();
		expect(await round(speculation, mine, () => 0)).toBe(0);
		expect(await round(speculation, mine, () => 0)).toBe(0);
		expect(drafter.propose).toHaveBeenCalledTimes(1);
		expect(error).toHaveBeenCalledTimes(1);
	});
});
