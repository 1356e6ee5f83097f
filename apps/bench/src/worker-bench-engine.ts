// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo, EngineLoad } from "@dyn/engine";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import { microsNow } from "./plane-workload.js";

/**
 * When the batches of an answer come: all at once; one per turn of the event loop, as from an engine that takes no time
 * for a step of all its sequences; one per `STEP_MS`, for all streams at the same moment; the same, for each at its own.
 */
export const PACES = ["burst", "turn", "step", "spread"] as const;
export type WorkerPace = (typeof PACES)[number];

/** Tokens that come together. */
export const BATCH_TOKENS = 5;
/** Between two batches of a paced stream: 10 ms per token. */
export const STEP_MS = 50;

export const BATCH_ENGINE_INFO: EngineInfo = {
	model: "double",
	contextLength: 2 ** 20,
	vocabSize: 2 ** 32,
	eosTokenIds: [2],
	kvBlockSize: 32,
	totalKvBlocks: 2 ** 16,
	maxNumSeqs: 1024,
	maxNumBatchedTokens: 8192,
	dpSize: 1,
	description: "a double without a model",
	capabilities: { logprobs: false, maxChoices: 1, kvEvents: false, features: [] },
};

/**
 * Answers every request with batches of tokens at the pace that the prompt's first token is the index of. The first token
 * of a batch is the time at which it was made (`microsNow`).
 */
export class BatchEngine implements Engine {
	#streams = 0;
	readonly #steps = { turn: sharedWait(setImmediate), step: sharedWait((wake) => setTimeout(wake, STEP_MS)) };

	async start(): Promise<EngineInfo> {
		return BATCH_ENGINE_INFO;
	}

	async *generate(
		{ tokenIds, stop }: GenerateRequest,
		{ signal }: RequestContext,
	): AsyncIterable<EngineOutput> {
		const pace = PACES[tokenIds[0] ?? -1];
		if (!pace) throw new DynError("INVALID_ARGUMENT", "the prompt's first token names no pace");
		const maxTokens = stop.maxTokens ?? BATCH_TOKENS;
		// The golden ratio lays the moments of any number of streams evenly over the step.
		if (pace === "spread") await sleep(((this.#streams++ * 0.618_034) % 1) * STEP_MS);
		let made = 0;
		for (; made < maxTokens && !signal.aborted; made += BATCH_TOKENS) {
			if (pace === "spread") await sleep(STEP_MS);
			else if (pace !== "burst") await this.#steps[pace]();
			yield {
				index: 0,
				tokenIds: [microsNow(), 1000 + (made % 1000), 20_001, 30_002, 40_003],
				logprobs: null,
				finishReason: null,
				stopTokenId: null,
				usage: null,
			};
		}
		yield {
			index: 0,
			tokenIds: [],
			logprobs: null,
			finishReason: signal.aborted ? "cancelled" : "length",
			stopTokenId: null,
			usage: { promptTokens: tokenIds.length, completionTokens: made, cachedTokens: 0 },
		};
	}

	async *kvEvents(): AsyncIterable<KvEvent> {}

	load(): readonly EngineLoad[] {
		return [];
	}

	health(): EngineHealth {
		return { status: "healthy" };
	}

	async drain(): Promise<void> {}

	async close(): Promise<void> {}
}

/** Whoever calls before the wait is over waits for the same moment. */
function sharedWait(wait: (wake: () => void) => unknown): () => Promise<void> {
	let next: Promise<void> | null = null;
	return () => {
		next ??= new Promise((resolve) => {
			wait(() => {
				next = null;
				resolve();
			});
		});
		return next;
	};
}

function sleep(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}
