// SPDX-License-Identifier: Apache-2.0
import { DynError, type ErrorCode } from "@dyn/common";
import type { EngineOutput, TokenLogprobs } from "@dyn/protocols";
import * as m from "../generated/messages.js";
import type { MessageInit } from "../message-init.js";
import { toSessionMessage } from "../session-message.js";

type Response = MessageInit<m.GenerateResponse>;

/** Turns the outputs of one request into the responses of its stream. */
export class ResponseWriter {
	readonly #requestId: string;
	readonly #promptTokenIds: ArrayLike<number>;
	#openOutputs: number;
	#promptTokens = 0;
	#completionTokens = 0;
	#cachedTokens = 0;

	/** @param outputs the request's num_sequences */
	constructor(requestId: string, promptTokenIds: ArrayLike<number>, outputs: number) {
		this.#requestId = requestId;
		this.#promptTokenIds = promptTokenIds;
		this.#openOutputs = outputs;
	}

	write(output: EngineOutput): readonly Response[] {
		const responses: Response[] = [];
		const { index, tokenIds, logprobs, finishReason, usage } = output;
		const requestId = this.#requestId;
		if (output.promptLogprobs)
			responses.push({ requestId, prompt: { tokens: this.#prompt(output.promptLogprobs) } });
		if (tokenIds.length > 0)
			responses.push({
				requestId,
				token: {
					outputIndex: index,
					tokens: tokenIds.map((tokenId, i) => (logprobs ? tokenInfo(logprobs[i]!) : { tokenId })),
				},
			});
		if (usage) {
			// Every output has the same prompt; what they generated adds up.
			this.#promptTokens = usage.promptTokens;
			this.#cachedTokens = Math.max(this.#cachedTokens, usage.cachedTokens);
			this.#completionTokens += usage.completionTokens;
		}
		if (finishReason === null) return responses;
		this.#openOutputs--;
		responses.push({
			requestId,
			...(output.kvSession
				? { prefillReady: { kvSession: toSessionMessage(output.kvSession) } }
				: { finished: finished(output) }),
			usage: this.#openOutputs === 0 ? this.#usage() : undefined,
		});
		return responses;
	}

	/** The end of an accepted request that failed. */
	error(thrown: unknown): Response {
		const error = DynError.from(thrown);
		return {
			requestId: this.#requestId,
			error: { code: engineErrorCode(error.code), message: error.rawMessage, retryable: error.retryable },
			usage: this.#usage(),
		};
	}

	#usage(): MessageInit<m.Usage> {
		return {
			promptTokens: this.#promptTokens,
			completionTokens: this.#completionTokens,
			totalTokens: this.#promptTokens + this.#completionTokens,
			cachedPromptTokens: this.#cachedTokens,
		};
	}

	#prompt(logprobs: readonly (TokenLogprobs | null)[]): MessageInit<m.TokenInfo>[] {
		return logprobs.map((entry, i) => (entry ? tokenInfo(entry) : { tokenId: this.#promptTokenIds[i]! }));
	}
}

function tokenInfo({ tokenId, logprob, top }: TokenLogprobs): MessageInit<m.TokenInfo> {
	const place = top.findIndex((each) => each.tokenId === tokenId);
	return {
		tokenId,
		logprob,
		rank: place < 0 ? undefined : place + 1,
		candidates: top.map((each, i) => ({ ...each, rank: i + 1 })),
	};
}

const REASONS = {
	eos: m.FinishReason.STOP,
	stop: m.FinishReason.STOP,
	length: m.FinishReason.LENGTH,
	cancelled: m.FinishReason.CANCELLED,
} as const;

function finished({ index, finishReason, stopTokenId }: EngineOutput): MessageInit<m.GenerationFinished> {
	const reason = REASONS[finishReason!];
	if (reason !== m.FinishReason.STOP || stopTokenId === null) return { outputIndex: index, reason };
	const stopMatch = finishReason === "eos" ? { eosTokenId: stopTokenId } : { stopTokenId };
	return { outputIndex: index, reason, stopMatch };
}

const ENGINE_ERRORS: Readonly<Partial<Record<ErrorCode, m.ErrorCode>>> = {
	INVALID_ARGUMENT: m.ErrorCode.INVALID_ARGUMENT,
	CONTEXT_LENGTH_EXCEEDED: m.ErrorCode.INVALID_ARGUMENT,
	UNIMPLEMENTED: m.ErrorCode.UNSUPPORTED_FEATURE,
	MODEL_NOT_FOUND: m.ErrorCode.MODEL_NOT_FOUND,
	OVERLOADED: m.ErrorCode.OVERLOADED,
	CANCELLED: m.ErrorCode.CANCELLED,
};

function engineErrorCode(code: ErrorCode): m.ErrorCode {
	return ENGINE_ERRORS[code] ?? m.ErrorCode.INTERNAL;
}
