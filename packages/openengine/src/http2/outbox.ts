// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";

/** Unsent bytes at which the other side, which asks for answers and does not read them, is given up. */
const MAX_UNSENT_BYTES = 2 ** 20;

/** Frames on their way out: those of one turn of the event loop in one write. */
export class Outbox {
	readonly #socket: Socket;
	#isCorked = false;

	constructor(socket: Socket) {
		this.#socket = socket;
	}

	/** Whether bodies have to wait for the socket's `drain`. */
	get isFull(): boolean {
		return this.#socket.writableNeedDrain;
	}

	/** Whether even short frames are too many. */
	get isStuck(): boolean {
		return this.#socket.writableLength > MAX_UNSENT_BYTES;
	}

	write(bytes: Uint8Array): void {
		if (this.#socket.destroyed) return;
		if (!this.#isCorked) {
			this.#isCorked = true;
			this.#socket.cork();
			process.nextTick(() => {
				this.#isCorked = false;
				this.#socket.uncork();
			});
		}
		this.#socket.write(bytes);
	}

	/** Hands `last` to the kernel if it takes it at once, and closes the connection. */
	destroy(last: Uint8Array | null): void {
		if (last && !this.#socket.destroyed) {
			this.#socket.write(last);
			this.#socket.uncork();
		}
		this.#socket.destroy();
	}
}
