// SPDX-License-Identifier: Apache-2.0
import type { TokenLogprobs } from "@dyn/protocols";
import type { SmgGenerateComplete, SmgGenerateResponse, SmgTokenLogprob } from "@dyn/protocols/smg";
import { wrong } from "../client/answer-reader.js";
import type { ServerEvent } from "../client/server-event.js";

/** What one stream of responses says. Chunks have what is new, a sequence's end has all of it once more. */
export class SmgResponseReader {
	readonly #promptLength: number;
	readonly #wantsLogprobs: boolean;
	readonly #wantsPromptLogprobs: boolean;
	readonly #promptTokenIds: ArrayLike<number>;
	readonly #received = new Map<number, number[]>();

	constructor(promptTokenIds: ArrayLike<number>, wantsLogprobs: boolean, wantsPromptLogprobs: boolean) {
		this.#promptTokenIds = promptTokenIds;
		this.#promptLength = promptTokenIds.length;
		this.#wantsLogprobs = wantsLogprobs;
		this.#wantsPromptLogprobs = wantsPromptLogprobs;
	}

	/** @throws DynError INTERNAL for a response that contradicts itself or an earlier one */
	*read({ chunk, complete }: SmgGenerateResponse): Iterable<ServerEvent> {
		if (chunk) {
			const { sequenceIndex: index, tokenIds } = chunk;
			this.#ids(index).push(...tokenIds);
			yield { type: "tokens", index, tokenIds, logprobs: this.#logprobs(chunk.logprobs, tokenIds.length) };
		} else if (complete) yield* this.#complete(complete);
		else throw wrong("a response with neither a chunk nor an end");
	}

	*#complete(complete: SmgGenerateComplete): Iterable<ServerEvent> {
		const { sequenceIndex: index, outputTokenIds } = complete;
		const received = this.#ids(index);
		// The end may lack the stop token that a chunk had.
		const common = Math.min(received.length, outputTokenIds.length);
		for (let i = 0; i < common; i++)
			if (received[i] !== outputTokenIds[i])
				throw wrong(
					`sequence ${index} has token ${received[i]} at ${i} first and ${outputTokenIds[i]} in the end`,
				);
		if (received.length > outputTokenIds.length + 1)
			throw wrong(`sequence ${index} had ${received.length} tokens and ends with ${outputTokenIds.length}`);
		if (index === 0 && this.#wantsPromptLogprobs)
			yield { type: "prompt", logprobs: this.#promptLogprobs(complete.promptLogprobs) };
		const tokenIds = outputTokenIds.slice(common);
		const { logprobs } = complete;
		const rest = logprobs.length >= outputTokenIds.length ? logprobs.slice(common) : logprobs;
		if (tokenIds.length > 0)
			yield { type: "tokens", index, tokenIds, logprobs: this.#logprobs(rest, tokenIds.length) };
		yield {
			type: "end",
			index,
			reason: complete.finishReason,
			stopTokenId: complete.matchedTokenId ?? null,
			cachedTokens: complete.cachedTokens,
		};
	}

	#ids(index: number): number[] {
		const ids = this.#received.get(index) ?? [];
		this.#received.set(index, ids);
		return ids;
	}

	/** A stop token that was cut off may have left its entry behind. */
	#logprobs(entries: readonly SmgTokenLogprob[], tokens: number): readonly TokenLogprobs[] | null {
		return this.#wantsLogprobs ? entries.slice(0, tokens).map(toLogprobs) : null;
	}

	/** The first token follows nothing: servers leave it out or send something for it. */
	#promptLogprobs(entries: readonly SmgTokenLogprob[]): readonly (TokenLogprobs | null)[] {
		const rest = entries.length === this.#promptLength ? entries.slice(1) : entries;
		if (rest.length !== this.#promptLength - 1)
			throw wrong(`${entries.length} log-probabilities for a prompt of ${this.#promptLength} tokens`);
		for (const [i, { tokenId }] of rest.entries())
			if (tokenId !== this.#promptTokenIds[i + 1])
				throw wrong(
					`a log-probability of token ${tokenId} where the prompt has ${this.#promptTokenIds[i + 1]}`,
				);
		return [null, ...rest.map(toLogprobs)];
	}
}

function toLogprobs({ tokenId, logprob, topLogprobs }: SmgTokenLogprob): TokenLogprobs {
	return { tokenId, logprob, top: topLogprobs };
}
