// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, type Logger, type Metrics, noMetrics } from "@dyn/common";
import type { KvEvent, KvEventData } from "@dyn/protocols";
import { EventTranslator } from "./event-translator.js";
import { KvEventMetrics } from "./kv-event-metrics.js";
import { PolledKvEvents } from "./polled-kv-events.js";
import { StreamedKvEvents } from "./streamed-kv-events.js";

/** Where one rank of an engine publishes its KV events. */
export interface KvEventEndpoint {
	readonly dpRank: number;
	/** Such as tcp://127.0.0.1:5557. */
	readonly endpoint: string;
	/** Where it replays what was missed; null when it does not. */
	readonly replayEndpoint: string | null;
	readonly topic: string;
}

export interface KvEventSourceOptions {
	/** Tokens per block. */
	readonly kvBlockSize: number;
	readonly dpSize: number;
	/** What the engine says of its publishers (OpenEngine's GetKvEventSources), those of ZeroMQ. May fail. */
	readonly askEngine?: (() => Promise<readonly KvEventEndpoint[]>) | undefined;
	/** As `kv_events_config` has it: rank n is at the port + n, of both. */
	readonly configured?:
		| {
				readonly endpoint: string;
				readonly replayEndpoint?: string | undefined;
				readonly topic?: string | undefined;
		  }
		| undefined;
	/** The `/kv_cache_events` of an engine that speaks HTTP. */
	readonly pollUrl?: string | undefined;
	/** `event_buffer_max_size` of the engine, when it is known. */
	readonly bufferCapacity?: number | undefined;
	readonly logger: Logger;
	readonly metrics?: Metrics | undefined;
	/** Ends the events. */
	readonly signal: AbortSignal;
}

/**
 * A TensorRT-LLM engine's KV events, from the best source that there is: what the engine names, what is configured, asking
 * over HTTP. Null when there is none; the log says which it is.
 * @throws DynError UNIMPLEMENTED when the source is ZeroMQ and the package is not installed
 */
export async function openKvEventSource(
	options: KvEventSourceOptions,
): Promise<AsyncIterable<KvEvent> | null> {
	const { logger, signal, pollUrl, bufferCapacity } = options;
	const metrics = new KvEventMetrics(options.metrics ?? noMetrics);
	if (bufferCapacity !== undefined) metrics.capacity(bufferCapacity);
	const createTranslator = () => new EventTranslator({ kvBlockSize: options.kvBlockSize, metrics, logger });
	const named = (await askEngine(options)).filter(({ dpRank }) => dpRank < options.dpSize);
	const endpoints = named.length > 0 ? named : configuredEndpoints(options);
	if (endpoints.length > 0) {
		const { loadZmq } = await import("@dyn/runtime/zmq");
		const zmq = await loadZmq();
		logger.info("KV events are streamed by the engine", {
			mode: named.length > 0 ? "engine" : "configured",
			endpoints: endpoints.map(({ endpoint }) => endpoint),
		});
		const streams = endpoints.map(({ dpRank, ...where }) =>
			ofRank(
				dpRank,
				new StreamedKvEvents({ ...where, zmq, translator: createTranslator(), metrics, logger, signal }),
			),
		);
		return numbered(streams.length === 1 ? streams[0]! : merge(streams));
	}
	if (pollUrl !== undefined) {
		logger.info("KV events are asked for over HTTP", { mode: "polled", url: pollUrl });
		return numbered(new PolledKvEvents({ url: pollUrl, createTranslator, metrics, logger, signal }));
	}
	logger.info("the engine has no KV events to tell", { mode: "none" });
	return null;
}

interface RankEvent {
	readonly dpRank: number;
	readonly data: KvEventData;
}

async function askEngine({ askEngine, logger }: KvEventSourceOptions): Promise<readonly KvEventEndpoint[]> {
	try {
		return (await askEngine?.()) ?? [];
	} catch (error) {
		logger.info("the engine does not say where it publishes KV events", { error });
		return [];
	}
}

function configuredEndpoints({ configured, dpSize }: KvEventSourceOptions): readonly KvEventEndpoint[] {
	if (!configured) return [];
	const { endpoint, replayEndpoint, topic = "" } = configured;
	return Array.from({ length: dpSize }, (_, dpRank) => ({
		dpRank,
		endpoint: atRank(endpoint, dpRank),
		replayEndpoint: replayEndpoint === undefined ? null : atRank(replayEndpoint, dpRank),
		topic,
	}));
}

/** What a rank's port is when the engine was told to bind `endpoint`, and how to reach it there: `*` is this machine. */
function atRank(endpoint: string, dpRank: number): string {
	return endpoint
		.replace(/^tcp:\/\/(?:\*|0\.0\.0\.0)(?=:)/, "tcp://127.0.0.1")
		.replace(/:(\d+)$/, (_, port: string) => `:${Number(port) + dpRank}`);
}

async function* ofRank(dpRank: number, events: AsyncIterable<KvEventData>): AsyncGenerator<RankEvent, void> {
	for await (const data of events) yield { dpRank, data };
}

/** As they come, at most one of each stream waiting. */
async function* merge(streams: readonly AsyncGenerator<RankEvent, void>[]): AsyncGenerator<RankEvent, void> {
	const ready = new AsyncQueue<{
		readonly stream: AsyncGenerator<RankEvent, void>;
		readonly event: RankEvent;
	}>();
	let open = streams.length;
	const take = (stream: AsyncGenerator<RankEvent, void>) =>
		stream.next().then(
			({ done, value }) => {
				if (!done) ready.push({ stream, event: value as RankEvent });
				else if (--open === 0) ready.end();
			},
			(error) => ready.fail(error),
		);
	for (const stream of streams) take(stream);
	for await (const { stream, event } of ready) {
		yield event;
		take(stream);
	}
}

async function* numbered(events: AsyncIterable<RankEvent>): AsyncGenerator<KvEvent, void> {
	const nextIds = new Map<number, number>();
	for await (const { dpRank, data } of events) {
		const eventId = nextIds.get(dpRank) ?? 0;
		nextIds.set(dpRank, eventId + 1);
		yield { eventId, dpRank, data };
	}
}
