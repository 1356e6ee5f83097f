// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createGenerateRequest, type EngineOutput } from "@dyn/protocols";
import type { EndpointClient } from "@dyn/runtime";
import { microsBetween, microsNow } from "./plane-workload.js";

export interface Load {
	/** Requests under way at any time. */
	readonly concurrency: number;
	readonly promptTokens: number;
	/** Items of every answer. */
	readonly items: number;
	/** No request begins after this time. */
	readonly seconds: number;
}

export interface LoadResult {
	readonly requests: number;
	readonly seconds: number;
	/** From a call to its first item, µs, one per request. */
	readonly firstItemMicros: readonly number[];
	/** From making to receiving a token, µs, one per token. */
	readonly tokenMicros: readonly number[];
}

/** Keeps `concurrency` requests under way and checks that every answer is whole. */
export async function runLoad(client: EndpointClient, load: Load): Promise<LoadResult> {
	const tokenIds = Array.from({ length: load.promptTokens }, (_, i) => (i * 7919) % 49_152);
	const request = createGenerateRequest({ model: "bench", tokenIds, stop: { maxTokens: load.items } });
	const firstItemMicros: number[] = [];
	const tokenMicros: number[] = [];
	const began = performance.now();
	const end = began + load.seconds * 1000;

	const lane = async () => {
		do {
			const called = microsNow();
			let received = 0;
			let last: EngineOutput | null = null;
			for await (const item of client.generate(request, createRequestContext())) {
				last = item as EngineOutput;
				const now = microsNow();
				if (received === 0) firstItemMicros.push(microsBetween(called, now));
				tokenMicros.push(microsBetween(last.tokenIds[0]!, now));
				received++;
			}
			if (received !== load.items || last?.finishReason !== "length")
				throw new Error(`an answer has ${received} items instead of ${load.items}`);
		} while (performance.now() < end);
	};
	await Promise.all(Array.from({ length: load.concurrency }, lane));
	return {
		requests: firstItemMicros.length,
		seconds: (performance.now() - began) / 1000,
		firstItemMicros,
		tokenMicros,
	};
}
