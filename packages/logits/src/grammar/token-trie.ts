// SPDX-License-Identifier: Apache-2.0
import { type Automaton, DEAD } from "./automaton.js";
import type { Vocabulary } from "./vocabulary.js";

/** All tokens by their bytes, as a tree in depth-first order: what one byte forbids is skipped with everything below it. */
export class TokenTrie {
	readonly vocabSize: number;
	/** Per node: its byte, its depth (1 for a first byte), the node after its last descendant, and its first token or -1. */
	readonly #byte: Uint8Array;
	readonly #depth: Uint16Array;
	readonly #end: Uint32Array;
	readonly #token: Int32Array;
	/** Next token of the same bytes, or -1. */
	readonly #same: Int32Array;
	#reached: Int32Array;

	constructor({ bytes, offsets }: Vocabulary) {
		this.vocabSize = offsets.length - 1;
		const of = (id: number) => bytes.subarray(offsets[id]!, offsets[id + 1]!);
		const ids = Array.from({ length: this.vocabSize }, (_, id) => id).filter((id) => of(id).length > 0);
		ids.sort((a, b) => Buffer.compare(of(a), of(b)) || b - a);
		const most = bytes.length;
		const byte = new Uint8Array(most);
		const depth = new Uint16Array(most);
		const end = new Uint32Array(most);
		const token = new Int32Array(most).fill(-1);
		this.#same = new Int32Array(this.vocabSize).fill(-1);
		const path: number[] = [];
		let previous: Uint8Array = new Uint8Array(0);
		let count = 0;
		let deepest = 0;
		for (const id of ids) {
			const own = of(id);
			let shared = 0;
			while (shared < own.length && shared < previous.length && own[shared] === previous[shared]) shared++;
			for (const node of path.splice(shared)) end[node] = count;
			for (let i = shared; i < own.length; i++) {
				byte[count] = own[i]!;
				depth[count] = i + 1;
				path.push(count++);
			}
			const last = path[own.length - 1]!;
			this.#same[id] = token[last]!;
			token[last] = id;
			deepest = Math.max(deepest, own.length);
			previous = own;
		}
		for (const node of path) end[node] = count;
		this.#byte = byte.slice(0, count);
		this.#depth = depth.slice(0, count);
		this.#end = end.slice(0, count);
		this.#token = token.slice(0, count);
		this.#reached = new Int32Array(deepest + 1);
	}

	/** Tokens that may follow, one bit each, the lowest bit of the first word first; null when there are none. */
	mask(automaton: Automaton, state: number): Uint32Array | null {
		const mask = new Uint32Array(Math.ceil(this.vocabSize / 32));
		const reached = this.#reached;
		reached[0] = state;
		let any = false;
		for (let node = 0; node < this.#byte.length; ) {
			const depth = this.#depth[node]!;
			const next = automaton.step(reached[depth - 1]!, this.#byte[node]!);
			if (next === DEAD) {
				node = this.#end[node]!;
				continue;
			}
			reached[depth] = next;
			for (let id = this.#token[node]!; id !== -1; id = this.#same[id]!) {
				mask[id >>> 5]! |= 1 << (id & 31);
				any = true;
			}
			node++;
		}
		return any ? mask : null;
	}
}
