// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";

interface Fuzzed {
	readonly cases: number;
	readonly problems: readonly object[];
	readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
}
const file: string = new URL("fuzz.mjs", import.meta.url).href;
const { fuzz }: { fuzz(options: { cases: number }): Promise<Fuzzed> } = await import(file);

const CASES = 300;

it("every seed and some hundred damaged ones load or are refused, by name and in time", async () => {
	const { cases, problems, outcomes } = await fuzz({ cases: CASES });
	expect(problems).toEqual([]);
	expect(cases).toBe(CASES);
	for (const [loader, codes] of Object.entries(outcomes)) {
		// Damage that nobody notices, or after which nothing loads, would test nothing.
		expect([loader, codes["ok"]! > CASES / 10, codes["MODEL_FORMAT"]! > CASES / 20]).toEqual([
			loader,
			true,
			true,
		]);
	}
	expect(Object.keys(outcomes)).toHaveLength(5);
}, 120_000);
