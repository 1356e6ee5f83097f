// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { createGenerateRequest, type GenerateRequestInit } from "@dyn/protocols";

/**
 * Tokens per second of `batch` greedy sequences that decode together, each of `tokens` unless what is `asked` ends it
 * earlier: counted is what was made.
 */
export async function decodeSpeed(
	engine: Engine,
	batch: number,
	tokens: number,
	asked: Pick<GenerateRequestInit, "guided" | "logitsProcessors">,
): Promise<number> {
	const began = performance.now();
	const made = await Promise.all(
		Array.from({ length: batch }, async (_, index) => {
			const request = createGenerateRequest({
				tokenIds: [1, 100 + index],
				sampling: { temperature: 0 },
				stop: { maxTokens: tokens, ignoreEos: true },
				...asked,
			});
			let count = 0;
			for await (const { tokenIds } of engine.generate(request, createRequestContext()))
				count += tokenIds.length;
			return count;
		}),
	);
	return (made.reduce((sum, count) => sum + count, 0) / (performance.now() - began)) * 1000;
}
