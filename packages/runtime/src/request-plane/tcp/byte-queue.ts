// SPDX-License-Identifier: Apache-2.0

/** Received bytes, taken off the front in pieces whose size the protocol tells. */
export class ByteQueue {
	#chunks: Buffer[] = [];
	#length = 0;

	get length(): number {
		return this.#length;
	}

	push(chunk: Buffer): void {
		this.#chunks.push(chunk);
		this.#length += chunk.length;
	}

	/** The first `count` bytes, which stay; null while there are fewer. A view: valid as long as nobody writes into it. */
	peek(count: number): Buffer | null {
		if (this.#length < count) return null;
		if (this.#chunks.length === 0) return EMPTY;
		if (this.#chunks[0]!.length < count) this.#chunks = [Buffer.concat(this.#chunks, this.#length)];
		return this.#chunks[0]!.subarray(0, count);
	}

	/** As `peek`, and they are gone. */
	take(count: number): Buffer | null {
		const bytes = this.peek(count);
		if (!bytes || count === 0) return bytes;
		const first = this.#chunks[0]!;
		if (first.length === count) this.#chunks.shift();
		else this.#chunks[0] = first.subarray(count);
		this.#length -= count;
		return bytes;
	}
}

const EMPTY = Buffer.alloc(0);
