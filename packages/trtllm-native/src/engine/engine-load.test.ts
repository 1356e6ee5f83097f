// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { collect, greedy, text } from "./__fixtures__/ask.js";
import { paperEngine } from "./__fixtures__/paper-backend.js";

it("tells what share of its prompts the cache had, once there was one", async () => {
	const { engine } = await paperEngine();
	const hitRate = () => engine.load()[0]!.kvCacheHitRate;
	expect(hitRate()).toBe(undefined);
	const request = greedy({ tokenIds: text(1, 100) });
	await collect(engine, request);
	expect(hitRate()).toBe(0);
	const { usage } = (await collect(engine, request)).at(-1)!;
	expect(usage!.cachedTokens).toBeGreaterThan(0);
	expect(hitRate()).toBe(usage!.cachedTokens / 200);
	await engine.close();
});
