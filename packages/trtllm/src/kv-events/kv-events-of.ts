// SPDX-License-Identifier: Apache-2.0
import { type Logger, type Metrics, pause } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { KvEvent } from "@dyn/protocols";
import { openKvEventSource } from "./trtllm/open-kv-event-source.js";

/** Before events that have ended are listened to again, ms. */
const RETRY_MS = 1000;

export interface KvEventsOfOptions {
	readonly engine: Pick<Engine, "kvEvents">;
	readonly info: Pick<EngineInfo, "model" | "capabilities" | "dpSize" | "kvBlockSize">;
	/** Where the engine was told to publish; see `ServeOptions.kvEventsEndpoint`. */
	readonly endpoint: string | undefined;
	readonly logger: Logger;
	readonly metrics: Metrics | undefined;
}

export interface EngineKvEvents {
	readonly events: AsyncIterable<KvEvent>;
	/** Ends them. */
	stop(): void;
}

/**
 * An engine's KV events from now on: what it says itself, else what it publishes at `endpoint`. Null, with a warning, when
 * there is neither.
 * @throws DynError UNIMPLEMENTED when they come over ZeroMQ and the package is not installed
 */
export async function kvEventsOf(options: KvEventsOfOptions): Promise<EngineKvEvents | null> {
	const { engine, info, endpoint, logger, metrics } = options;
	const stop = new AbortController();
	const { signal } = stop;
	const events = info.capabilities.kvEvents
		? lasting(engine.kvEvents(), options, signal)
		: endpoint === undefined
			? null
			: await openKvEventSource({ ...info, configured: { endpoint }, logger, metrics, signal });
	if (events) return { events, stop: () => stop.abort() };
	logger.warn("KV events shall be published, but the engine has none: KV-aware routers will guess", {
		model: info.model,
	});
	return null;
}

/** An engine whose events end, or fail, was lost and has an empty cache when it is back. */
async function* lasting(
	first: AsyncIterable<KvEvent>,
	{ engine, info, logger }: KvEventsOfOptions,
	signal: AbortSignal,
): AsyncGenerator<KvEvent, void> {
	let events = first;
	while (!signal.aborted) {
		let heard = false;
		try {
			for await (const event of events) {
				heard = true;
				yield event;
			}
		} catch (error) {
			if (!signal.aborted) logger.warn("the engine's KV events broke off; listening again", { error });
		}
		if (signal.aborted) return;
		if (heard)
			for (let dpRank = 0; dpRank < info.dpSize; dpRank++)
				yield { eventId: 0, dpRank, data: { type: "cleared" } };
		await pause(RETRY_MS, signal);
		events = engine.kvEvents();
	}
}
