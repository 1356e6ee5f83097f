// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { BatchEngine, PACES } from "./worker-bench-engine.js";
import { runWorkerLoad, type Source } from "./worker-bench-load.js";

const load = { streams: 3, tokens: 10, promptTokens: 8, seconds: 0 };
const whole: Source = (request, context) => new BatchEngine().generate(request, context);

it.each(PACES)("counts every token of answers at the pace %s, and knows how long they took", async (pace) => {
	const { tokens, batchMicros } = await runWorkerLoad(whole, { ...load, pace });
	expect(tokens).toBe(30);
	expect(batchMicros).toHaveLength(6);
	for (const micros of batchMicros) expect(micros).toBeLessThan(10_000_000);
});

it("refuses an answer that is cut short", async () => {
	const short: Source = async function* (request, context) {
		let items = 0;
		for await (const item of whole(request, context)) if (items++ !== 1) yield item;
	};
	await expect(runWorkerLoad(short, { ...load, pace: "burst" })).rejects.toThrow("5 tokens instead of 10");
});
