// SPDX-License-Identifier: Apache-2.0

/** Return addresses of entered rules as shared linked lists: equal stacks have equal ids. 0 is the empty one. */
export class Stacks {
	readonly #back: number[] = [-1];
	readonly #below: number[] = [-1];
	readonly #ids = new Map<number, number>();
	readonly #numStates: number;

	/** @param numStates bound of the addresses */
	constructor(numStates: number) {
		this.#numStates = numStates;
	}

	get size(): number {
		return this.#back.length;
	}

	push(below: number, back: number): number {
		const key = below * this.#numStates + back;
		const known = this.#ids.get(key);
		if (known !== undefined) return known;
		const id = this.#back.push(back) - 1;
		this.#below.push(below);
		this.#ids.set(key, id);
		return id;
	}

	/** Topmost return address of a stack that is not empty. */
	back(stack: number): number {
		return this.#back[stack]!;
	}

	below(stack: number): number {
		return this.#below[stack]!;
	}

	/** Return addresses, topmost first. */
	list(stack: number): number[] {
		const list: number[] = [];
		for (let at = stack; at !== 0; at = this.below(at)) list.push(this.back(at));
		return list;
	}
}
