// SPDX-License-Identifier: Apache-2.0
import type { Publisher } from "zeromq";
import type { ZmqMessage } from "./zmq-message.js";

/**
 * Messages on their way to a PUB socket, which takes some hundred per turn of the event loop. Beyond `capacity` the oldest
 * is dropped. What the socket has, it drops itself for each subscriber that is too slow; that one sees a gap.
 */
export class ZmqOutbox {
	readonly #socket: Publisher;
	readonly #capacity: number;
	readonly #onDrop: () => void;
	#waiting: ZmqMessage[] = [];
	#head = 0;
	#sending: Promise<void> | null = null;

	constructor(socket: Publisher, capacity: number, onDrop: () => void) {
		this.#socket = socket;
		this.#capacity = capacity;
		this.#onDrop = onDrop;
	}

	push(message: ZmqMessage): void {
		if (this.#waiting.length - this.#head >= this.#capacity) {
			this.#take();
			this.#onDrop();
		}
		this.#waiting.push(message);
		this.#sending ??= this.#send();
	}

	/** Resolves when the socket has everything. */
	async flush(): Promise<void> {
		await this.#sending;
	}

	async #send(): Promise<void> {
		while (this.#head < this.#waiting.length) {
			try {
				await this.#socket.send(this.#take() as unknown as Buffer[]);
			} catch {
				this.#onDrop();
			}
		}
		this.#sending = null;
	}

	#take(): ZmqMessage {
		const message = this.#waiting[this.#head++]!;
		if (this.#head > 1024 && this.#head * 2 > this.#waiting.length) {
			this.#waiting = this.#waiting.slice(this.#head);
			this.#head = 0;
		}
		return message;
	}
}
