// SPDX-License-Identifier: Apache-2.0
import { type BlockHasher, createBlockHasher } from "@dyn/tokens";

/** Hashers that are kept for the next request with the same salt and adapter. */
const KEPT = 64;

/** One block hasher per cache salt and adapter, the least recently used forgotten first. */
export class SaltedHashers {
	readonly #known = new Map<string, Promise<BlockHasher>>();

	get(cacheSalt: string | null, loraName: string | null): Promise<BlockHasher> {
		const key = JSON.stringify([cacheSalt, loraName]);
		const hasher = this.#known.get(key) ?? createBlockHasher({ cacheSalt, loraName });
		this.#known.delete(key);
		this.#known.set(key, hasher);
		if (this.#known.size > KEPT) this.#known.delete(this.#known.keys().next().value!);
		return hasher;
	}
}
