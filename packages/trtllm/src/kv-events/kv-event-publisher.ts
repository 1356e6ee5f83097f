// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { EngineLoad } from "@dyn/engine";
import type { KvEvent } from "@dyn/protocols";
import type { Instance, Runtime } from "@dyn/runtime";
import { LoadPublisher } from "./publish/load-publisher.js";
import { RankPublisher } from "./publish/rank-publisher.js";

export interface KvEventPublisherOptions {
	readonly runtime: Pick<Runtime, "events" | "endpoint" | "announceEventSource">;
	/** The worker whose KV cache it is. */
	readonly instance: Instance;
	/** Data-parallel ranks, numbered from 0. */
	readonly dpSize: number;
	/** Every change from the moment the engine started, of all ranks. */
	readonly events: AsyncIterable<KvEvent>;
	/** Ends `events`; called when the publisher closes. */
	readonly stop: () => void;
	readonly load: () => readonly EngineLoad[];
	/** Whether routers may ask for everything that is stored. Dynamo's decode workers do not answer that. */
	readonly answersQueries: boolean;
	readonly logger: Logger;
}

export interface KvEventPublisher {
	/** In discovery, so that routers listen; it is when it was created. */
	announce(): Promise<void>;
	/** Out of discovery, so that routers forget the worker. Goes on counting. */
	withdraw(): Promise<void>;
	/** Idempotent; does not reject. */
	close(): Promise<void>;
}

/**
 * Publishes an engine's KV events in Dynamo's form, one publisher per rank, so that KV-aware routers of this project and of
 * stock Dynamo send requests where their prefix is.
 * @throws DynError of the event plane, the request plane or discovery
 */
export async function createKvEventPublisher(options: KvEventPublisherOptions): Promise<KvEventPublisher> {
	const opened: { close(): Promise<void> }[] = [];
	try {
		const ranks: RankPublisher[] = [];
		for (let dpRank = 0; dpRank < options.dpSize; dpRank++) {
			ranks.push(await RankPublisher.open({ ...options, dpRank }));
			opened.push(ranks.at(-1)!);
		}
		const load = await LoadPublisher.open(options.runtime, options.instance, options.load);
		return new Publishing(ranks, load, options);
	} catch (error) {
		await Promise.all(opened.map((each) => each.close()));
		throw error;
	}
}

class Publishing implements KvEventPublisher {
	readonly #ranks: readonly RankPublisher[];
	readonly #load: LoadPublisher;
	readonly #logger: Logger;
	readonly #stop: () => void;
	#closing: Promise<void> | null = null;

	constructor(ranks: readonly RankPublisher[], load: LoadPublisher, options: KvEventPublisherOptions) {
		this.#ranks = ranks;
		this.#load = load;
		this.#logger = options.logger;
		this.#stop = options.stop;
		this.#pump(options.events).catch((error) =>
			this.#logger.error("KV events of the engine have ended", { error }),
		);
	}

	async announce(): Promise<void> {
		await Promise.all(this.#ranks.map((rank) => rank.announce()));
	}

	async withdraw(): Promise<void> {
		await Promise.all(this.#ranks.map((rank) => rank.withdraw()));
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async #pump(events: AsyncIterable<KvEvent>): Promise<void> {
		let warned = false;
		for await (const { dpRank, data } of events) {
			const rank = this.#ranks[dpRank];
			if (rank) rank.push(data);
			else if (!warned) {
				warned = true;
				this.#logger.warn("KV events of a rank that the engine did not mention are dropped", {
					dpRank,
					dpSize: this.#ranks.length,
				});
			}
		}
	}

	async #close(): Promise<void> {
		this.#stop();
		await Promise.all([...this.#ranks, this.#load].map((each) => each.close()));
	}
}
