// SPDX-License-Identifier: Apache-2.0
import type { KvEvent, KvEventData } from "@dyn/protocols";
import { trtllmBlockKey } from "@dyn/tokens";
import type { MockerEngine } from "../engine/mocker-engine.js";

/** A change of a rank's KV cache with the hashes and the tokens that TensorRT-LLM tells. */
export type TrtllmKvEvent =
	| {
			readonly type: "stored";
			readonly parentHash: bigint | null;
			readonly blocks: readonly { readonly hash: bigint; readonly tokens: Uint32Array }[];
	  }
	| { readonly type: "removed"; readonly hashes: readonly bigint[] }
	| { readonly type: "cleared" };

/**
 * Turns the events of one rank into TensorRT-LLM's: blocks by their `v1_block_key`, with their tokens. Blocks whose tokens
 * the engine does not remember (those of a request with a cache salt) and what follows them are left out.
 */
export class TrtllmEventTranslator {
	readonly #engine: Pick<MockerEngine, "tokensOf">;
	/** Our hashes to TensorRT-LLM's. */
	readonly #keys = new Map<bigint, bigint>();

	/** @param engine with `remembersTokens` */
	constructor(engine: Pick<MockerEngine, "tokensOf">) {
		this.#engine = engine;
	}

	/** Null when nothing is left of it. */
	translate(data: KvEventData): TrtllmKvEvent | null {
		switch (data.type) {
			case "stored":
				return this.#stored(data);
			case "removed": {
				const hashes = data.blockHashes.flatMap((hash) => this.#keys.get(hash) ?? []);
				for (const hash of data.blockHashes) this.#keys.delete(hash);
				return hashes.length === 0 ? null : { type: "removed", hashes };
			}
			case "cleared":
				this.#keys.clear();
				return { type: "cleared" };
		}
	}

	#stored({ parentHash, blocks }: KvEventData & { readonly type: "stored" }): TrtllmKvEvent | null {
		const first = parentHash === null ? null : this.#keys.get(parentHash);
		if (first === undefined) return null;
		let parent = first;
		const known: { hash: bigint; tokens: Uint32Array }[] = [];
		for (const { blockHash, tokensHash } of blocks) {
			const tokens = this.#engine.tokensOf(tokensHash);
			if (!tokens) break;
			parent = trtllmBlockKey(tokens, parent);
			this.#keys.set(blockHash, parent);
			known.push({ hash: parent, tokens });
		}
		return known.length === 0 ? null : { type: "stored", parentHash: first, blocks: known };
	}
}

/** Every event of an engine, translated, with its rank. Leaving the loop unsubscribes. */
export async function* trtllmKvEvents(
	engine: MockerEngine,
): AsyncIterable<{ readonly dpRank: number; readonly event: TrtllmKvEvent }> {
	const translators = new Map<number, TrtllmEventTranslator>();
	for await (const { dpRank, data } of engine.kvEvents() as AsyncIterable<KvEvent>) {
		const translator = translators.get(dpRank) ?? new TrtllmEventTranslator(engine);
		translators.set(dpRank, translator);
		const event = translator.translate(data);
		if (event) yield { dpRank, event };
	}
}
