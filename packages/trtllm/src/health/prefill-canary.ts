// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import type { EndpointClient } from "@dyn/runtime";
import type { Handler } from "../handlers/handler.js";

/**
 * A canary of a decode worker that goes the whole way: a prefill worker computes its prompt and this one takes the KV
 * blocks. One that stays in the worker would not notice that the handing over is broken.
 */
export async function* askThroughPrefill(
	prefill: EndpointClient,
	handler: Handler,
	canary: GenerateRequest,
	context: RequestContext,
): AsyncGenerator<EngineOutput, void> {
	// As any request: a prefill worker answers a health check by itself.
	const request = { ...canary, healthCheck: false, routing: { ...canary.routing, priority: null } };
	for await (const item of prefill.generate(request, context)) {
		const { kvSession, finishReason } = item as EngineOutput;
		if (kvSession)
			return yield* handler.generate(
				{ ...request, disaggregation: { role: "decode", session: kvSession } },
				context,
			);
		// The first token was the last one.
		if (finishReason) return yield item as EngineOutput;
	}
	throw new DynError("UNAVAILABLE", "the prefill worker answered the canary with nothing");
}
