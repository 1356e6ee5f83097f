// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, type RequestContext } from "@dyn/common";
import { createGenerateRequest, type EngineOutput, type GenerateRequest } from "@dyn/protocols";
import { microsBetween, microsNow } from "./plane-workload.js";
import { PACES, type WorkerPace } from "./worker-bench-engine.js";

export interface WorkerLoad {
	readonly pace: WorkerPace;
	/** Streams under way at any time. */
	readonly streams: number;
	/** Of every answer. */
	readonly tokens: number;
	readonly promptTokens: number;
	/** No request begins after this time. */
	readonly seconds: number;
}

export interface WorkerLoadResult {
	readonly tokens: number;
	readonly seconds: number;
	/** From making to receiving a batch, µs, one per batch. */
	readonly batchMicros: readonly number[];
}

/** Takes a request and gives its answer: a worker behind a request plane, or an engine. */
export type Source = (request: GenerateRequest, context: RequestContext) => AsyncIterable<unknown>;

/** Keeps `streams` requests under way and checks that every answer is whole. */
export async function runWorkerLoad(source: Source, load: WorkerLoad): Promise<WorkerLoadResult> {
	const tokenIds = Array.from({ length: load.promptTokens }, (_, i) =>
		i === 0 ? PACES.indexOf(load.pace) : (i * 7919) % 49_152,
	);
	const request = createGenerateRequest({ model: "double", tokenIds, stop: { maxTokens: load.tokens } });
	const batchMicros: number[] = [];
	let tokens = 0;
	const began = performance.now();
	const end = began + load.seconds * 1000;

	const lane = async () => {
		do {
			let received = 0;
			let reason: EngineOutput["finishReason"] = null;
			for await (const item of source(request, createRequestContext())) {
				const output = item as EngineOutput;
				received += output.tokenIds.length;
				reason = output.finishReason;
				if (output.tokenIds.length > 0) batchMicros.push(microsBetween(output.tokenIds[0]!, microsNow()));
			}
			if (received !== load.tokens || reason !== "length")
				throw new Error(
					`an answer has ${received} tokens instead of ${load.tokens} and ended with ${reason}`,
				);
			tokens += received;
		} while (performance.now() < end);
	};
	await Promise.all(Array.from({ length: load.streams }, lane));
	return { tokens, seconds: (performance.now() - began) / 1000, batchMicros };
}
