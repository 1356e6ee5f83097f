// SPDX-License-Identifier: Apache-2.0

/** The last events of one publisher by sequence, as they are sent. */
export class ReplayBuffer {
	readonly #capacity: number;
	/** The frame of sequence `s` is at `s % capacity`. */
	readonly #frames: (Uint8Array | null)[] = [];
	#next = 0n;

	/** @param capacity frames kept */
	constructor(capacity: number) {
		this.#capacity = capacity;
	}

	/** The sequence of the next frame. */
	get next(): bigint {
		return this.#next;
	}

	/** Keeps the frame of the next sequence; null when there is none. */
	push(frame: Uint8Array | null): void {
		this.#frames[Number(this.#next % BigInt(this.#capacity))] = frame;
		this.#next++;
	}

	/** Those frames from `from` to `to`, both included, that are still there. */
	range(from: bigint, to: bigint): Uint8Array[] {
		const oldest = this.#next - BigInt(this.#frames.length);
		const end = to < this.#next ? to + 1n : this.#next;
		const frames: Uint8Array[] = [];
		for (let each = from > oldest ? from : oldest; each < end; each++) {
			const frame = this.#frames[Number(each % BigInt(this.#capacity))];
			if (frame) frames.push(frame);
		}
		return frames;
	}
}
