// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineOutput, FinishReason, GenerateRequest, TokenLogprobs } from "@dyn/protocols";
import type { RequestTerms } from "./request-terms.js";
import type { ServerEvent } from "./server-event.js";

interface Choice {
	sent: number;
	lastTokenId: number | null;
	/** A token that may turn out to be the hidden one that ended the choice. Servers differ in whether they send it. */
	held: { readonly tokenId: number; readonly logprob: TokenLogprobs | null } | null;
	isOver: boolean;
}

/** Turns what a server says of one request into the outputs of the contract, and refuses what no server may say. */
export class AnswerReader {
	readonly #request: GenerateRequest;
	readonly #terms: RequestTerms;
	readonly #choices: readonly Choice[];
	#promptLogprobs: readonly (TokenLogprobs | null)[] | null = null;

	constructor(request: GenerateRequest, terms: RequestTerms) {
		this.#request = request;
		this.#terms = terms;
		this.#choices = Array.from({ length: terms.choices }, () => ({
			sent: 0,
			lastTokenId: null,
			held: null,
			isOver: false,
		}));
	}

	get openChoices(): number {
		return this.#choices.filter(({ isOver }) => !isOver).length;
	}

	/** Tokens whose KV the request holds, its prompt counted once. */
	get kvTokens(): number {
		return (
			this.#request.tokenIds.length +
			this.#choices.reduce((sum, { sent, isOver }) => sum + (isOver ? 0 : sent), 0)
		);
	}

	/** @throws DynError for an answer that is malformed, or that ends without the caller's doing */
	read(event: ServerEvent): EngineOutput | null {
		if (event.type === "prompt") {
			this.#promptLogprobs = event.logprobs.map(
				(entry) => entry && mostLikely(entry, this.#request.output.promptLogprobs!),
			);
			return null;
		}
		const choice = this.#choices[event.index];
		if (!choice) throw wrong(`it answered choice ${event.index} of a request for ${this.#choices.length}`);
		if (choice.isOver) throw wrong(`it went on with choice ${event.index} after its end`);
		if (event.type === "end") return this.#end(choice, event);
		const { tokenIds, logprobs } = this.#take(choice, event);
		const last = tokenIds.at(-1);
		if (last !== undefined && this.#terms.hiddenTokenIds.has(last))
			choice.held = { tokenId: tokenIds.pop()!, logprob: logprobs?.pop() ?? null };
		return tokenIds.length === 0 ? null : this.#output(choice, event.index, tokenIds, logprobs);
	}

	/** Ends every choice that is open with `cancelled`. */
	*cancelled(): Iterable<EngineOutput> {
		for (const [index, choice] of this.#choices.entries())
			if (!choice.isOver) yield this.#last(choice, index, [], null, "cancelled", null, 0);
	}

	#end(choice: Choice, event: ServerEvent & { readonly type: "end" }): EngineOutput {
		const { index, reason, cachedTokens } = event;
		if (reason !== "stop" && reason !== "length") throw unexpectedEnd(reason);
		if (reason === "length") {
			const rest = this.#take(choice, { tokenIds: [], logprobs: [] });
			return {
				...this.#last(choice, index, rest.tokenIds, rest.logprobs, "length", null, cachedTokens),
				...session(event),
			};
		}
		const { stopTokenIds, eosTokenIds } = this.#terms;
		const visibleId =
			choice.lastTokenId !== null && stopTokenIds.has(choice.lastTokenId) ? choice.lastTokenId : null;
		const onlyEos = eosTokenIds.size === 1 ? [...eosTokenIds][0]! : null;
		const id = event.stopTokenId ?? choice.held?.tokenId ?? visibleId ?? onlyEos;
		const isStop = id !== null && stopTokenIds.has(id);
		return {
			...this.#last(choice, index, [], null, isStop ? "stop" : "eos", id, cachedTokens),
			...session(event),
		};
	}

	/** The new tokens, with the one that was held back before them. */
	#take(
		choice: Choice,
		event: { readonly tokenIds: readonly number[]; readonly logprobs: readonly TokenLogprobs[] | null },
	): { tokenIds: number[]; logprobs: TokenLogprobs[] | null } {
		const { held } = choice;
		choice.held = null;
		const tokenIds = held ? [held.tokenId, ...event.tokenIds] : [...event.tokenIds];
		const wanted = this.#request.output.logprobs;
		if (wanted === null) return { tokenIds, logprobs: null };
		const fresh = event.logprobs ?? [];
		if (fresh.length !== event.tokenIds.length)
			throw wrong(`it sent ${event.tokenIds.length} tokens with ${fresh.length} log-probabilities`);
		const logprobs = fresh.map((entry, i) => {
			if (entry.tokenId !== event.tokenIds[i])
				throw wrong(`it sent token ${event.tokenIds[i]} with the log-probability of token ${entry.tokenId}`);
			return mostLikely(entry, wanted);
		});
		return { tokenIds, logprobs: held?.logprob ? [held.logprob, ...logprobs] : logprobs };
	}

	#output(
		choice: Choice,
		index: number,
		tokenIds: readonly number[],
		logprobs: readonly TokenLogprobs[] | null,
	): EngineOutput {
		choice.sent += tokenIds.length;
		choice.lastTokenId = tokenIds.at(-1) ?? choice.lastTokenId;
		const promptLogprobs = index === 0 ? this.#promptLogprobs : null;
		if (promptLogprobs) this.#promptLogprobs = null;
		return {
			index,
			tokenIds,
			logprobs: this.#request.output.logprobs === null ? null : (logprobs ?? []),
			finishReason: null,
			stopTokenId: null,
			usage: null,
			...(promptLogprobs ? { promptLogprobs } : {}),
		};
	}

	#last(
		choice: Choice,
		index: number,
		tokenIds: readonly number[],
		logprobs: readonly TokenLogprobs[] | null,
		finishReason: FinishReason,
		stopTokenId: number | null,
		cachedTokens: number,
	): EngineOutput {
		const output = this.#output(choice, index, tokenIds, logprobs);
		choice.isOver = true;
		const promptTokens = this.#request.tokenIds.length;
		const usage = {
			promptTokens,
			completionTokens: choice.sent,
			cachedTokens: Math.min(cachedTokens, promptTokens),
		};
		return { ...output, finishReason, stopTokenId, usage };
	}
}

/** The token itself may be among its alternatives, and last. */
const mostLikely = (entry: TokenLogprobs, alternatives: number): TokenLogprobs => ({
	...entry,
	top: [...entry.top].sort((a, b) => b.logprob - a.logprob).slice(0, alternatives),
});

const session = ({ kvSession }: ServerEvent & { readonly type: "end" }) => (kvSession ? { kvSession } : {});

/** The server broke its protocol. */
export function wrong(what: string): DynError {
	return new DynError(
		"INTERNAL",
		`TensorRT-LLM's server gave an answer that makes no sense: ${what}; look at its log`,
	);
}

function unexpectedEnd(reason: string): DynError {
	if (reason === "timeout")
		return new DynError("DEADLINE_EXCEEDED", "TensorRT-LLM ended the request because it took too long");
	if (reason === "cancelled" || reason === "abort")
		return new DynError(
			"DISCONNECTED",
			"TensorRT-LLM gave the request up without being asked to; look at its log",
		);
	return wrong(`a choice ended with the reason ${JSON.stringify(reason)}`);
}
