// SPDX-License-Identifier: Apache-2.0
import type { ServerResponse } from "node:http";
import type { RequestContext } from "@dyn/common";
import { errorBody } from "../http/error-body.js";
import type { SseStream } from "../http/sse-stream.js";
import type { AnswerFormat, FoldedChoice } from "../openai/answer-format.js";
import type { RequestMeter } from "../request-meter.js";
import type { Generation } from "./generation.js";

export interface Delivery {
	readonly generation: Generation;
	readonly format: AnswerFormat;
	readonly context: RequestContext;
	readonly meter: RequestMeter;
}

/** Folds a generation into one JSON answer. */
export async function deliverWhole(
	{ generation, format, context, meter }: Delivery,
	response: ServerResponse,
): Promise<void> {
	const choices: FoldedChoice[] = Array.from({ length: generation.choices }, () => ({
		text: "",
		logprobs: generation.withLogprobs ? [] : null,
		finishReason: null,
	}));
	for await (const { index, text, tokens, logprobs, finishReason } of generation.run(context)) {
		if (tokens > 0) meter.tokens(tokens);
		const choice = choices[index]!;
		choice.text += text;
		choice.finishReason = finishReason;
		choice.logprobs?.push(...(logprobs ?? []));
	}
	const body = JSON.stringify(format.whole(choices, generation.usage));
	response
		.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
		.end(body);
}

/**
 * Streams a generation. A failure before the first event is thrown, to become a status; after it, it is an error event.
 * @returns what failed after the first event, or null
 */
export async function deliverStream(
	{ generation, format, context, meter }: Delivery,
	stream: SseStream,
	usage: { readonly include: boolean; readonly continuous: boolean },
): Promise<unknown> {
	const begun = new Set<number>();
	try {
		for await (const delta of generation.run(context)) {
			if (delta.tokens > 0) meter.tokens(delta.tokens);
			const first = !begun.has(delta.index);
			// A token that completes no character yet has nothing to show.
			if (!first && delta.text === "" && !delta.finishReason && !delta.logprobs?.length) continue;
			begun.add(delta.index);
			await stream.send(format.chunk(delta, first, usage.continuous ? generation.usage : null));
		}
		if (usage.include) await stream.send(format.usageChunk(generation.usage));
		stream.end();
		return null;
	} catch (error) {
		if (!stream.started || context.signal.aborted) {
			stream.abandon();
			throw error;
		}
		stream.end(JSON.stringify(errorBody(error)));
		return error;
	}
}
