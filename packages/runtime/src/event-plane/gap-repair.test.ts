// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { GapRepair, NEWEST, type Repaired, type Sequenced } from "./gap-repair.js";

const event = (sequence: number, publisherId = 1n): Sequenced => ({
	publisherId,
	sequence: BigInt(sequence),
});

/** What was delivered, as `sequence` or `sequence(missed)`, and how to answer the requests. */
function setUp({ repairable = true } = {}) {
	const delivered: string[] = [];
	const asked: { range: string; answer: (repaired: Repaired<Sequenced>) => Promise<void> }[] = [];
	const gaps = new GapRepair<Sequenced>(
		({ sequence }, missed) => delivered.push(missed ? `${sequence}(${missed})` : `${sequence}`),
		() =>
			!repairable
				? null
				: (from, to) =>
						new Promise((resolve) =>
							asked.push({
								range: `${from}..${to === NEWEST ? "" : to}`,
								answer: async (repaired) => {
									resolve(repaired);
									await new Promise((done) => setImmediate(done));
								},
							}),
						),
	);
	return { gaps, delivered, asked };
}

it("counts a gap at once when nobody can be asked", () => {
	const { gaps, delivered } = setUp({ repairable: false });
	for (const sequence of [5, 6, 6, 9, 8, 10]) gaps.accept(event(sequence));
	expect(delivered).toEqual(["5", "6", "9(2)", "10"]);
});

it("asks for a gap once and delivers in order", async () => {
	const { gaps, delivered, asked } = setUp();
	for (const sequence of [0, 4, 5]) gaps.accept(event(sequence));
	expect(delivered).toEqual(["0"]);
	expect(asked.map(({ range }) => range)).toEqual(["1..3"]);
	await asked[0]!.answer({ events: [event(1), event(2), event(3)], settled: 3n });
	gaps.accept(event(6));
	expect(delivered).toEqual(["0", "1", "2", "3", "4", "5", "6"]);
	expect(asked).toHaveLength(1);
});

it("counts only what is really gone", async () => {
	const { gaps, delivered, asked } = setUp();
	for (const sequence of [0, 6]) gaps.accept(event(sequence));
	await asked[0]!.answer({ events: [event(3), event(5)], settled: 5n });
	expect(delivered).toEqual(["0", "3(2)", "5(1)", "6"]);
});

it("asks for a gap behind the gap", async () => {
	const { gaps, delivered, asked } = setUp();
	for (const sequence of [0, 2, 5]) gaps.accept(event(sequence));
	await asked[0]!.answer({ events: [], settled: 1n });
	expect(delivered).toEqual(["0", "2(1)"]);
	expect(asked[1]!.range).toBe("3..4");
	gaps.accept(event(6));
	await asked[1]!.answer({ events: [event(3), event(4)], settled: 4n });
	expect(delivered).toEqual(["0", "2(1)", "3", "4", "5", "6"]);
});

it("takes what comes late while it waits", async () => {
	const { gaps, delivered, asked } = setUp();
	for (const sequence of [0, 2, 3, 1, 4]) gaps.accept(event(sequence));
	expect(delivered).toEqual(["0", "1", "2", "3", "4"]);
	await asked[0]!.answer({ events: [event(1)], settled: 1n });
	expect(delivered).toHaveLength(5);
});

it("catches up with a publisher that is known from its start, without taking newer events for lost", async () => {
	const { gaps, delivered, asked } = setUp();
	gaps.catchUp(1n);
	expect(asked).toEqual([]); // nothing is known of it
	gaps.expectFromStart(1n);
	gaps.catchUp(1n);
	expect(asked[0]!.range).toBe("0..");
	gaps.accept(event(4)); // on its way when the answer was made
	await asked[0]!.answer({ events: [event(1), event(2)], settled: 2n });
	expect(delivered).toEqual(["1(1)", "2"]);
	expect(asked[1]!.range).toBe("3..3");
	await asked[1]!.answer({ events: [event(3)], settled: 3n });
	expect(delivered).toEqual(["1(1)", "2", "3", "4"]);
});

it("gives a gap up rather than hold without bound, and keeps publishers apart", async () => {
	const { gaps, delivered } = setUp();
	gaps.accept(event(0));
	for (let sequence = 2; sequence < 10_002; sequence++) gaps.accept(event(sequence));
	gaps.accept(event(7, 2n));
	expect(delivered).toEqual(["0", "7"]);
	gaps.accept(event(10_002));
	expect(delivered).toHaveLength(2 + 10_001);
	expect(delivered[2]).toBe("2(1)");
});
