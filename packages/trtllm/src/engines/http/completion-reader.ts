// SPDX-License-Identifier: Apache-2.0
import type { GenerateRequest, TokenLogprobs } from "@dyn/protocols";
import { wrong } from "../client/answer-reader.js";
import type { ServerEvent } from "../client/server-event.js";
import { toKvSession } from "./disaggregated-params.js";
import type { JsonObject } from "./http-connection.js";

/**
 * What the answer to `POST /v1/completions` says: parts of a stream with new tokens each, or one whole answer. The counts
 * come after the ends of the choices, which are therefore kept until then.
 */
export class CompletionReader {
	readonly #wantsLogprobs: boolean;
	readonly #isPrefill: boolean;
	readonly #ends: (ServerEvent & { readonly type: "end" })[] = [];
	#cachedTokens = 0;

	constructor({ output, disaggregation }: GenerateRequest) {
		this.#wantsLogprobs = output.logprobs !== null;
		this.#isPrefill = disaggregation?.role === "prefill";
	}

	/** @throws DynError INTERNAL for what is no completion */
	*read(part: JsonObject): Iterable<ServerEvent> {
		const { choices, usage } = part;
		if (!Array.isArray(choices)) throw wrong("a completion without choices");
		if (isObject(usage) && isObject(usage["prompt_tokens_details"]))
			this.#cachedTokens = count(usage["prompt_tokens_details"]["cached_tokens"] ?? 0, "cached_tokens");
		for (const choice of choices) {
			if (!isObject(choice)) throw wrong("a choice that is no object");
			yield* this.#choice(choice);
		}
	}

	/** The ends, when nothing more comes. */
	*finish(): Iterable<ServerEvent> {
		for (const end of this.#ends.splice(0)) yield { ...end, cachedTokens: this.#cachedTokens };
	}

	*#choice(choice: JsonObject): Iterable<ServerEvent> {
		const index = count(choice["index"], "index");
		const params = choice["disaggregated_params"];
		const reason = choice["finish_reason"] ?? null;
		const ids =
			choice["token_ids"] ?? (this.#isPrefill && isObject(params) ? params["first_gen_tokens"] : null);
		// The last part of a choice may have nothing but its end.
		const tokenIds = ids === null && reason !== null ? [] : tokensOf(ids);
		if (tokenIds.length > 0)
			yield { type: "tokens", index, tokenIds, logprobs: this.#logprobs(choice["logprobs"], tokenIds) };
		if (reason === null) return;
		if (typeof reason !== "string") throw wrong("a finish_reason that is no text");
		const stopReason = choice["stop_reason"];
		// A prefill alone is never finished to the engine; at an end-of-sequence id there is nothing to decode.
		const goesOn = this.#isPrefill && (reason === "length" || reason === "not_finished");
		if (goesOn && !isObject(params))
			throw wrong("a prefill without disaggregated_params; it must be started with cache_transceiver_config");
		this.#ends.push({
			type: "end",
			index,
			reason: goesOn ? "length" : reason,
			stopTokenId: typeof stopReason === "number" ? stopReason : null,
			cachedTokens: 0,
			...(goesOn ? { kvSession: toKvSession(params as JsonObject) } : {}),
		});
	}

	#logprobs(logprobs: unknown, tokenIds: readonly number[]): readonly TokenLogprobs[] | null {
		if (!this.#wantsLogprobs) return null;
		const values = isObject(logprobs) ? logprobs["token_logprobs"] : null;
		if (
			!Array.isArray(values) ||
			values.length < tokenIds.length ||
			!values.every((value) => typeof value === "number")
		)
			throw wrong(`${tokenIds.length} tokens without as many log-probabilities`);
		return tokenIds.map((tokenId, i) => ({ tokenId, logprob: values[i] as number, top: [] }));
	}
}

function tokensOf(ids: unknown): readonly number[] {
	if (Array.isArray(ids) && ids.every((id) => Number.isInteger(id) && id >= 0)) return ids;
	throw wrong("a choice without token_ids, which detokenize: false asks for; a newer release has them");
}

function count(value: unknown, name: string): number {
	if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
	throw wrong(`${name} is ${JSON.stringify(value)}`);
}

function isObject(value: unknown): value is JsonObject {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
