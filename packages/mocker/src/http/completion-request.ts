// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import {
	createGenerateRequest,
	type Disaggregation,
	type GenerateRequest,
	type KvSession,
} from "@dyn/protocols";

type Fields = Readonly<Record<string, unknown>>;

/** Of OpenAI and of TensorRT-LLM (its serve/openai_protocol.py). The server refuses every other field. */
const KNOWN = new Set(
	[
		"model prompt best_of frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop stream",
		"stream_options temperature top_p user top_k min_p repetition_penalty length_penalty early_stopping",
		"stop_token_ids include_stop_str_in_output ignore_eos min_tokens skip_special_tokens detokenize",
		"truncate_prompt_tokens use_beam_search prompt_ignore_length thinking_token_budget lora_request",
		"response_format disaggregated_params priority conversation_params echo add_special_tokens return_context_logits",
	].flatMap((line) => line.split(" ")),
);

export interface CompletionCall {
	readonly request: GenerateRequest;
	readonly streams: boolean;
	readonly includesUsage: boolean;
}

/**
 * The engine's request for a body of `POST /v1/completions`; only prompts of token ids are taken.
 * @throws DynError INVALID_ARGUMENT naming the field
 */
export function fromCompletionBody(body: Fields): CompletionCall {
	const unknown = Object.keys(body).find((name) => !KNOWN.has(name));
	if (unknown !== undefined) throw invalidArgument(unknown, `${unknown}: extra inputs are not permitted`);
	const number = (name: string): number | undefined => {
		const value = body[name];
		if (value === undefined || value === null) return undefined;
		if (typeof value !== "number") throw invalidArgument(name, `${name} must be a number`);
		return value;
	};
	const stopTokenIds =
		body["stop_token_ids"] === undefined ? [] : tokenIds("stop_token_ids", body["stop_token_ids"]);
	const bias = Object.entries((body["logit_bias"] ?? {}) as Record<string, number>);
	const conversation = (body["conversation_params"] as Fields | undefined)?.["conversation_id"];
	const request = createGenerateRequest({
		model: String(body["model"] ?? ""),
		tokenIds: tokenIds("prompt", body["prompt"]),
		sampling: {
			n: number("n"),
			temperature: number("temperature"),
			topP: number("top_p"),
			topK: number("top_k"),
			minP: number("min_p"),
			presencePenalty: number("presence_penalty"),
			frequencyPenalty: number("frequency_penalty"),
			repetitionPenalty: number("repetition_penalty"),
			seed: number("seed"),
			logitBias: bias.length > 0 ? new Map(bias.map(([id, value]) => [Number(id), value])) : undefined,
		},
		stop: {
			maxTokens: number("max_tokens") ?? 16,
			minTokens: number("min_tokens"),
			ignoreEos: body["ignore_eos"] === true,
			...(body["include_stop_str_in_output"] === true
				? { visibleStopTokenIds: stopTokenIds }
				: { stopTokenIds }),
		},
		output: { logprobs: number("logprobs") },
		routing: { conversationId: typeof conversation === "string" ? conversation : undefined },
		disaggregation: disaggregation(body["disaggregated_params"] as Fields | null | undefined),
	});
	const streamOptions = body["stream_options"] as Fields | null | undefined;
	return {
		request,
		streams: body["stream"] === true,
		includesUsage: streamOptions?.["include_usage"] === true,
	};
}

function tokenIds(name: string, value: unknown): readonly number[] {
	const list = Array.isArray(value) && Array.isArray(value[0]) ? (value[0] as unknown) : value;
	if (Array.isArray(list) && list.every((id) => Number.isInteger(id))) return list as number[];
	throw invalidArgument(name, `${name} must be a list of token ids: this server knows no text`);
}

function disaggregation(params: Fields | null | undefined): Disaggregation | null {
	if (!params || params["request_type"] === "context_and_generation") return null;
	if (params["request_type"] === "context_only") return { role: "prefill" };
	const state = params["encoded_opaque_state"];
	if (params["request_type"] !== "generation_only" || typeof state !== "string")
		throw invalidArgument(
			"disaggregated_params",
			"disaggregated_params need a request_type, and for generation_only an encoded_opaque_state",
		);
	try {
		const session = JSON.parse(Buffer.from(state, "base64").toString()) as KvSession;
		return { role: "decode", session };
	} catch {
		throw invalidArgument("disaggregated_params", "encoded_opaque_state is not one of this engine");
	}
}
