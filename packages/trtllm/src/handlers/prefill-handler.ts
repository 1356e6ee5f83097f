// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { EngineOutput } from "@dyn/protocols";
import { defineHandler, type Handler } from "./handler.js";

/**
 * Computes prompts for decode workers: one token, and a session from which its KV blocks are taken. Answers with one item,
 * whose finish reason is `length` (Dynamo's prefill router takes any other for a failure), or the engine's own when the
 * first token was the last one, so that there is nothing to decode. A canary runs to its end here: it must not depend on
 * another worker.
 */
export function prefillHandler(engine: Engine): Handler {
	return defineHandler({
		name: "prefill",
		async *generate(request, context) {
			if (request.healthCheck) return yield* engine.generate(request, context);
			if (request.disaggregation?.role === "decode")
				throw new DynError(
					"INVALID_ARGUMENT",
					"a prefill worker was sent the result of a prefill; send this request to a decode worker",
				);
			const answer: EngineOutput[] = [];
			const prefill = {
				...request,
				disaggregation: { role: "prefill" as const },
				sampling: { ...request.sampling, n: 1, bestOf: null },
				stop: { ...request.stop, maxTokens: 1, minTokens: null },
			};
			for await (const output of engine.generate(prefill, context)) answer.push(output);
			yield together(answer);
		},
	});
}

function together(outputs: readonly EngineOutput[]): EngineOutput {
	const last = outputs.at(-1);
	if (!last?.finishReason)
		throw new DynError("INTERNAL", "the engine's prefill ended without a finish reason");
	if (last.finishReason === "length" && !last.kvSession)
		throw new DynError(
			"INTERNAL",
			"the engine computed the prompt but gave no session to take its KV blocks from; start it with a cache transceiver (cache_transceiver_config)",
		);
	const logprobs = outputs.some((output) => output.logprobs)
		? outputs.flatMap((output) => output.logprobs ?? [])
		: null;
	const promptLogprobs = outputs.find((output) => output.promptLogprobs)?.promptLogprobs;
	return {
		...last,
		tokenIds: outputs.flatMap(({ tokenIds }) => tokenIds),
		logprobs,
		...(promptLogprobs ? { promptLogprobs } : {}),
	};
}
