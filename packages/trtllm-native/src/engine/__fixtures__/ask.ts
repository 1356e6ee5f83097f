// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, type RequestContextOptions } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import {
	createGenerateRequest,
	type EngineOutput,
	type GenerateRequest,
	type GenerateRequestInit,
	type KvEvent,
	type TokenLogprobs,
} from "@dyn/protocols";
import type { EngineCore } from "../engine-core.js";

/** `length` token ids, other ones for every seed, none of them an end-of-sequence id. */
export const text = (seed: number, length: number, vocabSize = 1000): number[] =>
	Array.from({ length }, (_, i) => 3 + ((seed * 7919 + i * 104_729 + seed * i) % (vocabSize - 3)));

/** Greedy, 16 tokens, past every end-of-sequence id unless told otherwise. */
export const greedy = (init: GenerateRequestInit): GenerateRequest =>
	createGenerateRequest({
		...init,
		sampling: { temperature: 0, ...init.sampling },
		stop: { maxTokens: 16, ignoreEos: true, ...init.stop },
	});

export async function collect(
	engine: Engine,
	request: GenerateRequest,
	context: RequestContextOptions = {},
): Promise<EngineOutput[]> {
	const outputs: EngineOutput[] = [];
	for await (const output of engine.generate(request, createRequestContext(context))) outputs.push(output);
	return outputs;
}

export const tokensOf = (outputs: readonly EngineOutput[], index = 0): number[] =>
	outputs.filter((output) => output.index === index).flatMap(({ tokenIds }) => tokenIds);

/** What a caller hears, however it is cut into deltas. */
export function heard(outputs: readonly EngineOutput[]): {
	readonly tokens: readonly number[][];
	readonly logprobs: readonly TokenLogprobs[];
	readonly ends: readonly Pick<EngineOutput, "index" | "finishReason" | "stopTokenId" | "usage">[];
} {
	return {
		tokens: outputs
			.map(({ index, tokenIds }) => ({ index, tokenIds }))
			.flatMap(({ index, tokenIds }) => tokenIds.map((id) => [index, id]))
			.sort(([a], [b]) => a! - b!),
		logprobs: outputs.flatMap(({ logprobs }) => logprobs ?? []),
		ends: outputs.flatMap(({ index, finishReason, stopTokenId, usage }) =>
			finishReason ? [{ index, finishReason, stopTokenId, usage }] : [],
		),
	};
}

/** What an engine publishes of its KV blocks while it answers a request; it is closed then. */
export async function publishedBlocks(engine: EngineCore, request: GenerateRequest): Promise<KvEvent["data"][]> {
	const data: KvEvent["data"][] = [];
	const published = (async () => {
		for await (const event of engine.kvEvents()) data.push(event.data);
	})();
	await collect(engine, request);
	await engine.close();
	await published;
	return data;
}

/** Tokens of the first choice. */
export async function tokens(engine: Engine, request: GenerateRequest): Promise<number[]> {
	return tokensOf(await collect(engine, request));
}

/** An error's code, or null when there is none. */
export async function codeOf(work: Promise<unknown>): Promise<string | null> {
	return work.then(
		() => null,
		(error: { code?: string }) => error.code ?? String(error),
	);
}

/** Asks, and resolves when the request's first output is there; the rest is in `done`. */
export async function begin(
	engine: Engine,
	request: GenerateRequest,
	signal: AbortSignal = new AbortController().signal,
): Promise<{ readonly iterator: AsyncIterator<EngineOutput>; readonly done: Promise<EngineOutput[]> }> {
	const iterator = engine.generate(request, createRequestContext({ signal }))[Symbol.asyncIterator]();
	const first = await iterator.next();
	const done = (async () => {
		const outputs = [first.value!];
		for (let next = await iterator.next(); !next.done; next = await iterator.next()) outputs.push(next.value);
		return outputs;
	})();
	return { iterator, done };
}

/** The load of an engine that holds nothing. */
export const idle = { runningSequences: 0, waitingSequences: 0, activeKvBlocks: 0 };
