// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import type { EndpointHandler } from "@dyn/runtime";

/** Where the workers of all planes serve: one endpoint per pace. */
export const ENDPOINTS = { burst: "bench.plane.burst", paced: "bench.plane.paced" } as const;
export type Pace = keyof typeof ENDPOINTS;

/** Time between two tokens of a paced answer, ms. */
export const STEP_MS = 10;

/**
 * A generate handler without an engine: `maxTokens` deltas of one token each, at once or one per step. The token id is the
 * time at which it was made, so that the caller, on the same machine, knows how long it was on its way.
 */
export function trivialEngine(pace: Pace): EndpointHandler {
	const step = pace === "paced" ? createSteps(STEP_MS) : null;
	return async function* (request, { signal }): AsyncGenerator<EngineOutput, void> {
		const { tokenIds, stop } = request as GenerateRequest;
		const maxTokens = stop.maxTokens ?? 1;
		for (let made = 1; made <= maxTokens && !signal.aborted; made++) {
			if (step) await step();
			const isLast = made === maxTokens;
			yield {
				index: 0,
				tokenIds: [microsNow()],
				logprobs: null,
				finishReason: isLast ? "length" : null,
				stopTokenId: null,
				usage: isLast
					? { promptTokens: tokenIds.length, completionTokens: maxTokens, cachedTokens: 0 }
					: null,
			};
		}
	};
}

/** All sequences get their tokens at the same moments, as from an engine that decodes them in one batch. */
function createSteps(stepMs: number): () => Promise<void> {
	let next: Promise<void> | null = null;
	return () => {
		next ??= new Promise((resolve) => {
			setTimeout(() => {
				next = null;
				resolve();
			}, stepMs);
		});
		return next;
	};
}

/** Microseconds, modulo 2^32, of the clock that all processes of the machine share (`performance.now()` they do not). */
export function microsNow(): number {
	return Number(BigInt.asUintN(32, process.hrtime.bigint() / 1000n));
}

/** From one `microsNow()` to a later one. */
export function microsBetween(before: number, after: number): number {
	return (after - before + 2 ** 32) % 2 ** 32;
}
