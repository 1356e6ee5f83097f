// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineOutput, FinishReason, TokenLogprob, TokenLogprobs, Usage } from "../engine-output.js";
import { decodeKvSession, encodeKvSession } from "./kv-session.js";
import { PlainData } from "./plain-data.js";

/** A delta as Dynamo's `LLMEngineOutput`: fields in its order, absent ones null or left out as there. */
export function encodeLlmEngineOutput(output: EngineOutput): Record<string, unknown> {
	const { logprobs, usage } = output;
	const withTop = logprobs?.some(({ top }) => top.length > 0) ?? false;
	return {
		token_ids: output.tokenIds,
		tokens: null,
		text: null,
		output_type: "text",
		cum_log_probs: null,
		log_probs: logprobs?.map(({ logprob }) => logprob) ?? null,
		top_logprobs: withTop ? logprobs!.map(encodeTop) : null,
		finish_reason: output.finishReason,
		...(output.stopTokenId === null ? {} : { stop_reason: output.stopTokenId }),
		index: output.index,
		...(output.kvSession ? { disaggregated_params: encodeKvSession(output.kvSession) } : {}),
		...(usage === null ? {} : { completion_usage: encodeUsage(usage) }),
		...(output.promptLogprobs
			? { engine_data: { prompt_logprobs: output.promptLogprobs.map(encodePromptLogprob) } }
			: {}),
	};
}

/** Dynamo passes `engine_data` on as it is; this shape is ours. */
function encodePromptLogprob(token: TokenLogprobs | null) {
	if (token === null) return null;
	const top = token.top.map(({ tokenId, logprob }) => ({ token_id: tokenId, logprob }));
	return { token_id: token.tokenId, logprob: token.logprob, top_logprobs: top };
}

function encodeTop({ top }: TokenLogprobs) {
	return top.map(({ tokenId, logprob }, rank) => ({
		rank: rank + 1,
		token_id: tokenId,
		token: null,
		logprob,
	}));
}

function encodeUsage({ promptTokens, completionTokens, cachedTokens }: Usage) {
	return {
		prompt_tokens: promptTokens,
		completion_tokens: completionTokens,
		total_tokens: promptTokens + completionTokens,
		prompt_tokens_details: { audio_tokens: null, cached_tokens: cachedTokens },
	};
}

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
	eos: "eos",
	stop: "stop",
	length: "length",
	cancelled: "cancelled",
	abort: "cancelled",
	content_filter: "stop",
};

/** @throws DynError INVALID_ARGUMENT for what is no output, INTERNAL when the engine reports an error as finish reason */
export function decodeLlmEngineOutput(data: unknown): EngineOutput {
	const output = new PlainData(data, "output");
	const finishReason = decodeFinishReason(output.raw("finish_reason"));
	const stopReason = output.raw("stop_reason");
	const promptLogprobs = output.object("engine_data").array("prompt_logprobs");
	return {
		index: output.number("index") ?? 0,
		tokenIds: output.required("token_ids", output.tokenIds("token_ids")),
		logprobs: decodeLogprobs(output),
		finishReason,
		stopTokenId: typeof stopReason === "number" ? stopReason : null,
		// Stock workers report usage along the way too; only the last one counts the whole choice.
		usage: finishReason === null ? null : decodeUsage(output.object("completion_usage")),
		...(output.has("disaggregated_params")
			? { kvSession: decodeKvSession(output.raw("disaggregated_params"), "output.disaggregated_params") }
			: {}),
		...(promptLogprobs ? { promptLogprobs: promptLogprobs.map(decodePromptLogprob) } : {}),
	};
}

function decodeFinishReason(reason: unknown): FinishReason | null {
	if (reason === null) return null;
	if (typeof reason === "object")
		throw new DynError("INTERNAL", String((reason as { error?: unknown }).error ?? "the engine failed"));
	const known = FINISH_REASONS[String(reason)];
	if (!known) throw new DynError("INVALID_ARGUMENT", `output.finish_reason ${String(reason)} is not known`);
	return known;
}

function decodeLogprobs(output: PlainData): readonly TokenLogprobs[] | null {
	const logprobs = output.numbers("log_probs");
	if (logprobs === null) return null;
	const tokenIds = output.tokenIds("token_ids") ?? [];
	const top = output.array("top_logprobs");
	return tokenIds.map((tokenId, i) => ({
		tokenId,
		logprob: logprobs[i] ?? Number.NaN,
		top: decodeTop(top?.[i]),
	}));
}

function decodeTop(entries: unknown): readonly TokenLogprob[] {
	const where = "output.top_logprobs[]";
	const top = new PlainData({ entries }, where).array("entries") ?? [];
	return top.map((each) => decodeLogprob(each, `${where}[]`));
}

function decodeLogprob(data: unknown, where: string): TokenLogprob {
	const fields = new PlainData(data, where);
	return {
		tokenId: fields.required("token_id", fields.number("token_id")),
		logprob: fields.required("logprob", fields.number("logprob")),
	};
}

function decodePromptLogprob(data: unknown): TokenLogprobs | null {
	if (data === null) return null;
	const where = "output.engine_data.prompt_logprobs[]";
	const top = new PlainData(data, where).array("top_logprobs") ?? [];
	return {
		...decodeLogprob(data, where),
		top: top.map((each) => decodeLogprob(each, `${where}.top_logprobs[]`)),
	};
}

function decodeUsage(usage: PlainData): Usage | null {
	const promptTokens = usage.number("prompt_tokens");
	if (promptTokens === null) return null;
	return {
		promptTokens,
		completionTokens: usage.number("completion_tokens") ?? 0,
		cachedTokens: usage.object("prompt_tokens_details").number("cached_tokens") ?? 0,
	};
}
