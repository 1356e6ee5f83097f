// SPDX-License-Identifier: Apache-2.0
import type { EventSubscription, ReceivedEvent } from "./event-plane.js";

const DEFAULT_CAPACITY = 100_000;

/** What a subscriber has not read yet. Full, it drops the oldest event, counts it, and says so in the next one's `missed`. */
export class BoundedEventQueue implements EventSubscription {
	readonly #capacity: number;
	readonly #onClose: () => void;
	readonly #onDrop: () => void;
	#events: ReceivedEvent[] = [];
	#head = 0;
	/** Dropped since an event was read, per publisher. */
	readonly #droppedOf = new Map<bigint, bigint>();
	#dropped = 0;
	#closed = false;
	#wake: (() => void) | null = null;

	/**
	 * @param onClose called once, when the reader leaves or `close` is called
	 * @param onDrop called for every event that is dropped
	 */
	constructor(
		capacity: number = DEFAULT_CAPACITY,
		onClose: () => void = () => {},
		onDrop: () => void = () => {},
	) {
		this.#capacity = capacity;
		this.#onClose = onClose;
		this.#onDrop = onDrop;
	}

	get dropped(): number {
		return this.#dropped;
	}

	push(event: ReceivedEvent): void {
		if (this.#closed) return;
		if (this.#events.length - this.#head >= this.#capacity) this.#dropOldest();
		this.#events.push(event);
		this.#wake?.();
		this.#wake = null;
	}

	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		this.#events = [];
		this.#head = 0;
		this.#wake?.();
		this.#onClose();
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<ReceivedEvent, void> {
		try {
			while (!this.#closed) {
				const event = this.#take();
				if (event) yield event;
				else
					await new Promise<void>((resolve) => {
						this.#wake = resolve;
					});
			}
		} finally {
			await this.close();
		}
	}

	#take(): ReceivedEvent | null {
		const event = this.#shift();
		if (!event) return null;
		const dropped = this.#droppedOf.get(event.publisherId);
		if (dropped === undefined) return event;
		this.#droppedOf.delete(event.publisherId);
		return { ...event, missed: event.missed + dropped };
	}

	#dropOldest(): void {
		const { publisherId, missed } = this.#shift()!;
		this.#droppedOf.set(publisherId, (this.#droppedOf.get(publisherId) ?? 0n) + missed + 1n);
		this.#dropped++;
		this.#onDrop();
	}

	#shift(): ReceivedEvent | null {
		if (this.#head === this.#events.length) return null;
		const event = this.#events[this.#head++]!;
		if (this.#head > 1024 && this.#head * 2 > this.#events.length) {
			this.#events = this.#events.slice(this.#head);
			this.#head = 0;
		}
		return event;
	}
}
