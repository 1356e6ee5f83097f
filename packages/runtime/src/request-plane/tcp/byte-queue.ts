// SPDX-License-Identifier: Apache-2.0

/** Received bytes, taken off the front in pieces whose size the protocol tells. */
export class ByteQueue {
	#chunks: Buffer[] = [];
	/** Bytes of the first chunk that are gone. */
	#start = 0;
	#length = 0;

	get length(): number {
		return this.#length;
	}

	push(chunk: Buffer): void {
		if (chunk.length === 0) return;
		this.#chunks.push(chunk);
		this.#length += chunk.length;
	}

	/** The first `count` bytes, which stay; null while there are fewer. A view: valid as long as nobody writes into it. */
	peek(count: number): Buffer | null {
		if (this.#length < count) return null;
		if (count === 0) return EMPTY;
		return this.#gather(count).subarray(this.#start, this.#start + count);
	}

	/** The byte at `offset` or null when it is not there. As `peek` without a view, which takes longer than reading. */
	byteAt(offset: number): number | null {
		if (this.#length <= offset) return null;
		return this.#gather(offset + 1)[this.#start + offset]!;
	}

	/** The big-endian u32 at `offset` or null when it is not there in whole. */
	uint32At(offset: number): number | null {
		if (this.#length < offset + 4) return null;
		return this.#gather(offset + 4).readUInt32BE(this.#start + offset);
	}

	/** As `peek`, and they are gone. */
	take(count: number): Buffer | null {
		const bytes = this.peek(count);
		if (bytes) this.skip(count);
		return bytes;
	}

	/** The first `count` bytes, which are there, are gone. */
	skip(count: number): void {
		this.#length -= count;
		let start = this.#start + count;
		while (this.#chunks.length > 0 && start >= this.#chunks[0]!.length) start -= this.#chunks.shift()!.length;
		this.#start = start;
	}

	/** Makes the first `count` bytes, which are there, stand in the first chunk. */
	#gather(count: number): Buffer {
		if (this.#chunks[0]!.length - this.#start < count) {
			this.#chunks[0] = this.#chunks[0]!.subarray(this.#start);
			this.#chunks = [Buffer.concat(this.#chunks, this.#length)];
			this.#start = 0;
		}
		return this.#chunks[0]!;
	}
}

const EMPTY = Buffer.alloc(0);
