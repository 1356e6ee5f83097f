// SPDX-License-Identifier: Apache-2.0
import { type BlockHasher, createBlockHasher } from "@dyn/tokens";

/** Hashers that are kept for the next request with the same salt. */
const KEPT = 64;

/** One block hasher per cache salt, the least recently used forgotten first. */
export class SaltedHashers {
	readonly #known = new Map<string, Promise<BlockHasher>>();

	get(cacheSalt: string | null): Promise<BlockHasher> {
		const key = cacheSalt ?? "";
		const hasher = this.#known.get(key) ?? createBlockHasher({ cacheSalt });
		this.#known.delete(key);
		this.#known.set(key, hasher);
		if (this.#known.size > KEPT) this.#known.delete(this.#known.keys().next().value!);
		return hasher;
	}
}
