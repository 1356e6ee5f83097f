// SPDX-License-Identifier: Apache-2.0
import { DynError, type ErrorCode } from "@dyn/common";
import type {
	EngineOutput,
	FinishReason,
	GenerateRequest,
	TokenLogprob,
	TokenLogprobs,
	Usage,
} from "@dyn/protocols";
import * as m from "../generated/messages.js";
import { fromSessionMessage } from "../session-message.js";

/** Turns the responses of one stream into the outputs of its request. */
export class ResponseReader {
	readonly #request: GenerateRequest;
	/** Tokens of each choice so far; a choice that has ended is missing. */
	readonly #open: Map<number, number>;
	#promptLogprobs: readonly (TokenLogprobs | null)[] | null = null;
	#isOver = false;

	constructor(request: GenerateRequest) {
		this.#request = request;
		this.#open = new Map(Array.from({ length: request.sampling.n ?? 1 }, (_, index) => [index, 0]));
	}

	/** True when every choice has ended, by the engine's word or by an error. */
	get isOver(): boolean {
		return this.#isOver;
	}

	/**
	 * @returns what the response adds, possibly nothing
	 * @throws DynError for a terminal error event, and INTERNAL for a response that breaks the contract's order
	 */
	read(response: m.GenerateResponse): readonly EngineOutput[] {
		if (response.token) return this.#token(response.token);
		if (response.finished) return this.#finished(response.finished, response.usage);
		if (response.prefillReady) return this.#prefillReady(response.prefillReady, response.usage);
		if (response.error) {
			this.#isOver = true;
			throw engineError(response.error);
		}
		if (response.prompt)
			this.#promptLogprobs = response.prompt.tokens.map((info, i) =>
				i === 0 ? null : this.#promptLogprob(info),
			);
		return [];
	}

	/** Ends what is open, as after a cancellation. */
	cancelled(): readonly EngineOutput[] {
		const outputs = [...this.#open].map(([index, tokens]) =>
			this.#end(index, tokens, "cancelled", null, undefined),
		);
		this.#open.clear();
		return outputs;
	}

	#token({ outputIndex = 0, tokens }: m.TokenOutput): readonly EngineOutput[] {
		const index = this.#checked(outputIndex);
		if (tokens.length === 0) return [];
		this.#open.set(index, this.#open.get(index)! + tokens.length);
		const { logprobs } = this.#request.output;
		const tokenIds = new Array<number>(tokens.length);
		for (let i = 0; i < tokens.length; i++) tokenIds[i] = tokens[i]!.tokenId;
		return [
			{
				index,
				tokenIds,
				logprobs: logprobs === null ? null : tokens.map((info) => tokenLogprobs(info, logprobs)),
				finishReason: null,
				stopTokenId: null,
				usage: null,
				...this.#promptLogprobsOf(index),
			},
		];
	}

	#finished(
		{ outputIndex = 0, reason, stopMatch }: m.GenerationFinished,
		usage: m.Usage | undefined,
	): readonly EngineOutput[] {
		// A prefill's last word is its session.
		if (this.#request.disaggregation?.role === "prefill" && reason !== m.FinishReason.CANCELLED) return [];
		const index = this.#checked(outputIndex);
		const tokens = this.#open.get(index)!;
		this.#open.delete(index);
		const stopTokenId = stopMatch?.eosTokenId ?? stopMatch?.stopTokenId ?? null;
		this.#isOver = this.#open.size === 0;
		return [this.#end(index, tokens, finishReason(reason, stopMatch), stopTokenId, usage)];
	}

	#prefillReady({ kvSession }: m.PrefillReady, usage: m.Usage | undefined): readonly EngineOutput[] {
		if (!kvSession) throw broken("a prefill ended without a session");
		const index = this.#checked(0);
		const tokens = this.#open.get(index)!;
		this.#open.clear();
		this.#isOver = true;
		return [{ ...this.#end(index, tokens, "length", null, usage), kvSession: fromSessionMessage(kvSession) }];
	}

	#end(
		index: number,
		completionTokens: number,
		reason: FinishReason,
		stopTokenId: number | null,
		usage: m.Usage | undefined,
	): EngineOutput {
		// Usage comes with the last end alone: only that one can tell what was cached.
		const own: Usage = {
			promptTokens: this.#request.tokenIds.length,
			completionTokens,
			cachedTokens: usage?.cachedPromptTokens ?? 0,
		};
		return {
			index,
			tokenIds: [],
			logprobs: this.#request.output.logprobs === null ? null : [],
			finishReason: reason,
			stopTokenId,
			usage: own,
			...this.#promptLogprobsOf(index),
		};
	}

	#checked(index: number): number {
		if (this.#open.has(index)) return index;
		throw broken(`output ${index} went on after its end, or was never asked for`);
	}

	#promptLogprob(info: m.TokenInfo): TokenLogprobs {
		return tokenLogprobs(info, this.#request.output.promptLogprobs ?? 0);
	}

	/** They belong to the first delta of choice 0. */
	#promptLogprobsOf(index: number): { promptLogprobs?: readonly (TokenLogprobs | null)[] } {
		if (this.#promptLogprobs === null || index !== 0) return {};
		const promptLogprobs = this.#promptLogprobs;
		this.#promptLogprobs = null;
		return { promptLogprobs };
	}
}

function broken(what: string): DynError {
	return new DynError("INTERNAL", `the engine broke the OpenEngine contract: ${what}`);
}

function tokenLogprobs({ tokenId, logprob = 0, candidates }: m.TokenInfo, count: number): TokenLogprobs {
	const top: TokenLogprob[] = candidates
		.slice(0, count)
		.map((each) => ({ tokenId: each.tokenId, logprob: each.logprob }));
	return { tokenId, logprob, top };
}

function finishReason(reason: m.FinishReason, match: m.StopMatch | undefined): FinishReason {
	switch (reason) {
		case m.FinishReason.LENGTH:
			return "length";
		case m.FinishReason.CANCELLED:
			return "cancelled";
		case m.FinishReason.STOP:
			return match?.stopTokenId !== undefined || match?.stopText !== undefined ? "stop" : "eos";
		default:
			throw broken("an output ended without a reason");
	}
}

const CODES: Readonly<Record<m.ErrorCode, ErrorCode>> = {
	[m.ErrorCode.UNSPECIFIED]: "INTERNAL",
	[m.ErrorCode.INVALID_ARGUMENT]: "INVALID_ARGUMENT",
	[m.ErrorCode.UNSUPPORTED_FEATURE]: "UNIMPLEMENTED",
	[m.ErrorCode.ROLE_MISMATCH]: "INVALID_ARGUMENT",
	[m.ErrorCode.MODEL_NOT_FOUND]: "MODEL_NOT_FOUND",
	[m.ErrorCode.OVERLOADED]: "OVERLOADED",
	[m.ErrorCode.REQUEST_NOT_FOUND]: "NOT_FOUND",
	[m.ErrorCode.DUPLICATE_REQUEST]: "INVALID_ARGUMENT",
	[m.ErrorCode.KV_SESSION_NOT_FOUND]: "NOT_FOUND",
	[m.ErrorCode.KV_TRANSFER_FAILED]: "UNAVAILABLE",
	[m.ErrorCode.CANCELLED]: "CANCELLED",
	[m.ErrorCode.INTERNAL]: "INTERNAL",
};

function engineError({ code, message, retryable }: m.EngineError): DynError {
	return new DynError(CODES[code], `the engine failed: ${message}`, {
		retryable,
		details: { engineErrorCode: code },
	});
}
