// SPDX-License-Identifier: Apache-2.0
import type { EngineLoad } from "@dyn/engine";
import type { EventPublisher, Instance, Runtime } from "@dyn/runtime";

/** How often the load is looked at, ms (Dynamo's slowest poll of an idle engine). */
const LOOK_MS = 100;

/** Tells routers how full the KV cache of each rank is, whenever that changes (topic `kv_metrics`, Dynamo's ActiveLoad). */
export class LoadPublisher {
	readonly #publisher: EventPublisher;
	readonly #workerId: bigint;
	readonly #load: () => readonly EngineLoad[];
	readonly #told = new Map<number, number>();
	readonly #timer: NodeJS.Timeout;

	private constructor(publisher: EventPublisher, workerId: bigint, load: () => readonly EngineLoad[]) {
		this.#publisher = publisher;
		this.#workerId = workerId;
		this.#load = load;
		this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
		this.#look();
	}

	static async open(
		runtime: Pick<Runtime, "events">,
		{ id, path }: Instance,
		load: () => readonly EngineLoad[],
	): Promise<LoadPublisher> {
		return new LoadPublisher(await runtime.events.publish(path, "kv_metrics"), id, load);
	}

	async close(): Promise<void> {
		clearInterval(this.#timer);
		await this.#publisher.close();
	}

	#look(): void {
		for (const { dpRank, activeKvBlocks } of this.#load()) {
			if (this.#told.get(dpRank) === activeKvBlocks) continue;
			this.#told.set(dpRank, activeKvBlocks);
			this.#publisher.send({
				worker_id: this.#workerId,
				dp_rank: dpRank,
				active_decode_blocks: null,
				active_prefill_tokens: null,
				kv_used_blocks: activeKvBlocks,
			});
		}
	}
}
