// SPDX-License-Identifier: Apache-2.0
import type { NatsLink } from "./nats-link.js";

/** Most bytes that the server may not have acknowledged: what would be lost with the connection, and what a slow server makes wait. */
const WINDOW_BYTES = 2 ** 20;
/** How many bytes are acknowledged at a time. */
const MARK_BYTES = WINDOW_BYTES / 4;

/**
 * Messages on their way to one subject. They leave at once while the server keeps up; else, and while there is no
 * connection, they wait here, and beyond `capacity` the oldest is dropped. The NATS library has no such bound.
 */
export class EventOutbox {
	readonly #link: NatsLink;
	readonly #subject: string;
	readonly #capacity: number;
	readonly #unfollow: () => void;
	#waiting: Uint8Array[] = [];
	#head = 0;
	#dropped = 0;
	/** Bytes that were sent over this connection and not acknowledged. */
	#unacknowledged = 0;
	/** Those of them that no mark follows yet. */
	#unmarked = 0;
	/** Counts connections. */
	#epoch = 0;

	constructor(link: NatsLink, subject: string, capacity: number) {
		this.#link = link;
		this.#subject = subject;
		this.#capacity = capacity;
		this.#unfollow = link.onChange((connected) => {
			if (!connected) return;
			this.#epoch++;
			this.#unacknowledged = 0;
			this.#unmarked = 0;
			this.#send();
		});
	}

	get dropped(): number {
		return this.#dropped;
	}

	/** Counts a message that is not even tried. */
	drop(): void {
		this.#dropped++;
	}

	push(body: Uint8Array): void {
		if (body.length > this.#link.maxMessageBytes) {
			this.drop();
			return;
		}
		if (this.#waiting.length - this.#head >= this.#capacity) {
			this.#shift();
			this.drop();
		}
		this.#waiting.push(body);
		this.#send();
	}

	/** Resolves when the server has everything; what it cannot get while there is no connection is dropped. */
	async close(): Promise<void> {
		try {
			while (this.#waiting.length > this.#head) await this.#link.flush();
			await this.#link.flush();
		} catch {
			this.#dropped += this.#waiting.length - this.#head;
		}
		this.#waiting = [];
		this.#head = 0;
		this.#unfollow();
	}

	#send(): void {
		while (this.#head < this.#waiting.length && this.#link.connected && this.#unacknowledged < WINDOW_BYTES) {
			const body = this.#shift();
			this.#link.publish(this.#subject, body);
			this.#unacknowledged += body.length;
			this.#unmarked += body.length;
			if (this.#unmarked < MARK_BYTES) continue;
			this.#mark(this.#unmarked, this.#epoch);
			this.#unmarked = 0;
		}
	}

	/** Asks the server to say when it has got this far. */
	#mark(bytes: number, epoch: number): void {
		this.#link.flush().then(
			() => {
				if (epoch !== this.#epoch) return;
				this.#unacknowledged -= bytes;
				this.#send();
			},
			() => {
				// A server that is late is asked again; one that is gone is followed by another connection.
				if (epoch === this.#epoch && this.#link.connected) this.#mark(bytes, epoch);
			},
		);
	}

	#shift(): Uint8Array {
		const body = this.#waiting[this.#head++]!;
		if (this.#head > 1024 && this.#head * 2 > this.#waiting.length) {
			this.#waiting = this.#waiting.slice(this.#head);
			this.#head = 0;
		}
		return body;
	}
}
