// SPDX-License-Identifier: Apache-2.0

interface Node {
	readonly next: Map<number, Node>;
	/** Index of the token that ends here. */
	token: number | undefined;
}

/** Finds tokens in a text: a trie walked from every place where some token could begin. */
export class TokenScanner {
	readonly #root: Node = { next: new Map(), token: undefined };

	constructor(tokens: readonly string[]) {
		for (const [index, token] of tokens.entries()) {
			let node = this.#root;
			for (let at = 0; at < token.length; at++) {
				const unit = token.charCodeAt(at);
				let child = node.next.get(unit);
				if (!child) {
					child = { next: new Map(), token: undefined };
					node.next.set(unit, child);
				}
				node = child;
			}
			node.token ??= index;
		}
	}

	/** The longest token that starts exactly at `at`: its index in the constructor's list, or undefined. */
	longestAt(text: string, at: number): number | undefined {
		let node = this.#root.next.get(text.charCodeAt(at));
		let found: number | undefined;
		for (let end = at + 1; node; end++) {
			found = node.token ?? found;
			node = end < text.length ? node.next.get(text.charCodeAt(end)) : undefined;
		}
		return found;
	}

	/** Whether a token starts at `at`, wholly within `text` or cut off by `end` (at most the text's length). */
	mayStartAt(text: string, at: number, end: number): boolean {
		let node = this.#root.next.get(text.charCodeAt(at));
		for (let next = at + 1; node; next++) {
			if (node.token !== undefined || next === end || next === text.length) return true;
			node = node.next.get(text.charCodeAt(next));
		}
		return false;
	}
}
