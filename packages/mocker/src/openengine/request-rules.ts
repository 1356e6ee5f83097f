// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { messages, ServerCall } from "@dyn/openengine";
import type { TrtllmQuirks } from "./trtllm-quirks.js";
import { fromTrtllmSession } from "./trtllm-session.js";

const MAX_STOP_CONDITIONS = 64;

/**
 * The request as the engine is to see it.
 * @param model the engine's own name for its model
 * @throws DynError with which TensorRT-LLM refuses it
 */
export function applyRequestRules(
	request: messages.GenerateRequest,
	call: ServerCall,
	quirks: TrtllmQuirks,
	model: string,
): messages.GenerateRequest {
	if (quirks.fewFeatures) checkFeatures(request, call);
	const { sampling, stopping, kv } = request;
	const conditions = stopping?.conditions ?? [];
	if (conditions.length > MAX_STOP_CONDITIONS)
		throw invalidArgument(
			"conditions",
			`there are ${conditions.length} stop conditions, at most ${MAX_STOP_CONDITIONS} are taken`,
		);
	if (quirks.noGreedyChoices && (sampling?.numSequences ?? 1) > 1 && sampling?.temperature === 0)
		throw invalidArgument("num_sequences", "greedy sampling gives one sequence; set a temperature");
	const session = quirks.strictHandoff && kv?.session ? fromTrtllmSession(kv.session) : kv?.session;
	return {
		...request,
		model: quirks.anyModel && request.model !== "" ? model : request.model,
		stopping: {
			...stopping,
			maxTokens: stopping?.maxTokens ?? (quirks.defaultMaxTokens > 0 ? quirks.defaultMaxTokens : undefined),
			// Stop texts end nothing here: the simulated engine knows no text.
			conditions:
				quirks.stopTextBurst > 0 ? conditions.filter(({ stopText }) => stopText === undefined) : conditions,
		},
		kv: kv && { ...kv, session },
	};
}

function checkFeatures({ kv, loraName, media, guided }: messages.GenerateRequest, call: ServerCall): void {
	const asked: readonly (readonly [string, boolean])[] = [
		["media", media.length > 0],
		["lora_name", loraName !== ""],
		["kv.bypass_prefix_cache", kv?.bypassPrefixCache === true],
		["guided.choice", guided?.choice !== undefined],
		["openengine-priority", call.metadata("openengine-priority").length > 0],
		["openengine-target-dp-rank", call.metadata("openengine-target-dp-rank").length > 0],
	];
	const missing = asked.find(([, isAsked]) => isAsked);
	if (missing)
		throw new DynError("UNIMPLEMENTED", `${missing[0]} is not supported`, { details: { param: missing[0] } });
}
