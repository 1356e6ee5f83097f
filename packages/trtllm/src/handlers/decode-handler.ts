// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { defineHandler, type Handler } from "./handler.js";

/**
 * Goes on where a prefill worker stopped. Does the prefill itself only for a canary, or when the request says so: a
 * session that got lost on its way must not turn into work twice done in silence.
 */
export function decodeHandler(engine: Engine): Handler {
	return defineHandler({
		name: "decode",
		generate(request, context) {
			const { disaggregation, routing, healthCheck } = request;
			if (disaggregation?.role === "decode") return engine.generate(request, context);
			if (!healthCheck && !routing.bypassRemotePrefill)
				throw new DynError(
					"INVALID_ARGUMENT",
					"a decode worker needs the result of a prefill (prefill_result.disaggregated_params) or the annotation x-bypass-remote-prefill",
				);
			return engine.generate({ ...request, disaggregation: null }, context);
		},
	});
}
