// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { KvEvent } from "@dyn/protocols";

/** An engine's KV events from now on; null, with a warning, when it has none to tell. */
export function kvEventsOf(engine: Engine, info: EngineInfo, logger: Logger): AsyncIterable<KvEvent> | null {
	if (info.capabilities.kvEvents) return engine.kvEvents();
	logger.warn("KV events shall be published, but the engine has none: KV-aware routers will guess", {
		model: info.model,
	});
	return null;
}
