// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue } from "@dyn/common";
import type { KvEvent, KvEventData } from "@dyn/protocols";

/** Numbers one rank's KV cache changes, from 0 and without gaps, for one subscriber at a time. */
export class KvEventStream {
	readonly #dpRank: number;
	#subscriber: AsyncQueue<KvEvent> | null = null;
	#nextId = 0;

	constructor(dpRank: number) {
		this.#dpRank = dpRank;
	}

	push(data: KvEventData): void {
		const eventId = this.#nextId++;
		this.#subscriber?.push({ eventId, dpRank: this.#dpRank, data });
	}

	/** Everything from now on. Ends an earlier subscription. */
	subscribe(): AsyncIterable<KvEvent> {
		this.#subscriber?.end();
		const queue: AsyncQueue<KvEvent> = new AsyncQueue(() => {
			if (this.#subscriber === queue) this.#subscriber = null;
		});
		this.#subscriber = queue;
		return queue;
	}

	end(): void {
		this.#subscriber?.end();
		this.#subscriber = null;
	}
}
