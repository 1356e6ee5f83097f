// SPDX-License-Identifier: Apache-2.0
import type { MessageInit, messages } from "@dyn/openengine";

type Response = MessageInit<messages.GenerateResponse>;

/** Collects the tokens of each output until there are `size` of them, or its end comes. */
export async function* inBursts(responses: AsyncIterable<Response>, size: number): AsyncIterable<Response> {
	const held = new Map<number, Response>();
	const release = function* (index: number): Iterable<Response> {
		const response = held.get(index);
		held.delete(index);
		if (response) yield response;
	};
	for await (const response of responses) {
		const { token } = response;
		if (token) {
			const index = token.outputIndex ?? 0;
			const tokens = [...(held.get(index)?.token?.tokens ?? []), ...(token.tokens ?? [])];
			held.set(index, { ...response, token: { ...token, tokens } });
			if (tokens.length >= size) yield* release(index);
			continue;
		}
		if (response.finished) yield* release(response.finished.outputIndex ?? 0);
		else for (const index of [...held.keys()]) yield* release(index);
		yield response;
	}
}

/**
 * Ends a stream whose reader leaves a response lying for too long.
 * @param abort ends the request in the engine
 */
export async function* withSlowReaderLimit(
	responses: AsyncIterable<Response>,
	limitMs: number,
	overloaded: () => Response,
	abort: () => void,
): AsyncIterable<Response> {
	for await (const response of responses) {
		let isLate = false;
		const timer = setTimeout(() => {
			isLate = true;
			abort();
		}, limitMs);
		try {
			yield response;
		} finally {
			clearTimeout(timer);
		}
		if (isLate) {
			yield overloaded();
			return;
		}
	}
}
