// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { SpeedQuestion } from "./ceiling.js";
import { type EngineResult, engineTable } from "./engine-table.js";

const spread = (median: number) => ({ median, min: median - 9.6, max: median + 9.6, runs: 5 });
const prefill: SpeedQuestion = { op: "pp", n: 512 };
const decode: SpeedQuestion = { op: "dec", batch: 8, ctx: 512, steps: 32 };
const result = (question: SpeedQuestion, engine: string, speed: number, more: object): EngineResult => ({
	question,
	engine,
	speed: spread(speed),
	ratio: speed / 100,
	foreign: 0,
	steal: 0,
	...more,
});

it("has a line per question", () => {
	const of = (share: number) => ({
		ceiling: { tokensPerSecond: 1000, limit: "memory" as const },
		ofCeiling: share,
	});
	const results = [
		result(prefill, "llama.cpp", 100, {}),
		result(prefill, "dyn", 240, {}),
		result(decode, "llama.cpp", 100, of(0.1)),
		result(decode, "dyn", 330, of(0.33)),
	];
	expect(engineTable("a model", results).split("\n")).toEqual([
		"| a model | llama.cpp | dyn | ratio | ceiling | of it |",
		"| --- | --- | --- | --- | --- | --- |",
		"| prefill 512 | 100 (90..110) | 240 (230..250) | **2.4** | – | –, – |",
		"| decode batch 8 @512 | 100 (90..110) | 330 (320..340) | **3.3** | 1000 (memory) | 10 %, 33 % |",
	]);
});

it("says what each keeps beside busy processes", () => {
	const busy = (kept: number) => ({ busy: { processes: 1, speed: spread(50), kept, foreign: 0.5 } });
	const table = engineTable("m", [
		result(decode, "llama.cpp", 100, busy(0.1)),
		result(decode, "dyn", 300, busy(0.45)),
	]);
	expect(table).toContain("| kept beside 1 busy |");
	expect(table.split("\n")[2]).toMatch(/\| 10 %, 45 % \|$/);
});
