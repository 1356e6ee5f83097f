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
		topLogprobs: new Float64Array(0),
	}));

/** Says 5 as often as it is asked to. */
function fives(guessMs = 0) {
	const propose = vi.fn((requests: readonly GuessRequest[]) =>
		requests.map(({ limit }) => new Uint32Array(limit).fill(5)),
	);
	return {
		isFree: guessMs === 0,
		doubts: (_: Sequence, limit: number) => new Array<number>(limit).fill(0.5),
		guessMs: () => guessMs,
		propose,
		forget: vi.fn(),
		close: async () => {},
	} satisfies Drafter;
}
/** Steps of a machine with a clock of its own: a base, and a millisecond for each row. */
function tellTimes(speculation: Speculation, baseMs: number) {
	for (let i = 0; i < 200; i++) {
		const shares = Array.from({ length: 1 + (i % 8) }, () => ({
			sequence: sequence(),
			count: 1,
			samples: true,
		}));
		speculation.timed(shares, baseMs + shares.length);
	}
}
function speculate(drafter: Drafter, { logger = silentLogger, baseMs = 5 } = {}) {
	const speculation = new Speculation({ drafter, maxGuesses: 8, maxRows: 64, logger });
	tellTimes(speculation, baseMs);
	return speculation;
}

/** Guesses made for a sequence alone, and what came of them told: `right` of them came true. */
async function round(
	speculation: Speculation,
	of: Sequence,
	right: (guesses: number) => number,
	limit = 100,
) {
	const guesses =
		(await speculation.propose([{ sequence: of, params: GREEDY, limit }], [{ sequence: of }])).get(of)
			?.length ?? 0;
	speculation.observe(of, guesses, chosen(...new Array(right(guesses)).fill(5), 6));
	return guesses;
}

describe("Speculation", () => {
	it("guesses more and more where guesses come true, but no more than is left of the answer", async () => {
		const speculation = speculate(fives());
		const mine = sequence();
		const lengths: number[] = [];
		for (let i = 0; i < 9; i++) lengths.push(await round(speculation, mine, (guesses) => guesses));
		expect(lengths[0]).toBeLessThan(4);
		expect(lengths.at(-1)).toBe(8);
		expect(await round(speculation, mine, (guesses) => guesses, 3)).toBe(3);
		const guessed = lengths.reduce((sum, length) => sum + length, 3);
		expect(speculation.stats).toEqual({ rounds: 10, guessed, accepted: guessed });
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
			expect(speculation.watching).toBe(true);
			guesses =
				(await speculation.propose([{ sequence: mine, params: GREEDY, limit: 9 }], [{ sequence: mine }])).get(
					mine,
				)?.length ?? 0;
			speculation.observe(mine, guesses, chosen(5));
		}
		expect(turns).toBeLessThan(10);
		expect(speculation.watching).toBe(false); // what is guessed again is computed
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
			[{ sequence: good }, { sequence: bad }],
		);
		expect([guesses.get(good)?.length, guesses.get(bad)?.length]).toEqual([8, undefined]);
	});

	it("asks a costly drafter that was wrong only now and then", async () => {
		const drafter = fives(1);
		const speculation = speculate(drafter);
		const mine = sequence();
		for (let i = 0; i < 20; i++) await round(speculation, mine, () => 0);
		drafter.propose.mockClear();
		for (let i = 0; i < 100; i++) await round(speculation, mine, () => 0);
		expect(drafter.propose.mock.calls.length).toBeGreaterThan(1);
		expect(drafter.propose.mock.calls.length).toBeLessThan(4);
		drafter.propose.mockClear();
		for (let i = 0; i < 1000; i++) await round(speculation, mine, () => 0);
		expect(drafter.propose.mock.calls.length).toBeGreaterThan(1);
		expect(drafter.propose.mock.calls.length).toBeLessThan(6);
	});

	it("never asks a drafter that takes longer than a step of the model", async () => {
		const drafter = fives(10);
		const speculation = speculate(drafter);
		const mine = sequence();
		for (let i = 0; i < 200; i++) await round(speculation, mine, () => 0);
		expect(drafter.propose).not.toHaveBeenCalled();
	});

	it("goes on without a drafter that fails, and says so once", async () => {
		const drafter = { ...fives(), propose: vi.fn(() => Promise.reject(new Error("broken"))) };
		const error = vi.fn();
		const speculation = speculate(drafter, { logger: { ...silentLogger, error } });
		const mine = sequence();
		expect(await round(speculation, mine, () => 0)).toBe(0);
		expect(await round(speculation, mine, () => 0)).toBe(0);
		expect(drafter.propose).toHaveBeenCalledTimes(1);
		expect(error).toHaveBeenCalledTimes(1);
	});

	it("guesses nothing before it has seen how long a step takes, and learns nothing of that from prompts", async () => {
		const speculation = new Speculation({
			drafter: fives(),
			maxGuesses: 8,
			maxRows: 64,
			logger: silentLogger,
		});
		const [mine, other] = [sequence(), sequence()];
		other.computed = 100;
		for (let i = 0; i < 9; i++) {
			expect(await round(speculation, mine, () => 0)).toBe(0);
			speculation.observe(mine, 8, chosen(...new Array(8).fill(5), 6)); // they would all have been right
			speculation.timed([{ sequence: other, count: 3, samples: true }], 9);
		}
		tellTimes(speculation, 5);
		expect(await round(speculation, mine, (guesses) => guesses)).toBeGreaterThan(2);
	});

	it("guesses as far as its clock says that rows are worth it", async () => {
		const lengths = async (baseMs: number, company: number) => {
			const speculation = speculate(fives(), { baseMs });
			const mine = sequence();
			for (let i = 0; i < 4; i++) speculation.observe(mine, 0, chosen(5));
			const others = Array.from({ length: company }, sequence);
			const request = { sequence: mine, params: GREEDY, limit: 100 };
			return (
				(
					await speculation.propose(
						[request],
						[mine, ...others].map((each) => ({ sequence: each })),
					)
				).get(mine)?.length ?? 0
			);
		};
		expect(await lengths(0.1, 0)).toBe(0); // rows take all the time
		expect(await lengths(5, 0)).toBeGreaterThan(0);
		expect(await lengths(50, 0)).toBeGreaterThan(await lengths(5, 0));
		expect(await lengths(5, 15)).toBe(0); // shared with others, the base is small
		expect(await lengths(50, 15)).toBeGreaterThan(0);
	});

	it("learns what rows take from its own guesses", async () => {
		for (const [rowMs, guessed] of [
			[0.01, 8],
			[3, 0],
		] as const) {
			const speculation = new Speculation({
				drafter: fives(),
				maxGuesses: 8,
				maxRows: 64,
				logger: silentLogger,
			});
			const mine = sequence();
			mine.computed = 100;
			let last = 0;
			for (let i = 0; i < 300; i++) {
				const request = { sequence: mine, params: GREEDY, limit: 100 };
				const guesses =
					(await speculation.propose([request], [{ sequence: mine }])).get(mine) ?? new Uint32Array(0);
				last = guesses.length;
				const share = { sequence: mine, count: 1, samples: true, guesses };
				speculation.timed([share], 0.1 + rowMs * (1 + last));
				speculation.observe(mine, last, chosen(...new Array(last + 1).fill(5)));
			}
			expect(last).toBe(guessed);
		}
	});
});
