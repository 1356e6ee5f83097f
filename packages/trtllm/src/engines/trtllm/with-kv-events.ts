// SPDX-License-Identifier: Apache-2.0
import type { Engine } from "@dyn/engine";
import type { KvEvent } from "@dyn/protocols";

/**
 * An engine whose KV events come another way than its answers; closing it ends them.
 * @param open may reject or give null: then there are none now
 */
export function withKvEvents(
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
