// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import type { EngineOutput, GenerateRequest, KvSession } from "@dyn/protocols";

type Fields = Readonly<Record<string, unknown>>;

/** Turns outputs into the parts of an answer: a stream's, or those that `whole` puts together. */
export class CompletionResponse {
	readonly #id: string;
	readonly #request: GenerateRequest;
	readonly #choices = new Map<number, { tokenIds: number[]; logprobs: number[]; last: EngineOutput }>();

	constructor(id: string, request: GenerateRequest) {
		this.#id = id;
		this.#request = request;
	}

	/** A part of a stream with one output. */
	part(output: EngineOutput): Fields {
		this.#take(output);
		const logprobs = (output.logprobs ?? []).map(({ logprob }) => logprob);
		return this.#completion([this.#choice(output.tokenIds, logprobs, output)]);
	}

	/** The last part, when it is wanted. */
	usagePart(): Fields {
		return { ...this.#completion([]), usage: this.#usage() };
	}

	add(output: EngineOutput): void {
		this.#take(output);
	}

	whole(): Fields {
		const choices = [...this.#choices.values()].sort((a, b) => a.last.index - b.last.index);
		return {
			...this.#completion(
				choices.map(({ tokenIds, logprobs, last }) => this.#choice(tokenIds, logprobs, last)),
			),
			usage: this.#usage(),
		};
	}

	#take(output: EngineOutput): void {
		const choice = this.#choices.get(output.index) ?? { tokenIds: [], logprobs: [], last: output };
		choice.tokenIds.push(...output.tokenIds);
		choice.logprobs.push(...(output.logprobs ?? []).map(({ logprob }) => logprob));
		choice.last = output;
		this.#choices.set(output.index, choice);
	}

	#completion(choices: readonly Fields[]): Fields {
		const created = Math.floor(Date.now() / 1000);
		return { id: this.#id, object: "text_completion", created, model: this.#request.model, choices };
	}

	#choice(tokenIds: readonly number[], logprobs: readonly number[], output: EngineOutput): Fields {
		const { index, finishReason, stopTokenId, kvSession } = output;
		return {
			index,
			text: "",
			token_ids: tokenIds,
			logprobs: output.logprobs === null ? null : { token_logprobs: logprobs },
			finish_reason: finishReason === "eos" ? "stop" : finishReason,
			stop_reason: finishReason === "stop" ? stopTokenId : null,
			disaggregated_params: kvSession ? toParams(kvSession, output.tokenIds) : null,
		};
	}

	#usage(): Fields {
		const usages = [...this.#choices.values()].flatMap(({ last }) => last.usage ?? []);
		const promptTokens = this.#request.tokenIds.length;
		const completionTokens = usages.reduce((sum, usage) => sum + usage.completionTokens, 0);
		return {
			prompt_tokens: promptTokens,
			completion_tokens: completionTokens,
			total_tokens: promptTokens + completionTokens,
			prompt_tokens_details: {
				cached_tokens: Math.max(0, ...usages.map(({ cachedTokens }) => cachedTokens)),
			},
		};
	}
}

/** TensorRT-LLM's `disaggregated_params`; ids are numbers of 64 bits, the engine's own session lies in the opaque state. */
function toParams(session: KvSession, firstTokens: readonly number[]): Fields {
	const requestId = randomBytes(8).readBigUInt64BE();
	const [{ host, port } = { host: "127.0.0.1", port: 5600 }] = session.endpoints;
	return {
		request_type: "context_only",
		first_gen_tokens: firstTokens,
		ctx_request_id: requestId,
		disagg_request_id: requestId,
		encoded_opaque_state: Buffer.from(JSON.stringify(session)).toString("base64"),
		ctx_dp_rank: session.dpRank,
		ctx_info_endpoint: `tcp://${host}:${port}`,
		schedule_style: 0,
	};
}
