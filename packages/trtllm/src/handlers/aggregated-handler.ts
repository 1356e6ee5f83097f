// SPDX-License-Identifier: Apache-2.0
import type { Engine } from "@dyn/engine";
import { defineHandler, type Handler } from "./handler.js";

/** Prefill and decode in one engine. */
export function aggregatedHandler(engine: Engine): Handler {
	return defineHandler({
		name: "aggregated",
		generate: (request, context) => engine.generate(request, context),
	});
}
