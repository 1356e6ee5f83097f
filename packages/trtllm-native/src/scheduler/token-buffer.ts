// SPDX-License-Identifier: Apache-2.0

/** Token ids that grow at the end, readable as one Uint32Array without copying. */
export class TokenBuffer {
	#ids: Uint32Array;
	#length: number;

	constructor(ids: readonly number[] | Uint32Array) {
		this.#length = ids.length;
		this.#ids = new Uint32Array(Math.max(64, ids.length + 64));
		this.#ids.set(ids);
	}

	get length(): number {
		return this.#length;
	}

	push(id: number): void {
		if (this.#length === this.#ids.length) {
			const larger = new Uint32Array(this.#ids.length * 2);
			larger.set(this.#ids);
			this.#ids = larger;
		}
		this.#ids[this.#length++] = id;
	}

	/** A view, valid until the next `push`. */
	view(from = 0, to: number = this.#length): Uint32Array {
		return this.#ids.subarray(from, to);
	}
}
