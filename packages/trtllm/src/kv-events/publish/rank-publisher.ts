// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { KvEventData } from "@dyn/protocols";
import { encodeRouterEvent, type KvQuery, kvQueryCodec, type RouterEvent } from "@dyn/protocols/dynamo";
import type { EventPublisher, Instance, Runtime, ServedEndpoint } from "@dyn/runtime";
import { batchEvents } from "./batch-events.js";
import { EventLog } from "./event-log.js";

const TOPIC = "kv-events";
/** More blocks than any cache has: what is known then is mostly what the engine did not say that it dropped. */
const MAX_BLOCKS = 4_000_000;

export interface RankPublisherOptions {
	readonly runtime: Pick<Runtime, "events" | "endpoint" | "announceEventSource">;
	/** The worker. */
	readonly instance: Instance;
	readonly dpRank: number;
	/** Whether routers may ask for everything. Stock routers listen to nobody else. */
	readonly answersQueries: boolean;
	readonly logger: Logger;
}

/** Tells routers of one rank's KV cache. */
export class RankPublisher {
	readonly #log: EventLog;
	readonly #publisher: EventPublisher;
	readonly #queries: ServedEndpoint | null;
	readonly #options: RankPublisherOptions;
	#source: { withdraw(): Promise<void> } | null = null;
	#pending: RouterEvent[] = [];
	#flushing: NodeJS.Immediate | null = null;

	private constructor(
		log: EventLog,
		publisher: EventPublisher,
		queries: ServedEndpoint | null,
		options: RankPublisherOptions,
	) {
		this.#log = log;
		this.#publisher = publisher;
		this.#queries = queries;
		this.#options = options;
	}

	/** @throws DynError of the event plane, the request plane or discovery */
	static async open(options: RankPublisherOptions): Promise<RankPublisher> {
		const { runtime, instance, dpRank, answersQueries } = options;
		const log = new EventLog(instance.id, dpRank);
		const publisher = await runtime.events.publish(instance.path, TOPIC, { replay: 1024 });
		const queries = answersQueries
			? await runtime
					.endpoint({
						...instance.path,
						endpoint: `worker_kv_query_source_${publisher.id.toString(16)}`,
					})
					.serve(
						async function* (query) {
							yield log.answer(query as KvQuery);
						},
						{ codec: kvQueryCodec },
					)
			: null;
		const opened = new RankPublisher(log, publisher, queries, options);
		await opened.announce();
		return opened;
	}

	/** Tells routers where to listen. */
	async announce(): Promise<void> {
		if (!this.#queries || this.#source) return;
		const { runtime, instance, dpRank } = this.#options;
		this.#source = await runtime.announceEventSource({
			path: instance.path,
			topic: TOPIC,
			publisherId: this.#publisher.id,
			workerId: instance.id,
			dpRank,
			recovery: this.#queries.instance,
		});
	}

	/** Leaves discovery until `announce`. */
	async withdraw(): Promise<void> {
		await this.#source?.withdraw();
		this.#source = null;
	}

	/** Takes a change of the cache; those of one turn of the event loop go out together. */
	push(change: KvEventData): void {
		const event = this.#log.append(change);
		if (!event) return;
		this.#pending.push(event);
		this.#flushing ??= setImmediate(() => this.#flush());
		if (this.#log.blocks <= MAX_BLOCKS) return;
		this.#options.logger.warn("KV events add up to more blocks than there can be: beginning anew", {
			blocks: this.#log.blocks,
		});
		this.push({ type: "cleared" });
	}

	/** Sends what is left and leaves discovery. Does not reject. */
	async close(): Promise<void> {
		this.#flush();
		const failed = (error: unknown) =>
			this.#options.logger.warn("what routers know of a KV cache stays until its lease ends", { error });
		await this.withdraw().catch(failed);
		await this.#queries?.close().catch(failed);
		await this.#publisher.close().catch(failed);
	}

	#flush(): void {
		if (this.#flushing) clearImmediate(this.#flushing);
		this.#flushing = null;
		const events = this.#pending;
		this.#pending = [];
		for (const batch of batchEvents(events)) this.#publisher.send(batch.map(encodeRouterEvent));
	}
}
