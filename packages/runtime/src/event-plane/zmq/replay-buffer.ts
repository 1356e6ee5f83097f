// SPDX-License-Identifier: Apache-2.0

/** The last frames of one publisher, by sequence. */
export class ReplayBuffer {
	readonly #capacity: number;
	/** The frame of sequence `s` is at `s % capacity`. */
	readonly #frames: (Buffer | null)[] = [];
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
	push(frame: Buffer | null): void {
		this.#frames[Number(this.#next % BigInt(this.#capacity))] = frame;
		this.#next++;
	}

	/** Those frames from `from` to `to`, both included, that are still there. */
	range(from: bigint, to: bigint): Buffer[] {
		const oldest = this.#next - BigInt(this.#frames.length);
		const end = to < this.#next ? to + 1n : this.#next;
		const frames: Buffer[] = [];
		for (let each = from > oldest ? from : oldest; each < end; each++) {
			const frame = this.#frames[Number(each % BigInt(this.#capacity))];
			if (frame) frames.push(frame);
		}
		return frames;
	}
}
