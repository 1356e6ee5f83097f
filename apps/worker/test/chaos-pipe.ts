// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";

/** What happens to the bytes of one direction. All can be changed while they flow. */
export interface Weather {
	/** Delay of every byte, ms. */
	latencyMs: number;
	/** Up to this much more, ms, from a fixed pseudo-random sequence; the order stays. */
	jitterMs: number;
	/** Bytes per second; infinite for no limit. */
	bytesPerSecond: number;
	/** Writes are cut into pieces of this many bytes; infinite for none. */
	sliceBytes: number;
	/** Bytes vanish. */
	dropped: boolean;
	/** The end of the stream is not passed on. */
	endHidden: boolean;
}

/** More than this is not taken from the source before the sink has some, bytes. */
const MOST_HELD = 1 << 20;

/** One direction of a connection, in the weather of the moment. */
export class Pipe {
	readonly #from: Socket;
	readonly #to: Socket;
	readonly #weather: Weather;
	readonly #held: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
	#heldBytes = 0;
	/** When the link is free for the next byte: what a limited bandwidth still carries, monotonic ms. */
	#freeAtMs = 0;
	#lastDueMs = 0;
	#ended = false;
	#timer: NodeJS.Timeout | null = null;
	#random = 1;

	constructor(from: Socket, to: Socket, weather: Weather) {
		this.#from = from;
		this.#to = to;
		this.#weather = weather;
		from.on("data", (chunk: Buffer) => this.#take(chunk));
		from.on("end", () => {
			this.#ended = true;
			this.#deliver();
		});
		to.on("close", () => {
			if (this.#timer) clearTimeout(this.#timer);
		});
	}

	#take(chunk: Buffer): void {
		const { dropped, sliceBytes, latencyMs, jitterMs } = this.#weather;
		if (dropped) return;
		const slice = Math.min(sliceBytes, chunk.length);
		for (let at = 0; at < chunk.length; at += slice) {
			const bytes = chunk.subarray(at, at + slice);
			const due = performance.now() + latencyMs + jitterMs * this.#nextRandom();
			this.#lastDueMs = Math.max(due, this.#lastDueMs);
			this.#held.push({ bytes, dueMs: this.#lastDueMs });
			this.#heldBytes += bytes.length;
		}
		if (this.#heldBytes > MOST_HELD) this.#from.pause();
		this.#deliver();
	}

	/** Passes on what is due, and comes back for the rest. */
	#deliver(): void {
		if (this.#timer || this.#to.destroyed) return;
		const { bytesPerSecond, dropped, endHidden } = this.#weather;
		for (let first = this.#held[0]; first; first = this.#held[0]) {
			const beginMs = Math.max(first.dueMs, this.#freeAtMs);
			const waitMs = beginMs - performance.now();
			if (waitMs > 0) {
				this.#timer = setTimeout(() => {
					this.#timer = null;
					this.#deliver();
				}, waitMs);
				return;
			}
			this.#held.shift();
			this.#heldBytes -= first.bytes.length;
			if (!dropped) this.#to.write(first.bytes);
			this.#freeAtMs = beginMs + (first.bytes.length / bytesPerSecond) * 1000;
		}
		if (this.#from.isPaused()) this.#from.resume();
		if (this.#ended && !endHidden) this.#to.end();
	}

	/** 0..1, the same sequence for every pipe (Numerical Recipes' generator). */
	#nextRandom(): number {
		this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
		return this.#random / 2 ** 32;
	}
}
