// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { seededRandom } from "../native/__fixtures__/tiny-model.js";
import { StepCost } from "./step-cost.js";

/** A machine: ms of a step before its first row, of a row, and of a position that a row attends to. */
interface Machine {
	readonly base: number;
	readonly row: number;
	readonly position: number;
}
/** As measured with SmolLM2-135M in 4 bits on two cores. */
const SMALL: Machine = { base: 2.4, row: 0.54, position: 0.0008 };

const timeOf = ({ base, row, position }: Machine, shares: readonly { position: number; rows: number }[]) =>
	shares.reduce(
		(ms, share) => ms + share.rows * (row + position * (share.position + (share.rows + 1) / 2)),
		base,
	);
const plain = (sequences: number, position: number) =>
	Array.from({ length: sequences }, () => ({ position, rows: 1 }));

/** What a model of a machine has learnt from steps of so many sequences, one in ten with guesses. */
function learnt(
	machine: Machine,
	sequences: number,
	{ steps = 500, position = 150, noise = (): number => 1, guesses = 0.1 } = {},
) {
	const random = seededRandom(7);
	const cost = new StepCost();
	for (let i = 0; i < steps; i++) {
		const shares = plain(sequences, position + (i % 64));
		if (random() < guesses) shares[0]!.rows += 1 + Math.floor(random() * 8);
		cost.observe(shares, timeOf(machine, shares) * noise());
	}
	return cost;
}
/** What a row takes of a step of so many sequences. */
const part = (cost: StepCost, sequences: number, position = 180) =>
	cost.rowMs(position) / cost.stepMs(plain(sequences, position));
const partOf = (machine: Machine, sequences: number, position = 180) =>
	(machine.row + machine.position * (position + 1)) / timeOf(machine, plain(sequences, position));

describe("StepCost", () => {
	it.each([
		["a small model", SMALL, 1],
		["a small model, eight at once", SMALL, 8],
		["a model whose weights take long to read", { base: 60, row: 2, position: 0.002 }, 1],
		["a machine whose rows take all the time", { base: 0.01, row: 3, position: 0 }, 4],
	])("tells base and rows apart: %s", (_, machine, sequences) => {
		const cost = learnt(machine, sequences);
		expect(Math.abs(part(cost, sequences) / partOf(machine, sequences) - 1)).toBeLessThan(0.1);
		expect(cost.stepMs(plain(sequences, 180)) / timeOf(machine, plain(sequences, 180))).toBeCloseTo(1, 1);
	});

	it("knows what a long context costs", () => {
		const long = learnt(SMALL, 2, { position: 8000 });
		expect(part(long, 2, 8000) / partOf(SMALL, 2, 8000)).toBeCloseTo(1, 0);
		expect(long.rowMs(8000)).toBeGreaterThan(4 * learnt(SMALL, 2).rowMs(150));
	});

	it("is not misled by steps that something else held up, or by a machine that slows down and speeds up", () => {
		const random = seededRandom(3);
		let speed = 1;
		const noise = () => {
			speed = Math.min(2, Math.max(0.7, speed * (1 + (random() - 0.5) * 0.02)));
			return speed * (random() < 0.05 ? 1 + 4 * random() : 1 + 0.15 * random());
		};
		for (const sequences of [1, 8]) {
			const off = part(learnt(SMALL, sequences, { noise }), sequences) / partOf(SMALL, sequences);
			expect(off).toBeGreaterThan(0.8);
			expect(off).toBeLessThan(1.25);
		}
	});

	it("says of steps that are all alike neither that rows take nothing nor that they take everything", () => {
		for (const sequences of [1, 8]) {
			const cost = learnt(SMALL, sequences, { guesses: 0 });
			expect(part(cost, sequences) * sequences).toBeGreaterThan(0.3);
			expect(part(cost, sequences) * sequences).toBeLessThan(0.7);
		}
	});

	it("follows a machine that has changed", () => {
		const cost = learnt({ base: 60, row: 0.1, position: 0 }, 1, { steps: 5000, guesses: 0.5 });
		const random = seededRandom(5);
		for (let i = 0; i < 1500; i++) {
			const shares = [{ position: 150, rows: 1 + Math.floor(random() * 3) }];
			cost.observe(shares, timeOf(SMALL, shares));
		}
		expect(part(cost, 1) / partOf(SMALL, 1)).toBeCloseTo(1, 0);
	});

	it("never says that more rows take less time", () => {
		const cost = new StepCost();
		for (let i = 0; i < 200; i++) cost.observe([{ position: 150, rows: 1 + (i % 8) }], i % 8 === 0 ? 5 : 4);
		expect(cost.rowMs(150)).toBeGreaterThanOrEqual(0);
		expect(cost.rowMs(150)).toBeLessThan(0.1);
		expect(cost.stepMs(plain(1, 150))).toBeCloseTo(4, 0);
	});

	it("knows nothing before the first step, and learns nothing from one without a time", () => {
		const cost = new StepCost();
		cost.observe(plain(1, 5), 0);
		expect([cost.stepMs(plain(1, 5)), cost.rowMs(5)]).toEqual([0, 0]);
		cost.observe(plain(1, 5), 3);
		expect(cost.stepMs(plain(1, 5))).toBeCloseTo(3, 1);
	});
});
