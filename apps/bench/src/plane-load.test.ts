// SPDX-License-Identifier: Apache-2.0
import { createRuntime, type EndpointHandler } from "@dyn/runtime";
import { expect, it } from "vitest";
import { runLoad } from "./plane-load.js";
import { ENDPOINTS, microsBetween, trivialEngine } from "./plane-workload.js";

async function load(handler: EndpointHandler) {
	await using runtime = await createRuntime();
	const endpoint = runtime.endpoint(ENDPOINTS.burst);
	await endpoint.serve(handler);
	return await runLoad(endpoint.client(), { concurrency: 3, promptTokens: 8, items: 4, seconds: 0 });
}

it("counts every request and token, and knows how long they took", async () => {
	const { requests, firstItemMicros, tokenMicros } = await load(trivialEngine("burst"));
	expect(requests).toBe(3);
	expect(firstItemMicros).toHaveLength(3);
	expect(tokenMicros).toHaveLength(12);
	for (const micros of [...firstItemMicros, ...tokenMicros]) expect(micros).toBeLessThan(10_000_000);
});

it("refuses an answer that is cut short", async () => {
	const whole = trivialEngine("burst");
	const short: EndpointHandler = async function* (request, context) {
		let items = 0;
		for await (const item of whole(request, context)) if (++items < 4) yield item;
	};
	await expect(load(short)).rejects.toThrow("3 items instead of 4");
});

it("tells times apart across the clock's wrap", () => {
	expect(microsBetween(2 ** 32 - 5, 7)).toBe(12);
	expect(microsBetween(5, 12)).toBe(7);
});
