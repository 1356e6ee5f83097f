// SPDX-License-Identifier: Apache-2.0
import type { Engine } from "@dyn/engine";
import type { KvEvent } from "@dyn/protocols";
import { type KvEventSourceOptions, openKvEventSource } from "../../kv-events/trtllm/open-kv-event-source.js";
import type { EngineLink } from "./engine-control.js";

/** An engine that has KV events, from `source`. */
export function listening(
	{ engine, info }: EngineLink,
	source: Omit<KvEventSourceOptions, "kvBlockSize" | "dpSize" | "signal">,
): EngineLink {
	const { kvBlockSize, dpSize } = info;
	return {
		engine: withKvEvents(engine, (signal) => openKvEventSource({ ...source, kvBlockSize, dpSize, signal })),
		info: { ...info, capabilities: { ...info.capabilities, kvEvents: true } },
	};
}

/**
 * An engine whose KV events come another way than its answers; closing it ends them.
 * @param open may reject or give null: then there are none now
 */
function withKvEvents(
	engine: Engine,
	open: (signal: AbortSignal) => Promise<AsyncIterable<KvEvent> | null>,
): Engine {
	const closing = new AbortController();
	return {
		start: () => engine.start(),
		generate: (request, context) => engine.generate(request, context),
		async *kvEvents() {
			const events = await open(closing.signal);
			if (events) yield* events;
		},
		load: () => engine.load(),
		health: () => engine.health(),
		drain: () => engine.drain(),
		close() {
			closing.abort();
			return engine.close();
		},
	};
}
